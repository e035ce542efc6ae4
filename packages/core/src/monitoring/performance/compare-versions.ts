import {
  benjaminiHochberg,
  type Interval,
  type MeasuredFigure,
  normalTwoSided,
  quantile,
  shareFigure,
  sorted,
  studentQuantileTwoSided,
  studentTwoSided,
} from '../../statistics/index.ts';
import type { StoredPrediction } from '../predictions/stored-predictions.ts';
import { lossesOf } from './losses.ts';
import {
  type MeasuredPerformance,
  type MeasureOptions,
  measureRows,
  type PerformanceRow,
  taskOf,
  weightsOf,
} from './measured-rows.ts';

/** One version or arm of a comparison. Plain JSON. */
export type ComparedSide = {
  readonly name: string;
  readonly requests: number;
  readonly labelled: number;
  /** The share of requests that failed. */
  readonly errors: MeasuredFigure;
  /** Of answers that did not fail, in ms; null without any. */
  readonly latency: { readonly p50: number; readonly p95: number; readonly p99: number } | null;
  readonly performance: MeasuredPerformance;
};

/** A figure of one side beside that of the baseline. Plain JSON. */
export type SideTest = {
  readonly side: string;
  readonly figure: string;
  /** Of the side less that of the baseline. */
  readonly difference: number;
  /** For a single look. */
  readonly interval: Interval;
  readonly pValue: number;
  /** Corrected for the number of figures and sides (Benjamini–Hochberg). */
  readonly adjustedPValue: number;
  readonly verdict: 'better' | 'worse' | 'inconclusive';
  /** `paired`: by the requests that both answered; `unpaired`: of all requests of each. */
  readonly by: 'paired' | 'unpaired';
};

/** Versions or arms side by side. Plain JSON. */
export type Comparison = {
  readonly baseline: string | null;
  readonly sides: readonly ComparedSide[];
  /** Those of the figures that both sides have. */
  readonly tests: readonly SideTest[];
};

/** An answer of a side, with its truth where that is known. */
export interface ComparedRow {
  readonly side: string;
  readonly prediction: StoredPrediction;
  readonly row: PerformanceRow;
  readonly isLabelled: boolean;
}

/** Figures that are tested, and whether more of them is better. */
const figures: readonly (readonly [
  name: string,
  of: (side: ComparedSide) => MeasuredFigure | undefined,
  better: 'more' | 'less',
])[] = [
  ['error_rate', ({ errors }) => errors, 'less'],
  ['accuracy', ({ performance }) => performance.classes?.accuracy, 'more'],
  ['macro_f1', ({ performance }) => performance.classes?.macroF1, 'more'],
  ['roc_area', ({ performance }) => performance.scores?.rocArea, 'more'],
  ['log_loss', ({ performance }) => performance.scores?.logLoss, 'less'],
  ['brier', ({ performance }) => performance.scores?.brier, 'less'],
  ['mean_absolute_error', ({ performance }) => performance.numbers?.meanAbsolute, 'less'],
  ['root_mean_squared_error', ({ performance }) => performance.numbers?.rootMeanSquared, 'less'],
];
/** Fewer requests that both answered are not paired. */
const minimumPairs = 30;

/** Compares the sides of rows; the baseline is the one with most requests where none is named. */
export function compareRows(
  rows: readonly ComparedRow[],
  options: MeasureOptions & { readonly baseline?: string },
): Comparison {
  const { alpha = 0.05 } = options;
  const labelled = rows.filter(({ isLabelled }) => isLabelled);
  const task = options.task ?? taskOf(labelled.map(({ row }) => row));
  const how = task === undefined ? options : { ...options, task };
  const bySide = Map.groupBy(rows, ({ side }) => side);
  const sides = [...bySide]
    .map(([name, all]) => sideOf(name, all, how, alpha))
    .sort((a, b) => b.requests - a.requests || (a.name < b.name ? -1 : 1));
  const baseline = sides.find(({ name }) => name === options.baseline) ?? sides[0];
  if (baseline === undefined) return { baseline: null, sides: [], tests: [] };
  const losses = lossesByRequest(labelled, how);
  const raw = sides.flatMap((side) => {
    if (side === baseline) return [];
    return figures.flatMap(([figure, of, better]) => {
      const [mine, other] = [of(side), of(baseline)];
      const isLoss = figure === 'accuracy' || figure === 'mean_absolute_error';
      const paired = isLoss
        ? pairedDifference(losses.get(side.name), losses.get(baseline.name), alpha)
        : undefined;
      // Of right answers a loss is the other way round.
      const tested =
        paired === undefined
          ? difference(mine, other)
          : figure === 'accuracy'
            ? turned(paired)
            : paired;
      if (tested === undefined) return [];
      const by = paired === undefined ? ('unpaired' as const) : ('paired' as const);
      return [{ side: side.name, figure, better, by, ...tested }];
    });
  });
  const adjusted = benjaminiHochberg(raw.map(({ pValue }) => pValue));
  return {
    baseline: baseline.name,
    sides,
    tests: raw.map(({ better, ...test }, i): SideTest => {
      const adjustedPValue = adjusted[i] ?? 1;
      const isBetter = better === 'more' ? test.difference > 0 : test.difference < 0;
      const decided = isBetter ? ('better' as const) : ('worse' as const);
      const verdict = adjustedPValue <= alpha ? decided : ('inconclusive' as const);
      return { ...test, adjustedPValue, verdict };
    }),
  };
}

function sideOf(
  name: string,
  all: readonly ComparedRow[],
  how: MeasureOptions,
  alpha: number,
): ComparedSide {
  const part = (isFailed: boolean) =>
    weightsOf(
      all
        .filter(({ prediction }) => (prediction.error !== undefined) === isFailed)
        .map(({ row }) => row),
    );
  const known = all.filter(({ isLabelled }) => isLabelled).map(({ row }) => row);
  const times = sorted(
    all.flatMap(({ prediction: { error, latencyMs } }) =>
      error === undefined && Number.isFinite(latencyMs) ? [latencyMs] : [],
    ),
  );
  const at = (share: number): number => quantile(times, share);
  return {
    name,
    requests: all.length,
    labelled: known.length,
    errors: shareFigure(part(true), part(false), alpha),
    latency: times.length === 0 ? null : { p50: at(0.5), p95: at(0.95), p99: at(0.99) },
    performance: measureRows(known, how),
  };
}

interface Tested {
  readonly difference: number;
  readonly interval: Interval;
  readonly pValue: number;
}

/** The interval from those of both sides (Zou & Donner 2008, of rates Newcombe's); p by their standard errors, normal. */
function difference(
  mine: MeasuredFigure | undefined,
  other: MeasuredFigure | undefined,
): Tested | undefined {
  if (mine?.value == null || other?.value == null) return undefined;
  if (mine.interval === null || other.interval === null) return undefined;
  const [a, b] = [mine.interval, other.interval];
  const gap = mine.value - other.value;
  const error = Math.hypot(mine.standardError ?? 0, other.standardError ?? 0);
  const pValue = error > 0 ? normalTwoSided(gap / error) : 1;
  return {
    difference: gap,
    interval: {
      low: gap - Math.hypot(mine.value - a.low, b.high - other.value),
      high: gap + Math.hypot(a.high - mine.value, other.value - b.low),
    },
    pValue,
  };
}

function lossesByRequest(
  labelled: readonly ComparedRow[],
  how: MeasureOptions,
): ReadonlyMap<string, ReadonlyMap<string, { readonly loss: number; readonly weight: number }>> {
  const losses = lossesOf(
    labelled.map(({ row }) => row),
    how,
  );
  const bySide = new Map<string, Map<string, { loss: number; weight: number }>>();
  for (const [i, { side, prediction, row }] of labelled.entries()) {
    const loss = losses[i] as number;
    if (Number.isNaN(loss)) continue;
    const known = bySide.get(side) ?? new Map();
    known.set(prediction.requestId, { loss, weight: row.weight ?? 1 });
    bySide.set(side, known);
  }
  return bySide;
}

/** Of the losses of the requests that both answered, Student's; undefined for fewer than 30. */
function pairedDifference(
  mine: ReadonlyMap<string, { readonly loss: number; readonly weight: number }> | undefined,
  other: ReadonlyMap<string, { readonly loss: number; readonly weight: number }> | undefined,
  alpha: number,
): Tested | undefined {
  if (mine === undefined || other === undefined) return undefined;
  let [pairs, weight, sum] = [0, 0, 0];
  const gaps: { gap: number; weight: number }[] = [];
  for (const [requestId, each] of mine) {
    const against = other.get(requestId);
    if (against === undefined) continue;
    const gap = each.loss - against.loss;
    pairs += 1;
    weight += each.weight;
    sum += each.weight * gap;
    gaps.push({ gap, weight: each.weight });
  }
  if (pairs < minimumPairs) return undefined;
  const mean = sum / weight;
  let spread = 0;
  for (const each of gaps) spread += (each.weight * (each.gap - mean)) ** 2;
  const error = (Math.sqrt(spread) / weight) * Math.sqrt(pairs / (pairs - 1));
  const half = studentQuantileTwoSided(alpha, pairs - 1) * error;
  return {
    difference: mean,
    interval: { low: mean - half, high: mean + half },
    pValue: error > 0 ? studentTwoSided(mean / error, pairs - 1) : 1,
  };
}

function turned({ difference: gap, interval, pValue }: Tested): Tested {
  return { difference: -gap, interval: { low: -interval.high, high: -interval.low }, pValue };
}
