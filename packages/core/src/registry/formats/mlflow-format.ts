import type {
  ModelFacts,
  ModelFiles,
  ModelFormat,
  ModelFormatReader,
} from '../../contracts/model-format.ts';
import type { Json, JsonObject } from '../../json.ts';
import { readMlflowSignature } from './mlflow-signature.ts';
import { damaged, refused } from './model-fault.ts';
import { directoryOf, siblingPath } from './model-paths.ts';
import { objectIn, readText, textIn } from './text-file.ts';
import { parseYaml } from './yaml-text.ts';

const maxFileBytes = 4 << 20;
const maxFlavourBytes = 65_536;

/**
 * MLflow's model directories, by their file MLmodel: flavours, signature as columns or tensors, versions, the run. What
 * the flavour's own files tell, by the first of `inner` that knows them, is among the details, and their signature
 * stands in where MLmodel has none.
 */
export function mlflowFormat(inner: readonly ModelFormatReader[]): ModelFormatReader {
  return {
    name: 'mlflow',
    async detect(files) {
      return findMlmodel(files) !== undefined;
    },
    async read(files) {
      const path = findMlmodel(files);
      if (path === undefined) throw refused('list', 'has no file MLmodel in it');
      const model = objectIn(parseYaml(await readText(files, path, maxFileBytes), path));
      const flavours = objectIn(model['flavors']);
      if (Object.keys(flavours).length === 0)
        throw damaged(path, 'is no description of an MLflow model: it has no flavors');
      return describe(path, model, flavours, await readContent(files, path, flavours, inner));
    },
  };
}

/** The topmost one: others belong to models within the model. */
function findMlmodel(files: ModelFiles): string | undefined {
  const depth = (path: string): number => path.split('/').length;
  return files.files
    .map(({ path }) => path)
    .filter((path) => /^(.*\/)?MLmodel$/.test(path))
    .toSorted((a, b) => depth(a) - depth(b) || (a < b ? -1 : 1))[0];
}

interface Flavour {
  readonly format: ModelFormat;
  /** The key of the flavour that says which version it was made with. */
  readonly version?: string;
}

/** Of several, the first of these is what the model is; python_function stands beside most. */
const flavourFormats: Readonly<Record<string, Flavour>> = {
  onnx: { format: 'ONNX', version: 'onnx_version' },
  tensorflow: { format: 'TENSORFLOW', version: 'tensorflow_version' },
  keras: { format: 'TENSORFLOW', version: 'keras_version' },
  pytorch: { format: 'PYTORCH', version: 'pytorch_version' },
  xgboost: { format: 'XGBOOST', version: 'xgb_version' },
  sklearn: { format: 'SKLEARN', version: 'sklearn_version' },
};

/** The format, and the flavour that says so. */
function formatOf(flavours: JsonObject): { readonly name: string; readonly format: ModelFormat } {
  for (const [name, { format }] of Object.entries(flavourFormats)) {
    if (Object.hasOwn(flavours, name)) return { name, format };
  }
  const name = Object.keys(flavours).find((each) => each !== 'python_function');
  if (name !== undefined) return { name, format: 'CUSTOM' };
  const pickled = textIn(objectIn(flavours['python_function'])['python_model']) !== undefined;
  return { name: 'python_function', format: pickled ? 'PICKLE' : 'CUSTOM' };
}

function describe(
  path: string,
  model: JsonObject,
  flavours: JsonObject,
  content: ModelFacts | undefined,
): ModelFacts {
  const { name, format } = formatOf(flavours);
  const { signature, params, notes } = readMlflowSignature(model['signature'] ?? undefined, path);
  const flavour = objectIn(flavours[name]);
  const key = flavourFormats[name]?.version;
  const version = key === undefined ? undefined : textIn(flavour[key]);
  const all = [...notes];
  if (signature === undefined && content?.signature !== undefined)
    all.push("The signature is that of the model's own file.");
  const chosen = signature ?? content?.signature;
  return {
    format,
    ...(chosen === undefined ? {} : { signature: chosen }),
    framework: {
      name: name === 'python_function' ? 'mlflow' : name,
      ...(version === undefined ? {} : { version }),
    },
    details: {
      file: path,
      flavours: briefly(flavours),
      ...pick(model, 'mlflow_version', 'mlflowVersion'),
      ...pick(model, 'model_uuid', 'modelUuid'),
      ...pick(model, 'model_id', 'modelId'),
      ...pick(model, 'run_id', 'runId'),
      ...pick(model, 'artifact_path', 'artifactPath'),
      ...pick(model, 'utc_time_created', 'createdAtText'),
      ...(params === undefined ? {} : { params }),
      ...(content === undefined ? {} : { content: { format: content.format, ...content.details } }),
    },
    notes: [...all, ...(content?.notes ?? [])],
  };
}

function pick(model: JsonObject, from: string, to: string): JsonObject {
  const value = textIn(model[from]);
  return value === undefined ? {} : { [to]: value };
}

/** Flavours as they are, or their names alone where they are long. */
function briefly(flavours: JsonObject): Json {
  return JSON.stringify(flavours).length <= maxFlavourBytes ? flavours : Object.keys(flavours);
}

/** What the files that the flavours name tell. */
async function readContent(
  files: ModelFiles,
  path: string,
  flavours: JsonObject,
  inner: readonly ModelFormatReader[],
): Promise<ModelFacts | undefined> {
  const named = Object.values(flavours).flatMap((flavour) =>
    ['data', 'model_data', 'pickled_model', 'python_model'].flatMap((key) => {
      const name = textIn(objectIn(flavour)[key]);
      const place = name === undefined ? undefined : siblingPath(path, name);
      return place === undefined ? [] : [place];
    }),
  );
  const directory = directoryOf(path);
  const content: ModelFiles = {
    files: files.files.filter(
      (file) =>
        file.path.startsWith(directory) &&
        named.some((place) => file.path === place || file.path.startsWith(`${place}/`)),
    ),
    read: (file, range) => files.read(file, range),
  };
  for (const reader of inner) {
    if (content.files.length > 0 && (await reader.detect(content))) return reader.read(content);
  }
  return undefined;
}
