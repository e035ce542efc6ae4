import { KeelsonError, type ModelSignature, type Tensor, type TensorSpec } from '@keelson/core';
import { datatypeFacts } from './datatypes.ts';
import { describeValue, type ElementFault, fillElements, flattenNested } from './elements.ts';
import type { InferRequest } from './infer-request.ts';
import { type Fields, readId, readJsonBody, readObject, readParameters } from './json-body.ts';
import { elementTexts } from './json-tensors.ts';
import { malformed } from './refusal.ts';

/** A request of `POST …:predict`, as tensors, with the form in which it wants its answer. */
export interface PredictRequest extends InferRequest {
  readonly form: 'instances' | 'inputs';
}

type Unsafe = 'throw' | 'fault';

/**
 * Decodes TensorFlow Serving's predict request by the signature: `instances` (a list of rows, each a value, a list,
 * or an object by input name, or by column name for the columns of a table) or `inputs` (an object of whole inputs, or
 * the only one itself). `id` and `parameters` are taken as in v2. INVALID (400) names the place.
 */
export function decodePredictRequest(
  body: Uint8Array,
  signature: ModelSignature | undefined,
): PredictRequest {
  if (signature === undefined)
    throw new KeelsonError('UNAVAILABLE', 'The deployment is not ready.');
  return readJsonBody(body, (value, unsafe) => readPredict(value, signature, unsafe));
}

function readPredict(value: unknown, signature: ModelSignature, unsafe: Unsafe): PredictRequest {
  const body = readObject(value, 'body');
  const { instances, inputs } = body;
  const half = findHalf(signature);
  if (half !== undefined) {
    throw malformed(
      'body',
      `POST /v2/models/{name}/infer with binary tensors, because ${half.datatype} of ${JSON.stringify(half.name)} has no JSON form`,
    );
  }
  if ((instances === undefined) === (inputs === undefined)) {
    throw malformed(
      'body',
      'either "instances" or "inputs"',
      instances === undefined ? 'neither' : 'both',
    );
  }
  const form = instances === undefined ? 'inputs' : 'instances';
  const tensors =
    form === 'inputs'
      ? signature.inputs.map((spec) =>
          wholeTensor(spec, pickInput(inputs, spec, signature), `inputs.${spec.name}`, unsafe),
        )
      : rowTensors(instances, signature, unsafe);
  const parameters = readParameters(body.parameters, 'parameters');
  return {
    id: readId(body.id),
    parameters,
    inputs: tensors,
    outputs: undefined,
    binaryOutputs: false,
    form,
  };
}

/** The answer in the form of its request: `predictions` row by row, or `outputs`; the only output loses its name. */
export function encodePredictAnswer(
  request: InferRequest & { readonly form?: 'instances' | 'inputs' },
  signature: ModelSignature,
  outputs: readonly Tensor[],
): string {
  const lists = outputs.map((tensor) => nest(elementTexts(tensor), tensor.shape));
  const byName = (pick: (list: Nested<string>) => Nested<string> | undefined): string =>
    `{${signature.outputs.map(({ name }, i) => `${JSON.stringify(name)}:${textOf(pick(lists[i] ?? []))}`).join(',')}}`;
  const only = outputs.length === 1 ? lists[0] : undefined;
  if (request.form === 'inputs')
    return `{"outputs":${only === undefined ? byName((list) => list) : textOf(only)}}`;
  const rowCount = Math.max(0, ...outputs.map(({ shape }) => shape[0] ?? 0));
  const predictions = Array.from({ length: rowCount }, (_, row) =>
    only === undefined ? byName((list) => rowOf(list, row)) : textOf(rowOf(only, row)),
  );
  return `{"predictions":[${predictions.join(',')}]}`;
}

function rowOf(list: Nested<string>, row: number): Nested<string> | undefined {
  return typeof list === 'string' ? list : list[row];
}

function textOf(nested: Nested<string> | undefined): string {
  if (nested === undefined) return 'null';
  return typeof nested === 'string' ? nested : `[${nested.map(textOf).join(',')}]`;
}

/** An element of BYTES: a text, or `{ "b64": … }` for bytes that need not be one. */
function bytesOf(value: unknown, index: number, fault: ElementFault): unknown {
  if (!isObject(value)) return value;
  const { b64 } = value;
  if (typeof b64 !== 'string' || !base64.test(b64) || b64.length % 4 === 1)
    return fault(index, value, 'a text, or an object with base64 as its "b64"');
  return new Uint8Array(Buffer.from(b64, 'base64'));
}

const base64 = /^[A-Za-z0-9+/]*={0,2}$/;

function findHalf({ inputs, outputs }: ModelSignature): TensorSpec | undefined {
  return [...inputs, ...outputs].find(({ datatype }) => datatypeFacts(datatype).kind === 'half');
}

function pickInput(inputs: unknown, spec: TensorSpec, signature: ModelSignature): unknown {
  if (isObject(inputs)) return Object.hasOwn(inputs, spec.name) ? inputs[spec.name] : undefined;
  return signature.inputs.length === 1 ? inputs : undefined;
}

function wholeTensor(spec: TensorSpec, value: unknown, path: string, unsafe: Unsafe): Tensor {
  if (!Array.isArray(value))
    throw malformed(path, `a list for the shape [${spec.shape}]`, describeValue(value));
  const shape: number[] = [];
  for (
    let inner: unknown = value;
    Array.isArray(inner) && shape.length < spec.shape.length;
    inner = inner[0]
  ) {
    shape.push(inner.length);
  }
  while (shape.length < spec.shape.length)
    shape.push(spec.shape[shape.length] === -1 ? 0 : (spec.shape[shape.length] ?? 0));
  const flat =
    value.length === 0
      ? []
      : flattenNested(value, shape, (place, found, expectation) => {
          throw malformed(`${path}${place}`, expectation, describeValue(found));
        });
  const fault = (i: number, found: unknown, expectation: string): never => {
    throw malformed(`${path} (element ${i})`, expectation, describeValue(found));
  };
  const values =
    spec.datatype === 'BYTES' ? flat.map((value, i) => bytesOf(value, i, fault)) : flat;
  const data = fillElements(spec.datatype, values, 'json', fault, unsafe);
  return { name: spec.name, datatype: spec.datatype, shape, data };
}

function rowTensors(
  instances: unknown,
  signature: ModelSignature,
  unsafe: Unsafe,
): readonly Tensor[] {
  if (!Array.isArray(instances))
    throw malformed('instances', 'a list of rows', describeValue(instances));
  return signature.inputs.map((spec) => {
    const rows = instances.map((instance, row) =>
      pickRow(instance, spec, signature, `instances[${row}]`),
    );
    return wholeTensor(spec, rows, `instances → ${spec.name}`, unsafe);
  });
}

function pickRow(
  instance: unknown,
  spec: TensorSpec,
  signature: ModelSignature,
  path: string,
): unknown {
  // The object that stands for bytes is the value itself, as in TensorFlow Serving.
  const isValue =
    isObject(instance) && spec.datatype === 'BYTES' && Object.keys(instance).join() === 'b64';
  if (!isObject(instance) || (isValue && spec.name !== 'b64')) {
    if (signature.inputs.length === 1) return instance;
    throw malformed(path, 'an object with a value for each input', describeValue(instance));
  }
  if (Object.hasOwn(instance, spec.name)) return instance[spec.name];
  if (spec.columns === undefined) throw malformed(`${path}.${spec.name}`, 'a value', 'none');
  return spec.columns.map((column) => {
    if (!Object.hasOwn(instance, column)) throw malformed(`${path}.${column}`, 'a value', 'none');
    return instance[column];
  });
}

function isObject(value: unknown): value is Fields {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** Lists of lists. */
export type Nested<T> = T | Nested<T>[];

/** The nested lists of a flat one, as the shape says. */
export function nest<T>(flat: readonly T[], shape: readonly number[]): Nested<T>[] {
  let list: Nested<T>[] = [...flat];
  for (let d = shape.length - 1; d > 0; d -= 1) {
    const size = shape[d] as number;
    const rows = shape.slice(0, d).reduce((product, n) => product * n, 1);
    const inner = list;
    list = Array.from({ length: rows }, (_, i) => inner.slice(i * size, (i + 1) * size));
  }
  return list;
}
