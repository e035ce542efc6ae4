import { randomFillSync } from 'node:crypto';
import { KeelsonError } from './errors.ts';

const bytes: Uint8Array = new Uint8Array(16);
let lastMs = 0;
let counter = 0;

/**
 * A UUIDv7 (RFC 9562): 48 bits of epoch ms, then a 12-bit counter with a random start in each
 * millisecond, so that the ids of one thread ascend, then 62 random bits. A clock that goes backwards
 * goes on counting, and a counter that runs over borrows the next millisecond.
 */
export function uuidV7(nowMs: number = Date.now()): string {
  if (!Number.isFinite(nowMs)) {
    throw new KeelsonError('INVALID', 'The time of an id must be a finite number of epoch ms.');
  }
  randomFillSync(bytes);
  const ms = Math.floor(nowMs);
  if (ms > lastMs) {
    lastMs = ms;
    counter = (((bytes[6] ?? 0) & 0x07) << 8) | (bytes[7] ?? 0);
  } else {
    counter += 1;
    if (counter > 0xfff) {
      lastMs += 1;
      counter = 0;
    }
  }
  const view = new DataView(bytes.buffer);
  view.setUint16(0, Math.floor(lastMs / 2 ** 32));
  view.setUint32(2, lastMs >>> 0);
  view.setUint16(6, 0x7000 | counter);
  view.setUint8(8, ((bytes[8] ?? 0) & 0x3f) | 0x80);
  const hex = Buffer.from(bytes).toString('hex');
  return `${hex.slice(0, 8)}-${hex.slice(8, 12)}-${hex.slice(12, 16)}-${hex.slice(16, 20)}-${hex.slice(20)}`;
}

/** The epoch ms in a UUIDv7. */
export function uuidTime(id: string): number {
  return Number.parseInt(id.slice(0, 8) + id.slice(9, 13), 16);
}
