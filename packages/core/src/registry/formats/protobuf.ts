import type { FileWindow } from './file-window.ts';
import { damaged, refused } from './model-fault.ts';

/** One field of a message: a number, or the span of its bytes in the file. */
export interface ProtobufField {
  readonly number: number;
  /** 0 varint, 1 eight bytes, 2 a length and so many bytes, 5 four bytes. */
  readonly wire: 0 | 1 | 2 | 5;
  /** A varint read as a signed 64-bit integer; beyond ±2^53 only its sign and size are right. 0 for others. */
  readonly value: number;
  readonly start: number;
  readonly end: number;
}

/** A tag and a length, or a tag and a varint. */
const maxHeader = 20;
/** Far more fields than any model has that can be loaded. */
const maxFields = 20_000_000;

/**
 * Reads protobuf's wire format out of a file, field by field, without loading what fields hold. CORRUPT for
 * what is no such format, for lengths that leave the message around them, and for integers longer than 64 bits.
 */
export class ProtobufFile {
  readonly window: FileWindow;
  #fields = 0;

  constructor(window: FileWindow) {
    this.window = window;
  }

  /** The fields of the message between two places, in the order of the file. */
  async *fields(start = 0, end: number = this.window.sizeBytes): AsyncGenerator<ProtobufField> {
    const { path } = this.window;
    let at = start;
    while (at < end) {
      const head = await this.window.bytes(at, Math.min(at + maxHeader, end));
      const field = decodeField(head, 0, at, end, path);
      this.#count();
      yield field;
      at = field.end;
    }
  }

  /** The fields of a message that is small: read at once, without waiting for each. */
  async message(span: ProtobufField, maxBytes: number = 1 << 20): Promise<ProtobufMessage> {
    const { path } = this.window;
    const { start, end } = this.#span(span);
    if (end - start > maxBytes)
      throw refused(
        path,
        `has ${end - start} bytes at ${start} where at most ${maxBytes} are expected`,
      );
    const bytes = await this.window.bytes(start, end);
    return new ProtobufMessage(bytes, start, path, () => this.#count());
  }

  /** The text of a field; INVALID where it is longer than `maxBytes` or has NUL, CORRUPT where it is no UTF-8. */
  async text(span: ProtobufField, maxBytes = 65_536): Promise<string> {
    const { path } = this.window;
    const { start, end } = this.#span(span);
    if (end - start > maxBytes)
      throw refused(
        path,
        `has a text of ${end - start} bytes at ${start}; at most ${maxBytes} are taken`,
      );
    return decodeText(await this.window.bytes(start, end), start, path);
  }

  #span(field: ProtobufField): ProtobufField {
    if (field.wire === 2) return field;
    throw damaged(
      this.window.path,
      `has field ${field.number} at ${field.start} of the wrong kind`,
    );
  }

  #count(): void {
    this.#fields += 1;
    if (this.#fields > maxFields)
      throw refused(this.window.path, `has more than ${maxFields} fields`);
  }
}

/** A message in memory. */
export class ProtobufMessage {
  readonly #bytes: Uint8Array;
  readonly #offset: number;
  readonly #path: string;
  readonly #count: () => void;

  constructor(bytes: Uint8Array, offset: number, path: string, count: () => void) {
    this.#bytes = bytes;
    this.#offset = offset;
    this.#path = path;
    this.#count = count;
  }

  *fields(): Generator<ProtobufField> {
    const end = this.#offset + this.#bytes.length;
    let at = this.#offset;
    while (at < end) {
      const field = decodeField(this.#bytes, at - this.#offset, at, end, this.#path);
      this.#count();
      yield field;
      at = field.end;
    }
  }

  /** The message that a field holds. */
  message(field: ProtobufField): ProtobufMessage {
    return new ProtobufMessage(this.#span(field), field.start, this.#path, this.#count);
  }

  text(field: ProtobufField): string {
    return decodeText(this.#span(field), field.start, this.#path);
  }

  /** A varint, CORRUPT where the field is none. */
  integer(field: ProtobufField): number {
    return integerOf(field, this.#path);
  }

  #span(field: ProtobufField): Uint8Array {
    if (field.wire !== 2)
      throw damaged(this.#path, `has field ${field.number} at ${field.start} of the wrong kind`);
    return this.#bytes.subarray(field.start - this.#offset, field.end - this.#offset);
  }
}

/** The integer of a varint field; CORRUPT for another kind of field, and beyond ±2^53. */
export function integerOf(field: ProtobufField, path: string): number {
  if (field.wire !== 0)
    throw damaged(path, `has field ${field.number} at ${field.start} of the wrong kind`);
  if (!Number.isSafeInteger(field.value))
    throw damaged(path, `has an integer beyond 2^53 before ${field.end}`);
  return field.value;
}

function decodeField(
  bytes: Uint8Array,
  from: number,
  at: number,
  end: number,
  path: string,
): ProtobufField {
  const tag = decodeVarint(bytes, from, path, at);
  const wire = tag.low & 7;
  const number = tag.low >>> 3;
  if (tag.high !== 0 || number === 0)
    throw damaged(path, `has no field where one begins, at ${at}`);
  const next = from + tag.length;
  const place = at + tag.length;
  switch (wire) {
    case 0: {
      const varint = decodeVarint(bytes, next, path, place);
      const stop = place + varint.length;
      return { number, wire, value: signed(varint), start: place, end: stop };
    }
    case 1:
      return { number, wire, value: 0, start: place, end: within(place + 8, end, place, path) };
    case 2: {
      const length = decodeVarint(bytes, next, path, place);
      const start = place + length.length;
      const stop = start + length.high * 2 ** 32 + length.low;
      return { number, wire, value: 0, start, end: within(stop, end, start, path) };
    }
    case 5:
      return { number, wire, value: 0, start: place, end: within(place + 4, end, place, path) };
    default:
      throw damaged(path, `has a field of a kind that there is none of, at ${at}`);
  }
}

function within(stop: number, end: number, start: number, path: string): number {
  if (stop <= end) return stop;
  throw damaged(
    path,
    `has a field at ${start} that should reach to ${stop}, and what it lies in ends at ${end}`,
  );
}

interface Varint {
  readonly low: number;
  readonly high: number;
  readonly length: number;
}

function decodeVarint(bytes: Uint8Array, from: number, path: string, at: number): Varint {
  let low = 0;
  let high = 0;
  for (let i = 0; i < 10; i += 1) {
    const byte = bytes[from + i];
    if (byte === undefined) throw damaged(path, `is cut off within the integer at ${at}`);
    const bits = byte & 0x7f;
    if (i < 4) low |= bits << (7 * i);
    else if (i === 4) {
      low |= bits << 28;
      high = bits >>> 4;
    } else high |= bits << (7 * i - 32);
    if (byte < 0x80) {
      if (i === 9 && byte > 1) break;
      return { low: low >>> 0, high: high >>> 0, length: i + 1 };
    }
  }
  throw damaged(path, `has an integer of more than 64 bits at ${at}`);
}

function signed({ low, high }: Varint): number {
  if (high < 2 ** 31) return high * 2 ** 32 + low;
  return -((~high >>> 0) * 2 ** 32 + (~low >>> 0) + 1);
}

const utf8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });

/** Bytes as text; CORRUPT where they are no UTF-8, INVALID with NUL, which no store keeps. */
function decodeText(bytes: Uint8Array, at: number, path: string): string {
  let text: string;
  try {
    text = utf8.decode(bytes);
  } catch (cause) {
    throw damaged(path, `has a text at ${at} that is no UTF-8`, cause);
  }
  if (text.includes('\u0000')) throw refused(path, `has a text with NUL (U+0000) at ${at}`);
  return text;
}
