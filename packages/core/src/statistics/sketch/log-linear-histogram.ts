import { KeelsonError } from '../../errors.ts';
import { invalid, requireWithin } from '../arguments.ts';

/** A stored histogram: bucket numbers ascending, with their counts. Plain JSON. */
export type StoredHistogram = {
  readonly bits: number;
  readonly zeros: number;
  readonly low: number | null;
  readonly high: number | null;
  readonly buckets: readonly number[];
  readonly counts: readonly number[];
};

const float = new Float64Array(1);
const words = new Uint32Array(float.buffer);
const highWord = new Uint8Array(Uint32Array.of(1).buffer)[0] === 1 ? 1 : 0;

/** The least value of a bucket. */
export function bucketStart(bucket: number, bits: number): number {
  words[highWord] = bucket << (20 - bits);
  words[1 - highWord] = 0;
  return float[0] as number;
}

/**
 * Counts of values from 0 up, such as latencies, in buckets that each power of two divides into 2^bits equal
 * parts (as HDR histograms do). Quantiles have a relative error of at most 2^−(bits+1): 0.4 % with 7 bits.
 * Mergeable without further error; recording takes a few nanoseconds and a bucket eight bytes.
 */
export class LogLinearHistogram {
  readonly #bits: number;
  #counts: Float64Array<ArrayBuffer> = new Float64Array(0);
  /** Number of the first bucket in `#counts`. */
  #first = 0;
  #zeros = 0;
  #total = 0;
  #low = Infinity;
  #high = -Infinity;

  /** An empty histogram; `bits` from 1 to 10. */
  constructor(bits: number = 7) {
    if (!Number.isInteger(bits)) throw invalid('bits', bits, 'a whole number from 1 to 10');
    requireWithin('bits', bits, 1, 10);
    this.#bits = bits;
  }

  /** The histogram that was stored. INVALID for anything else. */
  static from(stored: StoredHistogram): LogLinearHistogram {
    const histogram = new LogLinearHistogram(stored.bits);
    if (stored.buckets.length !== stored.counts.length) {
      throw new KeelsonError('INVALID', 'A stored histogram must have a count for each bucket.');
    }
    for (const [index, bucket] of stored.buckets.entries())
      histogram.#add(bucket, stored.counts[index] as number);
    histogram.#addZeros(stored.zeros);
    histogram.#low = stored.low ?? Infinity;
    histogram.#high = stored.high ?? -Infinity;
    return histogram;
  }

  /** Largest relative error of a quantile. */
  get relativeError(): number {
    return 2 ** -(this.#bits + 1);
  }

  /** How many values were recorded. */
  get count(): number {
    return this.#total;
  }

  /** Counts a value, `times` times. INVALID unless it is finite and not negative. */
  record(value: number, times: number = 1): void {
    if (!(value >= 0 && value < Infinity)) {
      throw new KeelsonError(
        'INVALID',
        `A histogram counts finite values from 0 on, not ${value}.`,
      );
    }
    if (value < Number.EPSILON ** 2) this.#addZeros(times);
    else this.#add(this.#bucketOf(value), times);
    if (value < this.#low) this.#low = value;
    if (value > this.#high) this.#high = value;
  }

  /** Adds all that another histogram counted. INVALID unless both have the same bits. */
  merge(other: LogLinearHistogram): void {
    if (other.#bits !== this.#bits) {
      throw new KeelsonError(
        'INVALID',
        `A histogram of ${other.#bits} bits does not merge into one of ${this.#bits}.`,
      );
    }
    for (const [index, count] of other.#counts.entries())
      if (count > 0) this.#add(other.#first + index, count);
    this.#addZeros(other.#zeros);
    this.#low = Math.min(this.#low, other.#low);
    this.#high = Math.max(this.#high, other.#high);
  }

  /**
   * The value at rank ⌈share·count⌉ of the values in order, within {@link relativeError} (the lowest and the
   * highest are exact); undefined without values.
   */
  quantile(share: number): number | undefined {
    requireWithin('share', share, 0, 1);
    if (this.#total === 0) return undefined;
    const rank = Math.max(1, Math.ceil(share * this.#total));
    if (rank === this.#total) return this.#high;
    if (rank === 1) return this.#low;
    let seen = this.#zeros;
    if (rank <= seen) return Math.max(0, Math.min(this.#low, this.#high));
    for (const [index, count] of this.#counts.entries()) {
      seen += count;
      if (seen >= rank)
        return Math.min(this.#high, Math.max(this.#low, this.#middleOf(this.#first + index)));
    }
    return this.#high;
  }

  /** How many values are certainly at or below a limit: those of all buckets that end there or before. */
  countUpTo(limit: number): number {
    if (this.#high <= limit) return this.#total;
    let seen = limit >= 0 ? this.#zeros : 0;
    for (const [index, count] of this.#counts.entries()) {
      if (this.#startOf(this.#first + index + 1) > limit) break;
      seen += count;
    }
    return seen;
  }

  /** A form to store. Equal contents give equal forms, whatever the order of recording. */
  toJSON(): StoredHistogram {
    const buckets: number[] = [];
    const counts: number[] = [];
    for (const [index, count] of this.#counts.entries()) {
      if (count === 0) continue;
      buckets.push(this.#first + index);
      counts.push(count);
    }
    const [low, high] = this.#total > 0 ? [this.#low, this.#high] : [null, null];
    return { bits: this.#bits, zeros: this.#zeros, low, high, buckets, counts };
  }

  /** Exponent and leading mantissa bits of the float, which is where its bucket lies. */
  #bucketOf(value: number): number {
    float[0] = value;
    return (words[highWord] as number) >>> (20 - this.#bits);
  }

  #startOf(bucket: number): number {
    return bucketStart(bucket, this.#bits);
  }

  #middleOf(bucket: number): number {
    return (this.#startOf(bucket) + this.#startOf(bucket + 1)) / 2;
  }

  #addZeros(times: number): void {
    this.#zeros += times;
    this.#total += times;
  }

  #add(bucket: number, times: number): void {
    if (bucket < this.#first || bucket >= this.#first + this.#counts.length) this.#growTo(bucket);
    const index = bucket - this.#first;
    this.#counts[index] = (this.#counts[index] as number) + times;
    this.#total += times;
  }

  /** Makes room for a bucket, a whole power of two at a time. */
  #growTo(bucket: number): void {
    const step = 2 ** this.#bits;
    const isEmpty = this.#counts.length === 0;
    const from = Math.floor(bucket / step) * step;
    const first = isEmpty ? from : Math.min(this.#first, from);
    const end = isEmpty ? from + step : Math.max(this.#first + this.#counts.length, from + step);
    const grown = new Float64Array(end - first);
    grown.set(this.#counts, isEmpty ? 0 : this.#first - first);
    this.#counts = grown;
    this.#first = first;
  }
}
