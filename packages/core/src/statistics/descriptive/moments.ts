import { requireFinite } from '../arguments.ts';

/** Mergeable moments of a sample. Plain JSON; `low` and `high` are null without values. */
export type Moments = {
  readonly count: number;
  readonly mean: number;
  /** Sum of squared distances from the mean. */
  readonly squares: number;
  readonly low: number | null;
  readonly high: number | null;
};

/** The moments of no values. */
export const noMoments: Moments = { count: 0, mean: 0, squares: 0, low: null, high: null };

/**
 * Count, mean and sum of squares in one pass (Welford 1962): stable where the mean is large beside the spread.
 * A value that is not finite is INVALID.
 */
export function momentsOf(values: Iterable<number>): Moments {
  let count = 0;
  let mean = 0;
  let squares = 0;
  let low = Infinity;
  let high = -Infinity;
  for (const value of values) {
    requireFinite('value', value);
    count += 1;
    const gap = value - mean;
    mean += gap / count;
    squares += gap * (value - mean);
    if (value < low) low = value;
    if (value > high) high = value;
  }
  return count === 0 ? noMoments : { count, mean, squares, low, high };
}

/**
 * The moments of two samples together (Chan, Golub & LeVeque 1979). Merging is exact up to rounding; for equal bits
 * merge in one fixed order.
 */
export function mergeMoments(a: Moments, b: Moments): Moments {
  if (a.count === 0) return b;
  if (b.count === 0) return a;
  const count = a.count + b.count;
  const gap = b.mean - a.mean;
  return {
    count,
    mean: a.mean + gap * (b.count / count),
    squares: a.squares + b.squares + gap * gap * ((a.count * b.count) / count),
    low: Math.min(a.low ?? Infinity, b.low ?? Infinity),
    high: Math.max(a.high ?? -Infinity, b.high ?? -Infinity),
  };
}

/** Variance with divisor n − 1; NaN for fewer than two values. */
export function sampleVariance(moments: Moments): number {
  return moments.count < 2 ? Number.NaN : moments.squares / (moments.count - 1);
}

/** Standard deviation with divisor n; NaN without values. */
export function populationDeviation(moments: Moments): number {
  return moments.count === 0 ? Number.NaN : Math.sqrt(moments.squares / moments.count);
}
