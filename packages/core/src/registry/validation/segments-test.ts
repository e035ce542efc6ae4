import type { Json, JsonObject } from '../../json.ts';
import type { Interval } from '../../statistics/index.ts';
import { formatNumber } from '../../tracking/format-figures.ts';
import { numberOf } from './input-tensors.ts';
import { type MetricFigure, metricFigure } from './metric-figure.ts';
import { type LabelledRows, readPredictions } from './read-predictions.ts';
import type { SegmentsTest } from './suite.ts';
import type { TestContext, Verdict } from './test-context.ts';
import { TestFault } from './test-fault.ts';

/** One segment with its figure. */
export interface SegmentFigure {
  readonly segment: string;
  readonly rows: number;
  readonly value: number | null;
  readonly interval?: Interval;
  /** False where it has too few rows, or no value: it counts for nothing. */
  readonly judged: boolean;
}

/** The segments of a column. */
export interface ColumnSegments {
  readonly by: string;
  /** Between the best and the worst judged segment; null with fewer than two. */
  readonly gap: number | null;
  readonly low?: string;
  readonly high?: string;
  readonly passed: boolean;
  readonly segments: readonly SegmentFigure[];
}

/** Figures by segment. */
export interface SegmentsFigures {
  readonly test: 'segments';
  readonly metric: string;
  readonly maxGap: number;
  readonly minRows: number;
  readonly rows: number;
  readonly overall: number | null;
  readonly columns: readonly ColumnSegments[];
}

const maxSegments = 200;

/** A figure for each segment, and the largest gap. */
export async function runSegments(context: TestContext, test: SegmentsTest): Promise<Verdict> {
  const { metric, maxGap, minRows = 30 } = test;
  const rows = context.rows(test.data);
  const outputs = await context.outputs(test.data);
  const labelled = readPredictions(context.model.signature, test, rows, outputs);
  const overall = await metricFigure(metric, labelled, context.metrics);
  const columns: ColumnSegments[] = [];
  for (const by of test.by) {
    const segments: SegmentFigure[] = [];
    for (const [segment, part] of segmentsOf(labelled, by, test.edges?.[by])) {
      const enough = part.rows.length >= minRows;
      const { value, interval } = enough
        ? await metricFigure(metric, part, context.metrics)
        : await figureOfFew(metric, part, context);
      const known = interval === undefined ? {} : { interval };
      const judged = enough && value !== null && Number.isFinite(value);
      segments.push({ segment, rows: part.rows.length, value, ...known, judged });
    }
    columns.push({ by, segments, ...gapOf(segments, maxGap) });
  }
  const figures: SegmentsFigures = {
    ...{ test: 'segments', metric, maxGap, minRows, rows: rows.length },
    ...{ overall: overall.value, columns },
  };
  const failed = columns.filter(({ passed }) => !passed);
  const told = (failed.length === 0 ? columns : failed).map((each) => sentence(each, test));
  const outcome = failed.length === 0 ? 'PASSED' : 'FAILED';
  return { outcome, detail: told.join('; '), figures };
}

/** Of too few rows a figure is shown where there is one, and judges nothing. */
async function figureOfFew(
  metric: string,
  part: LabelledRows,
  context: TestContext,
): Promise<Pick<MetricFigure, 'value' | 'interval'>> {
  try {
    return await metricFigure(metric, part, context.metrics);
  } catch (error) {
    if (!(error instanceof TestFault)) throw error;
    return { value: null };
  }
}

/** The largest gap between segments that are judged. With fewer than two there is none to judge: it fails. */
export function gapOf(
  segments: readonly SegmentFigure[],
  maxGap: number,
): Pick<ColumnSegments, 'gap' | 'low' | 'high' | 'passed'> {
  const judged = segments
    .filter((each) => each.judged)
    .sort((a, b) => (a.value as number) - (b.value as number));
  const [low, high] = [judged[0], judged.at(-1)];
  if (low === undefined || high === undefined || judged.length < 2) {
    return { gap: null, passed: false };
  }
  const gap = (high.value as number) - (low.value as number);
  return { gap, low: low.segment, high: high.segment, passed: gap <= maxGap };
}

/** The rows by what they have in a column, in order of names or edges. TestFault for too many segments. */
export function segmentsOf(
  labelled: LabelledRows,
  by: string,
  edges: readonly number[] | undefined,
): readonly (readonly [segment: string, part: LabelledRows])[] {
  const groups = Map.groupBy(labelled.rows, ({ row }) => segmentOf(row, by, edges));
  if (groups.size > maxSegments) {
    throw new TestFault(
      `column ${by} makes ${groups.size} segments, more than ${maxSegments}; cut it by edges`,
    );
  }
  const names = edges === undefined ? [...groups.keys()].sort() : [...namesOf(edges), missing];
  return names.flatMap((name) => {
    const rows = groups.get(name);
    return rows === undefined ? [] : [[name, { ...labelled, rows }] as const];
  });
}

const missing = '(missing)';

function segmentOf(row: JsonObject, by: string, edges: readonly number[] | undefined): string {
  const value = (Object.hasOwn(row, by) ? row[by] : undefined) as Json | undefined;
  if (value === undefined || value === null || value === '') return missing;
  if (edges === undefined) return typeof value === 'string' ? value : JSON.stringify(value);
  const number = numberOf(value);
  if (number === undefined) {
    throw new TestFault(`column ${by} is cut by edges, and ${JSON.stringify(value)} is no number`);
  }
  if (Number.isNaN(number)) return missing;
  const place = edges.filter((edge) => number >= edge).length;
  return namesOf(edges)[place] as string;
}

function namesOf(edges: readonly number[]): readonly string[] {
  return [...edges, Infinity].map((edge, i) => {
    if (i === 0) return `below ${edge}`;
    return edge === Infinity ? `from ${edges.at(-1)}` : `${edges[i - 1]} to below ${edge}`;
  });
}

function sentence(
  { by, gap, low, high, segments }: ColumnSegments,
  { metric, maxGap, minRows = 30 }: SegmentsTest,
): string {
  const few = segments.filter(({ rows }) => rows < minRows).length;
  const left =
    few === 0
      ? ''
      : `; ${few} of ${segments.length} segments have too few rows (below ${minRows}) and are not judged`;
  if (gap === null) {
    return `by ${by} nothing can be judged: fewer than two segments have ${minRows} rows and a value${left}`;
  }
  return `by ${by} the gap in ${metric} is ${formatNumber(gap)} between ${low} and ${high}, allowed ${formatNumber(maxGap)}${left}`;
}
