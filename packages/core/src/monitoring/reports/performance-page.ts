import { percent } from '../../pipelines/data-validation/finding.ts';
import type { PageBlock, PageDocument } from '../../registry/page-document.ts';
import { barChart } from '../../registry/validation/bar-chart.ts';
import type { MeasuredFigure } from '../../statistics/index.ts';
import { formatNumber } from '../../tracking/format-figures.ts';
import { lineChart } from '../../tracking/line-chart.ts';
import type { MeasuredPerformance } from '../performance/measured-rows.ts';
import { figuresOf, mainFigure, type PerformanceReportData } from './performance-report-data.ts';

/** A performance report as a page. */
export function performancePage(data: PerformanceReportData): PageDocument {
  const { title, overall, versions, segments, unlabelled } = data;
  const worse = segments.filter(({ beside }) => beside?.isWorse === true);
  const main = mainFigure(overall);
  return {
    title,
    badges: [
      overall.outcome === 'measured' && main !== undefined
        ? { text: `${nameOfMain(overall)} ${short(main.value)}`, tone: 'plain' }
        : { text: 'NOT ENOUGH DATA', tone: 'plain' },
      ...(worse.length === 0
        ? []
        : [{ text: `${worse.length} SEGMENTS DO WORSE`, tone: 'bad' } as const]),
    ],
    intro: [
      {
        pairs: [
          ['rows with a truth', String(overall.rows)],
          ['as many of equal weight', different(overall)],
          ['rows without', countOf(unlabelled)],
          ['failed answers', countOf(overall.failed)],
          ['rows that fit no figure', countOf(overall.unusable)],
        ],
      },
      ...coverageBlocks(data),
    ],
    sections: [
      { title: 'Figures', blocks: figureBlocks(overall) },
      { title: 'Over time', blocks: timeBlocks(data) },
      { title: 'Classes', blocks: classBlocks(overall) },
      { title: 'Probabilities', blocks: calibrationBlocks(overall) },
      { title: 'Versions', blocks: versionBlocks(versions) },
      { title: 'Segments', blocks: segmentBlocks(data) },
    ].filter(({ blocks }) => blocks.length > 0),
  };
}

function nameOfMain({ classes }: MeasuredPerformance): string {
  return classes === undefined ? 'MEAN ABSOLUTE ERROR' : 'ACCURACY';
}

function different({ rows, effectiveRows }: MeasuredPerformance): string | undefined {
  return rows === effectiveRows ? undefined : formatNumber(effectiveRows, 4);
}

function countOf(count: number): string | undefined {
  return count === 0 ? undefined : String(count);
}

function short(value: number | null): string {
  return value === null ? 'unknown' : formatNumber(value, 4);
}

function withInterval({ value, interval }: MeasuredFigure): string {
  if (value === null) return '';
  if (interval === null) return short(value);
  return `${short(value)} (${short(interval.low)} … ${short(interval.high)})`;
}

function coverageBlocks({ coverage, estimated }: PerformanceReportData): readonly PageBlock[] {
  if (coverage === undefined) return [];
  const { share, maturedShare, delay, held, contradicted } = coverage;
  const { figures, beside, reason } = estimated ?? {};
  const accuracy = figures?.accuracy;
  const band = accuracy?.band;
  return [
    {
      pairs: [
        ['requests with a label', share === null ? undefined : percent(share)],
        ['of those old enough', maturedShare === null ? undefined : percent(maturedShare)],
        ['labels take (p95)', delay && `${formatNumber(delay.p95Ms / 3_600_000, 3)} h`],
        ['requests held back', countOf(held)],
        ['contradicting labels', countOf(contradicted)],
        [
          'estimated accuracy',
          accuracy?.value == null || band == null
            ? reason
            : `${short(accuracy.value)} (${short(band.low)} … ${short(band.high)})`,
        ],
        [
          'of the labelled ones',
          beside && `${short(beside.estimated)} estimated, ${short(beside.realised)} realised`,
        ],
      ],
    },
    {
      text:
        beside?.hasDiverged === true
          ? 'What is realised and what was to be expected differ by more than chance: what makes an answer right has changed.'
          : '',
      tone: 'bad',
    },
  ];
}

function figureBlocks(overall: MeasuredPerformance): readonly PageBlock[] {
  const figures = figuresOf(overall).filter(([, { value }]) => value !== null);
  if (figures.length === 0) return [{ text: 'There is nothing to measure.' }];
  const shares = figures.filter(([, { value }]) => (value ?? 0) >= 0 && (value ?? 2) <= 1);
  return [
    {
      head: ['figure', 'value', 'from', 'to', 'interval by', 'rows'],
      rows: figures.map(([name, { value, interval, method, rows }]) => [
        name,
        short(value),
        interval === null ? '' : short(interval.low),
        interval === null ? '' : short(interval.high),
        method,
        formatNumber(rows, 6),
      ]),
    },
    ...(overall.classes === undefined
      ? []
      : [
          {
            figure: barChart({
              title: 'Figures from 0 to 1, with their intervals',
              bars: shares.map(([name, figure]) => bar(name, figure)),
            }),
            caption: 'The figures are in the table.',
          },
        ]),
  ];
}

function bar(name: string, figure: MeasuredFigure, isBad = false) {
  return {
    name,
    value: figure.value,
    text: short(figure.value),
    tone: isBad ? ('bad' as const) : ('plain' as const),
    ...(figure.interval === null ? {} : { interval: figure.interval }),
  };
}

function timeBlocks({ overTime, overall }: PerformanceReportData): readonly PageBlock[] {
  if (overTime.length === 0) return [];
  const date = (at: number): string => new Date(at).toISOString().slice(0, 10);
  const line = (
    name: string,
    of: (each: (typeof overTime)[number]) => number | null | undefined,
  ) => ({
    name,
    points: overTime.map((each) => ({ x: each.from, y: of(each) ?? Number.NaN })),
  });
  return [
    {
      figure: lineChart({
        title: `${nameOfMain(overall).toLowerCase()} over time, with its interval`,
        lines: [
          line('value', ({ value }) => value),
          { ...line('from', ({ interval }) => interval?.low), dash: '3 3' },
          { ...line('to', ({ interval }) => interval?.high), dash: '3 3' },
        ],
        formatX: date,
        formatY: (y) => formatNumber(y, 3),
      }),
      caption: 'Figures over time are on the HTML page.',
    },
  ];
}

function classBlocks({ classes }: MeasuredPerformance): readonly PageBlock[] {
  if (classes === undefined) return [];
  const shown = classes.perClass.slice(0, 50);
  return [
    {
      head: ['class', 'rows', 'predicted', 'precision', 'recall', 'F1'],
      rows: shown.map((each) => [
        each.class,
        String(each.support),
        String(each.predicted),
        withInterval(each.precision),
        withInterval(each.recall),
        withInterval(each.f1),
      ]),
    },
    {
      figure: barChart({
        title: 'F1 of each class, with its interval',
        bars: shown.map((each) => bar(each.class, each.f1)),
      }),
      caption: 'The figures of each class are in the table.',
    },
  ];
}

function calibrationBlocks({ scores }: MeasuredPerformance): readonly PageBlock[] {
  if (scores === undefined || scores.calibration.length === 0) return [];
  const { calibration } = scores;
  return [
    {
      figure: lineChart({
        title: 'How often it was so, by how probable it was said to be',
        lines: [
          {
            name: 'was so',
            points: calibration.map(({ confidence, share }) => ({ x: confidence, y: share })),
          },
          {
            name: 'said to be',
            dash: '4 4',
            points: calibration.map(({ confidence }) => ({ x: confidence, y: confidence })),
          },
        ],
        formatX: (x) => formatNumber(x, 2),
        formatY: (y) => formatNumber(y, 2),
        yMin: 0,
        yMax: 1,
      }),
      caption: 'The bins are in the table.',
    },
    {
      head: ['rows', 'said to be', 'was so', 'from', 'to'],
      rows: calibration.map(({ rows, confidence, share, interval }) => [
        String(rows),
        short(confidence),
        short(share),
        short(interval.low),
        short(interval.high),
      ]),
    },
  ];
}

function versionBlocks(versions: PerformanceReportData['versions']): readonly PageBlock[] {
  if (versions.length === 0) return [];
  const names = [
    ...new Set(versions.flatMap(({ performance }) => figuresOf(performance).map(([name]) => name))),
  ];
  return [
    {
      head: ['version', 'rows', ...names],
      rows: versions.map(({ version, performance }) => {
        const figures = new Map(figuresOf(performance));
        return [
          version,
          String(performance.rows),
          ...names.map((name) => {
            const figure = figures.get(name);
            return figure === undefined ? '' : withInterval(figure);
          }),
        ];
      }),
    },
    {
      figure: barChart({
        title: 'Each version, with its interval',
        bars: versions.flatMap(({ version, performance }) => {
          const figure = mainFigure(performance);
          return figure === undefined ? [] : [bar(version, figure)];
        }),
      }),
      caption: 'The versions are in the table.',
    },
  ];
}

function segmentBlocks({ segments }: PerformanceReportData): readonly PageBlock[] {
  if (segments.length === 0) return [];
  const shown = segments.slice(0, 50);
  return [
    {
      figure: barChart({
        title: 'Mean loss of each segment (share of wrong answers, or mean absolute error)',
        bars: shown.flatMap(({ segment, beside }) =>
          beside === undefined
            ? []
            : [
                {
                  name: String(segment),
                  value: beside.here,
                  text: short(beside.here),
                  tone: beside.isWorse ? ('bad' as const) : ('plain' as const),
                },
              ],
        ),
      }),
      caption: 'The segments are in the table.',
    },
    {
      head: ['segment', 'rows', 'figure', 'loss here', 'elsewhere', 'p, corrected', 'verdict'],
      rows: shown.map(({ segment, performance, beside }) => {
        const figure = mainFigure(performance);
        return [
          String(segment),
          String(performance.rows),
          figure === undefined ? '' : withInterval(figure),
          beside === undefined ? '' : short(beside.here),
          beside === undefined ? '' : short(beside.elsewhere),
          beside === undefined ? '' : formatNumber(beside.adjustedPValue, 3),
          beside === undefined ? 'too few rows' : beside.isWorse ? 'worse' : '',
        ];
      }),
    },
  ];
}
