import {
  type Category,
  type Moments,
  momentsOf,
  populationDeviation,
  sortNumbers,
} from '../../statistics/index.ts';
import { categoriesOf, type DataColumn, type DataTable, namesItsRows } from '../data-columns.ts';

/** How a column becomes a number of mean 0 and deviation 1 in the reference. Plain JSON. */
export type ColumnCode = {
  readonly feature: string;
  readonly mean: number;
  /** 0 where the reference is constant: then the number is always 0. */
  readonly deviation: number;
  /** Of categories: the share of each in the reference; any other has the share 0. */
  readonly shares?: readonly (readonly [category: Category, share: number])[];
};

/** At most so many categories of a column have a share of their own. */
const mostCategories = 1000;

/** The code of a column, or undefined for one that names its rows, is of points in time, or holds nothing that counts. */
export function codeOf(feature: string, column: DataColumn): ColumnCode | undefined {
  const { numbers, infinite, textRows, isTime } = column;
  if (isTime || namesItsRows(column)) return undefined;
  const numeric = numbers.length + infinite;
  if (numeric > 0 && numeric >= textRows) {
    // In order, so that equal numbers give equal bits however they are arranged.
    return codeOfNumbers(feature, momentsOf(sortNumbers(numbers)));
  }
  return codeOfCategories(feature, categoriesOf(column));
}

/** The code of a column of numbers with these moments. */
export function codeOfNumbers(feature: string, moments: Moments): ColumnCode | undefined {
  const deviation = moments.count === 0 ? 0 : populationDeviation(moments);
  if (!Number.isFinite(deviation)) return undefined;
  return { feature, mean: moments.mean, deviation };
}

/** The code of a column with so many rows of each category. */
export function codeOfCategories(
  feature: string,
  counts: ReadonlyMap<Category, number>,
): ColumnCode | undefined {
  const key = (category: Category): string => `${typeof category}:${String(category)}`;
  const sorted = [...counts].sort(([a, m], [b, n]) => n - m || (key(a) < key(b) ? -1 : 1));
  let total = 0;
  for (const [, count] of sorted) total += count;
  if (total === 0) return undefined;
  const shares = sorted
    .slice(0, mostCategories)
    .map(([category, count]) => [category, count / total] as const);
  // Each row has the share of its category.
  const mean = shares.reduce((sum, [, share]) => sum + share * share, 0);
  const square = shares.reduce((sum, [, share]) => sum + share * (share - mean) ** 2, 0);
  return { feature, mean, deviation: Math.sqrt(square), shares };
}

/**
 * The numbers of a column by a code, of all rows, or of those at the places; what is missing or of another type is 0, the mean.
 */
export function encodeColumn(
  code: ColumnCode,
  table: DataTable,
  places: { readonly length: number; readonly [i: number]: number } | undefined,
  encoded: Float64Array,
): Float64Array {
  const { feature, mean, deviation, shares } = code;
  const known = shares && new Map<unknown, number>(shares);
  const isRows = Array.isArray(table);
  const values = isRows
    ? undefined
    : (table as Readonly<Record<string, ArrayLike<unknown>>>)[feature];
  for (let i = 0; i < encoded.length; i += 1) {
    const at = places === undefined ? i : (places[i] as number);
    let value: unknown;
    if (isRows) {
      const row = table[at] as Readonly<Record<string, unknown>>;
      value = Object.hasOwn(row, feature) ? row[feature] : undefined;
    } else value = values?.[at];
    if (known === undefined) {
      const isNumber = typeof value === 'number' && value - value === 0;
      encoded[i] = isNumber ? ((value as number) - mean) / deviation : 0;
    } else if (isCategory(value)) encoded[i] = ((known.get(value) ?? 0) - mean) / deviation;
    else encoded[i] = 0;
  }
  return encoded;
}

function isCategory(value: unknown): boolean {
  if (typeof value === 'number') return !Number.isNaN(value);
  return typeof value === 'string' || typeof value === 'boolean';
}
