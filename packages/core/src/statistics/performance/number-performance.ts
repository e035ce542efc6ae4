import { invalid, requireFinite, requireLevel } from '../arguments.ts';
import { normalQuantile } from '../distributions/normal.ts';
import { type MeasuredFigure, meanFigure, noFigure } from './measured-figure.ts';
import { requireWeights } from './weighted-confusion.ts';

/** How far predicted numbers are off. Plain JSON. */
export type NumberPerformance = {
  readonly rows: number;
  /** Mean of |predicted − actual|. */
  readonly meanAbsolute: MeasuredFigure;
  readonly rootMeanSquared: MeasuredFigure;
  /** Mean of predicted − actual: above 0 where too much is predicted. */
  readonly bias: MeasuredFigure;
  /** Mean of |predicted − actual| / |actual|, of the rows whose actual value is not 0. */
  readonly meanAbsoluteShare: MeasuredFigure;
  /** 1 − squared error / squared distance from the mean; null where all actual values are equal. */
  readonly determination: MeasuredFigure;
};

/** Errors of predictions, with their intervals. INVALID for lists of different length and values that are not finite. */
export function numberPerformance(
  rows: {
    readonly actual: readonly number[];
    readonly predicted: readonly number[];
    readonly weights?: readonly number[];
  },
  alpha: number,
): NumberPerformance {
  requireLevel('alpha', alpha);
  const { actual, predicted, weights } = rows;
  if (predicted.length !== actual.length) {
    throw invalid('predicted', predicted.length, `as many as there are actual, ${actual.length}`);
  }
  requireWeights(weights, actual.length);
  for (const value of [...actual, ...predicted]) requireFinite('value', value);
  const gaps = actual.map((value, i) => (predicted[i] as number) - value);
  const whole = actual.flatMap((value, i) => (value === 0 ? [] : [i]));
  const squared = meanFigure(
    gaps.map((gap) => gap * gap),
    weights,
    alpha,
  );
  return {
    rows: actual.length,
    meanAbsolute: meanFigure(gaps.map(Math.abs), weights, alpha),
    rootMeanSquared: rootOf(squared),
    bias: meanFigure(gaps, weights, alpha),
    meanAbsoluteShare: meanFigure(
      whole.map((i) => Math.abs((gaps[i] as number) / (actual[i] as number))),
      weights && whole.map((i) => weights[i] as number),
      alpha,
    ),
    determination: determinationOf(actual, gaps, weights, alpha),
  };
}

/** The root rises with what it is of: so do the ends of its interval. */
function rootOf(figure: MeasuredFigure): MeasuredFigure {
  const { value, interval, standardError } = figure;
  if (value === null) return figure;
  const ends = interval && {
    low: Math.sqrt(Math.max(0, interval.low)),
    high: Math.sqrt(interval.high),
  };
  const root = Math.sqrt(value);
  return {
    ...figure,
    value: root,
    interval: ends,
    standardError:
      standardError === null || root === 0 ? standardError : standardError / (2 * root),
  };
}

function determinationOf(
  actual: readonly number[],
  gaps: readonly number[],
  weights: readonly number[] | undefined,
  alpha: number,
): MeasuredFigure {
  const mean = meanFigure(actual, weights, alpha);
  if (mean.value === null || actual.every((value) => value === actual[0])) {
    return noFigure('linearised');
  }
  let [errors, spread] = [0, 0];
  for (const [i, gap] of gaps.entries()) {
    const weight = weights?.[i] ?? 1;
    errors += weight * gap * gap;
    spread += weight * ((actual[i] as number) - mean.value) ** 2;
  }
  const ratio = errors / spread;
  if (!Number.isFinite(ratio)) return noFigure('linearised');
  let variance = 0;
  for (const [i, gap] of gaps.entries()) {
    const from = (actual[i] as number) - mean.value;
    variance += (((weights?.[i] ?? 1) * (gap * gap - ratio * from * from)) / spread) ** 2;
  }
  const standardError = Math.sqrt(variance);
  const half = normalQuantile(1 - alpha / 2) * standardError;
  const found = { value: 1 - ratio, method: 'linearised', rows: mean.rows } as const;
  if (actual.length < 3 || !Number.isFinite(half)) {
    return { ...found, interval: null, standardError: null };
  }
  const interval = { low: found.value - half, high: Math.min(1, found.value + half) };
  return { ...found, interval, standardError };
}
