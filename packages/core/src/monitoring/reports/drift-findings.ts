import { percent } from '../../pipelines/data-validation/finding.ts';
import { formatNumber } from '../../tracking/format-figures.ts';
import type { ColumnDrift, DriftReportData, ShareKind } from './drift-report-data.ts';

/** What a report found, a sentence each, worst first. */
export function driftFindings({
  columns,
  schema,
  segments,
  multivariate,
}: DriftReportData): readonly string[] {
  const gone = schema.filter(({ change }) => change === 'gone');
  const fresh = schema.filter(({ change }) => change === 'new');
  const worst = segments.filter(({ drift }) => drift?.detected === true);
  return [
    ...gone.map(({ column }) => `${column} is gone: the reference has it.`),
    ...columns.flatMap(findingsOf),
    ...togetherFindings(columns, multivariate),
    ...fresh.map(({ column }) => `${column} is new: the reference does not have it.`),
    ...worst.slice(0, 5).map(({ segment, drift }) => {
      const features = (drift?.features ?? []).slice(0, 3).map(({ feature }) => feature);
      return `In the segment ${String(segment)}: ${drift?.severity}, ${features.join(', ')}.`;
    }),
  ];
}

/** Said where it is more than what single features have been said to do. */
function togetherFindings(
  columns: readonly ColumnDrift[],
  multivariate: DriftReportData['multivariate'],
): readonly string[] {
  if (multivariate?.detected !== true) return [];
  const { usual, score, severity, features } = multivariate;
  // What single features do moves all of them together too.
  if (columns.some(({ detected, role }) => detected && role === 'feature')) return [];
  const most = features.slice(0, 3).map(({ feature, share }) => `${feature} (${percent(share)})`);
  return [
    `The features no longer vary together as they did, ${severity}: of a row ${formatNumber(score ?? 0, 3)} is lost, ${formatNumber(usual, 3)} in the reference; mostly ${most.join(', ')}.`,
  ];
}

function findingsOf(column: ColumnDrift): readonly string[] {
  const { feature, result, adjustedPValue, severity, reference, current } = column;
  const found: string[] = [];
  if (column.detected) {
    const score = formatNumber(result.score ?? 0, 3);
    const threshold = formatNumber(result.effectThreshold, 3);
    const moved =
      column.type === 'number' && reference.mean !== null && current.mean !== null
        ? `; mean ${formatNumber(reference.mean, 4)} → ${formatNumber(current.mean, 4)}`
        : mostMoved(column);
    found.push(
      `${nameOf(column)} has drifted, ${severity}: ${result.method} ${score}, ${threshold} matters, p ${formatP(adjustedPValue ?? 1)}${moved}.`,
    );
  }
  for (const { of, drift, detected } of column.shares) {
    if (!detected) continue;
    const [was, is] = [drift.reference, drift.current].map((rate) =>
      percent(rate.successes / rate.trials),
    );
    found.push(`${is} of ${feature} are ${words[of]}; of the reference, ${was}.`);
  }
  if (column.detected && column.newCategories.length > 0) {
    const names = column.newCategories
      .slice(0, 5)
      .map(({ category, count }) => `${JSON.stringify(category)} (${count})`);
    found.push(`${feature} has values that the reference does not have: ${names.join(', ')}.`);
  }
  return found;
}

const words: Readonly<Record<ShareKind, string>> = {
  missing: 'missing',
  infinite: 'infinite',
  'wrong-type': 'of another type',
};

function nameOf({ feature, role }: ColumnDrift): string {
  return role === 'feature' ? feature : `The ${role} ${feature}`;
}

/** The value whose share has changed most. */
function mostMoved({ histogram }: ColumnDrift): string {
  if (histogram === undefined) return '';
  const { bins, reference, current } = histogram;
  const gaps = bins.map((_, i) => Math.abs((current[i] ?? 0) - (reference[i] ?? 0)));
  const place = gaps.indexOf(Math.max(...gaps));
  return `; ${bins[place]} ${percent(reference[place] ?? 0)} → ${percent(current[place] ?? 0)}`;
}

function formatP(p: number): string {
  return p < 1e-300 ? '< 1e-300' : formatNumber(p, 2);
}
