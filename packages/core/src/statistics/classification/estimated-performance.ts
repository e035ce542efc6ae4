import { invalid, requireWithin } from '../arguments.ts';
import { rocArea } from './ranked-scores.ts';

/** Performance of a binary classifier; null where there is nothing to divide by. Plain JSON. */
export type BinaryPerformance = {
  readonly truePositives: number;
  readonly falsePositives: number;
  readonly falseNegatives: number;
  readonly trueNegatives: number;
  readonly accuracy: number;
  /** Standard error of the accuracy: how far the realised one may lie from an estimate by chance. */
  readonly accuracyError: number;
  readonly precision: number | null;
  readonly recall: number | null;
  readonly f1: number | null;
  readonly specificity: number | null;
  readonly rocArea: number | null;
};

/**
 * The performance to expect of scores, from the probability of each item to be positive: without labels by
 * calibrated probabilities (confidence-based estimation, NannyML's CBPE), with labels 0 and 1 the realised one. An
 * item is predicted positive when its score reaches the threshold. Calibrated probabilities assume that
 * the concept has not drifted. INVALID without items.
 */
export function binaryPerformance(
  scores: readonly number[],
  positives: readonly number[],
  threshold: number = 0.5,
): BinaryPerformance {
  if (scores.length === 0) throw invalid('scores', '[]', 'at least one score');
  const area = rocArea(scores, positives);
  let [tp, fp, fn, tn, variance] = [0, 0, 0, 0, 0];
  for (const [index, p] of positives.entries()) {
    requireWithin('positive', p, 0, 1);
    variance += p * (1 - p);
    if ((scores[index] as number) >= threshold) {
      tp += p;
      fp += 1 - p;
    } else {
      fn += p;
      tn += 1 - p;
    }
  }
  const ratio = (part: number, whole: number) => (whole > 0 ? part / whole : null);
  return {
    truePositives: tp,
    falsePositives: fp,
    falseNegatives: fn,
    trueNegatives: tn,
    accuracy: (tp + tn) / scores.length,
    accuracyError: Math.sqrt(variance) / scores.length,
    precision: ratio(tp, tp + fp),
    recall: ratio(tp, tp + fn),
    f1: ratio(2 * tp, 2 * tp + fp + fn),
    specificity: ratio(tn, tn + fp),
    rocArea: area,
  };
}
