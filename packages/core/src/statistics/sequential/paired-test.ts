import { requireCount, requireLevel, requireWithin } from '../arguments.ts';
import type { Interval } from '../intervals/interval.ts';
import {
  bettingInterval,
  logWealthAbove,
  logWealthBelow,
  logWealthEither,
  type Outcome,
} from './betting.ts';
import { type EValue, eValueFromLog } from './e-value.ts';
import { requireKind, type SequentialTest } from './sequential-test.ts';

/** What a paired test is asked. */
export interface PairedOptions {
  /** Level of all statements together; 0.05 by default. */
  readonly alpha?: number;
  /** Loss of accuracy that would be tolerated, as a share of items; 0 by default. */
  readonly margin?: number;
  /** Labelled items below which nothing is decided; 0 by default. */
  readonly minimumItems?: number;
  /** Items on which exactly one of the two is right, below which nothing is decided; 0 by default. */
  readonly minimumDiscordant?: number;
}

/** Newly labelled items, by which of the two classifiers was right; missing counts are 0. */
export interface PairedCounts {
  readonly bothRight?: number;
  readonly candidateOnly?: number;
  readonly baselineOnly?: number;
  readonly bothWrong?: number;
}

/** Counts of all items so far, with the options. Plain JSON. */
export type PairedState = {
  readonly kind: 'paired';
  readonly alpha: number;
  readonly margin: number;
  readonly minimumItems: number;
  readonly minimumDiscordant: number;
  readonly bothRight: number;
  readonly candidateOnly: number;
  readonly baselineOnly: number;
  readonly bothWrong: number;
};

/** What can be said about candidate − baseline accuracy. Plain JSON. */
export type PairedVerdict = {
  /**
   * Read from `interval`: `better` above 0, `no-worse` above −margin, `worse` below −margin. All that a test
   * ever states is right together with probability 1 − alpha.
   */
  readonly decision: 'better' | 'no-worse' | 'worse' | 'inconclusive';
  readonly enoughData: boolean;
  readonly items: number;
  readonly discordant: number;
  readonly candidateAccuracy: number | null;
  readonly baselineAccuracy: number | null;
  readonly difference: number | null;
  /** Confidence sequence of the difference, in [−1, 1]. */
  readonly interval: Interval;
  /** Against "equally accurate". */
  readonly different: EValue;
  /** Against "the candidate is not better". */
  readonly better: EValue;
  /** Against "the candidate is not worse". */
  readonly worse: EValue;
  /** Against "the candidate is worse by at least the margin". */
  readonly noWorse: EValue;
  readonly alpha: number;
  readonly margin: number;
};

/**
 * Compares two classifiers that score the same labelled items. With `margin` 0 only items count on which
 * exactly one is right, as in McNemar's test: bets against those being fair coin tosses. What is tested is one mean
 * difference, the same at all times; items that depend on each other count as one.
 * Only counts matter: the same items in other batches or another order give the same verdict.
 */
export const pairedTest: SequentialTest<PairedOptions, PairedState, PairedCounts, PairedVerdict> = {
  init: ({ alpha = 0.05, margin = 0, minimumItems = 0, minimumDiscordant = 0 }) => {
    requireLevel('alpha', alpha);
    requireWithin('margin', margin, 0, 0.999);
    requireCount('minimumItems', minimumItems);
    requireCount('minimumDiscordant', minimumDiscordant);
    const counts = { bothRight: 0, candidateOnly: 0, baselineOnly: 0, bothWrong: 0 };
    return { kind: 'paired', alpha, margin, minimumItems, minimumDiscordant, ...counts };
  },

  update: (state, { bothRight = 0, candidateOnly = 0, baselineOnly = 0, bothWrong = 0 }) => {
    requireKind(state, 'paired');
    for (const [name, count] of Object.entries({
      bothRight,
      candidateOnly,
      baselineOnly,
      bothWrong,
    })) {
      requireCount(name, count);
    }
    return {
      ...state,
      bothRight: state.bothRight + bothRight,
      candidateOnly: state.candidateOnly + candidateOnly,
      baselineOnly: state.baselineOnly + baselineOnly,
      bothWrong: state.bothWrong + bothWrong,
    };
  },

  verdict: (state) => {
    requireKind(state, 'paired');
    const discordant = state.candidateOnly + state.baselineOnly;
    const items = discordant + state.bothRight + state.bothWrong;
    const enoughData =
      items >= state.minimumItems && discordant >= state.minimumDiscordant && items > 0;
    const outcomes = outcomesOf(state);
    const mapped = bettingInterval(outcomes, state.alpha);
    const interval = { low: 2 * mapped.low - 1, high: 2 * mapped.high - 1 };
    return {
      decision: enoughData ? decide(interval, state.margin) : 'inconclusive',
      enoughData,
      items,
      discordant,
      candidateAccuracy: items > 0 ? (state.bothRight + state.candidateOnly) / items : null,
      baselineAccuracy: items > 0 ? (state.bothRight + state.baselineOnly) / items : null,
      difference: items > 0 ? (state.candidateOnly - state.baselineOnly) / items : null,
      interval,
      different: eValueFromLog(logWealthEither(outcomes, 0.5)),
      better: eValueFromLog(logWealthAbove(outcomes, 0.5)),
      worse: eValueFromLog(logWealthBelow(outcomes, 0.5)),
      noWorse: eValueFromLog(logWealthAbove(outcomes, (1 - state.margin) / 2)),
      alpha: state.alpha,
      margin: state.margin,
    };
  },
};

function decide(interval: Interval, margin: number): PairedVerdict['decision'] {
  if (interval.low > 0) return 'better';
  if (interval.high < -margin) return 'worse';
  if (interval.low > -margin) return 'no-worse';
  return 'inconclusive';
}

/** The difference −1, 0, 1 of each item, mapped to [0, 1]. */
function outcomesOf(state: PairedState): readonly Outcome[] {
  return [
    { value: 1, count: state.candidateOnly },
    { value: 0.5, count: state.bothRight + state.bothWrong },
    { value: 0, count: state.baselineOnly },
  ];
}
