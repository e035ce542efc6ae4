import { z } from 'zod';
import { checkOptions } from '../../check-options.ts';
import { KeelsonError } from '../../errors.ts';
import type { JsonObject } from '../../json.ts';
import { renderPage } from '../../registry/page-document.ts';
import {
  benjaminiHochberg,
  type DatasetDrift,
  datasetDrift,
  type Severity,
} from '../../statistics/index.ts';
import {
  assertTable,
  columnNames,
  type DataColumn,
  type DataTable,
  dataColumns,
  rowCount,
} from '../data-columns.ts';
import { fitMultivariate, multivariateDrift } from '../drift/multivariate.ts';
import { PairSpace } from './column-figures.ts';
import { type ColumnComparison, compareColumn } from './compare-columns.ts';
import { driftPage } from './drift-page.ts';
import {
  type ColumnDrift,
  type ColumnRole,
  type DriftReportData,
  type DriftReportOptions,
  hasDrifted,
  type ReportSide,
  roleOf,
} from './drift-report-data.ts';
import { segmentDrifts } from './segment-drift.ts';

/** What changed between two sets of data: as data, as Markdown, as a page. */
export interface DriftReport extends DriftReportData {
  /** Plain JSON; what `JSON.stringify` takes. */
  toJSON(): JsonObject;
  toMarkdown(): string;
  /** One self-contained page with a plot of each column: no script, nothing loaded. */
  toHtml(): string;
}

const samples = ['kolmogorov-smirnov', 'wasserstein', 'welch', 'mann-whitney'] as const;
const binned = [
  ...(['psi', 'jensen-shannon', 'kullback-leibler', 'hellinger'] as const),
  ...(['total-variation', 'largest-difference', 'chi-squared'] as const),
] as const;
const names = z.array(z.string());

const optionsShape = z.strictObject({
  title: z.string().optional(),
  alpha: z.number().gt(0).lt(1).optional(),
  columns: names.optional(),
  except: names.optional(),
  prediction: z.string().optional(),
  target: z.string().optional(),
  importances: z.record(z.string(), z.number().min(0)).optional(),
  numeric: z.enum([...samples, ...binned]).optional(),
  categorical: z.enum(binned).optional(),
  methods: z.record(z.string(), z.enum([...samples, ...binned])).optional(),
  effectThresholds: z.record(z.string(), z.number().gt(0)).optional(),
  segment: z.string().optional(),
  multivariate: z.boolean().optional(),
  minimumSegmentRows: z.number().int().min(1).optional(),
} satisfies Record<keyof DriftReportOptions, z.ZodType>);

/**
 * Compares data with a reference, column by column. Needs no platform.
 *
 * A feature has drifted where its score reaches the smallest that matters and is beyond chance for the sizes of both
 * sides; p-values are corrected for the number of features (Benjamini–Hochberg). Too few rows, empty and constant columns
 * are answers (`not-enough-data`), never errors; no figure is NaN. Columns in which almost every row has a text of its own
 * (ids, dates as text) are set aside. Equal data gives an equal report. INVALID for what is no table, for names of
 * columns that neither side has, and for options that contradict each other.
 */
export function driftReport(
  reference: DataTable,
  current: DataTable,
  options: DriftReportOptions = {},
): DriftReport {
  assertTable(reference, 'the reference');
  assertTable(current, 'the current data');
  checkOptions(optionsShape, options, 'A drift report');
  const sides = [
    { table: reference, rows: rowCount(reference, 'the reference') },
    { table: current, rows: rowCount(current, 'the current data') },
  ] as const;
  const data = reportData(sides, options);
  return {
    ...data,
    toJSON: () => structuredClone(data) as unknown as JsonObject,
    toMarkdown: () => renderPage(driftPage(data), 'markdown'),
    toHtml: () => renderPage(driftPage(data), 'html'),
  };
}

function reportData(
  sides: readonly [ReportSide, ReportSide],
  options: DriftReportOptions,
): DriftReportData {
  const { alpha = 0.05 } = options;
  const [before, now] = [columnNames(sides[0].table), columnNames(sides[1].table)];
  assertNames(options, new Set([...before, ...now]));
  const wanted = [...new Set([...before, ...now])].filter((name) => isWanted(name, options));
  const schema = wanted.flatMap((column): DriftReportData['schema'] => {
    if (!before.includes(column)) return [{ column, change: 'new' }];
    return now.includes(column) ? [] : [{ column, change: 'gone' }];
  });
  const compared: ColumnComparison[] = [];
  const setAside: { column: string; reason: string }[] = [];
  const space = new PairSpace();
  const common = wanted.filter((name) => before.includes(name) && now.includes(name));
  for (const { name, was, is } of pairsOf(sides, common)) {
    const comparison = compareColumn(name, was, is, options, space);
    if ('reason' in comparison) setAside.push(comparison);
    else compared.push(comparison);
  }
  const { columns, dataset } = together(compared, options, alpha);
  const multivariate = varyTogether(sides, compared, options);
  const isDetected =
    columns.some(hasDrifted) || schema.length > 0 || multivariate?.detected === true;
  const least = multivariate?.detected === true ? multivariate.severity : 'LOW';
  return {
    format: 1,
    title: options.title ?? 'Drift report',
    rows: { reference: sides[0].rows, current: sides[1].rows },
    detected: isDetected,
    severity: dataset.severity === 'NONE' && isDetected ? least : dataset.severity,
    ...(multivariate === undefined ? {} : { multivariate }),
    dataset,
    columns,
    schema,
    setAside,
    segments: segmentDrifts(sides, compared, options, alpha),
  };
}

/** How the features that both sides have vary together. */
function varyTogether(
  [reference, current]: readonly [ReportSide, ReportSide],
  compared: readonly ColumnComparison[],
  options: DriftReportOptions,
): DriftReportData['multivariate'] {
  if (options.multivariate === false) return undefined;
  const codes = compared.flatMap(({ column, code }) =>
    code !== undefined && roleOf(column, options) === 'feature' ? [code] : [],
  );
  const baseline = fitMultivariate(reference.table, reference.rows, codes);
  return baseline && multivariateDrift(baseline, current.table);
}

/** The columns of both sides, a few at a time: rows are walked once for these, and not all of them are held. */
function* pairsOf(
  [reference, current]: readonly [ReportSide, ReportSide],
  names: readonly string[],
): Generator<{ readonly name: string; readonly was: DataColumn; readonly is: DataColumn }> {
  for (let from = 0; from < names.length; from += columnsAtOnce) {
    const some = names.slice(from, from + columnsAtOnce);
    const before = dataColumns(reference.table, some, reference.rows);
    const now = dataColumns(current.table, some, current.rows);
    for (const name of some) {
      yield { name, was: before.get(name) as DataColumn, is: now.get(name) as DataColumn };
    }
  }
}

const columnsAtOnce = 16;

/** Corrects for the number of columns. The prediction and the target are questions of their own. */
function together(
  compared: readonly ColumnComparison[],
  options: DriftReportOptions,
  alpha: number,
): { columns: readonly ColumnDrift[]; dataset: Omit<DatasetDrift, 'features'> } {
  const { importances = {} } = options;
  const ofRole = (role: ColumnRole) =>
    datasetDrift(
      compared
        .filter(({ column }) => roleOf(column, options) === role)
        .map(({ column, result }) => ({
          feature: column,
          result,
          ...(role === 'feature' && Object.hasOwn(importances, column)
            ? { importance: importances[column] as number }
            : {}),
        })),
      alpha,
    );
  const byRole = {
    feature: ofRole('feature'),
    prediction: ofRole('prediction'),
    target: ofRole('target'),
  };
  const shares = compared.flatMap(({ column, shares: all }) =>
    all.map((share) => ({ column, ...share })),
  );
  const adjusted = benjaminiHochberg(shares.map(({ drift }) => drift.pValue ?? 1));
  const judged = shares.map((share, i) => {
    const adjustedPValue = adjusted[i] ?? 1;
    return { ...share, adjustedPValue, detected: share.drift.detected && adjustedPValue <= alpha };
  });
  const columns = compared.map((one): ColumnDrift => {
    const role = roleOf(one.column, options);
    const found = byRole[role].features.find(({ feature }) => feature === one.column);
    const { result: _, column, shares: __, code: ____, ...facts } = one;
    return {
      ...(found as DatasetDrift['features'][number]),
      role,
      ...facts,
      shares: judged
        .filter((share) => share.column === column)
        .map(({ column: ___, ...share }) => share),
    };
  });
  const { features: _, ...dataset } = byRole.feature;
  return { columns: columns.toSorted(worstFirst), dataset };
}

const ranks: readonly Severity[] = ['CRITICAL', 'HIGH', 'MEDIUM', 'LOW', 'NONE'];

function worstFirst(a: ColumnDrift, b: ColumnDrift): number {
  return (
    ranks.indexOf(a.severity) - ranks.indexOf(b.severity) ||
    b.importance * b.excess - a.importance * a.excess ||
    Number(hasDrifted(b)) - Number(hasDrifted(a))
  );
}

function isWanted(name: string, { columns, except, segment }: DriftReportOptions): boolean {
  if (columns !== undefined) return columns.includes(name);
  return except?.includes(name) !== true && name !== segment;
}

function assertNames(options: DriftReportOptions, known: ReadonlySet<string>): void {
  const { columns = [], except = [], prediction, target, segment } = options;
  const named = [...columns, ...except, prediction, target, segment];
  const more = [options.importances, options.methods, options.effectThresholds];
  for (const name of [...named, ...more.flatMap((each) => Object.keys(each ?? {}))]) {
    if (name === undefined || known.has(name)) continue;
    const have = [...known].slice(0, 20).map((each) => JSON.stringify(each));
    throw new KeelsonError(
      'INVALID',
      `Neither side has a column ${JSON.stringify(name)}; there are ${have.join(', ') || 'none'}${known.size > 20 ? ' and more' : ''}.`,
    );
  }
}
