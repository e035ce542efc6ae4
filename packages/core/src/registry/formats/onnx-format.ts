import type { ModelFacts, ModelFiles, ModelFormatReader } from '../../contracts/model-format.ts';
import { isKeelsonError } from '../../errors.ts';
import type { JsonObject } from '../../json.ts';
import { FileWindow } from './file-window.ts';
import { damaged, refused } from './model-fault.ts';
import { siblingPath } from './model-paths.ts';
import {
  type ExternalData,
  emptyGraph,
  type OnnxGraph,
  readEntry,
  readGraph,
} from './onnx-graph.ts';
import { integerOf, type ProtobufField, ProtobufFile } from './protobuf.ts';
import { describeValue, signatureOf, type TypedValue } from './typed-value.ts';

/**
 * ONNX models, whatever their file is called: what the graph takes and gives, as onnxruntime reports it,
 * operator sets, producer, metadata. Nodes and weights are skipped, not read.
 */
export const onnxFormat: ModelFormatReader = {
  name: 'onnx',
  async detect(files) {
    return (await findModel(files)) !== undefined;
  },
  async read(files) {
    const found = await findModel(files);
    if (found === undefined) throw refused('list', 'has no ONNX model in it');
    return found.ort ? ortFacts(found.path) : onnxFacts(files, found);
  },
};

interface FoundModel {
  readonly path: string;
  readonly ort: boolean;
  readonly others: readonly string[];
}

const maxCandidates = 256;

/** By name first, so that a damaged model is told of; else whatever reads like one. */
async function findModel(files: ModelFiles): Promise<FoundModel | undefined> {
  const named = files.files.filter(({ path }) => /\.(onnx|ort)$/i.test(path));
  const candidates = (named.length > 0 ? named : files.files).slice(0, maxCandidates);
  const found: { path: string; ort: boolean }[] = [];
  for (const { path, sizeBytes } of candidates) {
    const window = new FileWindow(files, path);
    const head = await window.upTo(0, 8);
    const ort = Buffer.from(head).toString('latin1', 4, 8) === 'ORTM';
    if (ort || (sizeBytes > 0 && (await looksLikeModel(window)))) found.push({ path, ort });
  }
  const first = found.find(({ path }) => /^(.*\/)?model\.onnx$/i.test(path)) ?? found[0];
  if (first !== undefined)
    return { ...first, others: found.filter((each) => each !== first).map(({ path }) => path) };
  return named[0] === undefined ? undefined : { path: named[0].path, ort: false, others: [] };
}

/** Wire types of the fields of ModelProto. */
const modelFields: Readonly<Record<number, number>> = {
  1: 0,
  2: 2,
  3: 2,
  4: 2,
  5: 0,
  6: 2,
  7: 2,
  8: 2,
  14: 2,
  20: 2,
  25: 2,
  26: 2,
};

/** Whether a file is a ModelProto from end to end, or one that breaks off within its graph. */
async function looksLikeModel(window: FileWindow): Promise<boolean> {
  let version = false;
  let graph = false;
  let seen = 0;
  try {
    for await (const field of new ProtobufFile(window).fields()) {
      if (modelFields[field.number] !== field.wire) return false;
      if (field.number === 1) version = field.value >= 1 && field.value <= 1000;
      if (field.number === 7) graph = true;
      seen += 1;
      if (!version && seen > 100) return false;
    }
  } catch (error) {
    if (!isKeelsonError(error, 'CORRUPT')) throw error;
    return version && (graph || (await beginsGraph(window)));
  }
  return version && graph;
}

/** Whether the first field after the short ones at the beginning is a graph, whose length is not to be trusted. */
async function beginsGraph(window: FileWindow): Promise<boolean> {
  let at = 0;
  try {
    for await (const field of new ProtobufFile(window).fields()) at = field.end;
  } catch (error) {
    if (!isKeelsonError(error, 'CORRUPT')) throw error;
  }
  const graphTag = 0x3a;
  const nodeTag = 0x0a;
  const next = await window.upTo(at, 12);
  const length = next.findIndex((byte, i) => i > 0 && byte < 0x80);
  return next[0] === graphTag && length > 0 && next[length + 1] === nodeTag;
}

/** What a ModelProto says. */
interface OnnxModel {
  irVersion: number;
  readonly texts: Record<string, string>;
  modelVersion?: number;
  readonly opsets: Map<string, number>;
  readonly metadata: Map<string, string>;
  readonly graph: OnnxGraph;
  functions: number;
  training: boolean;
  graphs: number;
}

const textFields: Readonly<Record<number, string>> = {
  2: 'producerName',
  3: 'producerVersion',
  4: 'domain',
  6: 'description',
};

const maxMetadata = 1000;
const maxMetadataLength = 262_144;

async function onnxFacts(files: ModelFiles, found: FoundModel): Promise<ModelFacts> {
  const { path } = found;
  const file = new ProtobufFile(new FileWindow(files, path));
  const notes: string[] = [];
  const model = await readModel(file, notes);
  if (model.irVersion === 0 || model.graphs === 0)
    throw damaged(path, 'is no ONNX model: it has no graph, or no version of its format');
  const { graph } = model;
  const inputs = graph.inputs.filter(({ name }) => !graph.initializers.has(name));
  assertNamed(inputs, 'input', path);
  assertNamed(graph.outputs, 'output', path);
  const made = signatureOf(inputs, graph.outputs);
  if (found.others.length > 0)
    notes.push(`Only ${path} was read; there are further ONNX models: ${listed(found.others)}.`);
  const external = externalFiles(files, path, graph, notes);
  const { producerName, producerVersion } = model.texts;
  return {
    format: 'ONNX',
    ...(made.signature === undefined ? {} : { signature: made.signature }),
    ...(producerName === undefined || producerName === ''
      ? {}
      : {
          framework: {
            name: producerName,
            ...(producerVersion === undefined || producerVersion === ''
              ? {}
              : { version: producerVersion }),
          },
        }),
    details: {
      file: path,
      ...describeModel(model, inputs),
      ...(external.length === 0 ? {} : { externalData: external }),
    },
    notes: [...made.notes, ...notes],
  };
}

async function readModel(file: ProtobufFile, notes: string[]): Promise<OnnxModel> {
  const { path } = file.window;
  const model: OnnxModel = {
    irVersion: 0,
    texts: {},
    opsets: new Map(),
    metadata: new Map(),
    graph: emptyGraph(),
    functions: 0,
    training: false,
    graphs: 0,
  };
  for await (const field of file.fields()) {
    const text = textFields[field.number];
    if (text !== undefined) model.texts[text] = await file.text(field);
    else if (field.number === 1) model.irVersion = integerOf(field, path);
    else if (field.number === 5) model.modelVersion = integerOf(field, path);
    else if (field.number === 7) {
      model.graphs += 1;
      await readGraph(file, field, model.graph);
    } else if (field.number === 8) await readOpset(file, field, model.opsets);
    else if (field.number === 14) await readMetadata(file, field, model.metadata, notes);
    else if (field.number === 20) model.training = true;
    else if (field.number === 25) model.functions += 1;
  }
  return model;
}

async function readOpset(
  file: ProtobufFile,
  span: ProtobufField,
  opsets: Map<string, number>,
): Promise<void> {
  const message = await file.message(span, 4096);
  let domain = '';
  let version = 0;
  for (const field of message.fields()) {
    if (field.number === 1) domain = message.text(field);
    if (field.number === 2) version = message.integer(field);
  }
  if (opsets.size < maxMetadata) opsets.set(domain === '' ? 'ai.onnx' : domain, version);
}

async function readMetadata(
  file: ProtobufFile,
  span: ProtobufField,
  metadata: Map<string, string>,
  notes: string[],
): Promise<void> {
  const kept = [...metadata];
  const length = kept.reduce((sum, [key, value]) => sum + key.length + value.length, 0);
  if (kept.length < maxMetadata && length + span.end - span.start <= maxMetadataLength) {
    const [key, value] = await readEntry(file, span);
    metadata.set(key, value);
    return;
  }
  const note = `Not all metadata of ${file.window.path} is kept: it is longer than ${maxMetadataLength} bytes.`;
  if (!notes.includes(note)) notes.push(note);
}

function describeModel(model: OnnxModel, inputs: readonly TypedValue[]): JsonObject {
  const { graph } = model;
  const overridable = graph.inputs.length - inputs.length;
  return {
    irVersion: model.irVersion,
    opsets: Object.fromEntries(model.opsets),
    ...Object.fromEntries(Object.entries(model.texts).filter(([, text]) => text !== '')),
    ...(model.modelVersion === undefined ? {} : { modelVersion: model.modelVersion }),
    ...(graph.name === '' ? {} : { graph: graph.name }),
    inputs: inputs.map(describeValue),
    outputs: graph.outputs.map(describeValue),
    nodes: graph.nodes,
    constants: Object.fromEntries(graph.constants),
    ...(overridable === 0 ? {} : { inputsWithDefaults: overridable }),
    ...(graph.quantizationAnnotations === 0
      ? {}
      : { quantizationAnnotations: graph.quantizationAnnotations }),
    ...(model.functions === 0 ? {} : { functions: model.functions }),
    ...(model.training ? { trainingInfo: true } : {}),
    ...(model.metadata.size === 0 ? {} : { metadata: Object.fromEntries(model.metadata) }),
  };
}

/** Names of one side must tell its values apart. */
function assertNamed(values: readonly TypedValue[], word: string, path: string): void {
  const names = new Set<string>();
  for (const { name } of values) {
    if (name === '') throw damaged(path, `has an ${word} without a name`);
    if (names.has(name)) throw damaged(path, `has two ${word}s named ${JSON.stringify(name)}`);
    names.add(name);
  }
}

/** Files in which weights lie, with notes on those which are not there as the model says. */
function externalFiles(
  files: ModelFiles,
  path: string,
  graph: OnnxGraph,
  notes: string[],
): JsonObject[] {
  return [...graph.external.values()].map(({ location, reachBytes }: ExternalData) => {
    const beside = siblingPath(path, location);
    const found = files.files.find((file) => file.path === beside);
    const named = JSON.stringify(location);
    if (beside === undefined)
      notes.push(`Weights lie in ${named}, outside the model's directory; they will not be found.`);
    else if (found === undefined) notes.push(`Weights lie in ${named}, which is missing.`);
    else if (found.sizeBytes < reachBytes)
      notes.push(
        `Weights reach to byte ${reachBytes} of ${named}, which has only ${found.sizeBytes} bytes.`,
      );
    return { location, present: found !== undefined && found.sizeBytes >= reachBytes, reachBytes };
  });
}

function listed(paths: readonly string[]): string {
  const more = paths.length > 10 ? `, and ${paths.length - 10} more` : '';
  return `${paths.slice(0, 10).join(', ')}${more}`;
}

function ortFacts(path: string): ModelFacts {
  return {
    format: 'ONNX',
    framework: { name: 'onnxruntime' },
    details: { file: path, container: 'ORT' },
    notes: [
      `${path} is in onnxruntime's own format (ORT), whose inputs and outputs are not read; give a signature.`,
    ],
  };
}
