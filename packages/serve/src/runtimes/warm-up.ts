import type { ModelSignature } from '@keelson/core';
import { numericArray } from '../protocol/datatypes.ts';
import { ModelFault, messageOf } from './model-fault.ts';
import type { WarmUpInputs } from './model-manifest.ts';
import type { TensorModel } from './tensor-model.ts';
import { declaredCall, syntheticCall, type WarmUpCall } from './warm-up-calls.ts';

/**
 * Runs a model before it counts as ready: once more than each size class of batches (1, 2, 4, … up to
 * `maxRows`), since the first call of a size is a slow one with many runtimes. Declared inputs are run as they are, and
 * their rows repeated for the size classes. ModelFault (FAILED) when a call fails.
 */
export async function warmUp(
  model: TensorModel,
  signature: ModelSignature,
  inputs: WarmUpInputs,
  maxRows: number,
): Promise<void> {
  if (inputs === false) return;
  const what =
    inputs === 'synthetic'
      ? 'synthetic inputs (zeros, empty texts); declare "warmUp" in keelson-model.json or in the options of the runtime if it cannot take those'
      : 'the inputs it declares';
  for (const { inputs: tensors, rows } of callsOf(signature, inputs, maxRows)) {
    try {
      await model.predict(tensors, rows, {});
    } catch (error) {
      throw new ModelFault(
        'FAILED',
        `The model failed its warm-up with ${what}, at ${rows} row${rows === 1 ? '' : 's'}: ${messageOf(error)}`,
        { cause: error },
      );
    }
  }
}

/** The size classes of batches: powers of two below `maxRows`, and `maxRows`; 1 twice. */
function sizeClasses(maxRows: number): readonly number[] {
  const sizes = [1];
  for (let rows = 1; rows < maxRows; rows *= 2) sizes.push(rows);
  return maxRows > 1 ? [...sizes, maxRows] : [1, 1];
}

function callsOf(
  signature: ModelSignature,
  inputs: Exclude<WarmUpInputs, false>,
  maxRows: number,
): readonly WarmUpCall[] {
  const batches = signature.inputs.some(({ shape }) => shape[0] === -1);
  const sizes = batches ? sizeClasses(maxRows) : [1, 1];
  if (inputs === 'synthetic') {
    return sizes.map((rows) => syntheticCall(signature, rows));
  }
  const declared = inputs.map((values, i) => declaredCall(signature, values, i));
  const [first] = declared;
  if (first === undefined || !batches || first.rows === 0) return declared;
  return [...declared, ...sizes.map((rows) => repeated(signature, first, rows))];
}

/** The rows of a call over and over, so that there are `rows` of them. */
function repeated(signature: ModelSignature, call: WarmUpCall, rows: number): WarmUpCall {
  const inputs = call.inputs.map((tensor, place) => {
    if (signature.inputs[place]?.shape[0] !== -1) return tensor;
    const { data } = tensor;
    const rowSize = data.length / call.rows;
    const at = (i: number): number => (i % (call.rows * rowSize)) | 0;
    const count = rows * rowSize;
    const shape = [rows, ...tensor.shape.slice(1)];
    if (tensor.datatype === 'BYTES') {
      const texts = Array.from({ length: count }, (_, i) => data[at(i)] as string);
      return { ...tensor, shape, data: texts };
    }
    const out = numericArray(tensor.datatype, count) as Float64Array;
    for (let i = 0; i < count; i += 1) out[i] = data[at(i)] as number;
    return { ...tensor, shape, data: out };
  });
  return { inputs, rows };
}
