import { requireLevel } from '../arguments.ts';
import {
  type DriftMethod,
  type Severity,
  type SeverityBands,
  severityBands,
  severityOf,
} from './severity.ts';

/** What can be set for one measurement of drift. */
export interface DriftOptions {
  /** Chance of a false alarm without any drift; 0.05 by default. */
  readonly alpha?: number;
  /** The smallest score that matters; by default that of severity LOW. */
  readonly effectThreshold?: number;
  /** Values on each side below which there is no answer; by default that of the method. */
  readonly minimum?: number;
  /** Bands of severity; by default those of the method. */
  readonly bands?: SeverityBands;
}

/** How far a feature has drifted, or that there is not enough data to say. Plain JSON. */
export type DriftResult = {
  readonly outcome: 'measured' | 'not-enough-data';
  readonly method: DriftMethod;
  /** Effect size in the unit of the method; null without enough data. */
  readonly score: number | null;
  readonly effectThreshold: number;
  /** The score that chance alone exceeds with probability alpha for these sample sizes. */
  readonly chanceThreshold: number | null;
  /** Of no drift at all. */
  readonly pValue: number | null;
  /** The score reaches the effect threshold and p is at most alpha. */
  readonly detected: boolean;
  /** From the score where drift was detected, else NONE. */
  readonly severity: Severity;
  readonly referenceCount: number;
  readonly currentCount: number;
  /** Values needed on each side. */
  readonly minimum: number;
  readonly alpha: number;
  /** Assumptions that were checked and not met, and what was done about it. */
  readonly notes: readonly string[];
};

/**
 * Values needed on each side. Chi-squared is guarded by its expected counts as well.
 */
export const minimumCounts: Readonly<Record<DriftMethod, number>> = {
  'kolmogorov-smirnov': 20,
  wasserstein: 1000,
  welch: 20,
  'mann-whitney': 8,
  psi: 500,
  'jensen-shannon': 500,
  'kullback-leibler': 500,
  hellinger: 500,
  'total-variation': 500,
  'largest-difference': 500,
  'chi-squared': 5,
};

/** What a method found. */
export interface Measurement {
  readonly score: number;
  readonly chanceThreshold: number | null;
  readonly pValue: number;
  readonly notes?: readonly string[];
}

/**
 * The result of one method: `measure` is asked only when both sides have the minimum. Drift is detected when
 * the score reaches the effect threshold and is beyond chance.
 */
export function driftResult(
  method: DriftMethod,
  counts: { readonly reference: number; readonly current: number },
  options: DriftOptions,
  measure: (alpha: number) => Measurement,
): DriftResult {
  const alpha = options.alpha ?? 0.05;
  requireLevel('alpha', alpha);
  const bands = options.bands ?? severityBands[method];
  const effectThreshold = options.effectThreshold ?? bands[0];
  const minimum = options.minimum ?? minimumCounts[method];
  const sizes = { referenceCount: counts.reference, currentCount: counts.current, minimum, alpha };
  const smaller = Math.min(counts.reference, counts.current);
  if (smaller < Math.max(1, minimum)) {
    const nothing = {
      score: null,
      effectThreshold,
      chanceThreshold: null,
      pValue: null,
      notes: [],
    };
    return {
      outcome: 'not-enough-data',
      method,
      ...nothing,
      detected: false,
      severity: 'NONE',
      ...sizes,
    };
  }
  const { score, chanceThreshold, pValue, notes = [] } = measure(alpha);
  const detected = score >= effectThreshold && pValue <= alpha;
  return {
    outcome: 'measured',
    method,
    score: Math.min(score, Number.MAX_VALUE),
    effectThreshold,
    chanceThreshold,
    pValue,
    detected,
    severity: detected ? severityOf(method, score, bands) : 'NONE',
    ...sizes,
    notes,
  };
}
