import { createHash } from 'node:crypto';
import type { Json, Tensor, TensorData } from '@keelson/core';

/**
 * What tells inputs with equal answers from others: a digest of names' order, shapes, elements and parameters.
 * Floats are equal when they agree to `decimals`; −0 is 0, and every NaN is one.
 */
export function resultKey(
  inputs: readonly Tensor[],
  parameters: Readonly<Record<string, Json>>,
  decimals: number | undefined,
): string {
  const hash = createHash('sha256');
  for (const { datatype, shape, data } of inputs) {
    hash.update(`${datatype}[${shape}]`);
    if (ArrayBuffer.isView(data)) hash.update(bytesOf(canonical(data, decimals)));
    else hashElements(hash, data);
  }
  for (const _ in parameters) {
    hash.update(JSON.stringify(parameters));
    break;
  }
  return hash.digest('base64url');
}

function hashElements(
  hash: ReturnType<typeof createHash>,
  elements: readonly (string | Uint8Array)[],
): void {
  for (const element of elements) {
    // A text and its bytes are the same element of BYTES. With its length, so that none runs into the next.
    const bytes = typeof element === 'string' ? Buffer.from(element) : element;
    hash.update(`${bytes.byteLength}:`);
    hash.update(bytes);
  }
}

type Numbers = Exclude<TensorData, readonly (string | Uint8Array)[]>;

function canonical(data: Numbers, decimals: number | undefined): Numbers {
  if (!(data instanceof Float64Array || data instanceof Float32Array)) return data;
  const scale = decimals === undefined ? undefined : 10 ** decimals;
  return data.map((value) => {
    if (Number.isNaN(value)) return Number.NaN;
    // Adding 0 makes 0 of −0.
    if (scale === undefined) return value + 0;
    const rounded = Math.round(value * scale) / scale;
    return (Number.isFinite(rounded) ? rounded : value) + 0;
  });
}

function bytesOf(data: Numbers): Uint8Array {
  return new Uint8Array(data.buffer, data.byteOffset, data.byteLength);
}
