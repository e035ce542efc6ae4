import { endianness } from 'node:os';
import type { PointColumns } from '../contracts/series-store.ts';
import { KeelsonError } from '../errors.ts';
import { decodeJson, encodeJson, isPlainObject } from '../json.ts';

/** Points of one metric of one run, at most {@link blockPoints} of them, in the order of the series. */
export interface PointBlock extends PointColumns {
  readonly runId: string;
  readonly key: string;
}

/** How many points a block holds at most. */
export const blockPoints = 65_536;

/** Longer than any run id and metric key can make it. */
const maxHeaderBytes = 65_536;
const columnNames = ['steps', 'timestamps', 'values'] as const;

/**
 * A block as bytes: how long its header is (4 bytes), the header as JSON, then steps, timestamps and
 * values as 64-bit doubles, column by column; all little-endian. NaN, ±Infinity and −0 are what they are.
 */
export function encodePointBlock(block: PointBlock): Uint8Array {
  const { runId, key } = block;
  const count = block.steps.length;
  const header = Buffer.from(encodeJson({ run: runId, key, count }));
  const bytes = Buffer.alloc(4 + header.length + columnNames.length * count * 8);
  bytes.writeUInt32LE(header.length, 0);
  bytes.set(header, 4);
  let at = 4 + header.length;
  for (const name of columnNames) {
    bytes.set(littleEndian(bytesOf(block[name])), at);
    at += count * 8;
  }
  return bytes;
}

/** Reads blocks one after the other; INVALID, naming the member, for what is none. */
export async function* readPointBlocks(
  source: AsyncIterable<Uint8Array>,
  path: string,
): AsyncGenerator<PointBlock & { readonly bytes: Uint8Array }, void, undefined> {
  const reader = new Pieces(source);
  try {
    for (;;) {
      const block = await nextBlock(reader, path);
      if (block === undefined) return;
      yield block;
    }
  } finally {
    await reader.close();
  }
}

async function nextBlock(
  reader: Pieces,
  path: string,
): Promise<(PointBlock & { readonly bytes: Uint8Array }) | undefined> {
  const refuse = (why: string): KeelsonError => new KeelsonError('INVALID', `${path} ${why}.`);
  const length = await reader.take(4);
  if (length.length === 0) return undefined;
  const headerBytes = length.length < 4 ? 0 : length.readUInt32LE(0);
  if (headerBytes === 0 || headerBytes > maxHeaderBytes) {
    throw refuse('has a block without a header');
  }
  const head = await reader.take(headerBytes);
  const { run, key, count } = headerOf(head, refuse);
  const body = await reader.take(columnNames.length * count * 8);
  if (body.length < columnNames.length * count * 8) throw refuse('ends within a block');
  const column = (i: number): Float64Array => doublesOf(body.subarray(i * count * 8), count);
  return {
    runId: run,
    key,
    steps: column(0),
    timestamps: column(1),
    values: column(2),
    bytes: Buffer.concat([length, head, body]),
  };
}

function headerOf(
  head: Buffer,
  refuse: (why: string) => KeelsonError,
): { readonly run: string; readonly key: string; readonly count: number } {
  let header: unknown;
  try {
    header = decodeJson(head.toString('utf8'));
  } catch (error) {
    throw new KeelsonError('INVALID', refuse('has a block without a header').message, {
      cause: error,
    });
  }
  const { run, key, count } = isPlainObject(header) ? header : {};
  const counted = typeof count === 'number' && Number.isSafeInteger(count);
  if (typeof run !== 'string' || typeof key !== 'string' || !counted) {
    throw refuse('has a block without a run, a metric and a count');
  }
  if (count < 1 || count > blockPoints) throw refuse(`has a block of ${count} points`);
  return { run, key, count };
}

function bytesOf(column: Float64Array): Buffer {
  return Buffer.from(column.buffer, column.byteOffset, column.byteLength);
}

function doublesOf(bytes: Buffer, count: number): Float64Array {
  const column = new Float64Array(count);
  bytesOf(column).set(littleEndian(bytes.subarray(0, count * 8)));
  return column;
}

/** The bytes of doubles, from or to this machine's order. */
function littleEndian(bytes: Buffer): Buffer {
  return endianness() === 'LE' ? bytes : Buffer.from(bytes).swap64();
}

/** Takes so many bytes at a time from a stream of pieces. */
class Pieces {
  readonly #iterator: AsyncIterator<Uint8Array>;
  #rest: Uint8Array = new Uint8Array(0);

  constructor(source: AsyncIterable<Uint8Array>) {
    this.#iterator = source[Symbol.asyncIterator]();
  }

  /** Fewer than asked for only at the end. */
  async take(count: number): Promise<Buffer> {
    const taken = Buffer.alloc(count);
    let at = 0;
    while (at < count) {
      if (this.#rest.length === 0) {
        const next = await this.#iterator.next();
        if (next.done === true) break;
        this.#rest = next.value;
        continue;
      }
      const part = this.#rest.subarray(0, count - at);
      taken.set(part, at);
      at += part.length;
      this.#rest = this.#rest.subarray(part.length);
    }
    return taken.subarray(0, at);
  }

  /** Tells a source that is not at its end to stop. */
  async close(): Promise<void> {
    await this.#iterator.return?.();
  }
}
