import type { ModelFacts, ModelFiles, ModelFormatReader } from '../../contracts/model-format.ts';
import type { ColumnSpec, ModelSignature, ValueSpec } from '../../contracts/model-runtime.ts';
import type { Json, JsonObject } from '../../json.ts';
import { readJsonParts, type Selection } from './json-parts.ts';
import { damaged, refused } from './model-fault.ts';
import { objectIn, textIn } from './text-file.ts';
import { readUbjParts } from './ubj-parts.ts';

/**
 * XGBoost's models in JSON and in Universal Binary JSON: features with names and types, objective, classes, version.
 * Trees are passed over.
 */
export const xgboostFormat: ModelFormatReader = {
  name: 'xgboost',
  async detect(files) {
    return (await findModel(files)) !== undefined;
  },
  async read(files) {
    const found = await findModel(files);
    if (found === undefined) throw refused('list', 'has no XGBoost model in it');
    if (found.kind === 'binary') return binaryFacts(found.path);
    const read = found.kind === 'json' ? readJsonParts : readUbjParts;
    return describe(found.path, found.kind, objectIn(await read(files, found.path, wanted)));
  },
};

const wanted: Selection = {
  learner: {
    attributes: true,
    feature_names: true,
    feature_types: true,
    learner_model_param: true,
    objective: true,
    gradient_booster: {
      name: true,
      model: { gbtree_model_param: true },
      gbtree: { model: { gbtree_model_param: true } },
    },
  },
  version: true,
};

interface FoundModel {
  readonly path: string;
  readonly kind: 'json' | 'ubj' | 'binary';
}

const maxCandidates = 256;
const jsonHead = /^\s*\{\s*("version"\s*:\s*\[[\d,\s]*\]\s*,\s*)?"learner"\s*:\s*\{/;
/** A key of UBJ is a length of 7, of any width, and its letters. */
const ubjHead = /^\{[LlIiU].{1,8}(learner\{|version\[)/s;

async function findModel(files: ModelFiles): Promise<FoundModel | undefined> {
  for (const { path, sizeBytes } of files.files.slice(0, maxCandidates)) {
    const bytes = await files.read(path, { start: 0, end: Math.min(256, sizeBytes) });
    const head = Buffer.from(bytes).toString('latin1');
    if (jsonHead.test(head)) return { path, kind: 'json' };
    if (ubjHead.test(head)) return { path, kind: 'ubj' };
    if (head.startsWith('binf') || head.startsWith('bs64')) return { path, kind: 'binary' };
  }
  return undefined;
}

function describe(path: string, kind: string, model: JsonObject): ModelFacts {
  const learner = objectIn(model['learner']);
  const param = objectIn(learner['learner_model_param']);
  const features = countIn(param['num_feature'], path);
  if (features === undefined)
    throw damaged(path, 'is no XGBoost model: it does not say how many features it has');
  const classes = countIn(param['num_class'], path) ?? 0;
  const targets = countIn(param['num_target'], path) ?? 1;
  const names = textsIn(learner['feature_names'], features, path);
  const types = textsIn(learner['feature_types'], features, path);
  const objective = textIn(objectIn(learner['objective'])['name']);
  const notes: string[] = [];
  const signature = signatureFor({ features, names, types, objective, classes, targets }, notes);
  const version = versionIn(model['version']);
  const booster = objectIn(learner['gradient_booster']);
  const trees = objectIn(
    objectIn(objectIn(booster['gbtree'])['model'] ?? booster['model'])['gbtree_model_param'],
  );
  return {
    format: 'XGBOOST',
    ...(signature === undefined ? {} : { signature }),
    framework: { name: 'xgboost', ...(version === undefined ? {} : { version }) },
    details: {
      file: path,
      container: kind.toUpperCase(),
      features,
      ...(names.length === 0 ? {} : { featureNames: names }),
      ...(types.length === 0 ? {} : { featureTypes: types }),
      ...(objective === undefined ? {} : { objective }),
      ...(classes === 0 ? {} : { classes }),
      ...(targets === 1 ? {} : { targets }),
      ...pick('booster', booster['name']),
      ...pick('trees', countIn(trees['num_trees'], path)),
      ...pick('baseScore', param['base_score']),
      ...pick('attributes', attributesIn(learner['attributes'])),
    },
    notes,
  };
}

interface Learner {
  readonly features: number;
  readonly names: readonly string[];
  readonly types: readonly string[];
  readonly objective: string | undefined;
  readonly classes: number;
  readonly targets: number;
}

const maxColumns = 20_000;

/** Features are columns; what `Booster.predict` gives for them follows from the objective. */
function signatureFor(learner: Learner, notes: string[]): ModelSignature | undefined {
  const { features, names, types } = learner;
  if (features > maxColumns) {
    notes.push(
      `The model has ${features} features, more than the ${maxColumns} columns that a signature may have.`,
    );
    return undefined;
  }
  const inputColumns = Array.from({ length: features }, (_, i): ColumnSpec => {
    const name = names[i];
    return { ...(name === undefined ? {} : { name }), ...featureType(types[i]), required: true };
  });
  const width = outputWidth(learner);
  if (width === undefined || width > maxColumns) {
    notes.push(
      `What the model gives does not follow from its objective, ${learner.objective ?? 'which is not said'}.`,
    );
    return { inputs: [], outputs: [], inputColumns };
  }
  const score: ColumnSpec = { type: 'number', datatype: 'FP32', required: true };
  notes.push(
    'The outputs are those of Booster.predict; classifiers of its scikit-learn interface give labels.',
  );
  return { inputs: [], outputs: [], inputColumns, outputColumns: new Array(width).fill(score) };
}

/** Types of features as XGBoost writes them: quantities, whole numbers, indicators, categories. */
function featureType(type: string | undefined): ValueSpec {
  switch (type) {
    case 'int':
      return { type: 'integer' };
    case 'i':
      return { type: 'boolean' };
    case 'c':
      return { type: 'any' };
    default:
      return { type: 'number', datatype: 'FP32' };
  }
}

function outputWidth({ objective, classes, targets }: Learner): number | undefined {
  if (objective === 'multi:softprob') return Math.max(1, classes);
  if (objective === 'multi:softmax') return 1;
  const known = /^(reg|binary|count|survival|rank):/.test(objective ?? '');
  return known ? Math.max(1, targets) : undefined;
}

/** XGBoost writes numbers as texts. */
function countIn(value: Json | undefined, path: string): number | undefined {
  if (value === undefined) return undefined;
  const count = typeof value === 'string' && value !== '' ? Number(value) : value;
  if (typeof count === 'number' && Number.isSafeInteger(count) && count >= 0) return count;
  throw damaged(
    path,
    `has ${JSON.stringify(value).slice(0, 40)} where a number of things should be`,
  );
}

/** Texts for each feature, or none. */
function textsIn(value: Json | undefined, features: number, path: string): readonly string[] {
  if (!Array.isArray(value) || value.length === 0) return [];
  if (value.length !== features || value.some((each) => typeof each !== 'string'))
    throw damaged(path, `has names or types for ${value.length} features where it has ${features}`);
  return value as readonly string[];
}

function versionIn(value: Json | undefined): string | undefined {
  const numbers = Array.isArray(value) && value.every((part) => typeof part === 'number');
  return numbers && (value as readonly Json[]).length > 0
    ? (value as readonly Json[]).join('.')
    : undefined;
}

const maxAttributesLength = 65_536;

/** Short ones, such as the best iteration. */
function attributesIn(value: Json | undefined): JsonObject | undefined {
  const attributes = objectIn(value);
  const length = JSON.stringify(attributes).length;
  return length > 2 && length <= maxAttributesLength ? attributes : undefined;
}

function pick(key: string, value: Json | undefined): JsonObject {
  return value === undefined || value === '' ? {} : { [key]: value };
}

function binaryFacts(path: string): ModelFacts {
  return {
    format: 'XGBOOST',
    framework: { name: 'xgboost' },
    details: { file: path, container: 'BINARY' },
    notes: [
      `${path} is in XGBoost's old binary format, which is not read; save the model as JSON or UBJ.`,
    ],
  };
}
