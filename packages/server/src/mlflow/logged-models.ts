import {
  isKeelsonError,
  type LoggedModel,
  type LoggedModelMetric,
  type ModelVersion,
  type Services,
} from '@keelson/core';
import { partsOfField, placeOfModel } from './artifact-places.ts';
import { filesIn } from './artifacts.ts';
import { type Call, type CallContext, call } from './call.ts';
import {
  bool,
  fromDouble,
  int64,
  list,
  message,
  needed,
  oneOf,
  pair,
  set,
  text,
  toPairs,
} from './encoding.ts';
import { invalid, missing } from './errors.ts';
import { artifactRoot, defaultId, experimentOf, knownExperiments } from './experiments.ts';
import { checkMaxResults } from './names.ts';
import { experimentIds } from './run-wire.ts';
import { runOf } from './runs.ts';
import { loggedModelWords, quoted, searching, translateFilter, translateOrder } from './search.ts';
import { modelIdTag } from './version-wire.ts';

const states = {
  LOGGED_MODEL_PENDING: 'PENDING',
  LOGGED_MODEL_READY: 'READY',
  LOGGED_MODEL_UPLOAD_FAILED: 'FAILED',
} as const;
const stateNames = [
  'LOGGED_MODEL_PENDING',
  'LOGGED_MODEL_READY',
  'LOGGED_MODEL_UPLOAD_FAILED',
] as const;
const wireStates = Object.fromEntries(stateNames.map((name) => [states[name], name]));

/** Where a logged model's files lie, for clients. */
function modelUri(experimentId: string, modelId: string): string {
  return `${artifactRoot(experimentId)}/models/${modelId}/artifacts`;
}

/** The logged model; RESOURCE_DOES_NOT_EXIST for none. */
async function loggedModelOf({ tracking }: Services, id: string): Promise<LoggedModel> {
  try {
    return await tracking.getLoggedModel(id);
  } catch (error) {
    if (!isKeelsonError(error, 'NOT_FOUND')) throw error;
    throw missing(`Logged model with ID '${id.slice(0, 100)}' not found.`);
  }
}

async function toWire(
  services: Services,
  models: readonly LoggedModel[],
): Promise<readonly object[]> {
  const wireIdOf = await experimentIds(services);
  return models.map((model) => {
    const experimentId = wireIdOf(model.experimentId);
    return {
      info: set({
        ...{ model_id: model.id, experiment_id: experimentId, name: model.name },
        creation_timestamp_ms: model.createdAt,
        last_updated_timestamp_ms: model.updatedAt,
        artifact_uri: modelUri(experimentId, model.id),
        status: wireStates[model.status],
        model_type: model.modelType,
        source_run_id: model.sourceRunId,
        tags: toPairs(model.tags),
      }),
      data: set({
        params: toPairs(model.params),
        metrics: model.metrics.map((each) => metricToWire(model.id, each)),
      }),
    };
  });
}

function metricToWire(modelId: string, metric: LoggedModelMetric): object {
  const { key, value, step, timestamp, runId, datasetName, datasetDigest } = metric;
  return set({
    ...{ key, value: fromDouble(value), timestamp, step, model_id: modelId, run_id: runId },
    ...{ dataset_name: datasetName, dataset_digest: datasetDigest },
  });
}

async function answerOf(services: Services, model: LoggedModel): Promise<object> {
  const [wire] = await toWire(services, [model]);
  return { model: wire };
}

async function create(
  asked: {
    readonly experiment_id: string;
    readonly name: string | undefined;
    readonly model_type: string | undefined;
    readonly source_run_id: string | undefined;
    readonly params: readonly Pair[] | undefined;
    readonly tags: readonly Pair[] | undefined;
  },
  { services }: CallContext,
): Promise<object> {
  const { params = [], tags = [], source_run_id: source = '', model_type: type = '' } = asked;
  const experiment = await experimentOf(services, asked.experiment_id);
  if (source !== '' && (await runOf(services, source)).experimentId !== experiment.id) {
    throw invalid(`Run '${source}' is not in experiment ${asked.experiment_id}.`);
  }
  const name = asked.name ?? '';
  if (/[/:.%"']/.test(name)) {
    throw invalid(
      `Invalid model name: ${name.slice(0, 300)}. Model name must be non-empty and not contain any of these characters: / : . % " '`,
    );
  }
  const runId = source === '' ? await holderRun(services, experiment.id, name) : source;
  const model = await services.tracking.createLoggedModel({
    runId,
    name: name === '' ? `model-${runId.slice(-8)}` : name,
    params: Object.fromEntries(params.map(({ key, value }) => [key, value])),
    tags: Object.fromEntries(tags.map(({ key, value }) => [key, value])),
    ...set({
      sourceRunId: source === '' ? undefined : source,
      modelType: type === '' ? undefined : type,
    }),
  });
  return answerOf(services, model);
}

/** A model that is logged outside of runs gets one of its own: its files are to have a place in the lineage. */
export async function holderRun(
  { tracking }: Pick<Services, 'tracking'>,
  experiment: string,
  name: string,
): Promise<string> {
  const run = await tracking.startRun({
    ...{ experiment, systemMetrics: false, environment: false },
    tags: { 'keelson.holds': 'model' },
    ...set({ name: name === '' ? undefined : name }),
  });
  await run.finish();
  return run.id;
}

type Pair = Readonly<Record<'key' | 'value', string>>;

async function search(
  asked: {
    readonly experiment_ids: readonly string[] | undefined;
    readonly filter: string | undefined;
    readonly max_results: number | undefined;
    readonly page_token: string | undefined;
    readonly order_by:
      | readonly { readonly field_name: string; readonly ascending: boolean | undefined }[]
      | undefined;
  },
  { services }: CallContext,
): Promise<object> {
  const limit = checkMaxResults(asked.max_results, 100, 1_000);
  const { order_by: orders = [], page_token: token = '' } = asked;
  const experimentIds = await knownExperiments(services, asked.experiment_ids ?? [defaultId]);
  if (experimentIds.length === 0) return {};
  const orderBy = orders.map(({ field_name: field, ascending = true }) =>
    translateOrder(`${field} ${ascending ? 'ASC' : 'DESC'}`, loggedModelWords),
  );
  const filter = translateFilter(asked.filter, loggedModelWords);
  const { models, cursor } = await searching(() =>
    services.tracking.searchLoggedModels({
      ...{ experimentIds, filter, limit },
      ...(orderBy.length === 0 ? {} : { orderBy }),
      ...(token === '' ? {} : { cursor: token }),
    }),
  );
  return set({ models: await toWire(services, models), next_page_token: cursor });
}

/** Where it is registered. */
async function registrations({ registry }: Services, modelId: string): Promise<readonly object[]> {
  const filter = `tags."${modelIdTag}" = ${quoted(modelId)}`;
  const { versions } = await registry.searchVersions({ filter, limit: 1_000 });
  return versions.map(({ model, number }: ModelVersion) => ({
    name: model,
    version: String(number),
  }));
}

const byId = message({ model_id: needed(text) });

/** The calls on logged models. */
export const loggedModelCalls: readonly Call[] = [
  call(
    'POST',
    'logged-models',
    message({
      ...{ experiment_id: needed(text), name: text, model_type: text, source_run_id: text },
      ...{ params: list(pair), tags: list(pair) },
    }),
    create,
  ),
  call(
    'POST',
    'logged-models/search',
    message({
      ...{ experiment_ids: list(text), filter: text, max_results: int64, page_token: text },
      order_by: list(message({ field_name: needed(text), ascending: bool })),
    }),
    search,
  ),
  call('GET', 'logged-models/{model_id}', byId, async ({ model_id: id }, { services }) => {
    const model = await loggedModelOf(services, id);
    const [wire] = (await toWire(services, [model])) as [{ readonly info: object }];
    const info = { ...wire.info, ...set({ registrations: await registrations(services, id) }) };
    return { model: { ...wire, info } };
  }),
  call(
    'PATCH',
    'logged-models/{model_id}',
    message({ model_id: needed(text), status: needed(oneOf(...stateNames)) }),
    async ({ model_id: id, status }, { services }) => {
      await loggedModelOf(services, id);
      const change = { status: states[status] };
      return answerOf(services, await services.tracking.updateLoggedModel(id, change));
    },
  ),
  call('DELETE', 'logged-models/{model_id}', byId, async ({ model_id: id }, { services }) => {
    await loggedModelOf(services, id);
    await services.tracking.deleteLoggedModel(id);
    return {};
  }),
  call(
    'PATCH',
    'logged-models/{model_id}/tags',
    message({ model_id: needed(text), tags: list(pair) }),
    async ({ model_id: id, tags = [] }, { services }) => {
      await loggedModelOf(services, id);
      const change = { tags: Object.fromEntries(tags.map(({ key, value }) => [key, value])) };
      return answerOf(services, await services.tracking.updateLoggedModel(id, change));
    },
  ),
  call(
    'DELETE',
    'logged-models/{model_id}/tags/{tag_key}',
    message({ model_id: needed(text), tag_key: needed(text) }),
    async ({ model_id: id, tag_key: key }, { services }) => {
      const { tags } = await loggedModelOf(services, id);
      if (!Object.hasOwn(tags, key))
        throw missing(`No tag with key '${key}' found for model with ID '${id}'.`);
      await services.tracking.updateLoggedModel(id, { tags: { [key]: null } });
      return {};
    },
  ),
  call(
    'POST',
    'logged-models/{model_id}/params',
    message({ model_id: needed(text), params: list(pair) }),
    async ({ model_id: id, params = [] }, { services }) => {
      const { params: there } = await loggedModelOf(services, id);
      const changed = params.find(
        ({ key, value }) => Object.hasOwn(there, key) && there[key] !== value,
      );
      if (changed !== undefined) {
        throw invalid(
          `Changing param values is not allowed. Param '${changed.key}' was already logged.`,
        );
      }
      const change = { params: Object.fromEntries(params.map(({ key, value }) => [key, value])) };
      await services.tracking.updateLoggedModel(id, change);
      return {};
    },
  ),
  call(
    'GET',
    'logged-models/{model_id}/artifacts/directories',
    message({ model_id: needed(text), artifact_directory_path: text }),
    async ({ model_id: id, artifact_directory_path: path = '' }, { services }) => {
      const model = await loggedModelOf(services, id);
      const parts = partsOfField(path);
      const place = await placeOfModel(services, id);
      const files = await filesIn(services, { ...place, path: [place.path, ...parts].join('/') });
      const wireIdOf = await experimentIds(services);
      return set({
        root_uri: modelUri(wireIdOf(model.experimentId), id),
        files: files.map((file) => ({ ...file, path: [...parts, file.path].join('/') })),
      });
    },
  ),
];
