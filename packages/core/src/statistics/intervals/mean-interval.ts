import { invalid, requireLevel } from '../arguments.ts';
import { type Moments, sampleVariance } from '../descriptive/moments.ts';
import { studentQuantileTwoSided } from '../distributions/student-t.ts';
import { welchTest } from '../hypothesis/t-test.ts';
import type { Interval } from './interval.ts';

/** Student's interval of a mean for a single look, level 1 − alpha for normal values. INVALID below two values. */
export function meanInterval(moments: Moments, alpha: number): Interval {
  requireLevel('alpha', alpha);
  requireTwo(moments);
  const half =
    studentQuantileTwoSided(alpha, moments.count - 1) *
    Math.sqrt(sampleVariance(moments) / moments.count);
  return { low: moments.mean - half, high: moments.mean + half };
}

/**
 * Welch's interval of the difference current − reference of two means for a single look; the point where their
 * variances are both 0. INVALID below two values on a side.
 */
export function meanDifferenceInterval(
  reference: Moments,
  current: Moments,
  alpha: number,
): Interval {
  requireLevel('alpha', alpha);
  requireTwo(reference);
  requireTwo(current);
  const difference = current.mean - reference.mean;
  const error = Math.sqrt(
    sampleVariance(reference) / reference.count + sampleVariance(current) / current.count,
  );
  if (error === 0) return { low: difference, high: difference };
  const half = studentQuantileTwoSided(alpha, welchTest(reference, current).degrees) * error;
  return { low: difference - half, high: difference + half };
}

function requireTwo({ count }: Moments): void {
  if (count < 2) throw invalid('count', count, 'at least 2');
}
