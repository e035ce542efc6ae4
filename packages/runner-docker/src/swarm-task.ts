import type { TaskObservation } from '@keelson/core';
import { exitOf, timeOf } from './container-state.ts';
import type { TaskFacts } from './task-labels.ts';

/** A task of a service, as the Engine API tells of it. */
export interface SwarmTask {
  readonly ID: string;
  readonly NodeID?: string;
  readonly CreatedAt: string;
  readonly Status: {
    readonly State: string;
    readonly Timestamp: string;
    readonly Message?: string;
    readonly Err?: string;
    readonly ContainerStatus?: { readonly ExitCode?: number };
  };
}

/**
 * The task of a job that counts. After a change of their leader, managers may begin jobs again that have
 * completed (moby#53632): then it is the one that completed first.
 */
export function taskOfJob(tasks: readonly SwarmTask[]): SwarmTask | undefined {
  const byAge = tasks.toSorted((a, b) => (a.CreatedAt < b.CreatedAt ? -1 : 1));
  return byAge.find(({ Status }) => Status.State === 'complete') ?? byAge.at(-1);
}

/** What a job has come to, by its task and the node that this is on. */
export function observeTask(
  task: SwarmTask | undefined,
  facts: TaskFacts,
  node: { readonly name?: string; readonly isDown?: boolean },
): TaskObservation {
  if (task === undefined) return { state: 'queued' };
  const { State, Timestamp, Err = '', Message = '', ContainerStatus } = task.Status;
  const at = timeOf(Timestamp) ?? 0;
  const where = node.name === undefined ? {} : { node: node.name };
  const began = { startedAt: Math.min(at, timeOf(task.CreatedAt) ?? at) };
  switch (State) {
    case 'new':
    case 'pending':
      return { state: 'queued', ...(Err === '' ? {} : { message: Err }) };
    case 'allocated':
    case 'assigned':
    case 'accepted':
    case 'preparing':
    case 'ready':
    case 'starting':
      return { state: 'starting', ...where };
    case 'running':
      // The swarm goes on calling it running when its node has died.
      return node.isDown === true
        ? {
            ...where,
            ...began,
            finishedAt: Date.now(),
            state: 'lost',
            reason: 'node_lost',
            message: `Its node ${node.name ?? ''} is down.`,
          }
        : { ...where, ...began, state: 'running' };
    case 'complete':
    case 'failed': {
      const exitCode = ContainerStatus?.ExitCode ?? (State === 'complete' ? 0 : undefined);
      const ended = { ...where, ...began, finishedAt: at };
      if (exitCode === undefined || exitCode < 0) {
        return { ...ended, state: 'failed', reason: 'engine', message: Err || Message };
      }
      if (exitCode === 255 && node.isDown === true) {
        return { ...ended, exitCode, state: 'lost', reason: 'node_lost', message: Err };
      }
      // A swarm does not tell why a process was killed; of one with a limit it is the likeliest reason.
      const isOom = exitCode === 137 && facts.memoryBytes !== undefined;
      return { ...ended, ...exitOf({ exitCode, isOom, error: Err }, facts) };
    }
    case 'rejected':
      // By its managers, of a task that may have run: its node has not what the task needs any more,
      // as one says of itself that comes back, or goes. The engine of the node rejects images.
      if (Message.includes('constraint enforcer')) {
        return {
          ...where,
          ...began,
          finishedAt: at,
          state: 'lost',
          reason: node.isDown === true ? 'node_lost' : 'evicted',
          message: `The swarm has ended it: ${Err || Message}`,
        };
      }
      return {
        ...where,
        state: 'failed',
        reason: 'image',
        finishedAt: at,
        message: Err || Message,
      };
    default:
      // Shut down, orphaned, or to be removed, and not by us: a verdict would say so.
      return {
        ...where,
        ...began,
        finishedAt: at,
        state: 'lost',
        reason: node.isDown === true || State === 'orphaned' ? 'node_lost' : 'evicted',
        message: `The swarm has ended it (${State}): ${Err || Message}`,
      };
  }
}
