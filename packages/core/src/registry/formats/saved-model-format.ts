import type { ModelFacts, ModelFiles, ModelFormatReader } from '../../contracts/model-format.ts';
import { isKeelsonError } from '../../errors.ts';
import type { JsonObject } from '../../json.ts';
import { FileWindow } from './file-window.ts';
import { damaged, refused } from './model-fault.ts';
import { directoryOf } from './model-paths.ts';
import { integerOf, type ProtobufField, ProtobufFile } from './protobuf.ts';
import { readSignatureEntry, type SavedSignature } from './saved-model-signature.ts';
import { describeValue, signatureOf } from './typed-value.ts';

/**
 * TensorFlow's SavedModels: what their signatures take and give, `serving_default` first, and which files are missing.
 * The graph is skipped, not read.
 */
export const savedModelFormat: ModelFormatReader = {
  name: 'tensorflow-saved-model',
  async detect(files) {
    return (await findModel(files)) !== undefined;
  },
  async read(files) {
    const path = await findModel(files);
    if (path === undefined) throw refused('list', 'has no SavedModel in it');
    return readSavedModel(files, path);
  },
};

const maxCandidates = 256;

/** By name, so that a damaged model is told of; else whatever reads like one. */
async function findModel(files: ModelFiles): Promise<string | undefined> {
  const named = files.files.find(({ path }) => /^(.*\/)?saved_model\.pb$/.test(path));
  if (named !== undefined) return named.path;
  for (const { path, sizeBytes } of files.files.slice(0, maxCandidates)) {
    if (sizeBytes > 0 && (await looksLikeModel(new FileWindow(files, path)))) return path;
  }
  return undefined;
}

async function looksLikeModel(window: FileWindow): Promise<boolean> {
  const file = new ProtobufFile(window);
  let graphs = 0;
  let version = false;
  try {
    for await (const field of file.fields()) {
      if (field.number === 1 && field.wire === 0) version = field.value >= 1 && field.value < 100;
      else if (field.number === 2 && field.wire === 2) {
        graphs += 1;
        for await (const inner of file.fields(field.start, field.end)) {
          if (inner.wire !== 2 || inner.number > 7) return false;
        }
      } else return false;
      if (!version && field.number !== 2) return false;
    }
  } catch (error) {
    if (!isKeelsonError(error)) throw error;
    return false;
  }
  return version && graphs > 0;
}

interface MetaGraph {
  readonly tags: string[];
  version: string;
  readonly signatures: SavedSignature[];
  readonly assets: string[];
}

const maxSignatures = 1_000;
const maxGraphs = 100;

async function readSavedModel(files: ModelFiles, path: string): Promise<ModelFacts> {
  const file = new ProtobufFile(new FileWindow(files, path));
  const graphs: MetaGraph[] = [];
  let schema = 0;
  for await (const field of file.fields()) {
    if (field.number === 1) schema = integerOf(field, path);
    if (field.number === 2) {
      graphs.push(await readMetaGraph(file, field));
      if (graphs.length > maxGraphs) throw refused(path, `has more than ${maxGraphs} graphs`);
    }
  }
  const graph = graphs.find(({ tags }) => tags.includes('serve')) ?? graphs[0];
  if (graph === undefined) throw damaged(path, 'is no SavedModel: it has no graph');
  const chosen = chooseSignature(graph);
  const made =
    chosen.signature === undefined
      ? { notes: [] }
      : signatureOf(chosen.signature.inputs, chosen.signature.outputs);
  const notes = [...chosen.notes, ...made.notes, ...missingFiles(files, path, graph)];
  if (graphs.length > 1)
    notes.push(
      `Of ${graphs.length} graphs, the one with the tags ${graph.tags.join(', ')} was read.`,
    );
  return {
    format: 'TENSORFLOW',
    ...('signature' in made && made.signature !== undefined ? { signature: made.signature } : {}),
    framework: { name: 'tensorflow', ...(graph.version === '' ? {} : { version: graph.version }) },
    details: {
      file: path,
      container: 'SavedModel',
      schemaVersion: schema,
      tags: graph.tags,
      signatures: graph.signatures.map(describeSignature),
      ...(graph.assets.length === 0 ? {} : { assets: graph.assets }),
    },
    notes,
  };
}

async function readMetaGraph(file: ProtobufFile, span: ProtobufField): Promise<MetaGraph> {
  const { path } = file.window;
  if (span.wire !== 2) throw damaged(path, `has no graph where one should be, at ${span.start}`);
  const graph: MetaGraph = { tags: [], version: '', signatures: [], assets: [] };
  for await (const field of file.fields(span.start, span.end)) {
    if (field.number === 1) await readMetaInfo(file, field, graph);
    else if (field.number === 5) {
      graph.signatures.push(readSignatureEntry(await file.message(field, 16 << 20), path));
      if (graph.signatures.length > maxSignatures)
        throw refused(path, `has more than ${maxSignatures} signatures`);
    } else if (field.number === 6) await readAsset(file, field, graph);
  }
  graph.signatures.sort((a, b) => (a.key < b.key ? -1 : 1));
  return graph;
}

/** MetaInfoDef; the list of operators in it may be long and is skipped. */
async function readMetaInfo(
  file: ProtobufFile,
  span: ProtobufField,
  graph: MetaGraph,
): Promise<void> {
  if (span.wire !== 2) throw damaged(file.window.path, `has no description at ${span.start}`);
  for await (const field of file.fields(span.start, span.end)) {
    if (field.number === 4 && graph.tags.length < 100)
      graph.tags.push(await file.text(field, 4096));
    if (field.number === 5) graph.version = await file.text(field, 4096);
  }
}

async function readAsset(file: ProtobufFile, span: ProtobufField, graph: MetaGraph): Promise<void> {
  const asset = await file.message(span);
  for (const field of asset.fields()) {
    if (field.number === 2 && graph.assets.length < 10_000) graph.assets.push(asset.text(field));
  }
}

/** `serving_default`; or the only one there is. TensorFlow's own begin with two underscores. */
function chooseSignature(graph: MetaGraph): {
  readonly signature?: SavedSignature;
  readonly notes: readonly string[];
} {
  const callable = graph.signatures.filter(({ key }) => !key.startsWith('__'));
  const keys = callable.map(({ key }) => key).join(', ');
  const chosen = callable.find(({ key }) => key === 'serving_default');
  if (chosen !== undefined) {
    return {
      signature: chosen,
      notes: callable.length === 1 ? [] : [`Of the signatures ${keys}, serving_default was taken.`],
    };
  }
  if (callable.length === 0)
    return { notes: ['The model was saved without a signature; give one.'] };
  const [only] = callable;
  if (callable.length === 1 && only !== undefined)
    return {
      signature: only,
      notes: [`The model has no signature serving_default; ${keys} was taken.`],
    };
  return {
    notes: [`The model has no signature serving_default, and several others: ${keys}; give one.`],
  };
}

function describeSignature({ key, method, inputs, outputs }: SavedSignature): JsonObject {
  return {
    key,
    method,
    inputs: inputs.map(describeValue),
    outputs: outputs.map(describeValue),
  };
}

/** Variables come in numbered parts that say how many there are. */
function missingFiles(files: ModelFiles, path: string, graph: MetaGraph): readonly string[] {
  const directory = directoryOf(path);
  const paths = new Set(files.files.map((file) => file.path));
  const notes = graph.assets
    .filter((asset) => !paths.has(`${directory}assets/${asset}`))
    .map((asset) => `The asset ${JSON.stringify(asset)} is missing.`);
  const parts = [...paths].flatMap((each) => {
    const found = /^variables\/variables\.data-\d{5}-of-(\d{5})$/.exec(
      each.startsWith(directory) ? each.slice(directory.length) : '',
    );
    return found === null ? [] : [Number(found[1])];
  });
  const total = parts[0] ?? 0;
  if (parts.length < total)
    notes.push(`Of ${total} files of variables, ${total - parts.length} are missing.`);
  if (total > 0 && !paths.has(`${directory}variables/variables.index`))
    notes.push('The index of the variables, variables/variables.index, is missing.');
  return notes;
}
