import { crc32 } from 'node:zlib';
import { KeelsonError } from '../errors.ts';

/** Numbers of variable length, 7 bits a byte: integers from 0 to 2^53 − 1. */
export class VarintWriter {
  #bytes: Uint8Array;
  #length = 0;

  constructor(capacity: number) {
    this.#bytes = new Uint8Array(Math.max(16, capacity));
  }

  /** What was written. */
  get bytes(): Uint8Array {
    return this.#bytes.subarray(0, this.#length);
  }

  write(value: number): void {
    if (this.#length + 8 > this.#bytes.length) {
      const bigger = new Uint8Array(this.#bytes.length * 2);
      bigger.set(this.#bytes);
      this.#bytes = bigger;
    }
    let rest = value;
    while (rest > 127) {
      this.#bytes[this.#length++] = (rest % 128) | 128;
      rest = rest > 0x7fffffff ? Math.floor(rest / 128) : rest >>> 7;
    }
    this.#bytes[this.#length++] = rest;
  }
}

/** Reads what {@link VarintWriter} wrote; CORRUPT when the bytes end too early. */
export class VarintReader {
  readonly #bytes: Uint8Array;
  #at = 0;

  constructor(bytes: Uint8Array) {
    this.#bytes = bytes;
  }

  read(): number {
    let byte = this.#bytes[this.#at++] as number;
    if (byte < 128) return byte;
    let value = byte & 127;
    let scale = 128;
    do {
      if (this.#at >= this.#bytes.length || scale > 2 ** 49) throw damaged('a number');
      byte = this.#bytes[this.#at++] as number;
      value += (byte & 127) * scale;
      scale *= 128;
    } while (byte > 127);
    return value;
  }
}

/** Sets bytes 4–7 to the CRC-32 of all others. */
export function seal(bytes: Uint8Array): Uint8Array {
  new DataView(bytes.buffer, bytes.byteOffset).setUint32(4, checksum(bytes), true);
  return bytes;
}

/**
 * A view of sealed bytes whose first byte is a version from 1 to `newest`, moved to an address that float64 views need.
 * CORRUPT when the checksum is wrong, INCOMPATIBLE for a version this code does not know.
 */
export function unseal(stored: Uint8Array, newest: number, what: string): Uint8Array<ArrayBuffer> {
  const bytes =
    stored.byteOffset % 8 === 0 && stored.buffer instanceof ArrayBuffer
      ? // A plain view: `slice` of a Buffer does not copy.
        new Uint8Array(stored.buffer, stored.byteOffset, stored.length)
      : new Uint8Array(stored);
  if (bytes.length < 16) throw damaged(what);
  const sum = new DataView(bytes.buffer, bytes.byteOffset).getUint32(4, true);
  if (sum !== checksum(bytes)) throw damaged(what);
  const version = bytes[0] as number;
  if (version < 1 || version > newest) {
    throw new KeelsonError(
      'INCOMPATIBLE',
      `${what} has the layout ${version}, which this version of Keelson does not know; use a newer one.`,
    );
  }
  return bytes;
}

function checksum(bytes: Uint8Array): number {
  return crc32(bytes.subarray(8), crc32(bytes.subarray(0, 4)));
}

/** The error for stored bytes that cannot be read. */
export function damaged(what: string): KeelsonError {
  return new KeelsonError(
    'CORRUPT',
    `The stored bytes of ${what} are damaged; restore them from a backup.`,
  );
}
