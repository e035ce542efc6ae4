import type { Json, Tensor, TensorSpec, UsualInput } from '@keelson/core';
import type { Finding } from './finding.ts';

/** Looks for unusual inputs; what it finds goes into `found`. */
export type InputCheck = (inputs: readonly Tensor[], rowCount: number, found: Finding[]) => void;

interface Place {
  readonly name: string;
  readonly input: number;
  /** Elements of one row from `offset` on, `width` of them. */
  readonly offset: number;
  readonly width: number | undefined;
  readonly usual: UsualInput;
  readonly isUnusual: (value: unknown) => boolean;
}

/**
 * Compiles the check of inputs, which come in the signature's order, against what they usually are, by the names of
 * columns or inputs. Undefined where nothing is said of any of them.
 */
export function compileInputCheck(
  specs: readonly TensorSpec[],
  usual: Readonly<Record<string, UsualInput>>,
): InputCheck | undefined {
  const places: Place[] = [];
  specs.forEach((spec, input) => {
    const whole = spec.columns === undefined || spec.shape.length !== 2;
    const names = whole ? [spec.name] : (spec.columns ?? []);
    names.forEach((name, offset) => {
      if (!Object.hasOwn(usual, name)) return;
      const of = usual[name] as UsualInput;
      const isUnusual = judgeOf(of);
      places.push({
        name,
        input,
        usual: of,
        isUnusual,
        offset: whole ? 0 : offset,
        width: whole ? undefined : 1,
      });
    });
  });
  if (places.length === 0) return undefined;
  return (inputs, rowCount, found) => {
    for (const place of places) {
      const rows = unusualRows(place, inputs[place.input] as Tensor, rowCount);
      if (rows.length === 0) continue;
      const message = `Input ${JSON.stringify(place.name)} is not what it usually is`;
      found.push({ name: 'anomalous_input', of: place.name, rows, message });
    }
  };
}

function unusualRows(place: Place, { data, shape }: Tensor, rowCount: number): number[] {
  const { offset, width, isUnusual } = place;
  let rowSize = 1;
  for (let d = 1; d < shape.length; d += 1) rowSize *= shape[d] as number;
  const count = width ?? rowSize;
  const rows: number[] = [];
  const isFloat = data instanceof Float64Array || data instanceof Float32Array;
  for (let row = 0; row < rowCount; row += 1) {
    const from = row * rowSize + offset;
    const isAsUsual = isFloat
      ? isWithin(data as Float64Array, from, from + count, place.usual)
      : !someUnusual(data, from, from + count, isUnusual);
    if (!isAsUsual) rows.push(row);
  }
  return rows;
}

function someUnusual(
  data: Tensor['data'],
  from: number,
  to: number,
  isUnusual: Place['isUnusual'],
): boolean {
  for (let i = from; i < to; i += 1) if (isUnusual(data[i])) return true;
  return false;
}

/** The same for floating-point numbers, of which there may be many. */
function isWithin(
  data: Float64Array,
  from: number,
  to: number,
  { min, max, missing = false }: UsualInput,
): boolean {
  if (min === undefined && max === undefined) return true;
  const low = min ?? Number.NEGATIVE_INFINITY;
  const high = max ?? Number.POSITIVE_INFINITY;
  for (let i = from; i < to; i += 1) {
    const value = data[i] as number;
    // Neither holds of NaN.
    if (!(value >= low && value <= high) && !(missing && Number.isNaN(value))) return false;
  }
  return true;
}

function judgeOf({ min, max, values, missing = false }: UsualInput): (value: unknown) => boolean {
  const low = min ?? Number.NEGATIVE_INFINITY;
  const high = max ?? Number.POSITIVE_INFINITY;
  const known = values === undefined ? undefined : new Set(values);
  const hasRange = min !== undefined || max !== undefined;
  return (value) => {
    if (typeof value === 'number' || typeof value === 'bigint') {
      if (!hasRange) return false;
      const number = Number(value);
      return Number.isNaN(number) ? !missing : number < low || number > high;
    }
    if (known === undefined || value === undefined) return false;
    return !known.has(
      typeof value === 'string' ? value : Buffer.from(value as Uint8Array).toString(),
    );
  };
}

const maxValues = 1_000;

/**
 * What inputs usually are, out of rows such as those that a model was trained on: the least and the greatest number
 * of each column, and its texts where there are at most 1,000 different ones. Written as `inputs` of
 * `keelson-baseline.json` into a version's files, or given as `serving.answers.inputs`.
 */
export function usualInputs(
  rows: Iterable<Readonly<Record<string, Json>>>,
): Record<string, UsualInput> {
  const columns = new Map<
    string,
    { min: number; max: number; missing: boolean; values: Set<string> }
  >();
  for (const row of rows) {
    for (const [name, value] of Object.entries(row)) {
      let column = columns.get(name);
      if (column === undefined) {
        const { POSITIVE_INFINITY: min, NEGATIVE_INFINITY: max } = Number;
        column = { min, max, missing: false, values: new Set() };
        columns.set(name, column);
      }
      if (typeof value === 'string') column.values.add(value);
      else if (typeof value === 'number' && !Number.isNaN(value)) {
        column.min = Math.min(column.min, value);
        column.max = Math.max(column.max, value);
      } else column.missing = true;
    }
  }
  return Object.fromEntries(
    [...columns].map(([name, { min, max, missing, values }]) => [
      name,
      {
        ...(min <= max ? { min, max, ...(missing ? { missing } : {}) } : {}),
        ...(values.size > 0 && values.size <= maxValues ? { values: [...values] } : {}),
      },
    ]),
  );
}
