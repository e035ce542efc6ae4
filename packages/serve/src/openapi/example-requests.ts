import type { Json, ModelSignature, Tensor, TensorSpec } from '@keelson/core';
import { tensorToBytes } from '../protocol/binary-tensors.ts';
import { hasJsonForm, tensorToJson } from '../protocol/json-tensors.ts';
import { nest } from '../protocol/predict-v1.ts';
import { readManifest } from '../runtimes/model-manifest.ts';
import { declaredCall, syntheticCall } from '../runtimes/warm-up-calls.ts';
import type { ServedModel } from '../serving-source.ts';
import { fitsPredict, isTable } from './tensor-schemas.ts';

/** Requests of a version that its model answers. */
export interface ExampleRequests {
  /** Body of `infer`; undefined where a datatype has no JSON form. */
  readonly infer: Json | undefined;
  /** The same with binary tensors: the body, and the length of its JSON. */
  readonly binary: { readonly base64: string; readonly headerLength: number };
  /** Bodies of `:predict`, by their form; undefined where the signature does not fit that protocol. */
  readonly predict: { readonly instances: Json; readonly inputs: Json } | undefined;
}

/** Examples of a version: the first call that its model was warmed up with, or else one of zeros and empty texts. */
export async function exampleRequests(model: ServedModel): Promise<ExampleRequests> {
  const { signature } = model;
  const inputs = await exampleInputs(model);
  return {
    infer: inputs.every(hasJsonForm)
      ? { inputs: inputs.map((tensor) => ({ ...head(tensor), data: nested(tensor) })) }
      : undefined,
    binary: binaryBody(inputs),
    predict: fitsPredict(signature) ? predictBodies(signature, inputs) : undefined,
  };
}

async function exampleInputs({ directory, signature }: ServedModel): Promise<readonly Tensor[]> {
  const { warmUp } = await readManifest(directory, undefined);
  const [declared] = Array.isArray(warmUp) ? warmUp : [];
  const call =
    declared === undefined ? syntheticCall(signature, 1) : declaredCall(signature, declared, 0);
  return call.inputs;
}

function head({ name, shape, datatype }: Tensor): {
  name: string;
  shape: number[];
  datatype: string;
} {
  return { name, shape: [...shape], datatype };
}

function nested(tensor: Tensor): Json {
  return nest(JSON.parse(tensorToJson(tensor)) as Json[], tensor.shape);
}

function binaryBody(inputs: readonly Tensor[]): ExampleRequests['binary'] {
  const binaries = inputs.map(tensorToBytes);
  const described = inputs.map((tensor, i) => ({
    ...head(tensor),
    parameters: { binary_data_size: binaries[i]?.byteLength ?? 0 },
  }));
  const header = Buffer.from(JSON.stringify({ inputs: described }));
  const body = Buffer.concat([header, ...binaries]);
  return { base64: body.toString('base64'), headerLength: header.byteLength };
}

function predictBodies(
  { inputs: specs }: ModelSignature,
  inputs: readonly Tensor[],
): ExampleRequests['predict'] {
  const whole = inputs.map(nested) as Json[][];
  const byName = (pick: (list: Json[]) => Json): Json =>
    Object.fromEntries(specs.map(({ name }, i) => [name, pick(whole[i] ?? [])]));
  const [first] = specs;
  const asTable = specs.length === 1 && first !== undefined && isTable(first);
  const rowCount = inputs[0]?.shape[0] ?? 0;
  const instances = Array.from({ length: rowCount }, (_, row) =>
    asTable
      ? tableRow(specs, whole, row)
      : specs.length === 1
        ? (whole[0]?.[row] ?? null)
        : byName((list) => list[row] ?? null),
  );
  const only = specs.length === 1 ? whole[0] : undefined;
  return { instances: { instances }, inputs: { inputs: only ?? byName((list) => list) } };
}

function tableRow(specs: readonly TensorSpec[], whole: readonly Json[][], row: number): Json {
  return Object.fromEntries(
    specs.flatMap(({ columns = [] }, i) => {
      const values = (whole[i]?.[row] ?? []) as Json[];
      return columns.map((name, c) => [name, values[c] ?? null] as const);
    }),
  );
}
