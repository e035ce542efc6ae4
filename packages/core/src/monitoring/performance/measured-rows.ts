import type { Json } from '../../json.ts';
import {
  type ClassPerformance,
  classPerformance,
  effectiveRows,
  type NumberPerformance,
  numberPerformance,
  type ScorePerformance,
  scorePerformance,
  type WeightSum,
  weightedConfusion,
} from '../../statistics/index.ts';

/** A row whose truth is known. */
export interface PerformanceRow {
  /** What was the case. */
  readonly actual: Json;
  /** What the model said; missing where it failed. */
  readonly predicted?: Json;
  /** How probable each class was said to be. */
  readonly probabilities?: Readonly<Record<string, number>>;
  /** How many rows it stands for: 1 over its chance of having been kept; 1 when left out. */
  readonly weight?: number;
}

/** What the model does: names classes, or predicts numbers. */
export type PerformanceTask = 'classification' | 'regression';

/** How rows are measured. */
export interface MeasureOptions {
  /** By the rows when left out: numbers that are more than a few whole ones are a regression. */
  readonly task?: PerformanceTask;
  /** Intervals have the level 1 − alpha; 0.05 when left out. */
  readonly alpha?: number;
  /** Fewer rows are not enough; 1 when left out. */
  readonly minimumRows?: number;
  /** Where predictions are probabilities of a class 1 or true: from where on it is predicted; 0.5 when left out. */
  readonly threshold?: number;
}

/** How well a model does on rows whose truth is known. Plain JSON; every figure has its interval and method. */
export type MeasuredPerformance = {
  readonly outcome: 'measured' | 'not-enough-data';
  /** Missing where there are no rows to tell it from. */
  readonly task?: PerformanceTask;
  /** Rows with a truth, and as many of equal weight as would say the same. */
  readonly rows: number;
  readonly effectiveRows: number;
  /** Rows without an answer: wrong for a classification, left out of a regression. */
  readonly failed: number;
  /** Rows that fit no figure: text among numbers. */
  readonly unusable: number;
  readonly classes?: ClassPerformance;
  /** Of the rows that have probabilities. */
  readonly scores?: ScorePerformance;
  readonly numbers?: NumberPerformance;
};

/** Whole numbers up to so many different ones are classes. */
const mostClasses = 20;
/** More classes than this are none that a table could show. */
const mostListed = 1000;
/** What a row without an answer is said to be. */
const unanswered = '(no answer)';

/** Measures rows. Nothing is NaN; equal rows in equal order give equal figures, bit for bit. */
export function measureRows(
  rows: readonly PerformanceRow[],
  options: MeasureOptions = {},
): MeasuredPerformance {
  const { alpha = 0.05, minimumRows = 1 } = options;
  const failed = rows.filter(({ predicted }) => predicted === undefined).length;
  const task = options.task ?? taskOf(rows);
  const counts = {
    rows: rows.length,
    effectiveRows: effectiveRows(weightsOf(rows)),
    failed,
    unusable: 0,
  };
  const known = task === undefined ? {} : { task };
  if (task === undefined || rows.length < Math.max(1, minimumRows)) {
    return { outcome: 'not-enough-data', ...known, ...counts };
  }
  if (task === 'regression') {
    const usable = rows.filter(
      (row): row is PerformanceRow & { actual: number; predicted: number } =>
        Number.isFinite(row.actual) && Number.isFinite(row.predicted),
    );
    const unusable = rows.length - failed - usable.length;
    if (usable.length < Math.max(1, minimumRows)) {
      return { outcome: 'not-enough-data', task, ...counts, unusable };
    }
    const numbers = numberPerformance(
      {
        actual: usable.map(({ actual }) => actual),
        predicted: usable.map(({ predicted }) => predicted),
        weights: usable.map(weightOf),
      },
      alpha,
    );
    return { outcome: 'measured', task, ...counts, unusable, numbers };
  }
  const found = classesOf(rows, options, alpha);
  const outcome = found.classes === undefined ? 'not-enough-data' : 'measured';
  return { outcome, task, ...counts, ...found };
}

/** How many rows a row stands for. */
export function weightOf({ weight }: Pick<PerformanceRow, 'weight'>): number {
  return weight ?? 1;
}

/** What rows add up to. */
export function weightsOf(rows: readonly Pick<PerformanceRow, 'weight'>[]): WeightSum {
  let [weight, squares] = [0, 0];
  for (const row of rows) {
    weight += weightOf(row);
    squares += weightOf(row) ** 2;
  }
  return { rows: rows.length, weight, squares };
}

/** What rows are of; undefined where none has a truth and an answer. */
export function taskOf(rows: readonly PerformanceRow[]): PerformanceTask | undefined {
  const seen = new Set<number>();
  let answered = 0;
  let isBinary = true;
  for (const { actual, predicted } of rows) {
    if (typeof actual !== 'number' && typeof actual !== 'boolean') return 'classification';
    isBinary &&= typeof actual === 'boolean' || actual === 0 || actual === 1;
    if (predicted === undefined || predicted === null) continue;
    answered += 1;
    if (typeof predicted !== 'number') return 'classification';
    if (typeof actual === 'number') seen.add(actual);
    seen.add(predicted);
  }
  if (answered === 0) return rows.length === 0 ? undefined : 'classification';
  const values = [...seen];
  if (isBinary && values.every((value) => value >= 0 && value <= 1)) return 'classification';
  const areClasses = values.length <= mostClasses && values.every(Number.isInteger);
  return areClasses ? 'classification' : 'regression';
}

interface Answer {
  readonly actual: string;
  readonly predicted: string;
  readonly probabilities?: Readonly<Record<string, number>>;
  readonly weight: number;
}

function classesOf(
  rows: readonly PerformanceRow[],
  { threshold = 0.5 }: MeasureOptions,
  alpha: number,
): Pick<MeasuredPerformance, 'classes' | 'scores' | 'unusable'> {
  const answers = answersOf(rows, threshold);
  const weights = answers.map(({ weight }) => weight);
  const confusion = weightedConfusion(
    answers.map(({ actual }) => actual),
    answers.map(({ predicted }) => predicted),
    weights,
  );
  if (confusion.classes.length > mostListed) return { unusable: rows.length };
  const scored = scoresOf(answers, alpha);
  return {
    unusable: 0,
    classes: classPerformance(confusion, alpha, { unanswered }),
    ...(scored === undefined ? {} : { scores: scored }),
  };
}

/** Rows by the names of their classes; probabilities of one class make those of two. */
export function answersOf(
  rows: readonly PerformanceRow[],
  threshold: number,
  positive: ScoredClass | undefined = scoredClass(rows),
): readonly Answer[] {
  const nameOf = namesOf(rows, positive !== undefined);
  return rows.map((row): Answer => {
    const { actual, predicted, probabilities } = row;
    const common = { actual: nameOf(actual), weight: weightOf(row) };
    if (predicted === undefined) return { ...common, predicted: unanswered };
    if (positive !== undefined && typeof predicted === 'number') {
      const name = predicted >= threshold ? positive.is : positive.isNot;
      return {
        ...common,
        predicted: name,
        probabilities: { [positive.isNot]: 1 - predicted, [positive.is]: predicted },
      };
    }
    return {
      ...common,
      predicted: nameOf(predicted),
      ...(probabilities === undefined ? {} : { probabilities }),
    };
  });
}

/** The names of two classes, the first of which predictions are the probability of. */
interface ScoredClass {
  readonly is: string;
  readonly isNot: string;
}

/** The names of the classes where the answers are probabilities of one; undefined where they are classes. */
export function scoredClass(rows: readonly PerformanceRow[]): ScoredClass | undefined {
  let isScored = false;
  for (const { actual, predicted } of rows) {
    if (actual !== 0 && actual !== 1 && typeof actual !== 'boolean') return undefined;
    if (predicted === undefined || predicted === null) continue;
    if (typeof predicted !== 'number' || !(predicted >= 0 && predicted <= 1)) return undefined;
    isScored ||= !Number.isInteger(predicted);
  }
  if (!isScored) return undefined;
  const areTruths = rows.every(({ actual }) => typeof actual === 'boolean');
  return areTruths ? { is: 'true', isNot: 'false' } : { is: '1', isNot: '0' };
}

/** Classes by their text; 1 and "1" are not the same, and are told apart where both occur. */
function namesOf(rows: readonly PerformanceRow[], isScored: boolean): (value: Json) => string {
  const texts = new Set<string>();
  for (const { actual, predicted } of rows) {
    for (const value of [actual, predicted]) if (typeof value === 'string') texts.add(value);
  }
  const areTruths = rows.every(({ actual }) => typeof actual === 'boolean');
  return (value) => {
    if (typeof value === 'string') return value;
    if (isScored && !areTruths && typeof value === 'boolean') return value ? '1' : '0';
    const name = JSON.stringify(value);
    return texts.has(name) ? `${name} (${typeof value})` : name;
  };
}

function scoresOf(answers: readonly Answer[], alpha: number): ScorePerformance | undefined {
  const scored = answers.filter(({ probabilities }) => areProbabilities(probabilities));
  if (scored.length === 0) return undefined;
  const classes = [
    ...new Set(scored.flatMap(({ probabilities }) => Object.keys(probabilities ?? {}))),
  ].sort();
  if (classes.length > mostListed) return undefined;
  return scorePerformance(
    {
      actual: scored.map(({ actual }) => actual),
      predicted: scored.map(({ predicted }) => predicted),
      classes,
      probabilities: scored.map(({ probabilities = {} }) =>
        Float64Array.from(classes, (name) =>
          Object.hasOwn(probabilities, name) ? (probabilities[name] as number) : 0,
        ),
      ),
      weights: scored.map(({ weight }) => weight),
    },
    alpha,
  );
}

/** Whether they can be taken for what they are said to be. */
export function areProbabilities(
  probabilities: Readonly<Record<string, number>> | undefined,
): boolean {
  if (probabilities === undefined) return false;
  const values = Object.values(probabilities);
  return values.length > 0 && values.every((p) => p >= 0 && p <= 1);
}
