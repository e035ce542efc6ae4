import type { SeriesKey } from './series-store.ts';

/** What a metric writer has lost, holds, and last failed of. */
export interface MetricWriterHealth {
  /** Logged since the writer was opened, modulo 2^32. */
  readonly loggedPoints: number;
  /** Logged, not yet durable. */
  readonly pendingPoints: number;
  /** Of those, in the spool file because the store is away. */
  readonly spooledPoints: number;
  /** Points lost because memory and spool were full: series → count. */
  readonly dropped: readonly { readonly series: SeriesKey; readonly points: number }[];
  readonly lastError?: string;
  readonly lastFlushAt?: number;
}

/**
 * Takes metric points off a training loop. `log` returns at once, never throws for a fault of the store,
 * and works in a loop that never yields; a thread makes the points durable and keeps the heartbeats of
 * open runs.
 */
export interface MetricWriter extends AsyncDisposable {
  /** A small number for the series, for `log`. */
  seriesIndex(key: SeriesKey): number;
  /** `step` left out: per series and writer, going on from the last one stored. */
  log(index: number, step: number | undefined, timestamp: number, value: number): void;
  /**
   * Keeps the run's heartbeat until `closeRun`. With `sampleMs`, machine and process are sampled so often
   * into its `system/*` metrics, also in a loop that never yields.
   */
  openRun(
    workspace: string,
    runId: string,
    options?: { readonly sampleMs?: number | undefined },
  ): void;
  closeRun(workspace: string, runId: string): void;
  /** Resolves when all points logged before are durable; TIMEOUT after `timeoutMs`. */
  flush(options?: { readonly timeoutMs?: number; readonly signal?: AbortSignal }): Promise<void>;
  health(): MetricWriterHealth;
  close(options?: { readonly timeoutMs?: number }): Promise<void>;
}

/** When each run was last known to be alive. */
export interface Heartbeats {
  read(workspace: string, runIds: readonly string[]): Promise<ReadonlyMap<string, number>>;
  /** Keeps that runs were alive at `at`, for those whose process has no writer here; an older beat undoes no newer one. */
  beat(workspace: string, runIds: readonly string[], at: number): Promise<void>;
  /** Forgets the heartbeats of runs that are over. */
  end(workspace: string, runIds: readonly string[]): Promise<void>;
}
