import type { Json } from '../json.ts';
import type { SeriesStore } from './series-store.ts';

/**
 * Where a writer thread stores points, said so plainly that it can cross to the thread: a SQLite file, or
 * a module (by URL) of an adapter that exports `openPointTarget(options)`. It may hold secrets: it is
 * never logged.
 */
export type PointTargetDescription =
  | {
      readonly kind: 'sqlite';
      readonly path: string;
      /** UNAVAILABLE where there is no file; left out, it is made then. */
      readonly mustExist?: boolean;
    }
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
