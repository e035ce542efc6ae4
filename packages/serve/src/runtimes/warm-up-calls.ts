import type { Json, ModelSignature, Tensor, TensorData, TensorSpec } from '@keelson/core';
import { elementCount, numericArray } from '../protocol/datatypes.ts';
import { fillElements } from '../protocol/elements.ts';
import { ModelFault } from './model-fault.ts';

/** A call that a model must bear before it counts as loaded. */
export interface WarmUpCall {
  readonly inputs: readonly Tensor[];
  readonly rows: number;
}

/** A call with `rows` rows of zeros, falses and empty texts. */
export function syntheticCall(signature: ModelSignature, rows: number): WarmUpCall {
  return { rows, inputs: signature.inputs.map((spec) => syntheticTensor(spec, rows)) };
}

/** A tensor of zeros, falses or empty texts, with `rows` rows and 1 for other free sizes. */
function syntheticTensor(spec: TensorSpec, rows: number): Tensor {
  const shape = spec.unranked
    ? [rows]
    : spec.shape.map((size, d) => (size !== -1 ? size : d === 0 ? rows : 1));
  const count = elementCount(shape);
  const data: TensorData =
    spec.datatype === 'BYTES'
      ? new Array<string>(count).fill('')
      : numericArray(spec.datatype, count);
  return { name: spec.name, datatype: spec.datatype, shape, data };
}

/** The call that a manifest declares as its `call`th one. ModelFault (FAILED) where the signature contradicts it. */
export function declaredCall(
  signature: ModelSignature,
  values: { readonly [input: string]: Json },
  call: number,
): WarmUpCall {
  const fail = (what: string): never => {
    throw new ModelFault('FAILED', `warmUp[${call}] of the model ${what}.`);
  };
  let rows: number | undefined;
  const inputs = signature.inputs.map((spec) => {
    const list: unknown = values[spec.name];
    if (!Array.isArray(list)) return fail(`has no list for input "${spec.name}"`);
    const flat = list.flat(32);
    const rowSize = spec.shape.slice(1).reduce((size, d) => size * Math.abs(d), 1);
    const count = spec.shape[0] === -1 ? flat.length / rowSize : (spec.shape[0] ?? 1);
    if (count * rowSize !== flat.length || !Number.isInteger(count)) {
      return fail(`has ${flat.length} elements for input "${spec.name}" of shape [${spec.shape}]`);
    }
    rows ??= count;
    const shape = spec.shape.map((size, d) => (d === 0 ? count : Math.abs(size)));
    const data = fillElements(spec.datatype, flat, 'json', (i, value, expectation) =>
      fail(`has ${String(value)} as element ${i} of input "${spec.name}"; expected ${expectation}`),
    );
    return { name: spec.name, datatype: spec.datatype, shape, data };
  });
  return { inputs, rows: rows ?? 1 };
}
