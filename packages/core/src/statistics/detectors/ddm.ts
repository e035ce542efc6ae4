import { invalid } from '../arguments.ts';
import type { ChangeDetector, DetectorSignal } from './change-detector.ts';

/** How to watch. */
export interface DdmOptions {
  /** Values up to which nothing is found; 30 by default. */
  readonly warmUp?: number;
  /** Standard deviations above the least error that are a warning; 2 by default. */
  readonly warning?: number;
  /** Standard deviations above the least error that are a drift; 3 by default. */
  readonly drift?: number;
}

/** Error rate and its least bound so far, with the options. Plain JSON. */
export type DdmState = {
  readonly options: Required<DdmOptions>;
  readonly signal: DetectorSignal;
  readonly count: number;
  readonly errors: number;
  /** Error rate and deviation where their sum was least; null during the warm-up. */
  readonly least: { readonly rate: number; readonly deviation: number } | null;
};

/** The drift detection method for errors 0 and 1 (Gama et al. 2004): finds only a worsening. INVALID for other values. */
export const ddm: ChangeDetector<DdmOptions, DdmState> = {
  init: ({ warmUp = 30, warning = 2, drift = 3 } = {}) => fresh({ warmUp, warning, drift }),

  update: (before, value) => {
    if (value !== 0 && value !== 1) throw invalid('value', value, '0 or 1');
    const state = before.signal === 'drift' ? fresh(before.options) : before;
    const { options } = state;
    const count = state.count + 1;
    const errors = state.errors + value;
    if (count <= options.warmUp) return { ...state, count, errors };
    const rate = errors / count;
    const deviation = Math.sqrt((rate * (1 - rate)) / count);
    const level = rate + deviation;
    const isLeast = state.least === null || level <= state.least.rate + state.least.deviation;
    const least = isLeast || state.least === null ? { rate, deviation } : state.least;
    let signal: DetectorSignal = 'none';
    if (level > least.rate + options.warning * least.deviation) signal = 'warning';
    if (level > least.rate + options.drift * least.deviation) signal = 'drift';
    return { options, signal, count, errors, least };
  },
};

function fresh(options: Required<DdmOptions>): DdmState {
  return { options, signal: 'none', count: 0, errors: 0, least: null };
}
