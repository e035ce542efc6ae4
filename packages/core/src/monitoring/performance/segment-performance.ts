import { benjaminiHochberg, type Category, normalAbove } from '../../statistics/index.ts';
import type { StoredPrediction } from '../predictions/stored-predictions.ts';
import { lossesOf } from './losses.ts';
import {
  type MeasuredPerformance,
  type MeasureOptions,
  measureRows,
  type PerformanceRow,
  weightOf,
} from './measured-rows.ts';

/** How well a model does in one segment, beside all others. Plain JSON. */
export type SegmentPerformance = {
  readonly segment: Category;
  readonly performance: MeasuredPerformance;
  /** Missing where it, or the rest, has too few labels: no alarm on tiny segments. */
  readonly beside?: {
    /** Mean loss: the share of wrong answers, or the mean absolute error of numbers. */
    readonly here: number;
    readonly elsewhere: number;
    /** One-sided, of "no worse than elsewhere", corrected for the number of segments (Benjamini–Hochberg). */
    readonly adjustedPValue: number;
    readonly isWorse: boolean;
  };
};

/** What a segment is cut from. */
export interface SegmentRow {
  readonly row: PerformanceRow;
  readonly prediction: Pick<StoredPrediction, 'features' | 'segment' | 'region' | 'experimentArm'>;
}

/** Weighted losses, so that what remains without a part is a difference. */
interface LossSum {
  readonly rows: number;
  readonly weight: number;
  readonly loss: number;
  /** Of squared weights, with the loss to the powers 0, 1 and 2. */
  readonly squares: readonly [number, number, number];
}

const mostSegments = 200;

/** Each segment of a feature beside the rest, the worst first; the 200 with most labels. */
export function segmentPerformances(
  rows: readonly SegmentRow[],
  feature: string,
  options: MeasureOptions & { readonly minimumSegmentRows?: number },
): readonly SegmentPerformance[] {
  const { minimumSegmentRows = 30, alpha = 0.05 } = options;
  const losses = lossesOf(
    rows.map(({ row }) => row),
    options,
  );
  const segments = [...placesByValue(rows, feature)]
    .sort(([a, m], [b, n]) => n.length - m.length || (String(a) < String(b) ? -1 : 1))
    .slice(0, mostSegments);
  const sumAt = (places: Iterable<number>): LossSum => lossSum(rows, losses, places);
  const whole = sumAt(rows.keys());
  const compared = segments.map(([segment, places]) => {
    const here = places.map((place) => (rows[place] as SegmentRow).row);
    const performance = measureRows(here, { ...options, minimumRows: minimumSegmentRows });
    const mine = sumAt(places);
    const rest = less(whole, mine);
    const isEnough = Math.min(mine.rows, rest.rows) >= Math.max(2, minimumSegmentRows);
    return { segment, performance, test: isEnough ? worse(mine, rest, whole) : undefined };
  });
  const adjusted = benjaminiHochberg(compared.flatMap(({ test }) => test?.pValue ?? []));
  let place = 0;
  return compared
    .map(({ segment, performance, test }): SegmentPerformance => {
      if (test === undefined) return { segment, performance };
      const adjustedPValue = adjusted[place] ?? 1;
      place += 1;
      const { here, elsewhere } = test;
      const isWorse = adjustedPValue <= alpha;
      return { segment, performance, beside: { here, elsewhere, adjustedPValue, isWorse } };
    })
    .toSorted((a, b) => pOf(a) - pOf(b) || b.performance.rows - a.performance.rows);
}

function pOf({ beside }: SegmentPerformance): number {
  return beside?.adjustedPValue ?? 2;
}

function placesByValue(rows: readonly SegmentRow[], feature: string): Map<Category, number[]> {
  const byValue = new Map<Category, number[]>();
  for (const [place, { prediction }] of rows.entries()) {
    const value = segmentOf(prediction, feature);
    if (!isCategory(value)) continue;
    const known = byValue.get(value);
    if (known === undefined) byValue.set(value, [place]);
    else known.push(place);
  }
  return byValue;
}

/** The value of a feature, or of what a request tells besides. */
function segmentOf(prediction: SegmentRow['prediction'], name: string): unknown {
  const { features } = prediction;
  if (Object.hasOwn(features, name)) return features[name];
  return name === 'segment' || name === 'region' || name === 'experimentArm'
    ? prediction[name]
    : undefined;
}

function isCategory(value: unknown): value is Category {
  if (typeof value === 'number') return !Number.isNaN(value);
  return typeof value === 'string' || typeof value === 'boolean';
}

function lossSum(
  rows: readonly SegmentRow[],
  losses: Float64Array,
  places: Iterable<number>,
): LossSum {
  let [count, weight, loss, q0, q1, q2] = [0, 0, 0, 0, 0, 0];
  for (const place of places) {
    const each = losses[place] as number;
    if (Number.isNaN(each)) continue;
    const w = weightOf((rows[place] as SegmentRow).row);
    count += 1;
    weight += w;
    loss += w * each;
    q0 += w * w;
    q1 += w * w * each;
    q2 += w * w * each * each;
  }
  return { rows: count, weight, loss, squares: [q0, q1, q2] };
}

function less(a: LossSum, b: LossSum): LossSum {
  const [a0, a1, a2] = a.squares;
  const [b0, b1, b2] = b.squares;
  return {
    rows: a.rows - b.rows,
    weight: a.weight - b.weight,
    loss: a.loss - b.loss,
    squares: [a0 - b0, a1 - b1, a2 - b2],
  };
}

/** One-sided: whether the mean loss here is larger than elsewhere, with the spread of all rows (normal). */
function worse(
  here: LossSum,
  rest: LossSum,
  whole: LossSum,
): { readonly here: number; readonly elsewhere: number; readonly pValue: number } {
  const mean = whole.loss / whole.weight;
  const error = Math.sqrt(variance(here, mean) + variance(rest, mean));
  const [mine, other] = [here.loss / here.weight, Math.max(0, rest.loss / rest.weight)];
  const gap = mine - other;
  const pValue = error > 0 && Number.isFinite(gap) ? normalAbove(gap / error) : 1;
  return { here: mine, elsewhere: other, pValue };
}

/** Of the mean loss, linearised around the mean of all rows. */
function variance({ weight, squares }: LossSum, mean: number): number {
  const [q0, q1, q2] = squares;
  return Math.max(0, q2 - 2 * mean * q1 + mean * mean * q0) / weight ** 2;
}
