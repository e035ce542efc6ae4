import type { Datatype, Tensor, TensorSpec } from '../../contracts/model-runtime.ts';
import type { Json, JsonObject } from '../../json.ts';
import { isTable } from './input-tensors.ts';
import { TestFault } from './test-fault.ts';

/**
 * The rows of a model's outputs by their names: a single value, a list, or an object by columns. 64-bit integers
 * that are not safe are digits, bytes that are no text `{ b64 }`, booleans true and false. TestFault, naming the
 * output, for what the signature does not promise.
 */
export function outputRows(
  specs: readonly TensorSpec[],
  outputs: unknown,
  rowCount: number,
): readonly JsonObject[] {
  if (!Array.isArray(outputs)) throw new TestFault('the model answered no list of outputs');
  const tensors = specs.map((spec) => tensorOf(spec, outputs, rowCount));
  return Array.from({ length: rowCount }, (_, row) =>
    Object.fromEntries(specs.map((spec, i) => [spec.name, rowAt(spec, tensors[i] as Tensor, row)])),
  );
}

function tensorOf(spec: TensorSpec, outputs: readonly unknown[], rowCount: number): Tensor {
  const { name, datatype } = spec;
  const found = outputs.find((each) => (each as Partial<Tensor> | null)?.name === name);
  if (found === undefined) {
    throw new TestFault(`the model answered no output ${name}, which its signature promises`);
  }
  const tensor = found as Partial<Tensor>;
  if (tensor.datatype !== datatype) {
    throw new TestFault(`output ${name} is ${tensor.datatype}, and the signature says ${datatype}`);
  }
  const shape = tensor.shape ?? [];
  const length = tensor.data?.length;
  if (shape[0] !== rowCount) {
    throw new TestFault(`output ${name} has ${shape[0] ?? 'no'} rows for the ${rowCount} asked`);
  }
  const fits =
    shape.length === spec.shape.length &&
    spec.shape.every((size, d) => d === 0 || size === -1 || size === shape[d]);
  if (!fits) {
    throw new TestFault(
      `output ${name} has shape [${shape}], and the signature says [${spec.shape}]`,
    );
  }
  const size = shape.reduce((product, d) => product * d, 1);
  if (length === size) return tensor as Tensor;
  throw new TestFault(`output ${name} of shape [${shape}] has ${length ?? 'no'} values`);
}

function rowAt(spec: TensorSpec, { shape, data, datatype }: Tensor, row: number): Json {
  const width = shape.slice(1).reduce((size, d) => size * d, 1);
  const element = (i: number): Json => elementOf(data[row * width + i], datatype);
  const { columns = [] } = spec;
  if (isTable(spec)) return Object.fromEntries(columns.map((name, i) => [name, element(i)]));
  if (shape.length === 1) return element(0);
  return Array.from({ length: width }, (_, i) => element(i));
}

function elementOf(value: number | bigint | string | Uint8Array | undefined, type: Datatype): Json {
  if (typeof value === 'number') {
    if (type === 'BOOL') return value !== 0;
    return type === 'FP16' ? fromHalf(value) : type === 'BF16' ? fromBfloat(value) : value;
  }
  if (typeof value === 'bigint') {
    const number = Number(value);
    return Number.isSafeInteger(number) ? number : value.toString();
  }
  return value === undefined ? null : textOf(value);
}

const utf8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });

function textOf(value: string | Uint8Array): Json {
  const bytes = typeof value === 'string' ? Buffer.from(value) : value;
  try {
    const text = typeof value === 'string' ? value : utf8.decode(value);
    // No store can keep the others.
    if (text.isWellFormed() && !text.includes('\u0000')) return text;
  } catch (error) {
    if (!(error instanceof TypeError)) throw error;
  }
  return { b64: Buffer.from(bytes).toString('base64') };
}

/** The number that 16 bits of an IEEE half stand for. */
function fromHalf(bits: number): number {
  const sign = bits & 0x8000 ? -1 : 1;
  const exponent = (bits >> 10) & 0x1f;
  const fraction = bits & 0x3ff;
  if (exponent === 0) return sign * fraction * 2 ** -24;
  if (exponent === 0x1f) return fraction === 0 ? sign * Infinity : Number.NaN;
  return sign * (1 + fraction / 1024) * 2 ** (exponent - 15);
}

const word = new Uint32Array(1);
const float = new Float32Array(word.buffer);

/** The number that the upper half of a 32-bit float stands for. */
function fromBfloat(bits: number): number {
  word[0] = bits << 16;
  return float[0] as number;
}
