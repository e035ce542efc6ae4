import type { ColumnType } from '../../pipelines/data-validation/data-profile.ts';
import {
  type Category,
  type Moments,
  quantile,
  SortSpace,
  sampleVariance,
  sortNumbers,
} from '../../statistics/index.ts';
import type { DataColumn } from '../data-columns.ts';

/** What there is to know of one side of a column. Plain JSON; null where there are no numbers. */
export type ColumnFigures = {
  readonly type: ColumnType;
  readonly rows: number;
  /** Finite numbers. */
  readonly numbers: number;
  /** Rows with text or a truth value. */
  readonly texts: number;
  readonly missing: number;
  readonly infinite: number;
  /** Rows with a list or an object. */
  readonly others: number;
  readonly mean: number | null;
  /** With divisor n − 1. */
  readonly deviation: number | null;
  readonly low: number | null;
  readonly high: number | null;
  /** The 5th, 50th and 95th percentile, exact. */
  readonly quantiles: { readonly p5: number; readonly p50: number; readonly p95: number } | null;
};

/** How both sides are distributed over the same bins. Plain JSON. */
export type ColumnHistogram = {
  /** The values themselves, or from where to where; the last may be all others. */
  readonly bins: readonly string[];
  /** Shares of what was counted, one for each bin. */
  readonly reference: readonly number[];
  readonly current: readonly number[];
};

const maxBars = 24;
const maxCategories = 10;

/** The figures of a column whose finite numbers, ascending, are given with their moments. */
export function columnFigures(
  column: DataColumn,
  ascending: Float64Array,
  moments: Moments,
): ColumnFigures {
  const { count } = moments;
  const at = (share: number): number => quantile(ascending, share);
  return {
    type: column.type,
    rows: column.rows,
    numbers: count,
    texts: column.textRows,
    missing: column.missing,
    infinite: column.infinite,
    others: column.others,
    mean: finite(moments.mean, count > 0),
    deviation: finite(Math.sqrt(sampleVariance(moments)), count > 1),
    low: moments.low,
    high: moments.high,
    quantiles: count > 0 ? { p5: at(0.05), p50: at(0.5), p95: at(0.95) } : null,
  };
}

/**
 * Numbers over bins of equal width between their 0.5th and 99.5th percentiles (both sides together), the ends open;
 * few different values have a bin each. Undefined where there is nothing to count.
 */
export function numberHistogram(
  reference: Float64Array,
  current: Float64Array,
): ColumnHistogram | undefined {
  if (reference.length + current.length === 0) return undefined;
  const few = fewValues(reference, current);
  if (few !== undefined) {
    const counts = (side: Float64Array): number[] => {
      const places = new Map(few.map((value, place) => [value, place]));
      const all = new Array<number>(few.length).fill(0);
      for (const value of side) {
        const place = places.get(value) as number;
        all[place] = (all[place] as number) + 1;
      }
      return all;
    };
    return {
      bins: few.map(plain),
      reference: sharesIn(counts(reference)),
      current: sharesIn(counts(current)),
    };
  }
  const at = (share: number): number[] =>
    [reference, current].filter((side) => side.length > 0).map((side) => quantile(side, share));
  const [low, high] = [Math.min(...at(0.005)), Math.max(...at(0.995))];
  const width = (high - low) / maxBars;
  // A span beyond what a number holds, or below what it can be cut into.
  if (!(width > 0) || !Number.isFinite(width)) return undefined;
  const binOf = (value: number): number =>
    Math.min(maxBars - 1, Math.max(0, Math.floor((value - low) / width)));
  const count = (side: Float64Array): number[] => {
    // Values ascend, and so do their bins.
    const ends = Array.from({ length: maxBars }, (_, bin) =>
      firstWhere(side, (value) => binOf(value) > bin),
    );
    return ends.map((end, bin) => end - (ends[bin - 1] ?? 0));
  };
  const edge = (i: number): string => plain(low + i * width);
  return {
    bins: Array.from({ length: maxBars }, (_, i) => {
      if (i === 0) return `below ${edge(1)}`;
      return i === maxBars - 1 ? `from ${edge(i)} on` : `${edge(i)} to ${edge(i + 1)}`;
    }),
    reference: sharesIn(count(reference)),
    current: sharesIn(count(current)),
  };
}

/** The most frequent categories of both sides, and one bin for all others. */
export function categoryHistogram(
  before: ReadonlyMap<Category, number>,
  now: ReadonlyMap<Category, number>,
): ColumnHistogram | undefined {
  const [reference, current] = [totalOf(before), totalOf(now)];
  const names = [...new Set([...before.keys(), ...now.keys()])];
  if (names.length === 0) return undefined;
  const share = (of: ReadonlyMap<Category, number>, all: number, name: Category): number =>
    all === 0 ? 0 : (of.get(name) ?? 0) / all;
  const rank = (name: Category): number =>
    share(before, reference, name) + share(now, current, name);
  const ranked = names
    .map((name) => ({ name, rank: rank(name), key: `${typeof name}:${String(name)}` }))
    .sort((a, b) => b.rank - a.rank || (a.key < b.key ? -1 : 1))
    .map(({ name }) => name);
  const shown = ranked.slice(0, maxCategories);
  const rest = ranked.slice(maxCategories);
  const counts = (of: ReadonlyMap<Category, number>): number[] => [
    ...shown.map((name) => of.get(name) ?? 0),
    ...(rest.length === 0
      ? []
      : [rest.reduce<number>((sum, name) => sum + (of.get(name) ?? 0), 0)]),
  ];
  return {
    bins: [...shown.map(label), ...(rest.length === 0 ? [] : [`${rest.length} others`])],
    reference: sharesIn(counts(before)),
    current: sharesIn(counts(now)),
  };
}

/** The first place of ascending values at which it is so, and stays so. */
function firstWhere(values: Float64Array, isSo: (value: number) => boolean): number {
  let [from, to] = [0, values.length];
  while (from < to) {
    const middle = (from + to) >>> 1;
    if (isSo(values[middle] as number)) to = middle;
    else from = middle + 1;
  }
  return from;
}

/** Null where there are too few values, or such that the figure is beyond what a number holds. */
function finite(value: number, isKnown: boolean): number | null {
  return isKnown && Number.isFinite(value) ? value : null;
}

/** Room for the numbers of both sides of one column after another. */
export class PairSpace {
  readonly #space = new SortSpace();
  #rooms: [Float64Array, Float64Array] = [new Float64Array(0), new Float64Array(0)];

  /** The finite numbers of both sides, ascending; good until the next call. */
  ascending(was: DataColumn, is: DataColumn): readonly [Float64Array, Float64Array] {
    const sorted = ({ numbers }: DataColumn, i: 0 | 1): Float64Array => {
      if (this.#rooms[i].length < numbers.length) this.#rooms[i] = new Float64Array(numbers.length);
      return sortNumbers(numbers, this.#space, this.#rooms[i]);
    };
    return [sorted(was, 0), sorted(is, 1)];
  }
}

/** All values of both sides where they are at most as many as there are bars. */
function fewValues(a: Float64Array, b: Float64Array): readonly number[] | undefined {
  const values = new Set<number>();
  for (const side of [a, b]) {
    for (let i = 0; i < side.length; i += 1) {
      if (i > 0 && side[i] === side[i - 1]) continue;
      values.add(side[i] as number);
      if (values.size > maxBars) return undefined;
    }
  }
  return [...values].sort((x, y) => x - y);
}

function totalOf(counts: ReadonlyMap<Category, number>): number {
  let total = 0;
  for (const count of counts.values()) total += count;
  return total;
}

function sharesIn(counts: readonly number[]): number[] {
  const total = counts.reduce((sum, count) => sum + count, 0);
  return counts.map((count) => (total === 0 ? 0 : count / total));
}

function label(value: Category): string {
  const text = typeof value === 'string' ? value : plain(value);
  return text.length > 40 ? `${text.slice(0, 39)}…` : text;
}

function plain(value: Category): string {
  return typeof value === 'number' ? String(Number(value.toPrecision(5))) : String(value);
}
