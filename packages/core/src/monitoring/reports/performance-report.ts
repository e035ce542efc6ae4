import { z } from 'zod';
import { checkOptions } from '../../check-options.ts';
import { KeelsonError } from '../../errors.ts';
import type { Json, JsonObject } from '../../json.ts';
import { renderPage } from '../../registry/page-document.ts';
import { assertTable, columnNames, type DataTable, rowCount } from '../data-columns.ts';
import {
  type MeasureOptions,
  measureRows,
  type PerformanceRow,
  taskOf,
} from '../performance/measured-rows.ts';
import { segmentPerformances } from '../performance/segment-performance.ts';
import { performanceOverTime } from './performance-over-time.ts';
import { performancePage } from './performance-page.ts';
import type { PerformanceReportData } from './performance-report-data.ts';

/** How well a model does: as data, as Markdown, as a page. */
export interface PerformanceReport extends PerformanceReportData {
  /** Plain JSON; what `JSON.stringify` takes. */
  toJSON(): JsonObject;
  toMarkdown(): string;
  /** One self-contained page with plots: no script, nothing loaded. */
  toHtml(): string;
}

/** Which columns hold what. */
export interface PerformanceReportOptions extends MeasureOptions {
  /** On the page; `Performance report` when left out. */
  readonly title?: string;
  /** The column with what the model said; `prediction` when left out. Missing values are failed answers. */
  readonly prediction?: string;
  /** The column with the truth; `label` when left out. Rows without it are counted and left out. */
  readonly target?: string;
  /** The column with an object of the probability of each class, or the column of each class's probability by its name. */
  readonly probabilities?: string | Readonly<Record<string, string>>;
  /** The column with how many rows each stands for. */
  readonly weight?: string;
  /** The column with the time, epoch ms or `Date`: figures over time. */
  readonly time?: string;
  /** The column that tells versions or arms apart, which are shown side by side. */
  readonly version?: string;
  /** The column whose values are segments. */
  readonly segment?: string;
  /** Segments with fewer rows get no verdict; 30 when left out. */
  readonly minimumSegmentRows?: number;
}

const optionsShape = z.strictObject({
  title: z.string().optional(),
  prediction: z.string().optional(),
  target: z.string().optional(),
  probabilities: z.union([z.string(), z.record(z.string(), z.string())]).optional(),
  weight: z.string().optional(),
  time: z.string().optional(),
  version: z.string().optional(),
  segment: z.string().optional(),
  minimumSegmentRows: z.number().int().min(1).optional(),
  task: z.enum(['classification', 'regression']).optional(),
  alpha: z.number().gt(0).lt(1).optional(),
  minimumRows: z.number().int().min(1).optional(),
  threshold: z.number().min(0).max(1).optional(),
} satisfies Record<keyof PerformanceReportOptions, z.ZodType>);

/**
 * How well a model does on rows (or columns) with its predictions and the truth: every figure with its interval, by version and
 * segment, over time. Needs no platform. Equal rows in equal order give an equal report, bit for bit; no figure is NaN; too few
 * rows are answered (`not-enough-data`). INVALID for what is no table, and for names of columns that are not there.
 */
export function performanceReport(
  table: DataTable,
  options: PerformanceReportOptions = {},
): PerformanceReport {
  assertTable(table, 'the rows');
  checkOptions(optionsShape, options, 'A performance report');
  return reportOf(dataOf(table, options));
}

/** A report of data that is there already. */
export function reportOf(data: PerformanceReportData): PerformanceReport {
  return {
    ...data,
    toJSON: () => structuredClone(data) as unknown as JsonObject,
    toMarkdown: () => renderPage(performancePage(data), 'markdown'),
    toHtml: () => renderPage(performancePage(data), 'html'),
  };
}

interface ReadRow {
  readonly row: PerformanceRow;
  readonly at: number;
  readonly version: string | undefined;
  readonly segment: Json;
}

function dataOf(table: DataTable, options: PerformanceReportOptions): PerformanceReportData {
  const { title = 'Performance report', segment, version, time } = options;
  const rows = rowCount(table, 'the rows');
  const all = readRows(table, rows, options);
  const task = options.task ?? taskOf(all.map(({ row }) => row));
  const { alpha, minimumRows, threshold } = options;
  const how: MeasureOptions = {
    ...(task === undefined ? {} : { task }),
    ...(alpha === undefined ? {} : { alpha }),
    ...(minimumRows === undefined ? {} : { minimumRows }),
    ...(threshold === undefined ? {} : { threshold }),
  };
  const measured = (some: readonly ReadRow[]) =>
    measureRows(
      some.map(({ row }) => row),
      how,
    );
  const byVersion = Map.groupBy(all, (each) => each.version ?? '');
  const names = [...byVersion.keys()].sort();
  return {
    format: 1,
    title,
    unlabelled: rows - all.length,
    overall: measured(all),
    versions:
      version === undefined
        ? []
        : names.map((name) => ({
            version: name,
            performance: measured(byVersion.get(name) ?? []),
          })),
    segments:
      segment === undefined
        ? []
        : segmentPerformances(
            all.map(({ row, segment: value }) => ({
              row,
              prediction: { features: { [segment]: value } },
            })),
            segment,
            {
              ...how,
              ...(options.minimumSegmentRows === undefined
                ? {}
                : { minimumSegmentRows: options.minimumSegmentRows }),
            },
          ),
    overTime: time === undefined ? [] : performanceOverTime(all, how),
  };
}

function readRows(
  table: DataTable,
  rows: number,
  options: PerformanceReportOptions,
): readonly ReadRow[] {
  const { prediction = 'prediction', target = 'label', probabilities, weight, time } = options;
  const { version, segment } = options;
  const several =
    typeof probabilities === 'object' ? Object.values(probabilities) : [probabilities];
  const known = new Set(columnNames(table));
  for (const name of [prediction, target, ...several, weight, time, version, segment]) {
    if (name === undefined || known.has(name)) continue;
    const have = [...known].slice(0, 20).map((each) => JSON.stringify(each));
    throw new KeelsonError(
      'INVALID',
      `There is no column ${JSON.stringify(name)}; there are ${have.join(', ') || 'none'}.`,
    );
  }
  const found: ReadRow[] = [];
  for (let i = 0; i < rows; i += 1) {
    const value = (name: string | undefined): unknown => valueAt(table, name, i);
    const actual = value(target);
    if (isMissing(actual)) continue;
    const predicted = value(prediction);
    const scores = probabilitiesAt(probabilities, value);
    const stands = value(weight);
    found.push({
      row: {
        actual: actual as Json,
        ...(isMissing(predicted) ? {} : { predicted: predicted as Json }),
        ...(scores === undefined ? {} : { probabilities: scores }),
        ...(typeof stands === 'number' && stands > 0 && stands < Infinity
          ? { weight: stands }
          : {}),
      },
      at: timeOf(value(time)),
      version: version === undefined ? undefined : String(value(version) ?? ''),
      segment: (value(segment) ?? null) as Json,
    });
  }
  return found;
}

function probabilitiesAt(
  probabilities: PerformanceReportOptions['probabilities'],
  value: (name: string) => unknown,
): Readonly<Record<string, number>> | undefined {
  if (probabilities === undefined) return undefined;
  if (typeof probabilities === 'string') {
    const found = value(probabilities);
    return typeof found === 'object' && found !== null
      ? (found as Readonly<Record<string, number>>)
      : undefined;
  }
  return Object.fromEntries(
    Object.entries(probabilities).map(([name, column]) => [name, Number(value(column))]),
  );
}

function isMissing(value: unknown): boolean {
  return value === undefined || value === null || Number.isNaN(value);
}

function timeOf(value: unknown): number {
  if (value instanceof Date) return value.getTime();
  return typeof value === 'number' ? value : Number.NaN;
}

function valueAt(table: DataTable, name: string | undefined, i: number): unknown {
  if (name === undefined) return undefined;
  if (!Array.isArray(table)) {
    return (table as Readonly<Record<string, ArrayLike<unknown>>>)[name]?.[i];
  }
  const row = table[i] as Readonly<Record<string, unknown>>;
  return Object.hasOwn(row, name) ? row[name] : undefined;
}
