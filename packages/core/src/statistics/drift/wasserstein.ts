import { invalid } from '../arguments.ts';
import { type Moments, momentsOf, populationDeviation } from '../descriptive/moments.ts';
import { quantile } from '../descriptive/quantile.ts';

/** A distance in units of the reference's own spread. */
export interface NormalisedDistance {
  readonly distance: number;
  readonly scale: number;
  /** What the scale is: the standard deviation, else the interquartile range / 1.349, else 1. */
  readonly scaleFrom: 'deviation' | 'interquartile-range' | 'none';
}

/**
 * The first Wasserstein (earth mover's) distance ∫|F−G|dx of ascending, finite values, in their own unit (as
 * scipy's `wasserstein_distance`). INVALID for an empty sample.
 */
export function wassersteinDistance(
  reference: ArrayLike<number>,
  current: ArrayLike<number>,
): number {
  const n = reference.length;
  const m = current.length;
  if (n === 0 || m === 0) throw invalid('sample', '[]', 'at least one value');
  let [i, j, sum] = [0, 0, 0];
  let [shareBelow, otherBelow] = [0, 0];
  let last = Math.min(reference[0] as number, current[0] as number);
  while (i < n && j < m) {
    const [a, b] = [reference[i] as number, current[j] as number];
    const gap = Math.abs(shareBelow - otherBelow);
    // Of equal values the second and later ones are 0 above the one before.
    if (a <= b) {
      sum += gap * (a - last);
      last = a;
      i += 1;
      shareBelow = i / n;
    } else {
      sum += gap * (b - last);
      last = b;
      j += 1;
      otherBelow = j / m;
    }
  }
  // Of the side that goes on, the other one has no values above.
  for (; i < n; i += 1) {
    const value = reference[i] as number;
    sum += Math.abs(i / n - 1) * (value - last);
    last = value;
  }
  for (; j < m; j += 1) {
    const value = current[j] as number;
    sum += Math.abs(1 - j / m) * (value - last);
    last = value;
  }
  return sum;
}

/**
 * The Wasserstein distance divided by the reference's standard deviation (divisor n), or, if that is 0, by its
 * interquartile range / 1.349, or by 1. No floor: features of any scale are seen. `moments` are the reference's, where they are
 * known.
 */
export function normalisedWasserstein(
  reference: ArrayLike<number>,
  current: ArrayLike<number>,
  moments: Moments = momentsOf(Float64Array.from(reference)),
): NormalisedDistance {
  const distance = wassersteinDistance(reference, current);
  const deviation = populationDeviation(moments);
  if (deviation > 0)
    return { distance: distance / deviation, scale: deviation, scaleFrom: 'deviation' };
  const range = (quantile(reference, 0.75) - quantile(reference, 0.25)) / 1.349;
  if (range > 0)
    return { distance: distance / range, scale: range, scaleFrom: 'interquartile-range' };
  return { distance, scale: 1, scaleFrom: 'none' };
}
