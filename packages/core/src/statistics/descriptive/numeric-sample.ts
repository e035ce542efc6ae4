import { sortNumbers } from './sort-numbers.ts';

/** The usable values of a column, with what had to be left out. */
export interface NumericSample {
  /** Finite values, ascending. */
  readonly values: Float64Array;
  /** Entries in all. */
  readonly entries: number;
  /** Entries that are null, undefined or NaN. */
  readonly missing: number;
  /** Entries that are ±Infinity. */
  readonly infinite: number;
}

/**
 * Sets missing and infinite entries aside: they are counted, never used in a statistic. Anything that is not a
 * number, such as text, counts as missing.
 */
export function numericSample(entries: Iterable<number | null | undefined>): NumericSample {
  const kept: number[] = [];
  let missing = 0;
  let infinite = 0;
  let count = 0;
  for (const entry of entries) {
    count += 1;
    if (typeof entry !== 'number' || Number.isNaN(entry)) missing += 1;
    else if (!Number.isFinite(entry)) infinite += 1;
    else kept.push(entry);
  }
  return { values: sortNumbers(kept), entries: count, missing, infinite };
}
