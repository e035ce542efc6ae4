import type { StoredRecord } from '../contracts/record.ts';
import type { SeriesSummary } from '../contracts/series-store.ts';
import { KeelsonError } from '../errors.ts';
import type { Json, JsonObject } from '../json.ts';

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

/** When silence means death, and why a run that is read now would be called dead. */
export function deathOf(
  run: { readonly status: string; readonly startedAt: number },
  heartbeatAt: number | undefined,
  owner: 'alive' | 'dead' | 'unknown',
  now: number,
  timeoutMs: number,
): string | undefined {
  if (run.status !== 'RUNNING') return undefined;
  const lastSign = Math.max(run.startedAt, heartbeatAt ?? 0);
  const silentMs = now - lastSign;
  if (silentMs >= timeoutMs) {
    return `no heartbeat since ${new Date(lastSign).toISOString()}; the process died or lost its machine`;
  }
  // Others may log to the run of a dead process: their heartbeats, seconds apart, keep it alive.
  if (owner === 'dead' && silentMs >= timeoutMs / 6) {
    return `its process ended without finishing it; last heartbeat ${new Date(lastSign).toISOString()}`;
  }
  return undefined;
}

/** A run out of its record, its summaries and its last sign of life. */
export function runFromRecord(
  record: StoredRecord,
  summaries: ReadonlyMap<string, SeriesSummary> | undefined,
  heartbeatAt: number | undefined,
  death: string | undefined,
): Run {
  const c = record.columns;
  const body = record.body;
  const metrics: Record<string, number> = {};
  for (const [key, summary] of summaries ?? []) setOwn(metrics, key, summary.last);
  const statusReason = death ?? text(body['statusReason']);
  const endedAt = (c['endedAt'] as number | undefined) ?? (death === undefined ? undefined : heartbeatAt);
  return {
    id: record.id,
    experimentId: c['experimentId'] as string,
    name: c['name'] as string,
    status: death === undefined ? (c['status'] as RunStatus) : 'FAILED',
    startedAt: c['startedAt'] as number,
    sourceType: c['sourceType'] as SourceType,
    userId: c['userId'] as string,
    lifecycle: c['lifecycle'] as 'active' | 'deleted',
    description: text(body['description']) ?? '',
    params: (record.facets['params'] ?? {}) as Record<string, Json>,
    tags: (record.facets['tags'] ?? {}) as Record<string, string>,
    metrics,
    environment: (body['environment'] ?? {}) as JsonObject,
    lostPoints: (body['lostPoints'] ?? {}) as Record<string, number>,
    revision: record.revision,
    ...optional('parentRunId', c['parentRunId'] as string | undefined),
    ...optional('statusReason', statusReason),
    ...optional('endedAt', endedAt),
    ...optional('durationMs', c['durationMs'] as number | undefined),
    ...optional('heartbeatAt', heartbeatAt),
    ...optional('sourceName', c['sourceName'] as string | undefined),
    ...optional('sourceVersion', c['sourceVersion'] as string | undefined),
  };
}

/** `{ [key]: value }`, or nothing where the value is undefined. */
export function optional<K extends string, V>(key: K, value: V | undefined): { [P in K]?: V } {
  return (value === undefined ? {} : { [key]: value }) as { [P in K]?: V };
}

// A metric may be called `__proto__`.
function setOwn<T>(target: Record<string, T>, key: string, value: T): void {
  Object.defineProperty(target, key, { value, enumerable: true, writable: true, configurable: true });
}

function text(value: Json | undefined): string | undefined {
  return typeof value === 'string' ? value : undefined;
}
