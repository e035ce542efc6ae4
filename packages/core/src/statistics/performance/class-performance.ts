import { requireLevel } from '../arguments.ts';
import {
  effectiveRows,
  type MeasuredFigure,
  noFigure,
  noWeight,
  ofVariance,
  shareFigure,
  type WeightSum,
} from './measured-figure.ts';
import { totalWeight, type WeightedConfusion } from './weighted-confusion.ts';

/** How well one class is told from the others. Plain JSON. */
export type ClassFigures = {
  readonly class: string;
  /** Rows of this class, and rows that were said to be. */
  readonly support: number;
  readonly predicted: number;
  readonly precision: MeasuredFigure;
  readonly recall: MeasuredFigure;
  readonly f1: MeasuredFigure;
};

/** How well classes are told apart. Plain JSON. */
export type ClassPerformance = {
  readonly rows: number;
  readonly accuracy: MeasuredFigure;
  /** Means over the classes that were predicted (precision), that occur (recall), that do either (F1). */
  readonly macroPrecision: MeasuredFigure;
  /** Also called balanced accuracy. */
  readonly macroRecall: MeasuredFigure;
  readonly macroF1: MeasuredFigure;
  readonly perClass: readonly ClassFigures[];
};

/** What the cells of a class add up to. */
interface ClassSums {
  readonly name: string;
  readonly hits: WeightSum;
  readonly missed: WeightSum;
  readonly wrongly: WeightSum;
}

/**
 * Accuracy, and precision, recall and F1 of each class and on average, with their intervals. Rows of the predicted class
 * `unanswered` are wrong, and it is no class of its own.
 */
export function classPerformance(
  confusion: WeightedConfusion,
  alpha: number,
  { unanswered }: { readonly unanswered?: string } = {},
): ClassPerformance {
  requireLevel('alpha', alpha);
  const { classes, cells } = confusion;
  const sums = classes.map((name, k): ClassSums => {
    const other = (cell: WeightSum, i: number): WeightSum => (i === k ? noWeight : cell);
    return {
      name,
      hits: cells[k]?.[k] ?? noWeight,
      missed: totalWeight((cells[k] ?? []).map(other)),
      wrongly: totalWeight(cells.map((row) => row[k] ?? noWeight).map(other)),
    };
  });
  const right = totalWeight(sums.map(({ hits }) => hits));
  const wrong = totalWeight(sums.map(({ missed }) => missed));
  const counted = sums.map((each) => (each.name === unanswered ? undefined : each));
  return {
    rows: right.rows + wrong.rows,
    accuracy: shareFigure(right, wrong, alpha),
    macroPrecision: macro(cells, termsOf(counted, 'wrongly'), alpha, (terms, a, p) =>
      changeBy(terms[p], a === p),
    ),
    macroRecall: macro(cells, termsOf(counted, 'missed'), alpha, (terms, a, p) =>
      changeBy(terms[a], a === p),
    ),
    macroF1: macro(cells, counted.map(f1Term), alpha, (terms, a, p) =>
      a === p
        ? 2 * changeBy(terms[a], true)
        : changeBy(terms[a], false) + changeBy(terms[p], false),
    ),
    perClass: counted.flatMap((each) => (each === undefined ? [] : [classFigures(each, alpha)])),
  };
}

function classFigures({ name, hits, missed, wrongly }: ClassSums, alpha: number): ClassFigures {
  return {
    class: name,
    support: hits.rows + missed.rows,
    predicted: hits.rows + wrongly.rows,
    precision: shareFigure(hits, wrongly, alpha),
    recall: shareFigure(hits, missed, alpha),
    f1: f1Of(shareFigure(hits, totalWeight([missed, wrongly]), alpha)),
  };
}

/** F1 from tp/(tp + fp + fn), of which it is a rising function. */
function f1Of(share: MeasuredFigure): MeasuredFigure {
  const { value, interval, standardError } = share;
  if (value === null || interval === null || standardError === null) return share;
  const of = (j: number): number => (2 * j) / (1 + j);
  return {
    ...share,
    value: of(value),
    interval: { low: of(interval.low), high: of(interval.high) },
    standardError: (standardError * 2) / (1 + value) ** 2,
  };
}

/** The figure of one class, with what a unit of weight divides by; undefined where there is nothing to. */
interface Term {
  readonly value: number;
  readonly whole: number;
  readonly rows: number;
}

function termsOf(
  sums: readonly (ClassSums | undefined)[],
  besides: 'missed' | 'wrongly',
): readonly (Term | undefined)[] {
  return sums.map((each) => {
    if (each === undefined) return undefined;
    const all = totalWeight([each.hits, each[besides]]);
    if (!(all.weight > 0)) return undefined;
    return { value: each.hits.weight / all.weight, whole: all.weight, rows: effectiveRows(all) };
  });
}

/** 2·tp/(2·tp + fp + fn). */
function f1Term(each: ClassSums | undefined): Term | undefined {
  if (each === undefined) return undefined;
  const { hits, missed, wrongly } = each;
  const whole = 2 * hits.weight + missed.weight + wrongly.weight;
  if (!(whole > 0)) return undefined;
  const rows = effectiveRows(totalWeight([hits, missed, wrongly]));
  return { value: (2 * hits.weight) / whole, whole, rows };
}

/** What a unit of weight changes the figure of a class by, to the first order. */
function changeBy(term: Term | undefined, isHit: boolean): number {
  return term === undefined ? 0 : ((isHit ? 1 : 0) - term.value) / term.whole;
}

/** The mean over classes, with the variance of what each row changes it by. */
function macro(
  cells: WeightedConfusion['cells'],
  terms: readonly (Term | undefined)[],
  alpha: number,
  change: (terms: readonly (Term | undefined)[], actual: number, predicted: number) => number,
): MeasuredFigure {
  const known = terms.filter((term) => term !== undefined);
  if (known.length === 0) return noFigure('wilson');
  const value = known.reduce((sum, term) => sum + term.value, 0) / known.length;
  let variance = 0;
  for (const [a, row] of cells.entries()) {
    for (const [p, { squares }] of row.entries()) {
      if (squares > 0) variance += squares * (change(terms, a, p) / known.length) ** 2;
    }
  }
  // Where no row changes anything: as if each class had the same share.
  const rows = known.length ** 2 / known.reduce((sum, term) => sum + 1 / term.rows, 0);
  return ofVariance(Math.min(1, value), variance, rows, alpha);
}
