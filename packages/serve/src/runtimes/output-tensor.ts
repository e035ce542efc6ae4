import type { Tensor, TensorData, TensorSpec } from '@keelson/core';
import { elementCount, holdsDatatype } from '../protocol/datatypes.ts';
import { describeValue, fillElements } from '../protocol/elements.ts';
import { ModelFault } from './model-fault.ts';

/**
 * The tensor of what a model answered under one output name: a flat list or typed array, nested lists, or
 * `{ shape, data }`. ModelFault (FAILED) where names, rows, shape or elements are not what the signature says.
 */
export function outputTensor(spec: TensorSpec, value: unknown, rowCount: number): Tensor {
  if (value === undefined || value === null) {
    throw new ModelFault('FAILED', `The model answered nothing for its output "${spec.name}".`);
  }
  const { data, shape } = readValue(spec, value, rowCount);
  assertShape(spec, shape, rowCount);
  if (data.length !== elementCount(shape)) {
    throw fault(spec, `has ${data.length} elements for the shape [${shape}]`);
  }
  return { name: spec.name, datatype: spec.datatype, shape, data: elementsOf(spec, data) };
}

function elementsOf(spec: TensorSpec, data: ArrayLike<unknown>): TensorData {
  // What already is the right array is taken as it is; BOOL is the one whose bytes may be wrong.
  if (spec.datatype !== 'BOOL' && holdsDatatype(spec.datatype, data)) return data;
  const values =
    spec.datatype === 'BOOL' && data instanceof Uint8Array
      ? Array.from(data, (byte) => byte !== 0)
      : data;
  return fillElements(spec.datatype, values, 'model', (i, value, expectation) => {
    throw fault(spec, `has ${describeValue(value)} as element ${i}; expected ${expectation}`);
  });
}

function readValue(
  spec: TensorSpec,
  value: unknown,
  rowCount: number,
): { data: ArrayLike<unknown>; shape: readonly number[] } {
  if (!isList(value)) {
    const { shape, data } = value as { shape?: unknown; data?: unknown };
    if (!Array.isArray(shape) || !isList(data)) {
      throw fault(
        spec,
        `is ${describeValue(value)}; expected a list, a typed array or { shape, data }`,
      );
    }
    return { data, shape };
  }
  const isNested = spec.shape.length > 1 && isRow(spec, value[0]);
  if (!isNested) return { data: value, shape: shapeOfFlat(spec, value.length, rowCount) };
  const shape = shapeOfNested(spec, value);
  return { data: flatten(spec, value, shape), shape };
}

function isList(value: unknown): value is ArrayLike<unknown> {
  return Array.isArray(value) || (ArrayBuffer.isView(value) && !(value instanceof DataView));
}

/** Whether an item of a list is a list of its own; the bytes of a BYTES element are not. */
function isRow(spec: TensorSpec, item: unknown): item is ArrayLike<unknown> {
  return isList(item) && !(spec.datatype === 'BYTES' && item instanceof Uint8Array);
}

/** One free size follows from the length: the rows, so that a wrong number of them is seen, or else another one. */
function shapeOfFlat(spec: TensorSpec, length: number, rowCount: number): number[] {
  const innerFree = spec.shape.indexOf(-1, 1);
  const free = innerFree >= 0 ? innerFree : spec.shape.indexOf(-1);
  const shape = spec.shape.map((size, d) =>
    size === -1 && d === 0 && d !== free ? rowCount : size,
  );
  const known = shape.reduce((product, size, d) => (d === free ? product : product * size), 1);
  if (free >= 0) shape[free] = known === 0 ? 0 : Math.floor(length / known);
  return shape;
}

function shapeOfNested(spec: TensorSpec, list: ArrayLike<unknown>): number[] {
  const shape: number[] = [];
  for (
    let inner: unknown = list;
    isRow(spec, inner) && shape.length < spec.shape.length;
    inner = inner[0]
  ) {
    shape.push(inner.length);
  }
  return shape;
}

function flatten(spec: TensorSpec, list: ArrayLike<unknown>, shape: readonly number[]): unknown[] {
  const out: unknown[] = [];
  const walk = (inner: unknown, depth: number): void => {
    if (!isRow(spec, inner) || inner.length !== shape[depth]) {
      throw fault(
        spec,
        `has nested lists of different lengths; expected the shape [${shape}] throughout`,
      );
    }
    for (let i = 0; i < inner.length; i += 1) {
      if (depth === shape.length - 1) out.push(inner[i]);
      else walk(inner[i], depth + 1);
    }
  };
  walk(list, 0);
  return out;
}

function assertShape(spec: TensorSpec, shape: readonly number[], rowCount: number): void {
  if (spec.unranked) return;
  const rowsDiffer = spec.shape[0] === -1 && shape[0] !== rowCount;
  if (rowsDiffer) throw fault(spec, `has ${shape[0]} rows for ${rowCount} input rows`);
  const fits =
    shape.length === spec.shape.length &&
    shape.every(
      (size, d) =>
        Number.isInteger(size) && size >= 0 && (spec.shape[d] === -1 || spec.shape[d] === size),
    );
  if (!fits) throw fault(spec, `has the shape [${shape}]; its signature says [${spec.shape}]`);
}

function fault(spec: TensorSpec, what: string): ModelFault {
  return new ModelFault('FAILED', `The model's output "${spec.name}" ${what}.`);
}
