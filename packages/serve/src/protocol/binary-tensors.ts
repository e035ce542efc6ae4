import type { Datatype, Tensor, TensorData } from '@keelson/core';
import { datatypeFacts, elementCount, numericArray } from './datatypes.ts';
import { malformed } from './refusal.ts';

// The form is little-endian; typed arrays are in the order of the machine.
const littleEndian: boolean = new Uint8Array(new Uint16Array([1]).buffer)[0] === 1;

/**
 * A tensor's data from its binary form (Triton's binary tensor data extension): little-endian, no
 * padding, BOOL a byte, a BYTES element its length (uint32) and its bytes. The bytes are copied: they may
 * lie at any offset. INVALID (400), naming `path`, when the bytes and the shape disagree.
 */
export function tensorFromBytes(
  datatype: Datatype,
  shape: readonly number[],
  bytes: Uint8Array,
  path: string,
): TensorData {
  const count = elementCount(shape);
  if (datatype === 'BYTES') return bytesElements(bytes, count, path);
  const facts = datatypeFacts(datatype);
  if (bytes.byteLength !== count * facts.elementBytes) {
    throw malformed(
      `${path}.parameters.binary_data_size`,
      `${count * facts.elementBytes} bytes for ${datatype} of shape [${shape}]`,
      `${bytes.byteLength}`,
    );
  }
  const out = numericArray(datatype, count);
  const view = new Uint8Array(out.buffer);
  view.set(bytes);
  if (!littleEndian) swapBytes(view, facts.elementBytes);
  if (facts.kind === 'boolean') assertBooleans(view, path);
  return out;
}

/** A tensor's data in its binary form. */
export function tensorToBytes(tensor: Tensor): Uint8Array {
  const { data } = tensor;
  if (!ArrayBuffer.isView(data)) return elementsToBytes(data);
  const bytes = new Uint8Array(data.buffer, data.byteOffset, data.byteLength);
  if (littleEndian) return bytes;
  const copy = bytes.slice();
  swapBytes(copy, datatypeFacts(tensor.datatype).elementBytes);
  return copy;
}

function bytesElements(bytes: Uint8Array, count: number, path: string): TensorData {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const out: Uint8Array[] = [];
  let at = 0;
  while (at < bytes.byteLength) {
    const end =
      at + 4 <= bytes.byteLength ? at + 4 + view.getUint32(at, true) : Number.POSITIVE_INFINITY;
    if (end > bytes.byteLength) {
      throw malformed(
        `${path} (BYTES element ${out.length})`,
        'a length and as many bytes',
        'an end within it',
      );
    }
    out.push(bytes.slice(at + 4, end));
    at = end;
  }
  if (out.length !== count) {
    throw malformed(`${path}`, `${count} BYTES elements in its binary data`, `${out.length}`);
  }
  return out;
}

function elementsToBytes(elements: readonly (string | Uint8Array)[]): Uint8Array {
  const parts: Buffer[] = [];
  for (const element of elements) {
    const bytes = typeof element === 'string' ? Buffer.from(element, 'utf8') : Buffer.from(element);
    const length = Buffer.allocUnsafe(4);
    length.writeUInt32LE(bytes.byteLength);
    parts.push(length, bytes);
  }
  return Buffer.concat(parts);
}

function assertBooleans(bytes: Uint8Array, path: string): void {
  const wrong = bytes.findIndex((byte) => byte > 1);
  if (wrong >= 0)
    throw malformed(`${path} (BOOL element ${wrong})`, 'the byte 0 or 1', `${bytes[wrong]}`);
}

function swapBytes(bytes: Uint8Array, elementBytes: number): void {
  for (let at = 0; at < bytes.byteLength; at += elementBytes)
    bytes.subarray(at, at + elementBytes).reverse();
}
