import { z } from 'zod';
import { checkOptions } from '../check-options.ts';
import type { Scope } from '../contracts/scope.ts';
import type { ScalingConfig, ServingConfig } from '../contracts/serving-config.ts';
import type { Route } from '../contracts/traffic-router.ts';
import { isKeelsonError, KeelsonError } from '../errors.ts';
import { asJson, assertText, type JsonObject } from '../json.ts';
import { assertAllowed, type Decision, decideAndCommit } from '../operations/decide-and-commit.ts';
import type { ModelVersion } from '../registry/model-version.ts';
import type { Registry } from '../registry/registry.ts';
import { deployables } from './deployable.ts';
import { bodyOf, type Deployment, type Environment, nameOf } from './deployment.ts';
import {
  configFields,
  type DeploymentResources,
  endpointShape,
  type HealthCheckConfig,
  mostTags,
  type TrafficConfig,
  tagsShape,
  versionsOfTraffic,
} from './deployment-config.ts';
import type { DeploymentRecords } from './deployment-records.ts';
import { checkPromotionPolicy, followed, type PromotionPolicy } from './promotion-policy.ts';
import { nextRevision } from './revision.ts';

/** A deployment to make. */
export interface CreateDeployment {
  /** It stands in URLs: letters, digits, dots, dashes and underscores. */
  readonly name: string;
  readonly versionId: string;
  readonly environment: Environment;
  /** As `traffic.sticky`. */
  readonly sticky?: Route['sticky'];
  readonly serving?: ServingConfig;
  readonly scaling?: ScalingConfig;
  readonly resources?: DeploymentResources;
  readonly healthCheck?: HealthCheckConfig;
  readonly traffic?: TrafficConfig;
  readonly warmMs?: number;
  readonly keptRevisions?: number;
  /** Where it answers. */
  readonly endpointUrl?: string;
  /** 20 at most. */
  readonly tags?: Readonly<Record<string, string>>;
  readonly reason?: string;
  /** As with `configure`. */
  readonly onPromotion?: PromotionPolicy;
  readonly ifExists?: 'error' | 'reuse';
}

const shape = z.strictObject({
  name: z.string(),
  versionId: z.string(),
  environment: z.enum(['DEVELOPMENT', 'STAGING', 'PRODUCTION']),
  sticky: z.strictObject({ header: z.string().min(1), salt: z.string() }).optional(),
  ...configFields,
  endpointUrl: endpointShape.optional(),
  tags: tagsShape.optional(),
  reason: z.string().min(1).max(2000).optional(),
  onPromotion: z.unknown().optional(),
  ifExists: z.enum(['error', 'reuse']).optional(),
} satisfies Record<keyof CreateDeployment, z.ZodType>);

/** Makes a deployment; CONFLICT for a name that is taken, unless `ifExists` is `reuse`. */
export async function createDeployment(
  scope: Scope,
  registry: Registry,
  records: DeploymentRecords,
  options: CreateDeployment,
): Promise<Deployment> {
  const name = checkCreation(options).name;
  await assertAllowed(scope, 'deployment.create', `deployment:${name}`);
  const reuse = options.ifExists === 'reuse';
  const existing = reuse ? await records.find(name) : undefined;
  if (existing !== undefined) return existing;
  try {
    await decideAndCommit(scope, () => decide(scope, registry, records, options));
  } catch (error) {
    const raced = reuse && isKeelsonError(error, 'CONFLICT');
    const first = raced ? await records.find(name) : undefined;
    if (first === undefined) throw error;
    return first;
  }
  return records.get(name);
}

function checkCreation(options: CreateDeployment): CreateDeployment {
  asJson(options ?? null, 'What deployments.create was given');
  const { name, versionId, reason, tags = {} } = checkOptions(shape, options, 'deployments.create');
  assertText(name, 'A deployment name', 255);
  assertText(versionId, 'A version id');
  if (reason !== undefined) assertText(reason, 'A reason', 2000);
  if (options.onPromotion !== undefined) checkPromotionPolicy(options.onPromotion);
  const count = Object.keys(tags).length;
  if (count > mostTags)
    throw new KeelsonError('INVALID', `tags: ${count} are more than the ${mostTags} allowed.`);
  if (/^[A-Za-z0-9][A-Za-z0-9._-]*$/.test(name)) return options;
  throw new KeelsonError(
    'INVALID',
    `Deployment name ${JSON.stringify(name)} stands in URLs; use letters, digits, dots, dashes and underscores.`,
  );
}

async function decide(
  scope: Scope,
  registry: Registry,
  records: DeploymentRecords,
  options: CreateDeployment,
): Promise<Decision<undefined>> {
  const { name, environment, endpointUrl, tags = {}, reason = 'made' } = options;
  const { sticky = options.sticky, rules = [], fallbackVersionId } = options.traffic ?? {};
  const { versions, changes } = await deployables(scope, registry, [
    options.versionId,
    ...versionsOfTraffic(options.traffic),
  ]);
  const version = versions[0] as ModelVersion;
  const id = scope.ids.next();
  const fallback = fallbackVersionId === undefined ? {} : { fallbackVersionId };
  const route: Route = {
    deploymentId: id,
    targets: [{ versionId: version.id, weightPercent: 100, key: nameOf(version) }],
    rules,
    shadows: [],
    ...(sticky === undefined ? {} : { sticky }),
    ...fallback,
  };
  const {
    serving = {},
    resources = {},
    healthCheck = {},
    scaling,
    warmMs,
    keptRevisions,
  } = options;
  const kept = {
    ...{ serving, resources, healthCheck },
    ...(scaling === undefined ? {} : { scaling }),
    ...(warmMs === undefined ? {} : { warmMs }),
    ...(keptRevisions === undefined ? {} : { keptRevisions }),
  };
  const traffic = {
    ...(rules.length === 0 ? {} : { rules }),
    ...(sticky === undefined ? {} : { sticky }),
    ...fallback,
  };
  const createdBy = scope.principal.id;
  const follows =
    options.onPromotion === undefined
      ? {}
      : { onPromotion: followed(undefined, options.onPromotion, await scope.metadata.now()) };
  const revision = nextRevision(
    scope.ids.next(),
    { id, lastRevision: 0 },
    {
      after: { ...kept, traffic, versionId: version.id, version: nameOf(version) },
      ...{ strategy: 'immediate', rolloutStatus: 'COMPLETED', reason, createdBy },
      at: scope.clock.now(),
    },
  );
  return {
    changes: [
      ...changes,
      {
        ...({ op: 'create', kind: 'deployment', id } as const),
        columns: {
          ...{ name, modelName: version.model, environment, status: 'CREATING' },
          ...{ createdBy, endpointUrl, ...revision.columns },
          ...('onPromotion' in follows ? { followsPromotions: true } : {}),
        },
        body: asJson(bodyOf({ ...kept, ...follows, warm: [], ...fallback })) as JsonObject,
        facets: { tags },
      },
      {
        ...({ op: 'create', kind: 'route', id } as const),
        columns: { deploymentId: id, deploymentName: name },
        body: asJson(route) as JsonObject,
      },
      revision.create,
      records.edge(version.id, id, 'deployed'),
      records.emit('deployment.started', name, {
        deploymentId: id,
        versionId: version.id,
        model: version.model,
        version: version.version,
      }),
    ],
    result: undefined,
  };
}
