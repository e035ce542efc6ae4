import { invalid, requireCount, requireWithin } from '../arguments.ts';

/** Probabilities nearer to 0 or 1 than this are moved there for the log loss, as in scikit-learn. */
const smallest = 2.220446049250313e-16;

/** Mean log loss −ln p(label) of probabilities for label 1, in nats. INVALID without items. */
export function logLoss(probabilities: readonly number[], labels: readonly number[]): number {
  return meanOver(probabilities, labels, (p, label) => {
    const kept = Math.min(1 - smallest, Math.max(smallest, p));
    return label === 1 ? -Math.log(kept) : -Math.log1p(-kept);
  });
}

/** Mean Brier score (p − label)². INVALID without items. */
export function brierScore(probabilities: readonly number[], labels: readonly number[]): number {
  return meanOver(probabilities, labels, (p, label) => (p - label) ** 2);
}

/**
 * Expected calibration error: |mean probability − share of label 1| in `bins` groups of equal size in order of
 * probability, weighted by their size. INVALID without items.
 */
export function calibrationError(
  probabilities: readonly number[],
  labels: readonly number[],
  bins: number = 10,
): number {
  requireCount('bins', bins);
  if (bins < 1) throw invalid('bins', bins, 'at least 1');
  checkPairs(probabilities, labels);
  const count = labels.length;
  const order = labels.map((_, index) => index);
  order.sort((a, b) => (probabilities[a] as number) - (probabilities[b] as number) || a - b);
  let error = 0;
  for (let bin = 0; bin < bins; bin += 1) {
    const group = order.slice(
      Math.floor((bin * count) / bins),
      Math.floor(((bin + 1) * count) / bins),
    );
    const gap = group.reduce(
      (sum, index) => sum + (probabilities[index] as number) - (labels[index] as number),
      0,
    );
    error += Math.abs(gap) / count;
  }
  return error;
}

function meanOver(
  probabilities: readonly number[],
  labels: readonly number[],
  term: (probability: number, label: number) => number,
): number {
  checkPairs(probabilities, labels);
  let sum = 0;
  for (const [index, label] of labels.entries()) sum += term(probabilities[index] as number, label);
  return sum / labels.length;
}

function checkPairs(probabilities: readonly number[], labels: readonly number[]): void {
  if (labels.length === 0) throw invalid('labels', '[]', 'at least one label');
  if (probabilities.length !== labels.length) {
    throw invalid(
      'probabilities',
      probabilities.length,
      `as many as there are labels, ${labels.length}`,
    );
  }
  for (const p of probabilities) requireWithin('probability', p, 0, 1);
  for (const label of labels)
    if (label !== 0 && label !== 1) throw invalid('label', label, '0 or 1');
}
