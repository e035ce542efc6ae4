import type { Json, ModelSignature, PredictionRow, Tensor, TensorSpec } from '@keelson/core';
import { compileRows, type RowReader } from '../protocol/rows.ts';

/** What is known of an answered (or failed) request beside its tensors. */
export type PredictionFacts = Omit<
  PredictionRow,
  'requestId' | 'features' | 'prediction' | 'probabilities'
> & {
  readonly requestId: string;
};

/** Makes the rows that monitoring gets of one model version's requests. */
export interface PredictionRows {
  /**
   * One row for each input row; with several, their ids are `id/0`, `id/1` and so on. Without outputs (the request
   * failed) predictions are null.
   */
  rows(
    facts: PredictionFacts,
    inputs: readonly Tensor[],
    rowCount: number,
    outputs: readonly Tensor[] | undefined,
  ): PredictionRow[];
}

/** The output whose rows are the predicted classes or values. */
export const labelOutput = 'label';

/** The output that has a probability for each class, its `columns` being the classes. */
export const probabilitiesOutput = 'probabilities';

/**
 * Compiles the making of rows for a signature. Convention: output `label` is the prediction and
 * `probabilities` (FP64, [−1, classes], with columns) the classes' probabilities. Without `label`, the prediction is
 * the row of the only other output, or an object of all of them by name.
 */
export function compilePredictionRows(signature: ModelSignature): PredictionRows {
  const features = compileRows(signature.inputs);
  const probabilities = signature.outputs.findIndex(
    ({ name, columns, shape }) =>
      name === probabilitiesOutput && columns !== undefined && shape.length === 2,
  );
  const probabilityRows =
    probabilities < 0 ? undefined : compileRows([signature.outputs[probabilities] as TensorSpec]);
  const predictions = compilePredictions(signature);
  return {
    rows(facts, inputs, rowCount, outputs) {
      const featureRows = features(inputs, rowCount);
      const predicted = outputs === undefined ? undefined : predictions(outputs, rowCount);
      const classes =
        outputs === undefined || probabilityRows === undefined
          ? undefined
          : probabilityRows([outputs[probabilities] as Tensor], rowCount);
      return featureRows.map((row, i) => ({
        ...facts,
        requestId: rowCount === 1 ? facts.requestId : `${facts.requestId}/${i}`,
        features: row,
        prediction: predicted?.[i] ?? null,
        ...(classes === undefined ? {} : { probabilities: classes[i] as Record<string, number> }),
      }));
    },
  };
}

function compilePredictions(
  signature: ModelSignature,
): (outputs: readonly Tensor[], rowCount: number) => Json[] {
  const label = signature.outputs.findIndex(({ name }) => name === labelOutput);
  const rest = signature.outputs.filter(({ name }) => name !== probabilitiesOutput);
  const chosen =
    label >= 0
      ? [label]
      : rest.length > 0
        ? rest.map((spec) => signature.outputs.indexOf(spec))
        : [0];
  // Without columns, so that each output gives its row under its own name.
  const specs = chosen.map((place) => {
    const { name, datatype, shape } = signature.outputs[place] as TensorSpec;
    return { name, datatype, shape };
  });
  const read: RowReader = compileRows(specs);
  const only = specs.length === 1 ? specs[0]?.name : undefined;
  return (outputs, rowCount) => {
    const rows = read(
      chosen.map((place) => outputs[place] as Tensor),
      rowCount,
    );
    return rows.map((row) => (only === undefined ? row : (row[only] ?? null)));
  };
}
