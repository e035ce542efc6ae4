import type { Json, PointTarget } from '@keelson/core';
import type { PgConnectionOptions } from '../connection/connection-options.ts';
import { PgDatabase } from '../connection/pg-database.ts';
import { beatRuns, endRuns } from './pg-heartbeats.ts';
import { PgSeriesStore } from './pg-series-store.ts';

/** How the writer thread reaches the database: an address, not a pool, which cannot cross to a thread. */
export type PointTargetOptions = Pick<
  Extract<PgConnectionOptions, { readonly url: string }>,
  'url' | 'schema' | 'statementTimeoutMs' | 'lockTimeoutMs' | 'connectTimeoutMs'
>;

/** Opens what a writer thread stores points in, with connections of its own. */
export async function openPointTarget(options: Json): Promise<PointTarget> {
  const given = options as unknown as PointTargetOptions;
  // What is away is spooled: the thread tries again by itself, and must not hang meanwhile.
  const database = new PgDatabase({ ...given, maxConnections: 3, listen: false, retryMs: 1_000 });
  try {
    const store = await PgSeriesStore.open({ database });
    return {
      store,
      beat: (runs, at) => beatRuns(database, runs, at),
      endBeats: (runs) => endRuns(database, runs),
      async close() {
        await store.close();
        await database.close();
      },
    };
  } catch (error) {
    await database.close();
    throw error;
  }
}
