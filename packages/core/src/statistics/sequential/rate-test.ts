import { requireCount, requireLevel, requireSuccesses } from '../arguments.ts';
import type { Interval } from '../intervals/interval.ts';
import type { Rate } from '../intervals/rate-interval.ts';
import {
  logRateEvidence,
  logRateEvidenceAbove,
  logRateEvidenceBelow,
  rateInterval,
} from './beta-mixture.ts';
import { type EValue, eValueFromLog } from './e-value.ts';
import { requireKind, type SequentialTest } from './sequential-test.ts';

/** What a rate is held against. */
export interface RateTestOptions {
  /** The rate that must not be passed, strictly between 0 and 1. */
  readonly limit: number;
  /** 0.05 by default. */
  readonly alpha?: number;
  /** Trials below which nothing is decided; 0 by default. */
  readonly minimumTrials?: number;
}

/** Counts so far, with the options. Plain JSON. */
export type RateTestState = {
  readonly kind: 'rate';
  readonly limit: number;
  readonly alpha: number;
  readonly minimumTrials: number;
  readonly successes: number;
  readonly trials: number;
};

/** What can be said about the rate. Plain JSON. */
export type RateTestVerdict = {
  /** Read from `interval`: above or below the limit; all statements are right together with probability 1 − alpha. */
  readonly decision: 'above' | 'below' | 'inconclusive';
  readonly enoughData: boolean;
  readonly successes: number;
  readonly trials: number;
  readonly rate: number | null;
  /** Confidence sequence of the rate. */
  readonly interval: Interval;
  /** Against "at most the limit". */
  readonly above: EValue;
  /** Against "at least the limit". */
  readonly below: EValue;
  /** Against "exactly the limit". */
  readonly different: EValue;
  readonly limit: number;
  readonly alpha: number;
};

/** Holds one rate against a fixed limit, at every look (beta-binomial mixture). Only counts matter. */
export const rateTest: SequentialTest<RateTestOptions, RateTestState, Rate, RateTestVerdict> = {
  init: ({ limit, alpha = 0.05, minimumTrials = 0 }) => {
    requireLevel('limit', limit);
    requireLevel('alpha', alpha);
    requireCount('minimumTrials', minimumTrials);
    return { kind: 'rate', limit, alpha, minimumTrials, successes: 0, trials: 0 };
  },

  update: (state, { successes, trials }) => {
    requireKind(state, 'rate');
    requireSuccesses(successes, trials);
    return { ...state, successes: state.successes + successes, trials: state.trials + trials };
  },

  verdict: (state) => {
    requireKind(state, 'rate');
    const { limit, alpha, successes, trials } = state;
    const interval = rateInterval(state, alpha);
    const enoughData = trials > 0 && trials >= state.minimumTrials;
    return {
      decision: enoughData ? decide(interval, limit) : 'inconclusive',
      enoughData,
      successes,
      trials,
      rate: trials > 0 ? successes / trials : null,
      interval,
      above: eValueFromLog(logRateEvidenceAbove(state, limit)),
      below: eValueFromLog(logRateEvidenceBelow(state, limit)),
      different: eValueFromLog(logRateEvidence(state, limit)),
      limit,
      alpha,
    };
  },
};

function decide(interval: Interval, limit: number): RateTestVerdict['decision'] {
  if (interval.low > limit) return 'above';
  return interval.high < limit ? 'below' : 'inconclusive';
}
