import { execFile } from 'node:child_process';
import { createHash } from 'node:crypto';
import { appendFile, cp, mkdir, mkdtemp, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { openPlatform, type Platform } from '@keelson/core';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { findPython } from '../../serve/test/python/interpreter.ts';
import { importMlflow, type MlflowImportReport } from '../src/import-mlflow/import-mlflow.ts';
import { runCli } from './cli-bed.ts';
import { shareMlflowServer } from './mlflow-server.ts';

/** What MLflow itself says of what it has written. */
interface Written {
  readonly model_id: string;
  readonly runs: readonly {
    readonly id: string;
    readonly experiment: string;
    readonly name: string;
    readonly status: string;
    readonly lifecycle: string;
    readonly startedAt: number;
    readonly endedAt: number;
    readonly params: Readonly<Record<string, string>>;
    readonly tags: Readonly<Record<string, string>>;
    readonly points: Readonly<Record<string, readonly (readonly [number, number, string])[]>>;
  }[];
}

const python = findPython();
const server = shareMlflowServer();
let home = '';
let mlruns = '';
let written: Written;
let report: MlflowImportReport;

beforeAll(async () => {
  home = await mkdtemp(join(tmpdir(), 'keelson-import-'));
  if (python === undefined) return;
  // Moved after it was written, as directories are: its files name paths that are no more.
  const made = join(home, 'made', 'mlruns');
  const script = fileURLToPath(new URL('python/make_mlruns.py', import.meta.url));
  const { stdout } = await promisify(execFile)(python, [script, made], { maxBuffer: 2 ** 24 });
  written = JSON.parse(stdout.split('\n').find((line) => line.startsWith('{')) ?? '');
  mlruns = join(home, 'mlruns');
  await cp(made, mlruns, { recursive: true });
  await rm(made, { recursive: true });
  report = await importMlflow(server.platform, { from: mlruns });
}, 120_000);
afterAll(() => rm(home, { recursive: true, force: true }));

/** Another platform, for the time of the work. */
async function withPlatform<T>(name: string, work: (platform: Platform) => Promise<T>): Promise<T> {
  const platform = await openPlatform({ dir: join(home, name) });
  try {
    return await work(platform);
  } finally {
    await platform.close();
  }
}

const statuses: Readonly<Record<string, string>> = { FINISHED: 'COMPLETED' };

/** Everything that MLflow said is here. */
async function expectAll({ tracking, registry }: Platform, last = '4.0.0'): Promise<void> {
  for (const run of written.runs) {
    const here = await tracking.getRun(run.id);
    const { 'mlflow.runName': _, ...tags } = run.tags;
    expect(here).toMatchObject({
      ...{ name: run.name, startedAt: run.startedAt, endedAt: run.endedAt, params: run.params },
      ...{ status: statuses[run.status] ?? run.status, lifecycle: run.lifecycle, tags },
    });
    for (const [key, points] of Object.entries(run.points)) {
      const { steps, timestamps, values } = await tracking.getMetricHistory(run.id, key);
      const ours = Array.from(steps, (step, i) => [step, timestamps[i], values[i]]);
      const theirs = points.map(([step, at, value]) => [step, at, numberOf(value)]);
      expect(ours).toEqual(theirs.toSorted((a, b) => Number(a[0]) - Number(b[0])));
    }
  }
  const parent = written.runs.find(({ name }) => name === 'parent')?.id ?? '';
  const { runs: nested } = await tracking.searchRuns({ parentRunId: parent });
  expect(nested.map(({ name }) => name)).toEqual(['early']);
  const weights = await tracking.readArtifact(parent, 'model/deep/weights.bin');
  expect(sha256(weights)).toBe(
    sha256(Buffer.alloc(1_024_000, Buffer.from(Uint8Array.from(Array(256).keys())))),
  );
  expect((await tracking.getArtifact(parent, 'model/é space.txt')).sizeBytes).toBe(0);
  expect(await tracking.listDatasets(parent)).toMatchObject([
    { name: 'rain', role: 'train', rowCount: 3, sourceUri: 's3://b/rain.csv' },
  ]);
  const [logged] = (await tracking.searchLoggedModels({})).models;
  expect(logged).toMatchObject({ name: 'tree', status: 'READY', params: { depth: '3' } });
  const versions = await registry.listVersions('fraud');
  expect(versions.map(({ version, stage, files }) => [version, stage, files.length])).toEqual([
    ['1.0.0', 'PRODUCTION', 3],
    ['2.0.0', 'STAGING', 3],
    [last, 'DEVELOPMENT', 1],
  ]);
  expect(versions[0]?.lineage.sourceRunId).toBe(parent);
  expect((await registry.resolve('fraud@champion')).version).toBe('2.0.0');
  expect(await registry.getModel('fraud')).toMatchObject({ tags: { team: 'risk' } });
}

function numberOf(text: string): number {
  return Number(text.replace('inf', 'Infinity').replace('nan', 'NaN'));
}

function sha256(bytes: Uint8Array): string {
  return createHash('sha256').update(bytes).digest('hex');
}

test.skipIf(python === undefined)(
  'what MLflow has in a directory is here, and nothing is doubled by importing again',
  async () => {
    expect(report.skipped).toEqual([]);
    await expectAll(server.platform);
    const { experiments } = await server.platform.tracking.searchExperiments({ lifecycle: 'all' });
    const states = experiments.map(({ name, lifecycle }) => `${name} ${lifecycle}`);
    expect(states.toSorted()).toEqual(['Default active', 'first active', 'removed deleted']);
    expect(report.added).toMatchObject({
      ...{ experiments: 3, runs: 4, params: 3, points: 904, datasets: 1, loggedModels: 1 },
      ...{ artifacts: 6, models: 1, versions: 3, aliases: 1 },
    });
    const again = await importMlflow(server.platform, { from: mlruns });
    expect(Object.values(again.added).every((count) => count === 0)).toBe(true);
    expect(again.there).toMatchObject({ experiments: 3, runs: 4, versions: 3 });
    await expectAll(server.platform);
  },
  60_000,
);

test.skipIf(python === undefined)(
  'the command makes a platform where none is, tells what it did, and what it left out by its exit code',
  async () => {
    const dir = join(home, 'by-command');
    const first = await runCli(['import-mlflow', 'mlruns'], { dir, cwd: home });
    expect(first).toMatchObject({ code: 0, stderr: '' });
    expect(first.stdout).toMatch(
      /ADDED {2}HERE BEFORE\n[\s\S]*runs +4 +0\npar[\s\S]*points +904 +0\n/,
    );
    const argv = ['import-mlflow', 'mlruns', '--experiment', 'none', '--no-models'];
    const again = await runCli(argv, { dir, cwd: home });
    expect(again.code).toBe(3);
    expect(again.stdout).toContain('experiment none: ');
    expect((await runCli([...argv, '--json'], { dir, cwd: home })).json()).toMatchObject({
      ...{ skippedCount: 1, added: { runs: 0 } },
    });
    const none = await runCli(['import-mlflow', 'nothing'], { dir, cwd: home });
    expect([none.code, none.stderr]).toEqual([1, expect.stringContaining('its server (http')]);
  },
  60_000,
);

test.skipIf(python === undefined)(
  'a running server is imported by its protocol',
  async () => {
    await withPlatform('from-server', async (platform) => {
      const options = { from: `${server.url}/`, experiments: ['first', 'removed', 'none'] };
      const { skipped } = await importMlflow(platform, options);
      const left = skipped.filter(({ what }) => what !== 'experiment none');
      expect(left).toEqual([]);
      expect(skipped).toHaveLength(1);
      // A server of ours numbers versions without gaps.
      await expectAll(platform, '3.0.0');
      const again = await importMlflow(platform, options);
      expect(again.added).toMatchObject({ runs: 0, points: 0, artifacts: 0, versions: 0 });
    });
  },
  60_000,
);

test.skipIf(python === undefined)(
  'an import that is broken off anywhere goes on where it stopped',
  async () => {
    await withPlatform('broken-off', async (platform) => {
      let broken = 0;
      for (let at = 2; ; at += 3) {
        try {
          await importMlflow(platform, { from: mlruns, signal: abortedAt(at) });
          break;
        } catch (error) {
          expect((error as Error).name).toBe('AbortError');
          broken += 1;
        }
      }
      expect(broken).toBeGreaterThan(3);
      await expectAll(platform);
    });
  },
  60_000,
);

/** Aborted at the n-th look at it. */
function abortedAt(n: number): AbortSignal {
  const controller = new AbortController();
  const { signal } = controller;
  let looks = 0;
  Object.defineProperty(signal, 'throwIfAborted', {
    value: () => {
      looks += 1;
      if (looks === n) controller.abort();
      AbortSignal.prototype.throwIfAborted.call(signal);
    },
  });
  return signal;
}

test.skipIf(python === undefined)(
  'nothing outside of the directory is read, and what is broken is left out by name',
  async () => {
    const hostile = join(home, 'hostile');
    await cp(mlruns, hostile, { recursive: true });
    await writeFile(join(home, 'secret'), 'secret');
    await mkdir(join(home, 'outside'));
    await writeFile(join(home, 'outside', 'file'), 'secret');
    const run = written.runs.find(({ name }) => name === 'parent')?.id ?? '';
    const other = written.runs.find(({ name }) => name === 'early')?.id ?? '';
    const experiment = (
      await server.platform.tracking.searchExperiments({ filter: "name = 'first'" })
    ).experiments[0]?.tags['keelson.mlflow.experiment_id'] as string;
    const at = join(hostile, experiment);
    await symlink(join(home, 'secret'), join(at, run, 'artifacts', 'link'));
    await symlink(join(home, 'outside'), join(at, run, 'artifacts', 'folder'));
    await symlink(join(home, 'secret'), join(at, run, 'params', 'stolen'));
    await appendFile(join(at, run, 'metrics', 'odd'), 'no point\n1 2 3 4\n1 x 3\n');
    await writeFile(join(at, run, 'params', 'a..b'), '1');
    await rm(join(at, other, 'artifacts'), { recursive: true, force: true });
    await symlink(join(home, 'outside'), join(at, other, 'artifacts'));
    const broken = join(at, 'f'.repeat(32));
    await mkdir(broken);
    await writeFile(join(broken, 'meta.yaml'), 'run_id: [unclosed\n');
    const liar = join(at, 'e'.repeat(32));
    await mkdir(liar);
    await writeFile(join(liar, 'meta.yaml'), 'run_id: ../../../etc\n');
    const thief = join(at, 'd'.repeat(32));
    await mkdir(thief);
    await writeFile(
      join(thief, 'meta.yaml'),
      `run_id: ${'d'.repeat(32)}\nstatus: 3\nstart_time: 1\nend_time: 2\nartifact_uri: ${join(home, 'outside')}\n`,
    );
    await withPlatform('from-hostile', async (platform) => {
      const { skipped } = await importMlflow(platform, { from: hostile });
      const lines = skipped.map(({ what, why }) => `${what}: ${why}`).join('\n');
      for (const said of [
        /artifacts\/link: it is a symbolic link/,
        /artifacts\/folder: it is a symbolic link/,
        /params\/stolen: it is a symbolic link/,
        /metrics\/odd: line 5 is no point: "no point", and 1 more/,
        /param a\.\.b of run .*empty part/,
        /f{32}\/meta\.yaml: it cannot be read/,
        /e{32}\/meta\.yaml: it says run_id "\.\.\/\.\.\/\.\.\/etc"/,
        /artifacts of run d{32}: they lie at .*outside of what is imported/,
      ]) {
        expect(lines).toMatch(said);
      }
      const stored = JSON.stringify([
        await platform.tracking.listArtifacts(run),
        await platform.tracking.listArtifacts(other),
        await platform.tracking.getRun(run),
      ]);
      expect(stored).not.toContain('secret');
      expect((await platform.tracking.listArtifacts(other)).artifacts).toEqual([]);
      expect(await platform.tracking.findRun('d'.repeat(32))).toMatchObject({ endedAt: 2 });
      expect(await platform.tracking.findRun('f'.repeat(32))).toBeUndefined();
    });
  },
  60_000,
);

test('a database of MLflow is read without being written to; other files are refused', async () => {
  const path = join(home, 'mlflow.db');
  const id = 'a'.repeat(32);
  const db = new DatabaseSync(path);
  db.exec(`
    CREATE TABLE experiments (experiment_id INTEGER PRIMARY KEY, name, artifact_location, lifecycle_stage, creation_time);
    CREATE TABLE experiment_tags (key, value, experiment_id, PRIMARY KEY (key, experiment_id));
    CREATE TABLE runs (run_uuid PRIMARY KEY, name, user_id, status, start_time, end_time, lifecycle_stage, artifact_uri, experiment_id INTEGER);
    CREATE TABLE params (key, value, run_uuid, PRIMARY KEY (key, run_uuid));
    CREATE TABLE tags (key, value, run_uuid, PRIMARY KEY (key, run_uuid));
    CREATE TABLE metrics (key, value, timestamp, run_uuid, step, is_nan, PRIMARY KEY (key, timestamp, step, run_uuid, value, is_nan));
    INSERT INTO experiments VALUES (1, 'first', 'mlflow-artifacts:/1', 'active', 5);
    INSERT INTO runs VALUES ('${id}', 'one', 'ada', 'FINISHED', 1000, 2000, 'active', 'mlflow-artifacts:/1/${id}/artifacts', 1);
    INSERT INTO params VALUES ('depth', '3', '${id}');
    INSERT INTO tags VALUES ('team', 'risk', '${id}');
    INSERT INTO metrics VALUES ('odd', 0, 1, '${id}', 0, 1), ('odd', 1.7976931348623157e308, 2, '${id}', 1, 0);
    WITH RECURSIVE n(i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i < 24999)
      INSERT INTO metrics SELECT 'loss', i / 2.0, i, '${id}', i, 0 FROM n;
  `);
  db.close();
  await mkdir(join(home, 'mlartifacts', '1', id, 'artifacts'), { recursive: true });
  await writeFile(join(home, 'mlartifacts', '1', id, 'artifacts', 'a.txt'), 'text');
  await withPlatform('from-database', async (platform) => {
    const { added, skipped } = await importMlflow(platform, { from: `sqlite:///${path}` });
    expect(skipped).toEqual([]);
    expect(added).toMatchObject({ experiments: 1, runs: 1, points: 25_002, artifacts: 1 });
    const { tracking } = platform;
    expect(await tracking.getRun(id)).toMatchObject({
      ...{ name: 'one', params: { depth: '3' }, startedAt: 1000, endedAt: 2000 },
      tags: { team: 'risk', 'mlflow.user': 'ada' },
      metrics: { loss: 12_499.5, odd: Number.POSITIVE_INFINITY },
    });
    const [, odd] = (await tracking.getMetricSummaries(id)).toSorted((a, b) =>
      a.key < b.key ? -1 : 1,
    );
    expect(odd).toMatchObject({ key: 'odd', count: 2, nanCount: 1 });
    const secret = join(home, 'no.db');
    await writeFile(secret, 'no database');
    await expect(importMlflow(platform, { from: secret })).rejects.toMatchObject({
      code: 'INVALID',
    });
    await expect(importMlflow(platform, { from: join(home, 'none') })).rejects.toThrow(
      /mlflow\.db/,
    );
    await expect(importMlflow(platform, { from: tmpdir() })).rejects.toThrow(
      /no directory of MLflow/,
    );
    const nobody = importMlflow(platform, { from: 'postgresql://host/db' });
    await expect(nobody).rejects.toMatchObject({ code: 'UNSUPPORTED' });
  });
});
