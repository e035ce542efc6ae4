import {
  type Correlation,
  type MeasuredFigure,
  meanFigure,
  quantile,
  rankCorrelation,
  shareFigure,
  sorted,
} from '../../statistics/index.ts';
import type { StoredPrediction } from '../predictions/stored-predictions.ts';
import type { StoredOutcome } from './business-outcomes.ts';
import type { LabelHistory } from './labels.ts';
import { lossesOf } from './losses.ts';
import { type PerformanceRow, weightOf, weightsOf } from './measured-rows.ts';
import { rowOf } from './performance.ts';

/** What came of the requests of a period, by one name. Plain JSON. */
export type BusinessMetric = {
  readonly name: string;
  /** Of all sides together, then of each. */
  readonly overall: BusinessFigures;
  readonly sides: readonly (BusinessFigures & { readonly side: string })[];
  /** How long outcomes take after their request, in ms. */
  readonly delay: { readonly p50Ms: number; readonly p95Ms: number };
  /**
   * What is known of a request when it is answered, or when its label comes, and rises or falls with what comes of it: the
   * strongest first. Those of `now` may stand in for the outcome before it is known.
   */
  readonly proxies: readonly (Correlation & {
    readonly of: 'confidence' | 'prediction' | 'latency' | 'loss';
    readonly known: 'now' | 'with the label';
  })[];
  /** Day by day: the mean outcome of a request beside the mean loss of those with a label. */
  readonly daily: Correlation;
};

/** Figures of an outcome. Plain JSON. */
export type BusinessFigures = {
  readonly requests: number;
  /** The share of requests that have any. */
  readonly share: MeasuredFigure;
  /** Of all requests together; those without count as 0. */
  readonly total: number;
  readonly perRequest: MeasuredFigure;
  /** Of those that have any. */
  readonly perOutcome: MeasuredFigure;
};

interface JoinedRow {
  readonly prediction: StoredPrediction;
  readonly side: string;
  readonly row: PerformanceRow;
  readonly loss: number;
  readonly outcome: StoredOutcome | undefined;
}

const dayMs = 86_400_000;

/** What came of requests, by name; correlations are of ranks (Spearman). */
export function businessMetrics(
  predictions: readonly StoredPrediction[],
  outcomes: ReadonlyMap<string, ReadonlyMap<string, StoredOutcome>>,
  labels: ReadonlyMap<string, LabelHistory>,
  sideOf: (prediction: StoredPrediction) => string | undefined,
): readonly BusinessMetric[] {
  const served = predictions.filter(({ role }) => role === 'primary');
  const rows = served.map((prediction) =>
    rowOf(prediction, labels.get(prediction.requestId)?.value ?? null),
  );
  const labelled = served.flatMap(({ requestId }, i) => (labels.has(requestId) ? [i] : []));
  const known = lossesOf(labelled.map((i) => rows[i] as PerformanceRow));
  const losses = new Float64Array(served.length).fill(Number.NaN);
  for (const [place, i] of labelled.entries()) losses[i] = known[place] as number;
  return [...outcomes]
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .map(([name, byRequest]) => {
      const joined = served.flatMap((prediction, i): JoinedRow[] => {
        const side = sideOf(prediction);
        if (side === undefined) return [];
        const outcome = byRequest.get(prediction.requestId);
        return [
          { prediction, side, row: rows[i] as PerformanceRow, loss: losses[i] as number, outcome },
        ];
      });
      return metricOf(name, joined);
    });
}

function metricOf(name: string, joined: readonly JoinedRow[]): BusinessMetric {
  const bySide = Map.groupBy(joined, ({ side }) => side);
  const delays = sorted(
    joined.flatMap(({ outcome, prediction }) =>
      outcome === undefined ? [] : [Math.max(0, outcome.firstAt - prediction.at)],
    ),
  );
  const at = (share: number): number => (delays.length === 0 ? 0 : quantile(delays, share));
  return {
    name,
    overall: figuresOf(joined),
    sides: [...bySide]
      .sort(([a], [b]) => (a < b ? -1 : 1))
      .map(([side, part]) => ({ side, ...figuresOf(part) })),
    delay: { p50Ms: at(0.5), p95Ms: at(0.95) },
    proxies: proxiesOf(joined),
    daily: dailyOf(joined),
  };
}

function figuresOf(joined: readonly JoinedRow[]): BusinessFigures {
  const [having, lacking] = [true, false].map((has) =>
    joined.filter(({ outcome }) => (outcome !== undefined) === has).map(({ row }) => row),
  ) as [PerformanceRow[], PerformanceRow[]];
  const values = joined.map(({ outcome }) => outcome?.value ?? 0);
  const weights = joined.map(({ row }) => weightOf(row));
  const own = joined.flatMap(({ outcome, row }) =>
    outcome === undefined ? [] : [{ value: outcome.value, weight: weightOf(row) }],
  );
  return {
    requests: joined.length,
    share: shareFigure(weightsOf(having), weightsOf(lacking), 0.05),
    total: values.reduce((sum, value, i) => sum + value * (weights[i] as number), 0),
    perRequest: meanFigure(values, weights, 0.05),
    perOutcome: meanFigure(
      own.map(({ value }) => value),
      own.map(({ weight }) => weight),
      0.05,
    ),
  };
}

function proxiesOf(joined: readonly JoinedRow[]): BusinessMetric['proxies'] {
  const candidates: readonly (readonly [
    of: BusinessMetric['proxies'][number]['of'],
    known: BusinessMetric['proxies'][number]['known'],
    value: (each: JoinedRow) => number,
  ])[] = [
    ['confidence', 'now', ({ prediction }) => confidenceOf(prediction)],
    [
      'prediction',
      'now',
      ({ prediction }) =>
        typeof prediction.prediction === 'number' ? prediction.prediction : Number.NaN,
    ],
    ['latency', 'now', ({ prediction }) => prediction.latencyMs],
    ['loss', 'with the label', ({ loss }) => loss],
  ];
  return candidates
    .map(([of, known, value]) => {
      const pairs = joined.flatMap((each) => {
        const x = value(each);
        return Number.isFinite(x) ? [[x, each.outcome?.value ?? 0] as const] : [];
      });
      const found = rankCorrelation(
        pairs.map(([x]) => x),
        pairs.map(([, y]) => y),
      );
      return { of, known, ...found };
    })
    .filter(({ value }) => value !== null)
    .sort((a, b) => Math.abs(b.value ?? 0) - Math.abs(a.value ?? 0));
}

/** How sure the model was: what it says itself, or the largest of its probabilities. */
function confidenceOf({ confidence, probabilities }: StoredPrediction): number {
  if (confidence !== undefined) return confidence;
  const all = Object.values(probabilities ?? {});
  return all.length === 0 ? Number.NaN : all.reduce((most, p) => Math.max(most, p), -Infinity);
}

function dailyOf(joined: readonly JoinedRow[]): Correlation {
  const days = Map.groupBy(joined, ({ prediction }) => Math.floor(prediction.at / dayMs));
  const [outcomes, losses]: [number[], number[]] = [[], []];
  for (const [, part] of [...days].sort(([a], [b]) => a - b)) {
    const known = part.filter(({ loss }) => Number.isFinite(loss));
    if (known.length === 0) continue;
    const mean = (of: (each: JoinedRow) => number, all: readonly JoinedRow[]): number =>
      all.reduce((sum, each) => sum + of(each), 0) / all.length;
    outcomes.push(mean(({ outcome }) => outcome?.value ?? 0, part));
    losses.push(mean(({ loss }) => loss, known));
  }
  return rankCorrelation(outcomes, losses);
}
