import { type Moments, sampleVariance } from '../descriptive/moments.ts';
import { studentTwoSided } from '../distributions/student-t.ts';

/** A comparison of two means. NaN where the samples do not allow it. */
export interface TTest {
  readonly statistic: number;
  readonly degrees: number;
  /** Two-sided. */
  readonly pValue: number;
}

/**
 * Welch's t-test of two means with unequal variances, degrees of freedom after Satterthwaite (as scipy's
 * `ttest_ind(equal_var=False)`): two-sided. NaN with fewer than two values on a side or two equal constants;
 * ±Infinity with p = 0 for two different constants.
 */
export function welchTest(reference: Moments, current: Moments): TTest {
  const a = sampleVariance(reference) / reference.count;
  const b = sampleVariance(current) / current.count;
  const statistic = (reference.mean - current.mean) / Math.sqrt(a + b);
  const degrees = (a + b) ** 2 / ((a * a) / (reference.count - 1) + (b * b) / (current.count - 1));
  return withPValue(statistic, degrees);
}

/** Student's t-test, which takes the variances to be equal: two-sided, for comparison with other tools. */
export function studentTest(reference: Moments, current: Moments): TTest {
  const degrees = reference.count + current.count - 2;
  const pooled = (reference.squares + current.squares) / degrees;
  const error = Math.sqrt(pooled * (1 / reference.count + 1 / current.count));
  return withPValue((reference.mean - current.mean) / error, degrees);
}

function withPValue(statistic: number, degrees: number): TTest {
  if (Math.abs(statistic) === Infinity) return { statistic, degrees, pValue: 0 };
  if (Number.isNaN(statistic) || !(degrees > 0)) return { statistic, degrees, pValue: Number.NaN };
  return { statistic, degrees, pValue: studentTwoSided(statistic, degrees) };
}
