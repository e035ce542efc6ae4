import { requireFinite } from '../arguments.ts';
import type { ChangeDetector, DetectorSignal } from './change-detector.ts';

/** How to watch; defaults fit standardised values. */
export interface PageHinkleyOptions {
  /** Values before which nothing is found; 30 by default. */
  readonly warmUp?: number;
  /** Deviation from the mean that is ignored, in the unit of the values; 0.005 by default. */
  readonly delta?: number;
  /** Cumulated deviation that is a change; 50 by default. */
  readonly threshold?: number;
  /** How much of the cumulated deviation is kept at each value; 0.9999 by default. */
  readonly keep?: number;
  /** Which changes are looked for; both by default. */
  readonly direction?: 'up' | 'down' | 'both';
}

/** Running mean and cumulated deviations, with the options. Plain JSON. */
export type PageHinkleyState = {
  readonly options: Required<PageHinkleyOptions>;
  readonly signal: DetectorSignal;
  readonly count: number;
  readonly mean: number;
  readonly up: number;
  readonly down: number;
};

/**
 * The Page–Hinkley test (Page 1954; as in river, with the sum clipped at 0): a change when the cumulated deviation from the
 * running mean, less `delta` each time, reaches the threshold. It depends on the scale of the values: standardise them.
 */
export const pageHinkley: ChangeDetector<PageHinkleyOptions, PageHinkleyState> = {
  init: ({ warmUp = 30, delta = 0.005, threshold = 50, keep = 0.9999, direction = 'both' } = {}) =>
    fresh({ warmUp, delta, threshold, keep, direction }),

  update: (before, value) => {
    requireFinite('value', value);
    const state = before.signal === 'drift' ? fresh(before.options) : before;
    const { warmUp, delta, threshold, keep, direction } = state.options;
    const count = state.count + 1;
    const mean = state.mean + (value - state.mean) / count;
    const up = Math.max(0, keep * state.up + value - mean - delta);
    const down = Math.max(0, keep * state.down - (value - mean) - delta);
    const isUp = direction !== 'down' && up >= threshold;
    const isDown = direction !== 'up' && down >= threshold;
    const signal = count >= warmUp && (isUp || isDown) ? 'drift' : 'none';
    return { options: state.options, signal, count, mean, up, down };
  },
};

function fresh(options: Required<PageHinkleyOptions>): PageHinkleyState {
  return { options, signal: 'none', count: 0, mean: 0, up: 0, down: 0 };
}
