import type { PageBlock, PageDocument } from '../../registry/page-document.ts';
import { barChart } from '../../registry/validation/bar-chart.ts';
import { columnChart } from './column-chart.ts';
import type { ColumnProfile, DataProfile } from './data-profile.ts';
import { type DataFinding, figure, percent } from './finding.ts';
import type { ProfileDrift } from './profile-drift.ts';
import type { RowFailures } from './row-check.ts';

/** What came of a data validation. */
export interface DataReport {
  readonly passed: boolean;
  readonly findings: readonly DataFinding[];
  readonly profile: DataProfile;
  readonly failures: RowFailures;
  readonly baseline?: DataProfile;
  readonly drift?: ProfileDrift;
}

/** Charts beyond so many make no page better. */
const maxCharts = 60;

/** The report as a page: findings, failing rows, drift and each column with its distribution. */
export function reportPage(title: string, report: DataReport): PageDocument {
  const { passed, profile, failures, findings, drift } = report;
  return {
    title,
    badges: [{ text: passed ? 'PASSED' : 'FAILED', tone: passed ? 'good' : 'bad' }],
    intro: [
      {
        pairs: [
          ['rows', String(profile.rows)],
          ['rows that fail', `${failures.failedRows}${unreadable(failures)}`],
          ['columns', `${profile.columns.length}${profile.moreColumns ? ' and more' : ''}`],
          ['rows of the baseline', drift && String(drift.baselineRows)],
        ],
      },
    ],
    sections: [
      {
        title: 'Findings',
        blocks: [
          findings.length === 0
            ? { text: 'None.' }
            : {
                head: ['kind', 'column', 'what'],
                rows: findings.map(({ kind, column = '', detail }) => [kind, column, detail]),
              },
        ],
      },
      ...(failures.counts.length === 0
        ? []
        : [{ title: 'Rows that fail', blocks: failingRows(failures) }]),
      ...(drift === undefined ? [] : [{ title: 'Drift', blocks: driftBlocks(drift) }]),
      { title: 'Columns', blocks: columnBlocks(report) },
    ],
  };
}

function unreadable({ unreadableRows }: RowFailures): string {
  return unreadableRows === 0 ? '' : `, ${unreadableRows} of them unreadable`;
}

function failingRows({ counts, examples }: RowFailures): readonly PageBlock[] {
  return [
    {
      head: ['column', 'rule', 'rows', 'such as'],
      rows: counts
        .slice(0, 100)
        .map(({ column, rule, count, message }) => [column, rule, String(count), message]),
    },
    { text: 'Examples, the first ones:', tone: 'note' },
    {
      head: ['row', 'column', 'what', 'value'],
      rows: examples.map(({ row, column, message, value = '' }) => [
        String(row),
        column,
        message,
        value,
      ]),
    },
  ];
}

function driftBlocks({ dataset, shares, columns }: ProfileDrift): readonly PageBlock[] {
  const measured = dataset.features.filter(({ result }) => result.score !== null);
  const bars = measured.slice(0, maxCharts).map(({ feature, result, detected, severity }) => ({
    name: feature,
    value: Math.min(20, (result.score ?? 0) / result.effectThreshold),
    text: detected ? `${severity} ${figure(result.score ?? 0)}` : figure(result.score ?? 0),
    tone: detected ? ('bad' as const) : ('plain' as const),
  }));
  const title = 'Score of each column, as a multiple of the least that matters (at most 20 shown)';
  return [
    {
      text: `${dataset.features.filter((each) => each.detected).length} of ${measured.length} columns that could be measured have drifted; p-values are corrected for their number (Benjamini–Hochberg, alpha ${dataset.alpha}).`,
    },
    ...(bars.length === 0
      ? []
      : [{ figure: barChart({ title, bars, mark: 1 }), caption: 'Drift of each column' }]),
    {
      head: ['column', 'method', 'score', 'matters from', 'p, corrected', 'severity', 'notes'],
      rows: dataset.features.map(({ feature, result, adjustedPValue, severity }) => [
        feature,
        result.method,
        result.score === null ? 'not enough data' : figure(result.score),
        figure(result.effectThreshold),
        adjustedPValue === null ? '' : figure(adjustedPValue),
        severity,
        result.notes.join('; '),
      ]),
    },
    {
      head: ['column', 'share', 'baseline', 'now', 'p, corrected'],
      rows: shares
        .filter(({ drift }) => drift.reference.successes + drift.current.successes > 0)
        .map(({ column, of, drift: { reference, current }, adjustedPValue }) => [
          column,
          of,
          percent(reference.successes / Math.max(1, reference.trials)),
          percent(current.successes / Math.max(1, current.trials)),
          figure(adjustedPValue),
        ]),
    },
    { list: columns.map(({ detail }) => detail) },
  ];
}

function columnBlocks({ profile, baseline, drift, findings }: DataReport): readonly PageBlock[] {
  const bad = new Set(findings.map(({ column }) => column));
  const before = new Map(baseline?.samples.map((each) => [each.column, each.values]));
  const now = new Map(profile.samples.map((each) => [each.column, each.values]));
  const severities = new Map(
    drift?.dataset.features.map(({ feature, severity }) => [feature, severity]),
  );
  const charts = profile.columns.slice(0, maxCharts).map(({ column }) => {
    const old = before.get(column);
    const severity = severities.get(column) ?? 'NONE';
    return columnChart({
      column,
      current: now.get(column) ?? [],
      ...(old === undefined ? {} : { baseline: old }),
      caption: severity === 'NONE' ? '' : `drift: ${severity}`,
      bad: bad.has(column),
    });
  });
  return [
    {
      head: [
        ...['column', 'type', 'values', 'missing', 'distinct', 'mean', 'deviation'],
        ...['min', '5 %', 'median', '95 %', 'max', 'most frequent'],
      ],
      rows: profile.columns.map((column) => columnRow(column, profile.rows)),
    },
    ...(baseline === undefined
      ? []
      : [{ text: 'Bars are these rows, lines those of the baseline.', tone: 'note' } as const]),
    {
      figure: `<div class="grid">${charts.join('')}</div>`,
      caption: 'The distribution of each column',
    },
  ];
}

function columnRow(column: ColumnProfile, rows: number): readonly string[] {
  const { quantiles, top } = column;
  const of = (value: number | null | undefined): string =>
    value === null || value === undefined ? '' : figure(value);
  return [
    column.column,
    column.type,
    String(column.count),
    percent(rows === 0 ? 0 : column.missing / rows),
    String(column.distinct),
    of(column.mean),
    of(column.deviation),
    of(column.min),
    of(quantiles?.p5),
    of(quantiles?.p50),
    of(quantiles?.p95),
    of(column.max),
    top
      .slice(0, 3)
      .map(({ value, count }) => `${String(value)} (${count})`)
      .join(', '),
  ];
}
