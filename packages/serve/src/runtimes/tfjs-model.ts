import type { Datatype, JsonObject, ModelSignature, Tensor } from '@keelson/core';
import type { GraphModel, LayersModel, Tensor as TfTensor } from '@tensorflow/tfjs';
import { datatypeFacts } from '../protocol/datatypes.ts';
import { assertDeclared, assertNames, type DeclaredTensor } from './file-signature.ts';
import { loadPeer } from './load-peer.ts';
import { ModelFault, messageOf } from './model-fault.ts';
import { soleModelFile } from './model-files.ts';
import { outputTensor } from './output-tensor.ts';
import { assertOptions } from './runtime-options.ts';
import type { ModelRequest, TensorModel } from './tensor-model.ts';
import { asTexts } from './texts.ts';
import { readTfjsFiles, type TfjsFiles } from './tfjs-files.ts';

type Tfjs = typeof import('@tensorflow/tfjs');
type TfType = 'float32' | 'int32' | 'bool' | 'string';

/** What TF.js computes with. Whole numbers of other widths are its int32. */
const types: Readonly<Partial<Record<Datatype, TfType>>> = {
  BOOL: 'bool',
  UINT8: 'int32',
  UINT16: 'int32',
  INT8: 'int32',
  INT16: 'int32',
  INT32: 'int32',
  INT64: 'int32',
  FP32: 'float32',
  BYTES: 'string',
};

/** By what a graph's signature calls them. */
const graphTypes: Readonly<Record<string, TfType>> = {
  DT_BOOL: 'bool',
  DT_FLOAT: 'float32',
  DT_INT32: 'int32',
  DT_INT64: 'int32',
  DT_STRING: 'string',
};

/** One model of TF.js, layers or graph, behind names. */
interface NamedModel {
  readonly inputs: readonly DeclaredTensor[];
  readonly outputs: readonly DeclaredTensor[];
  /** Answers the outputs that are asked for, in their order; the caller disposes of them. */
  run(
    inputs: readonly TfTensor[],
    names: readonly string[],
    outputs: readonly string[],
  ): readonly TfTensor[] | Promise<readonly TfTensor[]>;
  dispose(): void;
}

/**
 * Loads `model.json`, a layers model or a graph model, with the files of its weights beside it; nothing is fetched.
 * It runs on TF.js's own CPU backend.
 */
export async function loadTfjsModel(request: ModelRequest): Promise<TensorModel> {
  const { directory, signature, manifest, options } = request;
  assertOptions('tfjs', options, {});
  const tf = await loadPeer<Tfjs>(
    '@tensorflow/tfjs',
    'TensorFlow.js models',
    'npm install @tensorflow/tfjs.',
  );
  // Without this it advertises another package on the console of the process.
  tf.enableProdMode();
  const name = await soleModelFile(directory, manifest.file, 'model.json', /^model\.json$/);
  const files = await readTfjsFiles(directory, name);
  let model: NamedModel;
  try {
    model = files.isLayers ? await loadLayers(tf, files) : await loadGraph(tf, files);
  } catch (error) {
    if (error instanceof ModelFault) throw error;
    throw new ModelFault(
      'FAILED',
      `Model file ${name} cannot be loaded by TensorFlow.js: ${messageOf(error)}`,
      { cause: error },
    );
  }
  try {
    assertSignature(model, signature, name);
  } catch (error) {
    model.dispose();
    throw error;
  }
  return new TfjsModel(tf, model, signature, files.isLayers ? 'layers-model' : 'graph-model');
}

async function loadLayers(tf: Tfjs, files: TfjsFiles): Promise<NamedModel> {
  const model: LayersModel = await tf.loadLayersModel(files.handler);
  const describe = (name: string, { shape, dtype }: { shape: unknown; dtype: unknown }) => ({
    name,
    type: String(dtype),
    shape: (shape as (number | null)[]).map((size) => size ?? -1),
  });
  const { inputNames, outputNames } = model;
  return {
    inputs: model.inputs.map((input, i) => describe(inputNames[i] ?? input.name, input)),
    outputs: model.outputs.map((output, i) => describe(outputNames[i] ?? output.name, output)),
    run(inputs, names, outputs) {
      const ordered = inputNames.map((name) => inputs[names.indexOf(name)] as TfTensor);
      const first = ordered[0] as TfTensor;
      const answer = model.predictOnBatch(ordered.length === 1 ? first : ordered);
      const list = Array.isArray(answer) ? answer : [answer];
      return outputs.map((name) => list[outputNames.indexOf(name)] as TfTensor);
    },
    dispose: () => void model.dispose(),
  };
}

async function loadGraph(tf: Tfjs, files: TfjsFiles): Promise<NamedModel> {
  const model: GraphModel = await tf.loadGraphModel(files.handler);
  const declared = files.graphSignature;
  const side = (
    nodes: readonly {
      name: string;
      // Of the node's operator: several, such as Identity, say nothing.
      dtype: string | undefined;
      shape?: readonly number[] | undefined;
    }[],
    named: JsonObject | undefined,
  ): readonly DeclaredTensor[] => {
    const plain = (
      node: (typeof nodes)[number],
      name: string,
      type?: TfType | undefined,
    ): DeclaredTensor => ({
      name,
      type: node.dtype ?? type,
      shape: node.shape,
    });
    if (named === undefined) return nodes.map((node) => plain(node, node.name));
    return Object.entries(named).flatMap(([key, value]) => {
      const { name: given = key, dtype } = value as JsonObject;
      const tensor = String(given).replace(/:\d+$/, '');
      const node = nodes.find(({ name }) => name.replace(/:\d+$/, '') === tensor);
      return node === undefined ? [] : [plain(node, key, graphTypes[String(dtype)])];
    });
  };
  let mustWait = false;
  return {
    inputs: side(model.inputs, declared?.inputs),
    outputs: side(model.outputs, declared?.outputs),
    run(inputs, names, outputs) {
      const feeds = Object.fromEntries(names.map((name, i) => [name, inputs[i] as TfTensor]));
      const listOf = (answer: TfTensor | TfTensor[]): readonly TfTensor[] =>
        Array.isArray(answer) ? answer : [answer];
      if (!mustWait) {
        try {
          return listOf(model.execute(feeds, [...outputs]));
        } catch (error) {
          // Only graphs with loops or results of unknown size are to be awaited, and only a call tells which they are.
          if (!(error instanceof Error) || !error.message.includes('executeAsync')) throw error;
          mustWait = true;
        }
      }
      return model.executeAsync(feeds, [...outputs]).then(listOf);
    },
    dispose: () => model.dispose(),
  };
}

function assertSignature(model: NamedModel, signature: ModelSignature, file: string): void {
  for (const [side, specs, declared] of [
    ['input', signature.inputs, model.inputs],
    ['output', signature.outputs, model.outputs],
  ] as const) {
    const names = declared.map(({ name }) => name);
    assertNames(side, specs, names, file);
    for (const spec of specs) {
      const tensor = declared.find(({ name }) => name === spec.name) as DeclaredTensor;
      assertDeclared(side, spec, tensor, types[spec.datatype], file);
    }
  }
}

class TfjsModel implements TensorModel {
  readonly facts: JsonObject;
  readonly #tf: Tfjs;
  readonly #model: NamedModel;
  readonly #signature: ModelSignature;
  readonly #names: readonly string[];
  readonly #outputs: readonly string[];

  constructor(tf: Tfjs, model: NamedModel, signature: ModelSignature, kind: string) {
    this.facts = { model: kind, backend: tf.getBackend(), version: tf.version.tfjs };
    this.#tf = tf;
    this.#model = model;
    this.#signature = signature;
    this.#names = signature.inputs.map(({ name }) => name);
    this.#outputs = signature.outputs.map(({ name }) => name);
  }

  predict(
    inputs: readonly Tensor[],
    rowCount: number,
  ): readonly Tensor[] | Promise<readonly Tensor[]> {
    const fed: TfTensor[] = [];
    let results: readonly TfTensor[] | Promise<readonly TfTensor[]>;
    try {
      for (const input of inputs) fed.push(this.#feed(input));
      results = this.#model.run(fed, this.#names, this.#outputs);
    } catch (error) {
      for (const tensor of fed) tensor.dispose();
      throw error;
    }
    if (!(results instanceof Promise)) return this.#read(results, fed, rowCount);
    return results.then(
      (settled) => this.#read(settled, fed, rowCount),
      (error: unknown) => {
        for (const tensor of fed) tensor.dispose();
        throw error;
      },
    );
  }

  async unload(): Promise<void> {
    this.#model.dispose();
  }

  #feed(tensor: Tensor): TfTensor {
    const { datatype, name } = tensor;
    const type = types[datatype] as TfType;
    const data =
      datatype === 'BYTES'
        ? asTexts(tensor.data as readonly (string | Uint8Array)[], name)
        : type === 'int32'
          ? asInt32(tensor)
          : // A copy: TF.js keeps what it is given, and may answer with it.
            (tensor.data as Float32Array | Uint8Array).slice();
    return this.#tf.tensor(data, [...tensor.shape], type);
  }

  #read(
    results: readonly TfTensor[],
    fed: readonly TfTensor[],
    rowCount: number,
  ): readonly Tensor[] {
    try {
      return this.#signature.outputs.map((spec, i) => {
        const result = results[i] as TfTensor;
        const data = result.dataSync() as unknown as ArrayLike<unknown>;
        return outputTensor(
          spec,
          { shape: result.shape, data: widened(spec.datatype, data) },
          rowCount,
        );
      });
    } finally {
      for (const tensor of [...results, ...fed]) if (!tensor.isDisposed) tensor.dispose();
    }
  }
}

/** ModelFault (INVALID) for 64-bit integers that int32 does not hold. */
function asInt32(tensor: Tensor): Int32Array {
  if (tensor.datatype !== 'INT64') return Int32Array.from(tensor.data as Int32Array);
  const { min, max } = datatypeFacts('INT32');
  const values = tensor.data as BigInt64Array;
  const out = new Int32Array(values.length);
  for (let i = 0; i < values.length; i += 1) {
    const value = values[i] as bigint;
    if (value < min || value > max) {
      throw new ModelFault(
        'INVALID',
        `Element ${i} of input "${tensor.name}" is ${value}; TensorFlow.js computes with integers of 32 bits.`,
      );
    }
    out[i] = Number(value);
  }
  return out;
}

/** What `outputTensor` takes for the datatype: a model's int32 is any of the integers. */
function widened(datatype: Datatype, data: ArrayLike<unknown>): ArrayLike<unknown> {
  if (datatype === 'FP32' || datatype === 'INT32' || datatype === 'BYTES') return data;
  return datatype === 'BOOL' ? data : Array.from(data);
}
