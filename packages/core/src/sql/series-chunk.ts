import { damaged, seal, unseal, VarintReader, VarintWriter } from './series-bytes.ts';
import type { PointSet } from './series-points.ts';

/** Points in a full chunk. */
export const chunkPoints = 4096;

/** Figures of a chunk that answer without its bytes. */
export interface ChunkHeader {
  readonly count: number;
  readonly nanCount: number;
  readonly stepMin: number;
  readonly stepMax: number;
  /** Undefined when every value is NaN, or when −0 takes part (a REAL column would lose it). */
  readonly min: number | undefined;
  readonly minStep: number | undefined;
  readonly max: number | undefined;
  readonly maxStep: number | undefined;
}

const version = 1;
const headerBytes = 32;
const what = 'a chunk of metric points';

// Modes of an integer column. Regular: start and stride. Deltas: zigzag varints. Raw: float64.
const regular = 0;
const deltas = 1;
const raw = 2;

/**
 * Packed bytes of points in their order: values as float64, steps and times by start and stride where
 * they are regular, else as varint deltas, writers by runs. About 9 to 11 bytes a point.
 *
 * Layout (little endian): version, step mode, time mode, 0 (one byte each), crc32, count, bytes of
 * steps, of times, of writers (uint32 each), 8 spare bytes; then values, steps, times, writers.
 */
export function encodeChunk(points: PointSet): Uint8Array {
  const count = points.steps.length;
  const steps = encodeColumn(points.steps);
  const times = encodeColumn(points.timestamps);
  const writers = encodeRuns(points.writers);
  const valueBytes = count * 8;
  const out = new Uint8Array(
    headerBytes + valueBytes + steps.bytes.length + times.bytes.length + writers.length,
  );
  const view = new DataView(out.buffer);
  out[0] = version;
  out[1] = steps.mode;
  out[2] = times.mode;
  view.setUint32(8, count, true);
  view.setUint32(12, steps.bytes.length, true);
  view.setUint32(16, times.bytes.length, true);
  view.setUint32(20, writers.length, true);
  new Float64Array(out.buffer, headerBytes, count).set(points.values);
  let at = headerBytes + valueBytes;
  for (const part of [steps.bytes, times.bytes, writers]) {
    out.set(part, at);
    at += part.length;
  }
  return seal(out);
}

/** The points of a chunk. CORRUPT when the bytes are damaged. */
export function decodeChunk(stored: Uint8Array): PointSet {
  const parts = openChunk(stored);
  return {
    steps: decodeColumn(parts.steps, parts.stepMode, parts.count),
    timestamps: decodeColumn(parts.times, parts.timeMode, parts.count),
    values: parts.values,
    writers: decodeRuns(parts.writers, parts.count),
  };
}

/** Steps and values alone: what downsampling needs. */
export function decodeChunkValues(stored: Uint8Array): Pick<PointSet, 'steps' | 'values'> {
  const parts = openChunk(stored);
  return {
    steps: decodeColumn(parts.steps, parts.stepMode, parts.count),
    values: parts.values,
  };
}

/** The header of points that are in order of step. */
export function describeChunk(points: PointSet): ChunkHeader {
  const { steps, values } = points;
  let nanCount = 0;
  let lowest = -1;
  let highest = -1;
  let negativeZero = false;
  for (let i = 0; i < values.length; i++) {
    const value = values[i] as number;
    if (Number.isNaN(value)) {
      nanCount++;
      continue;
    }
    if (value === 0 && Object.is(value, -0)) negativeZero = true;
    if (lowest < 0 || value < (values[lowest] as number)) lowest = i;
    if (highest < 0 || value > (values[highest] as number)) highest = i;
  }
  const known = lowest >= 0 && !negativeZero;
  return {
    count: steps.length,
    nanCount,
    stepMin: steps[0] as number,
    stepMax: steps[steps.length - 1] as number,
    min: known ? (values[lowest] as number) : undefined,
    minStep: known ? (steps[lowest] as number) : undefined,
    max: known ? (values[highest] as number) : undefined,
    maxStep: known ? (steps[highest] as number) : undefined,
  };
}

function openChunk(stored: Uint8Array): {
  count: number;
  values: Float64Array;
  steps: Uint8Array;
  times: Uint8Array;
  writers: Uint8Array;
  stepMode: number;
  timeMode: number;
} {
  const bytes = unseal(stored, version, what);
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const count = view.getUint32(8, true);
  const stepsAt = headerBytes + count * 8;
  const timesAt = stepsAt + view.getUint32(12, true);
  const writersAt = timesAt + view.getUint32(16, true);
  const end = writersAt + view.getUint32(20, true);
  if (end !== bytes.length) throw damaged(what);
  return {
    count,
    values: new Float64Array(bytes.buffer, bytes.byteOffset + headerBytes, count),
    steps: bytes.subarray(stepsAt, timesAt),
    times: bytes.subarray(timesAt, writersAt),
    writers: bytes.subarray(writersAt, end),
    stepMode: bytes[1] as number,
    timeMode: bytes[2] as number,
  };
}

function encodeColumn(column: Float64Array): { mode: number; bytes: Uint8Array } {
  const count = column.length;
  const start = column[0] ?? 0;
  const stride = count > 1 ? (column[1] as number) - start : 0;
  let isRegular = Number.isSafeInteger(start) && Number.isSafeInteger(stride);
  let isIntegral = true;
  let previous = 0;
  for (let i = 0; i < count; i++) {
    const value = column[i] as number;
    if (isRegular && value !== start + i * stride) isRegular = false;
    const delta = value - previous;
    // Doubled by the zigzag, a delta must still be a safe integer; −0 has no delta.
    if (!Number.isSafeInteger(value) || !Number.isSafeInteger(delta * 2) || Object.is(value, -0)) {
      isIntegral = false;
      isRegular &&= !Object.is(value, -0) && Number.isSafeInteger(value);
      if (!isRegular) break;
    }
    previous = value;
  }
  if (isRegular) return { mode: regular, bytes: bytesOf(Float64Array.of(start, stride)) };
  return isIntegral
    ? { mode: deltas, bytes: encodeDeltas(column) }
    : { mode: raw, bytes: bytesOf(column) };
}

function encodeDeltas(column: Float64Array): Uint8Array {
  const out = new VarintWriter(column.length * 2 + 16);
  let previous = 0;
  for (let i = 0; i < column.length; i++) {
    const delta = (column[i] as number) - previous;
    out.write(delta < 0 ? -delta * 2 - 1 : delta * 2);
    previous = column[i] as number;
  }
  return out.bytes;
}

function decodeColumn(bytes: Uint8Array, mode: number, count: number): Float64Array {
  if (mode === raw) {
    if (bytes.length !== count * 8) throw damaged(what);
    return new Float64Array(bytes.slice().buffer);
  }
  const out = new Float64Array(count);
  if (mode === regular) {
    if (bytes.length !== 16) throw damaged(what);
    const [start, stride] = new Float64Array(bytes.slice().buffer) as unknown as [number, number];
    for (let i = 0; i < count; i++) out[i] = start + i * stride;
    return out;
  }
  const reader = new VarintReader(bytes);
  let previous = 0;
  for (let i = 0; i < count; i++) {
    const zigzag = reader.read();
    previous += zigzag % 2 === 1 ? -(zigzag + 1) / 2 : zigzag / 2;
    out[i] = previous;
  }
  return out;
}

function encodeRuns(writers: Uint32Array): Uint8Array {
  const out = new VarintWriter(16);
  let start = 0;
  for (let i = 1; i <= writers.length; i++) {
    if (i < writers.length && writers[i] === writers[start]) continue;
    out.write(writers[start] as number);
    out.write(i - start);
    start = i;
  }
  return out.bytes;
}

function decodeRuns(bytes: Uint8Array, count: number): Uint32Array {
  const out = new Uint32Array(count);
  const reader = new VarintReader(bytes);
  let at = 0;
  while (at < count) {
    const writer = reader.read();
    const length = reader.read();
    if (!(length > 0) || at + length > count) throw damaged(what);
    out.fill(writer, at, at + length);
    at += length;
  }
  return out;
}

function bytesOf(column: Float64Array): Uint8Array {
  return new Uint8Array(column.buffer, column.byteOffset, column.byteLength);
}
