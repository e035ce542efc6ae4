import { invalid, requireCount } from '../arguments.ts';

/** How often each class was predicted for each actual class: `counts[actual][predicted]`. Mergeable, plain JSON. */
export type ConfusionMatrix = {
  /** Ascending. */
  readonly classes: readonly string[];
  readonly counts: readonly (readonly number[])[];
};

/** How well one class is told from the others; null where there is nothing to divide by. Plain JSON. */
export type ClassMetrics = {
  readonly class: string;
  /** Items of this class. */
  readonly support: number;
  readonly predicted: number;
  readonly precision: number | null;
  readonly recall: number | null;
  /** 2·tp/(2·tp + fp + fn): 0 where the class is only ever missed or only wrongly named. */
  readonly f1: number | null;
};

/** How well a classifier does; null without items. Plain JSON. */
export type ClassificationMetrics = {
  readonly items: number;
  readonly correct: number;
  readonly accuracy: number | null;
  /** Mean recall of the classes that occur. */
  readonly balancedAccuracy: number | null;
  /** Mean f1 of the classes that occur or are predicted. */
  readonly macroF1: number | null;
  /** The most frequent actual class, the first of equals. */
  readonly majorityClass: string | null;
  /** The accuracy of always naming it: what a model has to beat. */
  readonly majorityAccuracy: number | null;
  /** Cohen's kappa: agreement beyond chance; null where chance alone agrees always. */
  readonly kappa: number | null;
  readonly perClass: readonly ClassMetrics[];
};

/** The matrix of pairs of labels. INVALID for lists of different length. */
export function confusionMatrix(
  actual: readonly string[],
  predicted: readonly string[],
): ConfusionMatrix {
  if (actual.length !== predicted.length) {
    throw invalid(
      'predicted',
      predicted.length,
      `as many labels as there are actual ones, ${actual.length}`,
    );
  }
  const classes = [...new Set([...actual, ...predicted])].sort();
  const places = new Map(classes.map((name, index) => [name, index]));
  const counts = classes.map(() => classes.map(() => 0));
  for (const [index, name] of actual.entries()) {
    const row = counts[places.get(name) as number] as number[];
    const column = places.get(predicted[index] as string) as number;
    row[column] = (row[column] as number) + 1;
  }
  return { classes, counts };
}

/** Both matrices together; classes are joined by name. */
export function mergeConfusion(a: ConfusionMatrix, b: ConfusionMatrix): ConfusionMatrix {
  const classes = [...new Set([...a.classes, ...b.classes])].sort();
  const counts = classes.map((actual) =>
    classes.map((predicted) => countOf(a, actual, predicted) + countOf(b, actual, predicted)),
  );
  return { classes, counts };
}

/** Accuracy, per-class precision, recall and f1, and the baselines to hold them against. INVALID for counts that are none. */
export function classificationMetrics(matrix: ConfusionMatrix): ClassificationMetrics {
  for (const row of matrix.counts) for (const count of row) requireCount('count', count);
  const perClass = matrix.classes.map((_, index) => classMetrics(matrix, index));
  const items = sumOf(perClass.map((one) => one.support));
  const correct = sumOf(matrix.classes.map((_, index) => matrix.counts[index]?.[index] ?? 0));
  const chance = sumOf(perClass.map((one) => (one.support / items) * (one.predicted / items)));
  const majority = perClass.reduce<ClassMetrics | undefined>(
    (most, one) => (most === undefined || one.support > most.support ? one : most),
    undefined,
  );
  const accuracy = items > 0 ? correct / items : null;
  return {
    items,
    correct,
    accuracy,
    balancedAccuracy: meanOf(perClass.map((one) => one.recall)),
    macroF1: meanOf(perClass.map((one) => one.f1)),
    majorityClass: items > 0 ? (majority?.class ?? null) : null,
    majorityAccuracy: items > 0 ? (majority?.support ?? 0) / items : null,
    kappa: accuracy === null || chance === 1 ? null : (accuracy - chance) / (1 - chance),
    perClass,
  };
}

function classMetrics({ classes, counts }: ConfusionMatrix, index: number): ClassMetrics {
  const hits = counts[index]?.[index] ?? 0;
  const support = sumOf(counts[index] ?? []);
  const predicted = sumOf(counts.map((row) => row[index] ?? 0));
  return {
    class: classes[index] as string,
    support,
    predicted,
    precision: predicted > 0 ? hits / predicted : null,
    recall: support > 0 ? hits / support : null,
    f1: support + predicted > 0 ? (2 * hits) / (support + predicted) : null,
  };
}

function countOf({ classes, counts }: ConfusionMatrix, actual: string, predicted: string): number {
  return counts[classes.indexOf(actual)]?.[classes.indexOf(predicted)] ?? 0;
}

function meanOf(values: readonly (number | null)[]): number | null {
  const known = values.filter((value) => value !== null);
  return known.length > 0 ? sumOf(known) / known.length : null;
}

function sumOf(values: readonly number[]): number {
  return values.reduce((sum, value) => sum + value, 0);
}
