import { createHash } from 'node:crypto';
import { KeelsonError } from '../errors.ts';
import type { AttemptKey, TaskGang, TaskObservation, TaskUsage } from './executor.ts';

/**
 * What every executor makes of the contract alike: ids of tasks, ends of gangs, sums of usage. Published as
 * `@keelson/core/executors`, for executors of others.
 */

/** The id of one execution of a step: 32 hexadecimal digits, fit for names of files and containers. INVALID for a key that is none. */
export function taskId(key: AttemptKey): string {
  const { workspace, executionId, stepId, attempt } = key;
  const texts = [workspace, executionId, stepId];
  const sound = texts.every((text) => typeof text === 'string' && text !== '');
  if (!sound || !Number.isSafeInteger(attempt) || attempt < 1) {
    throw new KeelsonError(
      'INVALID',
      'The key of a task is a workspace, an execution, a step and an attempt from 1 up.',
    );
  }
  const text = JSON.stringify([...texts, attempt]);
  return createHash('sha256').update(text).digest('hex').slice(0, 32);
}

/** Whether a text may be one of {@link taskId}. */
export function isTaskId(id: string): boolean {
  return /^[0-9a-f]{32}$/.test(id);
}

/** Whether a task has come to its end. */
export function isFinal({ state }: TaskObservation): boolean {
  return state !== 'queued' && state !== 'starting' && state !== 'running';
}

/** Whether a task has come to an end other than success. */
export function isBad(observation: TaskObservation): boolean {
  return isFinal(observation) && observation.state !== 'succeeded';
}

/**
 * What the processes of a task have come to together: its end is there when all have ended, and is the worst of
 * theirs (cancelled, then lost, then what failed first). That of the only one is its own.
 */
export function togetherOf(members: readonly TaskObservation[]): TaskObservation {
  const [only] = members;
  if (only !== undefined && members.length === 1) return only;
  const started = Math.min(...members.map(({ startedAt }) => startedAt ?? Infinity));
  const { image } = members.find((member) => member.image !== undefined) ?? {};
  const facts = {
    members,
    ...(Number.isFinite(started) ? { startedAt: started } : {}),
    ...(image === undefined ? {} : { image }),
  };
  if (!members.every(isFinal)) {
    const begun = members.some(({ state }) => state === 'running' || state === 'succeeded');
    return { state: begun ? 'running' : 'starting', ...facts };
  }
  const finishedAt = Math.max(...members.map((member) => member.finishedAt ?? 0));
  const bad = members.filter(isBad).toSorted((a, b) => (a.finishedAt ?? 0) - (b.finishedAt ?? 0));
  const of = (state: TaskObservation['state']) => bad.find((member) => member.state === state);
  const worst = of('cancelled') ?? of('lost') ?? bad[0];
  return worst === undefined
    ? { state: 'succeeded', exitCode: 0, finishedAt, ...facts }
    : { ...worst, finishedAt, ...facts };
}

/** What the processes of a task have used together: the longest time, and the sum of the rest. */
export function addUsage(sum: TaskUsage, each: TaskUsage): TaskUsage {
  const names = Object.keys({ ...sum, ...each }) as (keyof TaskUsage)[];
  const added = names.map((name) => {
    const [a, b] = [sum[name] ?? 0, each[name] ?? 0];
    return [name, name === 'wallMs' ? Math.max(a, b) : a + b];
  });
  return Object.fromEntries(added) as TaskUsage;
}

/** The variables of a process of a gang, as PyTorch's launcher (torchrun) names them; none without a gang. */
export function rankVariables(
  gang: TaskGang | undefined,
  rank: number,
  master: { readonly address: string; readonly port: number },
): Record<string, string> {
  if (gang === undefined) return {};
  const { nodes, processesPerNode } = gang;
  return {
    RANK: String(rank),
    WORLD_SIZE: String(nodes * processesPerNode),
    LOCAL_RANK: String(rank % processesPerNode),
    LOCAL_WORLD_SIZE: String(processesPerNode),
    NODE_RANK: String(Math.floor(rank / processesPerNode)),
    MASTER_ADDR: master.address,
    MASTER_PORT: String(master.port),
  };
}
