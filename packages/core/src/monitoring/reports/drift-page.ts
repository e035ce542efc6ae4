import { distributionFigure } from '../../pipelines/data-validation/distribution-figure.ts';
import { percent } from '../../pipelines/data-validation/finding.ts';
import type { PageBlock, PageDocument } from '../../registry/page-document.ts';
import { barChart } from '../../registry/validation/bar-chart.ts';
import { formatNumber } from '../../tracking/format-figures.ts';
import { driftFindings } from './drift-findings.ts';
import { type ColumnDrift, type DriftReportData, hasDrifted } from './drift-report-data.ts';

/** Plots beyond so many make no page better. */
const maxPlots = 60;

/** A drift report as a page: what was found, every column with its plot, segments, what was left out. */
export function driftPage(report: DriftReportData): PageDocument {
  const { rows, columns, dataset, detected, severity, schema, segments, setAside } = report;
  const features = columns.filter(({ role }) => role === 'feature');
  const measured = features.filter(({ result }) => result.outcome === 'measured');
  const drifted = features.filter((each) => each.detected);
  return {
    title: report.title,
    badges: [
      detected
        ? { text: `DRIFT · ${severity}`, tone: 'bad' }
        : measured.length === 0
          ? { text: 'NOT ENOUGH DATA', tone: 'plain' }
          : { text: 'NO DRIFT', tone: 'good' },
    ],
    intro: [
      {
        pairs: [
          ['rows of the reference', String(rows.reference)],
          ['rows compared with it', String(rows.current)],
          [
            'features that drifted',
            `${drifted.length} of ${measured.length} that could be measured`,
          ],
          ['by importance', percent(dataset.weightedShare)],
          ['features with too few rows', countOf(features.length - measured.length)],
        ],
      },
    ],
    sections: [
      {
        title: 'Findings',
        blocks: [findingsBlock(report)],
      },
      { title: 'Columns', blocks: columnBlocks(columns, dataset.alpha) },
      { title: 'Together', blocks: togetherBlocks(report) },
      ...(segments.length === 0 ? [] : [{ title: 'Segments', blocks: segmentBlocks(report) }]),
      {
        title: 'Not compared',
        blocks: [
          {
            list: [
              ...setAside.map(({ column, reason }) => `${column}: ${reason}`),
              ...schema.map(({ column, change }) =>
                change === 'new'
                  ? `${column}: not in the reference`
                  : `${column}: only in the reference`,
              ),
            ],
          },
        ],
      },
    ],
  };
}

/** How the features vary together. */
function togetherBlocks({ multivariate }: DriftReportData): readonly PageBlock[] {
  if (multivariate === undefined) return [];
  const { score, usual, low, high, detected, severity, features } = multivariate;
  return [
    {
      pairs: [
        ['lost of a row, now', score === null ? 'not enough data' : formatNumber(score, 4)],
        ['in the reference', formatNumber(usual, 4)],
        ['usual', `${formatNumber(low, 4)} … ${formatNumber(high, 4)}`],
        ['severity', severity],
      ],
    },
    {
      head: ['feature', 'share of the change'],
      rows: detected
        ? features.slice(0, 20).map((each) => [each.feature, percent(each.share)])
        : [],
    },
    {
      text: 'Rows are seen through the principal components of the reference: what is lost of them grows or shrinks where features no longer go together.',
      tone: 'note',
    },
  ];
}

function findingsBlock(report: DriftReportData): PageBlock {
  const found = driftFindings(report);
  if (found.length > 0) return { list: found };
  return {
    text: 'Nothing that the data can show: what differs is within chance for so many rows, or too little to matter.',
  };
}

function columnBlocks(columns: readonly ColumnDrift[], alpha: number): readonly PageBlock[] {
  const measured = columns.filter(({ result }) => result.score !== null).slice(0, maxPlots);
  const bars = measured.map(({ feature, result, detected, severity }) => ({
    name: feature,
    value: Math.min(10, (result.score ?? 0) / result.effectThreshold),
    text: detected
      ? `${severity} ${formatNumber(result.score ?? 0, 3)}`
      : formatNumber(result.score ?? 0, 3),
    tone: detected ? ('bad' as const) : ('plain' as const),
  }));
  const plots = columns.slice(0, maxPlots).flatMap((column) => {
    const { histogram } = column;
    if (histogram === undefined) return [];
    return [
      distributionFigure({
        ...histogram,
        title: column.feature,
        caption: captionOf(column),
        ends: [
          histogram.bins[0] ?? '',
          histogram.bins.length > 1 ? (histogram.bins.at(-1) ?? '') : '',
        ],
        bad: hasDrifted(column),
      }),
    ];
  });
  return [
    ...(bars.length === 0
      ? []
      : [
          {
            figure: barChart({
              title: 'Score of each column as a multiple of the least that matters (10 at most)',
              bars,
              mark: 1,
            }),
            caption: 'The score of each column is in the table.',
          },
        ]),
    {
      head: [
        'column',
        'is',
        'method',
        'score',
        'matters from',
        'beyond chance from',
        'p, corrected',
        'severity',
      ],
      rows: columns.map(({ feature, role, type, result, adjustedPValue, severity }) => [
        feature,
        role === 'feature' ? type : `${role}, ${type}`,
        result.method,
        result.score === null
          ? `not enough data (${Math.min(result.referenceCount, result.currentCount)} of ${result.minimum})`
          : formatNumber(result.score, 4),
        formatNumber(result.effectThreshold, 4),
        result.chanceThreshold === null ? '' : formatNumber(result.chanceThreshold, 4),
        adjustedPValue === null ? '' : formatNumber(adjustedPValue, 3),
        severity,
      ]),
    },
    {
      text: `A column has drifted where its score matters and is beyond chance for so many rows. Each p is corrected for the number of columns (Benjamini–Hochberg, alpha ${alpha}).`,
      tone: 'note',
    },
    {
      head: [
        'column',
        '',
        'mean',
        'deviation',
        'min',
        '5 %',
        'median',
        '95 %',
        'max',
        'missing',
        'infinite',
        'other type',
      ],
      rows: columns
        .filter(({ reference, current }) => reference.numbers + current.numbers > 0)
        .flatMap((column) =>
          (['reference', 'current'] as const).map((side) => figuresRow(column, side)),
        ),
    },
    {
      head: ['column', 'value', 'reference', 'now'],
      rows: columns.filter(({ type }) => type === 'category').flatMap(shareRows),
    },
    ...(plots.length === 0
      ? []
      : [
          { text: 'Bars are the data compared, lines the reference.', tone: 'note' } as const,
          {
            figure: `<div class="grid">${plots.join('')}</div>`,
            caption: 'Plots of the columns are on the HTML page.',
          },
        ]),
  ];
}

function captionOf({ role, severity, type, reference, current }: ColumnDrift): string {
  const what = role === 'feature' ? '' : `${role} · `;
  const drift = severity === 'NONE' ? '' : `${severity} · `;
  if (type !== 'number' || reference.quantiles === null || current.quantiles === null)
    return `${what}${drift}`;
  const [was, is] = [reference.quantiles.p50, current.quantiles.p50];
  return `${what}${drift}median ${formatNumber(was, 4)} → ${formatNumber(is, 4)}`;
}

function figuresRow(column: ColumnDrift, side: 'reference' | 'current'): readonly string[] {
  const each = column[side];
  const of = (value: number | null | undefined): string =>
    value === null || value === undefined ? '' : formatNumber(value, 4);
  const share = (count: number): string => (count === 0 ? '' : percent(count / each.rows));
  return [
    side === 'reference' ? column.feature : '',
    side === 'reference' ? 'reference' : 'now',
    of(each.mean),
    of(each.deviation),
    of(each.low),
    of(each.quantiles?.p5),
    of(each.quantiles?.p50),
    of(each.quantiles?.p95),
    of(each.high),
    share(each.missing),
    share(each.infinite),
    share(each.others + (column.type === 'number' ? each.texts : 0)),
  ];
}

/** The most frequent values of a column of categories. */
function shareRows({ feature, histogram }: ColumnDrift): readonly (readonly string[])[] {
  if (histogram === undefined) return [];
  return histogram.bins.map((bin, i) => [
    i === 0 ? feature : '',
    bin,
    percent(histogram.reference[i] ?? 0),
    percent(histogram.current[i] ?? 0),
  ]);
}

function segmentBlocks({ segments }: DriftReportData): readonly PageBlock[] {
  return [
    {
      head: ['segment', 'rows', 'of the reference', 'severity', 'features that drifted'],
      rows: segments.map(({ segment, rows, drift }) => [
        String(segment),
        String(rows.current),
        String(rows.reference),
        drift?.severity ?? 'too few rows',
        (drift?.features ?? [])
          .slice(0, 5)
          .map(({ feature, score }) => `${feature} ${formatNumber(score, 3)}`)
          .join(', '),
      ]),
    },
  ];
}

function countOf(count: number): string | undefined {
  return count === 0 ? undefined : String(count);
}
