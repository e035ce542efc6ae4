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
  return summed(texts, ({ bits, zeros, first, last, counts, total, low, high }) => {
    const buckets: number[] = [];
    const kept: number[] = [];
    for (let bucket = first; bucket <= last; bucket += 1) {
      const count = counts[bucket] as number;
      if (count === 0) continue;
      buckets.push(bucket);
      kept.push(count);
    }
    const ends = total > 0 ? { low, high } : { low: null, high: null };
    return encodeStored({ bits, zeros, ...ends, buckets, counts: kept });
  });
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
  return summed(texts, (sum) => ({
    total: sum.total,
    quantiles: shares.map((share) => quantileOf(sum, share)),
  }));
}

interface Sum {
  readonly bits: number;
  zeros: number;
  total: number;
  low: number;
  high: number;
  /** The lowest and the highest bucket that has a count; none where `first` is greater. */
  first: number;
  last: number;
  /** By bucket. */
  readonly counts: Float64Array;
}

function quantileOf(sum: Sum, share: number): number | undefined {
  const { bits, zeros, total, low, high, first, last, counts } = sum;
  if (total === 0) return undefined;
  const rank = Math.max(1, Math.ceil(share * total));
  if (rank === total) return high;
  if (rank === 1) return low;
  let seen = zeros;
  if (rank <= seen) return Math.max(0, Math.min(low, high));
  for (let bucket = first; bucket <= last; bucket += 1) {
    seen += counts[bucket] as number;
    if (seen < rank) continue;
    const middle = (bucketStart(bucket, bits) + bucketStart(bucket + 1, bits)) / 2;
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

/** Room for a count of every bucket, by bits: a histogram has few, at any place. All zero between uses. */
const rooms = new Map<number, Float64Array>();

function summed<T>(texts: readonly string[], use: (sum: Sum) => T): T {
  let sum: Sum | undefined;
  try {
    for (const text of texts) sum = added(sum, Buffer.from(text, 'base64'));
    if (sum === undefined) throw new KeelsonError('INVALID', 'There is no histogram to read.');
    return use(sum);
  } finally {
    if (sum !== undefined) sum.counts.fill(0, sum.first, sum.last + 1);
  }
}

function begun(bits: number): Sum {
  const counts = rooms.get(bits) ?? new Float64Array(2048 << bits);
  rooms.set(bits, counts);
  const none = { zeros: 0, total: 0, low: Infinity, high: -Infinity };
  return { bits, ...none, first: counts.length, last: -1, counts };
}

/** Read in one loop: a day of minutes is many histograms. */
function added(before: Sum | undefined, bytes: Buffer): Sum {
  const bits = bytes[0] ?? 0;
  if (bytes.length < headBytes + 2 || bits < 1 || bits > 10) throw cutShort();
  if (before !== undefined && before.bits !== bits) {
    throw new KeelsonError(
      'INVALID',
      `A histogram of ${bits} bits does not merge into one of ${before.bits}.`,
    );
  }
  const sum = before ?? begun(bits);
  const { counts } = sum;
  const [low, high] = [bytes.readDoubleLE(1), bytes.readDoubleLE(9)];
  let at = headBytes;
  // Zeros, the number of buckets, then distance and count of each.
  let [place, bucket, left] = [0, 0, 2];
  let [value, scale] = [0, 1];
  while (left > 0) {
    const byte = bytes[at];
    if (byte === undefined) throw cutShort();
    at += 1;
    value += (byte & 127) * scale;
    scale *= 128;
    if (byte >= 128) continue;
    if (place === 0) {
      sum.zeros += value;
      sum.total += value;
    } else if (place === 1) left += 2 * value;
    else if (place % 2 === 0) bucket += value;
    else {
      if (bucket >= counts.length) throw cutShort();
      counts[bucket] = (counts[bucket] as number) + value;
      sum.total += value;
      if (bucket < sum.first) sum.first = bucket;
      if (bucket > sum.last) sum.last = bucket;
    }
    place += 1;
    left -= 1;
    value = 0;
    scale = 1;
  }
  if (low < sum.low) sum.low = low;
  if (high > sum.high) sum.high = high;
  return sum;
}

function cutShort(): KeelsonError {
  return new KeelsonError('CORRUPT', 'A stored histogram is cut short.');
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
