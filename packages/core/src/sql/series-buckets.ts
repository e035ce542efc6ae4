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
    let bucket: OpenBucket | undefined;
    let start = 0;
    let end = 0;
    for (let i = 0; i < steps.length; i++) {
      const step = steps[i] as number;
      if (step < this.#from || step > this.#to) continue;
      if (bucket === undefined || step < start || step >= end) {
        const place = this.#place(step);
        bucket = this.#open(place);
        start = this.#from + place * this.#width;
        end = this.#exactBounds ? start + this.#width : start;
      }
      addPoint(bucket, step, values[i] as number);
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
    if (min !== undefined && minStep !== undefined) lower(bucket, minStep, min);
    if (max !== undefined && maxStep !== undefined) raise(bucket, maxStep, max);
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

function addPoint(bucket: OpenBucket, step: number, value: number): void {
  bucket.count++;
  if (step < bucket.stepMin) bucket.stepMin = step;
  if (step > bucket.stepMax) bucket.stepMax = step;
  if (Number.isNaN(value)) {
    bucket.nanCount++;
    return;
  }
  // Most points are neither; the exact rule (−0, least step) is asked only where it may matter.
  if (!(value > bucket.min)) lower(bucket, step, value);
  if (!(value < bucket.max)) raise(bucket, step, value);
}

function lower(bucket: OpenBucket, step: number, value: number): void {
  if (Object.is(value, bucket.min)) {
    if (step < bucket.minStep) bucket.minStep = step;
  } else if (Number.isNaN(bucket.min) || isLess(value, bucket.min)) {
    bucket.min = value;
    bucket.minStep = step;
  }
}

function raise(bucket: OpenBucket, step: number, value: number): void {
  if (Object.is(value, bucket.max)) {
    if (step < bucket.maxStep) bucket.maxStep = step;
  } else if (Number.isNaN(bucket.max) || isLess(bucket.max, value)) {
    bucket.max = value;
    bucket.maxStep = step;
  }
}

function closeBucket(bucket: OpenBucket): SeriesBucket {
  if (bucket.nanCount < bucket.count) return { ...bucket };
  return { ...bucket, minStep: bucket.stepMin, maxStep: bucket.stepMin };
}
