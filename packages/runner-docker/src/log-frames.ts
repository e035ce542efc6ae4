import { StringDecoder } from 'node:string_decoder';
import type { LogChunk } from '@keelson/core';
import { KeelsonError } from '@keelson/core';

/** How much of each stream has been read, in bytes. */
export interface LogPlace {
  readonly stdout: number;
  readonly stderr: number;
}

/** A piece of a stream, and the place behind it. */
export type LogPiece = Omit<LogChunk, 'cursor'> & { readonly place: LogPlace };

const headerBytes = 8;
const streams = [undefined, 'stdout', 'stderr'] as const;

/**
 * The pieces of a log as the Engine API sends it with timestamps: frames of eight bytes (stream, three zeros,
 * length) and a payload that begins with its time, as
 * https://docs.docker.com/reference/api/engine/ describes under ContainerAttach. Pieces never cut a character;
 * what lies before `from` is read over, since times do not tell exactly where a reader was. When it `isOver`,
 * what is left of a cut character comes out too.
 */
export async function* readLogFrames(
  body: AsyncIterable<Buffer>,
  from: LogPlace,
  isOver: boolean,
): AsyncGenerator<LogPiece, void, undefined> {
  const readers = { stdout: new StreamReader(from.stdout), stderr: new StreamReader(from.stderr) };
  const place = (): LogPlace => ({ stdout: readers.stdout.place, stderr: readers.stderr.place });
  let lastAt = 0;
  for await (const { kind, payload } of framesOf(body)) {
    const stream = streams[kind];
    if (stream === undefined) continue;
    const space = payload.indexOf(0x20);
    const at = Date.parse(payload.toString('latin1', 0, Math.max(0, space)));
    const text = readers[stream].read(payload.subarray(space + 1));
    lastAt = Number.isNaN(at) ? lastAt : at;
    if (text !== '') yield { stream, at: lastAt, text, place: place() };
  }
  if (!isOver) return;
  for (const stream of ['stdout', 'stderr'] as const) {
    const text = readers[stream].end();
    if (text !== '') yield { stream, at: lastAt, text, place: place() };
  }
}

/** A place as text. */
export function writePlaces(places: readonly LogPlace[]): string {
  return places.map(({ stdout, stderr }) => `${stdout}.${stderr}`).join('.');
}

/** The places of that many logs. INVALID for a cursor that is none of theirs. */
export function readPlaces(cursor: string | undefined, count: number): LogPlace[] {
  if (cursor === undefined) return Array.from({ length: count }, () => ({ stdout: 0, stderr: 0 }));
  const offsets = /^\d{1,15}(\.\d{1,15})*$/.test(cursor) ? cursor.split('.').map(Number) : [];
  if (offsets.length !== 2 * count) {
    throw new KeelsonError('INVALID', `after must be the cursor of a log chunk, not ${cursor}.`);
  }
  return Array.from({ length: count }, (_, i) => ({
    stdout: offsets[2 * i] ?? 0,
    stderr: offsets[2 * i + 1] ?? 0,
  }));
}

/** One stream: what is before the place it begins at is left out, and characters come whole. */
class StreamReader {
  readonly #from: number;
  readonly #decoder = new StringDecoder('utf8');
  #seen = 0;
  #held = 0;

  constructor(from: number) {
    this.#from = from;
  }

  /** How many bytes have come out, or were left out. */
  get place(): number {
    return Math.max(this.#from, this.#seen) - this.#held;
  }

  read(bytes: Buffer): string {
    const skip = Math.min(bytes.length, Math.max(0, this.#from - this.#seen));
    this.#seen += bytes.length;
    const rest = bytes.subarray(skip);
    const text = this.#decoder.write(rest);
    const held = this.#decoder as unknown as {
      readonly lastNeed: number;
      readonly lastTotal: number;
    };
    this.#held = held.lastNeed === 0 ? 0 : held.lastTotal - held.lastNeed;
    return text;
  }

  end(): string {
    this.#held = 0;
    return this.#decoder.end();
  }
}

async function* framesOf(
  body: AsyncIterable<Buffer>,
): AsyncGenerator<{ readonly kind: number; readonly payload: Buffer }, void, undefined> {
  let pieces: Buffer[] = [];
  let length = 0;
  let needed = headerBytes;
  for await (const piece of body) {
    pieces.push(piece);
    length += piece.length;
    if (length < needed) continue;
    let held = Buffer.concat(pieces, length);
    for (;;) {
      if (held.length < headerBytes) break;
      const size = headerBytes + held.readUInt32BE(4);
      needed = size;
      if (held.length < size) break;
      yield { kind: held[0] ?? 0, payload: held.subarray(headerBytes, size) };
      held = held.subarray(size);
      needed = headerBytes;
    }
    pieces = [held];
    length = held.length;
  }
}
