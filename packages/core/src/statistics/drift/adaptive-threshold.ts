import { median, medianAbsoluteDeviation } from 'simple-statistics';
import { invalid, requireCount, requirePositive } from '../arguments.ts';

/** How a threshold is learnt from earlier scores. */
export interface AdaptiveThresholdOptions {
  /** Robust standard deviations above the median; 4 by default. */
  readonly deviations?: number;
  /** The threshold is never below this; 0 by default. */
  readonly floor?: number;
  /** Scores below which there is no answer; 4 by default. */
  readonly minimum?: number;
}

/** Makes the median absolute deviation the standard deviation of normal values. */
const normalScale = 1.4826022185056018;

/**
 * The threshold median + k · 1.4826 · MAD of earlier scores, which a few outliers do not move: of the same hour of the week for
 * seasonal thresholds, leaving out times of a confirmed incident. Null for fewer scores than the minimum. INVALID
 * for scores that are not finite.
 */
export function adaptiveThreshold(
  scores: readonly number[],
  options: AdaptiveThresholdOptions = {},
): number | null {
  const { deviations = 4, floor = 0, minimum = 4 } = options;
  requirePositive('deviations', deviations);
  requireCount('minimum', minimum);
  for (const score of scores)
    if (!Number.isFinite(score)) throw invalid('score', score, 'a finite number');
  if (scores.length < Math.max(1, minimum)) return null;
  const values = [...scores];
  return Math.max(
    floor,
    median(values) + deviations * normalScale * medianAbsoluteDeviation(values),
  );
}
