import { KeelsonError } from '../../errors.ts';
import type { JsonObject } from '../../json.ts';
import { meanInterval, momentsOf } from '../../statistics/index.ts';

/** A row of features with the number that was predicted of it. */
export interface RegressionRow {
  readonly features: JsonObject;
  readonly predicted: number;
}

/** Learns a number from rows: a boosted tree, say. None is shipped: give your own. */
export interface Regressor {
  /** The number to expect of each row, learnt from rows whose number is known. */
  fit(
    rows: readonly RegressionRow[],
    numbers: readonly number[],
  ): Promise<(rows: readonly RegressionRow[]) => Promise<readonly number[]>>;
}

/** What errors are to be expected. Plain JSON. */
export type EstimatedErrors = {
  readonly rows: number;
  readonly reference: number;
  readonly meanAbsolute: number | null;
  /** Of the mean of the expected errors alone: what the regressor gets wrong is not in it. */
  readonly interval: { readonly low: number; readonly high: number } | null;
};

/**
 * The mean absolute error to expect of predicted numbers without their truth (direct loss estimation, NannyML's DLE): a regressor learns
 * |predicted − actual| from features and prediction where the truth is known. INVALID for a regressor that answers with other
 * than a number for each row.
 */
export async function estimateErrors(
  reference: readonly (RegressionRow & { readonly actual: number })[],
  rows: readonly RegressionRow[],
  regressor: Regressor,
): Promise<EstimatedErrors> {
  const known = reference.filter(
    (row) => Number.isFinite(row.actual) && Number.isFinite(row.predicted),
  );
  const counts = { rows: rows.length, reference: known.length };
  if (known.length === 0 || rows.length === 0)
    return { ...counts, meanAbsolute: null, interval: null };
  const bare = known.map(({ features, predicted }) => ({ features, predicted }));
  const learnt = await regressor.fit(
    bare,
    known.map(({ actual, predicted }) => Math.abs(predicted - actual)),
  );
  const errors = await learnt(rows);
  if (errors.length !== rows.length || !errors.every(Number.isFinite)) {
    throw new KeelsonError(
      'INVALID',
      `The regressor answered no finite number for each of ${rows.length} rows.`,
    );
  }
  const moments = momentsOf(errors.map((error) => Math.max(0, error)));
  const interval = moments.count < 2 ? null : meanInterval(moments, 0.05);
  return { ...counts, meanAbsolute: moments.mean, interval };
}
