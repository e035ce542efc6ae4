import type { ActiveRun, LoggedModel, LoggedModelMetric } from '@keelson/core';
import { holderRun } from '../mlflow/logged-models.ts';
import { quoted } from '../mlflow/search.ts';
import { modelIdTag } from '../mlflow/version-wire.ts';
import { fitText, skipped } from './fit.ts';
import type { Writing } from './run-writing.ts';
import type { SourceExperiment, SourceLoggedModel } from './source.ts';
import { writeFiles } from './write-files.ts';

/** Brings logged models here. They get ids of their own; MLflow's is kept in a tag. */
export class LoggedModelWriting {
  readonly #writing: Writing;

  constructor(writing: Writing) {
    this.#writing = writing;
  }

  /** The model whose run is open. */
  async write(
    from: SourceExperiment,
    model: SourceLoggedModel,
    run: ActiveRun,
    sourceRunId: string | undefined,
  ): Promise<void> {
    const { notes, services } = this.#writing;
    const what = `logged model ${model.id} (${model.name}) of experiment ${from.name}`;
    await skipped(notes, what, async () => {
      const before = await findImportedModel(this.#writing, model.id);
      const own =
        before ??
        (await services.tracking.createLoggedModel({
          ...{ runId: run.id, name: fitText(model.name, 255) || model.id, params: model.params },
          tags: { ...model.tags, [modelIdTag]: model.id },
          ...(sourceRunId === undefined ? {} : { sourceRunId }),
          ...(model.modelType === undefined ? {} : { modelType: fitText(model.modelType, 255) }),
        }));
      await writeFiles(this.#writing, {
        owner: {
          ...{ kind: 'model', id: model.id, experimentId: from.id, artifactUri: model.artifactUri },
        },
        ...{ run, prefix: `${own.artifactPath}/`, isNew: before === undefined, what },
      });
      const metrics = model.metrics.filter((each) => !own.metrics.some((one) => isSame(one, each)));
      await services.tracking.updateLoggedModel(own.id, {
        ...{ status: model.status, metrics: metrics.map(withoutNothing) },
      });
      if (before === undefined) notes.added.loggedModels += 1;
      else notes.there.loggedModels += 1;
    });
  }

  /** One that was logged outside of runs. */
  async writeAlone(
    from: SourceExperiment,
    experimentId: string,
    model: SourceLoggedModel,
  ): Promise<void> {
    const { services } = this.#writing;
    const before = await findImportedModel(this.#writing, model.id);
    const runId =
      before?.runId ?? (await holderRun(services, experimentId, fitText(model.name, 255)));
    const run = await services.tracking.resumeRun(runId, { systemMetrics: false });
    await this.write(from, model, run, undefined);
    await run.finish();
  }
}

/** What an earlier import has made of a logged model of MLflow's. */
export async function findImportedModel(
  { services: { tracking } }: Pick<Writing, 'services'>,
  id: string,
): Promise<LoggedModel | undefined> {
  const filter = `tags."${modelIdTag}" = ${quoted(id)}`;
  const { models } = await tracking.searchLoggedModels({ filter, limit: 1 });
  return models[0];
}

type Point = SourceLoggedModel['metrics'][number];

function isSame(one: LoggedModelMetric, other: Point): boolean {
  return (
    one.key === other.key &&
    Object.is(one.value, other.value) &&
    one.step === other.step &&
    one.timestamp === other.timestamp &&
    one.runId === other.runId
  );
}

function withoutNothing(point: Point): LoggedModelMetric {
  return Object.fromEntries(
    Object.entries(point).filter(([, value]) => value !== undefined),
  ) as unknown as LoggedModelMetric;
}
