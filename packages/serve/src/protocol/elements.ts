import type { Datatype, TensorData } from '@keelson/core';
import { datatypeFacts, numericArray } from './datatypes.ts';

/** Where values come from decides what stands for a number that is not finite. */
export type ElementSource =
  /** JSON: the texts "NaN", "Infinity" and "-Infinity"; an overflow such as 1e999 is refused. */
  | 'json'
  /** A model's own numbers, NaN and ±Infinity among them. */
  | 'model';

/** Called with the first value that is no element of the datatype; throws. */
export type ElementFault = (index: number, value: unknown, expectation: string) => never;

/** Thrown as it is when an integer may have been rounded before it came here. */
export const roundedInteger: unique symbol = Symbol('rounded integer');

/**
 * The tensor data of a flat list of plain values: exact, or `fault` is called. Integers of 64 bits may
 * be bigints or safe integers; with `unsafe: 'throw'` others throw {@link roundedInteger}, so that the
 * caller can parse its text again and exactly.
 */
export function fillElements(
  datatype: Datatype,
  values: ArrayLike<unknown>,
  source: ElementSource,
  fault: ElementFault,
  unsafe: 'throw' | 'fault' = 'fault',
): TensorData {
  if (datatype === 'BYTES') return fillBytes(values, fault);
  const facts = datatypeFacts(datatype);
  switch (facts.kind) {
    case 'float':
      return fillFloats(
        numericArray(datatype, values.length) as Float64Array,
        datatype,
        values,
        source,
        fault,
      );
    case 'boolean':
      return fillBooleans(values, fault);
    case 'bigint':
      return fillBigints(datatype as 'INT64' | 'UINT64', values, fault, unsafe);
    default:
      return fillIntegers(datatype, values, fault);
  }
}

function fillFloats(
  out: Float64Array | Float32Array,
  datatype: Datatype,
  values: ArrayLike<unknown>,
  source: ElementSource,
  fault: ElementFault,
): TensorData {
  const max = datatypeFacts(datatype).max as number;
  for (let i = 0; i < values.length; i += 1) {
    const value = values[i];
    if (typeof value === 'number' && value <= max && value >= -max) out[i] = value;
    else out[i] = unusualFloat(value, i, datatype, source, fault);
  }
  return out;
}

function unusualFloat(
  value: unknown,
  index: number,
  datatype: Datatype,
  source: ElementSource,
  fault: ElementFault,
): number {
  // An exact parse, made for the sake of another tensor, gives large integers as bigints.
  if (typeof value === 'bigint') {
    const rounded = Number(value);
    if (Math.abs(rounded) <= (datatypeFacts(datatype).max as number)) return rounded;
  }
  if (source === 'model') {
    if (typeof value === 'number' && !Number.isFinite(value)) return value;
    return fault(index, value, `a number in the range of ${datatype}, NaN or ±Infinity`);
  }
  if (value === 'NaN') return Number.NaN;
  if (value === 'Infinity') return Number.POSITIVE_INFINITY;
  if (value === '-Infinity') return Number.NEGATIVE_INFINITY;
  return fault(
    index,
    value,
    `a number in the range of ${datatype}, or the text "NaN", "Infinity" or "-Infinity"`,
  );
}

function fillBooleans(values: ArrayLike<unknown>, fault: ElementFault): TensorData {
  const out = new Uint8Array(values.length);
  for (let i = 0; i < values.length; i += 1) {
    const value = values[i];
    if (value === true) out[i] = 1;
    else if (value !== false) fault(i, value, 'true or false');
  }
  return out;
}

function fillIntegers(
  datatype: Exclude<Datatype, 'BYTES'>,
  values: ArrayLike<unknown>,
  fault: ElementFault,
): TensorData {
  const { min, max } = datatypeFacts(datatype);
  const out = numericArray(datatype, values.length) as Int32Array;
  for (let i = 0; i < values.length; i += 1) {
    const value = values[i];
    if (typeof value === 'number' && Number.isInteger(value) && value >= min && value <= max)
      out[i] = value;
    else fault(i, value, `an integer from ${min} to ${max} (${datatype})`);
  }
  return out;
}

function fillBigints(
  datatype: 'INT64' | 'UINT64',
  values: ArrayLike<unknown>,
  fault: ElementFault,
  unsafe: 'throw' | 'fault',
): TensorData {
  const { min, max } = datatypeFacts(datatype);
  const out = numericArray(datatype, values.length) as BigInt64Array;
  for (let i = 0; i < values.length; i += 1) {
    let value = values[i];
    if (typeof value === 'number') {
      if (Number.isSafeInteger(value)) value = BigInt(value);
      else if (unsafe === 'throw') throw roundedInteger;
    }
    if (typeof value === 'bigint' && value >= min && value <= max) out[i] = value;
    else fault(i, value, `an integer from ${min} to ${max} (${datatype}), written out in digits`);
  }
  return out;
}

function fillBytes(values: ArrayLike<unknown>, fault: ElementFault): TensorData {
  const out: (string | Uint8Array)[] = new Array(values.length);
  for (let i = 0; i < values.length; i += 1) {
    const value = values[i];
    if (typeof value === 'string' ? value.isWellFormed() : value instanceof Uint8Array) {
      out[i] = value as string | Uint8Array;
    } else {
      fault(i, value, 'a text of whole Unicode characters (BYTES)');
    }
  }
  return out;
}

/** A few words for a value that was not expected. */
export function describeValue(value: unknown): string {
  if (value === null) return 'null';
  if (Array.isArray(value)) return `a list of ${value.length}`;
  switch (typeof value) {
    case 'string':
      return value.length > 40
        ? `the text ${JSON.stringify(value.slice(0, 40))}…`
        : `the text ${JSON.stringify(value)}`;
    case 'number':
    case 'boolean':
      return String(value);
    case 'bigint':
      return value.toString().length > 40 ? 'a very long integer' : value.toString();
    case 'object':
      return 'an object';
    default:
      return typeof value;
  }
}

/** What is wrong with nested lists that should have a shape. */
export type NestingFault = (place: string, value: unknown, expectation: string) => never;

/** The elements of nested lists in row-major order; every list must be as long as the shape says. */
export function flattenNested(
  data: readonly unknown[],
  shape: readonly number[],
  fault: NestingFault,
): unknown[] {
  const out: unknown[] = [];
  const walk = (list: unknown, depth: number, place: string): void => {
    const size = shape[depth] ?? 0;
    if (!Array.isArray(list) || list.length !== size) {
      fault(place, list, `a list of ${size}, as dimension ${depth} of the shape says`);
    }
    if (depth === shape.length - 1) {
      for (const item of list) out.push(item);
      return;
    }
    for (let i = 0; i < size; i += 1) walk(list[i], depth + 1, `${place}[${i}]`);
  };
  walk(data, 0, '');
  return out;
}
