import { invalid, requireLevel, requireWithin } from '../arguments.ts';
import { momentsOf, sampleVariance } from '../descriptive/moments.ts';
import { quantile, sorted } from '../descriptive/quantile.ts';
import { normalQuantile } from '../distributions/normal.ts';
import type { Interval } from '../intervals/interval.ts';
import { shareInterval } from '../intervals/share-interval.ts';
import { seededRandom } from '../random/seeded-random.ts';
import { effectiveRows, type MeasuredFigure, meanFigure, noFigure } from './measured-figure.ts';
import { requireWeights } from './weighted-confusion.ts';

/** Rows with what was the case, what was said, and how probable each class was said to be. */
export interface ScoredRows {
  readonly actual: readonly string[];
  readonly predicted: readonly string[];
  /** The classes that have probabilities, in their order. */
  readonly classes: readonly string[];
  /** Of each row, one for each class. */
  readonly probabilities: readonly ArrayLike<number>[];
  /** How many rows each stands for; 1 when left out. */
  readonly weights?: readonly number[];
}

/** Rows of like confidence: how sure the model was, and how often it was right. Plain JSON. */
export type CalibrationBin = {
  readonly rows: number;
  readonly confidence: number;
  readonly share: number;
  readonly interval: Interval;
};

/** How good the probabilities are. Plain JSON. */
export type ScorePerformance = {
  readonly rows: number;
  /** Area under the ROC curve; of several classes the mean of each against the rest (those that occur on both sides). */
  readonly rocArea: MeasuredFigure;
  /** −ln of the probability of the actual class, in nats; 2.2e-16 at least, as in scikit-learn. */
  readonly logLoss: MeasuredFigure;
  /** Squared distance of the probabilities from what was the case; halved for two classes, as in scikit-learn. */
  readonly brier: MeasuredFigure;
  /**
   * |confidence − share right| in ten groups of equal size by confidence, weighted by their size. Of two classes, of the
   * second's probability; of more, of the class that was predicted.
   */
  readonly calibrationError: MeasuredFigure;
  readonly calibration: readonly CalibrationBin[];
};

const smallest = 2.220446049250313e-16;
const groups = 10;
const draws = 1000;

/** Area, log loss, Brier score and calibration of probabilities, with intervals. INVALID for what is no probability. */
export function scorePerformance(scored: ScoredRows, alpha: number): ScorePerformance {
  requireLevel('alpha', alpha);
  checkRows(scored);
  const { actual, classes, probabilities, weights } = scored;
  const places = new Map(classes.map((name, place) => [name, place]));
  const probabilityOf = (row: number, name: string): number => {
    const place = places.get(name);
    return place === undefined ? 0 : (probabilities[row]?.[place] ?? 0);
  };
  const losses = actual.map((name, row) => -Math.log(Math.max(smallest, probabilityOf(row, name))));
  const half = classes.length === 2 ? 0.5 : 1;
  const squares = actual.map((name, row) => {
    // A class without a probability was given none.
    let sum = places.has(name) ? 0 : 1;
    for (const [k, each] of classes.entries()) {
      sum += ((probabilities[row]?.[k] ?? 0) - (each === name ? 1 : 0)) ** 2;
    }
    return half * sum;
  });
  return {
    rows: actual.length,
    rocArea: rocAreaFigure(scored, alpha),
    logLoss: meanFigure(losses, weights, alpha),
    brier: meanFigure(squares, weights, alpha),
    ...calibrationOf(scored, probabilityOf, alpha),
  };
}

function checkRows({ actual, predicted, classes, probabilities, weights }: ScoredRows): void {
  const rows = actual.length;
  if (predicted.length !== rows)
    throw invalid('predicted', predicted.length, `as many as there are actual, ${rows}`);
  if (probabilities.length !== rows)
    throw invalid('probabilities', probabilities.length, `as many as there are actual, ${rows}`);
  requireWeights(weights, rows);
  for (const each of probabilities) {
    for (let k = 0; k < classes.length; k += 1) {
      requireWithin('probability', each[k] ?? Number.NaN, 0, 1);
    }
  }
}

/** The mean of the areas of each class against the rest, with DeLong's variance of what each row adds to it. */
function rocAreaFigure(scored: ScoredRows, alpha: number): MeasuredFigure {
  const { actual, classes, probabilities, weights } = scored;
  const rows = actual.length;
  // Of each row, what it adds to the figure beyond its share; as a member of the class, and as one of the rest.
  const change = new Float64Array(rows);
  const areas: number[] = [];
  let fewest = Infinity;
  for (const [k, name] of classes.entries()) {
    const scores = Float64Array.from(probabilities, (each) => each[k] ?? 0);
    const found = placements(scores, (row) => actual[row] === name, weights);
    if (found === undefined) continue;
    areas.push(found.area);
    fewest = Math.min(fewest, found.rows);
    for (let row = 0; row < rows; row += 1) {
      change[row] = (change[row] as number) + (found.change[row] as number);
    }
    // Both classes say the same.
    if (classes.length === 2) break;
  }
  if (areas.length === 0) return noFigure('delong');
  const area = areas.reduce((sum, each) => sum + each, 0) / areas.length;
  let variance = 0;
  for (const each of change) variance += (each / areas.length) ** 2;
  const found = { value: area, method: 'delong', rows: fewest } as const;
  if (fewest < 2) return { ...found, interval: null, standardError: null };
  const standardError = Math.sqrt(variance);
  const half = normalQuantile(1 - alpha / 2) * standardError;
  const interval =
    variance > 0
      ? { low: Math.max(0, area - half), high: Math.min(1, area + half) }
      : // All placements alike: DeLong's variance says nothing.
        shareInterval(area, fewest, alpha);
  return { ...found, interval, standardError };
}

/**
 * For each row, by how much it moves the area: its placement among the other side, less the area, by its share of its
 * side. Undefined where a side is empty.
 */
function placements(
  scores: Float64Array,
  isPositive: (row: number) => boolean,
  weights: readonly number[] | undefined,
): { readonly area: number; readonly change: Float64Array; readonly rows: number } | undefined {
  const rows = scores.length;
  const order = Array.from(scores, (_, row) => row).sort(
    (a, b) => (scores[a] as number) - (scores[b] as number) || a - b,
  );
  const positive = Uint8Array.from(order, (row) => (isPositive(row) ? 1 : 0));
  const [members, rest] = [new Sum(), new Sum()];
  for (const [i, row] of order.entries()) {
    (positive[i] === 1 ? members : rest).add(weights?.[row] ?? 1);
  }
  if (members.rows === 0 || rest.rows === 0) return undefined;
  const placed = new Float64Array(rows);
  let [below, above, area] = [0, 0, 0];
  for (let start = 0; start < rows; ) {
    let end = start;
    let [ties, tiedRest] = [0, 0];
    while (end < rows && scores[order[end] as number] === scores[order[start] as number]) {
      const weight = weights?.[order[end] as number] ?? 1;
      if (positive[end] === 1) ties += weight;
      else tiedRest += weight;
      end += 1;
    }
    for (let i = start; i < end; i += 1) {
      const row = order[i] as number;
      placed[row] =
        positive[i] === 1
          ? (below + tiedRest / 2) / rest.weight
          : 1 - (above + ties / 2) / members.weight;
      if (positive[i] === 1)
        area += ((weights?.[row] ?? 1) * (placed[row] as number)) / members.weight;
    }
    below += tiedRest;
    above += ties;
    start = end;
  }
  const change = new Float64Array(rows);
  for (const [i, row] of order.entries()) {
    const side = positive[i] === 1 ? members : rest;
    const small = side.rows > 1 ? Math.sqrt(side.rows / (side.rows - 1)) : 1;
    change[row] =
      (((weights?.[row] ?? 1) * ((placed[row] as number) - area)) / side.weight) * small;
  }
  return {
    area: Math.min(1, area),
    change,
    rows: Math.min(effectiveRows(members), effectiveRows(rest)),
  };
}

class Sum {
  rows = 0;
  weight = 0;
  squares = 0;

  add(weight: number): void {
    this.rows += 1;
    this.weight += weight;
    this.squares += weight * weight;
  }
}

function calibrationOf(
  { actual, predicted, classes, weights }: ScoredRows,
  probabilityOf: (row: number, name: string) => number,
  alpha: number,
): Pick<ScorePerformance, 'calibrationError' | 'calibration'> {
  const named = (row: number): string =>
    classes.length === 2 ? (classes[1] as string) : (predicted[row] as string);
  const confidence = Float64Array.from(actual, (_, row) => probabilityOf(row, named(row)));
  const rows = actual.length;
  if (rows === 0) return { calibrationError: noFigure('bootstrap'), calibration: [] };
  const order = actual
    .map((_, row) => row)
    .sort((a, b) => (confidence[a] as number) - (confidence[b] as number) || a - b);
  const total = new Sum();
  for (const row of order) total.add(weights?.[row] ?? 1);
  const gaps: { readonly gap: number; readonly deviation: number; readonly share: number }[] = [];
  const calibration: CalibrationBin[] = [];
  for (let group = 0; group < groups; group += 1) {
    const part = order.slice(
      Math.floor((group * rows) / groups),
      Math.floor(((group + 1) * rows) / groups),
    );
    if (part.length === 0) continue;
    const sum = new Sum();
    let [sure, right] = [0, 0];
    for (const row of part) {
      const weight = weights?.[row] ?? 1;
      sum.add(weight);
      sure += weight * (confidence[row] as number);
      if (actual[row] === named(row)) right += weight;
    }
    const [mean, share] = [sure / sum.weight, Math.min(1, right / sum.weight)];
    const effective = effectiveRows(sum);
    calibration.push({
      ...{ rows: part.length, confidence: mean, share },
      interval: shareInterval(share, effective, alpha),
    });
    const kept = Math.min(1 - 1 / (effective + 2), Math.max(1 / (effective + 2), share));
    gaps.push({
      gap: mean - share,
      deviation: Math.sqrt((kept * (1 - kept)) / effective),
      share: sum.weight / total.weight,
    });
  }
  const value = gaps.reduce((sum, { gap, share }) => sum + Math.abs(gap) * share, 0);
  const random = seededRandom('calibration');
  const drawn = Float64Array.from({ length: draws }, () =>
    gaps.reduce(
      (sum, { gap, deviation, share }) => sum + Math.abs(gap + deviation * random.normal()) * share,
      0,
    ),
  );
  const ascending = sorted(drawn);
  const interval = {
    low: Math.max(0, 2 * value - quantile(ascending, 1 - alpha / 2)),
    high: Math.min(1, Math.max(value, 2 * value - quantile(ascending, alpha / 2))),
  };
  const standardError = Math.sqrt(sampleVariance(momentsOf(drawn)));
  return {
    calibrationError: {
      ...{ value, interval, method: 'bootstrap', standardError },
      rows: effectiveRows(total),
    },
    calibration,
  };
}
