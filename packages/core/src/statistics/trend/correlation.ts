import { invalid, requireFinite, requireLevel } from '../arguments.ts';
import { sortNumbers } from '../descriptive/sort-numbers.ts';
import { normalQuantile } from '../distributions/normal.ts';
import { studentTwoSided } from '../distributions/student-t.ts';
import type { Interval } from '../intervals/interval.ts';

/** How two lists go together. Plain JSON; null for fewer than four pairs, or where one of them is constant. */
export type Correlation = {
  readonly pairs: number;
  readonly value: number | null;
  /** By Fisher's transformation, for a single look. */
  readonly interval: Interval | null;
  /** Two-sided, of none. */
  readonly pValue: number | null;
};

/**
 * Spearman's correlation of ranks (1904), ties sharing the middle of theirs: whether one rises with the other, on whatever scale. Its
 * interval has the variance of Bonett & Wright 2000. INVALID for lists of different length and values that are not finite.
 */
export function rankCorrelation(
  x: readonly number[],
  y: readonly number[],
  alpha: number = 0.05,
): Correlation {
  requireLevel('alpha', alpha);
  const pairs = x.length;
  if (y.length !== pairs) throw invalid('y', y.length, `as many values as x has, ${pairs}`);
  for (const value of [...x, ...y]) requireFinite('value', value);
  const nothing = { pairs, value: null, interval: null, pValue: null };
  if (pairs < 4) return nothing;
  const [a, b] = [midranks(x), midranks(y)];
  const mean = (pairs + 1) / 2;
  let [aa, ab, bb] = [0, 0, 0];
  for (let i = 0; i < pairs; i += 1) {
    const [p, q] = [(a[i] as number) - mean, (b[i] as number) - mean];
    aa += p * p;
    ab += p * q;
    bb += q * q;
  }
  if (aa === 0 || bb === 0) return nothing;
  const value = Math.max(-1, Math.min(1, ab / Math.sqrt(aa * bb)));
  const rest = 1 - value * value;
  const pValue = rest > 0 ? studentTwoSided(value * Math.sqrt((pairs - 2) / rest), pairs - 2) : 0;
  const half = normalQuantile(1 - alpha / 2) * Math.sqrt((1 + (value * value) / 2) / (pairs - 3));
  const centre = Math.atanh(Math.max(-1 + 1e-15, Math.min(1 - 1e-15, value)));
  const interval = { low: Math.tanh(centre - half), high: Math.tanh(centre + half) };
  return { pairs, value, interval, pValue };
}

/** The rank of each value, from 1; equal values share the middle of theirs. */
function midranks(values: readonly number[]): Float64Array {
  const ascending = sortNumbers(values);
  const ranks = new Map<number, number>();
  for (let start = 0; start < ascending.length; ) {
    let end = start + 1;
    while (end < ascending.length && ascending[end] === ascending[start]) end += 1;
    ranks.set(ascending[start] as number, (start + end + 1) / 2);
    start = end;
  }
  return Float64Array.from(values, (value) => ranks.get(value) as number);
}
