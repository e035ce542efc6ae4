import { KeelsonError } from '@keelson/core';
import { createRestCalls } from './rest-calls.ts';
import {
  integerIn,
  type MlflowSource,
  pointsAtOnce,
  pythonNumber,
  type SourceContext,
  type SourceFile,
  type SourceLoggedModel,
  type SourceModel,
  type SourceRun,
  type SourceStatus,
  type SourceVersion,
  type Texts,
} from './source.ts';

// biome-ignore lint/suspicious/noExplicitAny: JSON of a foreign protocol; each field is looked at where it is read
type Wire = any;

const api = '/api/2.0/mlflow';
const deepest = 64;

/**
 * A running MLflow server, read by its REST protocol. UNAVAILABLE where nothing answers, INVALID for what is no MLflow
 * server.
 */
export async function openRestSource(
  address: string,
  headers: Readonly<Record<string, string>>,
  { notes, signal }: SourceContext,
): Promise<MlflowSource> {
  const calls = createRestCalls(address, headers, signal);
  const { label } = calls;
  const first = await calls.json('POST', `${api}/experiments/search`, { max_results: 1 });
  if (first === undefined) {
    throw new KeelsonError(
      'INVALID',
      `There is no MLflow server at ${label}: it knows no ${api}/experiments/search. Give the address that MLFLOW_TRACKING_URI has.`,
    );
  }

  /** What is on all pages of a search. */
  async function* pages(
    method: 'GET' | 'POST',
    path: string,
    of: string,
    fields: Readonly<Record<string, string | number | readonly string[]>>,
  ): AsyncGenerator<Wire, void, undefined> {
    let token = '';
    do {
      const page: Wire = await calls.json(method, `${api}/${path}`, {
        ...fields,
        ...(token === '' ? {} : { page_token: token }),
      });
      // Servers of older versions do not know the call.
      if (page === undefined) return;
      yield* listOf(page[of]);
      const next = String(page.next_page_token ?? '');
      if (next === token) return;
      token = next;
    } while (token !== '');
  }

  /** Files below a path, directory by directory. */
  async function* walk(
    owner: {
      readonly what: string;
      list(path: string): Promise<Wire>;
      open(path: string): SourceFile['open'];
    },
    path = '',
    depth = 0,
  ): AsyncGenerator<SourceFile, void, undefined> {
    const answer = await owner.list(path);
    for (const file of listOf(answer?.files)) {
      const at = String(file.path ?? '');
      const isBelow = path === '' ? at !== '' : at.startsWith(`${path}/`);
      if (!isBelow || at.split('/').includes('..') || depth > deepest) {
        notes.skip(
          `${JSON.stringify(at.slice(0, 200))} of ${owner.what}`,
          'its path leads elsewhere',
        );
      } else if (file.is_dir === true) {
        yield* walk(owner, at, depth + 1);
      } else {
        yield { path: at, sizeBytes: integerIn(file.file_size), open: owner.open(at) };
      }
    }
  }

  /** Below the first of the addresses that has it. */
  function opening(
    ...addresses: readonly (readonly [string, Readonly<Record<string, string>>])[]
  ): SourceFile['open'] {
    return async () => {
      for (const [path, fields] of addresses) {
        const bytes = await calls.bytes(path, fields);
        if (bytes !== undefined) return bytes;
      }
      throw new KeelsonError('NOT_FOUND', `${label} lists the file, and does not have it.`);
    };
  }

  return {
    label,

    async *experiments() {
      const fields = { max_results: 1_000, view_type: 'ALL' };
      for await (const each of pages('POST', 'experiments/search', 'experiments', fields)) {
        yield {
          id: String(each.experiment_id),
          name: String(each.name),
          lifecycle: each.lifecycle_stage === 'deleted' ? 'deleted' : 'active',
          tags: textsOf(each.tags),
          createdAt: integerIn(each.creation_time),
        };
      }
    },

    async *runs({ id }) {
      const fields = {
        ...{ experiment_ids: [id], run_view_type: 'ALL', max_results: 200 },
        order_by: ['attributes.start_time ASC'],
      };
      for await (const each of pages('POST', 'runs/search', 'runs', fields)) yield runOf(each);
    },

    async *loggedModels({ id }) {
      const fields = { experiment_ids: [id], max_results: 50 };
      for await (const each of pages('POST', 'logged-models/search', 'models', fields)) {
        yield loggedModelOf(each);
      }
    },

    async *points(_experiment, run, key) {
      const fields = { run_id: run, run_uuid: run, metric_key: key, max_results: pointsAtOnce };
      let some = [];
      for await (const each of pages('GET', 'metrics/get-history', 'metrics', fields)) {
        some.push(pointOf(each));
        if (some.length < pointsAtOnce) continue;
        yield some;
        some = [];
      }
      if (some.length > 0) yield some;
    },

    async *files({ kind, id, experimentId }) {
      const name = encodeURIComponent(id);
      if (kind === 'run') {
        yield* walk({
          what: `run ${id}`,
          list: (path) =>
            calls.json('GET', `${api}/artifacts/list`, {
              run_id: id,
              ...(path === '' ? {} : { path }),
            }),
          open: (path) => opening(['/get-artifact', { run_id: id, run_uuid: id, path }]),
        });
        return;
      }
      yield* walk({
        what: `logged model ${id}`,
        list: (path) =>
          calls.json('GET', `${api}/logged-models/${name}/artifacts/directories`, {
            ...(path === '' ? {} : { artifact_directory_path: path }),
          }),
        open: (path) =>
          opening(
            [
              `/ajax-api/2.0/mlflow/logged-models/${name}/artifacts/files`,
              { artifact_file_path: path },
            ],
            [
              `/api/2.0/mlflow-artifacts/artifacts/${experimentId}/models/${id}/artifacts/${encoded(path)}`,
              {},
            ],
          ),
      });
    },

    async *models() {
      const fields = { max_results: 100 };
      for await (const each of pages(
        'GET',
        'registered-models/search',
        'registered_models',
        fields,
      )) {
        const name = String(each.name);
        // The search leaves aliases and tags out in some versions.
        const whole: Wire = await calls.json('GET', `${api}/registered-models/get`, { name });
        const versions: SourceVersion[] = [];
        const search = { filter: `name='${name.replaceAll("'", "\\'")}'`, max_results: 1_000 };
        for await (const one of pages('GET', 'model-versions/search', 'model_versions', search)) {
          versions.push(versionOf(one));
        }
        yield modelOf(whole?.registered_model ?? each, versions);
      }
    },
  };
}

function runOf(wire: Wire): SourceRun {
  const { info = {}, data = {}, inputs = {}, outputs = {} } = wire;
  const tags = textsOf(data.tags);
  return {
    ...{ id: String(info.run_id ?? info.run_uuid), tags },
    name: textOf(info.run_name) ?? tags['mlflow.runName'],
    user: textOf(info.user_id),
    status: String(info.status ?? 'FAILED') as SourceStatus,
    startedAt: integerIn(info.start_time),
    endedAt: integerIn(info.end_time),
    lifecycle: info.lifecycle_stage === 'deleted' ? 'deleted' : 'active',
    artifactUri: textOf(info.artifact_uri),
    params: textsOf(data.params),
    metricKeys: listOf(data.metrics).map(({ key }) => String(key)),
    datasets: listOf(inputs.dataset_inputs).map(({ dataset = {}, tags: of }) => ({
      name: String(dataset.name ?? ''),
      digest: String(dataset.digest ?? ''),
      source_type: String(dataset.source_type ?? ''),
      source: String(dataset.source ?? ''),
      schema: textOf(dataset.schema),
      profile: textOf(dataset.profile),
      tags: textsOf(of),
    })),
    inputModels: listOf(inputs.model_inputs).map((each) => String(each.model_id)),
    outputModels: listOf(outputs.model_outputs).map((each) => ({
      modelId: String(each.model_id),
      step: integerIn(each.step) ?? 0,
    })),
  };
}

function loggedModelOf({ info = {}, data = {} }: Wire): SourceLoggedModel {
  const status = String(info.status ?? '').replace('LOGGED_MODEL_', '');
  return {
    ...{ id: String(info.model_id), name: String(info.name), modelType: textOf(info.model_type) },
    status: status === 'UPLOAD_FAILED' ? 'FAILED' : status === 'PENDING' ? 'PENDING' : 'READY',
    runId: textOf(info.source_run_id),
    artifactUri: textOf(info.artifact_uri),
    params: textsOf(data.params),
    tags: textsOf(info.tags),
    metrics: listOf(data.metrics).map((each) => ({
      ...{ key: String(each.key), ...pointOf(each), runId: textOf(each.run_id) },
      ...{ datasetName: textOf(each.dataset_name), datasetDigest: textOf(each.dataset_digest) },
    })),
  };
}

function modelOf(wire: Wire, versions: readonly SourceVersion[]): SourceModel {
  return {
    ...{ name: String(wire.name), description: textOf(wire.description), tags: textsOf(wire.tags) },
    aliases: Object.fromEntries(
      listOf(wire.aliases).map(({ alias, version }) => [String(alias), String(version)]),
    ),
    versions: versions.toSorted((a, b) => a.number - b.number),
  };
}

function versionOf(wire: Wire): SourceVersion {
  return {
    number: integerIn(wire.version) ?? 0,
    source: String(wire.source ?? ''),
    storage: undefined,
    stage: String(wire.current_stage ?? 'None'),
    description: textOf(wire.description),
    runId: textOf(wire.run_id),
    runLink: textOf(wire.run_link),
    modelId: textOf(wire.model_id),
    createdAt: integerIn(wire.creation_timestamp),
    tags: textsOf(wire.tags),
  };
}

function pointOf(wire: Wire): { value: number; step: number; timestamp: number } {
  const { value = 0, step, timestamp } = wire;
  return {
    value:
      typeof value === 'number' ? unbounded(value) : (pythonNumber(String(value)) ?? Number.NaN),
    step: integerIn(step) ?? 0,
    timestamp: integerIn(timestamp) ?? 0,
  };
}

/** MLflow's SQL store keeps infinities as the greatest number there is. */
function unbounded(value: number): number {
  return Math.abs(value) === Number.MAX_VALUE ? value * 2 : value;
}

function encoded(path: string): string {
  return path.split('/').map(encodeURIComponent).join('/');
}

function textsOf(pairs: unknown): Texts {
  return Object.fromEntries(
    listOf(pairs).map(({ key, value }) => [String(key), String(value ?? '')]),
  );
}

function listOf(value: unknown): readonly Wire[] {
  return Array.isArray(value) ? value : [];
}

function textOf(value: unknown): string | undefined {
  return value === null || value === undefined || value === '' ? undefined : String(value);
}
