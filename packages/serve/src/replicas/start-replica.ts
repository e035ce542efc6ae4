import type { Isolation } from '@keelson/core';
import type { ModelToLoad } from '../runtimes/load-model.ts';
import { HostedReplica } from './hosted-replica.ts';
import { InlineReplica } from './inline-replica.ts';
import { ProcessHost } from './process-host.ts';
import type { StartReplica } from './replica.ts';
import { ThreadHost } from './thread-host.ts';

/** A model, where it runs, and what it may take. */
export interface ReplicaPlan extends ModelToLoad {
  readonly isolation: Isolation;
  /** For loading and warm-up. */
  readonly loadTimeoutMs: number;
  /** How long a job may run past its deadline before the replica counts as hung and is replaced. */
  readonly hungAfterMs: number;
  /** Of each process; no limit when left out, and none elsewhere. */
  readonly memoryBytes?: number | undefined;
}

/** What starts a replica of `plan`. */
export function replicaStarter(plan: ReplicaPlan): StartReplica {
  const { directory, signature, runtime, options, warmUpRows, isolation } = plan;
  const model: ModelToLoad = { directory, signature, runtime, options, warmUpRows };
  if (isolation === 'none') return (id, events) => InlineReplica.start(id, model, events);
  return (id, events) =>
    HostedReplica.start(
      id,
      plan,
      (listener) =>
        isolation === 'process'
          ? new ProcessHost(model, plan.memoryBytes, listener)
          : new ThreadHost(`keelson ${id}`, model, listener),
      events,
    );
}
