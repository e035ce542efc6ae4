import { KeelsonError } from '../../errors.ts';
import { requireWithin } from '../arguments.ts';
import {
  bucketStart,
  type LogLinearHistogram,
  type StoredHistogram,
} from './log-linear-histogram.ts';

/**
 * A histogram as short text: base64 of its buckets' distances and counts as variable-length integers, a third of its
 * JSON. Equal contents give equal texts.
 */
export function encodeHistogram(histogram: LogLinearHistogram): string {
  return encodeStored(histogram.toJSON());
}

/** The text of what the histograms counted together; exact, in whatever order. INVALID for different bits or none. */
export function mergeEncoded(texts: readonly string[]): string {
  const [only] = texts;
  if (texts.length === 1 && only !== undefined) return only;
  const { bits, zeros, first, counts, total, low, high } = read(texts);
  const buckets: number[] = [];
  const kept: number[] = [];
  for (let i = 0; i < counts.length; i += 1) {
    const count = counts[i] as number;
    if (count === 0) continue;
    buckets.push(first + i);
    kept.push(count);
  }
  const ends = total > 0 ? { low, high } : { low: null, high: null };
  return encodeStored({ bits, zeros, ...ends, buckets, counts: kept });
}

/**
 * How many values the histograms counted together, and their quantiles as {@link LogLinearHistogram} answers them, without
 * building one; undefined without values. INVALID for shares outside 0..1, for different bits, and for no histogram.
 */
export function quantilesOf(
  texts: readonly string[],
  shares: readonly number[],
): { readonly total: number; readonly quantiles: readonly (number | undefined)[] } {
  for (const share of shares) requireWithin('share', share, 0, 1);
  const sum = read(texts);
  return { total: sum.total, quantiles: shares.map((share) => quantileOf(sum, share)) };
}

interface Sum {
  readonly bits: number;
  readonly zeros: number;
  readonly total: number;
  readonly low: number;
  readonly high: number;
  /** Number of the first of `counts`. */
  readonly first: number;
  readonly counts: Float64Array;
}

function quantileOf({ bits, zeros, total, low, high, first, counts }: Sum, share: number) {
  if (total === 0) return undefined;
  const rank = Math.max(1, Math.ceil(share * total));
  if (rank === total) return high;
  if (rank === 1) return low;
  let seen = zeros;
  if (rank <= seen) return Math.max(0, Math.min(low, high));
  for (let i = 0; i < counts.length; i += 1) {
    seen += counts[i] as number;
    if (seen < rank) continue;
    const middle = (bucketStart(first + i, bits) + bucketStart(first + i + 1, bits)) / 2;
    return Math.min(high, Math.max(low, middle));
  }
  return high;
}

/** Bits, low and high, then whole numbers: zeros, buckets, and for each bucket its distance from the last and its count. */
const headBytes = 17;

function encodeStored({ bits, zeros, low, high, buckets, counts }: StoredHistogram): string {
  const bytes = Buffer.alloc(headBytes + 8 * (2 + 2 * buckets.length));
  bytes[0] = bits;
  bytes.writeDoubleLE(low ?? Number.NaN, 1);
  bytes.writeDoubleLE(high ?? Number.NaN, 9);
  let at = writeWhole(bytes, headBytes, zeros);
  at = writeWhole(bytes, at, buckets.length);
  let last = 0;
  for (const [i, bucket] of buckets.entries()) {
    at = writeWhole(bytes, at, bucket - last);
    at = writeWhole(bytes, at, counts[i] as number);
    last = bucket;
  }
  return bytes.toString('base64', 0, at);
}

function read(texts: readonly string[]): Sum {
  const all = texts.map((text) => new Reader(Buffer.from(text, 'base64')));
  const [one] = all;
  if (one === undefined) throw new KeelsonError('INVALID', 'There is no histogram to read.');
  let [zeros, low, high] = [0, Infinity, -Infinity];
  const pairs: number[] = [];
  let [first, last, total] = [Infinity, -1, 0];
  for (const reader of all) {
    if (reader.bits !== one.bits) {
      throw new KeelsonError(
        'INVALID',
        `A histogram of ${reader.bits} bits does not merge into one of ${one.bits}.`,
      );
    }
    zeros += reader.whole();
    if (reader.low < low) low = reader.low;
    if (reader.high > high) high = reader.high;
    const buckets = reader.whole();
    let bucket = 0;
    for (let i = 0; i < buckets; i += 1) {
      bucket += reader.whole();
      const count = reader.whole();
      pairs.push(bucket, count);
      total += count;
      if (bucket < first) first = bucket;
      if (bucket > last) last = bucket;
    }
  }
  const counts = new Float64Array(Math.max(0, last - first + 1));
  for (let i = 0; i < pairs.length; i += 2) {
    const place = (pairs[i] as number) - first;
    counts[place] = (counts[place] as number) + (pairs[i + 1] as number);
  }
  return { bits: one.bits, zeros, total: total + zeros, low, high, first, counts };
}

class Reader {
  readonly bits: number;
  readonly low: number;
  readonly high: number;
  readonly #bytes: Buffer;
  #at = headBytes;

  constructor(bytes: Buffer) {
    if (bytes.length < headBytes + 2)
      throw new KeelsonError('CORRUPT', 'A stored histogram is cut short.');
    this.#bytes = bytes;
    this.bits = bytes[0] as number;
    this.low = bytes.readDoubleLE(1);
    this.high = bytes.readDoubleLE(9);
  }

  whole(): number {
    let value = 0;
    for (let scale = 1; ; scale *= 128) {
      const byte = this.#bytes[this.#at];
      if (byte === undefined) throw new KeelsonError('CORRUPT', 'A stored histogram is cut short.');
      this.#at += 1;
      value += (byte & 127) * scale;
      if (byte < 128) return value;
    }
  }
}

function writeWhole(bytes: Buffer, from: number, value: number): number {
  let [at, rest] = [from, value];
  while (rest >= 128) {
    bytes[at] = (rest % 128) + 128;
    rest = Math.floor(rest / 128);
    at += 1;
  }
  bytes[at] = rest;
  return at + 1;
}
