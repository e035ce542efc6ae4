import { invalid, requireFinite, requireLevel, requireWithin } from '../arguments.ts';
import type { Interval } from '../intervals/interval.ts';
import { requireKind, type SequentialTest } from './sequential-test.ts';

/** What is known of the values beforehand. */
export interface MeanSequenceOptions {
  /** No value is ever below this. */
  readonly low: number;
  /** No value is ever above this. */
  readonly high: number;
  /** 0.05 by default. */
  readonly alpha?: number;
}

/** Sums over the values so far, with the options. Plain JSON. */
export type MeanSequenceState = {
  readonly kind: 'mean-sequence';
  readonly low: number;
  readonly high: number;
  readonly alpha: number;
  readonly count: number;
  readonly sum: number;
  readonly squares: number;
  readonly bets: number;
  readonly weighted: number;
  readonly cost: number;
};

/** What can be said about the mean. Plain JSON. */
export type MeanSequenceVerdict = {
  readonly count: number;
  readonly mean: number | null;
  /** Contains the mean at all looks together with probability at least 1 − alpha. */
  readonly interval: Interval;
  readonly alpha: number;
};

/**
 * A confidence sequence for the mean of bounded values, such as a loss or a revenue: the predictable plug-in
 * empirical Bernstein bound (Waudby-Smith & Ramdas 2024, theorem 2). Values of one look must come in the
 * order in which they were observed; their conditional mean must stay the same. A value outside the bounds is INVALID.
 */
export const meanSequence: SequentialTest<
  MeanSequenceOptions,
  MeanSequenceState,
  readonly number[],
  MeanSequenceVerdict
> = {
  init: ({ low, high, alpha = 0.05 }) => {
    requireFinite('low', low);
    requireFinite('high', high);
    if (low >= high) throw invalid('high', high, `greater than low, ${low}`);
    requireLevel('alpha', alpha);
    return {
      kind: 'mean-sequence',
      low,
      high,
      alpha,
      count: 0,
      sum: 0,
      squares: 0,
      bets: 0,
      weighted: 0,
      cost: 0,
    };
  },

  update: (state, values) => {
    requireKind(state, 'mean-sequence');
    return values.reduce(withValue, state);
  },

  verdict: (state) => {
    requireKind(state, 'mean-sequence');
    const { low, high, alpha, count } = state;
    const range = high - low;
    if (count === 0) return { count, mean: null, interval: { low, high }, alpha };
    const centre = state.weighted / state.bets;
    const half = (Math.log(2 / alpha) + state.cost) / state.bets;
    const interval = {
      low: low + range * Math.max(0, centre - half),
      high: low + range * Math.min(1, centre + half),
    };
    return { count, mean: low + (range * state.sum) / count, interval, alpha };
  },
};

function withValue(state: MeanSequenceState, value: number): MeanSequenceState {
  requireWithin('value', value, state.low, state.high);
  const x = (value - state.low) / (state.high - state.low);
  const count = state.count + 1;
  const mean = (0.5 + state.sum) / count;
  const variance = (0.25 + state.squares) / count;
  const bet = Math.min(
    0.5,
    Math.sqrt((2 * Math.log(2 / state.alpha)) / (variance * count * Math.log1p(count))),
  );
  const sum = state.sum + x;
  const newMean = (0.5 + sum) / (count + 1);
  return {
    ...state,
    count,
    sum,
    squares: state.squares + (x - newMean) ** 2,
    bets: state.bets + bet,
    weighted: state.weighted + bet * x,
    cost: state.cost + (x - mean) ** 2 * (-Math.log1p(-bet) - bet),
  };
}
