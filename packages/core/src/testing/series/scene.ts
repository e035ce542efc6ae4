import type {
  PointBatch,
  RowBatch,
  RowColumn,
  RowColumns,
  SeriesKey,
  SeriesStore,
  SeriesSummary,
  StreamKey,
} from '../../contracts/series-store.ts';
import { defined } from '../assertions.ts';
import type { Case } from '../suite.ts';

/** What an adapter gives the suite. Disposing it closes what it opened and removes what it stored. */
export interface SeriesStoreHarness extends AsyncDisposable {
  /** Opens a new, empty store. Called once. */
  open(): Promise<SeriesStore>;
  /** Another handle on that store, sharing nothing with the first but the store: another process. */
  openSecond(): Promise<SeriesStore>;
}

/** One case's store, and the way to further handles on it. */
export interface Scene {
  readonly store: SeriesStore;
  openSecond(): Promise<SeriesStore>;
}

/** A case of the suite: opens the store, then runs. */
export function promised(
  name: string,
  promise: string,
  run: (scene: Scene) => Promise<void>,
): Case<SeriesStoreHarness> {
  return {
    name,
    promise,
    async run(harness) {
      await run({ store: await harness.open(), openSecond: () => harness.openSecond() });
    },
  };
}

/** Where most things happen. */
export const home = 'home';

/** The run that most points belong to. */
export const run = 'run-1';

/** A series of that run. */
const loss: SeriesKey = { workspace: home, owner: run, key: 'loss' };

/** Where most rows go. */
export const predictions: StreamKey = {
  workspace: home,
  stream: 'predictions',
  owner: 'deployment-1',
};

/** A point: step, timestamp, value. */
export type Point = readonly [step: number, timestamp: number, value: number];

/** A series under another key, owner or workspace than {@link loss}. */
export function series(parts: Partial<SeriesKey> | string): SeriesKey {
  return { ...loss, ...(typeof parts === 'string' ? { key: parts } : parts) };
}

/** A batch of the points of one series. */
export function batch(
  writer: string,
  sequence: number,
  points: readonly Point[],
  key: SeriesKey = loss,
): PointBatch {
  return batchOf(
    writer,
    sequence,
    points.map((point) => [key, ...point]),
  );
}

/** A batch of points of several series. */
export function batchOf(
  writer: string,
  sequence: number,
  points: readonly (readonly [SeriesKey, ...Point])[],
): PointBatch {
  const keys = [...new Set(points.map(([key]) => key))];
  return {
    writer,
    sequence,
    series: keys,
    seriesIndex: Uint32Array.from(points, ([key]) => keys.indexOf(key)),
    steps: Float64Array.from(points, ([, step]) => step),
    timestamps: Float64Array.from(points, ([, , timestamp]) => timestamp),
    values: Float64Array.from(points, ([, , , value]) => value),
  };
}

/** Points of ascending steps from `from` on, one a millisecond: `value` of each step. */
export function ascending(
  from: number,
  count: number,
  value: (step: number) => number = (step) => step,
): readonly Point[] {
  return Array.from({ length: count }, (_, i) => [from + i, 1_000 + from + i, value(from + i)]);
}

/** The points of a series, as they were written in a test. */
export async function pointsOf(
  store: SeriesStore,
  key: SeriesKey = loss,
  options?: Parameters<SeriesStore['points']>[1],
): Promise<readonly Point[]> {
  const { steps, timestamps, values } = await store.points(key, options);
  return Array.from(steps, (step, i) => [step, timestamps[i] as number, values[i] as number]);
}

/** The summary of a series, which must be there. */
export async function summaryOf(store: SeriesStore, key: SeriesKey = loss): Promise<SeriesSummary> {
  const found = await store.summaries(key.workspace, key.owner);
  return defined(
    found.find((summary) => summary.key === key.key),
    `the summary of ${key.key}`,
  );
}

/** A batch of rows. */
export function rowBatch(
  writer: string,
  sequence: number,
  at: readonly number[],
  columns: Readonly<Record<string, RowColumn>> = {},
  stream: StreamKey = predictions,
): RowBatch {
  return { writer, sequence, stream, at: Float64Array.from(at), columns };
}

/** All batches of rows in a range. */
export async function rowsOf(
  store: SeriesStore,
  range: Partial<Parameters<SeriesStore['rows']>[1]> = {},
  stream: StreamKey = predictions,
): Promise<readonly RowColumns[]> {
  const found: RowColumns[] = [];
  const all = { from: -1e15, to: 1e15 };
  for await (const rows of store.rows(stream, { ...all, ...range })) found.push(rows);
  return found;
}

/** The times of rows, in the order in which they come. */
export async function timesOf(
  store: SeriesStore,
  range: Partial<Parameters<SeriesStore['rows']>[1]> = {},
  stream: StreamKey = predictions,
): Promise<readonly number[]> {
  return (await rowsOf(store, range, stream)).flatMap((rows) => [...rows.at]);
}
