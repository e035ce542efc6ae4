import type { SummaryFigure } from '../contracts/query.ts';
import type { Extreme, PointPlace, SummaryState } from '../sql/series-summary.ts';
import { meanOf } from '../sql/series-summary.ts';

/** `kind` and `facet` under which `dict` numbers metric keys. */
export const metricDict = { kind: 'series', facet: 'metrics' } as const;

/**
 * The tables of the series store, in the file of the metadata store. `summary` is keyed by the key's
 * `dict.kid` and the run's `entity.rid`; see `sql/series-*.ts` for what the blobs hold.
 */
export const seriesTables: readonly string[] = [
  `CREATE TABLE IF NOT EXISTS writer(
    wid INTEGER PRIMARY KEY, writer TEXT NOT NULL UNIQUE
  ) STRICT`,
  // Points have stream 0. upto: all numbers up to it are stored; ahead: those stored beyond a gap.
  `CREATE TABLE IF NOT EXISTS writer_sequence(
    wid INTEGER NOT NULL, stream INTEGER NOT NULL, upto INTEGER NOT NULL, ahead TEXT NOT NULL,
    PRIMARY KEY(wid, stream)
  ) STRICT, WITHOUT ROWID`,
  `CREATE TABLE IF NOT EXISTS segment(
    no INTEGER PRIMARY KEY AUTOINCREMENT, wid INTEGER NOT NULL, n INTEGER NOT NULL, data BLOB NOT NULL
  ) STRICT`,
  // A rowid table, so that headers are read without the blobs lying between them.
  `CREATE TABLE IF NOT EXISTS chunk(
    id INTEGER PRIMARY KEY AUTOINCREMENT, kid INTEGER NOT NULL, rid INTEGER NOT NULL,
    level INTEGER NOT NULL, n INTEGER NOT NULL, nan_count INTEGER NOT NULL,
    step_min INTEGER NOT NULL, step_max INTEGER NOT NULL,
    vmin REAL, vmin_step INTEGER, vmax REAL, vmax_step INTEGER, data BLOB NOT NULL
  ) STRICT`,
  'CREATE INDEX IF NOT EXISTS chunk_series ON chunk(kid, rid, level)',
  `CREATE TABLE IF NOT EXISTS summary(
    kid INTEGER NOT NULL, rid INTEGER NOT NULL,
    count INTEGER NOT NULL, nan_count INTEGER NOT NULL, tiers INTEGER NOT NULL, flags INTEGER NOT NULL,
    last REAL, last_step INTEGER NOT NULL, last_at REAL NOT NULL, last_wid INTEGER NOT NULL,
    first REAL, first_step INTEGER NOT NULL, first_at REAL NOT NULL, first_wid INTEGER NOT NULL,
    min REAL, min_step INTEGER, max REAL, max_step INTEGER,
    sum REAL, lost REAL NOT NULL, mean REAL,
    PRIMARY KEY(kid, rid)
  ) STRICT, WITHOUT ROWID`,
  'CREATE INDEX IF NOT EXISTS summary_last ON summary(kid, last, rid) WHERE last IS NOT NULL',
  'CREATE INDEX IF NOT EXISTS summary_rid ON summary(rid)',
  `CREATE TABLE IF NOT EXISTS row_stream(
    stream INTEGER PRIMARY KEY, longest REAL NOT NULL
  ) STRICT`,
  `CREATE TABLE IF NOT EXISTS row_batch(
    no INTEGER PRIMARY KEY AUTOINCREMENT, stream INTEGER NOT NULL, n INTEGER NOT NULL,
    at_min REAL NOT NULL, at_max REAL NOT NULL, data BLOB NOT NULL
  ) STRICT`,
  'CREATE INDEX IF NOT EXISTS row_batch_time ON row_batch(stream, at_min, at_max)',
  `CREATE TABLE IF NOT EXISTS rollup(
    no INTEGER PRIMARY KEY, stream INTEGER NOT NULL, name TEXT NOT NULL, window_ms INTEGER NOT NULL,
    at REAL NOT NULL, writer TEXT NOT NULL, data TEXT NOT NULL,
    UNIQUE(stream, name, window_ms, at, writer)
  ) STRICT`,
  `CREATE TABLE IF NOT EXISTS heartbeat(
    ws TEXT NOT NULL, run TEXT NOT NULL, at REAL NOT NULL, PRIMARY KEY(ws, run)
  ) STRICT, WITHOUT ROWID`,
];

/**
 * The column of `summary` that holds a figure for search. NULL where the figure is missing or NaN;
 * {@link figurePresent} tells those two apart. Only `last` has an index, `summary_last(kid, last, rid)`.
 */
export const figureColumn: Readonly<Record<SummaryFigure, string>> = {
  last: 'last',
  first: 'first',
  min: 'min',
  max: 'max',
  mean: 'mean',
  count: 'count',
};

/** An SQL condition over `alias` (a row of `summary`): the figure is there, if only as NaN. */
export function figurePresent(alias: string, figure: SummaryFigure): string {
  // All points of a series may be NaN: then first and last are NaN, and there is no min, max, mean.
  return figure === 'last' || figure === 'first' || figure === 'count'
    ? `${alias}.count > 0`
    : `${alias}.count > ${alias}.nan_count`;
}

/** Whether points were appended that the summaries do not know yet: fold before searching by them. */
export const pendingSql = 'SELECT 1 AS pending FROM segment LIMIT 1';

/** A row of `summary`. NaN and −0 do not survive a REAL column: NULL or 0 there, and a flag. */
export interface SummaryRow {
  readonly kid: number;
  readonly rid: number;
  readonly count: number;
  readonly nan_count: number;
  /** How many chunks there are of the levels 0, 1, 2: 4 bits each. */
  readonly tiers: number;
  readonly flags: number;
  readonly last: number | null;
  readonly last_step: number;
  readonly last_at: number;
  readonly last_wid: number;
  readonly first: number | null;
  readonly first_step: number;
  readonly first_at: number;
  readonly first_wid: number;
  readonly min: number | null;
  readonly min_step: number | null;
  readonly max: number | null;
  readonly max_step: number | null;
  readonly sum: number | null;
  readonly lost: number;
  readonly mean: number | null;
}

const nanFlag = { last: 1, first: 2, sum: 4 } as const;
const zeroFlag = { last: 8, first: 16, min: 32, max: 64 } as const;

/** `last` of a row, exactly: NaN and −0 included. */
export function exactLast(row: Pick<SummaryRow, 'last' | 'flags'>): number {
  return exact(row.last, row.flags, nanFlag.last, zeroFlag.last);
}

/** The state in a row. */
export function stateOf(row: SummaryRow): SummaryState {
  return {
    count: row.count,
    nanCount: row.nan_count,
    first: {
      value: exact(row.first, row.flags, nanFlag.first, zeroFlag.first),
      step: row.first_step,
      timestamp: row.first_at,
      writer: row.first_wid,
    },
    last: {
      value: exactLast(row),
      step: row.last_step,
      timestamp: row.last_at,
      writer: row.last_wid,
    },
    min: extreme(row.min, row.min_step, row.flags, zeroFlag.min),
    max: extreme(row.max, row.max_step, row.flags, zeroFlag.max),
    sum: exact(row.sum, row.flags, nanFlag.sum, 0),
    lost: row.lost,
  };
}

/** The names of the columns behind `kid` and `rid`, in the order of {@link rowValues}. */
export const stateColumns: readonly string[] = [
  ...['count', 'nan_count', 'tiers', 'flags', 'last', 'last_step', 'last_at', 'last_wid'],
  ...['first', 'first_step', 'first_at', 'first_wid', 'min', 'min_step', 'max', 'max_step'],
  ...['sum', 'lost', 'mean'],
];

/** What is written of a state, in the order of {@link stateColumns}. */
export function rowValues(state: SummaryState, tiers: number): (number | null)[] {
  const mean = meanOf(state);
  return [
    state.count,
    state.nanCount,
    tiers,
    flagsOf(state),
    real(state.last.value),
    ...place(state.last),
    real(state.first.value),
    ...place(state.first),
    state.min === undefined ? null : state.min.value,
    state.min === undefined ? null : state.min.step,
    state.max === undefined ? null : state.max.value,
    state.max === undefined ? null : state.max.step,
    real(state.sum),
    state.lost,
    mean === undefined ? null : real(mean),
  ];
}

function flagsOf(state: SummaryState): number {
  let flags = 0;
  if (Number.isNaN(state.last.value)) flags |= nanFlag.last;
  if (Number.isNaN(state.first.value)) flags |= nanFlag.first;
  if (Number.isNaN(state.sum)) flags |= nanFlag.sum;
  if (Object.is(state.last.value, -0)) flags |= zeroFlag.last;
  if (Object.is(state.first.value, -0)) flags |= zeroFlag.first;
  if (Object.is(state.min?.value, -0)) flags |= zeroFlag.min;
  if (Object.is(state.max?.value, -0)) flags |= zeroFlag.max;
  return flags;
}

function place(point: PointPlace): [number, number, number] {
  return [point.step, point.timestamp, point.writer];
}

function real(value: number): number | null {
  return Number.isNaN(value) ? null : value;
}

function exact(value: number | null, flags: number, nan: number, zero: number): number {
  if ((flags & nan) !== 0) return Number.NaN;
  return (flags & zero) === 0 ? (value as number) : -0;
}

function extreme(
  value: number | null,
  step: number | null,
  flags: number,
  zero: number,
): Extreme | undefined {
  if (value === null || step === null) return undefined;
  return { value: (flags & zero) === 0 ? value : -0, step };
}
