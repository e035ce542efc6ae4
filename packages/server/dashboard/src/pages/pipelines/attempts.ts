import type { Execution, StepExecution } from '@keelson/core';
import type { WireEvent } from '../../api/answers.ts';
import { api, Refusal } from '../../api/client.ts';

/** One go at a step, or at an item of one. */
export interface Attempt {
  readonly step: string;
  readonly item?: number;
  readonly attempt: number;
  readonly startedAt: number;
  /** Missing while it runs. */
  readonly endedAt?: number;
  /** A status of a step, `RETRIED` where another one followed, `CACHED` where a result was taken from before. */
  readonly how: string;
  /** Why it ended so. */
  readonly why?: string;
}

const types = [
  'step.started',
  'step.completed',
  'step.failed',
  'step.retried',
  'step.skipped',
] as const;
const mostPages = 5;

/** The events of an execution's steps, oldest first; none where this person may not read events. */
export async function readStepEvents(
  { id, correlationId }: Execution,
  signal: AbortSignal,
): Promise<readonly WireEvent[]> {
  const all: WireEvent[] = [];
  let cursor: string | undefined;
  try {
    for (let page = 0; page < mostPages; page += 1) {
      const asked = { correlationId, type: types, limit: 1000 };
      const read = await api.events.list(cursor === undefined ? asked : { ...asked, cursor }, {
        signal,
      });
      all.push(...read.events.filter(({ payload }) => payload['executionId'] === id));
      if (read.events.length < 1000) break;
      cursor = read.cursor;
    }
  } catch (error) {
    if (!(error instanceof Refusal && error.status === 403)) throw error;
  }
  return all;
}

/** What was tried, in the order in which it began: by the events, and where they tell nothing by the steps as they stand. */
export function attemptsOf(
  execution: Execution,
  steps: readonly StepExecution[],
  events: readonly WireEvent[],
): readonly Attempt[] {
  const found = new Map<string, Attempt>();
  for (const event of events) note(found, event);
  for (const step of steps) {
    const key = keyOf(step.step, undefined, step.attempt);
    const known = found.get(key);
    if (known?.endedAt !== undefined || step.startedAt === undefined) continue;
    const ended = step.endedAt === undefined ? {} : { endedAt: step.endedAt };
    const why = step.failure?.message ?? step.skipReason;
    found.set(key, {
      ...{ step: step.step, attempt: step.attempt, how: step.status },
      startedAt: known?.startedAt ?? step.startedAt,
      ...ended,
      ...(why === undefined ? {} : { why }),
    });
  }
  const { endedAt } = execution;
  return [...found.values()]
    .map((each) =>
      each.endedAt === undefined && endedAt !== undefined
        ? { ...each, endedAt, how: each.how === 'RUNNING' ? 'CANCELLED' : each.how }
        : each,
    )
    .sort((a, b) => a.startedAt - b.startedAt);
}

function note(found: Map<string, Attempt>, { type, at, payload }: WireEvent): void {
  const step = String(payload['step']);
  const item = payload['item'] as number | undefined;
  const attempt = (payload['attempt'] as number | undefined) ?? 0;
  const key = keyOf(step, item, attempt);
  const before = found.get(key);
  const same = { step, attempt, ...(item === undefined ? {} : { item }) };
  if (type === 'step.started') {
    found.set(key, { ...same, startedAt: at, how: 'RUNNING' });
    return;
  }
  const failure = payload['failure'] as { readonly message?: string } | undefined;
  const why = failure?.message ?? (payload['reason'] as string | undefined);
  const isCached = payload['cachedFrom'] !== undefined;
  // What was skipped without having begun took no time.
  const startedAt = before?.startedAt ?? at;
  found.set(key, {
    ...{ ...same, startedAt, endedAt: at },
    how: isCached ? 'CACHED' : type.slice('step.'.length).toUpperCase(),
    ...(why === undefined ? {} : { why }),
  });
}

function keyOf(step: string, item: number | undefined, attempt: number): string {
  return `${step}\n${item ?? ''}\n${attempt}`;
}

/** The name of what was tried. */
export function labelOf({ step, item }: Pick<Attempt, 'step' | 'item'>): string {
  return item === undefined ? step : `${step}[${item}]`;
}
