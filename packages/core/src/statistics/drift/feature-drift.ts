import type { Moments } from '../descriptive/moments.ts';
import { numericSample } from '../descriptive/numeric-sample.ts';
import { fisherTest, twoRateTest } from '../hypothesis/two-by-two.ts';
import type { Rate } from '../intervals/rate-interval.ts';
import { type BinnedDriftOptions, type BinnedMethod, binnedDrift } from './binned-drift.ts';
import {
  binsOfCounts,
  type Category,
  type CategoryCounts,
  countsInBins,
  tally,
} from './category-bins.ts';
import type { DriftResult } from './drift-result.ts';
import { binsFor, countInBins, distinctUpTo } from './numeric-bins.ts';
import { type SampleMethod, sampleDrift } from './sample-drift.ts';

/** What can be set for a feature. */
export interface FeatureDriftOptions<Method> extends BinnedDriftOptions {
  /** By default chosen by the type of the feature and the sizes of the samples. */
  readonly method?: Method | 'auto';
  /** Bins of numbers; 10 by default. */
  readonly bins?: number;
  /** Categories with a bin of their own; 50 by default. */
  readonly categories?: number;
}

/** How the share of missing or infinite entries differs. Plain JSON; p is null without entries. */
export type ShareDrift = {
  readonly reference: Rate;
  readonly current: Rate;
  readonly pValue: number | null;
  readonly detected: boolean;
};

/** How far a column of numbers has drifted. Plain JSON. */
export type NumericDrift = {
  readonly values: DriftResult;
  readonly missing: ShareDrift;
  readonly infinite: ShareDrift;
};

/** How far a column of categories has drifted. Plain JSON. */
export type CategoricalDrift = {
  readonly values: DriftResult;
  readonly missing: ShareDrift;
  /** Categories without a bin in the reference, most of them new. */
  readonly others: readonly { readonly category: Category; readonly count: number }[];
  /** Categories of the reference that are gone. */
  readonly vanished: readonly Category[];
};

/** Reference values with at most so many distinct ones are compared value by value. */
const fewValues = 5;

/** Change of a share of missing or infinite entries that matters. */
const shareThreshold = 0.02;

type Numbers = Iterable<number | null | undefined>;

/**
 * Measures the drift of a column of numbers. By default: up to 5 distinct reference values, chi-squared, or
 * Jensen–Shannon from 1,000 reference and 500 current values on; otherwise Kolmogorov–Smirnov, or Wasserstein from
 * 1,000 values on each side. Missing and infinite entries are compared apart, as shares.
 */
export function numericDrift(
  reference: Numbers,
  current: Numbers,
  options: FeatureDriftOptions<SampleMethod | BinnedMethod> = {},
): NumericDrift {
  const [before, after] = [numericSample(reference), numericSample(current)];
  const share = (of: 'missing' | 'infinite') =>
    shareDrift(
      { successes: before[of], trials: before.entries },
      { successes: after[of], trials: after.entries },
      options.alpha,
    );
  return {
    values: ascendingDrift(before.values, after.values, options),
    missing: share('missing'),
    infinite: share('infinite'),
  };
}

/** As {@link numericDrift}, of finite values that are ascending already; `moments` are the reference's, where they are known. */
export function ascendingDrift(
  reference: Float64Array,
  current: Float64Array,
  options: FeatureDriftOptions<SampleMethod | BinnedMethod> = {},
  moments?: Moments,
): DriftResult {
  const method = options.method ?? 'auto';
  const chosen = method === 'auto' ? numericMethod(reference, current) : method;
  return isSampleMethod(chosen)
    ? sampleDrift(chosen, reference, current, options, moments)
    : binnedNumbers(chosen, reference, current, options);
}

/**
 * Measures the drift of a column of categories. By default: chi-squared, or Jensen–Shannon from 1,000 reference
 * and 500 current values on. Categories that the reference never showed share one bin; missing entries are
 * compared apart, as a share.
 */
export function categoricalDrift(
  reference: Iterable<Category | null | undefined>,
  current: Iterable<Category | null | undefined>,
  options: FeatureDriftOptions<BinnedMethod> = {},
): CategoricalDrift {
  const [listed, now] = [[...reference], [...current]];
  return driftOfCounts(
    { counts: tally(listed), entries: listed.length },
    { counts: tally(now), entries: now.length },
    options,
  );
}

/** As {@link categoricalDrift}, of categories that are counted already, none missing. */
export function countedDrift(
  reference: ReadonlyMap<Category, number>,
  current: ReadonlyMap<Category, number>,
  options: FeatureDriftOptions<BinnedMethod> = {},
): CategoricalDrift {
  const of = (counts: ReadonlyMap<Category, number>) => {
    let entries = 0;
    for (const count of counts.values()) entries += count;
    return { counts, entries };
  };
  return driftOfCounts(of(reference), of(current), options);
}

interface CountedEntries {
  readonly counts: ReadonlyMap<Category, number>;
  readonly entries: number;
}

function driftOfCounts(
  listed: CountedEntries,
  now: CountedEntries,
  options: FeatureDriftOptions<BinnedMethod>,
): CategoricalDrift {
  const bins = binsOfCounts(listed.counts, options.categories ?? 50);
  const [before, after] = [listed, now].map(({ counts, entries }) =>
    countsInBins(bins, counts, entries),
  ) as [CategoryCounts, CategoryCounts];
  const [n, m] = [presentIn(before.counts), presentIn(after.counts)];
  const method = options.method ?? 'auto';
  return {
    values: binnedDrift(
      method === 'auto' ? countsMethod(n, m) : method,
      before.counts.slice(0, -1),
      after.counts.slice(0, -1),
      options,
    ),
    missing: shareDrift(
      { successes: listed.entries - n, trials: listed.entries },
      { successes: now.entries - m, trials: now.entries },
      options.alpha,
    ),
    others: after.others,
    vanished: after.vanished,
  };
}

/** Compares two shares: Fisher's exact test up to 1,000 entries, else the z-test; a change below 0.02 does not matter. */
export function shareDrift(reference: Rate, current: Rate, alpha: number = 0.05): ShareDrift {
  if (reference.trials === 0 || current.trials === 0)
    return { reference, current, pValue: null, detected: false };
  const isSmall = reference.trials + current.trials <= 1000;
  const tested = isSmall ? fisherTest(reference, current) : twoRateTest(reference, current).pValue;
  const pValue = Number.isNaN(tested) ? 1 : tested;
  const change = Math.abs(
    reference.successes / reference.trials - current.successes / current.trials,
  );
  return { reference, current, pValue, detected: pValue <= alpha && change >= shareThreshold };
}

function binnedNumbers(
  method: BinnedMethod,
  before: Float64Array,
  after: Float64Array,
  options: FeatureDriftOptions<SampleMethod | BinnedMethod>,
): DriftResult {
  if (before.length === 0) return binnedDrift(method, [0], [after.length], options);
  const bins = binsFor(before, options.bins);
  return binnedDrift(method, countInBins(bins, before), countInBins(bins, after), options);
}

function isSampleMethod(method: SampleMethod | BinnedMethod): method is SampleMethod {
  return (
    method === 'kolmogorov-smirnov' ||
    method === 'wasserstein' ||
    method === 'welch' ||
    method === 'mann-whitney'
  );
}

function numericMethod(before: Float64Array, after: Float64Array): SampleMethod | BinnedMethod {
  const [n, m] = [before.length, after.length];
  if (distinctUpTo(before, fewValues) <= fewValues) return countsMethod(n, m);
  return n > 1000 && m >= 1000 ? 'wasserstein' : 'kolmogorov-smirnov';
}

function countsMethod(n: number, m: number): BinnedMethod {
  return n > 1000 && m >= 500 ? 'jensen-shannon' : 'chi-squared';
}

function presentIn(counts: readonly number[]): number {
  return counts.slice(0, -1).reduce((sum, count) => sum + count, 0);
}
