import type { DatasetInput, JsonObject } from '@keelson/core';
import { asJson } from '@keelson/core';
import { type Call, type CallContext, call } from './call.ts';
import { int64, list, message, needed, pair, type Reader, set, text } from './encoding.ts';
import { invalid } from './errors.ts';
import { ofRun, runOf } from './runs.ts';

/** A dataset as MLflow's clients tell of it. */
interface GivenDataset {
  readonly tags: readonly { readonly key: string; readonly value: string }[] | undefined;
  readonly dataset: {
    readonly name: string;
    readonly digest: string;
    readonly source_type: string;
    readonly source: string;
    readonly schema: string | undefined;
    readonly profile: string | undefined;
  };
}

const dataset = message({
  ...{ name: needed(text), digest: needed(text), source_type: needed(text) },
  ...{ source: needed(text), schema: text, profile: text },
});
const datasetInput: Reader<GivenDataset> = message({ tags: list(pair), dataset: needed(dataset) });

/** Words for the roles of data in a run. */
const roles: readonly (readonly [DatasetInput['role'], RegExp])[] = [
  ['test', /^test/i],
  ['validation', /^(val|eval|dev|holdout)/i],
];

const limits = [
  ['name', 500],
  ['digest', 36],
  ['source', 65_535],
  ['schema', 1_048_575],
  ['profile', 16_777_215],
] as const;

/** A dataset as MLflow tells of it, kept word for word. */
export function toDataset({ tags = [], dataset: given }: GivenDataset): DatasetInput {
  for (const [field, most] of limits) {
    if ((given[field]?.length ?? 0) <= most) continue;
    throw invalid(`Dataset ${field} exceeds the maximum length of ${most}`);
  }
  const context = tags.find(({ key }) => key === 'mlflow.data.context')?.value ?? '';
  const role = roles.find(([, pattern]) => pattern.test(context))?.[0] ?? 'train';
  const { name, digest, source_type, source, schema, profile } = given;
  const rows = objectIn(profile)?.['num_rows'];
  const uri = objectIn(source)?.['uri'] ?? objectIn(source)?.['url'];
  return {
    ...{ name, digest, role },
    profile: { mlflow: asJson(set({ source_type, source, schema, profile })) },
    ...set({
      context: context === '' ? undefined : context,
      schema: objectIn(schema),
      rowCount: Number.isSafeInteger(rows) && Number(rows) >= 0 ? Number(rows) : undefined,
      sourceUri: typeof uri === 'string' && uri.length <= 5_000 ? uri : undefined,
    }),
  };
}

/** The object that a text of JSON is; undefined for other texts. */
function objectIn(json: string | undefined): JsonObject | undefined {
  if (json === undefined) return undefined;
  try {
    const value: unknown = JSON.parse(json);
    if (typeof value !== 'object' || value === null || Array.isArray(value)) return undefined;
    return value as JsonObject;
  } catch (error) {
    if (error instanceof SyntaxError) return undefined;
    throw error;
  }
}

async function logInputs(
  asked: {
    readonly run_id: string;
    readonly datasets: readonly GivenDataset[] | undefined;
    readonly models: readonly { readonly model_id: string }[] | undefined;
  },
  { services, runs }: CallContext,
): Promise<object> {
  const { run_id: id, datasets = [], models = [] } = asked;
  if (datasets.length > 1_000) throw invalid('A request can contain at most 1000 datasets.');
  const run = await runs.get(services, id);
  for (const each of datasets.map(toDataset)) await run.logDataset(each);
  for (const { model_id: modelId } of models) {
    await services.tracking.updateLoggedModel(modelId, { inputOf: [id] });
  }
  return {};
}

const historyTag = 'mlflow.log-model.history';
const longestHistory = 100_000;

/** Adds a model's document to the run's history of models: the newest that there is room for. */
async function logModel(
  { run_id: id, model_json: json }: { readonly run_id: string; readonly model_json: string },
  { services, runs }: CallContext,
): Promise<object> {
  const document = objectIn(json);
  if (document === undefined) {
    throw invalid(
      `Malformed model info. \n ${json.slice(0, 200)} \n failed to parse as a JSON object.`,
    );
  }
  const missing = ['artifact_path', 'flavors', 'utc_time_created', 'run_id'].filter(
    (field) => document[field] === undefined,
  );
  if (missing.length > 0) {
    throw invalid(`Model json is missing mandatory fields: ${missing.join(', ')}`);
  }
  await runs.get(services, id);
  const { tags } = await runOf(services, id);
  const before = listIn(tags[historyTag]);
  const all = [...before, document];
  while (all.length > 1 && JSON.stringify(all).length > longestHistory) all.shift();
  const history = JSON.stringify(all);
  if (history.length > longestHistory) return {};
  await services.tracking.setRunTags(id, { [historyTag]: history });
  return {};
}

function listIn(json: string | undefined): readonly unknown[] {
  const value = objectIn(`{"list":${json ?? '[]'}}`)?.['list'];
  return Array.isArray(value) ? value : [];
}

/** The calls that say what went into runs, and what came out. */
export const inputCalls: readonly Call[] = [
  call(
    'POST',
    'runs/log-inputs',
    ofRun(
      message({
        ...{ run_id: text, run_uuid: text, datasets: list(datasetInput) },
        models: list(message({ model_id: needed(text) })),
      }),
    ),
    logInputs,
  ),
  call(
    'POST',
    'runs/outputs',
    ofRun(
      message({
        ...{ run_id: text, run_uuid: text },
        models: list(message({ model_id: needed(text), step: int64 })),
      }),
    ),
    async ({ run_id: id, models = [] }, { services, runs }) => {
      await runs.get(services, id);
      for (const { model_id: modelId, step = 0 } of models) {
        await services.tracking.updateLoggedModel(modelId, { outputOf: { [id]: step } });
      }
      return {};
    },
  ),
  call(
    'POST',
    'runs/log-model',
    ofRun(message({ run_id: text, run_uuid: text, model_json: needed(text) })),
    logModel,
  ),
];
