import { createReadStream } from 'node:fs';
import { mkdir, readdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { filledPlatform } from '../../test/moving/filled-platform.ts';
import { wholeOf } from '../../test/moving/whole-of.ts';
import {
  openTestPlatform,
  sharePlatform,
  temporaryDirectory,
} from '../../test/open-test-platform.ts';
import type { Services } from '../open-platform.ts';

const shared = sharePlatform();
const quick = { environment: false } as const;
const bytes = (text: string): Uint8Array => new TextEncoder().encode(text);

/** All files below a directory, by path. */
async function filesOf(directory: string): Promise<Readonly<Record<string, string>>> {
  const entries = await readdir(directory, { recursive: true, withFileTypes: true });
  const files = entries.filter((entry) => entry.isFile()).map((e) => join(e.parentPath, e.name));
  const read = await Promise.all(
    files
      .toSorted()
      .map(
        async (file): Promise<[string, string]> => [
          file.slice(directory.length + 1),
          (await readFile(file)).toString('hex'),
        ],
      ),
  );
  return Object.fromEntries(read);
}

/** The experiments of which events say that they were imported. */
async function importsToldBy({ events }: Pick<Services, 'events'>): Promise<readonly unknown[]> {
  const told: unknown[] = [];
  for await (const { payload } of events.each({ types: ['experiment.imported'] })) {
    told.push(payload['experimentId']);
  }
  return told;
}

describe('an experiment moves', () => {
  test.each(['fraud', 'fraud.tar', 'fraud.tar.gz', 'fraud.TGZ'])('by %s', async (name) => {
    const { platform: from } = shared.fresh();
    await filledPlatform(from);
    const dir = await temporaryDirectory();
    const to = join(dir, name);
    const exported = await from.tracking.exportExperiments({ to });
    const { platform } = shared.fresh();
    const report = await platform.tracking.importExperiments({ from: to });
    const { sizeBytes: _, running, ...counts } = exported;
    expect(report.added).toEqual(counts);
    expect(Object.values(report.skipped).every((count) => count === 0)).toBe(true);
    expect(running).toEqual({ count: 0, runIds: [] });
    expect(await wholeOf(platform)).toEqual(await wholeOf(from));
    // What is stored alike gives equal bytes.
    await platform.tracking.exportExperiments({ to: join(dir, `again-${name}`) });
    const both = [to, join(dir, `again-${name}`)];
    const [first, second] = await Promise.all(
      both.map((path) =>
        name === 'fraud' ? filesOf(path) : readFile(path).then((one) => one.toString('hex')),
      ),
    );
    expect(second).toEqual(first);
    // Nothing is left beside.
    expect((await readdir(dir)).toSorted()).toEqual([`again-${name}`, name].toSorted());
  });

  test('by a stream, plain or compressed', async () => {
    const { platform: from } = shared.fresh();
    await filledPlatform(from);
    const dir = await temporaryDirectory();
    await from.tracking.exportExperiments({ to: join(dir, 'x.tar') });
    await from.tracking.exportExperiments({ to: join(dir, 'x.tar.gz') });
    const pieces: Uint8Array[] = [];
    const to = new WritableStream<Uint8Array>({
      write(piece) {
        pieces.push(piece);
      },
    });
    await from.tracking.exportExperiments({ to });
    expect(Buffer.concat(pieces).equals(await readFile(join(dir, 'x.tar')))).toBe(true);
    const sources = [
      ReadableStream.from(pieces),
      createReadStream(join(dir, 'x.tar.gz'), { highWaterMark: 100 }),
    ];
    for (const source of sources) {
      const { platform } = shared.fresh();
      await platform.tracking.importExperiments({ from: source });
      expect(await wholeOf(platform)).toEqual(await wholeOf(from));
    }
  });

  test('to another platform, from which it moves on', async () => {
    const { platform: first } = shared.fresh();
    await filledPlatform(first);
    const dir = await temporaryDirectory();
    await first.tracking.exportExperiments({ to: join(dir, 'x.tar') });
    const { platform: second } = await openTestPlatform();
    await second.tracking.importExperiments({ from: join(dir, 'x.tar') });
    expect(await wholeOf(second)).toEqual(await wholeOf(first));
    // What came goes on like anything else.
    const [experiment] = (await second.tracking.listExperiments()).experiments;
    const { runs } = await second.tracking.searchRuns({
      filter: "attributes.status = 'COMPLETED'",
    });
    const run = runs[0]?.id ?? '';
    await second.tracking.updateRun(run, { description: 'moved' });
    await second.tracking.setExperimentTags(experiment?.id ?? '', { moved: 'yes' });
    const resumed = await second.tracking.resumeRun(run);
    resumed.logMetric('loss', 0.25);
    await resumed.finish();
    expect((await second.tracking.getRun(run)).metrics['loss']).toBe(0.25);
    expect(await importsToldBy(second)).toContain(experiment?.id);
  });
});

describe('what is exported', () => {
  test('runs that have not ended are left out and told of; what is deleted comes when asked for', async () => {
    const { platform } = shared.fresh();
    const { tracking } = platform;
    const running = await tracking.startRun({ experiment: 'a', ...quick });
    const gone = await tracking.withRun({ experiment: 'a', ...quick }, async (run) => run.id);
    await tracking.withRun({ experiment: 'b', ...quick }, async () => undefined);
    const b = await tracking.getExperiment('b');
    await tracking.deleteRun(gone);
    await tracking.deleteExperiment('b');
    const dir = await temporaryDirectory();
    const plain = await tracking.exportExperiments({ to: join(dir, 'plain') });
    expect(plain).toMatchObject({
      experiments: 1,
      runs: 0,
      running: { count: 1, runIds: [running.id] },
    });
    const whole = await tracking.exportExperiments({ to: join(dir, 'all'), includeDeleted: true });
    expect(whole).toMatchObject({ experiments: 2, runs: 2 });
    const { platform: other } = shared.fresh();
    await other.tracking.importExperiments({ from: join(dir, 'all') });
    expect((await other.tracking.getRun(gone)).lifecycle).toBe('deleted');
    expect((await other.tracking.getExperiment(b.id)).lifecycle).toBe('deleted');
    // By its id a deleted one may be asked for alone.
    const one = await tracking.exportExperiments({ to: join(dir, 'b'), experiments: [b.id] });
    expect(one).toMatchObject({ experiments: 1, runs: 1 });
    await running.finish();
  });

  test('chosen experiments, with a parent that stays behind kept by its id', async () => {
    const { platform } = shared.fresh();
    const { tracking } = platform;
    const parent = await tracking.withRun({ experiment: 'a', ...quick }, async (run) => run.id);
    const child = await tracking.withRun(
      { experiment: 'b', parentRunId: parent, ...quick },
      async (run) => {
        run.logMetric('used', 1);
        return run.id;
      },
    );
    await tracking.defineMetric({ name: 'used', aliases: ['u'] });
    await tracking.defineMetric({ name: 'unused' });
    const to = join(await temporaryDirectory(), 'b.tar');
    const report = await tracking.exportExperiments({ to, experiments: ['b'] });
    expect(report).toMatchObject({ experiments: 1, runs: 1, metricNames: 2 });
    const { platform: other } = shared.fresh();
    await other.tracking.importExperiments({ from: to });
    expect((await other.tracking.getRun(child)).parentRunId).toBe(parent);
    expect(await other.tracking.findRun(parent)).toBeUndefined();
    expect((await other.tracking.listMetricNames()).map(({ name }) => name)).toEqual(['used']);
  });

  test.each<[string, (dir: string) => object, string, string]>([
    [
      'an experiment that is not there',
      (dir) => ({ to: join(dir, 'x'), experiments: ['no'] }),
      'NOT_FOUND',
      'no',
    ],
    ['a target that is there', (dir) => ({ to: dir }), 'CONFLICT', 'already'],
    ['a file that is there', (dir) => ({ to: join(dir, 'there.tar') }), 'CONFLICT', 'there.tar'],
    ['a zip', (dir) => ({ to: join(dir, 'x.zip') }), 'UNSUPPORTED', 'tar'],
    ['no target', () => ({}), 'INVALID', 'to'],
    ['an unknown option', (dir) => ({ to: join(dir, 'x'), into: 'y' }), 'INVALID', 'into'],
    [
      'no experiment at all',
      (dir) => ({ to: join(dir, 'x'), experiments: [] }),
      'INVALID',
      'experiments',
    ],
  ])('%s is refused', async (_, options, code, naming) => {
    const { platform } = shared.fresh();
    const dir = await temporaryDirectory();
    await writeFile(join(dir, 'there.tar'), 'x');
    await expect(
      platform.tracking.exportExperiments(options(dir) as { to: string }),
    ).rejects.toMatchObject({ code, message: expect.stringContaining(naming) });
    expect(await readdir(dir)).toEqual(['there.tar']);
  });

  test('an empty directory becomes the export; nothing to export is an export too', async () => {
    const { platform } = shared.fresh();
    const to = join(await temporaryDirectory(), 'empty');
    await mkdir(to);
    expect(await platform.tracking.exportExperiments({ to })).toMatchObject({ experiments: 0 });
    expect(await readdir(to)).toEqual(['manifest.json']);
    const { added } = await platform.tracking.importExperiments({ from: to });
    expect(added.experiments).toBe(0);
  });

  test('an aborted export leaves nothing behind', async () => {
    const { platform } = shared.fresh();
    await filledPlatform(platform);
    for (const phase of ['records', 'content']) {
      const dir = await temporaryDirectory();
      const controller = new AbortController();
      const exporting = platform.tracking.exportExperiments({
        to: join(dir, 'x.tar'),
        signal: controller.signal,
        onProgress: (progress) => {
          if (progress.phase === phase) controller.abort();
        },
      });
      await expect(exporting).rejects.toMatchObject({ code: 'ABORTED' });
      expect(await readdir(dir)).toEqual([]);
    }
  });
});

describe('what is here already', () => {
  async function moved(): Promise<{ from: Services; path: string; to: Services }> {
    const { platform: from } = shared.fresh();
    await filledPlatform(from);
    const path = join(await temporaryDirectory(), 'x.tar');
    await from.tracking.exportExperiments({ to: path });
    const { platform: to } = shared.fresh();
    await to.tracking.importExperiments({ from: path });
    return { from, path, to };
  }

  test('is skipped and counted when it is the same', async () => {
    const { path, to } = await moved();
    const before = await wholeOf(to);
    const { added, skipped } = await to.tracking.importExperiments({ from: path });
    expect(Object.values(added).every((count) => count === 0)).toBe(true);
    expect(skipped).toMatchObject({ experiments: 2, runs: 5 });
    expect(await wholeOf(to)).toEqual(before);
    expect(await importsToldBy(to)).toHaveLength(2);
  });

  test.each<[string, (to: Services, run: string) => Promise<unknown>, string]>([
    ['a tag of a run', (to, run) => to.tracking.setRunTags(run, { other: 'x' }), 'run'],
    ['a description', (to, run) => to.tracking.updateRun(run, { description: 'x' }), 'run'],
    [
      'an experiment',
      (to) => to.tracking.setExperimentTags('fraud/cnn', { other: 'x' }),
      'experiment',
    ],
    [
      'an agreed metric name',
      (to) => to.tracking.defineMetric({ name: 'loss', unit: 'other' }),
      'metric_name',
    ],
  ])('%s that differs is a CONFLICT that names it', async (_, change, kind) => {
    const { path, to } = await moved();
    const { runs } = await to.tracking.searchRuns({ filter: "attributes.status = 'COMPLETED'" });
    await change(to, runs[0]?.id ?? '');
    const before = await wholeOf(to);
    await expect(to.tracking.importExperiments({ from: path })).rejects.toMatchObject({
      code: 'CONFLICT',
      details: { kind },
    });
    expect(await wholeOf(to)).toEqual(before);
  });

  test('other points of a run are a CONFLICT that names run and metric', async () => {
    const { path, to } = await moved();
    const { runs } = await to.tracking.searchRuns({ filter: 'metrics.loss.count > 0' });
    const id = runs[0]?.id ?? '';
    const resumed = await to.tracking.resumeRun(id);
    resumed.logMetric('loss', 1);
    await resumed.finish();
    await expect(to.tracking.importExperiments({ from: path })).rejects.toMatchObject({
      code: 'CONFLICT',
      details: { kind: 'run', id },
    });
  });

  test('another experiment of the name keeps it', async () => {
    const { path } = await moved();
    const { platform } = shared.fresh();
    const { tracking } = platform;
    await tracking.createExperiment({ name: 'fraud/cnn' });
    await expect(tracking.importExperiments({ from: path })).rejects.toMatchObject({
      code: 'CONFLICT',
      message: expect.stringContaining('fraud/cnn'),
    });
    expect(await tracking.countRuns({ exact: true })).toMatchObject({ count: 0 });
    await tracking.updateExperiment('fraud/cnn', { name: 'mine' });
    expect((await tracking.importExperiments({ from: path })).added.runs).toBe(5);
  });

  test('a dataset stays as it was first described; own metric names stay as agreed here', async () => {
    const { platform: from } = shared.fresh();
    const dataset = { name: 'd', digest: '1', role: 'train' } as const;
    const id = await from.tracking.withRun({ experiment: 'e', ...quick }, async (run) => {
      await run.logDataset({ ...dataset, rowCount: 5 });
      run.logMetric('l', 1);
      return run.id;
    });
    await from.tracking.defineMetric({ name: 'loss', aliases: ['l'], unit: 'there' });
    const path = join(await temporaryDirectory(), 'x');
    await from.tracking.exportExperiments({ to: path });
    const { platform } = shared.fresh();
    const { tracking } = platform;
    await tracking.withRun({ experiment: 'own', ...quick }, (run) =>
      run.logDataset({ ...dataset, rowCount: 7 }),
    );
    await tracking.defineMetric({ name: 'loss', unit: 'here' });
    const { skipped } = await tracking.importExperiments({ from: path });
    expect(skipped).toMatchObject({ datasets: 1, metricNames: 2 });
    expect(await tracking.listDatasets(id)).toMatchObject([{ name: 'd', rowCount: 7 }]);
    expect(await tracking.listMetricNames()).toEqual([{ name: 'loss', aliases: [], unit: 'here' }]);
  });

  test('two imports at once do it once', async () => {
    const { platform: from } = shared.fresh();
    await filledPlatform(from);
    const path = join(await temporaryDirectory(), 'x.tar');
    await from.tracking.exportExperiments({ to: path });
    const { platform } = shared.fresh();
    const reports = await Promise.all(
      [1, 2, 3].map(() => platform.tracking.importExperiments({ from: path })),
    );
    expect(reports.map(({ added }) => added.runs).toSorted()).toEqual([0, 0, 5]);
    expect(await wholeOf(platform)).toEqual(await wholeOf(from));
  });

  test('what a broken import left of other points gives way', async () => {
    const { platform: from } = shared.fresh();
    const id = await from.tracking.withRun({ experiment: 'e', ...quick }, async (run) => {
      for (let step = 0; step < 10; step += 1) run.logMetric('loss', step, { step });
      return run.id;
    });
    const dir = await temporaryDirectory();
    await from.tracking.exportExperiments({ to: join(dir, 'x.tar') });
    const { platform: home } = await openTestPlatform();
    await home.tracking.importExperiments({ from: join(dir, 'x.tar') });
    // Gone for good, its writer's numbers stay taken; and it comes back whole.
    await home.tracking.deleteRun(id);
    await home.operations.gc({ olderThanMs: 0 });
    expect(await home.tracking.findRun(id)).toBeUndefined();
    await home.tracking.importExperiments({ from: join(dir, 'x.tar') });
    expect([...(await home.tracking.getMetricHistory(id, 'loss')).values]).toHaveLength(10);
  });
});

describe('large runs', () => {
  test('a run with more parts than a commit holds is there with all of them', async () => {
    const { platform: from } = shared.fresh();
    const id = await from.tracking.withRun({ experiment: 'e', ...quick }, async (run) => {
      for (let i = 0; i < 1_100; i += 1) await run.logParams({ [`p${i}`]: i });
      await run.logArtifact('a.txt', bytes('a'));
      return run.id;
    });
    const path = join(await temporaryDirectory(), 'x');
    await from.tracking.exportExperiments({ to: path });
    const { platform } = shared.fresh();
    const { added } = await platform.tracking.importExperiments({ from: path });
    expect(added).toMatchObject({ runs: 1, paramEntries: 1_100, artifacts: 1 });
    expect(await platform.tracking.getParamHistory(id)).toHaveLength(1_100);
    expect(await wholeOf(platform)).toEqual(await wholeOf(from));
  });
});
