import { invalid, requireLevel } from '../arguments.ts';
import { normalQuantile } from '../distributions/normal.ts';
import type { Interval } from '../intervals/interval.ts';

/** An area under a ROC curve with how sure it is. Plain JSON. */
export type RocAreaInterval = {
  readonly area: number;
  readonly standardError: number;
  readonly interval: Interval;
};

/**
 * The area under the ROC curve of scores for labels 0 and 1 with DeLong's interval (DeLong, DeLong & Clarke-Pearson
 * 1988, by midranks: Sun & Xu 2014), cut at 0 and 1. Null with fewer than two items of a class. INVALID for lists
 * of different length, scores that are not numbers, other labels.
 */
export function rocAreaInterval(
  scores: readonly number[],
  labels: readonly number[],
  alpha: number,
): RocAreaInterval | null {
  requireLevel('alpha', alpha);
  if (scores.length !== labels.length) {
    throw invalid('labels', labels.length, `as many as there are scores, ${scores.length}`);
  }
  for (const score of scores) if (Number.isNaN(score)) throw invalid('score', score, 'a number');
  for (const label of labels)
    if (label !== 0 && label !== 1) throw invalid('label', label, '0 or 1');
  const of = (wanted: number): number[] => scores.filter((_, index) => labels[index] === wanted);
  const [positives, negatives] = [of(1), of(0)];
  const [m, n] = [positives.length, negatives.length];
  if (m < 2 || n < 2) return null;
  const ranks = midranks([...positives, ...negatives]);
  const [among, below] = [midranks(positives), midranks(negatives)];
  // For each item, the share of the other class that it stands above; for negatives, below.
  const above = positives.map((_, i) => ((ranks[i] as number) - (among[i] as number)) / n);
  const under = negatives.map((_, i) => 1 - ((ranks[m + i] as number) - (below[i] as number)) / m);
  const area = above.reduce((sum, share) => sum + share, 0) / m;
  const standardError = Math.sqrt(variance(above, area) / m + variance(under, area) / n);
  const half = normalQuantile(1 - alpha / 2) * standardError;
  return {
    area,
    standardError,
    interval: { low: Math.max(0, area - half), high: Math.min(1, area + half) },
  };
}

/** The rank of each value, from 1; equal values share the middle of theirs. */
function midranks(values: readonly number[]): Float64Array {
  const order = values
    .map((_, index) => index)
    .sort((a, b) => (values[a] as number) - (values[b] as number));
  const ranks = new Float64Array(values.length);
  let start = 0;
  while (start < order.length) {
    let end = start + 1;
    while (end < order.length && values[order[end] as number] === values[order[start] as number]) {
      end += 1;
    }
    for (let place = start; place < end; place += 1) {
      ranks[order[place] as number] = (start + end + 1) / 2;
    }
    start = end;
  }
  return ranks;
}

function variance(values: readonly number[], mean: number): number {
  return values.reduce((sum, value) => sum + (value - mean) ** 2, 0) / (values.length - 1);
}
