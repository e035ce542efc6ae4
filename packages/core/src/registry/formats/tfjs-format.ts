import type { ModelFacts, ModelFiles, ModelFormatReader } from '../../contracts/model-format.ts';
import type { Json, JsonObject } from '../../json.ts';
import { readJsonParts, type Selection } from './json-parts.ts';
import { readTopology } from './keras-topology.ts';
import { damaged, refused } from './model-fault.ts';
import { siblingPath } from './model-paths.ts';
import { tensorflowType } from './tensorflow-type.ts';
import { objectIn, textIn } from './text-file.ts';
import { describeValue, signatureOf, type TypedValue } from './typed-value.ts';

/**
 * TensorFlow.js: `model.json` of layers models and graph models, whatever it is called, with its signature or what
 * follows from its layers, and the files of its weights.
 */
export const tfjsFormat: ModelFormatReader = {
  name: 'tensorflow.js',
  async detect(files) {
    return (await findModel(files)) !== undefined;
  },
  async read(files) {
    const path = await findModel(files);
    if (path === undefined) throw refused('list', 'has no TensorFlow.js model in it');
    return describe(files, path, objectIn(await readJsonParts(files, path, wanted)));
  },
};

const wanted: Selection = {
  format: true,
  generatedBy: true,
  convertedBy: true,
  signature: true,
  userDefinedMetadata: { signature: true },
  weightsManifest: true,
  modelTopology: {
    class_name: true,
    className: true,
    config: true,
    model_config: true,
    modelConfig: true,
    keras_version: true,
    backend: true,
  },
};

const maxCandidates = 256;
const head =
  /^\s*\{.*"(modelTopology"\s*:\s*\{|format"\s*:\s*"(graph|layers)-model"|weightsManifest"\s*:\s*\[)/s;

async function findModel(files: ModelFiles): Promise<string | undefined> {
  for (const { path, sizeBytes } of files.files.slice(0, maxCandidates)) {
    const bytes = await files.read(path, { start: 0, end: Math.min(4096, sizeBytes) });
    if (head.test(Buffer.from(bytes).toString('latin1'))) return path;
  }
  return undefined;
}

function describe(files: ModelFiles, path: string, model: JsonObject): ModelFacts {
  const topology = objectIn(model['modelTopology']);
  const keras = objectIn(topology['model_config'] ?? topology['modelConfig'] ?? topology);
  const isLayers = textIn(model['format']) === 'layers-model' || 'config' in keras;
  const { inputs, outputs } = isLayers ? (readTopology(keras) ?? nothing) : declared(model, path);
  const made =
    inputs.length + outputs.length === 0 ? { notes: [none(path)] } : signatureOf(inputs, outputs);
  const weights = describeWeights(files, path, model['weightsManifest']);
  const version = /v?(\d+\.\d+\.\d+[\w.-]*)/.exec(textIn(model['generatedBy']) ?? '')?.[1];
  return {
    format: 'TFJS',
    ...('signature' in made && made.signature !== undefined ? { signature: made.signature } : {}),
    framework: { name: 'tensorflow.js', ...(version === undefined ? {} : { version }) },
    details: {
      file: path,
      container: isLayers ? 'layers-model' : 'graph-model',
      ...text('generatedBy', model['generatedBy']),
      ...text('convertedBy', model['convertedBy']),
      ...text('kerasVersion', topology['keras_version']),
      inputs: inputs.map(describeValue),
      outputs: outputs.map(describeValue),
      weights: weights.details,
    },
    notes: [...made.notes, ...weights.notes],
  };
}

const nothing: { readonly inputs: readonly TypedValue[]; readonly outputs: readonly TypedValue[] } =
  {
    inputs: [],
    outputs: [],
  };

function none(path: string): string {
  return `${path} does not say what the model takes and gives; give a signature.`;
}

function text(key: string, value: Json | undefined): JsonObject {
  const found = textIn(value);
  return found === undefined ? {} : { [key]: found.slice(0, 200) };
}

/** The signature of a graph model: names, and TensorFlow's own description of each tensor. */
function declared(model: JsonObject, path: string): typeof nothing {
  const signature = objectIn(
    model['signature'] ?? objectIn(model['userDefinedMetadata'])['signature'],
  );
  const side = (value: Json | undefined) =>
    Object.entries(objectIn(value)).map(([name, info]): TypedValue => {
      const { dtype, tensorShape } = objectIn(info);
      const type =
        typeof dtype === 'string' || typeof dtype === 'number'
          ? tensorflowType(dtype)
          : { type: 'undefined' };
      const shape = shapeIn(tensorShape, path);
      return { name, ...type, ...(shape === undefined ? {} : { shape }) };
    });
  return { inputs: side(signature['inputs']), outputs: side(signature['outputs']) };
}

function shapeIn(value: Json | undefined, path: string): (number | null)[] | undefined {
  const shape = objectIn(value);
  if (value === undefined || shape['unknownRank'] === true) return undefined;
  const { dim } = shape;
  if (dim === undefined) return [];
  if (!Array.isArray(dim) || dim.length > 1024) throw damaged(path, 'has a shape that is none');
  return (dim as readonly Json[]).map((each) => {
    // Integers of 64 bits are texts in protobuf's JSON; one that is 0 is left out.
    const size = Number(objectIn(each)['size'] ?? 0);
    if (!Number.isSafeInteger(size)) throw damaged(path, 'has a shape with a size that is none');
    return size < 0 ? null : size;
  });
}

const elementBytes: Readonly<Record<string, number>> = {
  float32: 4,
  int32: 4,
  bool: 1,
  complex64: 8,
};

/** Groups of weights, each in files of which all must be there. */
function describeWeights(
  files: ModelFiles,
  path: string,
  manifest: Json | undefined,
): { readonly details: JsonObject; readonly notes: readonly string[] } {
  if (!Array.isArray(manifest))
    return { details: { files: 0 }, notes: [`${path} has no weights (weightsManifest).`] };
  const notes: string[] = [];
  let tensors = 0;
  let shards = 0;
  for (const group of (manifest as readonly Json[]).map(objectIn)) {
    const { paths, weights } = group;
    if (!Array.isArray(paths) || !Array.isArray(weights))
      throw damaged(path, 'has a group of weights without files or tensors');
    tensors += weights.length;
    shards += paths.length;
    const found = (paths as readonly Json[]).map((name) => {
      const place = typeof name === 'string' ? siblingPath(path, name) : undefined;
      return { name, file: files.files.find((file) => file.path === place) };
    });
    const missing = found.filter(({ file }) => file === undefined);
    for (const { name } of missing.slice(0, 20))
      notes.push(`The file of weights ${JSON.stringify(name)} is missing.`);
    const expected = bytesOf(weights as readonly Json[]);
    const there = found.reduce((sum, { file }) => sum + (file?.sizeBytes ?? 0), 0);
    if (missing.length === 0 && expected !== undefined && there !== expected)
      notes.push(`The weights should have ${expected} bytes, and their files have ${there}.`);
  }
  return { details: { files: shards, tensors }, notes };
}

/** How long weights are, where none of them is of texts. */
function bytesOf(weights: readonly Json[]): number | undefined {
  let total = 0;
  for (const weight of weights.map(objectIn)) {
    const { shape, dtype, quantization } = weight;
    const type = textIn(objectIn(quantization)['dtype']) ?? textIn(dtype) ?? '';
    const bytes = { ...elementBytes, uint8: 1, uint16: 2, float16: 2 }[type];
    if (bytes === undefined || !Array.isArray(shape)) return undefined;
    total += (shape as readonly number[]).reduce((product, size) => product * size, bytes);
  }
  return total;
}
