import { createHash } from 'node:crypto';
import type { ActiveRun, Run, Services } from '@keelson/core';
import { toDataset } from '../mlflow/inputs.ts';
import { nameTag, parentTag, userTag } from '../mlflow/run-wire.ts';
import { cut, noteIn, sourceTypeOf } from '../mlflow/runs.ts';
import { fitTags, fitText, isRefused, skipped } from './fit.ts';
import type { ImportNotes } from './import-notes.ts';
import { LoggedModelWriting } from './logged-model-writing.ts';
import type {
  MlflowSource,
  SourceExperiment,
  SourceLoggedModel,
  SourceRun,
  SourceStatus,
} from './source.ts';
import { writeFiles } from './write-files.ts';

/** What every part of an import writes with. */
export interface Writing {
  readonly services: Pick<Services, 'tracking' | 'registry'>;
  readonly source: MlflowSource;
  readonly notes: ImportNotes;
  readonly signal: AbortSignal;
  tell(): void;
}

/** Says, at a run that was imported as a whole, in which state it was then. */
const importedTag = 'keelson.mlflow.imported';

const endings = { FINISHED: 'COMPLETED', FAILED: 'FAILED', KILLED: 'KILLED' } as const;
const mostTags = 49;

/** Where a run goes. */
export interface RunPlace {
  readonly from: SourceExperiment;
  /** Our id of it. */
  readonly experimentId: string;
  readonly models: readonly SourceLoggedModel[];
}

/**
 * Brings one run here, or goes on where an earlier import stopped: its id, times, params, tags, points, datasets, files
 * and logged models. What the platform refuses of it is left out, told of by name. Again is harmless.
 */
export async function writeRun(writing: Writing, place: RunPlace, run: SourceRun): Promise<void> {
  const { tracking } = writing.services;
  const { notes } = writing;
  const what = `run ${run.id} of experiment ${place.from.name}`;
  const state = stateOf(run, place.models);
  const before = await tracking.findRun(run.id);
  if (before !== undefined && before.experimentId !== place.experimentId) {
    notes.skip(what, `a run of that id is here, in another experiment (${before.experimentId})`);
    return;
  }
  if (before !== undefined && isWhole(run, before, state)) {
    await settleLifecycle(writing, run, before);
    notes.there.runs += 1;
    return;
  }
  if (before?.lifecycle === 'deleted') await tracking.restoreRun(run.id);
  const active = await openRun(writing, place, run, before, what);
  await writeMissingParams(writing, run, before, active, what);
  await writePoints(writing, place.from, run, active, what);
  await writeDatasets(writing, run, active, before, what);
  await writeFiles(writing, {
    owner: { kind: 'run', id: run.id, experimentId: place.from.id, artifactUri: run.artifactUri },
    run: active,
    prefix: '',
    isNew: before === undefined,
    what,
  });
  const models = new LoggedModelWriting(writing);
  for (const model of place.models) await models.write(place.from, model, active, run.id);
  await active.flush();
  await endRun(writing, run, active, before, state);
  await settleLifecycle(writing, run, await tracking.getRun(run.id));
  notes.added.runs += before === undefined ? 1 : 0;
  notes.there.runs += before === undefined ? 0 : 1;
  if (!hasEnded(run)) {
    notes.skip(
      `the rest of ${what}`,
      `it has not ended in MLflow: what it had is here, ended as KILLED; import again once it has ended`,
    );
  }
  writing.tell();
}

/** Whether an import came to its end with the run: killed at the last moment, it has the tag, and reads as dead. */
function isWhole(run: SourceRun, here: Run, state: string): boolean {
  if (!hasEnded(run) || here.tags[importedTag] !== state) return false;
  if (here.status !== (endings[run.status] ?? 'FAILED')) return false;
  return run.endedAt === undefined || here.endedAt === Math.max(run.endedAt, here.startedAt);
}

async function openRun(
  { services: { tracking }, notes }: Writing,
  { experimentId }: RunPlace,
  run: SourceRun,
  before: Run | undefined,
  what: string,
): Promise<ActiveRun> {
  const { [nameTag]: tagged = '', ...rest } = run.tags;
  const user = run.user !== undefined && rest[userTag] === undefined ? { [userTag]: run.user } : {};
  const cutTags = Object.fromEntries(
    Object.entries({ ...rest, ...user }).map(([key, value]) => [key, cut(key, value)]),
  );
  const tags = fitTags(cutTags, mostTags, (key, why) => notes.skip(`tag ${key} of ${what}`, why));
  if (before !== undefined) {
    const changed = Object.entries(tags).filter(([key, value]) => before.tags[key] !== value);
    if (changed.length > 0) await tracking.setRunTags(run.id, Object.fromEntries(changed));
    return tracking.resumeRun(run.id, { systemMetrics: false });
  }
  const parent = run.tags[parentTag];
  const hasParent = parent !== undefined && (await tracking.findRun(parent)) !== undefined;
  const name = fitText(run.name ?? tagged, 255);
  const description = noteIn(run.tags);
  return tracking.startRun({
    ...{ id: run.id, experiment: experimentId, tags, systemMetrics: false, environment: false },
    sourceType: sourceTypeOf(run.tags['mlflow.source.type']),
    ...(name === '' ? {} : { name }),
    ...(description === undefined ? {} : { description: fitText(description, 2_048) }),
    ...(hasParent ? { parentRunId: parent } : {}),
    ...(run.startedAt === undefined || run.startedAt < 0 ? {} : { startedAt: run.startedAt }),
  });
}

async function writeMissingParams(
  { notes }: Writing,
  { params }: SourceRun,
  before: Run | undefined,
  active: ActiveRun,
  what: string,
): Promise<void> {
  const missing = Object.entries(params).filter(
    ([key]) => before === undefined || !Object.hasOwn(before.params, key),
  );
  notes.there.params += Object.keys(params).length - missing.length;
  if (missing.length === 0) return;
  try {
    await active.logParams(Object.fromEntries(missing));
    notes.added.params += missing.length;
  } catch (error) {
    if (!isRefused(error)) throw error;
    // One of them is the reason: each by itself tells which.
    for (const [key, value] of missing) {
      const done = await skipped(notes, `param ${key} of ${what}`, () =>
        active.logParam(key, value),
      );
      if (done) notes.added.params += 1;
    }
  }
}

/** Points that are here are the first of those that there are: both keep their order. */
async function writePoints(
  writing: Writing,
  from: SourceExperiment,
  run: SourceRun,
  active: ActiveRun,
  what: string,
): Promise<void> {
  const { notes, source, signal } = writing;
  if (run.metricKeys.length === 0) return;
  const summaries = await writing.services.tracking.getMetricSummaries(run.id);
  const counts = new Map(summaries.map(({ key, count }) => [key, count]));
  for (const key of run.metricKeys) {
    const done = counts.get(key) ?? 0;
    let at = 0;
    await skipped(notes, `metric ${key} of ${what}`, async () => {
      for await (const some of source.points(from, run.id, key)) {
        signal.throwIfAborted();
        for (const { value, step, timestamp } of some) {
          at += 1;
          if (at > done) active.logMetric(key, value, { step, timestamp });
        }
        if (at > done) await active.flush();
        writing.tell();
      }
    });
    notes.there.points += Math.min(done, at);
    notes.added.points += Math.max(0, at - done);
  }
}

async function writeDatasets(
  { notes, services: { tracking } }: Writing,
  run: SourceRun,
  active: ActiveRun,
  before: Run | undefined,
  what: string,
): Promise<void> {
  if (run.datasets.length === 0) return;
  const known = before === undefined ? [] : await tracking.listDatasets(run.id);
  for (const { tags, ...dataset } of run.datasets) {
    const isKnown = known.some(
      ({ name, digest }) => name === dataset.name && digest === dataset.digest,
    );
    const pairs = Object.entries(tags).map(([key, value]) => ({ key, value }));
    const done =
      isKnown ||
      (await skipped(notes, `dataset ${dataset.name} of ${what}`, () =>
        active.logDataset(toDataset({ tags: pairs, dataset })),
      ));
    if (isKnown) notes.there.datasets += 1;
    else if (done) notes.added.datasets += 1;
  }
}

async function endRun(
  { services: { tracking } }: Writing,
  run: SourceRun,
  active: ActiveRun,
  before: Run | undefined,
  state: string,
): Promise<void> {
  // Set before the end: a run that runs is never taken for one that is whole.
  await tracking.setRunTags(run.id, { [importedTag]: state });
  const ended = hasEnded(run);
  const status = ended ? (endings[run.status] ?? 'FAILED') : 'KILLED';
  const reason = ended ? undefined : `${run.status} in MLflow when it was imported`;
  const startedAt = before?.startedAt ?? run.startedAt ?? 0;
  const endedAt = run.endedAt === undefined ? undefined : Math.max(run.endedAt, startedAt);
  await active.finish(status, reason, endedAt === undefined ? {} : { endedAt });
}

/** What MLflow has deleted is deleted here. */
async function settleLifecycle(
  { services: { tracking } }: Writing,
  run: SourceRun,
  here: Run,
): Promise<void> {
  if (run.lifecycle === 'deleted' && here.lifecycle !== 'deleted') await tracking.deleteRun(run.id);
}

function hasEnded(
  run: SourceRun,
): run is SourceRun & { readonly status: Exclude<SourceStatus, 'RUNNING' | 'SCHEDULED'> } {
  return run.status !== 'RUNNING' && run.status !== 'SCHEDULED';
}

/** A text that another state of the run has otherwise. */
function stateOf(run: SourceRun, models: readonly SourceLoggedModel[]): string {
  const { status, endedAt, params, tags, metricKeys, datasets } = run;
  const facts = JSON.stringify([
    ...[status, endedAt ?? null, params, tags, metricKeys, datasets.map(({ digest }) => digest)],
    models.map(({ id, status: of, tags: ofModel, metrics }) => [id, of, ofModel, metrics.length]),
  ]);
  return createHash('sha256').update(facts).digest('hex').slice(0, 32);
}
