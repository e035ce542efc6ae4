import { KeelsonError } from '../../errors.ts';
import {
  ascendingDrift,
  type BinnedMethod,
  type Category,
  countedDrift,
  type DriftResult,
  momentsOf,
  type SampleMethod,
  type ShareDrift,
  shareDrift,
} from '../../statistics/index.ts';
import { categoriesOf, type DataColumn, namesItsRows } from '../data-columns.ts';
import { type ColumnCode, codeOfCategories, codeOfNumbers } from '../drift/encode-rows.ts';
import {
  type ColumnFigures,
  type ColumnHistogram,
  categoryHistogram,
  columnFigures,
  numberHistogram,
  type PairSpace,
} from './column-figures.ts';
import type { DriftReportOptions, ShareKind } from './drift-report-data.ts';

/** A column compared by itself, before p is corrected for the number of columns. */
export interface ColumnComparison {
  readonly column: string;
  readonly type: 'number' | 'category';
  readonly reference: ColumnFigures;
  readonly current: ColumnFigures;
  readonly result: DriftResult;
  readonly shares: readonly { readonly of: ShareKind; readonly drift: ShareDrift }[];
  readonly newCategories: readonly { readonly category: Category; readonly count: number }[];
  readonly vanished: readonly Category[];
  readonly histogram?: ColumnHistogram;
  /** How it becomes a number of the reference's mean 0 and deviation 1. */
  readonly code?: ColumnCode;
}

const binnedMethods: readonly string[] = [
  ...['psi', 'jensen-shannon', 'kullback-leibler', 'hellinger', 'total-variation'],
  ...['largest-difference', 'chi-squared'],
];
const shown = 20;

/** Compares one column, or says why it is not compared. */
export function compareColumn(
  column: string,
  was: DataColumn,
  is: DataColumn,
  options: DriftReportOptions,
  space: PairSpace,
): ColumnComparison | { readonly column: string; readonly reason: string } {
  if (was.type === 'other' || (was.type === 'empty' && is.type === 'other')) {
    return { column, reason: 'lists and objects are not compared' };
  }
  const type = kindOf(was.type === 'empty' ? is : was);
  const asked = options.columns?.includes(column) === true;
  if (!asked && was.isTime) {
    return { column, reason: 'points in time always move; name it in `columns` to compare it' };
  }
  if (type === 'category' && !asked && namesItsRows(was)) {
    return {
      column,
      reason: 'almost every row has a text of its own; name it in `columns` to compare it',
    };
  }
  const [before, now] = space.ascending(was, is);
  const moments = momentsOf(before);
  const facts = {
    column,
    type,
    reference: columnFigures(was, before, moments),
    current: columnFigures(is, now, momentsOf(now)),
    shares: sharesOf(type, was, is, options.alpha),
  };
  if (type === 'number') {
    const histogram = numberHistogram(before, now);
    return {
      ...facts,
      result: ascendingDrift(before, now, settings(column, options, options.numeric), moments),
      newCategories: [],
      vanished: [],
      ...codeIn(codeOfNumbers(column, moments)),
      ...(histogram === undefined ? {} : { histogram }),
    };
  }
  const [listed, seen] = [categoriesOf(was), categoriesOf(is)];
  const method = settings(column, options, options.categorical);
  if (method.method !== undefined && !binnedMethods.includes(method.method)) {
    throw new KeelsonError(
      'INVALID',
      `Column ${JSON.stringify(column)} has categories, which ${method.method} cannot compare; use one of ${binnedMethods.join(', ')}.`,
    );
  }
  const drift = countedDrift(listed, seen, method as { readonly method?: BinnedMethod });
  const fresh = drift.others
    .filter(({ category }) => !listed.has(category))
    .toSorted((a, b) => b.count - a.count || (String(a.category) < String(b.category) ? -1 : 1));
  const histogram = categoryHistogram(listed, seen);
  return {
    ...facts,
    result: drift.values,
    newCategories: fresh.slice(0, shown),
    vanished: drift.vanished.slice(0, shown),
    ...codeIn(codeOfCategories(column, listed)),
    ...(histogram === undefined ? {} : { histogram }),
  };
}

function codeIn(code: ColumnCode | undefined): Pick<ColumnComparison, 'code'> {
  return code === undefined ? {} : { code };
}

/** What most values of a column are. */
function kindOf({ numbers, infinite, textRows }: DataColumn): 'number' | 'category' {
  const numeric = numbers.length + infinite;
  return numeric > 0 && numeric >= textRows ? 'number' : 'category';
}

function settings(
  column: string,
  { alpha, methods = {}, effectThresholds = {} }: DriftReportOptions,
  common: SampleMethod | BinnedMethod | undefined,
): {
  readonly method?: SampleMethod | BinnedMethod;
  readonly alpha?: number;
  readonly effectThreshold?: number;
} {
  const method = Object.hasOwn(methods, column) ? methods[column] : common;
  return {
    ...(method === undefined ? {} : { method }),
    ...(alpha === undefined ? {} : { alpha }),
    ...(Object.hasOwn(effectThresholds, column)
      ? { effectThreshold: effectThresholds[column] as number }
      : {}),
  };
}

function sharesOf(
  type: 'number' | 'category',
  was: DataColumn,
  is: DataColumn,
  alpha: number | undefined,
): ColumnComparison['shares'] {
  const odd = (side: DataColumn): number => side.others + (type === 'number' ? side.textRows : 0);
  const kinds: readonly (readonly [ShareKind, (side: DataColumn) => number])[] = [
    ['missing', (side) => side.missing],
    ['infinite', (side) => side.infinite],
    ['wrong-type', odd],
  ];
  return kinds.map(([of, count]) => ({
    of,
    drift: shareDrift(
      { successes: count(was), trials: was.rows },
      { successes: count(is), trials: is.rows },
      alpha,
    ),
  }));
}
