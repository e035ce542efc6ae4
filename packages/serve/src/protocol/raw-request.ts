import { KeelsonError, type ModelSignature, type TensorData, type TensorSpec } from '@keelson/core';
import { tensorFromBytes } from './binary-tensors.ts';
import { datatypeFacts } from './datatypes.ts';
import type { InferRequest } from './infer-request.ts';
import { malformed } from './refusal.ts';

const where = 'header Inference-Header-Content-Length';

/**
 * A request whose whole body is the data of the model's only input (the raw binary request of Triton's binary tensor data
 * extension): its size tells the one size that the signature leaves free. Of BYTES, the body is the only element. Answers
 * are binary. INVALID (400), naming what is needed, for another signature or another size; UNAVAILABLE without one.
 */
export function rawInferRequest(
  body: Uint8Array,
  signature: ModelSignature | undefined,
): InferRequest {
  if (signature === undefined)
    throw new KeelsonError('UNAVAILABLE', 'No version of the model is loaded yet.');
  const [input, ...others] = signature.inputs;
  if (input === undefined || others.length > 0) {
    const names = signature.inputs.map(({ name }) => JSON.stringify(name)).join(', ') || 'none';
    throw malformed(
      where,
      'the length of a JSON header, since 0 needs a model with one input',
      names,
    );
  }
  const { name, datatype } = input;
  const shape = datatype === 'BYTES' ? shapeOfText(input) : shapeOf(input, body.byteLength);
  const data: TensorData =
    datatype === 'BYTES' ? [new Uint8Array(body)] : tensorFromBytes(datatype, shape, body, 'body');
  return {
    id: undefined,
    parameters: {},
    inputs: [{ name, datatype, shape, data }],
    outputs: undefined,
    binaryOutputs: true,
  };
}

function shapeOf(input: TensorSpec, bytes: number): readonly number[] {
  const { name, datatype, shape, unranked } = input;
  const free = shape.filter((size) => size < 0).length;
  if (unranked === true || free > 1) {
    const needed = `the length of a JSON header, since 0 needs an input with one free size`;
    throw malformed(where, needed, `${JSON.stringify(name)} of shape [${shape}]`);
  }
  const fixed = shape.reduce((product, size) => product * Math.max(size, 1), 1);
  const rowBytes = fixed * datatypeFacts(datatype).elementBytes;
  const rows = free === 0 ? 1 : bytes / rowBytes;
  if (!Number.isInteger(rows) || rows === 0 || bytes !== rows * rowBytes) {
    const times = free === 0 ? '' : 'a multiple of ';
    const needed = `${times}${rowBytes} bytes for ${datatype} ${JSON.stringify(name)} of shape [${shape}]`;
    throw malformed('body', needed, `${bytes}`);
  }
  return shape.map((size) => (size < 0 ? rows : size));
}

function shapeOfText({ name, shape, unranked }: TensorSpec): readonly number[] {
  if (unranked !== true && shape.every((size) => size < 0 || size === 1)) return shape.map(() => 1);
  const needed = 'the length of a JSON header, since 0 needs an input of one BYTES element';
  throw malformed(where, needed, `${JSON.stringify(name)} of shape [${shape}]`);
}
