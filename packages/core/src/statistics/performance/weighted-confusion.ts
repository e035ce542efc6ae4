import { invalid } from '../arguments.ts';
import { addWeights, noWeight, type WeightSum } from './measured-figure.ts';

/** What weighted rows of each actual and predicted class add up to: `cells[actual][predicted]`. Plain JSON. */
export type WeightedConfusion = {
  /** Ascending. */
  readonly classes: readonly string[];
  readonly cells: readonly (readonly WeightSum[])[];
};

/** The confusion of rows; each counts once where there are no weights. INVALID for lists of different length. */
export function weightedConfusion(
  actual: readonly string[],
  predicted: readonly string[],
  weights?: readonly number[],
): WeightedConfusion {
  if (predicted.length !== actual.length) {
    throw invalid('predicted', predicted.length, `as many as there are actual, ${actual.length}`);
  }
  requireWeights(weights, actual.length);
  const classes = [...new Set([...actual, ...predicted])].sort();
  const places = new Map(classes.map((name, place) => [name, place]));
  const size = classes.length;
  const [rows, sums, squares] = [0, 1, 2].map(() => new Float64Array(size * size)) as [
    Float64Array,
    Float64Array,
    Float64Array,
  ];
  for (const [i, name] of actual.entries()) {
    const weight = weights?.[i] ?? 1;
    const place = (places.get(name) as number) * size + (places.get(predicted[i] as string) ?? 0);
    rows[place] = (rows[place] as number) + 1;
    sums[place] = (sums[place] as number) + weight;
    squares[place] = (squares[place] as number) + weight * weight;
  }
  const cells = classes.map((_, a) =>
    classes.map((__, p) => ({
      rows: rows[a * size + p] as number,
      weight: sums[a * size + p] as number,
      squares: squares[a * size + p] as number,
    })),
  );
  return { classes, cells };
}

/** INVALID unless there are as many positive weights as rows, or none. */
export function requireWeights(weights: readonly number[] | undefined, rows: number): void {
  if (weights === undefined) return;
  if (weights.length !== rows) {
    throw invalid('weights', weights.length, `as many as there are rows, ${rows}`);
  }
  for (const weight of weights) {
    if (!(weight > 0 && weight < Infinity)) throw invalid('weight', weight, 'a positive number');
  }
}

/** What a list of sums adds up to. */
export function totalWeight(all: readonly WeightSum[]): WeightSum {
  return all.reduce(addWeights, noWeight);
}
