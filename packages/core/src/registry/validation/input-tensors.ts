import type { Datatype, Tensor, TensorData, TensorSpec } from '../../contracts/model-runtime.ts';
import type { Json, JsonObject } from '../../json.ts';
import { TestFault } from './test-fault.ts';

/**
 * The input tensors for rows: a tensor of two dimensions with `columns` takes its values by their names, another
 * one its row under its own name, as a value or (nested) lists. Texts that read as numbers are taken as such;
 * what is missing (null, empty text) is NaN in floating-point inputs. TestFault, naming row and input.
 */
export function inputTensors(
  specs: readonly TensorSpec[],
  rows: readonly JsonObject[],
): readonly Tensor[] {
  return specs.map((spec) => {
    const { name, datatype } = spec;
    if (spec.shape.length === 0) throw new TestFault(`input ${name} has no dimension for rows`);
    const values: Json[] = [];
    let inner: readonly number[] | undefined;
    for (const [i, row] of rows.entries()) {
      const place = `row ${i + 1}`;
      const { flat, shape } = rowOf(spec, row, place);
      inner ??= shape;
      if (inner.some((size, d) => size !== shape[d])) {
        throw new TestFault(`${place} has input ${name} of shape [${shape}], row 1 of [${inner}]`);
      }
      for (const value of flat) values.push(value);
    }
    const shape = [rows.length, ...(inner ?? spec.shape.slice(1))];
    const width = Math.max(1, values.length / Math.max(1, rows.length));
    const data = elementsOf(datatype, values, (index, value, wanted) => {
      const at = spec.columns?.[index % width];
      const column = at === undefined ? '' : `, column ${at}`;
      const row = Math.floor(index / width) + 1;
      throw new TestFault(
        `row ${row}, input ${name}${column}: ${JSON.stringify(value)?.slice(0, 60)} is not ${wanted}`,
      );
    });
    return { name, datatype, shape, data };
  });
}

/** Whether its values go by the names of columns. */
export function isTable(spec: TensorSpec): boolean {
  return spec.columns !== undefined && spec.shape.length === 2;
}

interface RowValues {
  readonly flat: readonly Json[];
  readonly shape: readonly number[];
}

function rowOf(spec: TensorSpec, row: JsonObject, place: string): RowValues {
  const find = (key: string, what: string): Json => {
    const value = Object.hasOwn(row, key) ? row[key] : undefined;
    if (value !== undefined) return value;
    throw new TestFault(`${place} has no ${key}, which is ${what}`);
  };
  const { name, columns = [] } = spec;
  if (isTable(spec)) {
    const flat = columns.map((column) => find(column, `a column of input ${name}`));
    return { flat, shape: [flat.length] };
  }
  return shaped(spec, find(name, 'an input'), place);
}

/** The elements of a value in row-major order, with its shape: its own nesting, or the spec's for a flat list. */
function shaped({ name, shape }: TensorSpec, value: Json, place: string): RowValues {
  const wanted = shape.slice(1);
  const flat = Array.isArray(value) ? (value.flat(32) as Json[]) : [value];
  const wrong = (): TestFault =>
    new TestFault(`${place} has ${flat.length} values for input ${name} of shape [${shape}]`);
  if (wanted.length === 0) {
    if (Array.isArray(value)) throw wrong();
    return { flat, shape: [] };
  }
  const own = nesting(value);
  const free = wanted.filter((size) => size === -1).length;
  const fixed = wanted.reduce((size, d) => (d === -1 ? size : size * d), 1);
  const rest = fixed === 0 ? 0 : flat.length / fixed;
  const found =
    own.length === wanted.length ? own : free <= 1 ? wanted.map((d) => (d === -1 ? rest : d)) : [];
  const fits =
    found.length === wanted.length &&
    found.every((size, d) => Number.isInteger(size) && [-1, size].includes(wanted[d] as number)) &&
    found.reduce((size, d) => size * d, 1) === flat.length;
  if (!fits) throw wrong();
  return { flat, shape: found };
}

function nesting(value: Json): readonly number[] {
  const sizes: number[] = [];
  let at: Json | undefined = value;
  while (Array.isArray(at)) {
    sizes.push(at.length);
    at = at[0] as Json | undefined;
  }
  return sizes;
}

type Fault = (index: number, value: Json, wanted: string) => never;

function elementsOf(datatype: Datatype, values: readonly Json[], fault: Fault): TensorData {
  switch (datatype) {
    case 'BYTES':
      return values.map((v, i) =>
        typeof v === 'string' ? v : (bytesOf(v) ?? fault(i, v, 'text')),
      );
    case 'BOOL':
      return Uint8Array.from(values, (v, i) => booleanOf(v) ?? fault(i, v, 'true or false'));
    case 'FP32':
      return Float32Array.from(values, (v, i) => floatOf(v) ?? fault(i, v, 'a number'));
    case 'FP64':
      return Float64Array.from(values, (v, i) => floatOf(v) ?? fault(i, v, 'a number'));
    case 'INT64':
    case 'UINT64': {
      const made =
        datatype === 'INT64' ? new BigInt64Array(values.length) : new BigUint64Array(values.length);
      for (const [i, v] of values.entries()) {
        const whole = bigintOf(v) ?? fault(i, v, `an integer (${datatype})`);
        made[i] = whole;
        if (made[i] !== whole) fault(i, v, `in the range of ${datatype}`);
      }
      return made;
    }
    case 'FP16':
    case 'BF16':
      throw new TestFault(`rows cannot be made into inputs of ${datatype}`);
    default:
      return integersOf(datatype, values, fault);
  }
}

const integerArrays = {
  INT8: Int8Array,
  INT16: Int16Array,
  INT32: Int32Array,
  UINT8: Uint8Array,
  UINT16: Uint16Array,
  UINT32: Uint32Array,
} as const;

function integersOf(
  datatype: keyof typeof integerArrays,
  values: readonly Json[],
  fault: Fault,
): TensorData {
  const made = new integerArrays[datatype](values.length);
  for (const [i, v] of values.entries()) {
    const value = numberOf(v) ?? Number.NaN;
    made[i] = value;
    if (made[i] !== value) fault(i, v, `an integer in the range of ${datatype}`);
  }
  return made;
}

/** Text that reads as a number is one: CSV has no others. */
export function numberOf(value: Json): number | undefined {
  if (typeof value === 'number') return value;
  if (typeof value !== 'string' || value.trim() === '') return undefined;
  const number = Number(value);
  return Number.isNaN(number) && value !== 'NaN' ? undefined : number;
}

function floatOf(value: Json): number | undefined {
  return value === null || value === '' ? Number.NaN : numberOf(value);
}

function bigintOf(value: Json): bigint | undefined {
  if (typeof value === 'number') return Number.isSafeInteger(value) ? BigInt(value) : undefined;
  return typeof value === 'string' && /^-?\d+$/.test(value) ? BigInt(value) : undefined;
}

function booleanOf(value: Json): 0 | 1 | undefined {
  if (value === true || value === 1 || value === 'true' || value === '1') return 1;
  return value === false || value === 0 || value === 'false' || value === '0' ? 0 : undefined;
}

/** Bytes that are no text, as predictions are logged. */
function bytesOf(value: Json): Uint8Array | undefined {
  const b64 =
    typeof value === 'object' && value !== null ? (value as JsonObject)['b64'] : undefined;
  return typeof b64 === 'string' ? Buffer.from(b64, 'base64') : undefined;
}
