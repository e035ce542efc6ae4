import {
  holm,
  type Interval,
  type Moments,
  mannWhitney,
  meanDifferenceInterval,
  meanInterval,
  momentsOf,
  sampleVariance,
  sorted,
  welchTest,
} from '../statistics/index.ts';
import type { MetricDirection } from './metric-direction.ts';

/** One metric of a group of runs. */
export interface GroupSummary {
  readonly group: string;
  /** For each run of the group, in its order; undefined where the run has no finite value. */
  readonly values: readonly (number | undefined)[];
  /** How many values there are. */
  readonly count: number;
  /** Undefined without values. */
  readonly mean: number | undefined;
  /** Standard deviation, divisor n − 1; undefined below two values. */
  readonly deviation: number | undefined;
  /** Student's interval of the mean at level 1 − alpha; undefined below two values. */
  readonly interval: Interval | undefined;
}

/** A test of two groups on one metric. */
export interface GroupTest {
  readonly statistic: number;
  /** Two-sided; undefined where the test says nothing (both groups one and the same constant). */
  readonly pValue: number | undefined;
  /**
   * The p-value after Holm, over all comparisons of the call (pairs × metrics) by this test. One that
   * says nothing counts as 1.
   */
  readonly adjustedPValue: number;
}

/** Two groups on one metric: the second beside the first. */
export interface GroupPair {
  readonly metric: string;
  readonly first: string;
  readonly second: string;
  /** Mean of the second less that of the first. */
  readonly difference: number;
  /** Welch's interval of the difference at level 1 − alpha, for this one look. */
  readonly interval: Interval;
  readonly welch: GroupTest & { readonly degrees: number | undefined };
  readonly mannWhitney: GroupTest & { readonly method: 'exact' | 'normal' };
  /**
   * Hedges' g (1981): the difference in pooled standard deviations, times 1 − 3 / (4(n + m) − 9).
   * ±Infinity for two different constants, undefined for the same one.
   */
  readonly hedgesG: number | undefined;
  /** Cliff's delta: P(second > first) − P(second < first), over all pairs of runs; −1 to 1. */
  readonly cliffsDelta: number;
  /** Which group's mean is better, where the direction is known and Welch's adjusted p is at most alpha. */
  readonly better: string | undefined;
}

/** One metric in all groups. */
export interface GroupedMetric {
  readonly name: string;
  readonly direction: MetricDirection | undefined;
  readonly groups: readonly GroupSummary[];
  /** Every pair of groups that have two values each. */
  readonly pairs: readonly GroupPair[];
}

/** A value or a comparison that is missing. */
export interface GroupGap {
  readonly metric: string;
  readonly group: string;
  /** Where one run is meant; else the whole group. */
  readonly runId?: string;
  readonly reason: string;
}

/** Groups of runs side by side. */
export interface GroupComparison {
  readonly alpha: number;
  readonly figure: 'final' | 'best';
  readonly groups: readonly { readonly name: string; readonly runIds: readonly string[] }[];
  readonly metrics: readonly GroupedMetric[];
  /** How many comparisons the p-values were adjusted for. */
  readonly comparisons: number;
  readonly gaps: readonly GroupGap[];
}

/** What groups are compared by: for each metric and group, one value for each run. */
export interface GroupParts {
  readonly alpha: number;
  readonly figure: 'final' | 'best';
  readonly groups: GroupComparison['groups'];
  readonly metrics: readonly {
    readonly name: string;
    readonly direction: MetricDirection | undefined;
    readonly values: readonly (readonly (number | undefined)[])[];
  }[];
}

/**
 * Means, intervals, tests between each pair of groups, and effect sizes. A value that is not finite is a
 * gap, like one that is missing: where runs that diverged are left out, the mean speaks of the others.
 */
export function compareGroupValues(parts: GroupParts): GroupComparison {
  const { alpha, figure, groups } = parts;
  const gaps: GroupGap[] = [];
  const metrics = parts.metrics.map(({ name, direction, values }) => {
    const usable = values.map((of) =>
      of.map((value) => (value !== undefined && Number.isFinite(value) ? value : undefined)),
    );
    gaps.push(...gapsOf(name, groups, values));
    const summaries = groups.map((group, i) => summary(group.name, usable[i] ?? [], alpha));
    return { name, direction, groups: summaries, pairs: pairsOf(name, summaries, alpha) };
  });
  const pairs = metrics.flatMap((metric) => metric.pairs);
  const welch = holm(pairs.map((pair) => pair.welch.pValue ?? 1));
  const ranks = holm(pairs.map((pair) => pair.mannWhitney.pValue ?? 1));
  const adjusted = pairs.map((pair, i) => ({
    ...pair,
    welch: { ...pair.welch, adjustedPValue: welch[i] as number },
    mannWhitney: { ...pair.mannWhitney, adjustedPValue: ranks[i] as number },
  }));
  return {
    alpha,
    figure,
    groups,
    comparisons: pairs.length,
    metrics: metrics.map((metric) => ({
      ...metric,
      pairs: adjusted
        .filter((pair) => pair.metric === metric.name)
        .map((pair) => ({ ...pair, better: betterOf(pair, metric.direction, alpha) })),
    })),
    gaps,
  };
}

type RawPair = Omit<GroupPair, 'welch' | 'mannWhitney' | 'better'> & {
  readonly welch: Omit<GroupPair['welch'], 'adjustedPValue'>;
  readonly mannWhitney: Omit<GroupPair['mannWhitney'], 'adjustedPValue'>;
};

function gapsOf(
  metric: string,
  groups: GroupComparison['groups'],
  values: readonly (readonly (number | undefined)[])[],
): GroupGap[] {
  return groups.flatMap(({ name: group, runIds }, i) => {
    const of = values[i] ?? [];
    const runs = runIds.flatMap((runId, j): GroupGap[] => {
      const value = of[j];
      if (value !== undefined && Number.isFinite(value)) return [];
      const reason = value === undefined ? 'the run has no such value' : `the value is ${value}`;
      return [{ metric, group, runId, reason }];
    });
    const left = runIds.length - runs.length;
    if (left >= 2) return runs;
    return [...runs, { metric, group, reason: `${left} of its runs have a value; tests need 2` }];
  });
}

function summary(
  group: string,
  values: readonly (number | undefined)[],
  alpha: number,
): GroupSummary {
  const moments = momentsOf(finite(values));
  const enough = moments.count >= 2;
  return {
    group,
    values,
    count: moments.count,
    mean: moments.count === 0 ? undefined : moments.mean,
    deviation: enough ? Math.sqrt(sampleVariance(moments)) : undefined,
    interval: enough ? meanInterval(moments, alpha) : undefined,
  };
}

function pairsOf(metric: string, groups: readonly GroupSummary[], alpha: number): RawPair[] {
  const usable = groups.filter((group) => group.count >= 2);
  return usable.flatMap((first, i) =>
    usable.slice(i + 1).map((second) => pairOf(metric, first, second, alpha)),
  );
}

function pairOf(metric: string, first: GroupSummary, second: GroupSummary, alpha: number): RawPair {
  const a = momentsOf(finite(first.values));
  const b = momentsOf(finite(second.values));
  // The second first: then a positive statistic means that the second is larger.
  const welch = welchTest(b, a);
  const ranks = mannWhitney(sorted(finite(second.values)), sorted(finite(first.values)));
  return {
    metric,
    first: first.group,
    second: second.group,
    difference: b.mean - a.mean,
    interval: meanDifferenceInterval(a, b, alpha),
    welch: {
      statistic: welch.statistic,
      degrees: orUndefined(welch.degrees),
      pValue: orUndefined(welch.pValue),
    },
    mannWhitney: {
      statistic: ranks.statistic,
      pValue: orUndefined(ranks.pValue),
      method: ranks.method,
    },
    hedgesG: hedgesG(a, b),
    cliffsDelta: (2 * ranks.statistic) / (a.count * b.count) - 1,
  };
}

function hedgesG(a: Moments, b: Moments): number | undefined {
  const degrees = a.count + b.count - 2;
  const deviation = Math.sqrt((a.squares + b.squares) / degrees);
  const g = ((b.mean - a.mean) / deviation) * (1 - 3 / (4 * degrees - 1));
  return orUndefined(g);
}

function betterOf(
  pair: Omit<GroupPair, 'better'>,
  direction: MetricDirection | undefined,
  alpha: number,
): string | undefined {
  if (direction === undefined || pair.welch.adjustedPValue > alpha) return undefined;
  return pair.difference > 0 === (direction === 'higher') ? pair.second : pair.first;
}

function finite(values: readonly (number | undefined)[]): number[] {
  return values.filter((value) => value !== undefined);
}

function orUndefined(value: number): number | undefined {
  return Number.isNaN(value) ? undefined : value;
}
