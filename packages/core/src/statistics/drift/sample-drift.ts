import {
  type Moments,
  momentsOf,
  populationDeviation,
  sampleVariance,
} from '../descriptive/moments.ts';
import { absoluteSumAbove, absoluteSumQuantile } from '../distributions/absolute-sum.ts';
import { kolmogorovLimitAbove } from '../distributions/kolmogorov.ts';
import { normalQuantile } from '../distributions/normal.ts';
import { kolmogorovSmirnov } from '../hypothesis/kolmogorov-smirnov.ts';
import { mannWhitney } from '../hypothesis/mann-whitney.ts';
import { welchTest } from '../hypothesis/t-test.ts';
import {
  type DriftOptions,
  type DriftResult,
  driftResult,
  type Measurement,
} from './drift-result.ts';
import { normalisedWasserstein } from './wasserstein.ts';
import { wassersteinChance } from './wasserstein-chance.ts';

/** Methods that need the values themselves. */
export type SampleMethod = 'kolmogorov-smirnov' | 'wasserstein' | 'welch' | 'mann-whitney';

/**
 * Measures drift between ascending, finite values. Scores: D; Wasserstein distance in standard deviations of the
 * reference; difference of means in the same; 2U/(n·m) − 1. `moments` are the reference's, where they are known.
 */
export function sampleDrift(
  method: SampleMethod,
  reference: Float64Array,
  current: Float64Array,
  options: DriftOptions = {},
  moments?: Moments,
): DriftResult {
  const counts = { reference: reference.length, current: current.length };
  return driftResult(method, counts, options, (alpha) =>
    measures[method](reference, current, alpha, moments),
  );
}

type Measure = (
  reference: Float64Array,
  current: Float64Array,
  alpha: number,
  moments: Moments | undefined,
) => Measurement;

const measures: Readonly<Record<SampleMethod, Measure>> = {
  'kolmogorov-smirnov': (reference, current, alpha) => {
    const test = kolmogorovSmirnov(reference, current);
    const chanceThreshold = kolmogorovQuantile(alpha) * Math.sqrt(noiseOf(reference, current));
    return {
      score: test.statistic,
      chanceThreshold: Math.min(1, chanceThreshold),
      pValue: test.pValue,
    };
  },

  wasserstein: (reference, current, alpha, moments) => {
    const { distance, scale, scaleFrom } = normalisedWasserstein(reference, current, moments);
    const chance = wassersteinChance(reference, current);
    const notes =
      scaleFrom === 'deviation'
        ? []
        : [`the reference has no standard deviation: scaled by ${scaleFrom}`];
    if (chance === undefined) return { score: distance, chanceThreshold: 0, pValue: 1, notes };
    const pValue = absoluteSumAbove(chance, distance * scale);
    return {
      score: distance,
      chanceThreshold: absoluteSumQuantile(chance, alpha) / scale,
      pValue,
      notes,
    };
  },

  welch: (reference, current, alpha) => {
    const [a, b] = [momentsOf(reference), momentsOf(current)];
    const gap = Math.abs(a.mean - b.mean);
    if (gap === 0) return { score: 0, chanceThreshold: null, pValue: 1 };
    const deviation = populationDeviation(a);
    const error = Math.sqrt(sampleVariance(a) / a.count + sampleVariance(b) / b.count);
    const notes =
      deviation === 0
        ? ['the reference is constant: any difference is infinitely many deviations']
        : [];
    return {
      score: gap / deviation,
      chanceThreshold: deviation === 0 ? null : (-normalQuantile(alpha / 2) * error) / deviation,
      pValue: welchTest(a, b).pValue,
      notes,
    };
  },

  'mann-whitney': (reference, current, alpha) => {
    const test = mannWhitney(reference, current);
    const pairs = reference.length * current.length;
    const error = Math.sqrt((reference.length + current.length + 1) / (3 * pairs));
    return {
      score: Math.abs((2 * test.statistic) / pairs - 1),
      chanceThreshold: Math.min(1, -normalQuantile(alpha / 2) * error),
      pValue: test.pValue,
    };
  },
};

function noiseOf(reference: Float64Array, current: Float64Array): number {
  return 1 / reference.length + 1 / current.length;
}

/** The x with P(K > x) = tail of Kolmogorov's limit distribution. */
function kolmogorovQuantile(tail: number): number {
  let low = 0.2;
  let high = 30;
  for (let step = 0; step < 60; step += 1) {
    const middle = (low + high) / 2;
    if (kolmogorovLimitAbove(middle) > tail) low = middle;
    else high = middle;
  }
  return high;
}
