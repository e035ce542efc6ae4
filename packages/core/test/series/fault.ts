import type {
  PointBatch,
  PointColumns,
  SeriesBucket,
  SeriesKey,
  SeriesStore,
  SeriesSummary,
} from '../../src/contracts/series-store.ts';

/** A way to break one promise of a SeriesStore. */
export interface SeriesBreakage {
  /** The name of the one case that must fail. */
  readonly breaks: string;
  /** What the broken adapter does. */
  readonly how: string;
  /** Called for each world; what it returns breaks each handle on the store of that world. */
  readonly inWorld: () => (store: SeriesStore) => SeriesStore;
}

/** Methods that take the place of a store's own. */
export type Overrides = Partial<SeriesStore>;

/** A breakage; `inWorld` gives what replaces the methods of each handle. */
export function fault(
  breaks: string,
  how: string,
  inWorld: () => (store: SeriesStore) => Overrides,
): SeriesBreakage {
  return {
    breaks,
    how,
    inWorld: () => {
      const override = inWorld();
      return (store) => overridden(store, override(store));
    },
  };
}

function overridden(store: SeriesStore, overrides: Overrides): SeriesStore {
  return new Proxy(store, {
    get(target, name) {
      if (Object.hasOwn(overrides, name)) return Reflect.get(overrides, name);
      const own: unknown = Reflect.get(target, name, target);
      return typeof own === 'function' ? own.bind(target) : own;
    },
  });
}

/** Acknowledges, without storing them, batches that should be refused. */
export function lenient(about: (batch: PointBatch) => boolean): (store: SeriesStore) => Overrides {
  return (store) => ({
    async appendPoints(batch) {
      if (!about(batch)) await store.appendPoints(batch);
    },
  });
}

/** Changes every summary that `summaries` gives. */
export function mapSummaries(
  store: SeriesStore,
  change: (summary: SeriesSummary) => SeriesSummary,
): Overrides {
  return {
    summaries: async (...question) => (await store.summaries(...question)).map(change),
  };
}

/** Changes every bucket. */
export function mapBuckets(
  store: SeriesStore,
  change: (bucket: SeriesBucket) => SeriesBucket,
): Overrides {
  return {
    downsample: async (...question) => (await store.downsample(...question)).map(change),
  };
}

let made = 0;

/** The batch of a writer that nobody has heard of. */
export function anew<B extends { readonly writer: string; readonly sequence: number }>(
  batch: B,
): B {
  return { ...batch, writer: `another-${++made}`, sequence: 1 };
}

/** The first points of a batch. */
export function firstOf(batch: PointBatch, count: number): PointBatch {
  return {
    ...batch,
    seriesIndex: batch.seriesIndex.subarray(0, count),
    steps: batch.steps.subarray(0, count),
    timestamps: batch.timestamps.subarray(0, count),
    values: batch.values.subarray(0, count),
  };
}

/** A batch of one point, of a writer that nobody has heard of. */
export function lonePoint(key: SeriesKey): PointBatch {
  return anew({
    writer: '',
    sequence: 1,
    series: [key],
    seriesIndex: Uint32Array.of(0),
    steps: Float64Array.of(500_000),
    timestamps: Float64Array.of(1),
    values: Float64Array.of(1),
  });
}

/** The points with two neighbours swapped. */
export function swapped(columns: PointColumns, at: number): PointColumns {
  const swap = (column: Float64Array): Float64Array => {
    const copy = column.slice();
    copy[at] = column[at + 1] as number;
    copy[at + 1] = column[at] as number;
    return copy;
  };
  const { steps, timestamps, values } = columns;
  return { steps: swap(steps), timestamps: swap(timestamps), values: swap(values) };
}

/** Whether a batch is valid as far as the suite's own bad ones go. */
export function looksFine(batch: PointBatch): boolean {
  const isName = (text: string): boolean =>
    text.length > 0 && text.length <= 512 && text.isWellFormed() && !text.includes('\u0000');
  return (
    batch.sequence >= 1 &&
    isName(batch.writer) &&
    batch.series.every((key) => isName(key.workspace) && isName(key.owner) && isName(key.key)) &&
    batch.steps.every((step) => Number.isSafeInteger(step)) &&
    batch.timestamps.every((at) => Number.isFinite(at)) &&
    [batch.seriesIndex, batch.timestamps, batch.values].every(
      (column) => column.length === batch.steps.length,
    ) &&
    batch.seriesIndex.every((index) => index < batch.series.length)
  );
}
