import { requireFinite } from '../arguments.ts';
import { type Moments, mergeMoments, momentsOf, noMoments } from '../descriptive/moments.ts';
import type { ChangeDetector, DetectorSignal } from './change-detector.ts';

/** How to watch. */
export interface CusumOptions {
  /** Values from which mean and deviation are taken, then frozen; 30 by default, 200 for few false alarms. */
  readonly warmUp?: number;
  /** Deviation from the mean that is ignored, in standard deviations; 0.5 by default. */
  readonly slack?: number;
  /** Cumulated deviation that is a change, in standard deviations; 8 by default (5 raises many false alarms). */
  readonly threshold?: number;
  /** Mean and deviation known beforehand, from a baseline; then there is no warm-up. */
  readonly baseline?: { readonly mean: number; readonly deviation: number } | null;
}

/** Reference and cumulated deviations, with the options. Plain JSON. */
export type CusumState = {
  readonly options: Required<CusumOptions>;
  readonly signal: DetectorSignal;
  readonly reference: Moments;
  readonly up: number;
  readonly down: number;
};

/** The two-sided CUSUM (Page 1954) around a mean that is known or frozen after a warm-up. */
export const cusum: ChangeDetector<CusumOptions, CusumState> = {
  init: ({ warmUp = 30, slack = 0.5, threshold = 8, baseline = null } = {}) =>
    fresh({ warmUp, slack, threshold, baseline }),

  update: (before, value) => {
    requireFinite('value', value);
    const state = before.signal === 'drift' ? fresh(before.options) : before;
    const { warmUp, slack, threshold, baseline } = state.options;
    if (baseline === null && state.reference.count < warmUp) {
      return { ...state, reference: mergeMoments(state.reference, momentsOf([value])) };
    }
    const mean = baseline?.mean ?? state.reference.mean;
    const deviation =
      baseline?.deviation ?? Math.sqrt(state.reference.squares / (state.reference.count - 1));
    const up = Math.max(0, state.up + value - mean - slack * deviation);
    const down = Math.max(0, state.down - (value - mean) - slack * deviation);
    const signal = Math.max(up, down) > threshold * deviation ? 'drift' : 'none';
    return { ...state, signal, up, down };
  },
};

function fresh(options: Required<CusumOptions>): CusumState {
  return { options, signal: 'none', reference: noMoments, up: 0, down: 0 };
}
