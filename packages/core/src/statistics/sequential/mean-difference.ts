import { requireCount, requireLevel, requireWithin } from '../arguments.ts';
import type { Interval } from '../intervals/interval.ts';
import { bettingInterval, logWealthEither } from './betting.ts';
import { type EValue, eValueFromLog } from './e-value.ts';
import { requireKind, type SequentialTest } from './sequential-test.ts';

/** What a comparison of means is asked. */
export interface MeanDifferenceOptions {
  /** 0.05 by default. */
  readonly alpha?: number;
  /** Pairs below which nothing is decided; 0 by default. */
  readonly minimumPairs?: number;
}

/** How often each difference was seen, on a grid, and what was rounded away so far. Plain JSON. */
export type MeanDifferenceState = {
  readonly kind: 'mean-difference';
  readonly alpha: number;
  readonly minimumPairs: number;
  readonly counts: Readonly<Record<string, number>>;
  readonly carry: number;
  readonly pairs: number;
  readonly sum: number;
};

/** What can be said about the difference of two means. Plain JSON. */
export type MeanDifferenceVerdict = {
  /** Read from `interval`. */
  readonly decision: 'higher' | 'lower' | 'inconclusive';
  readonly enoughData: boolean;
  readonly pairs: number;
  readonly difference: number | null;
  /** Contains the difference at all looks together with probability at least 1 − alpha. */
  readonly interval: Interval;
  /** Against "no difference". */
  readonly different: EValue;
  readonly alpha: number;
};

/** Steps of the grid from no difference to the largest. */
const steps = 200;

/**
 * Compares the means of two arms whose values lie in [0, 1], pair by pair in the order of their coming: bets against
 * "their mean difference is d" (Waudby-Smith & Ramdas 2024). A difference is in [−1, 1]; what is rounded to the grid is
 * carried on, so that sums stay right. Valid at every look where pairs are alike distributed and independent.
 */
export const meanDifference: SequentialTest<
  MeanDifferenceOptions,
  MeanDifferenceState,
  readonly number[],
  MeanDifferenceVerdict
> = {
  init: ({ alpha = 0.05, minimumPairs = 0 }) => {
    requireLevel('alpha', alpha);
    requireCount('minimumPairs', minimumPairs);
    const none = { counts: {}, carry: 0, pairs: 0, sum: 0 };
    return { kind: 'mean-difference', alpha, minimumPairs, ...none };
  },

  update: (state, differences) => {
    requireKind(state, 'mean-difference');
    const counts: Record<string, number> = { ...state.counts };
    let { carry, sum } = state;
    for (const difference of differences) {
      requireWithin('difference', difference, -1, 1);
      const wanted = difference * steps + carry;
      const place = Math.max(-steps, Math.min(steps, Math.round(wanted)));
      carry = wanted - place;
      sum += difference;
      counts[place] = (counts[place] ?? 0) + 1;
    }
    return { ...state, counts, carry, sum, pairs: state.pairs + differences.length };
  },

  verdict: (state) => {
    requireKind(state, 'mean-difference');
    const { alpha, pairs, minimumPairs } = state;
    const outcomes = Object.entries(state.counts).map(([place, count]) => ({
      value: (Number(place) / steps + 1) / 2,
      count,
    }));
    const mapped = bettingInterval(outcomes, alpha);
    const interval = { low: 2 * mapped.low - 1, high: 2 * mapped.high - 1 };
    const enoughData = pairs > 0 && pairs >= minimumPairs;
    return {
      decision: enoughData ? decide(interval) : 'inconclusive',
      enoughData,
      pairs,
      difference: pairs === 0 ? null : state.sum / pairs,
      interval,
      different: eValueFromLog(logWealthEither(outcomes, 0.5)),
      alpha,
    };
  },
};

function decide({ low, high }: Interval): MeanDifferenceVerdict['decision'] {
  if (low > 0) return 'higher';
  return high < 0 ? 'lower' : 'inconclusive';
}
