import { invalid } from '../arguments.ts';
import { median, sorted } from '../descriptive/quantile.ts';
import { normalTwoSided } from '../distributions/normal.ts';
import { studentTwoSided } from '../distributions/student-t.ts';

/** A straight line through points in equal steps. */
export interface LinearTrend {
  /** Change from one value to the next. */
  readonly slope: number;
  readonly intercept: number;
  readonly correlation: number;
  /** Two-sided, of slope 0. */
  readonly pValue: number;
  readonly standardError: number;
}

/** A rising or falling tendency that does not depend on a shape. */
export interface MonotonicTrend {
  /** Rising minus falling pairs. */
  readonly score: number;
  readonly variance: number;
  /** With continuity correction. */
  readonly z: number;
  /** Two-sided. */
  readonly pValue: number;
  /** Kendall's tau-b of the values with their place. */
  readonly tau: number;
}

/** Least squares over places 0, 1, … (as scipy's `linregress`). INVALID for fewer than three values. */
export function linearTrend(values: readonly number[]): LinearTrend {
  requireThree(values);
  const n = values.length;
  const meanX = (n - 1) / 2;
  const meanY = values.reduce((sum, value) => sum + value, 0) / n;
  let [xx, xy, yy] = [0, 0, 0];
  for (const [place, value] of values.entries()) {
    xx += (place - meanX) ** 2;
    xy += (place - meanX) * (value - meanY);
    yy += (value - meanY) ** 2;
  }
  const slope = xy / xx;
  const correlation = yy === 0 ? 0 : Math.max(-1, Math.min(1, xy / Math.sqrt(xx * yy)));
  const standardError = Math.sqrt(((1 - correlation ** 2) * yy) / xx / (n - 2));
  return {
    slope,
    intercept: meanY - slope * meanX,
    correlation,
    pValue: slope === 0 ? 1 : studentTwoSided(slope / standardError, n - 2),
    standardError,
  };
}

/**
 * The Mann–Kendall test for a tendency (Mann 1945, Kendall 1975), with its variance corrected for ties. Autocorrelated
 * values make p too small. INVALID for fewer than three values.
 */
export function monotonicTrend(values: readonly number[]): MonotonicTrend {
  requireThree(values);
  const n = values.length;
  let score = 0;
  for (let later = 1; later < n; later += 1) {
    for (let earlier = 0; earlier < later; earlier += 1) {
      score += Math.sign((values[later] as number) - (values[earlier] as number));
    }
  }
  const groups = tieSizes(values);
  const tied = groups.reduce((sum, t) => sum + t * (t - 1) * (2 * t + 5), 0);
  const variance = (n * (n - 1) * (2 * n + 5) - tied) / 18;
  const z = score === 0 ? 0 : (score - Math.sign(score)) / Math.sqrt(variance);
  const pairs = (n * (n - 1)) / 2;
  const tiedPairs = groups.reduce((sum, t) => sum + (t * (t - 1)) / 2, 0);
  const tau = tiedPairs === pairs ? 0 : score / Math.sqrt(pairs * (pairs - tiedPairs));
  return { score, variance, z, pValue: normalTwoSided(z), tau };
}

/** The median of all slopes between two values, in change per step (Theil 1950, Sen 1968). INVALID for fewer than three. */
export function theilSenSlope(values: readonly number[]): number {
  requireThree(values);
  const slopes: number[] = [];
  for (let later = 1; later < values.length; later += 1) {
    for (let earlier = 0; earlier < later; earlier += 1) {
      slopes.push(((values[later] as number) - (values[earlier] as number)) / (later - earlier));
    }
  }
  return median(sorted(slopes));
}

function tieSizes(values: readonly number[]): number[] {
  const sizes = new Map<number, number>();
  for (const value of values) sizes.set(value, (sizes.get(value) ?? 0) + 1);
  return [...sizes.values()];
}

function requireThree(values: readonly number[]): void {
  if (values.length < 3) throw invalid('values', values.length, 'at least three values');
  for (const value of values)
    if (!Number.isFinite(value)) throw invalid('value', value, 'a finite number');
}
