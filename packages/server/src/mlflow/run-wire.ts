import type { Json, Run, RunDataset, RunStatus, SeriesSummary, Services } from '@keelson/core';
import { fromDouble, set, toPairs } from './encoding.ts';
import { artifactRoot, defaultId, ownDefaultId } from './experiments.ts';

/** The states of runs as MLflow names them. */
export const statusNames = ['RUNNING', 'SCHEDULED', 'FINISHED', 'FAILED', 'KILLED'] as const;

const wireStatus: Readonly<Record<RunStatus, string>> = {
  ...{ RUNNING: 'RUNNING', COMPLETED: 'FINISHED', FAILED: 'FAILED', KILLED: 'KILLED' },
};

/** Tags that are no tags here: what they say is a field of the run. */
export const nameTag = 'mlflow.runName';
export const userTag = 'mlflow.user';
export const parentTag = 'mlflow.parentRunId';

/** How MLflow's clients know the experiments of runs. */
export async function experimentIds(services: Services): Promise<(id: string) => string> {
  const own = await ownDefaultId(services);
  return (id) => (id === own ? defaultId : id);
}

/** Where a run's artifacts lie, for clients. */
export function artifactUri(experimentId: string, runId: string): string {
  return `${artifactRoot(experimentId)}/${runId}/artifacts`;
}

/** A param's value as MLflow has them: text. */
export function paramText(value: Json): string {
  return typeof value === 'string' ? value : JSON.stringify(value);
}

/** Facts about a run. */
export function runInfo(run: Run, experimentId: string): object {
  return set({
    run_id: run.id,
    run_uuid: run.id,
    run_name: run.name,
    experiment_id: experimentId,
    user_id: run.tags[userTag] ?? run.userId,
    status: wireStatus[run.status],
    start_time: run.startedAt,
    end_time: run.endedAt,
    artifact_uri: artifactUri(experimentId, run.id),
    lifecycle_stage: run.lifecycle,
  });
}

/** Runs with all that MLflow's clients want of them, read at once. */
export async function runsToWire(
  services: Services,
  runs: readonly Run[],
): Promise<readonly object[]> {
  if (runs.length === 0) return [];
  const ids = runs.map((run) => run.id);
  const { tracking } = services;
  const [wireIdOf, summaries, datasets, outputs] = await Promise.all([
    experimentIds(services),
    tracking.getMetricSummariesOf(ids),
    tracking.listDatasetsOf(ids),
    modelsOf(services, ids),
  ]);
  return runs.map((run) => {
    const tags = { ...run.tags, [nameTag]: run.name };
    const params = Object.entries(run.params).map(([key, value]) => ({
      key,
      value: paramText(value),
    }));
    return {
      info: runInfo(run, wireIdOf(run.experimentId)),
      data: set({
        metrics: (summaries.get(run.id) ?? []).map(latestOf),
        params,
        tags: toPairs(tags),
      }),
      inputs: set({
        dataset_inputs: (datasets.get(run.id) ?? []).map(datasetInput),
        model_inputs: outputs.inputsOf(run.id),
      }),
      outputs: set({ model_outputs: outputs.outputsOf(run.id) }),
    };
  });
}

function latestOf({ key, last, lastStep, lastTimestamp }: SeriesSummary): object {
  return { key, value: fromDouble(last), timestamp: lastTimestamp, step: lastStep };
}

/** What MLflow's clients said of a dataset, word for word; of others what is known. */
function datasetInput(dataset: RunDataset): object {
  const { name, digest, role, context = contextOf[role], profile, schema, sourceUri } = dataset;
  const said = (profile?.['mlflow'] ?? {}) as Readonly<Record<string, string>>;
  return {
    tags: [{ key: 'mlflow.data.context', value: context }],
    dataset: set({
      ...{ name, digest },
      source_type: said['source_type'] ?? 'external',
      source: said['source'] ?? JSON.stringify({ uri: sourceUri ?? '' }),
      schema: said['schema'] ?? (schema && JSON.stringify(schema)),
      profile:
        said['profile'] ??
        (said['source'] === undefined ? profile && JSON.stringify(profile) : undefined),
    }),
  };
}

const contextOf = { train: 'training', validation: 'validation', test: 'testing' } as const;

interface ModelLinks {
  inputsOf(runId: string): readonly object[];
  outputsOf(runId: string): readonly object[];
}

/** The logged models that went into runs, and those that came out. */
async function modelsOf({ tracking }: Services, runIds: readonly string[]): Promise<ModelLinks> {
  const models = await tracking.listLoggedModelsOf(runIds);
  return {
    inputsOf: (runId) =>
      models.filter(({ inputOf }) => inputOf.includes(runId)).map(({ id }) => ({ model_id: id })),
    outputsOf: (runId) =>
      models.flatMap(({ id, outputOf }) => {
        const step = Object.hasOwn(outputOf, runId) ? outputOf[runId] : undefined;
        return step === undefined ? [] : [{ model_id: id, step }];
      }),
  };
}
