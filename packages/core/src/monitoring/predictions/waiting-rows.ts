import type { PredictionRow } from '../../contracts/prediction-sink.ts';

/** A queue of which the oldest is taken in constant time. */
class Line {
  #rows: (PredictionRow | undefined)[] = [];
  #sizes: number[] = [];
  #head = 0;

  get length(): number {
    return this.#rows.length - this.#head;
  }

  push(row: PredictionRow, bytes: number): void {
    this.#rows.push(row);
    this.#sizes.push(bytes);
  }

  /** Moves up to `count` rows to `to`; answers how many bytes they were reckoned at. */
  take(count: number, to: PredictionRow[]): number {
    const end = Math.min(this.#head + count, this.#rows.length);
    let bytes = 0;
    for (; this.#head < end; this.#head += 1) {
      to.push(this.#rows[this.#head] as PredictionRow);
      bytes += this.#sizes[this.#head] as number;
      this.#rows[this.#head] = undefined;
    }
    // Each row is moved at most once for each that was taken.
    if (this.#head > 1024 && this.#head * 2 > this.#rows.length) {
      this.#rows = this.#rows.slice(this.#head);
      this.#sizes = this.#sizes.slice(this.#head);
      this.#head = 0;
    }
    return bytes;
  }
}

/**
 * Rows that wait to be stored, in two lines: those that matter whatever the sample is (errors, flags, critical ones), and all
 * others. What must go goes from the others first, the oldest first.
 */
export class WaitingRows {
  readonly #precious = new Line();
  readonly #usual = new Line();
  #bytes = 0;

  get length(): number {
    return this.#precious.length + this.#usual.length;
  }

  /** Roughly, of what waits. */
  get bytes(): number {
    return this.#bytes;
  }

  push(row: PredictionRow, bytes: number): void {
    this.#bytes += bytes;
    (isPrecious(row) ? this.#precious : this.#usual).push(row, bytes);
  }

  /** Takes the one that is missed least. */
  drop(): PredictionRow | undefined {
    const taken: PredictionRow[] = [];
    const line = this.#usual.length > 0 ? this.#usual : this.#precious;
    this.#bytes -= line.take(1, taken);
    return taken[0];
  }

  /** Those that matter most first, each kind in the order in which they came. */
  take(count: number): PredictionRow[] {
    const taken: PredictionRow[] = [];
    this.#bytes -= this.#precious.take(count, taken);
    this.#bytes -= this.#usual.take(count - taken.length, taken);
    return taken;
  }
}

function isPrecious({ critical, error, flags }: PredictionRow): boolean {
  return critical === true || error !== undefined || (flags !== undefined && flags.length > 0);
}

const rowBytes = 400;
const valueBytes = 16;

/** Roughly what a row takes in memory. */
export function bytesOf({ features, prediction, probabilities, error }: PredictionRow): number {
  let bytes = rowBytes;
  for (const name in features) bytes += valueBytes + sizeOf(features[name], 0);
  bytes += sizeOf(prediction, 0) + sizeOf(probabilities, 0);
  if (error !== undefined) bytes += error.length * 2;
  return bytes;
}

const deepest = 4;
const lookedAt = 64;

/** Of values that are nested deeper, or longer than is looked at, an estimate from what is. */
function sizeOf(value: unknown, depth: number): number {
  if (typeof value === 'string') return value.length * 2;
  if (typeof value !== 'object' || value === null || depth === deepest) return 0;
  let bytes = 0;
  let count = 0;
  for (const name in value) {
    count += 1;
    if (count > lookedAt) break;
    bytes += valueBytes + name.length + sizeOf((value as Record<string, unknown>)[name], depth + 1);
  }
  if (count === 0) return 0;
  if (count <= lookedAt) return bytes;
  const all = Array.isArray(value) ? value.length : Object.keys(value).length;
  return (bytes / lookedAt) * Math.max(all, count);
}
