import { encodeJson, type Json } from '../../json.ts';
import { formatBytes, formatMs, formatNumber } from '../../tracking/format-figures.ts';
import type { PageBlock, PageDocument } from '../page-document.ts';
import { barChart, histogramChart } from './bar-chart.ts';
import { intervalText } from './metrics-test.ts';
import type { PerformanceFigures, Round } from './performance-test.ts';
import type {
  GoldenFigures,
  MetricsFigures,
  ReplayFigures,
  TestFigures,
  TestOutcome,
  ValidationReport,
} from './report.ts';
import type { ColumnSegments, SegmentsFigures } from './segments-test.ts';

/** A report as a page: what came of it, then each test with its plots. */
export function reportDocument(report: ValidationReport): PageDocument {
  const { model, version, suite, tests, environment, data } = report;
  const failed = tests.filter(({ outcome }) => outcome === 'FAILED').length;
  const sum = failed === 0 ? 'No test failed.' : `${failed} of ${tests.length} tests failed.`;
  return {
    title: `${model} ${version}: ${suite}`,
    badges: [{ text: report.outcome, tone: toneOf(report.outcome) }],
    intro: [
      { text: sum },
      {
        pairs: [
          ['report', report.id],
          ['version', report.versionId],
          ['suite', `${suite}, revision ${report.suiteRevision}`],
          ['by', report.by],
          ['at', time(report.startedAt)],
          ['took', formatMs(report.endedAt - report.startedAt)],
        ],
      },
    ],
    sections: [
      {
        title: 'Tests',
        blocks: [
          {
            head: ['test', 'kind', 'outcome', 'what it found'],
            rows: tests.map(({ name, test, outcome, detail }) => [name, test, outcome, detail]),
          },
        ],
      },
      ...tests.flatMap(({ name, outcome, figures }) =>
        figures === undefined
          ? []
          : [{ title: `${name}: ${outcome}`, blocks: figureBlocks(figures) }],
      ),
      {
        title: 'Data',
        blocks: [
          {
            head: ['name', 'rows', 'sha256'],
            rows: Object.entries(data).map(([name, each]) => [
              name,
              String(each.rows),
              each.sha256,
            ]),
          },
        ],
      },
      {
        title: 'Measured on',
        blocks: [
          {
            pairs: [
              ['runtime', `${environment.runtime}, isolation ${environment.isolation}`],
              ['processor', `${environment.cpu}, ${environment.cpus} usable`],
              ['memory', formatBytes(environment.memoryBytes)],
              ['system', environment.platform],
              ['node', environment.node],
            ],
          },
        ],
      },
    ],
  };
}

function toneOf(outcome: TestOutcome): 'good' | 'bad' | 'plain' {
  return outcome === 'PASSED' ? 'good' : outcome === 'FAILED' ? 'bad' : 'plain';
}

function figureBlocks(figures: TestFigures): readonly PageBlock[] {
  switch (figures.test) {
    case 'golden':
      return goldenBlocks(figures);
    case 'metrics':
      return metricsBlocks(figures);
    case 'segments':
      return segmentsBlocks(figures);
    case 'performance':
      return performanceBlocks(figures);
    case 'replay':
      return replayBlocks(figures);
  }
}

function goldenBlocks({ cases, differing, differences }: GoldenFigures): readonly PageBlock[] {
  return [
    { text: `${cases - differing} of ${cases} cases are as expected.` },
    {
      head: ['case', 'output', 'expected', 'actual'],
      rows: differences.map((each) => [
        String(each.case),
        each.place,
        shown(each.expected),
        shown(each.actual),
      ]),
    },
    { text: more(differing, differences.length), tone: 'note' },
  ];
}

function metricsBlocks({ rows, figures }: MetricsFigures): readonly PageBlock[] {
  return [
    { text: `On ${rows} rows; intervals are of 95 %.` },
    {
      head: ['metric', 'value', 'interval', 'by', 'at least', 'at most', 'judged by', 'outcome'],
      rows: figures.map((each) => [
        each.metric,
        number(each.value),
        intervalText(each.interval).trim(),
        each.method ?? '',
        number(each.min),
        number(each.max),
        each.judge === 'bound' ? 'whole interval' : 'estimate',
        each.passed ? 'PASSED' : 'FAILED',
      ]),
    },
  ];
}

function segmentsBlocks(figures: SegmentsFigures): readonly PageBlock[] {
  const { metric, overall, maxGap, minRows, rows, columns } = figures;
  return [
    {
      text: `${metric} of all ${rows} rows: ${number(overall)} (the dashed line). A gap of ${number(maxGap)} is allowed between segments of at least ${minRows} rows; smaller ones are pale, and not judged.`,
    },
    ...columns.flatMap((column) => [
      { figure: segmentsChart(column, figures), caption: captionOf(column) },
      {
        head: [column.by, 'rows', metric, 'interval', ''],
        rows: column.segments.map((each) => [
          each.segment,
          String(each.rows),
          number(each.value),
          intervalText(each.interval).trim(),
          each.judged ? '' : each.rows < minRows ? 'too few rows' : 'no value',
        ]),
      },
    ]),
  ];
}

function captionOf({ by, gap, low, high, passed }: ColumnSegments): string {
  if (gap === null) return `By ${by}: too few rows to judge.`;
  return `By ${by}: the gap is ${number(gap, 3)}, between ${low} and ${high}; ${passed ? 'PASSED' : 'FAILED'}.`;
}

function segmentsChart(column: ColumnSegments, { overall }: SegmentsFigures): string {
  const isEnd = (segment: string): boolean => segment === column.low || segment === column.high;
  const bars = column.segments.map(({ segment, value, interval, judged, rows }) => {
    const tone = !judged ? 'weak' : !column.passed && isEnd(segment) ? 'bad' : 'plain';
    const known = interval === undefined ? {} : { interval };
    const text = `${number(value, 3) || '–'} of ${rows}`;
    return { name: segment, value, ...known, text, tone } as const;
  });
  const mark = overall === null ? {} : { mark: overall };
  return barChart({ title: captionOf(column), bars, ...mark });
}

function performanceBlocks(figures: PerformanceFigures): readonly PageBlock[] {
  const { concurrency, batchRows, requests, rounds, median, memory } = figures;
  const row = (name: string, each: Round): string[] => [
    name,
    ...[each.p50Ms, each.p90Ms, each.p99Ms, each.maxMs].map((ms) => number(ms, 3)),
    ...[each.requestsPerSecond, each.rowsPerSecond].map((rate) => number(rate, 4)),
  ];
  return [
    {
      text: `${rounds.length} rounds of ${requests} requests of ${batchRows} ${batchRows === 1 ? 'row' : 'rows'}, ${concurrency} under way at a time.`,
    },
    {
      figure: latencyChart(figures),
      caption: `p50 ${number(median.p50Ms, 3)} ms, p99 ${number(median.p99Ms, 3)} ms`,
    },
    {
      head: ['round', 'p50 ms', 'p90 ms', 'p99 ms', 'max ms', 'requests/s', 'rows/s'],
      rows: [...rounds.map((each, i) => row(String(i + 1), each)), row('median', median)],
    },
    {
      text:
        memory.growthBytes === null
          ? memory.note
          : `Memory grew by ${formatBytes(memory.growthBytes)}, from ${formatBytes(memory.beforeLoadBytes)} to ${formatBytes(memory.peakBytes)}. ${memory.note}`,
      tone: 'note',
    },
  ];
}

function latencyChart({ histogram, median, rounds, requests }: PerformanceFigures): string {
  const { edgesMs, counts } = histogram;
  const [low, high] = [edgesMs[0] as number, edgesMs.at(-1) as number];
  const place = (ms: number): number => Math.log(ms / low) / Math.log(high / low);
  const ms = (value: number): string => `${formatNumber(value, 3)} ms`;
  return histogramChart({
    title: `Latency of ${rounds.length * requests} requests (logarithmic)`,
    counts,
    labels: [ms(low), ms(Math.sqrt(low * high)), ms(high)],
    marks: [
      { at: place(median.p50Ms), name: `p50 ${ms(median.p50Ms)}` },
      { at: place(median.p99Ms), name: `p99 ${ms(median.p99Ms)}` },
    ],
  });
}

function replayBlocks(figures: ReplayFigures): readonly PageBlock[] {
  const { requests, differing, share, interval, productionVersion, differences } = figures;
  return [
    {
      text: `${differing} of ${requests} requests (${(100 * share).toFixed(2)} %, interval ${intervalText(interval).trim()}) are answered otherwise than by ${productionVersion}.`,
    },
    {
      head: ['output', 'differing', 'mean distance', 'largest distance'],
      rows: figures.outputs.map((each) => [
        each.output,
        String(each.differing),
        number(each.meanGap),
        number(each.largestGap),
      ]),
    },
    {
      head: ['request', 'output', productionVersion, 'this version'],
      rows: differences.map((each) => [
        each.request,
        each.place,
        shown(each.production),
        shown(each.candidate),
      ]),
    },
    { text: more(differing, differences.length), tone: 'note' },
  ];
}

function more(all: number, told: number): string {
  return all > told ? `And ${all - told} more.` : '';
}

function number(value: number | null | undefined, digits?: number): string {
  return value === null || value === undefined ? '' : formatNumber(value, digits);
}

function shown(value: Json): string {
  const text = typeof value === 'string' ? value : encodeJson(value);
  return text.length > 300 ? `${text.slice(0, 300)}…` : text;
}

function time(at: number): string {
  return new Date(at)
    .toISOString()
    .replace('T', ' ')
    .replace(/\.\d+Z$/, ' UTC');
}
