import type { DeploymentHealth, VersionHealth } from '@keelson/core';
import type { DeploymentStatus } from './deployment-status.ts';

/** What a process says of a deployment to whoever rolls versions out; nothing while it starts or is stopped. */
export function healthOf(
  { state, generation, versions, missing, error }: DeploymentStatus,
  reporter: string,
): DeploymentHealth | undefined {
  if (state === 'STARTING' || state === 'STOPPED') return undefined;
  const loaded = versions.map(({ versionId, replicas, isDormant, failure }): VersionHealth => {
    // It has been started before, and starts again when somebody asks.
    if (isDormant) return { versionId, liveReplicas: 1, replicas: 1 };
    if (failure !== undefined) return { versionId, liveReplicas: 0, replicas: 1 };
    const count = (...states: readonly string[]): number =>
      replicas.filter((replica) => states.includes(replica.state)).length;
    // Those that start are neither: a pool that grows does not fail.
    return { versionId, liveReplicas: count('ready'), replicas: count('ready', 'overdue', 'down') };
  });
  // What is not there although it was tried has failed.
  const failed = error === undefined ? [] : missing;
  // A newer route is on its way, and nothing is wrong so far.
  const isOnItsWay = error === undefined && loaded.every(({ liveReplicas }) => liveReplicas > 0);
  return {
    ...{ status: state === 'DEGRADED' && isOnItsWay ? 'HEALTHY' : state, reporter },
    versions: [
      ...loaded,
      ...failed.map((versionId) => ({ versionId, liveReplicas: 0, replicas: 1 })),
    ],
    ...(generation === undefined ? {} : { generation }),
    ...(error === undefined ? {} : { reason: error.message.slice(0, 2000) }),
  };
}
