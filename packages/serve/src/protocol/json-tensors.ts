import { isUtf8 } from 'node:buffer';
import type { Datatype, Tensor, TensorData } from '@keelson/core';
import { datatypeFacts, elementCount } from './datatypes.ts';
import { describeValue, fillElements, flattenNested } from './elements.ts';
import { malformed } from './refusal.ts';

/**
 * A tensor's data from JSON: flat, or nested as the shape says. Floats that are not finite are the texts
 * "NaN", "Infinity" and "-Infinity"; FP16 and BF16 have no JSON form. INVALID (400) names the place and what
 * was expected there. With `unsafe: 'throw'` an INT64 beyond 2^53 throws `roundedInteger`.
 */
export function tensorFromJson(
  datatype: Datatype,
  shape: readonly number[],
  data: unknown,
  path: string,
  unsafe: 'throw' | 'fault',
): TensorData {
  if (datatypeFacts(datatype).kind === 'half') {
    throw malformed(
      `${path}.data`,
      `${datatype} as binary tensor data, because it has no JSON form`,
    );
  }
  if (!Array.isArray(data)) throw malformed(`${path}.data`, 'a list', describeValue(data));
  const flat = shape.length > 1 && Array.isArray(data[0]) ? flatten(data, shape, path) : data;
  const count = elementCount(shape);
  if (flat.length !== count) {
    throw malformed(`${path}.data`, `${count} elements for the shape [${shape}]`, `${flat.length}`);
  }
  const fault = (index: number, value: unknown, expectation: string): never => {
    throw malformed(`${path}.data[${index}]`, expectation, describeValue(value));
  };
  return fillElements(datatype, flat, 'json', fault, unsafe);
}

function flatten(data: readonly unknown[], shape: readonly number[], path: string): unknown[] {
  return flattenNested(data, shape, (place, value, expectation) => {
    throw malformed(`${path}.data${place}`, expectation, describeValue(value));
  });
}

/** Whether {@link tensorToJson} can write the tensor: not FP16 and BF16, nor BYTES that are no UTF-8 text. */
export function hasJsonForm(tensor: Tensor): boolean {
  if (datatypeFacts(tensor.datatype).kind === 'half') return false;
  if (tensor.datatype !== 'BYTES') return true;
  return (tensor.data as readonly (string | Uint8Array)[]).every(
    (element) => typeof element === 'string' || isUtf8(element),
  );
}

/** The flat JSON list of a tensor's data: exact, −0 included; 64-bit integers as digits, NaN and ±Infinity as texts. */
export function tensorToJson(tensor: Tensor): string {
  const { data } = tensor;
  if (!ArrayBuffer.isView(data)) return `[${data.map(textToJson).join(',')}]`;
  switch (datatypeFacts(tensor.datatype).kind) {
    case 'boolean':
      return `[${Array.from(data as Uint8Array, (byte) => (byte === 0 ? 'false' : 'true')).join(',')}]`;
    case 'float':
      return floatsToJson(data as Float64Array);
    default:
      return `[${(data as Int32Array).join(',')}]`;
  }
}

/** Each element of a tensor as JSON; bytes that are no UTF-8 text as `{ "b64": … }`. FP16 and BF16 have none. */
export function elementTexts({ datatype, data }: Tensor): string[] {
  if (!ArrayBuffer.isView(data)) {
    return data.map((element) =>
      typeof element === 'string' || isUtf8(element)
        ? textToJson(element)
        : `{"b64":"${Buffer.from(element).toString('base64')}"}`,
    );
  }
  switch (datatypeFacts(datatype).kind) {
    case 'boolean':
      return Array.from(data as Uint8Array, (byte) => (byte === 0 ? 'false' : 'true'));
    case 'float':
      return Array.from(data as Float64Array, floatToJson);
    default:
      return Array.from(data as Int32Array, String);
  }
}

function floatsToJson(data: Float64Array | Float32Array): string {
  let plain = true;
  for (let i = 0; i < data.length && plain; i += 1) {
    const value = data[i] as number;
    // x − x is 0 for finite x only; −0 would be written as 0.
    plain = value - value === 0 && (value !== 0 || 1 / value > 0);
  }
  return plain ? `[${data.join(',')}]` : `[${Array.from(data, floatToJson).join(',')}]`;
}

function floatToJson(value: number): string {
  // As a fraction: to Python -0 is an integer, which has no sign.
  if (Object.is(value, -0)) return '-0.0';
  return Number.isFinite(value) ? String(value) : `"${value}"`;
}

function textToJson(element: string | Uint8Array): string {
  return JSON.stringify(
    typeof element === 'string' ? element : Buffer.from(element).toString('utf8'),
  );
}
