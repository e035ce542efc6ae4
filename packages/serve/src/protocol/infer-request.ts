import type { Datatype, Json, Tensor } from '@keelson/core';
import { tensorFromBytes } from './binary-tensors.ts';
import { findDatatype } from './datatypes.ts';
import { describeValue } from './elements.ts';
import { readId, readJsonBody, readObject, readParameters } from './json-body.ts';
import { tensorFromJson } from './json-tensors.ts';
import { malformed } from './refusal.ts';

/** An output that a request asks for. */
export interface RequestedOutput {
  readonly name: string;
  /** Whether it is to be answered as binary tensor data; undefined leaves it to the request. */
  readonly binary: boolean | undefined;
}

/** A request of `POST …/infer`, decoded and sound in itself; not yet held against a model's signature. */
export interface InferRequest {
  readonly id: string | undefined;
  readonly parameters: Readonly<Record<string, Json>>;
  readonly inputs: readonly Tensor[];
  /** Undefined asks for all outputs. */
  readonly outputs: readonly RequestedOutput[] | undefined;
  /** Whether outputs that do not say otherwise are answered as binary tensor data. */
  readonly binaryOutputs: boolean;
}

/** Parameters that are meant for the server, and reach no model. */
const ownParameters: readonly string[] = ['at', 'binary_data_output', 'timeout'];

/** What of a request's parameters is meant for the model. */
export function modelParameters({ parameters }: InferRequest): InferRequest['parameters'] {
  if (!ownParameters.some((name) => Object.hasOwn(parameters, name))) return parameters;
  const entries = Object.entries(parameters).filter(([name]) => !ownParameters.includes(name));
  return Object.fromEntries(entries);
}

const maxRank = 32;
const maxNameLength = 1024;

/**
 * Decodes the body of an inference request: JSON with nested or flat data, or, when `headerLength`
 * (Inference-Header-Content-Length) is given, that many bytes of JSON followed by binary tensors. INVALID (400)
 * names the place and the expectation; 64-bit integers are exact.
 */
export function decodeInferRequest(body: Uint8Array, headerLength?: number): InferRequest {
  const headerBytes = headerOf(body, headerLength);
  const binary = body.subarray(headerBytes.byteLength);
  return readJsonBody(headerBytes, (value, unsafe) => readRequest(value, binary, unsafe));
}

function headerOf(body: Uint8Array, headerLength: number | undefined): Uint8Array {
  if (headerLength === undefined) return body;
  if (!Number.isSafeInteger(headerLength) || headerLength < 0 || headerLength > body.byteLength) {
    throw malformed(
      'header Inference-Header-Content-Length',
      `an integer up to the body's ${body.byteLength} bytes`,
      `${headerLength}`,
    );
  }
  return body.subarray(0, headerLength);
}

function readRequest(value: unknown, binary: Uint8Array, unsafe: 'throw' | 'fault'): InferRequest {
  const body = readObject(value, 'body');
  const parameters = readParameters(body.parameters, 'parameters');
  const inputs = readTensors(body.inputs, binary, 'inputs', unsafe);
  return {
    id: readId(body.id),
    parameters,
    inputs,
    outputs: readOutputs(body.outputs),
    binaryOutputs: parameters.binary_data_output === true,
  };
}

/**
 * A list of tensors as requests and answers have it, `binary` being the binary tensor data behind it. INVALID (400)
 * names the place below `where`.
 */
export function readTensors(
  value: unknown,
  binary: Uint8Array,
  where: 'inputs' | 'outputs',
  unsafe: 'throw' | 'fault',
): readonly Tensor[] {
  if (!Array.isArray(value) || value.length === 0) {
    throw malformed(where, 'a list of at least one tensor', describeValue(value));
  }
  let offset = 0;
  const tensors: Tensor[] = [];
  for (let i = 0; i < value.length; i += 1) {
    const path = `${where}[${i}]`;
    const fields = readObject(value[i], path);
    const name = readName(fields.name, path);
    const shape = readShape(fields.shape, path);
    const datatype = readDatatype(fields.datatype, path);
    const size = readParameters(fields.parameters, `${path}.parameters`).binary_data_size;
    if (size === undefined) {
      tensors.push({
        name,
        datatype,
        shape,
        data: tensorFromJson(datatype, shape, fields.data, path, unsafe),
      });
      continue;
    }
    const end = binaryEnd(size, offset, binary, fields.data, path);
    tensors.push({
      name,
      datatype,
      shape,
      data: tensorFromBytes(datatype, shape, binary.subarray(offset, end), path),
    });
    offset = end;
  }
  if (offset !== binary.byteLength) {
    throw malformed(
      'body',
      `${offset} bytes of binary tensor data, as binary_data_size says`,
      `${binary.byteLength}`,
    );
  }
  return tensors;
}

function binaryEnd(
  size: Json,
  offset: number,
  binary: Uint8Array,
  data: unknown,
  path: string,
): number {
  const left = binary.byteLength - offset;
  if (typeof size !== 'number' || !Number.isSafeInteger(size) || size < 0 || size > left) {
    throw malformed(
      `${path}.parameters.binary_data_size`,
      `an integer from 0 to the ${left} bytes left`,
      describeValue(size),
    );
  }
  if (data !== undefined)
    throw malformed(`${path}.data`, 'nothing beside binary_data_size', describeValue(data));
  return offset + size;
}

function readName(value: unknown, path: string): string {
  if (typeof value !== 'string' || value === '' || value.length > maxNameLength) {
    throw malformed(
      `${path}.name`,
      `a text of 1 to ${maxNameLength} characters`,
      describeValue(value),
    );
  }
  return value;
}

function readDatatype(value: unknown, path: string): Datatype {
  if (findDatatype(value) === undefined) {
    throw malformed(
      `${path}.datatype`,
      'a datatype such as "FP64", "INT64", "BOOL" or "BYTES"',
      describeValue(value),
    );
  }
  return value as Datatype;
}

function readShape(value: unknown, path: string): readonly number[] {
  if (!Array.isArray(value) || value.length > maxRank) {
    throw malformed(`${path}.shape`, `a list of at most ${maxRank} sizes`, describeValue(value));
  }
  let count = 1;
  for (const size of value) {
    if (typeof size !== 'number' || !Number.isSafeInteger(size) || size < 0) {
      throw malformed(`${path}.shape`, 'sizes that are integers from 0', describeValue(size));
    }
    count *= size;
  }
  if (!Number.isSafeInteger(count)) throw malformed(`${path}.shape`, 'fewer elements', `${count}`);
  return value;
}

function readOutputs(value: unknown): readonly RequestedOutput[] | undefined {
  if (value === undefined) return undefined;
  if (!Array.isArray(value)) throw malformed('outputs', 'a list', describeValue(value));
  if (value.length === 0) return undefined;
  const seen = new Set<string>();
  return value.map((item, i) => {
    const path = `outputs[${i}]`;
    const fields = readObject(item, path);
    const name = readName(fields.name, path);
    if (seen.has(name)) throw malformed(`${path}.name`, 'each output once', describeValue(name));
    seen.add(name);
    const parameters = readParameters(fields.parameters, `${path}.parameters`);
    const binary = parameters.binary_data;
    if (binary !== undefined && typeof binary !== 'boolean') {
      throw malformed(`${path}.parameters.binary_data`, 'true or false', describeValue(binary));
    }
    if (parameters.classification !== undefined) {
      throw malformed(
        `${path}.parameters.classification`,
        'no classification, which is not supported',
      );
    }
    return { name, binary };
  });
}
