import type { StoredRecord } from '../contracts/record.ts';
import type { SeriesSummary } from '../contracts/series-store.ts';
import { KeelsonError } from '../errors.ts';
import type { Json, JsonObject } from '../json.ts';
import { lostFromBody } from './run-health.ts';

/** Where a run stands. Only RUNNING is left, by one of the other three. */
export type RunStatus = 'RUNNING' | 'COMPLETED' | 'FAILED' | 'KILLED';

/** What started a run. */
export type SourceType = 'NOTEBOOK' | 'SCRIPT' | 'PIPELINE' | 'SERVICE';

/** A run as it is read. */
export interface Run {
  readonly id: string;
  readonly experimentId: string;
  readonly parentRunId?: string;
  readonly name: string;
  readonly status: RunStatus;
  /** Why it failed or was killed, where that is known. */
  readonly statusReason?: string;
  readonly startedAt: number;
  readonly endedAt?: number;
  readonly durationMs?: number;
  readonly heartbeatAt?: number;
  readonly sourceType: SourceType;
  readonly sourceName?: string;
  readonly sourceVersion?: string;
  readonly userId: string;
  readonly description: string;
  readonly lifecycle: 'active' | 'deleted';
  /** Dotted keys, types kept. */
  readonly params: Readonly<Record<string, Json>>;
  readonly tags: Readonly<Record<string, string>>;
  /** The latest value of each metric. */
  readonly metrics: Readonly<Record<string, number>>;
  readonly environment: JsonObject;
  /** Metric points that were lost, by key; empty in health. */
  readonly lostPoints: Readonly<Record<string, number>>;
  readonly revision: number;
}

const moves: Record<RunStatus, readonly RunStatus[]> = {
  RUNNING: ['COMPLETED', 'FAILED', 'KILLED'],
  COMPLETED: [],
  FAILED: [],
  KILLED: [],
};

/** Refuses, as CONFLICT naming the run, a change of status that the machine does not have. */
export function assertMove(runId: string, from: RunStatus, to: RunStatus): void {
  if (moves[from].includes(to)) return;
  throw new KeelsonError(
    'CONFLICT',
    `Run ${runId} is ${from} and cannot become ${to}; a finished run is reopened with resumeRun(id).`,
    { details: { runId, from, to } },
  );
}

/** Refuses, as CONFLICT, logging to a run that has ended. */
export function assertLoggable(record: StoredRecord): void {
  if (record.columns['status'] === 'RUNNING') return;
  throw new KeelsonError(
    'CONFLICT',
    `Run ${record.id} is ${record.columns['status']}; params, metrics and artifacts are closed. Reopen it with tracking.resumeRun(id).`,
    { details: { runId: record.id, status: record.columns['status'] } },
  );
}

/** Whether the run was marked as FAILED by others than its process, which may still come back. */
export function isPresumedDead(record: StoredRecord): boolean {
  return record.columns['status'] === 'FAILED' && record.body['presumedDead'] === true;
}

/** What is known about whether a run's process lives; times by the store's clock. */
export interface SignsOfLife {
  readonly heartbeatAt: number | undefined;
  readonly owner: 'alive' | 'dead' | 'unknown';
  readonly now: number;
  /** Silence for so long means death. */
  readonly timeoutMs: number;
}

/** That a run's process is dead: why that is thought, and when the run ended by that. */
export interface Death {
  readonly reason: string;
  readonly endedAt: number;
}

/** Whether a run that reads RUNNING is taken for dead. */
export function deathOf(record: StoredRecord, signs: SignsOfLife): Death | undefined {
  if (record.columns['status'] !== 'RUNNING') return undefined;
  const lastSign = Math.max(record.updatedAt, signs.heartbeatAt ?? 0);
  const silentMs = signs.now - lastSign;
  const at = new Date(lastSign).toISOString();
  // `startedAt` is by the caller's clock, which may be another than the store's.
  const startedAt = record.columns['startedAt'] as number;
  const endedAt = startedAt + Math.max(0, lastSign - record.createdAt);
  if (silentMs >= signs.timeoutMs) {
    return { reason: `no heartbeat since ${at}; the process died or lost its machine`, endedAt };
  }
  // Others may log to the run of a dead process: their heartbeats, a sixth of the timeout apart, keep it
  // alive.
  if (signs.owner === 'dead' && silentMs >= signs.timeoutMs / 3) {
    return { reason: `its process ended without finishing it; last heartbeat ${at}`, endedAt };
  }
  return undefined;
}

/** A run out of its record, its summaries and what is known about its life. */
export function runFromRecord(
  record: StoredRecord,
  life: {
    readonly summaries: ReadonlyMap<string, SeriesSummary> | undefined;
    readonly heartbeatAt: number | undefined;
    readonly death: Death | undefined;
  },
): Run {
  const c = record.columns;
  const { body } = record;
  const { death } = life;
  const startedAt = c['startedAt'] as number;
  return {
    id: record.id,
    experimentId: c['experimentId'] as string,
    name: c['name'] as string,
    status: death === undefined ? (c['status'] as RunStatus) : 'FAILED',
    startedAt,
    sourceType: c['sourceType'] as SourceType,
    userId: c['userId'] as string,
    lifecycle: c['lifecycle'] as 'active' | 'deleted',
    description: text(body['description']) ?? '',
    params: (record.facets['params'] ?? {}) as Record<string, Json>,
    tags: (record.facets['tags'] ?? {}) as Record<string, string>,
    metrics: lastValues(life.summaries),
    environment: (body['environment'] ?? {}) as JsonObject,
    lostPoints: lostFromBody(body),
    revision: record.revision,
    ...optional('parentRunId', c['parentRunId'] as string | undefined),
    ...optional('statusReason', death?.reason ?? text(body['statusReason'])),
    ...optional('endedAt', death?.endedAt ?? (c['endedAt'] as number | undefined)),
    ...optional(
      'durationMs',
      death ? death.endedAt - startedAt : (c['durationMs'] as number | undefined),
    ),
    ...optional('heartbeatAt', life.heartbeatAt),
    ...optional('sourceName', c['sourceName'] as string | undefined),
    ...optional('sourceVersion', c['sourceVersion'] as string | undefined),
  };
}

/** `{ [key]: value }`, or nothing where the value is undefined. */
export function optional<K extends string, V>(key: K, value: V | undefined): { [P in K]?: V } {
  return (value === undefined ? {} : { [key]: value }) as { [P in K]?: V };
}

// Not by assignment: a metric may be called `__proto__`.
function lastValues(
  summaries: ReadonlyMap<string, SeriesSummary> = new Map(),
): Record<string, number> {
  return Object.fromEntries([...summaries].map(([key, summary]) => [key, summary.last]));
}

function text(value: Json | undefined): string | undefined {
  return typeof value === 'string' ? value : undefined;
}
