/** One flush of metric points, as parallel arrays. */
export interface PointBatch {
  /** A random id of the writer, new for each writer. */
  readonly writer: string;
  /** 1, 2, 3 … per writer. A batch whose number was stored before is acknowledged and ignored. */
  readonly sequence: number;
  /** The series that the batch touches. */
  readonly series: readonly SeriesKey[];
  /** For each point, its index in `series`. */
  readonly seriesIndex: Uint32Array;
  /** Safe integers. */
  readonly steps: Float64Array;
  /** When measured, epoch ms. */
  readonly timestamps: Float64Array;
  readonly values: Float64Array;
}

/** The address of one metric series. */
export interface SeriesKey {
  readonly workspace: string;
  /** The run. */
  readonly owner: string;
  readonly key: string;
}

/**
 * Points of one series, in order of step, then timestamp, then writer (ids by code point), then, within
 * a writer, arrival.
 */
export interface PointColumns {
  readonly steps: Float64Array;
  readonly timestamps: Float64Array;
  readonly values: Float64Array;
}

/**
 * Figures of one series over all of its stored points. `first` and `last` are those of the order that
 * {@link PointColumns} has. NaN takes no part in min, max and mean, is counted in `nanCount`, and can be
 * first or last. −0 is less than 0; where an extreme comes several times, its step is the least.
 */
export interface SeriesSummary {
  readonly key: string;
  readonly count: number;
  readonly nanCount: number;
  readonly first: number;
  readonly firstStep: number;
  readonly last: number;
  readonly lastStep: number;
  readonly lastTimestamp: number;
  /** Undefined when every value is NaN. */
  readonly min: number | undefined;
  readonly minStep: number | undefined;
  readonly max: number | undefined;
  readonly maxStep: number | undefined;
  /**
   * Sum over the values that are not NaN, divided by their number; the same before and after a fold.
   * NaN when both infinities take part.
   */
  readonly mean: number | undefined;
}

/**
 * A bucket of a downsampled series: exact figures over the points that fall in it. Extremes are as in
 * {@link SeriesSummary}; where every value is NaN they are NaN, at the bucket's least step.
 */
export interface SeriesBucket {
  /** The least and the greatest step of its points. */
  readonly stepMin: number;
  readonly stepMax: number;
  readonly count: number;
  readonly min: number;
  readonly minStep: number;
  readonly max: number;
  readonly maxStep: number;
  readonly nanCount: number;
}

/** A column of a batch of rows. Text and JSON columns hold one text a row; null is missing. */
export type RowColumn =
  | { readonly type: 'number'; readonly values: Float64Array; readonly missing?: Uint8Array }
  | { readonly type: 'text'; readonly values: readonly (string | null)[] }
  | { readonly type: 'json'; readonly values: readonly (string | null)[] };

/** One flush of rows (predictions, labels, exposures) of one stream, column by column. */
export interface RowBatch {
  readonly writer: string;
  /** 1, 2, 3 … per writer and stream; a repeated one is acknowledged and ignored. */
  readonly sequence: number;
  readonly stream: StreamKey;
  /** Epoch ms of each row; its length is the number of rows. */
  readonly at: Float64Array;
  /** Each as long as `at`. A column may be there in some batches of a stream and not in others. */
  readonly columns: Readonly<Record<string, RowColumn>>;
}

/** The address of a stream of rows: `predictions` of one deployment, say. */
export interface StreamKey {
  readonly workspace: string;
  readonly stream: string;
  readonly owner: string;
}

/** Rows as they are read back: one stored batch, cut to the range asked for. */
export interface RowColumns {
  readonly at: Float64Array;
  readonly columns: Readonly<Record<string, RowColumn>>;
}

/** A mergeable summary of one window, written by one writer; the caller merges those of several. */
export interface Rollup {
  readonly stream: StreamKey;
  /** Name of the figure, such as `latency`. */
  readonly name: string;
  readonly windowMs: number;
  /** Start of the window. */
  readonly at: number;
  readonly writer: string;
  /** Made by `encodeJson`; at most 1 MB. */
  readonly data: string;
}

/**
 * High-volume, append-only data: metric points, rows, window rollups. Promises, each with a case in
 * `seriesStoreSuite`:
 *
 * - An append that resolved is durable and is in every later read, folded or not; one that rejected
 *   or was killed may be repeated under its number without doubling anything.
 * - Values survive exactly, NaN, ±Infinity and −0 included (steps and times have no −0). INVALID for
 *   steps that are not safe integers, times that are not finite, arrays of unequal length, sequence
 *   numbers below 1, text with U+0000 or lone surrogates, names (workspace, owner, key, stream,
 *   writer) that are empty or longer than 512 characters.
 * - Folding (packing appended segments into chunks and summaries) changes no answer, may be killed
 *   at any instant, and may run in several processes at once.
 * - No read sees another workspace's data.
 * - After `close` every method rejects with CLOSED.
 */
export interface SeriesStore extends AsyncDisposable {
  appendPoints(batch: PointBatch): Promise<void>;

  /** Summaries of the series of a run, by key ascending; of those keys only, if given. */
  summaries(
    workspace: string,
    owner: string,
    keys?: readonly string[],
  ): Promise<readonly SeriesSummary[]>;

  /** Summaries of several runs at once: owner → key → summary. */
  summariesOf(
    workspace: string,
    owners: readonly string[],
    keys?: readonly string[],
  ): Promise<ReadonlyMap<string, ReadonlyMap<string, SeriesSummary>>>;

  /** The points of a series in a range of steps (both ends included), in pages of at most `limit`. */
  points(
    series: SeriesKey,
    options?: {
      readonly fromStep?: number;
      readonly toStep?: number;
      /** How many points to pass over. */
      readonly offset?: number;
      /** 1,000,000 when left out. */
      readonly limit?: number;
    },
  ): Promise<PointColumns>;

  /**
   * At most `buckets` buckets over the range (from the first to the last step of the series where left
   * out), of equal width: the least whole number of steps that makes them few enough. By step, empty
   * ones left out.
   */
  downsample(
    series: SeriesKey,
    options: { readonly buckets: number; readonly fromStep?: number; readonly toStep?: number },
  ): Promise<readonly SeriesBucket[]>;

  /** Packs what was appended; answers how many points it folded. Reads do this when they need it. */
  fold(options?: { readonly signal?: AbortSignal }): Promise<number>;

  appendRows(batch: RowBatch): Promise<void>;

  /** The rows of a stream with from ≤ at < to, batch by batch, in order of arrival. */
  rows(
    stream: StreamKey,
    range: { readonly from: number; readonly to: number; readonly columns?: readonly string[] },
  ): AsyncIterable<RowColumns>;

  /** Stores each rollup, in place of the one of the same stream, name, window, time and writer. */
  putRollups(rollups: readonly Rollup[]): Promise<void>;

  /** Rollups with from ≤ at < to, by time, then writer. */
  rollups(
    stream: StreamKey,
    name: string,
    range: { readonly windowMs: number; readonly from: number; readonly to: number },
  ): Promise<readonly Rollup[]>;

  /** Removes all series of the runs; repeated batches of theirs stay ignored. */
  removeOwners(workspace: string, owners: readonly string[]): Promise<void>;

  /**
   * Drops whole stored batches of a stream, or of several, whose rows are all older than `before`; answers how many rows.
   * Of several at once, a store that keeps them together by time can drop that as a whole. INVALID where `before`
   * is no number.
   */
  dropRows(stream: StreamKey | readonly StreamKey[], before: number): Promise<number>;

  /** Drops the rollups of a stream of windows of a length that begin before a time; answers how many. */
  dropRollups(
    stream: StreamKey,
    windows: { readonly windowMs: number; readonly before: number },
  ): Promise<number>;

  /** The streams of a workspace that rows or rollups were ever stored in, in no order that means anything. */
  streams(workspace: string): Promise<readonly StreamKey[]>;

  /**
   * Erases the rows of a stream whose text column has one of the values (1,000 at most), among those that were
   * stored before the call; answers how many. Their batches stay taken. INVALID for more values.
   */
  eraseRows(stream: StreamKey, column: string, values: readonly string[]): Promise<number>;

  close(): Promise<void>;
}
