import { expect, test } from 'vitest';
import { sharePlatform } from '../../test/open-test-platform.ts';

const shared = sharePlatform();
const quick = { experiment: 'e', environment: false } as const;

test('a logged model is found by its name, params, tags and metrics, until it is deleted', async () => {
  const { tracking } = shared.fresh().platform;
  const run = await tracking.startRun(quick);
  const of = { runId: run.id, sourceRunId: run.id };
  const first = await tracking.createLoggedModel({ ...of, name: 'tree', params: { depth: '3' } });
  const second = await tracking.createLoggedModel({ ...of, name: 'net', tags: { a: 'b' } });
  expect(first).toMatchObject({
    status: 'PENDING',
    artifactPath: `models/${first.id}`,
    metrics: [],
  });
  const point = { key: 'auc', step: 1, timestamp: 5 };
  await tracking.updateLoggedModel(first.id, { metrics: [{ ...point, value: 0.7 }] });
  const ready = await tracking.updateLoggedModel(first.id, {
    status: 'READY',
    tags: { team: 'risk' },
    metrics: [
      { ...point, value: 0.9 },
      { ...point, value: 0.8, datasetName: 'd', datasetDigest: '1' },
    ],
    outputOf: { [run.id]: 4 },
  });
  expect(ready).toMatchObject({
    status: 'READY',
    tags: { team: 'risk' },
    outputOf: { [run.id]: 4 },
  });
  expect(ready.metrics.map(({ value }) => value)).toEqual([0.9, 0.8]);
  await tracking.updateLoggedModel(second.id, { tags: { a: null }, inputOf: [run.id] });

  const names = async (filter: string): Promise<readonly string[]> =>
    (await tracking.searchLoggedModels({ filter, orderBy: ['name'] })).models.map(
      ({ name }) => name,
    );
  expect(await names('')).toEqual(['net', 'tree']);
  expect(await names("params.depth = '3' AND metrics.auc > 0.75")).toEqual(['tree']);
  expect(await names("status = 'PENDING'")).toEqual(['net']);
  expect(await names("tags.a = 'b'")).toEqual([]);
  const elsewhere = { experimentIds: ['none'] };
  expect((await tracking.searchLoggedModels(elsewhere)).models).toEqual([]);
  expect((await tracking.listLoggedModelsOf([run.id])).map(({ id }) => id).sort()).toEqual(
    [first.id, second.id].sort(),
  );

  await tracking.deleteLoggedModel(first.id);
  expect(await names('')).toEqual(['net']);
  await expect(tracking.getLoggedModel(first.id)).rejects.toMatchObject({ code: 'NOT_FOUND' });
  const nowhere = tracking.createLoggedModel({ runId: 'none', name: 'x' });
  await expect(nowhere).rejects.toMatchObject({ code: 'NOT_FOUND' });
  const odd = tracking.updateLoggedModel(second.id, { state: 'READY' } as object);
  await expect(odd).rejects.toMatchObject({ code: 'INVALID' });
});

test('a removed artifact is gone from its path, which takes another; a run that has ended keeps its own', async () => {
  const { tracking } = shared.fresh().platform;
  const run = await tracking.startRun(quick);
  await run.logText('a.txt', 'one');
  await tracking.removeArtifact(run.id, 'a.txt');
  expect((await tracking.listArtifacts(run.id)).artifacts).toEqual([]);
  await expect(tracking.removeArtifact(run.id, 'a.txt')).rejects.toMatchObject({
    code: 'NOT_FOUND',
  });
  await run.logText('a.txt', 'two');
  await run.finish();
  await expect(tracking.removeArtifact(run.id, 'a.txt')).rejects.toMatchObject({
    code: 'CONFLICT',
  });
  expect(Buffer.from(await tracking.readArtifact(run.id, 'a.txt')).toString()).toBe('two');
});

test('experiments are searched by name, tags and times, in pages', async () => {
  const { tracking } = shared.fresh().platform;
  for (const name of ['fraud/a', 'fraud/b', 'rain']) {
    await tracking.createExperiment({ name, tags: { of: name.slice(0, 1) } });
  }
  await tracking.deleteExperiment('fraud/b');
  const names = async (search: object): Promise<readonly string[]> =>
    (await tracking.searchExperiments({ orderBy: ['name'], ...search })).experiments.map(
      ({ name }) => name,
    );
  expect(await names({ filter: "name LIKE 'fraud/%'" })).toEqual(['fraud/a']);
  expect(await names({ filter: "tags.of = 'f'", lifecycle: 'all' })).toEqual([
    'fraud/a',
    'fraud/b',
  ]);
  expect(await names({ lifecycle: 'deleted' })).toEqual(['fraud/b']);
  expect(await names({ orderBy: ['creation_time DESC'] })).toEqual(['rain', 'fraud/a']);
  const first = await tracking.searchExperiments({ limit: 1, orderBy: ['name'] });
  expect(await names({ limit: 1, cursor: first.cursor })).toEqual(['rain']);
  await tracking.removeExperimentTags('rain', ['of', 'none']);
  expect((await tracking.getExperiment('rain')).tags).toEqual({});
  await expect(names({ filter: 'color = 1' })).rejects.toMatchObject({ code: 'SYNTAX' });
});

test('a run that is told of later began and ended when it did; deleted ones are found when all are asked for', async () => {
  const { tracking } = shared.fresh().platform;
  const run = await tracking.startRun({ ...quick, startedAt: 1_000 });
  await expect(run.finish('COMPLETED', undefined, { endedAt: Number.NaN })).rejects.toMatchObject({
    code: 'INVALID',
  });
  await run.finish('COMPLETED', undefined, { endedAt: 5_000 });
  const found = await tracking.getRun(run.id);
  expect(found).toMatchObject({ startedAt: 1_000, endedAt: 5_000, durationMs: 4_000 });
  await tracking.deleteRun(run.id);
  const of = { experiment: 'e' };
  expect((await tracking.searchRuns(of)).runs).toEqual([]);
  expect((await tracking.searchRuns({ ...of, lifecycle: 'all' })).runs).toHaveLength(1);
});

test("tags of MLflow's clients do not count as the user's own, and may be longer", async () => {
  const { tracking } = shared.fresh().platform;
  const run = await tracking.startRun(quick);
  const many = (prefix: string) =>
    Object.fromEntries(Array.from({ length: 50 }, (_, i) => [`${prefix}${i}`, 'x']));
  await run.setTags(many('own'));
  await run.setTags({ ...many('mlflow.'), 'mlflow.note.content': 'x'.repeat(100_000) });
  await expect(run.setTag('one more', 'x')).rejects.toMatchObject({ code: 'INVALID' });
  await expect(run.setTag('mlflow.x', 'x'.repeat(100_001))).rejects.toMatchObject({
    code: 'INVALID',
  });
});
