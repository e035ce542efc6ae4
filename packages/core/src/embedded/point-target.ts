import type { SeriesStore } from '../contracts/series-store.ts';
import type { Json } from '../json.ts';
import { SqliteDatabase } from './sqlite-database.ts';
import { beatRuns, endRuns } from './sqlite-heartbeats.ts';
import { SqliteSeriesStore } from './sqlite-series-store.ts';

/**
 * Where a writer thread stores points, said so plainly that it can cross to the thread: a SQLite file, or
 * a module (by URL) of an adapter that exports `openPointTarget(options)`.
 */
export type PointTargetDescription =
  | { readonly kind: 'sqlite'; readonly path: string }
  | { readonly kind: 'module'; readonly module: string; readonly options: Json };

/** A run, as heartbeats address it. */
export interface RunAddress {
  readonly workspace: string;
  readonly runId: string;
}

/** What a writer thread needs of a backend. */
export interface PointTarget {
  readonly store: Pick<SeriesStore, 'appendPoints' | 'summaries' | 'fold'>;
  /** Keeps that the runs were alive at `at`. */
  beat(runs: readonly RunAddress[], at: number): Promise<void>;
  /** Forgets the heartbeats of runs that are over. */
  endBeats(runs: readonly RunAddress[]): Promise<void>;
  close(): Promise<void>;
}

/** Opens what is described. */
export async function openPointTarget(description: PointTargetDescription): Promise<PointTarget> {
  if (description.kind === 'module') {
    const module = (await import(description.module)) as {
      openPointTarget(options: Json): Promise<PointTarget>;
    };
    return await module.openPointTarget(description.options);
  }
  const database = await SqliteDatabase.open(description.path);
  try {
    const store = await SqliteSeriesStore.open({ database });
    return {
      store,
      beat: (runs, at) => beatRuns(database, runs, at),
      endBeats: (runs) => endRuns(database, runs),
      close: () => database.close(),
    };
  } catch (error) {
    await database.close();
    throw error;
  }
}
