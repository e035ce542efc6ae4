import type { SeriesBucket } from '../contracts/series-store.ts';
import type { ChunkHeader } from './series-chunk.ts';
import { isLess } from './series-summary.ts';

/**
 * Gathers points of a range of steps into buckets of equal width (whole steps, so that their number is
 * at most `limit`). Exact, and independent of the order in which points come.
 */
export class SeriesBuckets {
  readonly #from: number;
  readonly #to: number;
  readonly #width: number;
  readonly #limit: number;
  /** Whether the bounds of buckets are whole numbers: not where the range has more than 2^53 steps. */
  readonly #exactBounds: boolean;
  readonly #buckets: (OpenBucket | undefined)[] = [];

  /** `from` and `to` are both part of the range. */
  constructor(from: number, to: number, limit: number) {
    this.#from = from;
    this.#to = to;
    this.#width = Math.max(1, Math.ceil((to - from + 1) / limit));
    this.#limit = limit;
    this.#exactBounds = Number.isSafeInteger(to - from + 1);
  }

  /** Points in any order; those outside the range are passed over. */
  add(steps: Float64Array, values: Float64Array): void {
    for (let i = 0; i < steps.length; ) {
      const step = steps[i] as number;
      if (step < this.#from || step > this.#to) {
        i++;
        continue;
      }
      const place = this.#place(step);
      const start = this.#from + place * this.#width;
      const end = this.#exactBounds ? Math.min(start + this.#width, this.#to + 1) : start;
      i = addRun(this.#open(place), steps, values, i, start, end);
    }
  }

  /** Adds a whole chunk by its header; false, and nothing added, when that would not be exact. */
  addHeader(header: ChunkHeader): boolean {
    if (header.stepMin < this.#from || header.stepMax > this.#to) return false;
    const place = this.#place(header.stepMin);
    if (place !== this.#place(header.stepMax)) return false;
    const allNan = header.nanCount === header.count;
    const { min, minStep, max, maxStep } = header;
    if (!allNan && (min === undefined || max === undefined)) return false;
    const bucket = this.#open(place);
    bucket.count += header.count;
    bucket.nanCount += header.nanCount;
    bucket.stepMin = Math.min(bucket.stepMin, header.stepMin);
    bucket.stepMax = Math.max(bucket.stepMax, header.stepMax);
    if (min !== undefined && minStep !== undefined) {
      if (isBelow(min, minStep, bucket.min, bucket.minStep))
        Object.assign(bucket, { min, minStep });
    }
    if (max !== undefined && maxStep !== undefined) {
      if (isAbove(max, maxStep, bucket.max, bucket.maxStep))
        Object.assign(bucket, { max, maxStep });
    }
    return true;
  }

  /** The buckets that hold points, by step. */
  finish(): readonly SeriesBucket[] {
    return this.#buckets.filter((bucket) => bucket !== undefined).map(closeBucket);
  }

  #place(step: number): number {
    return Math.min(this.#limit - 1, Math.floor((step - this.#from) / this.#width));
  }

  #open(place: number): OpenBucket {
    const known = this.#buckets[place];
    if (known !== undefined) return known;
    const bucket: OpenBucket = {
      stepMin: Number.POSITIVE_INFINITY,
      stepMax: Number.NEGATIVE_INFINITY,
      count: 0,
      nanCount: 0,
      min: Number.NaN,
      minStep: 0,
      max: Number.NaN,
      maxStep: 0,
    };
    this.#buckets[place] = bucket;
    return bucket;
  }
}

interface OpenBucket {
  stepMin: number;
  stepMax: number;
  count: number;
  nanCount: number;
  min: number;
  minStep: number;
  max: number;
  maxStep: number;
}

/**
 * Adds the point at `first`, and those behind it while their steps are from `start` and below `end`; answers
 * where it stopped. The figures are local until then: a bucket's fields take several times as long.
 */
function addRun(
  bucket: OpenBucket,
  steps: Float64Array,
  values: Float64Array,
  first: number,
  start: number,
  end: number,
): number {
  let { stepMin, stepMax, min, minStep, max, maxStep } = bucket;
  let nanCount = 0;
  let i = first;
  do {
    const step = steps[i] as number;
    const value = values[i] as number;
    if (step < stepMin) stepMin = step;
    if (step > stepMax) stepMax = step;
    if (Number.isNaN(value)) {
      nanCount++;
      continue;
    }
    // The exact rule (the first, −0, the least step of equals) is asked only where it may matter.
    if (value < min || (!(value > min) && isBelow(value, step, min, minStep))) {
      min = value;
      minStep = step;
    }
    if (value > max || (!(value < max) && isAbove(value, step, max, maxStep))) {
      max = value;
      maxStep = step;
    }
  } while (++i < steps.length && (steps[i] as number) >= start && (steps[i] as number) < end);
  Object.assign(bucket, { stepMin, stepMax, min, minStep, max, maxStep });
  bucket.count += i - first;
  bucket.nanCount += nanCount;
  return i;
}

/** Whether a value at a step takes the place of a least one, which is NaN where there is none. */
function isBelow(value: number, step: number, min: number, minStep: number): boolean {
  if (Object.is(value, min)) return step < minStep;
  return Number.isNaN(min) || isLess(value, min);
}

/** Whether a value at a step takes the place of a greatest one, which is NaN where there is none. */
function isAbove(value: number, step: number, max: number, maxStep: number): boolean {
  if (Object.is(value, max)) return step < maxStep;
  return Number.isNaN(max) || isLess(max, value);
}

function closeBucket(bucket: OpenBucket): SeriesBucket {
  if (bucket.nanCount < bucket.count) return { ...bucket };
  return { ...bucket, minStep: bucket.stepMin, maxStep: bucket.stepMin };
}
