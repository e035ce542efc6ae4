import {
  type Json,
  KeelsonError,
  type ModelSignature,
  type Tensor,
  type TensorData,
} from '@keelson/core';
import { numericArray } from '../protocol/datatypes.ts';

/** Says which requests may share a call: those with equal keys. */
export type BatchKey = (
  inputs: readonly Tensor[],
  parameters: Readonly<Record<string, Json>>,
) => string;

/**
 * Compiles the key of a signature: parameters, and what sizes are free beside the rows. Undefined for signatures whose
 * inputs and outputs have not all a free first size, which is the number of rows.
 */
export function compileBatchKey(signature: ModelSignature): BatchKey | undefined {
  const { inputs, outputs } = signature;
  const hasRows = [...inputs, ...outputs].every(
    ({ shape, unranked }) => shape[0] === -1 && unranked !== true,
  );
  if (!hasRows || inputs.length === 0 || outputs.length === 0) return undefined;
  const open = inputs.flatMap(({ shape }, i) => (shape.indexOf(-1, 1) === -1 ? [] : [i]));
  return (tensors, parameters) => {
    let key = '';
    for (const i of open) key += `${(tensors[i] as Tensor).shape.slice(1)};`;
    for (const _ in parameters) return key + JSON.stringify(parameters);
    return key;
  };
}

/** The inputs of several requests with one key as those of one: row after row, in the order given. */
export function joinRows(requests: readonly (readonly Tensor[])[], rowCount: number): Tensor[] {
  const [first] = requests;
  if (first === undefined) throw new KeelsonError('INTERNAL', 'A batch of nothing.');
  return first.map(({ name, datatype, shape }, i) => {
    const joined = { name, datatype, shape: [rowCount, ...shape.slice(1)] };
    if (datatype === 'BYTES') {
      const data: (string | Uint8Array)[] = [];
      for (const inputs of requests) {
        for (const element of elementsOf(inputs[i])) data.push(element);
      }
      return { ...joined, data };
    }
    const data = numericArray(datatype, rowCount * rowSize(shape));
    let at = 0;
    for (const inputs of requests) {
      const part = (inputs[i] as Tensor).data;
      // The classes agree: one signature has checked them all.
      data.set(part as never, at);
      at += part.length;
    }
    return { ...joined, data };
  });
}

/** Rows `from` to `to` of tensors; numbers as views, not copies. */
export function sliceRows(tensors: readonly Tensor[], from: number, to: number): Tensor[] {
  return tensors.map(({ name, datatype, shape, data }) => {
    const size = rowSize(shape);
    const part = ArrayBuffer.isView(data)
      ? data.subarray(from * size, to * size)
      : data.slice(from * size, to * size);
    return { name, datatype, shape: [to - from, ...shape.slice(1)], data: part as TensorData };
  });
}

/** FAILED unless each output has as many rows as the inputs: else answers would reach the wrong callers. */
export function assertRowCount(outputs: readonly Tensor[], rowCount: number): void {
  for (const { name, shape, data } of outputs) {
    if (shape[0] === rowCount && data.length === rowCount * rowSize(shape)) continue;
    throw new KeelsonError(
      'FAILED',
      `The model's output ${JSON.stringify(name)} has the shape [${shape}] for ${rowCount} input rows: it must have a row for each. Switch batching off ({ mode: 'off' }) for a model that does not work row by row.`,
    );
  }
}

function rowSize(shape: readonly number[]): number {
  let size = 1;
  for (let d = 1; d < shape.length; d += 1) size *= shape[d] as number;
  return size;
}

function elementsOf(tensor: Tensor | undefined): readonly (string | Uint8Array)[] {
  return tensor === undefined || ArrayBuffer.isView(tensor.data) ? [] : tensor.data;
}
