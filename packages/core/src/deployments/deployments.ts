import { assertObject } from '../check-options.ts';
import type { EvidenceSource } from '../contracts/evidence-source.ts';
import type { Loop } from '../contracts/loop.ts';
import type { Scope } from '../contracts/scope.ts';
import type { ScalingConfig, ServingConfig } from '../contracts/serving-config.ts';
import type { Route, VersionedRoute } from '../contracts/traffic-router.ts';
import { isKeelsonError, KeelsonError } from '../errors.ts';
import { asJson, assertText, type JsonObject } from '../json.ts';
import { assertAllowed, type Decision, decideAndCommit } from '../operations/decide-and-commit.ts';
import type { Registry } from '../registry/registry.ts';
import { deployable } from './deployable.ts';
import { type Deployment, deploymentFromRecord, nameOf } from './deployment.ts';
import { createDeploymentRecords } from './deployment-records.ts';
import { routeOfVersion } from './rollout.ts';
import { createRollouts, type Rollouts } from './rollouts.ts';

/** From a registered version to an endpoint, and from one version to the next. */
export interface Deployments extends Rollouts {
  /** CONFLICT for a name that is taken, unless `ifExists` is `reuse`. */
  create(options: {
    readonly name: string;
    readonly versionId: string;
    readonly environment: Deployment['environment'];
    readonly sticky?: Route['sticky'];
    readonly serving?: ServingConfig;
    readonly scaling?: ScalingConfig;
    readonly ifExists?: 'error' | 'reuse';
  }): Promise<Deployment>;
  get(name: string): Promise<Deployment>;
  find(name: string): Promise<Deployment | undefined>;
  list(): Promise<readonly Deployment[]>;
  /** Who answers now; its generation rises with every change. */
  route(name: string): Promise<VersionedRoute>;
  /** Every route that was in force, oldest first. */
  routeHistory(
    name: string,
  ): Promise<readonly (VersionedRoute & { readonly at: number; readonly reason?: string })[]>;
  /** All traffic to one version at once. */
  setVersion(name: string, versionId: string, reason: string): Promise<VersionedRoute>;
  readonly loops: readonly Loop[];
}

/** Deployments, bound to a scope. `evidence` answers the gates. */
export function createDeployments(
  scope: Scope,
  registry: Registry,
  evidence: () => EvidenceSource,
): Deployments {
  const { metadata, workspace } = scope;
  const records = createDeploymentRecords(scope);
  const { findRecord, get, routeRecord, emit, edge } = records;
  const { loop, ...rollouts } = createRollouts(scope, registry, records, evidence);

  async function create(options: Parameters<Deployments['create']>[0]): Promise<Deployment> {
    const name = assertText(
      assertObject(options, 'deployments.create').name,
      'A deployment name',
      255,
    );
    if (!/^[A-Za-z0-9][A-Za-z0-9._-]*$/.test(name)) {
      throw new KeelsonError(
        'INVALID',
        `Deployment name ${JSON.stringify(name)} stands in URLs; use letters, digits, dots, dashes and underscores.`,
      );
    }
    await assertAllowed(scope, 'deployment.create', `deployment:${name}`);
    const existing = options.ifExists === 'reuse' ? await findRecord(name) : undefined;
    if (existing !== undefined) return deploymentFromRecord(existing);
    try {
      await decideAndCommit(scope, () => decideCreation(name, options));
    } catch (error) {
      const raced = options.ifExists === 'reuse' && isKeelsonError(error, 'CONFLICT');
      const first = raced ? await findRecord(name) : undefined;
      if (first === undefined) throw error;
      return deploymentFromRecord(first);
    }
    return get(name);
  }

  async function decideCreation(
    name: string,
    options: Parameters<Deployments['create']>[0],
  ): Promise<Decision<undefined>> {
    const { version, changes } = await deployable(scope, registry, options.versionId);
    const id = scope.ids.next();
    const targets = [{ versionId: version.id, weightPercent: 100, key: nameOf(version) }];
    const sticky = options.sticky === undefined ? {} : { sticky: options.sticky };
    const route: Route = { deploymentId: id, targets, rules: [], shadows: [], ...sticky };
    const { serving = {}, scaling } = options;
    const config = { serving, ...(scaling === undefined ? {} : { scaling }) };
    const columns = {
      name,
      modelName: version.model,
      environment: options.environment,
      status: 'CREATING',
      createdBy: scope.principal.id,
    };
    return {
      changes: [
        ...changes,
        { op: 'create', kind: 'deployment', id, columns, body: asJson(config) as JsonObject },
        {
          op: 'create',
          kind: 'route',
          id,
          columns: { deploymentId: id, deploymentName: name },
          body: asJson(route) as JsonObject,
        },
        edge(version.id, id, 'deployed'),
        emit('deployment.started', name, {
          deploymentId: id,
          versionId: version.id,
          model: version.model,
          version: version.version,
        }),
      ],
      result: undefined,
    };
  }

  async function route(name: string): Promise<VersionedRoute> {
    const { id } = await get(name);
    const record = await routeRecord(id);
    return { generation: record.revision, route: record.body as unknown as Route };
  }

  return {
    ...rollouts,
    create,
    get,
    route,
    loops: [loop],

    async find(name) {
      const record = await findRecord(name);
      return record && deploymentFromRecord(record);
    },

    async list() {
      const { records } = await metadata.query(workspace, 'deployment', {
        orderBy: [{ by: { from: 'column', name: 'name' }, direction: 'asc' }],
        limit: 1000,
      });
      return records.map(deploymentFromRecord);
    },

    async routeHistory(name) {
      const { id } = await get(name);
      const entries = await metadata.history(workspace, 'route', id, { limit: 1000 });
      return entries.map((entry) => ({
        generation: entry.revision,
        route: entry.body as unknown as Route,
        at: entry.at,
        ...(entry.reason === undefined ? {} : { reason: entry.reason }),
      }));
    },

    async setVersion(name, versionId, reason) {
      assertText(name, 'A deployment name');
      await assertAllowed(scope, 'deployment.deploy', `deployment:${name}`);
      await decideAndCommit(scope, async () => {
        const { version, changes } = await deployable(scope, registry, versionId);
        const deployment = await get(name);
        const record = await routeRecord(deployment.id);
        const next = routeOfVersion(record.body as unknown as Route, version.id, nameOf(version));
        return {
          changes: [...changes, ...records.shift(deployment, record, next, reason)],
          result: undefined,
          reason,
        };
      });
      return route(name);
    },
  };
}
