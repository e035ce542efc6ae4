import type { Datatype, TensorData } from '@keelson/core';

/** How the elements of a datatype are held and written. */
export interface DatatypeFacts {
  /** Bytes of one element in the binary form; 0 for BYTES, whose elements differ in length. */
  readonly elementBytes: number;
  /** `half` elements (FP16, BF16) are held as their 16 bits in a Uint16Array and have no JSON form. */
  readonly kind: 'boolean' | 'integer' | 'bigint' | 'half' | 'float' | 'bytes';
  /** Bounds of integers; for `float`, of what is still finite in that width. */
  readonly min: number | bigint;
  readonly max: number | bigint;
}

type NumericArray = Exclude<TensorData, readonly (string | Uint8Array)[]>;

const float32Max = 3.4028234663852886e38;

const facts: Readonly<Record<Datatype, DatatypeFacts>> = {
  BOOL: { elementBytes: 1, kind: 'boolean', min: 0, max: 1 },
  UINT8: { elementBytes: 1, kind: 'integer', min: 0, max: 255 },
  UINT16: { elementBytes: 2, kind: 'integer', min: 0, max: 65_535 },
  UINT32: { elementBytes: 4, kind: 'integer', min: 0, max: 4_294_967_295 },
  UINT64: { elementBytes: 8, kind: 'bigint', min: 0n, max: 18_446_744_073_709_551_615n },
  INT8: { elementBytes: 1, kind: 'integer', min: -128, max: 127 },
  INT16: { elementBytes: 2, kind: 'integer', min: -32_768, max: 32_767 },
  INT32: { elementBytes: 4, kind: 'integer', min: -2_147_483_648, max: 2_147_483_647 },
  INT64: {
    elementBytes: 8,
    kind: 'bigint',
    min: -9_223_372_036_854_775_808n,
    max: 9_223_372_036_854_775_807n,
  },
  FP16: { elementBytes: 2, kind: 'half', min: 0, max: 65_535 },
  BF16: { elementBytes: 2, kind: 'half', min: 0, max: 65_535 },
  FP32: { elementBytes: 4, kind: 'float', min: -float32Max, max: float32Max },
  FP64: { elementBytes: 8, kind: 'float', min: -Number.MAX_VALUE, max: Number.MAX_VALUE },
  BYTES: { elementBytes: 0, kind: 'bytes', min: 0, max: 0 },
};

/** The names of all datatypes, as the Open Inference Protocol (and Triton's BF16) has them. */
export const datatypes: readonly Datatype[] = Object.keys(facts) as Datatype[];

/** The facts of a datatype, or undefined for a name that is none. */
export function findDatatype(name: unknown): DatatypeFacts | undefined {
  return typeof name === 'string' && Object.hasOwn(facts, name)
    ? facts[name as Datatype]
    : undefined;
}

/** The facts of a datatype. */
export function datatypeFacts(datatype: Datatype): DatatypeFacts {
  return facts[datatype];
}

/** An array of zeros that holds `count` elements of the datatype; BOOL as 0 and 1, FP16 and BF16 as bits. */
export function numericArray(datatype: Exclude<Datatype, 'BYTES'>, count: number): NumericArray {
  switch (datatype) {
    case 'BOOL':
    case 'UINT8':
      return new Uint8Array(count);
    case 'UINT16':
    case 'FP16':
    case 'BF16':
      return new Uint16Array(count);
    case 'UINT32':
      return new Uint32Array(count);
    case 'UINT64':
      return new BigUint64Array(count);
    case 'INT8':
      return new Int8Array(count);
    case 'INT16':
      return new Int16Array(count);
    case 'INT32':
      return new Int32Array(count);
    case 'INT64':
      return new BigInt64Array(count);
    case 'FP32':
      return new Float32Array(count);
    case 'FP64':
      return new Float64Array(count);
  }
}

/** The elements that lie at `byteOffset` of `buffer`, without a copy; the offset is a multiple of the element's size. */
export function numericView(
  datatype: Exclude<Datatype, 'BYTES'>,
  buffer: ArrayBuffer,
  byteOffset: number,
  count: number,
): NumericArray {
  switch (datatype) {
    case 'BOOL':
    case 'UINT8':
      return new Uint8Array(buffer, byteOffset, count);
    case 'UINT16':
    case 'FP16':
    case 'BF16':
      return new Uint16Array(buffer, byteOffset, count);
    case 'UINT32':
      return new Uint32Array(buffer, byteOffset, count);
    case 'UINT64':
      return new BigUint64Array(buffer, byteOffset, count);
    case 'INT8':
      return new Int8Array(buffer, byteOffset, count);
    case 'INT16':
      return new Int16Array(buffer, byteOffset, count);
    case 'INT32':
      return new Int32Array(buffer, byteOffset, count);
    case 'INT64':
      return new BigInt64Array(buffer, byteOffset, count);
    case 'FP32':
      return new Float32Array(buffer, byteOffset, count);
    case 'FP64':
      return new Float64Array(buffer, byteOffset, count);
  }
}

/** Whether `data` is the very class of array that holds the datatype. */
export function holdsDatatype(datatype: Datatype, data: unknown): data is TensorData {
  if (datatype === 'BYTES') return false;
  return ArrayBuffer.isView(data) && data.constructor === numericArray(datatype, 0).constructor;
}

/** How many elements a shape has: 1 for the shape of a scalar. */
export function elementCount(shape: readonly number[]): number {
  let count = 1;
  for (const size of shape) count *= size;
  return count;
}
