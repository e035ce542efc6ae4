import { invalid } from '../arguments.ts';

/** One point of a ROC curve: shares of negatives and positives with at least this score. */
export type RocPoint = { readonly falsePositiveRate: number; readonly truePositiveRate: number };

/**
 * The area under the ROC curve from scores and the weight of each item as a positive: a label 0 or 1, or a
 * probability, with which the area is the expected one. Equal scores count half, whatever their order. Null
 * where all weight is on one side. INVALID for lists of different length or weights outside [0, 1].
 */
export function rocArea(scores: readonly number[], positives: readonly number[]): number | null {
  const curve = rocCurve(scores, positives);
  if (curve === null) return null;
  let area = 0;
  for (let index = 1; index < curve.length; index += 1) {
    const [before, after] = [curve[index - 1] as RocPoint, curve[index] as RocPoint];
    const width = after.falsePositiveRate - before.falsePositiveRate;
    area += (width * (after.truePositiveRate + before.truePositiveRate)) / 2;
  }
  return area;
}

/** The ROC curve from (0, 0) to (1, 1), one point for each distinct score; null where all weight is on one side. */
export function rocCurve(
  scores: readonly number[],
  positives: readonly number[],
): readonly RocPoint[] | null {
  checkPairs(scores, positives);
  const order = scores
    .map((_, index) => index)
    .sort((a, b) => (scores[b] as number) - (scores[a] as number));
  const total = positives.reduce((sum, weight) => sum + weight, 0);
  const rest = scores.length - total;
  if (!(total > 0 && rest > 0)) return null;
  const points: RocPoint[] = [{ falsePositiveRate: 0, truePositiveRate: 0 }];
  let hits = 0;
  let seen = 0;
  for (const [position, index] of order.entries()) {
    hits += positives[index] as number;
    seen += 1;
    const next = order[position + 1];
    if (next !== undefined && scores[next] === scores[index]) continue;
    points.push({ falsePositiveRate: (seen - hits) / rest, truePositiveRate: hits / total });
  }
  return points;
}

function checkPairs(scores: readonly number[], positives: readonly number[]): void {
  if (scores.length !== positives.length) {
    throw invalid('positives', positives.length, `as many as there are scores, ${scores.length}`);
  }
  for (const score of scores) if (Number.isNaN(score)) throw invalid('score', score, 'a number');
  for (const weight of positives)
    if (!(weight >= 0 && weight <= 1)) throw invalid('positive', weight, 'from 0 to 1');
}
