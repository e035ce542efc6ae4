import { requireCount, requireLevel } from '../arguments.ts';
import { logRateEvidence } from './beta-mixture.ts';
import { type EValue, eValueFromLog } from './e-value.ts';
import { requireKind, type SequentialTest } from './sequential-test.ts';

/** How requests or users are meant to be split. */
export interface SampleRatioOptions {
  /** The canary's intended share, strictly between 0 and 1. */
  readonly weight: number;
  /** 0.001 by default: a wrong split is a fault of the machinery, so its alarm should never be false. */
  readonly alpha?: number;
}

/** New assignments of each arm. */
export interface SampleRatioCounts {
  readonly canary: number;
  readonly baseline: number;
}

/** All assignments so far, with the options. Plain JSON. */
export type SampleRatioState = {
  readonly kind: 'sample-ratio';
  readonly weight: number;
  readonly alpha: number;
  readonly canary: number;
  readonly baseline: number;
};

/** What can be said about the split. Plain JSON. */
export type SampleRatioVerdict = {
  readonly mismatch: boolean;
  /** The canary's share so far; null without assignments. */
  readonly share: number | null;
  /** Against "the split is as intended". */
  readonly evidence: EValue;
  readonly weight: number;
  readonly alpha: number;
};

/** How firmly the mixture expects shares near the intended one, in assignments. */
const firmness = 10;

/** Tells, at every look, whether assignments follow the intended split (Lindon & Malek 2022, beta mixture). */
export const sampleRatioTest: SequentialTest<
  SampleRatioOptions,
  SampleRatioState,
  SampleRatioCounts,
  SampleRatioVerdict
> = {
  init: ({ weight, alpha = 0.001 }) => {
    requireLevel('weight', weight);
    requireLevel('alpha', alpha);
    return { kind: 'sample-ratio', weight, alpha, canary: 0, baseline: 0 };
  },

  update: (state, { canary, baseline }) => {
    requireKind(state, 'sample-ratio');
    requireCount('canary', canary);
    requireCount('baseline', baseline);
    return { ...state, canary: state.canary + canary, baseline: state.baseline + baseline };
  },

  verdict: (state) => {
    requireKind(state, 'sample-ratio');
    const { weight, alpha, canary, baseline } = state;
    const trials = canary + baseline;
    const prior = { a: firmness * weight, b: firmness * (1 - weight) };
    const evidence = eValueFromLog(logRateEvidence({ successes: canary, trials }, weight, prior));
    return {
      mismatch: evidence.logE >= -Math.log(alpha),
      share: trials > 0 ? canary / trials : null,
      evidence,
      weight,
      alpha,
    };
  },
};
