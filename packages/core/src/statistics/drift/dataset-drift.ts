import { invalid, requireLevel } from '../arguments.ts';
import { benjaminiHochberg } from '../hypothesis/multiplicity.ts';
import type { DriftResult } from './drift-result.ts';
import { type Severity, severityOf } from './severity.ts';

/** One feature of a window. */
export interface FeatureResult {
  readonly feature: string;
  readonly result: DriftResult;
  /** How much the model relies on it; all alike by default. */
  readonly importance?: number;
}

/** What a window of many features says. Plain JSON. */
export type DatasetDrift = {
  readonly features: readonly {
    readonly feature: string;
    readonly result: DriftResult;
    /** p after Benjamini–Hochberg over the features that were measured; null without enough data. */
    readonly adjustedPValue: number | null;
    readonly detected: boolean;
    readonly severity: Severity;
    /** Share of all importance. */
    readonly importance: number;
    /** Score over its threshold (the larger of effect and chance) where drift was detected, else 0. */
    readonly excess: number;
  }[];
  /** Share of measured features with drift, unweighted. */
  readonly driftedShare: number;
  /** The same by importance. */
  readonly weightedShare: number;
  /** Σ importance · excess over measured features. */
  readonly score: number;
  readonly detected: boolean;
  /** The highest severity whose features, with all above it, carry at least a fifth of the importance; LOW if any drifted. */
  readonly severity: Severity;
  readonly alpha: number;
};

const ranks: readonly Severity[] = ['CRITICAL', 'HIGH', 'MEDIUM', 'LOW'];

/** Importance that must be affected for a severity of the whole. */
const carrying = 0.2;

/**
 * Brings the features of one window together: p-values are corrected for their number, so that a window without
 * drift has a chance of about alpha of naming any feature, and features count by importance. INVALID for an
 * importance that is negative or if all are 0.
 */
export function datasetDrift(
  features: readonly FeatureResult[],
  alpha: number = 0.05,
): DatasetDrift {
  requireLevel('alpha', alpha);
  const measured = features.filter(({ result }) => result.outcome === 'measured');
  const total = measured.reduce(
    (sum, { importance = 1 }) => sum + checkedImportance(importance),
    0,
  );
  if (measured.length > 0 && total === 0)
    throw invalid('importance', 0, 'above 0 for at least one feature');
  const adjusted = benjaminiHochberg(measured.map(({ result }) => result.pValue ?? 1));
  const rows = features.map(({ feature, result, importance = 1 }) => {
    const position = measured.findIndex((one) => one.result === result && one.feature === feature);
    const adjustedPValue = position < 0 ? null : (adjusted[position] as number);
    const score = result.score ?? 0;
    const detected =
      adjustedPValue !== null && adjustedPValue <= alpha && score >= result.effectThreshold;
    return {
      feature,
      result,
      adjustedPValue,
      detected,
      severity: detected ? severityOf(result.method, score) : ('NONE' as const),
      importance: position < 0 ? 0 : importance / total,
      excess: detected ? score / Math.max(result.effectThreshold, result.chanceThreshold ?? 0) : 0,
    };
  });
  const drifted = rows.filter((row) => row.detected);
  return {
    features: rows,
    driftedShare: measured.length > 0 ? drifted.length / measured.length : 0,
    weightedShare: sumOf(drifted.map((row) => row.importance)),
    score: sumOf(rows.map((row) => row.importance * row.excess)),
    detected: drifted.length > 0,
    severity: severityOfAll(drifted),
    alpha,
  };
}

function severityOfAll(
  drifted: readonly { readonly severity: Severity; readonly importance: number }[],
): Severity {
  let carried = 0;
  for (const rank of ranks) {
    carried += sumOf(drifted.filter((row) => row.severity === rank).map((row) => row.importance));
    if (carried >= carrying) return rank;
  }
  return drifted.length > 0 ? 'LOW' : 'NONE';
}

function checkedImportance(importance: number): number {
  if (!(importance >= 0 && importance < Infinity))
    throw invalid('importance', importance, 'a number from 0 on');
  return importance;
}

function sumOf(values: readonly number[]): number {
  return values.reduce((sum, value) => sum + value, 0);
}
