import { createHash } from 'node:crypto';
import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import {
  isKeelsonError,
  openPlatform,
  type Platform,
  type RemoteOptions,
  type RemotePlatform,
  syncDirectory,
} from '@keelson/core';
import { describe, expect, onTestFinished, test } from 'vitest';
import { ChildProgram } from '../../../core/test/child-program.ts';
import { type LogLine, until } from '../../../core/test/open-test-platform.ts';
import { startServer } from '../../src/start-server.ts';
import { LineBetween } from './line-between.ts';

const trainer = new URL('./trainer.ts', import.meta.url);
const serve = new URL('../children/serve.ts', import.meta.url);
const quick = { experiment: 'weather', environment: false } as const;

async function directory(): Promise<string> {
  const dir = await mkdtemp(join(tmpdir(), 'keelson-test-'));
  onTestFinished(() => rm(dir, { recursive: true, force: true, maxRetries: 20, retryDelay: 50 }));
  return dir;
}

/** A platform, a real server in front of it, and a line on which things happen. */
async function bed(options: { readonly access?: true } = {}): Promise<{
  readonly local: Platform;
  readonly line: LineBetween;
  readonly logs: LogLine[];
  client(more?: Partial<RemoteOptions>): Promise<RemotePlatform>;
}> {
  const dir = await directory();
  const principal = { id: 'user:ana', roles: options.access === true ? [] : ['admin'] };
  const local = await openPlatform({ dir: join(dir, '.keelson'), principal, ...options });
  const server = await startServer(local, { port: 0 });
  const line = await LineBetween.open(() => server.url);
  const logs: LogLine[] = [];
  const log = (level: LogLine['level']) => (fields: object, message: string) => {
    logs.push({ level, message, fields: fields as LogLine['fields'] });
  };
  const logger = { debug: log('debug'), info: log('info'), warn: log('warn'), error: log('error') };
  onTestFinished(async () => {
    await line[Symbol.asyncDispose]();
    await server.close({ timeoutMs: 100 });
    await local.close();
  });
  return {
    local,
    line,
    logs,
    async client(more = {}) {
      const given = { url: line.url, dir: join(dir, 'client'), logger, ...more };
      const platform = await openPlatform(given);
      onTestFinished(() => platform.close({ timeoutMs: 2_000 }));
      return platform;
    },
  };
}

const once = (steps: ArrayLike<number>): readonly number[] => [...new Set(Array.from(steps))];
const upTo = (count: number): readonly number[] => Array.from({ length: count }, (_, i) => i);

describe('what is said at the opening', () => {
  test('a wrong token, none, a server that is away, and one that is none: each by its name', async () => {
    const { local, client, line } = await bed({ access: true });
    await expect(client({ token: 'wrong' })).rejects.toMatchObject({
      code: 'FORBIDDEN',
      message: expect.stringMatching(/does not take the token .*KEELSON_TOKEN/),
    });
    await expect(client()).rejects.toMatchObject({
      message: expect.stringContaining('asks for a token'),
    });
    const { secret } = await local.operations.access.createApiKey({ name: 'x', scopes: ['*'] });
    const platform = await client({ token: secret });
    expect(platform.principal.id).toBe('user:ana');
    await expect(client({ token: secret, workspace: 'other' })).rejects.toMatchObject({
      message: expect.stringContaining('serves workspace default, not other'),
    });
    const away = { url: 'http://127.0.0.1:9', retryMs: 0 };
    await expect(client(away)).rejects.toMatchObject({
      code: 'UNAVAILABLE',
      message: expect.stringContaining('keelson sync'),
    });
    line.fate = () => ({ status: 404 });
    await expect(client({ token: secret })).rejects.toMatchObject({ code: 'INCOMPATIBLE' });
    await expect(client({ url: 'ftp://x' })).rejects.toMatchObject({ code: 'INVALID' });
    const mixed = { url: line.url, access: true } as RemoteOptions;
    await expect(openPlatform(mixed)).rejects.toMatchObject({
      message: expect.stringContaining('access'),
    });
  });

  test('what needs the stores says what to do', async () => {
    const { client } = await bed();
    const platform = (await client()) as unknown as Platform;
    for (const call of [
      () => platform.pipelines.start('nightly'),
      () => platform.tracking.exportExperiments({ to: 'x' }),
      () => platform.as({ workspace: 'other' }),
      () => platform.start(),
    ]) {
      expect(call).toThrow(expect.objectContaining({ code: 'UNSUPPORTED' }));
    }
  });
});

describe('a line on which things happen', () => {
  test('answers that are lost double nothing: points, params, runs, datasets, files', async () => {
    const { local, line, client } = await bed();
    const platform = await client();
    let asked = 0;
    line.fate = () => (asked++ % 2 === 0 ? 'lose-answer' : 'pass');
    const run = await platform.tracking.startRun(quick);
    for (let step = 0; step < 30_000; step += 1) run.logMetric('loss', step, { step });
    await run.flush();
    await run.logParams({ depth: 6 });
    await run.logDataset({ name: 'rain', digest: 'd1', role: 'train' });
    await run.logArtifact('w.bin', Buffer.alloc(300_000, 1));
    await run.finish();
    line.fate = () => 'pass';
    const { tracking } = local;
    const { steps, values } = await tracking.getMetricHistory(run.id, 'loss');
    expect(Array.from(steps)).toEqual(upTo(30_000));
    expect(Array.from(values)).toEqual(upTo(30_000));
    expect(await tracking.getParamHistory(run.id)).toHaveLength(1);
    expect((await tracking.listArtifacts(run.id)).artifacts.map(({ path }) => path)).toEqual([
      'w.bin',
    ]);
    expect(await tracking.listDatasets(run.id)).toHaveLength(1);
    expect(await tracking.countRuns({ exact: true })).toMatchObject({ count: 1 });
    const { registry } = platform;
    const from = { runId: run.id, path: 'w.bin' };
    const version = await registry.register({ model: 'rain', from, format: 'CUSTOM' });
    expect(version).toMatchObject({ version: '1.0.0', metrics: { loss: 29_999 } });
    const files = { '2': Buffer.from('two'), a: Buffer.from('a'), 'b/c': Buffer.from('p') };
    await registry.register({ model: 'rain', from: { files }, format: 'CUSTOM' });
    expect((await registry.resolve('rain@2')).files.map(({ path }) => path)).toHaveLength(3);
    expect(await tracking.getRun(run.id)).toMatchObject({
      status: 'COMPLETED',
      userId: 'user:ana',
    });
  });

  test('an outage of 500s, of 429s that say when, and of cuts: nothing waits, nothing is lost', async () => {
    const { local, line, client } = await bed();
    const platform = await client();
    const run = await platform.tracking.startRun(quick);
    const fates = [
      { status: 500 },
      { status: 429, headers: { 'retry-after': '1' } },
      'cut',
      { status: 503 },
    ] as const;
    let asked = 0;
    let refused = 0;
    line.fate = (path) => {
      if (!path.includes('/points') || refused >= 8) return 'pass';
      refused += 1;
      return fates[asked++ % fates.length] ?? 'pass';
    };
    const began = performance.now();
    for (let step = 0; step < 50_000; step += 1) run.logMetric('loss', step, { step });
    expect(performance.now() - began).toBeLessThan(5_000);
    await run.flush({ timeoutMs: 60_000 });
    expect(refused).toBe(8);
    const { steps } = await local.tracking.getMetricHistory(run.id, 'loss');
    expect(Array.from(steps)).toEqual(upTo(50_000));
    expect(run.health).toMatchObject({ lostPoints: {}, pendingPoints: 0 });
  }, 90_000);

  test('a download goes on where it broke, and is verified', async () => {
    const { line, client } = await bed();
    const platform = await client();
    const bytes = Buffer.alloc(6_000_000, 'rain');
    const run = await platform.tracking.startRun(quick);
    await run.logArtifact('big.bin', bytes);
    let breaks = 0;
    line.fate = (path) => (path.includes('big.bin') && breaks++ < 3 ? 'cut-answer' : 'pass');
    const read = await platform.tracking.readArtifact(run.id, 'big.bin');
    expect(createHash('sha256').update(read).digest('hex')).toBe(
      createHash('sha256').update(bytes).digest('hex'),
    );
    expect(breaks).toBeGreaterThan(3);
  });

  test('more than memory and spool hold is thinned, counted by key and said; the end is told later', async () => {
    const { local, line, logs, client } = await bed();
    // A spool that cannot be written: a file lies in its place.
    const spoolDir = join(await directory(), 'file', 'spool');
    await writeFile(join(spoolDir, '..'), 'in the way');
    const metrics = { memoryBytes: 65_536, spoolDir };
    const platform = await client({ metrics, retryMs: 200 });
    const run = await platform.tracking.startRun(quick);
    line.fate = () => 'cut';
    const deadline = performance.now() + 60_000;
    let logged = 0;
    while (Object.keys(run.health.lostPoints).length === 0 && performance.now() < deadline) {
      for (let i = 0; i < 500; i += 1) run.logMetric('loss', logged, { step: logged++ });
      await new Promise((resolve) => setTimeout(resolve, 5));
    }
    expect(run.health.lostPoints['loss']).toBeGreaterThan(0);
    expect(run.health.lastError).toMatch(/is not reached|ENOTDIR/);
    line.fate = () => 'pass';
    await run.flush({ timeoutMs: 60_000 });
    await run.finish();
    const lost = run.health.lostPoints['loss'] ?? 0;
    const { steps } = await local.tracking.getMetricHistory(run.id, 'loss');
    expect(steps.length + lost).toBe(logged);
    expect(once(steps)).toHaveLength(steps.length);
    expect((await local.tracking.getRun(run.id)).lostPoints).toEqual({ loss: lost });
    await platform.close();
    expect(logs.map(({ message }) => message).join('\n')).toMatch(/metric points were lost/);
  }, 120_000);

  test('a key that is revoked is named while the training goes on; its points wait for a better one', async () => {
    const { local, logs, client } = await bed({ access: true });
    const { access } = local.operations;
    const first = await access.createApiKey({ name: 'first', scopes: ['*'] });
    const platform = await client({ token: first.secret, retryMs: 0 });
    const run = await platform.tracking.startRun(quick);
    await access.revokeApiKey(first.key.id);
    await until('the key is refused', async () => {
      return platform.tracking.getRun(run.id).then(
        () => false,
        (error: unknown) => isKeelsonError(error, 'FORBIDDEN'),
      );
    });
    for (let step = 0; step < 1_000; step += 1) run.logMetric('loss', step, { step });
    await until('somebody is told', () =>
      logs.some(({ message }) => /does not take the token/.test(message)),
    );
    await platform.close({ timeoutMs: 2_000 });
    const second = await access.createApiKey({ name: 'second', scopes: ['*'] });
    await client({ token: second.secret });
    await until('the points arrive', async () => {
      const { steps } = await local.tracking.getMetricHistory(run.id, 'loss');
      return steps.length === 1_000;
    });
    expect(platform.url).toContain('127.0.0.1');
  }, 60_000);
});

describe('processes that are killed', () => {
  test('a server: what it acknowledged is there, and what it did not comes once it is back', async () => {
    const dir = await directory();
    const store = join(dir, '.keelson');
    let server = new ChildProgram(serve, [store]);
    const url = await server.line(/^http/);
    const platform = await openPlatform({ url, dir: join(dir, 'client') });
    onTestFinished(() => platform.close({ timeoutMs: 1_000 }));
    const run = await platform.tracking.startRun(quick);
    let step = 0;
    const log = (count: number): void => {
      for (let i = 0; i < count; i += 1) run.logMetric('loss', step, { step: step++ });
    };
    for (let kill = 0; kill < 2; kill += 1) {
      log(5_000);
      await new Promise((resolve) => setTimeout(resolve, 100 + 150 * kill));
      await server.kill();
      log(5_000);
      await until('the outage is seen', () => run.health.lastError !== undefined);
      server = new ChildProgram(serve, [store, new URL(url).port]);
      await server.line(/^http/);
    }
    await run.flush({ timeoutMs: 60_000 });
    await run.finish();
    const history = await platform.tracking.getMetricHistory(run.id, 'loss');
    expect(Array.from(history.steps)).toEqual(upTo(20_000));
    expect(await platform.tracking.getRun(run.id)).toMatchObject({ status: 'COMPLETED' });
    await server.kill();
  }, 120_000);

  test('a client: what it knew to be durable is there; what lay in its spool the next one sends', async () => {
    const { local, line, client } = await bed();
    const dir = join(await directory(), 'client');
    const program = new ChildProgram(trainer, [dir, 'killed', '0'], {
      env: { ...process.env, KEELSON_URL: line.url },
    });
    await program.line(/^durable 1000$/);
    line.fate = (path) => (path.includes('/points') ? { status: 503 } : 'pass');
    const other = new ChildProgram(trainer, [dir, 'spooling', '2500'], {
      env: { ...process.env, KEELSON_URL: line.url },
    });
    await other.line(/^spooled 2500$/);
    await program.kill();
    await other.kill();
    line.fate = () => 'pass';
    await client({ dir });
    await until('the spool arrives', async () => {
      const { steps } = await local.tracking.getMetricHistory('spooling', 'loss');
      return steps.length === 2_500;
    });
    const { steps } = await local.tracking.getMetricHistory('killed', 'loss');
    expect(steps.length).toBeGreaterThanOrEqual(1_000);
    expect(Array.from(steps)).toEqual(upTo(steps.length));
  }, 120_000);
});

describe('syncDirectory', () => {
  async function offline(): Promise<{ readonly dir: string; readonly ids: readonly string[] }> {
    const dir = join(await directory(), '.keelson');
    await using platform = await openPlatform({ dir });
    const ids: string[] = [];
    for (let i = 0; i < 3; i += 1) {
      const parent = ids[0] === undefined ? {} : { parentRunId: ids[0] };
      const run = await platform.tracking.startRun({
        ...quick,
        params: { i },
        tags: { by: 'ana' },
        ...parent,
      });
      for (const step of [0, 1, 1, 5, 3])
        run.logMetric('loss', step === 3 ? Number.NaN : i, { step });
      await run.logArtifact('model/w.bin', Buffer.alloc(1_000, i));
      await run.logDataset({ name: 'rain', digest: 'd1', role: 'train' });
      await run.finish(i === 2 ? 'FAILED' : 'COMPLETED', i === 2 ? 'diverged' : undefined);
      ids.push(run.id);
    }
    await platform.registry.register({
      model: 'rain',
      from: { runId: ids[0] ?? '', path: 'model' },
      format: 'CUSTOM',
    });
    return { dir, ids };
  }

  async function same(here: Platform, dir: string, ids: readonly string[]): Promise<void> {
    await using there = await openPlatform({ dir });
    for (const id of ids) {
      const [a, b] = [await there.tracking.getRun(id), await here.tracking.getRun(id)];
      for (const key of [
        'name',
        'status',
        'statusReason',
        'startedAt',
        'endedAt',
        'params',
        'tags',
        'parentRunId',
      ] as const)
        expect(b[key], key).toEqual(a[key]);
      expect(await here.tracking.getMetricHistory(id, 'loss')).toEqual(
        await there.tracking.getMetricHistory(id, 'loss'),
      );
      const files = async ({ tracking }: Pick<Platform, 'tracking'>) =>
        (await tracking.listArtifacts(id)).artifacts.map(({ path, sha256 }) => [path, sha256]);
      expect(await files(here)).toEqual(await files(there));
      expect(await here.tracking.listDatasets(id)).toEqual(await there.tracking.listDatasets(id));
    }
  }

  test('pushes all there is; again nothing; what has changed since, and no more', async () => {
    const { local, line } = await bed();
    const { dir, ids } = await offline();
    await local.tracking.createExperiment({ name: 'weather' });
    const first = await syncDirectory({ dir, url: line.url });
    expect(first).toMatchObject({
      runs: 3,
      unchanged: 0,
      points: 15,
      artifacts: 3,
      versions: 1,
      failed: [],
    });
    await same(local, dir, ids);
    expect((await local.registry.resolve('rain@1.0.0')).files).toHaveLength(1);
    const again = await syncDirectory({ dir, url: line.url });
    expect(again).toMatchObject({ runs: 0, unchanged: 3, points: 0, artifacts: 0, versions: 0 });
    // What is known of the server may be lost: all is compared, and nothing doubled.
    await rm(join(dir, 'sync'), { recursive: true });
    expect(await syncDirectory({ dir, url: line.url })).toMatchObject({ points: 0, artifacts: 0 });
    {
      await using platform = await openPlatform({ dir });
      const run = await platform.tracking.resumeRun(ids[1] ?? '');
      run.logMetric('loss', 0.5, { step: 1 });
      run.logMetric('acc', 0.5);
      await run.finish();
    }
    expect(await syncDirectory({ dir, url: line.url })).toMatchObject({ runs: 1, points: 2 });
    await same(local, dir, ids);
    expect((await local.tracking.listExperiments()).experiments).toHaveLength(1);
  }, 90_000);

  test('broken off anywhere, another completes it', async () => {
    const { local, line } = await bed();
    const { dir, ids } = await offline();
    for (const after of [3, 6, 9, 14]) {
      let asked = 0;
      line.fate = () => (asked++ < after ? 'pass' : 'lose-answer');
      await expect(syncDirectory({ dir, url: line.url, retryMs: 0 })).rejects.toMatchObject({
        code: 'UNAVAILABLE',
      });
    }
    line.fate = () => 'pass';
    expect(await syncDirectory({ dir, url: line.url })).toMatchObject({ failed: [] });
    await same(local, dir, ids);
    expect(await local.registry.listVersions('rain')).toHaveLength(1);
    // What was kept half, as by a process that was killed, is compared anew; nothing goes twice.
    const [state = '', ...more] = await readdir(join(dir, 'sync'));
    expect(more).toEqual([]);
    const kept = await readFile(join(dir, 'sync', state), 'utf8');
    await writeFile(join(dir, 'sync', state), kept.slice(0, -3));
    const again = await syncDirectory({ dir, url: line.url });
    expect(again).toMatchObject({ failed: [], points: 0, artifacts: 0, versions: 0 });
    expect(await syncDirectory({ dir, url: line.url })).toMatchObject({ runs: 0 });
  }, 90_000);
});
