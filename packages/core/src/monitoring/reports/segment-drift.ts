import { type Category, datasetDrift } from '../../statistics/index.ts';
import { type DataColumn, type DataTable, dataColumn } from '../data-columns.ts';
import { PairSpace } from './column-figures.ts';
import { type ColumnComparison, compareColumn } from './compare-columns.ts';
import {
  type DriftReportOptions,
  type ReportSide,
  roleOf,
  type SegmentDrift,
} from './drift-report-data.ts';

const ranks: readonly string[] = ['CRITICAL', 'HIGH', 'MEDIUM', 'LOW', 'NONE'];
const maxSegments = 200;

/**
 * The features within each segment: the chance of an alarm is that of all segments together (Bonferroni over segments,
 * Benjamini–Hochberg within). The 200 segments with most rows are looked at.
 */
export function segmentDrifts(
  sides: readonly [ReportSide, ReportSide],
  compared: readonly ColumnComparison[],
  options: DriftReportOptions,
  alpha: number,
): readonly SegmentDrift[] {
  const { segment, minimumSegmentRows = 100 } = options;
  if (segment === undefined) return [];
  const [before, now] = sides.map((side) => rowsBySegment(side, segment)) as [
    ReturnType<typeof rowsBySegment>,
    ReturnType<typeof rowsBySegment>,
  ];
  const all = [...new Set([...before.keys(), ...now.keys()])].map((value) => ({
    value,
    rows: [before.get(value) ?? [], now.get(value) ?? []] as const,
  }));
  all.sort(
    (a, b) =>
      b.rows[0].length + b.rows[1].length - a.rows[0].length - a.rows[1].length ||
      (String(a.value) < String(b.value) ? -1 : 1),
  );
  const looked = all.slice(0, maxSegments);
  const large = looked.filter(({ rows }) =>
    rows.every((each) => each.length >= minimumSegmentRows),
  );
  const each = { ...options, alpha: alpha / Math.max(1, large.length) };
  const space = new PairSpace();
  const features = compared
    .map(({ column }) => column)
    .filter((column) => roleOf(column, options) === 'feature');
  return looked
    .map(({ value, rows }): SegmentDrift => {
      const sizes = { reference: rows[0].length, current: rows[1].length };
      if (rows.some((some) => some.length < minimumSegmentRows))
        return { segment: value, rows: sizes };
      const results = features.flatMap((column) => {
        const [was, is] = [partOf(sides[0], column, rows[0]), partOf(sides[1], column, rows[1])];
        const one = compareColumn(column, was, is, { ...each, columns: [column] }, space);
        return 'reason' in one ? [] : [{ feature: column, result: one.result }];
      });
      const drift = datasetDrift(results, each.alpha);
      const drifted = drift.features
        .filter(({ detected }) => detected)
        .toSorted((a, b) => b.excess - a.excess);
      return {
        segment: value,
        rows: sizes,
        drift: {
          detected: drift.detected,
          severity: drift.severity,
          driftedShare: drift.driftedShare,
          score: drift.score,
          features: drifted.map(({ feature, severity, result }) => ({
            feature,
            severity,
            score: result.score ?? 0,
            result,
          })),
        },
      };
    })
    .toSorted(
      (a, b) =>
        rank(a) - rank(b) ||
        (b.drift?.score ?? -1) - (a.drift?.score ?? -1) ||
        b.rows.current - a.rows.current,
    );
}

function rank({ drift }: SegmentDrift): number {
  return drift === undefined ? ranks.length : ranks.indexOf(drift.severity);
}

function rowsBySegment({ table, rows }: ReportSide, segment: string): Map<Category, number[]> {
  const found = new Map<Category, number[]>();
  for (let row = 0; row < rows; row += 1) {
    const value = valueAt(table, segment, row);
    const isCategory =
      typeof value === 'string' ||
      typeof value === 'boolean' ||
      (typeof value === 'number' && !Number.isNaN(value));
    if (!isCategory) continue;
    const known = found.get(value);
    if (known === undefined) found.set(value, [row]);
    else known.push(row);
  }
  return found;
}

function partOf({ table }: ReportSide, column: string, rows: readonly number[]): DataColumn {
  return dataColumn(
    { [column]: rows.map((row) => valueAt(table, column, row)) },
    column,
    rows.length,
  );
}

function valueAt(table: DataTable, column: string, row: number): unknown {
  if (!Array.isArray(table)) {
    return (table as Readonly<Record<string, ArrayLike<unknown>>>)[column]?.[row];
  }
  const values = table[row] as Readonly<Record<string, unknown>>;
  return Object.hasOwn(values, column) ? values[column] : undefined;
}
