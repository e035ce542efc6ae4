import { requireFinite } from '../arguments.ts';

/** Mergeable moments of a sample. Plain JSON; `low` and `high` are null without values. */
export type Moments = {
  readonly count: number;
  readonly mean: number;
  /** Sum of squared distances from the mean. */
  readonly squares: number;
  readonly low: number | null;
  readonly high: number | null;
};

/** The moments of no values. */
export const noMoments: Moments = { count: 0, mean: 0, squares: 0, low: null, high: null };

/** Moments of values as they come, by Welford's recurrence; values are taken as finite. */
export class RunningMoments {
  #count = 0;
  #mean = 0;
  #squares = 0;
  #low = Infinity;
  #high = -Infinity;

  add(value: number): void {
    this.#count += 1;
    const gap = value - this.#mean;
    this.#mean += gap / this.#count;
    this.#squares += gap * (value - this.#mean);
    if (value < this.#low) this.#low = value;
    if (value > this.#high) this.#high = value;
  }

  /** Of what has come. */
  get moments(): Moments {
    if (this.#count === 0) return noMoments;
    const [count, mean, squares] = [this.#count, this.#mean, this.#squares];
    return { count, mean, squares, low: this.#low, high: this.#high };
  }
}

/**
 * Count, mean and sum of squares in one pass (Welford 1962): stable where the mean is large beside the spread.
 * A value that is not finite is INVALID.
 */
export function momentsOf(values: Iterable<number>): Moments {
  if (values instanceof Float64Array) return momentsOfFloats(values);
  const running = new RunningMoments();
  for (const value of values) {
    requireFinite('value', value);
    running.add(value);
  }
  return running.moments;
}

/** The same arithmetic, without a call for each of perhaps millions. */
function momentsOfFloats(values: Float64Array): Moments {
  if (values.length === 0) return noMoments;
  let [mean, squares, low, high] = [0, 0, Infinity, -Infinity];
  for (let i = 0; i < values.length; i += 1) {
    const value = values[i] as number;
    if (!Number.isFinite(value)) requireFinite('value', value);
    const gap = value - mean;
    mean += gap / (i + 1);
    squares += gap * (value - mean);
    if (value < low) low = value;
    if (value > high) high = value;
  }
  return { count: values.length, mean, squares, low, high };
}

/**
 * The moments of two samples together (Chan, Golub & LeVeque 1979). Merging is exact up to rounding; for equal bits
 * merge in one fixed order.
 */
export function mergeMoments(a: Moments, b: Moments): Moments {
  if (a.count === 0) return b;
  if (b.count === 0) return a;
  const count = a.count + b.count;
  const gap = b.mean - a.mean;
  return {
    count,
    mean: a.mean + gap * (b.count / count),
    squares: a.squares + b.squares + gap * gap * ((a.count * b.count) / count),
    low: Math.min(a.low ?? Infinity, b.low ?? Infinity),
    high: Math.max(a.high ?? -Infinity, b.high ?? -Infinity),
  };
}

/** Variance with divisor n − 1; NaN for fewer than two values. */
export function sampleVariance(moments: Moments): number {
  return moments.count < 2 ? Number.NaN : moments.squares / (moments.count - 1);
}

/** Standard deviation with divisor n; NaN without values. */
export function populationDeviation(moments: Moments): number {
  return moments.count === 0 ? Number.NaN : Math.sqrt(moments.squares / moments.count);
}
