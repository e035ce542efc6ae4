import { invalid } from '../arguments.ts';

/** How far predictions of numbers are off; null without items. Plain JSON. */
export type PredictionErrors = {
  readonly items: number;
  /** Mean of |predicted − actual|. */
  readonly meanAbsolute: number | null;
  /** Mean of (predicted − actual)². */
  readonly meanSquared: number | null;
  readonly rootMeanSquared: number | null;
  /** 1 − squared error / squared distance from the mean actual value; null where all actual values are equal. */
  readonly determination: number | null;
};

/**
 * The errors of predictions. What is not finite makes the figures that it enters not finite: nothing is left out
 * silently. INVALID for lists of different length.
 */
export function predictionErrors(
  actual: readonly number[],
  predicted: readonly number[],
): PredictionErrors {
  const items = actual.length;
  if (items !== predicted.length) {
    throw invalid('predicted', predicted.length, `as many values as there are actual, ${items}`);
  }
  if (items === 0) {
    const none = { meanAbsolute: null, meanSquared: null, rootMeanSquared: null };
    return { items, ...none, determination: null };
  }
  let [absolute, squared, mean] = [0, 0, 0];
  for (const [index, value] of actual.entries()) {
    const gap = (predicted[index] as number) - value;
    absolute += Math.abs(gap);
    squared += gap * gap;
    mean += value / items;
  }
  const isConstant = actual.every((value) => value === actual[0]);
  let spread = 0;
  for (const value of actual) spread += (value - mean) ** 2;
  return {
    items,
    meanAbsolute: absolute / items,
    meanSquared: squared / items,
    rootMeanSquared: Math.sqrt(squared / items),
    determination: isConstant ? null : 1 - squared / spread,
  };
}
