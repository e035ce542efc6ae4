import { studentQuantileTwoSided } from '../distributions/student-t.ts';
import type { Interval } from '../intervals/interval.ts';
import { shareInterval } from '../intervals/share-interval.ts';

/**
 * How an interval is computed, of level 1 − alpha for a single look:
 *
 * - `wilson`: Wilson 1927, on the effective number of rows where they are weighted (Korn & Graubard 1998). F1 is a
 *   rising function of tp/(tp + fp + fn), a share, whose interval carries over; means over classes have the effective
 *   number of rows of their linearised variance (Takahashi et al. 2022).
 * - `delong`: DeLong, DeLong & Clarke-Pearson 1988, with weighted placements.
 * - `student`: of a weighted mean, with linearised variance (Särndal, Swensson & Wretman 1992).
 * - `linearised`: normal, of a ratio with linearised variance.
 * - `bootstrap`: basic, of the gaps of the bins drawn from their normal laws (Davison & Hinkley 1997), seeded.
 */
export type IntervalMethod = 'wilson' | 'delong' | 'student' | 'linearised' | 'bootstrap';

/** A figure, and how sure it is. Plain JSON. */
export type MeasuredFigure = {
  /** Null where there is nothing to divide by. */
  readonly value: number | null;
  /** Null where there are too few rows for one. */
  readonly interval: Interval | null;
  readonly method: IntervalMethod;
  /** Null where there is no interval. */
  readonly standardError: number | null;
  /** The effective number of rows that it rests on. */
  readonly rows: number;
};

/** What weighted rows add up to. Plain JSON; adds up exactly where weights are 1. */
export type WeightSum = {
  readonly rows: number;
  readonly weight: number;
  /** Sum of squared weights. */
  readonly squares: number;
};

/** The sum of no rows. */
export const noWeight: WeightSum = { rows: 0, weight: 0, squares: 0 };

/** Both together. */
export function addWeights(a: WeightSum, b: WeightSum): WeightSum {
  return { rows: a.rows + b.rows, weight: a.weight + b.weight, squares: a.squares + b.squares };
}

/** As many rows of equal weight would say as much (Kish 1965); the rows themselves where all weigh the same. */
export function effectiveRows({ rows, weight, squares }: WeightSum): number {
  if (rows === 0) return 0;
  const isEven = Math.abs(squares * rows - weight * weight) <= 1e-12 * weight * weight;
  return isEven ? rows : (weight * weight) / squares;
}

/** The figure of nothing. */
export function noFigure(method: IntervalMethod): MeasuredFigure {
  return { value: null, interval: null, method, standardError: null, rows: 0 };
}

/** The share of the hits among hits and misses. */
export function shareFigure(hits: WeightSum, misses: WeightSum, alpha: number): MeasuredFigure {
  const all = addWeights(hits, misses);
  if (!(all.weight > 0)) return noFigure('wilson');
  const value = hits.weight / all.weight;
  const variance =
    ((1 - value) ** 2 * hits.squares + value ** 2 * misses.squares) / all.weight ** 2;
  return ofVariance(value, variance, effectiveRows(all), alpha);
}

/**
 * A figure from 0 to 1 with a variance that was found by linearising; `rows` are the effective ones where the
 * variance says nothing, as at 0 and 1.
 */
export function ofVariance(
  value: number,
  variance: number,
  rows: number,
  alpha: number,
): MeasuredFigure {
  const spread = value * (1 - value);
  const told = variance > 0 && spread > 0 ? spread / variance : rows;
  // Rounding aside, rows of equal weight count as what they are.
  const effective = Math.abs(told - rows) <= 1e-9 * rows ? rows : told;
  return {
    value,
    interval: shareInterval(value, effective, alpha),
    method: 'wilson',
    standardError: Math.sqrt(spread / effective),
    rows: effective,
  };
}

/** The weighted mean of values, which are finite. */
export function meanFigure(
  values: ArrayLike<number>,
  weights: ArrayLike<number> | undefined,
  alpha: number,
): MeasuredFigure {
  const rows = values.length;
  let [weight, squares, total] = [0, 0, 0];
  for (let i = 0; i < rows; i += 1) {
    const w = weights?.[i] ?? 1;
    weight += w;
    squares += w * w;
    total += w * (values[i] as number);
  }
  const value = total / weight;
  if (!(weight > 0) || !Number.isFinite(value)) return noFigure('student');
  let spread = 0;
  for (let i = 0; i < rows; i += 1) {
    spread += ((weights?.[i] ?? 1) * ((values[i] as number) - value)) ** 2;
  }
  const effective = effectiveRows({ rows, weight, squares });
  const standardError = Math.sqrt((spread / weight / weight) * (rows / (rows - 1)));
  const found = { value, method: 'student', rows: effective } as const;
  const half = studentHalf(standardError, effective, alpha);
  if (half === null) return { ...found, interval: null, standardError: null };
  return { ...found, interval: { low: value - half, high: value + half }, standardError };
}

function studentHalf(standardError: number, rows: number, alpha: number): number | null {
  if (!(rows > 1) || !Number.isFinite(standardError)) return null;
  const half = studentQuantileTwoSided(alpha, Math.max(1, rows - 1)) * standardError;
  return Number.isFinite(half) ? half : null;
}
