import type { StoredRecord } from '../contracts/record.ts';
import type { Route } from '../contracts/traffic-router.ts';
import { KeelsonError } from '../errors.ts';
import type { DeploymentConfig } from './deployment-config.ts';
import type { FollowedPromotions } from './promotion-policy.ts';
import type { DeploymentState } from './revision.ts';

/** How a deployment is. */
export type DeploymentStatus =
  /** No process has said yet that it answers. */
  | 'CREATING'
  | 'HEALTHY'
  /** It answers worse than it should. */
  | 'DEGRADED'
  /** It does not answer. */
  | 'FAILED'
  /** It is being removed. */
  | 'TERMINATING'
  | 'STOPPED';

/** What a deployment is for. */
export type Environment = 'DEVELOPMENT' | 'STAGING' | 'PRODUCTION';

/** A version that answers no longer and stays loaded, for an instant return. */
export interface WarmVersion {
  readonly versionId: string;
  readonly since: number;
  readonly until: number;
}

/** An endpoint under a name, whatever version answers it. */
export interface Deployment extends Omit<DeploymentConfig, 'traffic'> {
  readonly id: string;
  readonly name: string;
  readonly model: string;
  readonly environment: Environment;
  readonly status: DeploymentStatus;
  /** What changes its traffic now: a rollout or an A/B test. */
  readonly activeRolloutId?: string;
  /** Where its fallback is configured. */
  readonly fallbackVersionId?: string;
  readonly endpointUrl?: string;
  readonly tags: Readonly<Record<string, string>>;
  readonly warm: readonly WarmVersion[];
  /** How it follows promotions of its model to Production, where it does. */
  readonly onPromotion?: FollowedPromotions;
  readonly createdBy: string;
  readonly createdAt: number;
  readonly updatedAt: number;
  /** When a process last said how it is. */
  readonly lastHealthCheckAt?: number;
  /** The number of its newest revision; 0 where it has none. */
  readonly lastRevision: number;
  /** The number of the revision whose state is in force. */
  readonly currentRevision: number;
  readonly revision: number;
}

/** What the body of a deployment's record holds. */
export type DeploymentBody = Omit<DeploymentConfig, 'traffic'> &
  Pick<Deployment, 'warm' | 'fallbackVersionId' | 'onPromotion'>;

/** A deployment out of its record (with the facet `tags`), and when it was last looked at. */
export function deploymentFromRecord(record: StoredRecord, lastHealthCheckAt?: number): Deployment {
  const c = record.columns;
  const optional = {
    activeRolloutId: c['activeRolloutId'] as string | undefined,
    endpointUrl: c['endpointUrl'] as string | undefined,
    lastHealthCheckAt,
  };
  const given = Object.entries(optional).filter(([, value]) => value !== undefined);
  return {
    id: record.id,
    name: c['name'] as string,
    model: c['modelName'] as string,
    environment: c['environment'] as Environment,
    status: c['status'] as DeploymentStatus,
    createdBy: c['createdBy'] as string,
    createdAt: record.createdAt,
    updatedAt: record.updatedAt,
    revision: record.revision,
    lastRevision: (c['lastRevision'] ?? 0) as number,
    currentRevision: (c['currentRevision'] ?? 0) as number,
    tags: (record.facets['tags'] ?? {}) as Readonly<Record<string, string>>,
    ...bodyFromRecord(record),
    ...Object.fromEntries(given),
  };
}

function bodyFromRecord({ body }: StoredRecord): DeploymentBody {
  // Deployments of before had no more than `serving` and `scaling`.
  const kept = body as unknown as Partial<DeploymentBody>;
  return { serving: {}, resources: {}, healthCheck: {}, warm: [], ...kept };
}

/** What its record's body is made of. */
export function bodyOf(deployment: DeploymentBody): DeploymentBody {
  const { serving, scaling, resources, healthCheck, warm, warmMs, keptRevisions } = deployment;
  const optional = {
    scaling,
    warmMs,
    keptRevisions,
    fallbackVersionId: deployment.fallbackVersionId,
    onPromotion: deployment.onPromotion,
  };
  const given = Object.entries(optional).filter(([, value]) => value !== undefined);
  return { serving, resources, healthCheck, warm, ...Object.fromEntries(given) };
}

/** The configuration of a deployment and its route. */
export function configOf(deployment: Deployment, route: Route): DeploymentConfig {
  const { serving, scaling, resources, healthCheck, warmMs, keptRevisions } = deployment;
  const { fallbackVersionId } = deployment;
  const { rules, sticky } = route;
  return {
    ...{ serving, resources, healthCheck },
    traffic: {
      ...(rules.length === 0 ? {} : { rules }),
      ...(sticky === undefined ? {} : { sticky }),
      ...(fallbackVersionId === undefined ? {} : { fallbackVersionId }),
    },
    ...(scaling === undefined ? {} : { scaling }),
    ...(warmMs === undefined ? {} : { warmMs }),
    ...(keptRevisions === undefined ? {} : { keptRevisions }),
  };
}

/** What a revision is about, as it stands. */
export function stateOf(deployment: Deployment, route: Route): DeploymentState {
  const main = mainTarget(route);
  const key = route.targets.find(({ versionId }) => versionId === main)?.key ?? main;
  return { ...configOf(deployment, route), versionId: main, version: key };
}

/** A version as people call it: `fraud@1.2.0`. */
export function nameOf(version: { readonly model: string; readonly version: string }): string {
  return `${version.model}@${version.version}`;
}

/** The version with the most weight: what a rollout is compared with and falls back to. */
export function mainTarget(route: Route): string {
  const [main] = [...route.targets].sort((a, b) => b.weightPercent - a.weightPercent);
  if (main === undefined) throw new KeelsonError('INTERNAL', 'A route has no target.');
  return main.versionId;
}

/** Version id → weight. */
export function weights(route: Route): Readonly<Record<string, number>> {
  return Object.fromEntries(
    route.targets.map((target) => [target.versionId, target.weightPercent]),
  );
}
