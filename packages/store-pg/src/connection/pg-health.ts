import {
  asJson,
  type HealthCheck,
  type HealthResult,
  isKeelsonError,
  type JsonObject,
} from '@keelson/core';
import type { PgDatabase } from './pg-database.ts';
import type { PoolFigures } from './pg-server.ts';
import type { ReplicaLag } from './replica.ts';

/** How a database and the way to it are. */
export interface PgHealth {
  /** A round trip that does nothing. */
  readonly roundTripMs: number;
  readonly pool: PoolFigures;
  /** Of the transactions that the database user may see (`pg_read_all_stats`: of all). */
  readonly oldestTransactionMs: number;
  /** How many transactions began since the oldest one that still matters: what vacuum must keep. */
  readonly xminAge: number;
  /** The oldest transaction that writes events: readers go no further than it. */
  readonly oldestEmitterMs: number;
  /** Undefined without a replica; a message where it cannot be asked. */
  readonly replica?: ReplicaLag | string;
}

/** Asks the server how it is; UNAVAILABLE when it does not answer. */
export async function readHealth(database: PgDatabase, signal?: AbortSignal): Promise<PgHealth> {
  const startedAt = performance.now();
  await database.read('SELECT 1', [], { signal });
  const roundTripMs = Math.round((performance.now() - startedAt) * 100) / 100;
  const [row] = await database.read(
    `WITH snapshot AS (SELECT pg_current_snapshot() AS s)
     SELECT
       (pg_snapshot_xmax(s)::text::bigint - pg_snapshot_xmin(s)::text::bigint) AS xmin_age,
       coalesce((SELECT max(extract(epoch FROM statement_timestamp() - xact_start)) FROM pg_stat_activity
         WHERE pid <> pg_backend_pid()), 0)::float8 * 1000 AS oldest,
       coalesce((SELECT max(extract(epoch FROM statement_timestamp() - a.xact_start))
         FROM pg_locks l JOIN pg_stat_activity a ON a.pid = l.pid
         WHERE l.locktype = 'relation' AND l.relation = to_regclass($1) AND l.granted
           AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database())
           AND l.mode = 'RowExclusiveLock'), 0)::float8 * 1000 AS emitter
     FROM snapshot`,
    [database.name('event')],
    { signal },
  );
  return {
    roundTripMs,
    pool: database.poolFigures(),
    oldestTransactionMs: wholeMs(row?.['oldest']),
    xminAge: Number(row?.['xmin_age']),
    oldestEmitterMs: wholeMs(row?.['emitter']),
    ...(database.replica === undefined ? {} : { replica: await replicaOf(database, signal) }),
  };
}

/** A transaction may have begun after the statement that looks for it. */
function wholeMs(value: unknown): number {
  return Math.max(0, Math.round(Number(value)));
}

async function replicaOf(
  database: PgDatabase,
  signal: AbortSignal | undefined,
): Promise<ReplicaLag | string> {
  try {
    return (await database.replica?.lag({ signal })) ?? 'It is no standby.';
  } catch (error) {
    if (!isKeelsonError(error, 'UNAVAILABLE', 'TIMEOUT', 'FORBIDDEN')) throw error;
    return error.message;
  }
}

/** From here on something is wrong, though it works still. */
const limits = {
  oldestTransactionMs: 5 * 60_000,
  xminAge: 1_000_000,
  oldestEmitterMs: 10_000,
  replicaMs: 60_000,
} as const;

/** The checks of a backend, for operations; `database` is undefined while no store is open. */
export function healthChecks(database: () => PgDatabase | undefined): readonly HealthCheck[] {
  return [
    {
      name: 'postgres',
      component: 'store-pg',
      kind: 'readiness',
      critical: true,
      intervalMs: 10_000,
      timeoutMs: 5_000,
      async run(signal) {
        const open = database();
        if (open === undefined) {
          return { status: 'UNKNOWN', message: 'No store of this backend is open.' };
        }
        try {
          return judge(await readHealth(open, signal));
        } catch (error) {
          if (!isKeelsonError(error)) throw error;
          return { status: 'UNHEALTHY', message: error.message };
        }
      },
    },
  ];
}

/** What the figures mean. */
export function judge(health: PgHealth): HealthResult {
  const { pool, replica } = health;
  const problems: string[] = [];
  if ((pool.waiting ?? 0) > 0 && pool.idle === 0) {
    problems.push(`${pool.waiting} callers wait for a connection: raise maxConnections`);
  }
  if (health.oldestEmitterMs > limits.oldestEmitterMs) {
    problems.push(`a commit has been running for ${health.oldestEmitterMs} ms and holds up events`);
  }
  if (health.oldestTransactionMs > limits.oldestTransactionMs) {
    problems.push(
      `a transaction has been open for ${health.oldestTransactionMs} ms: vacuum cannot clean up behind it`,
    );
  }
  if (health.xminAge > limits.xminAge) {
    problems.push(`${health.xminAge} transactions began since the oldest that still matters`);
  }
  if (typeof replica === 'string') problems.push(`the replica does not answer: ${replica}`);
  else if (replica !== undefined && replica.ms > limits.replicaMs) {
    problems.push(`the replica is ${replica.ms} ms (${replica.bytes} bytes) behind`);
  }
  return {
    status: problems.length === 0 ? 'HEALTHY' : 'DEGRADED',
    message: problems.length === 0 ? 'PostgreSQL answers.' : `${problems.join('; ')}.`,
    details: asJson(health) as JsonObject,
  };
}
