import { invalid } from '../arguments.ts';
import {
  absoluteSum,
  absoluteSumAbove,
  absoluteSumQuantile,
} from '../distributions/absolute-sum.ts';
import { chiSquaredAbove, chiSquaredQuantileAbove } from '../distributions/chi-squared.ts';
import { normalQuantile, normalTwoSided } from '../distributions/normal.ts';
import { contingencyTest, isChiSquaredSafe } from '../hypothesis/contingency.ts';
import { contingencyDrift } from './contingency-drift.ts';
import {
  hellingerDistance,
  jensenShannonDistance,
  kullbackLeibler,
  largestDifference,
  populationStability,
  totalVariation,
} from './divergence.ts';
import {
  type DriftOptions,
  type DriftResult,
  driftResult,
  type Measurement,
} from './drift-result.ts';
import { type EmptyBins, sharesOf } from './shares.ts';

/** Methods that need only counts in the bins of the reference. */
export type BinnedMethod =
  | 'psi'
  | 'jensen-shannon'
  | 'kullback-leibler'
  | 'hellinger'
  | 'total-variation'
  | 'largest-difference'
  | 'chi-squared';

/** What can be set for a measurement on counts. */
export interface BinnedDriftOptions extends DriftOptions {
  /** What becomes of empty bins; 'smooth' by default. */
  readonly emptyBins?: EmptyBins;
}

/**
 * Measures drift from counts in the reference's own bins: exact under merging of counts, for numbers and categories
 * alike. The chance threshold of PSI is (1/n + 1/m)·χ²(bins − 1) (bins that are used at all), those of
 * Jensen–Shannon, Kullback–Leibler and Hellinger follow from it; that of total variation is fitted. INVALID for
 * lists of different length.
 */
export function binnedDrift(
  method: BinnedMethod,
  reference: readonly number[],
  current: readonly number[],
  options: BinnedDriftOptions = {},
): DriftResult {
  if (reference.length !== current.length) {
    throw invalid(
      'current',
      current.length,
      `as many counts as the reference has, ${reference.length}`,
    );
  }
  const counts = { reference: sumOf(reference), current: sumOf(current) };
  return driftResult(method, counts, options, (alpha) => {
    if (method === 'chi-squared') return contingencyDrift(reference, current, alpha);
    const test = contingencyTest(reference, current);
    const notes = isChiSquaredSafe(test.expected)
      ? []
      : ['sparse bins: the chance threshold is approximate'];
    if (test.degrees === 0) return { score: 0, chanceThreshold: 0, pValue: 1, notes };
    const rule = options.emptyBins ?? 'smooth';
    const p = sharesOf(reference, rule);
    const q = sharesOf(current, rule);
    const chance = chanceOf(reference, current);
    return { ...measurements[method](p, q, chance, alpha), notes };
  });
}

/** What the sample sizes alone explain. */
interface Chance {
  /** 1/n + 1/m. */
  readonly noise: number;
  readonly degrees: number;
  /** Pooled shares of the bins in use. */
  readonly pooled: readonly number[];
}

type Measure = (
  p: readonly number[],
  q: readonly number[],
  chance: Chance,
  alpha: number,
) => Measurement;

const measurements: Readonly<Record<Exclude<BinnedMethod, 'chi-squared'>, Measure>> = {
  psi: (p, q, chance, alpha) =>
    ofStability(
      populationStability(p, q),
      chance,
      alpha,
      (score) => score,
      (psi) => psi,
    ),
  'jensen-shannon': (p, q, chance, alpha) =>
    ofStability(
      jensenShannonDistance(p, q),
      chance,
      alpha,
      (score) => 8 * Math.LN2 * score * score,
      (psi) => Math.sqrt(psi / (8 * Math.LN2)),
    ),
  'kullback-leibler': (p, q, chance, alpha) =>
    ofStability(
      kullbackLeibler(p, q),
      chance,
      alpha,
      (score) => 2 * score,
      (psi) => psi / 2,
    ),
  hellinger: (p, q, chance, alpha) =>
    ofStability(
      hellingerDistance(p, q),
      chance,
      alpha,
      (score) => 8 * score * score,
      (psi) => Math.sqrt(psi / 8),
    ),
  'total-variation': (p, q, chance, alpha) => ofTotalVariation(totalVariation(p, q), chance, alpha),
  'largest-difference': (p, q, chance, alpha) => ofLargest(largestDifference(p, q), chance, alpha),
};

/** For scores that behave like PSI near 0: PSI/(1/n + 1/m) is chi-squared without drift. */
function ofStability(
  score: number,
  { noise, degrees }: Chance,
  alpha: number,
  toStability: (score: number) => number,
  fromStability: (psi: number) => number,
): Measurement {
  return {
    score,
    chanceThreshold: fromStability(noise * chiSquaredQuantileAbove(alpha, degrees)),
    pValue: score === Infinity ? 0 : chiSquaredAbove(toStability(score) / noise, degrees),
  };
}

function ofTotalVariation(score: number, { noise, pooled }: Chance, alpha: number): Measurement {
  const odds = pooled.map((share) => Math.sqrt(share / (1 - share)));
  const weights = pooled.map((share) => Math.sqrt(share * (1 - share) * noise) / 2);
  const sum = absoluteSum(weights, (i, j) => -(odds[i] as number) * (odds[j] as number));
  return {
    score,
    chanceThreshold: absoluteSumQuantile(sum, alpha),
    pValue: absoluteSumAbove(sum, score),
  };
}

/** Bonferroni over the bins: exact enough for the largest of few, never too small. */
function ofLargest(score: number, { noise, pooled }: Chance, alpha: number): Measurement {
  const deviations = pooled.map((share) => Math.sqrt(share * (1 - share) * noise));
  const pValue = deviations.reduce((sum, deviation) => sum + normalTwoSided(score / deviation), 0);
  const z = -normalQuantile(alpha / pooled.length / 2);
  return { score, chanceThreshold: z * Math.max(...deviations), pValue: Math.min(1, pValue) };
}

function chanceOf(reference: readonly number[], current: readonly number[]): Chance {
  const n = sumOf(reference);
  const m = sumOf(current);
  const pooled = reference
    .map((count, index) => (count + (current[index] as number)) / (n + m))
    .filter((share) => share > 0);
  return { noise: 1 / n + 1 / m, degrees: pooled.length - 1, pooled };
}

function sumOf(counts: readonly number[]): number {
  return counts.reduce((sum, count) => sum + count, 0);
}
