import { invalid, requireCount, requireLevel, requireWithin } from '../arguments.ts';
import type { Interval } from '../intervals/interval.ts';
import { rateInterval } from './beta-mixture.ts';
import { type EValue, eValueFromLog, logSumOfExp } from './e-value.ts';
import { requireKind, type SequentialTest } from './sequential-test.ts';

/** A line through the plane of two rates: ratio × baseline rate + margin. */
export interface RateLine {
  readonly ratio?: number;
  readonly margin?: number;
}

/** What a comparison of rates is asked. */
export interface RateComparisonOptions {
  /** Level of each of the two statements; 0.05 by default. */
  readonly alpha?: number;
  /** The canary is worse above this line; by default above the baseline's own rate. */
  readonly worse?: RateLine;
  /** The canary is no worse below this line; by default 1.25 × the baseline's rate. */
  readonly noWorse?: RateLine;
  /** Canary requests below which nothing is decided; 0 by default. */
  readonly minimumCanaryRequests?: number;
}

/** What both arms did in one window of time. */
export interface RateComparisonCounts {
  readonly canaryRequests: number;
  readonly canaryBad: number;
  readonly baselineRequests: number;
  readonly baselineBad: number;
  /** The canary's share, where each request is assigned at random with it; otherwise the observed share is used. */
  readonly weight?: number;
}

type Arms = {
  readonly canaryRequests: number;
  readonly canaryBad: number;
  readonly baselineRequests: number;
  readonly baselineBad: number;
};

type Side = {
  readonly ratio: number;
  readonly margin: number;
  readonly logWealth: readonly number[];
};

/** Capital of each bet, totals, and the window that waits for its other arm. Plain JSON. */
export type RateComparisonState = {
  readonly kind: 'rate-comparison';
  readonly alpha: number;
  readonly minimumCanaryRequests: number;
  readonly worse: Side;
  readonly noWorse: Side;
  readonly total: Arms;
  readonly waiting: Arms;
};

/** One arm's share of bad outcomes. Plain JSON. */
export type ArmRate = {
  readonly requests: number;
  readonly bad: number;
  readonly rate: number | null;
  readonly interval: Interval;
};

/** What can be said about the canary's rate against the baseline's. Plain JSON. */
export type RateComparisonVerdict = {
  /** `worse`: above its line, whatever the other says; each of the two is wrong with a chance of at most alpha. */
  readonly decision: 'worse' | 'no-worse' | 'inconclusive';
  readonly enoughData: boolean;
  readonly canary: ArmRate;
  readonly baseline: ArmRate;
  /** Canary − baseline rate, from two confidence sequences of level 1 − alpha/2; assumes that rates are steady. */
  readonly difference: Interval;
  /** Against "canary rate ≤ ratio × baseline rate + margin" of the line `worse`. */
  readonly worse: EValue;
  /** Against "canary rate ≥ ratio × baseline rate + margin" of the line `noWorse`. */
  readonly noWorse: EValue;
  readonly alpha: number;
};

/** Odds multipliers that the bets expect: 40 from 1.05 to 20, evenly in the logarithm. */
const multipliers: readonly number[] = Array.from(
  { length: 40 },
  (_, index) => 1.05 * (20 / 1.05) ** (index / 39),
);

const noArms: Arms = { canaryRequests: 0, canaryBad: 0, baselineRequests: 0, baselineBad: 0 };

/**
 * Compares how often requests go wrong on the canary and on the baseline that serves at the same time
 * (Lindon & Malek 2022, arXiv 2011.03567, for the bets; this form holds with observed shares and a margin).
 *
 * In a window with share w of requests on the canary, a bad event multiplies a bet by A = θ/θ₀ on the canary
 * and by B = (1−θ)/(1−θ₀) on the baseline, where θ₀ = w·r/(w·r + 1 − w). Because w·r·(A−1) + (1−w)·(B−1) = 0 and
 * 1 + x ≤ e^x, the expectation of A^x·B^y·exp(−N·w·margin·(A−1)) is at most 1 while the canary's rate is at most
 * r × the baseline's + margin, whatever the rates are and however they move from window to window.
 */
export const rateComparison: SequentialTest<
  RateComparisonOptions,
  RateComparisonState,
  RateComparisonCounts,
  RateComparisonVerdict
> = {
  init: ({ alpha = 0.05, worse = {}, noWorse = {}, minimumCanaryRequests = 0 }) => {
    requireLevel('alpha', alpha);
    requireCount('minimumCanaryRequests', minimumCanaryRequests);
    return {
      kind: 'rate-comparison',
      alpha,
      minimumCanaryRequests,
      worse: sideOf('worse', worse.ratio ?? 1, worse.margin ?? 0),
      noWorse: sideOf('noWorse', noWorse.ratio ?? 1.25, noWorse.margin ?? 0),
      total: noArms,
      waiting: noArms,
    };
  },

  update: (state, counts) => {
    requireKind(state, 'rate-comparison');
    requireArms(counts);
    const total = sumOf(state.total, counts);
    if (counts.weight !== undefined) return { ...bet(state, counts, counts.weight), total };
    const window = sumOf(state.waiting, counts);
    if (window.canaryRequests === 0 || window.baselineRequests === 0)
      return { ...state, total, waiting: window };
    const share = window.canaryRequests / (window.canaryRequests + window.baselineRequests);
    return { ...bet(state, window, share), total, waiting: noArms };
  },

  verdict: (state) => {
    requireKind(state, 'rate-comparison');
    const { alpha, total } = state;
    const canary = armOf(total.canaryBad, total.canaryRequests, alpha / 2);
    const baseline = armOf(total.baselineBad, total.baselineRequests, alpha / 2);
    const worse = evidenceOf(state.worse);
    const noWorse = evidenceOf(state.noWorse);
    const enoughData =
      total.canaryRequests > 0 && total.canaryRequests >= state.minimumCanaryRequests;
    return {
      decision: enoughData ? decide(worse, noWorse, alpha) : 'inconclusive',
      enoughData,
      canary,
      baseline,
      difference: {
        low: canary.interval.low - baseline.interval.high,
        high: canary.interval.high - baseline.interval.low,
      },
      worse,
      noWorse,
      alpha,
    };
  },
};

function decide(worse: EValue, noWorse: EValue, alpha: number): RateComparisonVerdict['decision'] {
  const needed = -Math.log(alpha);
  if (worse.logE >= needed) return 'worse';
  return noWorse.logE >= needed ? 'no-worse' : 'inconclusive';
}

function sideOf(name: string, ratio: number, margin: number): Side {
  if (!(ratio > 0 && ratio < Infinity)) throw invalid(`${name}.ratio`, ratio, 'a positive number');
  requireWithin(`${name}.margin`, margin, 0, 1);
  return { ratio, margin, logWealth: multipliers.map(() => 0) };
}

function requireArms(counts: RateComparisonCounts): void {
  for (const name of ['canaryRequests', 'canaryBad', 'baselineRequests', 'baselineBad'] as const) {
    requireCount(name, counts[name]);
  }
  requireWithin('canaryBad', counts.canaryBad, 0, counts.canaryRequests);
  requireWithin('baselineBad', counts.baselineBad, 0, counts.baselineRequests);
  if (counts.weight !== undefined) requireLevel('weight', counts.weight);
}

function sumOf(a: Arms, b: Arms): Arms {
  return {
    canaryRequests: a.canaryRequests + b.canaryRequests,
    canaryBad: a.canaryBad + b.canaryBad,
    baselineRequests: a.baselineRequests + b.baselineRequests,
    baselineBad: a.baselineBad + b.baselineBad,
  };
}

function bet(state: RateComparisonState, window: Arms, share: number): RateComparisonState {
  return {
    ...state,
    worse: betOn(state.worse, window, share, (multiplier) => multiplier),
    noWorse: betOn(state.noWorse, window, share, (multiplier) => 1 / multiplier),
  };
}

function betOn(
  side: Side,
  window: Arms,
  share: number,
  tilt: (multiplier: number) => number,
): Side {
  const odds = (share / (1 - share)) * side.ratio;
  const expected = (window.canaryRequests + window.baselineRequests) * share * side.margin;
  const logWealth = side.logWealth.map((log, index) => {
    const multiplier = tilt(multipliers[index] as number);
    const logOnBaseline = Math.log1p(odds) - Math.log1p(odds * multiplier);
    const logOnCanary = Math.log(multiplier) + logOnBaseline;
    const gain = window.canaryBad * logOnCanary + window.baselineBad * logOnBaseline;
    return log + gain - expected * Math.expm1(logOnCanary);
  });
  return { ...side, logWealth };
}

function evidenceOf(side: Side): EValue {
  return eValueFromLog(logSumOfExp(side.logWealth) - Math.log(side.logWealth.length));
}

function armOf(bad: number, requests: number, alpha: number): ArmRate {
  const interval = rateInterval({ successes: bad, trials: requests }, alpha);
  return { requests, bad, rate: requests > 0 ? bad / requests : null, interval };
}
