import type { Datatype, Json, JsonObject, ModelSignature, Tensor } from '@keelson/core';
import type { InferenceSession, Tensor as OnnxTensor } from 'onnxruntime-node';
import { assertDeclared, assertNames, type DeclaredTensor } from './file-signature.ts';
import { loadPeer } from './load-peer.ts';
import { ModelFault, messageOf } from './model-fault.ts';
import { modelFile, soleModelFile } from './model-files.ts';
import { outputTensor } from './output-tensor.ts';
import { assertOptions, type KnownOptions } from './runtime-options.ts';
import type { ModelRequest, TensorModel } from './tensor-model.ts';
import { asTexts } from './texts.ts';

type OnnxRuntimeNode = typeof import('onnxruntime-node');

/** What onnxruntime calls a datatype; BF16 is none that its JavaScript side takes. */
const types: Readonly<Partial<Record<Datatype, string>>> = {
  BOOL: 'bool',
  UINT8: 'uint8',
  UINT16: 'uint16',
  UINT32: 'uint32',
  UINT64: 'uint64',
  INT8: 'int8',
  INT16: 'int16',
  INT32: 'int32',
  INT64: 'int64',
  FP16: 'float16',
  FP32: 'float32',
  FP64: 'float64',
  BYTES: 'string',
};

const isCount = (value: Json): boolean => Number.isInteger(value) && (value as number) >= 0;
const isBoolean = (value: Json): boolean => typeof value === 'boolean';
const among =
  (...values: readonly string[]) =>
  (value: Json): boolean =>
    values.includes(value as string);
const isProviders = (value: Json): boolean =>
  Array.isArray(value) &&
  value.length > 0 &&
  value.every(
    (each) => typeof each === 'string' || typeof (each as JsonObject)?.['name'] === 'string',
  );

const knownOptions: KnownOptions = {
  executionProviders: [isProviders, 'a list of names such as ["cuda", "cpu"], the preferred first'],
  intraOpNumThreads: [isCount, 'a number of threads, 0 for as many as there are cores'],
  interOpNumThreads: [isCount, 'a number of threads, 0 for as many as there are cores'],
  executionMode: [among('sequential', 'parallel'), '"sequential" or "parallel"'],
  graphOptimizationLevel: [
    among('disabled', 'basic', 'extended', 'layout', 'all'),
    '"disabled", "basic", "extended", "layout" or "all"',
  ],
  enableCpuMemArena: [isBoolean, 'true or false'],
  enableMemPattern: [isBoolean, 'true or false'],
};

/**
 * Loads the `.onnx` or `.ort` file of a directory into a session of onnxruntime. One thread per session where the
 * options do not say otherwise: replicas would fight for the cores. The fact `executionProvider` is the first of
 * `executionProviders` with which the session could be made, `refusedProviders` why those before it could not.
 */
export async function loadOnnxModel(request: ModelRequest): Promise<TensorModel> {
  const { directory, signature, manifest, options } = request;
  assertOptions('onnx', options, knownOptions);
  const runtime = await loadPeer<OnnxRuntimeNode>(
    'onnxruntime-node',
    'ONNX models',
    'npm install onnxruntime-node (with ONNXRUNTIME_NODE_INSTALL=skip in the environment where its install script cannot download).',
  );
  const name = await soleModelFile(directory, manifest.file, 'model.onnx', /\.(onnx|ort)$/i);
  const path = await modelFile(directory, name);
  const { session, facts } = await openSession(runtime, path, name, options);
  try {
    assertSignature(session, signature, name);
  } catch (error) {
    await session.release();
    throw error;
  }
  return new OnnxModel(session, signature, facts);
}

async function openSession(
  runtime: OnnxRuntimeNode,
  path: string,
  file: string,
  options: Readonly<Record<string, Json>>,
): Promise<{ session: InferenceSession; facts: JsonObject }> {
  const { executionProviders = ['cpu'], ...others } = options;
  const settings = {
    intraOpNumThreads: 1,
    interOpNumThreads: 1,
    ...others,
  } as InferenceSession.SessionOptions;
  const refused: Record<string, string> = {};
  let failure: unknown;
  for (const provider of executionProviders as readonly (string | { name: string })[]) {
    const name = typeof provider === 'string' ? provider : provider.name;
    try {
      // Each alone: asked for several, onnxruntime passes over what it does not have and does not say what it took.
      const session = await runtime.InferenceSession.create(path, {
        ...settings,
        executionProviders: [provider],
      });
      const facts = {
        executionProvider: name,
        ...(Object.keys(refused).length > 0 ? { refusedProviders: refused } : {}),
      };
      return { session, facts };
    } catch (error) {
      failure = error;
      refused[name] = messageOf(error);
    }
  }
  const reasons = Object.entries(refused).map(([name, reason]) => `${name}: ${reason}`);
  throw new ModelFault(
    'FAILED',
    `Model file ${file} cannot be loaded by onnxruntime (${reasons.join('; ')}).`,
    { cause: failure },
  );
}

function assertSignature(session: InferenceSession, signature: ModelSignature, file: string): void {
  assertNames('input', signature.inputs, session.inputNames, file);
  assertNames('output', signature.outputs, session.outputNames, file);
  const assertSide = (
    side: 'input' | 'output',
    specs: ModelSignature['inputs'],
    metadata: readonly InferenceSession.ValueMetadata[],
  ): void => {
    for (const spec of specs) {
      const declared = metadata.find(({ name }) => name === spec.name);
      if (declared !== undefined)
        assertDeclared(side, spec, describe(declared), types[spec.datatype], file);
    }
  };
  assertSide('input', signature.inputs, session.inputMetadata);
  assertSide('output', signature.outputs, session.outputMetadata);
}

function describe(value: InferenceSession.ValueMetadata): DeclaredTensor {
  const { name } = value;
  if (!value.isTensor) return { name, type: 'a sequence, map or optional', shape: undefined };
  const shape = value.shape.map((size) => (typeof size === 'number' ? size : -1));
  // An open number of dimensions looks like that of a scalar.
  return { name, type: value.type, shape: shape.length === 0 ? undefined : shape };
}

class OnnxModel implements TensorModel {
  readonly facts: JsonObject;
  readonly #session: InferenceSession;
  readonly #signature: ModelSignature;
  readonly #fetches: string[];

  constructor(session: InferenceSession, signature: ModelSignature, facts: JsonObject) {
    this.facts = facts;
    this.#session = session;
    this.#signature = signature;
    this.#fetches = signature.outputs.map(({ name }) => name);
  }

  async predict(inputs: readonly Tensor[], rowCount: number): Promise<readonly Tensor[]> {
    const feeds: Record<string, OnnxTensor> = {};
    for (const input of inputs) feeds[input.name] = feedOf(input);
    const results = await this.#session.run(feeds, this.#fetches);
    return this.#signature.outputs.map((spec) => {
      const result = results[spec.name];
      const value = result && { shape: result.dims, data: elementsOf(result) };
      return outputTensor(spec, value, rowCount);
    });
  }

  async unload(): Promise<void> {
    await this.#session.release();
  }
}

/**
 * What the add-on reads of a tensor. Not the class of onnxruntime-common: that one turns the bits of FP16 into a
 * Float16Array, which the add-on refuses.
 */
function feedOf(tensor: Tensor): OnnxTensor {
  const { datatype, shape } = tensor;
  const data =
    datatype === 'BYTES'
      ? asTexts(tensor.data as readonly (string | Uint8Array)[], tensor.name)
      : tensor.data;
  return { type: types[datatype], data, dims: shape, location: 'cpu' } as unknown as OnnxTensor;
}

/** FP16 as its bits. */
function elementsOf(result: OnnxTensor): ArrayLike<unknown> {
  const { type, data } = result;
  if (type !== 'float16' || data instanceof Uint16Array) return data as ArrayLike<unknown>;
  const view = data as unknown as ArrayBufferView<ArrayBuffer>;
  return new Uint16Array(view.buffer, view.byteOffset, view.byteLength / 2);
}
