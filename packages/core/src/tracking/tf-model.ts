import { KeelsonError } from '../errors.ts';
import { isPlainObject } from '../json.ts';
import type { ActiveRun } from './active-run.ts';
import { normaliseArtifactPath } from './artifact-path.ts';
import type { Artifacts } from './artifacts.ts';

/** One weight of a TF.js model. */
export interface TfWeightSpec {
  name: string;
  shape: number[];
  dtype: 'float32' | 'int32' | 'bool' | 'string' | 'complex64';
}

/** The part of TF.js's `io.ModelArtifacts` that is known by type; the rest goes along as it is. */
export interface TfModelArtifacts {
  modelTopology?: object;
  weightSpecs?: TfWeightSpec[];
  weightData?: ArrayBuffer | ArrayBuffer[];
  format?: string;
  generatedBy?: string;
  convertedBy?: string | null;
}

/** TF.js's `io.SaveResult`. */
export interface TfSaveResult {
  modelArtifactsInfo: {
    dateSaved: Date;
    modelTopologyType: 'JSON';
    weightDataBytes: number;
  };
}

const carried = [
  'format',
  'generatedBy',
  'convertedBy',
  'trainingConfig',
  'signature',
  'userDefinedMetadata',
  'modelInitializer',
  'initializerSignature',
] as const;

/**
 * For `model.save(tf.io.withSaveHandler(tfSaveHandler(run, 'model')))`: stores the model below `path` as
 * the artifacts `model.json` and `weights.bin`, in TF.js's own format. The weights go first and
 * `model.json`, which names them, last: whoever finds one finds both. Saved again, the newest
 * `model.json` wins and older weights stay (`weights-1.bin` are the next).
 */
export function tfSaveHandler(
  run: Pick<ActiveRun, 'logArtifact'>,
  path: string,
): (model: TfModelArtifacts) => Promise<TfSaveResult> {
  const directory = normaliseArtifactPath(path);
  return async (model) => {
    const { modelTopology, weightSpecs = [], weightData = [] } = model;
    if (!isPlainObject(modelTopology)) {
      throw new KeelsonError(
        'INVALID',
        'The model has no topology in JSON; models with a binary graph are not stored by this handler.',
      );
    }
    const buffers = [weightData].flat().map((part) => new Uint8Array(part));
    const weights = Buffer.concat(buffers);
    const stored = await run.logArtifact(`${directory}/weights.bin`, weights, { type: 'MODEL' });
    const paths = [stored.path.slice(directory.length + 1)];
    const known = model as Readonly<Record<string, unknown>>;
    const json = {
      modelTopology,
      ...Object.fromEntries(
        carried.flatMap((key) => (known[key] === undefined ? [] : [[key, known[key]]])),
      ),
      weightsManifest: [{ paths, weights: weightSpecs }],
    };
    await run.logArtifact(`${directory}/model.json`, Buffer.from(JSON.stringify(json)), {
      type: 'MODEL',
      mimeType: 'application/json',
      onConflict: 'replace',
    });
    return {
      modelArtifactsInfo: {
        dateSaved: new Date(),
        modelTopologyType: 'JSON',
        weightDataBytes: weights.byteLength,
      },
    };
  };
}

/**
 * For `tf.loadLayersModel(tfLoadHandler(tracking, runId, 'model'))`: the model that a run stored below
 * `path`. NOT_FOUND, naming the file, where there is none; INVALID where `model.json` is no TF.js model.
 */
export function tfLoadHandler(
  tracking: Pick<Artifacts, 'readArtifact'>,
  runId: string,
  path: string,
): { load(): Promise<TfModelArtifacts> } {
  const directory = normaliseArtifactPath(path);
  return {
    async load() {
      const file = `${directory}/model.json`;
      const model = parseModel(await tracking.readArtifact(runId, file), file);
      const parts: Uint8Array[] = [];
      for (const part of model.weightsManifest.flatMap((group) => group.paths)) {
        parts.push(
          await tracking.readArtifact(runId, `${directory}/${part.replace(/^(\.\/)+/, '')}`),
        );
      }
      const weights = Buffer.concat(parts);
      const { weightsManifest, ...rest } = model;
      return {
        ...rest,
        weightSpecs: weightsManifest.flatMap((group) => group.weights),
        // A copy of its own: a small Buffer shares its memory with others.
        weightData: new Uint8Array(weights).buffer,
      };
    },
  };
}

interface TfModelJson extends TfModelArtifacts {
  readonly weightsManifest: readonly {
    readonly paths: readonly string[];
    readonly weights: readonly TfWeightSpec[];
  }[];
}

function parseModel(bytes: Uint8Array, file: string): TfModelJson {
  let model: unknown;
  try {
    model = JSON.parse(Buffer.from(bytes).toString('utf8'));
  } catch (cause) {
    throw noModel(file, cause);
  }
  const manifest = isPlainObject(model) ? model['weightsManifest'] : undefined;
  const good =
    Array.isArray(manifest) &&
    manifest.every(
      (group) =>
        isPlainObject(group) &&
        Array.isArray(group['weights']) &&
        Array.isArray(group['paths']) &&
        group['paths'].every((path) => typeof path === 'string'),
    );
  if (!good) throw noModel(file);
  return model as TfModelJson;
}

function noModel(file: string, cause?: unknown): KeelsonError {
  return new KeelsonError('INVALID', `${file} is no TF.js model: it has no weightsManifest.`, {
    ...(cause === undefined ? {} : { cause }),
    details: { path: file },
  });
}
