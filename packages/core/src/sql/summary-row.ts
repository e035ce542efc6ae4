import type { SummaryFigure } from '../contracts/query.ts';
import { type Extreme, meanOf, type PointPlace, type SummaryState } from './series-summary.ts';

/** `kind` and `facet` under which `dict` numbers metric keys. */
export const metricDict = { kind: 'series', facet: 'metrics' } as const;

/**
 * The column of `summary` that holds a figure for search. NULL where the figure is missing or NaN;
 * {@link figurePresent} tells those two apart. Only `last` has an index, `summary_last(kid, last, rid)` of rows where it is not NULL.
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

/** A row of `summary`. NaN and −0 do not survive every database's columns: NULL or 0 there, and a flag. */
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
