import { isKeelsonError, type StoredExperiment } from '@keelson/core';
import { parentTag } from '../mlflow/run-wire.ts';
import { quoted } from '../mlflow/search.ts';
import { fitTags, fitText, skipped } from './fit.ts';
import { LoggedModelWriting } from './logged-model-writing.ts';
import { createdTag } from './registry-writing.ts';
import { type Writing, writeRun } from './run-writing.ts';
import type { SourceExperiment, SourceLoggedModel, SourceRun } from './source.ts';

/** MLflow's id of an experiment that was imported. */
const idTag = 'keelson.mlflow.experiment_id';
const mostTags = 18;
const mostWaiting = 10_000;

/** Runs that wait for the one that they are nested in. */
type Waiting = readonly [SourceExperiment, string, SourceRun, readonly SourceLoggedModel[]];

/** Brings experiments with all that is in them here. */
export class ExperimentWriting {
  readonly #writing: Writing;
  #waiting: Waiting[] = [];

  constructor(writing: Writing) {
    this.#writing = writing;
  }

  async write(from: SourceExperiment): Promise<void> {
    const { notes, source, signal } = this.#writing;
    await skipped(notes, `experiment ${from.name}`, async () => {
      const own = await this.#experiment(from);
      const models = new Map<string, SourceLoggedModel[]>();
      for await (const model of source.loggedModels(from)) {
        const of = model.runId ?? '';
        models.set(of, [...(models.get(of) ?? []), model]);
      }
      for await (const run of source.runs(from)) {
        signal.throwIfAborted();
        const ofRun = models.get(run.id) ?? [];
        models.delete(run.id);
        if (await this.#mustWait(run)) this.#waiting.push([from, own.id, run, ofRun]);
        else await this.#run(from, own.id, run, ofRun);
      }
      await this.#waited(own.id);
      for (const model of [...models.values()].flat()) {
        await skipped(notes, `logged model ${model.id}`, () =>
          new LoggedModelWriting(this.#writing).writeAlone(from, own.id, model),
        );
      }
      if (from.lifecycle === 'deleted' && own.lifecycle !== 'deleted') {
        await this.#writing.services.tracking.deleteExperiment(own.id);
      }
    });
  }

  /** Those of an experiment that still wait: in turn, as long as that helps; then without what they are nested in. */
  async #waited(experimentId: string): Promise<void> {
    let waiting = this.#waiting.filter(([, id]) => id === experimentId);
    this.#waiting = this.#waiting.filter(([, id]) => id !== experimentId);
    while (waiting.length > 0) {
      const still: Waiting[] = [];
      for (const each of waiting) {
        const [from, id, run, models] = each;
        if (await this.#mustWait(run)) still.push(each);
        else await this.#run(from, id, run, models);
      }
      if (still.length === waiting.length) break;
      waiting = still;
    }
    for (const [from, id, run, models] of waiting) {
      if (!(await this.#mustWait(run))) continue;
      await this.#run(from, id, run, models);
    }
  }

  async #mustWait(run: SourceRun): Promise<boolean> {
    const parent = run.tags[parentTag];
    if (parent === undefined || parent === '' || this.#waiting.length >= mostWaiting) return false;
    const { tracking } = this.#writing.services;
    return (await tracking.findRun(parent)) === undefined;
  }

  async #run(
    from: SourceExperiment,
    experimentId: string,
    run: SourceRun,
    models: readonly SourceLoggedModel[],
  ): Promise<void> {
    const { notes } = this.#writing;
    await skipped(notes, `run ${run.id} of experiment ${from.name}`, () =>
      writeRun(this.#writing, { from, experimentId, models }, run),
    );
  }

  /** The one of that name; of a deleted one, what an earlier import has made of it. */
  async #experiment(from: SourceExperiment): Promise<StoredExperiment> {
    const { notes, services } = this.#writing;
    const { tracking } = services;
    const name = fitText(from.name, 255);
    const found = await this.#imported(from, name);
    if (found !== undefined) {
      notes.there.experiments += 1;
      return found;
    }
    const tags = fitTags(from.tags, mostTags, (key, why) =>
      notes.skip(`tag ${key} of experiment ${name}`, why),
    );
    const note = from.tags['mlflow.note.content'];
    const isDeleted = from.lifecycle === 'deleted';
    const made = await tracking.createExperiment({
      name,
      ifExists: isDeleted ? 'suffix' : 'reuse',
      tags: {
        ...tags,
        [idTag]: from.id,
        ...(from.createdAt === undefined ? {} : { [createdTag]: String(from.createdAt) }),
      },
      ...(note === undefined ? {} : { description: fitText(note, 2_048) }),
    });
    notes.added.experiments += 1;
    return made;
  }

  async #imported(from: SourceExperiment, name: string): Promise<StoredExperiment | undefined> {
    const { tracking } = this.#writing.services;
    const ofIt = [
      `tags."${idTag}" = ${quoted(from.id)}`,
      ...(from.createdAt === undefined ? [] : [`tags."${createdTag}" = '${from.createdAt}'`]),
    ];
    const search = { filter: ofIt.join(' AND '), lifecycle: 'all', limit: 1 } as const;
    const { experiments } = await tracking.searchExperiments(search);
    if (experiments[0] !== undefined || from.lifecycle === 'deleted') return experiments[0];
    try {
      return await tracking.getExperiment(name);
    } catch (error) {
      if (isKeelsonError(error, 'NOT_FOUND')) return undefined;
      throw error;
    }
  }
}
