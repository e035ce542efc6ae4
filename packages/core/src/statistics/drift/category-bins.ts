import { requireCount } from '../arguments.ts';

/** A category as it was sent: 1 and '1' are two categories, so are true and 'true'. */
export type Category = string | number | boolean;

/** The categories of a reference that have a bin of their own, most frequent first. Plain JSON. */
export type CategoryBins = { readonly categories: readonly Category[] };

/** Counts in the bins of a reference, with what it never showed. */
export interface CategoryCounts {
  /** One count for each category of the bins, then one for all others, then one for missing entries. */
  readonly counts: readonly number[];
  /** Categories without a bin of their own, in the order in which they were first seen, with their counts. */
  readonly others: readonly { readonly category: Category; readonly count: number }[];
  /** Categories of the bins that were not seen. */
  readonly vanished: readonly Category[];
}

/** The `most` frequent categories of a reference; equal counts are ordered by type and text. */
export function categoryBins(
  entries: Iterable<Category | null | undefined>,
  most: number = 50,
): CategoryBins {
  return binsOfCounts(tally(entries), most);
}

/** The same, of categories that are counted already. */
export function binsOfCounts(
  counts: ReadonlyMap<Category, number>,
  most: number = 50,
): CategoryBins {
  requireCount('most', most);
  const counted = [...counts].map(([category, count]) => ({ category, count }));
  counted.sort((a, b) => b.count - a.count || compareText(keyOf(a.category), keyOf(b.category)));
  return { categories: counted.slice(0, most).map(({ category }) => category) };
}

/** Counts entries in bins; null, undefined and NaN are missing. */
export function countCategories(
  bins: CategoryBins,
  entries: Iterable<Category | null | undefined>,
): CategoryCounts {
  const list = [...entries];
  return countsInBins(bins, tally(list), list.length);
}

/** The same, of categories that are counted already, out of so many entries. */
export function countsInBins(
  { categories }: CategoryBins,
  seen: ReadonlyMap<Category, number>,
  entries: number,
): CategoryCounts {
  const counts = categories.map((category) => seen.get(category) ?? 0);
  const binned = new Set(categories);
  const others = [...seen]
    .filter(([category]) => !binned.has(category))
    .map(([category, count]) => ({ category, count }));
  const other = others.reduce((sum, { count }) => sum + count, 0);
  const missing = entries - other - counts.reduce((sum, count) => sum + count, 0);
  return {
    counts: [...counts, other, missing],
    others,
    vanished: categories.filter((_, index) => counts[index] === 0),
  };
}

/** A map tells 1 from '1' and true from 'true' by itself. */
export function tally(entries: Iterable<Category | null | undefined>): Map<Category, number> {
  const counted = new Map<Category, number>();
  for (const category of entries) {
    if (category === null || category === undefined || Number.isNaN(category)) continue;
    counted.set(category, (counted.get(category) ?? 0) + 1);
  }
  return counted;
}

function keyOf(category: Category): string {
  return `${typeof category}:${String(category)}`;
}

function compareText(a: string, b: string): number {
  if (a === b) return 0;
  return a < b ? -1 : 1;
}
