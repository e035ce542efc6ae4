import type { Run } from '@keelson/core';
import { type Column, columnsOf } from '../runs/columns.ts';

/** An axis of plots over runs: numbers, or words by their place. */
export interface Axis {
  readonly field: string;
  readonly title: string;
  readonly isMetric: boolean;
  /** The words of an axis that has no numbers, in their order. */
  readonly words: readonly string[] | undefined;
  /** The value of each run on it, by its place among the runs; undefined where it has none. */
  readonly values: readonly (number | undefined)[];
}

/** The axes that tell these runs apart: params and metrics with more than one value. */
export function axesOf(runs: readonly Run[]): readonly Axis[] {
  return columnsOf(runs)
    .filter(({ field }) => field.startsWith('metrics.') || field.startsWith('params.'))
    .map((column) => axisOf(column, runs))
    .filter(({ values }) => new Set(values.filter((each) => each !== undefined)).size > 1);
}

function axisOf(column: Column, runs: readonly Run[]): Axis {
  const { field, title } = column;
  const raw = runs.map((run) => column.of(run));
  const isMetric = field.startsWith('metrics.');
  if (raw.every((each) => each === undefined || typeof each === 'number')) {
    const values = raw.map((each) =>
      typeof each === 'number' && Number.isFinite(each) ? each : undefined,
    );
    return { field, title, isMetric, words: undefined, values };
  }
  const texts = raw.map((each) =>
    each === undefined ? undefined : typeof each === 'string' ? each : JSON.stringify(each),
  );
  const words = [...new Set(texts.filter((each) => each !== undefined))].sort();
  const place = new Map(words.map((word, i) => [word, i]));
  return {
    field,
    title,
    isMetric,
    words,
    values: texts.map((each) => (each === undefined ? undefined : place.get(each))),
  };
}

/** How much of a metric's order one param explains. */
export interface Importance {
  readonly axis: Axis;
  /** 0 to 1. */
  readonly share: number;
  /** −1 to 1 for numbers: which way it goes. */
  readonly direction: number | undefined;
  readonly runs: number;
}

/**
 * Params by how much of a metric's ranks each alone explains: Spearman's ρ² for numbers, the correlation ratio η² of
 * ranks for words. Runs that lack either are left out; what is confounded stays confounded.
 */
export function importances(target: Axis, axes: readonly Axis[]): readonly Importance[] {
  return axes
    .filter(({ isMetric }) => !isMetric)
    .map((axis) => {
      const pairs = axis.values.flatMap((x, i) => {
        const y = target.values[i];
        return x === undefined || y === undefined ? [] : [[x, y] as const];
      });
      const ys = ranks(pairs.map(([, y]) => y));
      if (axis.words !== undefined) {
        return {
          axis,
          share: correlationRatio(
            pairs.map(([x]) => x),
            ys,
          ),
          direction: undefined,
          runs: pairs.length,
        };
      }
      const rho = correlation(ranks(pairs.map(([x]) => x)), ys);
      return { axis, share: rho * rho, direction: rho, runs: pairs.length };
    })
    .filter(({ runs }) => runs > 2)
    .sort((a, b) => b.share - a.share);
}

/** Ranks, the mean one for those that are equal. */
function ranks(values: readonly number[]): readonly number[] {
  const order = values
    .map((_, i) => i)
    .sort((a, b) => (values[a] as number) - (values[b] as number));
  const found = new Array<number>(values.length);
  for (let i = 0; i < order.length; ) {
    let end = i;
    while (end < order.length && values[order[end] as number] === values[order[i] as number])
      end += 1;
    for (let k = i; k < end; k += 1) found[order[k] as number] = (i + end - 1) / 2;
    i = end;
  }
  return found;
}

/** Pearson's correlation; 0 where one does not vary. */
function correlation(a: readonly number[], b: readonly number[]): number {
  const [ma, mb] = [mean(a), mean(b)];
  let [ab, aa, bb] = [0, 0, 0];
  for (let i = 0; i < a.length; i += 1) {
    const [da, db] = [(a[i] as number) - ma, (b[i] as number) - mb];
    ab += da * db;
    aa += da * da;
    bb += db * db;
  }
  return aa === 0 || bb === 0 ? 0 : ab / Math.sqrt(aa * bb);
}

function correlationRatio(groups: readonly number[], values: readonly number[]): number {
  const all = mean(values);
  const total = values.reduce((sum, each) => sum + (each - all) ** 2, 0);
  if (total === 0) return 0;
  const byGroup = Map.groupBy(
    values.map((value, i) => ({ value, group: groups[i] })),
    ({ group }) => group,
  );
  let between = 0;
  for (const of of byGroup.values())
    between += of.length * (mean(of.map(({ value }) => value)) - all) ** 2;
  return between / total;
}

export function mean(values: readonly number[]): number {
  return values.reduce((sum, each) => sum + each, 0) / values.length;
}

/** Standard deviation of a sample. */
export function deviation(values: readonly number[]): number {
  if (values.length < 2) return 0;
  const m = mean(values);
  return Math.sqrt(values.reduce((sum, each) => sum + (each - m) ** 2, 0) / (values.length - 1));
}
