import { invalid, requireWithin } from '../arguments.ts';
import { momentsOf, sampleVariance } from '../descriptive/moments.ts';
import { seededRandom } from '../random/seeded-random.ts';
import { applyIsotonic, fitIsotonic, type IsotonicMap } from './isotonic-map.ts';
import { calibrationError } from './probability-scores.ts';
import { rocArea } from './ranked-scores.ts';

/** Rows whose truth is known, with the probability of each class: what probabilities are calibrated by. */
export interface CalibrationRows {
  readonly classes: readonly string[];
  readonly actual: readonly string[];
  /** Of each row, one for each class. */
  readonly probabilities: readonly ArrayLike<number>[];
}

/** How probabilities of each class are corrected; null for those that need none. Plain JSON. */
export type Calibration = {
  readonly classes: readonly string[];
  readonly maps: readonly (IsotonicMap | null)[];
  /** Rows that it was learnt from. */
  readonly rows: number;
};

/** A figure that is to be expected, with how far the realised one may lie from it by chance (one standard error). Plain JSON. */
export type ExpectedFigure = {
  readonly value: number | null;
  readonly standardError: number | null;
};

/** The performance to expect of rows without a truth. Plain JSON. */
export type ExpectedClassification = {
  readonly rows: number;
  readonly accuracy: ExpectedFigure;
  readonly macroPrecision: ExpectedFigure;
  readonly macroRecall: ExpectedFigure;
  readonly macroF1: ExpectedFigure;
  /** Of several classes the mean of each against the rest. */
  readonly rocArea: ExpectedFigure;
  readonly perClass: readonly {
    readonly class: string;
    readonly precision: ExpectedFigure;
    readonly recall: ExpectedFigure;
    readonly f1: ExpectedFigure;
  }[];
};

const splits = 10;
const heldOutShare = 0.1;

/**
 * Learns how to correct probabilities: for each class an isotonic map, where it lowers the calibration error of held-out tenths on
 * average by more than two standard errors, and the area is not beyond 0.999. (NannyML asks each of ten to be lowered: of 2,000
 * rows of a model twice too sure of itself, chance then leaves one in five uncorrected.) INVALID without rows.
 */
export function fitCalibration({ classes, actual, probabilities }: CalibrationRows): Calibration {
  if (actual.length === 0 || probabilities.length !== actual.length) {
    throw invalid(
      'probabilities',
      probabilities.length,
      'as many as there are actual, at least one',
    );
  }
  const splits = heldOutParts(actual);
  const mapOf = (k: number): IsotonicMap | null => {
    const scores = probabilities.map((each) => checked(each[k]));
    const labels = actual.map((each) => (each === classes[k] ? 1 : 0));
    const area = rocArea(scores, labels);
    if (area === null || area > 0.999) return null;
    const gains = momentsOf(splits.map((heldOut) => gainOf(scores, labels, heldOut)));
    const error = Math.sqrt(sampleVariance(gains) / gains.count);
    return gains.mean > 2 * error ? fitIsotonic(scores, labels) : null;
  };
  if (classes.length !== 2)
    return { classes, maps: classes.map((_, k) => mapOf(k)), rows: actual.length };
  // Of two classes, what is learnt of one holds of the other.
  const map = mapOf(1);
  return { classes, maps: [map === null ? null : complementOf(map), map], rows: actual.length };
}

function complementOf({ x, y }: IsotonicMap): IsotonicMap {
  return { x: x.map((each) => 1 - each).reverse(), y: y.map((each) => 1 - each).reverse() };
}

function checked(p: number | undefined): number {
  const value = p ?? Number.NaN;
  requireWithin('probability', value, 0, 1);
  return value;
}

/** Ten times a tenth of the rows of each class. */
function heldOutParts(actual: readonly string[]): readonly ReadonlySet<number>[] {
  const random = seededRandom('calibration splits');
  const byClass = Map.groupBy(actual.keys(), (i) => actual[i] as string);
  const names = [...byClass.keys()].sort();
  return Array.from({ length: splits }, () => {
    const drawn = names.flatMap((name) => {
      const places = random.shuffle([...(byClass.get(name) ?? [])]);
      return places.slice(0, Math.round(heldOutShare * places.length));
    });
    return new Set(drawn);
  });
}

/** By how much a map learnt from the other rows lowers the calibration error of those held out. */
function gainOf(
  scores: readonly number[],
  labels: readonly number[],
  heldOut: ReadonlySet<number>,
): number {
  const part = (of: readonly number[], isHeld: boolean): number[] =>
    of.filter((_, i) => heldOut.has(i) === isHeld);
  const [held, truth] = [part(scores, true), part(labels, true)];
  if (held.length === 0) return 0;
  const map = fitIsotonic(part(scores, false), part(labels, false));
  const mapped = held.map((score) => clamp(applyIsotonic(map, score)));
  return calibrationError(held, truth) - calibrationError(mapped, truth);
}

function clamp(p: number): number {
  return Math.min(1, Math.max(0, p));
}

/** The corrected probabilities of a row, which add up to 1; all alike where nothing is probable. */
function calibrated({ maps }: Calibration, probabilities: ArrayLike<number>): Float64Array {
  const corrected = Float64Array.from(maps, (map, k) => {
    const p = probabilities[k] as number;
    return map === null ? p : clamp(applyIsotonic(map, p));
  });
  let total = 0;
  for (const p of corrected) total += p;
  return corrected.map((p) => (total > 0 ? p / total : 1 / corrected.length));
}

/**
 * The performance to expect of rows without a truth (confidence-based estimation, NannyML's CBPE, for any number of classes): each
 * row counts for each class with its calibrated probability. The area is by the order of the raw scores. It is right only as
 * far as the concept has not drifted: what the calibration learnt still holds. INVALID for probabilities that are none.
 */
export function expectedClassification(
  calibration: Calibration,
  rows: {
    readonly predicted: readonly string[];
    readonly probabilities: readonly ArrayLike<number>[];
    readonly weights?: readonly number[];
  },
): ExpectedClassification {
  const { classes } = calibration;
  const { predicted, probabilities, weights } = rows;
  for (const each of probabilities) for (const k of classes.keys()) checked(each[k]);
  const expected = probabilities.map((each) => calibrated(calibration, each));
  const of = { classes, predicted, expected, weights };
  const sums = classes.map((_, k) => classSums(of, k));
  const ratios = (value: (sum: ClassSum) => Ratio | null): readonly (Ratio | null)[] =>
    sums.map(value);
  const precisions = ratios(({ hits, named }) =>
    ratio(hits, named, (isNamed) => (isNamed ? 1 : 0)),
  );
  const recalls = ratios(({ hits, support }) =>
    ratio(hits, support, (isNamed, value) => (isNamed ? 1 : 0) - value),
  );
  const f1s = ratios(({ hits, named, support }) =>
    ratio(2 * hits, named + support, (isNamed, value) => (isNamed ? 2 : 0) - value),
  );
  return {
    rows: predicted.length,
    accuracy: accuracyOf(of),
    macroPrecision: meanOf(of, precisions),
    macroRecall: meanOf(of, recalls),
    macroF1: meanOf(of, f1s),
    rocArea: areaOf(of, probabilities),
    perClass: classes.map((name, k) => ({
      class: name,
      precision: single(of, precisions, k),
      recall: single(of, recalls, k),
      f1: single(of, f1s, k),
    })),
  };
}

interface Rows {
  readonly classes: readonly string[];
  readonly predicted: readonly string[];
  readonly expected: readonly Float64Array[];
  readonly weights: readonly number[] | undefined;
}

interface ClassSum {
  readonly hits: number;
  readonly named: number;
  readonly support: number;
}

/** A figure of a class, and what it changes by where a row turns out to be of the class. */
interface Ratio {
  readonly value: number;
  readonly change: (isNamed: boolean) => number;
}

function classSums({ classes, predicted, expected, weights }: Rows, k: number): ClassSum {
  let [hits, named, support] = [0, 0, 0];
  for (const [i, each] of expected.entries()) {
    const [weight, p] = [weights?.[i] ?? 1, each[k] as number];
    const isNamed = predicted[i] === classes[k];
    support += weight * p;
    if (!isNamed) continue;
    named += weight;
    hits += weight * p;
  }
  return { hits, named, support };
}

function ratio(
  part: number,
  whole: number,
  change: (isNamed: boolean, value: number) => number,
): Ratio | null {
  if (!(whole > 0)) return null;
  const value = Math.min(1, part / whole);
  return { value, change: (isNamed) => change(isNamed, value) / whole };
}

/** The mean over classes that have the figure; which class a row is of is one draw. */
function meanOf(rows: Rows, ratios: readonly (Ratio | null)[]): ExpectedFigure {
  const known = ratios.filter((each) => each !== null);
  if (known.length === 0) return { value: null, standardError: null };
  const { classes, predicted, expected, weights } = rows;
  let variance = 0;
  for (const [i, each] of expected.entries()) {
    let [mean, square] = [0, 0];
    for (const [k, found] of ratios.entries()) {
      if (found === null) continue;
      const change = found.change(predicted[i] === classes[k]) / known.length;
      mean += (each[k] as number) * change;
      square += (each[k] as number) * change * change;
    }
    variance += (weights?.[i] ?? 1) ** 2 * Math.max(0, square - mean * mean);
  }
  const value = known.reduce((sum, each) => sum + each.value, 0) / known.length;
  return { value, standardError: Math.sqrt(variance) };
}

function single(rows: Rows, ratios: readonly (Ratio | null)[], k: number): ExpectedFigure {
  return meanOf(
    rows,
    ratios.map((each, other) => (other === k ? each : null)),
  );
}

function accuracyOf({ classes, predicted, expected, weights }: Rows): ExpectedFigure {
  const places = new Map(classes.map((name, k) => [name, k]));
  let [right, total, variance] = [0, 0, 0];
  for (const [i, each] of expected.entries()) {
    const weight = weights?.[i] ?? 1;
    const place = places.get(predicted[i] as string);
    const p = place === undefined ? 0 : (each[place] as number);
    right += weight * p;
    total += weight;
    variance += weight * weight * p * (1 - p);
  }
  if (!(total > 0)) return { value: null, standardError: null };
  return { value: Math.min(1, right / total), standardError: Math.sqrt(variance) / total };
}

/** The area to expect by the order of the raw scores; its error as Hanley & McNeil 1982. */
function areaOf(rows: Rows, probabilities: readonly ArrayLike<number>[]): ExpectedFigure {
  const { classes, expected } = rows;
  const found = classes.flatMap((_, k) => {
    const positives = expected.map((each) => clamp(each[k] as number));
    const area = rocArea(
      probabilities.map((each) => each[k] as number),
      positives,
    );
    if (area === null) return [];
    const members = positives.reduce((sum, p) => sum + p, 0);
    return [{ area, error: areaError(area, members, positives.length - members) }];
  });
  // Both of two classes say the same.
  const counted = classes.length === 2 ? found.slice(0, 1) : found;
  if (counted.length === 0) return { value: null, standardError: null };
  const mean = (of: (each: (typeof counted)[number]) => number): number =>
    counted.reduce((sum, each) => sum + of(each), 0) / counted.length;
  return { value: mean(({ area }) => area), standardError: mean(({ error }) => error) };
}

function areaError(area: number, members: number, rest: number): number {
  const among = area / (2 - area);
  const below = (2 * area * area) / (1 + area);
  const square = area * area;
  const variance =
    (area * (1 - area) +
      Math.max(0, members - 1) * (among - square) +
      Math.max(0, rest - 1) * (below - square)) /
    (members * rest);
  return Math.sqrt(Math.max(0, variance));
}
