import type { Change } from '../contracts/metadata-store.ts';
import type { StoredRecord } from '../contracts/record.ts';
import type { Route } from '../contracts/traffic-router.ts';
import type { Deployment, DeploymentBody } from './deployment.ts';
import type { DeploymentRecords } from './deployment-records.ts';
import { routeOfVersion } from './rollout.ts';
import { firstRelease, warmAfter } from './warm.ts';

/** All traffic to one version: the changes, and what the deployment's record becomes with them. */
export interface TrafficMove {
  readonly changes: readonly Change[];
  readonly columns: { readonly warmUntil: number | undefined };
  readonly body: Pick<DeploymentBody, 'warm'>;
}

/**
 * Moves all of a deployment's traffic to a version. What answered before stays warm, but for the versions in `cold`:
 * those that have failed.
 */
export function moveTraffic(
  records: DeploymentRecords,
  deployment: Deployment,
  record: StoredRecord,
  to: {
    readonly versionId: string;
    readonly key: string;
    readonly cold: readonly string[];
    /** What has left already, step by step. */
    readonly left?: readonly string[];
    readonly at: number;
    readonly reason: string;
    /** The route's rules and sticky key from then on; as they are when left out. */
    readonly base?: Route;
  },
): TrafficMove {
  const { versionId, key, cold, at, reason } = to;
  const before = record.body as unknown as Route;
  const leaving = [...(to.left ?? []), ...before.targets.map((target) => target.versionId)]
    .filter((id, i, all) => all.indexOf(id) === i)
    .filter((id) => id !== versionId && !cold.includes(id));
  const answering = [versionId, ...cold];
  const { warm, released } = warmAfter(deployment, { leaving, answering }, at);
  const { fallbackVersionId } = deployment;
  const next = routeOfVersion(to.base ?? before, versionId, key, {
    ...(fallbackVersionId === undefined ? {} : { fallbackVersionId }),
    warmVersionIds: warm.map((each) => each.versionId),
  });
  const gone = released.filter((id) => id !== versionId && !cold.includes(id));
  return {
    changes: [
      ...records.shift(deployment, record, next, reason),
      ...gone.map((id) => releasedEvent(records, deployment, id)),
    ],
    columns: { warmUntil: firstRelease(warm) },
    body: { warm },
  };
}

/** What tells that a version is kept warm no longer. */
export function releasedEvent(
  records: DeploymentRecords,
  { id, name }: Pick<Deployment, 'id' | 'name'>,
  versionId: string,
): Change {
  return records.emit('deployment.version_released', name, { deploymentId: id, versionId });
}
