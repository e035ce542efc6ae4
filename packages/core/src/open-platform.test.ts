import { chmod, mkdir, readdir, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { ChildProgram, childFile } from '../test/child-program.ts';
import { openTestPlatform, temporaryDirectory, until } from '../test/open-test-platform.ts';
import { openStores } from './embedded/open-stores.ts';
import { openPlatform, type Platform } from './open-platform.ts';
import { definePipeline } from './pipelines/define-pipeline.ts';
import type { PlatformOptions } from './platform-options.ts';
import type { PlatformRole } from './platform-roles.ts';

const quick = { experiment: 'e', environment: false } as const;

describe('options', () => {
  test.each<[string, unknown, string]>([
    ['an unknown option', { directory: '.' }, '"directory"'],
    ['an unknown metrics option', { metrics: { flush: 5 } }, '"flush"'],
    ['a directory that is a number', { dir: 7 }, 'dir'],
    ['an empty directory', { dir: '' }, 'dir'],
    ['NUL in the directory', { dir: 'a\u0000b' }, 'dir: must be Unicode text without NUL'],
    ['an empty workspace', { workspace: '' }, 'workspace'],
    ['a lone surrogate as workspace', { workspace: '\ud800' }, 'workspace: must be Unicode'],
    ['a principal without roles', { principal: { id: 'user:ana' } }, 'principal.roles'],
    ['a clock that is none', { clock: {} }, 'clock: must be a Clock (an object with now)'],
    ['a logger that is console.log', { logger: () => 1 }, 'logger: must be a Logger'],
    ['a timeout of half a second as text', { heartbeatTimeoutMs: '500' }, 'heartbeatTimeoutMs'],
    ['a timeout of nothing', { heartbeatTimeoutMs: 0 }, 'heartbeatTimeoutMs'],
    ['an unknown policy', { metrics: { onFull: 'wait' } }, 'metrics.onFull'],
    ['no object', 'here', 'openPlatform'],
  ])('%s: INVALID, naming it and what there is; nothing is made', async (_, options, message) => {
    const here = await temporaryDirectory();
    const before = process.cwd();
    process.chdir(here);
    try {
      await expect(openPlatform(options as PlatformOptions)).rejects.toMatchObject({
        code: 'INVALID',
        message: expect.stringContaining(message),
      });
      await expect(openPlatform(options as PlatformOptions)).rejects.toThrow('Known options: ');
      expect(await readdir(here)).toEqual([]);
    } finally {
      process.chdir(before);
    }
  });

  test('platform.as takes a workspace and a principal, and no more', async () => {
    const { platform } = await openTestPlatform();
    for (const other of [{ workspce: 'a' }, { workspace: '' }, { principal: { id: 'a' } }, 'a']) {
      expect(() => platform.as(other as object)).toThrow(
        expect.objectContaining({ code: 'INVALID' }),
      );
    }
    const ana = { id: 'user:ana', roles: ['approver'] };
    const other = platform.as({ workspace: 'other', principal: ana });
    expect(other).toMatchObject({ workspace: 'other', principal: ana });
    expect(platform.as({ workspace: 'other', principal: ana })).toBe(other);
    expect(platform.as({}).workspace).toBe(platform.workspace);
  });
});

describe('a directory that cannot be used', () => {
  test('of a newer format: INCOMPATIBLE with the remedy, and left as it is', async () => {
    const { platform, dir } = await openTestPlatform();
    await platform.close();
    await writeFile(join(dir, 'format'), '2\n');
    await expect(openPlatform({ dir })).rejects.toMatchObject({
      code: 'INCOMPATIBLE',
      message: expect.stringMatching(/newer version.*Update @keelson\/core/),
    });
    await writeFile(join(dir, 'format'), '1\n');
    await (await openPlatform({ dir })).close();
  });

  test('that may not be written: UNAVAILABLE with the remedy', async () => {
    const parent = await temporaryDirectory();
    const dir = join(parent, '.keelson');
    await chmod(parent, 0o755);
    await mkdir(dir, { mode: 0o555 });
    for (const path of [dir, join(dir, 'below')]) {
      const child = new ChildProgram(childFile('open-as-nobody'), [path]);
      const line = await child.line(/./);
      expect(line).toMatch(/^UNAVAILABLE .*permissions/);
      expect(line).toContain(path);
    }
  });

  test('on a network file system: UNSUPPORTED with the remedy, and nothing is made', async () => {
    const parent = await temporaryDirectory();
    const nfs = { type: async () => 0x6969, mountType: async () => undefined };
    await expect(
      openStores({ dir: join(parent, '.keelson'), kinds: [], fileSystem: nfs }),
    ).rejects.toMatchObject({
      code: 'UNSUPPORTED',
      message: expect.stringMatching(/network file system \(NFS\).*local disk/),
    });
    expect(await readdir(parent)).toEqual([]);
  });

  test('a damaged database: CORRUPT; what was opened before is closed again', async () => {
    const { platform, dir } = await openTestPlatform();
    await platform.tracking.startRun(quick);
    await platform.close();
    const file = join(dir, 'keelson.db');
    await rename(file, join(dir, 'aside'));
    await writeFile(file, 'this is no database, '.repeat(1000));
    const open = async (): Promise<number> => (await readdir('/proc/self/fd')).length;
    const before = process.platform === 'linux' ? await open() : 0;
    for (let i = 0; i < 5; i += 1) {
      await expect(openPlatform({ dir })).rejects.toMatchObject({
        code: 'CORRUPT',
        message: expect.stringContaining(file),
      });
    }
    if (process.platform === 'linux') expect(await open()).toBeLessThanOrEqual(before + 1);
    await rm(file);
    await rename(join(dir, 'aside'), file);
    const again = (await openTestPlatform({ dir })).platform;
    expect((await again.tracking.searchRuns()).runs).toHaveLength(1);
  });
});

describe('workspaces', () => {
  test('see nothing of each other', async () => {
    const { platform } = await openTestPlatform();
    const other = platform.as({ workspace: 'other' });
    const mine = await platform.tracking.startRun({ ...quick, name: 'mine' });
    mine.logMetric('m', 1);
    await mine.logText('a.txt', 'x');
    await mine.finish();
    expect(await other.tracking.findRun(mine.id)).toBeUndefined();
    expect((await other.tracking.searchRuns()).runs).toEqual([]);
    expect(await other.tracking.findExperiment('e')).toBeUndefined();
    await expect(other.tracking.readArtifact(mine.id, 'a.txt')).rejects.toMatchObject({
      code: 'NOT_FOUND',
    });
    await expect(other.tracking.getMetricHistory(mine.id, 'm')).rejects.toMatchObject({
      code: 'NOT_FOUND',
    });
    expect(await Array.fromAsync(other.events.each())).toEqual([]);
    // The same id may be taken in both.
    const theirs = await other.tracking.startRun({ ...quick, id: mine.id, name: 'theirs' });
    expect(theirs.finished).toBe(false);
    expect((await platform.tracking.getRun(mine.id)).name).toBe('mine');
  });

  test('two platforms on one directory in one process work side by side', async () => {
    const one = await openTestPlatform();
    const two = await openTestPlatform({ dir: one.dir });
    const run = await one.platform.tracking.startRun(quick);
    const same = await two.platform.tracking.resumeRun(run.id);
    run.logMetric('a', 1);
    same.logMetric('b', 2);
    await Promise.all([run.flush(), same.flush()]);
    expect((await one.platform.tracking.getRun(run.id)).metrics).toEqual({ a: 1, b: 2 });
    await one.platform.close();
    await same.finish();
    expect(await two.platform.tracking.getRun(run.id)).toMatchObject({ status: 'COMPLETED' });
  });
});

describe('start', () => {
  test('drives subscriptions made before and after it, of other workspaces and persons too', async () => {
    const { platform } = await openTestPlatform();
    const seen: string[] = [];
    const other = platform.as({ workspace: 'other' });
    const types = ['run.started'];
    await platform.events.subscribe('before', { types }, () => void seen.push('before'));
    await other.events.subscribe('other before', { types }, () => void seen.push('other before'));
    platform.start();
    platform.start();
    const after = await platform.events.subscribe(
      'after',
      { types },
      () => void seen.push('after'),
    );
    await other.events.subscribe('other after', { types }, () => void seen.push('other after'));
    await platform.tracking.startRun(quick);
    await until('both are told', () => seen.length === 2);
    expect([...seen].sort()).toEqual(['after', 'before']);
    await other.tracking.startRun(quick);
    await until('the others are told', () => seen.length === 4);
    await after.unsubscribe();
    seen.length = 0;
    await platform.tracking.startRun(quick);
    await until('one is told', () => seen.length > 0);
    expect(seen).toEqual(['before']);
  });

  test('roles divide the work: each loop belongs to one, and what is of the process itself to all', async () => {
    const loopsOf = async (roles?: readonly PlatformRole[]): Promise<string[]> => {
      const { platform } = await openTestPlatform();
      platform.start(roles === undefined ? {} : { roles });
      const text = await platform.operations.metrics();
      await platform.close();
      const names = text.matchAll(/^keelson_loop_lag_seconds\{.*?loop="([^"]+)"/gm);
      return [...names].map(([, name]) => name as string).sort();
    };
    const [all, api, worker, monitor] = [
      await loopsOf(),
      await loopsOf(['api']),
      await loopsOf(['worker']),
      await loopsOf(['monitor']),
    ];
    expect(api).toContain('reaper');
    expect(api).not.toContain('pipelines');
    const own = (names: readonly string[]) => names.filter((name) => !api.includes(name));
    expect(own(worker)).toEqual(expect.arrayContaining(['pipelines', 'automations']));
    expect(own(monitor)).toEqual(expect.arrayContaining(['analyses', 'alerting']));
    expect([...api, ...own(worker), ...own(monitor)].sort()).toEqual(all);
    const { platform } = await openTestPlatform();
    for (const roles of [[], ['cook']] as unknown as PlatformRole[][])
      expect(() => platform.start({ roles })).toThrow(/api, worker, monitor/);
  });

  test('a handler that fails does not stop what else runs', async () => {
    const { platform, logs } = await openTestPlatform();
    platform.start();
    let seen = 0;
    const types = ['run.started'];
    await platform.events.subscribe('bad', { types, maxAttempts: 1 }, () => {
      throw new Error('always');
    });
    await platform.events.subscribe('good', { types }, () => {
      seen += 1;
    });
    await platform.tracking.startRun(quick);
    await platform.tracking.startRun(quick);
    await until(
      'all is handled',
      async () => seen === 2 && (await platform.events.deadLetters()).length === 2,
    );
    expect(logs.filter((line) => line.level === 'error')).toHaveLength(2);
  });
});

describe('leaving the process', () => {
  async function leave(
    how: string,
  ): Promise<{ readonly platform: Platform; readonly id: string; readonly code: number | null }> {
    const dir = join(await temporaryDirectory(), '.keelson');
    const child = new ChildProgram(childFile('leave'), [dir, how]);
    const { code } = await child.end();
    const id = child.lines.join('').replace('run ', '');
    return { platform: (await openTestPlatform({ dir })).platform, id, code };
  }

  test.each([
    ['exit', 3],
    ['throw', 1],
    ['end', 0],
    ['started', 0],
    ['finish', 0],
  ] as const)('%s, without a close: every point is there', async (how, wanted) => {
    const { platform, id, code } = await leave(how);
    expect(code).toBe(wanted);
    const history = await platform.tracking.getMetricHistory(id, 'm');
    expect(history.values).toEqual(Float64Array.from({ length: 10_000 }, (_, i) => i));
    // What did not finish still reads RUNNING, and soon FAILED.
    const { status } = await platform.tracking.getRun(id);
    expect(status).toBe(how === 'finish' ? 'COMPLETED' : 'RUNNING');
  });

  test('reject, and the end of a worker thread: every point is there', async () => {
    for (const [how, wanted] of [
      ['reject', 1],
      ['thread', 0],
    ] as const) {
      const { platform, id, code } = await leave(how);
      expect([how, code]).toEqual([how, wanted]);
      expect((await platform.tracking.getMetricHistory(id, 'm')).steps.length).toBe(10_000);
    }
  });

  test.each([
    ['SIGTERM', 'stay'],
    ['SIGINT', 'stay'],
    ['SIGTERM', 'handle'],
  ] as const)('%s to one that does %s', async (signal, how) => {
    const dir = join(await temporaryDirectory(), '.keelson');
    const child = new ChildProgram(childFile('leave'), [dir, how]);
    await child.line(/^ready/);
    child.signal(signal);
    const end = await child.end();
    expect(child.errors).toBe('');
    const { platform } = await openTestPlatform({ dir });
    const id = (child.lines[0] ?? '').replace('run ', '');
    const { steps } = await platform.tracking.getMetricHistory(id, 'm');
    expect(steps).toEqual(Float64Array.from(steps, (_, i) => i));
    const handled = how === 'handle';
    // Without a handler the system ends the process at once: what was flushed is there.
    expect(end).toEqual(handled ? { code: 0, signal: null } : { code: null, signal });
    expect(steps.length).toBe(handled ? 20_000 : 10_000);
    expect((await platform.tracking.getRun(id)).status).toBe(handled ? 'KILLED' : 'RUNNING');
  });

  test('an idle platform keeps no process alive', async () => {
    const { code } = await leave('idle');
    expect(code).toBe(0);
  });
});

describe('a closed platform', () => {
  test('closing twice, and at the same time, is fine', async () => {
    const { platform } = await openTestPlatform();
    await Promise.all([platform.close(), platform.close(), platform[Symbol.asyncDispose]()]);
    await platform.close();
  });

  test('closing makes durable what was logged', async () => {
    const { platform, dir } = await openTestPlatform();
    const run = await platform.tracking.startRun(quick);
    run.logMetric('m', 1);
    await platform.close();
    const again = (await openTestPlatform({ dir })).platform;
    expect((await again.tracking.getRun(run.id)).metrics).toEqual({ m: 1 });
    expect(await readFile(join(dir, 'format'), 'utf8')).toBe('1\n');
  });

  const deployment = { id: 'd', name: 'd' };
  const watching = { deployment, versionId: 'v', rules: [], reference: [], at: 0 };
  /** Arguments with which each method would do its work. Others are called with names of nothing. */
  const works: Readonly<Record<string, readonly unknown[]>> = {
    createExperiment: [{ name: 'x' }],
    updateExperiment: ['e', {}],
    setExperimentTags: ['e', { a: 'b' }],
    startRun: [quick],
    withRun: [quick, () => undefined],
    updateRun: ['r', {}],
    setRunTags: ['r', { a: 'b' }],
    removeRunTags: ['r', ['a']],
    reap: [{}],
    searchRuns: [{}],
    eachRun: [{}],
    countRuns: [{}],
    listExperiments: [{}],
    listArtifacts: ['r', {}],
    getMetricHistory: ['r', 'm'],
    getMetricsAt: ['r', 1],
    downsampleMetric: ['r', 'm', { buckets: 5 }],
    subscribe: ['s', { types: ['a'] }, () => undefined],
    deliver: [],
    settled: ['e', {}],
    each: [{}],
    follow: [{}, { signal: new AbortController().signal }],
    deadLetters: [],
    listModels: [],
    list: [],
    putDefinition: [
      definePipeline('p', { version: '1.0.0' }, (p) => {
        p.step('s', {}, async () => 1);
      }),
    ],
    startRollout: [
      { deployment: 'd', versionId: 'v', steps: [{ weightPercent: 100 }], reason: 'x' },
    ],
    watchLabels: [watching],
    rebaseline: [{ ...watching, reason: 'x' }],
  };
  /** What needs no store: closing once more, and what only speaks to this process. */
  const harmless = [
    ...['close', 'pipelines.add', 'tracking.experiment', 'monitoring.watch'],
    // Asks what the caller may, on the way of every prediction.
    'deployments.admit',
  ];

  test.each(['tracking', 'events', 'registry', 'pipelines', 'deployments', 'monitoring'] as const)(
    'every method of %s rejects with CLOSED',
    async (name) => {
      const { platform } = await openTestPlatform();
      const service = platform[name] as unknown as Record<string, (...args: unknown[]) => unknown>;
      const methods = Object.keys(service).filter((key) => typeof service[key] === 'function');
      await platform.close();
      expect(methods.length).toBeGreaterThan(4);
      for (const method of methods) {
        if (harmless.includes(method) || harmless.includes(`${name}.${method}`)) continue;
        const args = Object.hasOwn(works, method) ? works[method] : undefined;
        const outcome = await attempt(service, method, args ?? ['none', 'none', 'none']);
        // Without knowing what a method takes, being refused for that is as good.
        const allowed = args === undefined ? ['CLOSED', 'INVALID'] : ['CLOSED'];
        expect(allowed, `${name}.${method}: ${String(outcome)}`).toContain(
          (outcome as { readonly code?: string }).code,
        );
      }
    },
  );

  async function attempt(
    service: Readonly<Record<string, (...args: unknown[]) => unknown>>,
    method: string,
    args: readonly unknown[],
  ): Promise<unknown> {
    try {
      const answer = service[method]?.(...args);
      if (typeof answer === 'object' && answer !== null && Symbol.asyncIterator in answer) {
        return await (answer as AsyncIterable<unknown>)[Symbol.asyncIterator]().next();
      }
      return await answer;
    } catch (error) {
      return error;
    }
  }

  test('and so do the handles of runs, as, and start', async () => {
    const { platform } = await openTestPlatform();
    const run = await platform.tracking.startRun(quick);
    await platform.close();
    const closed = expect.objectContaining({ code: 'CLOSED' });
    expect(() => platform.as({})).toThrow(closed);
    expect(() => platform.start()).toThrow(closed);
    expect(() => run.logMetric('m', 1)).toThrow(closed);
    expect(() => run.logMetrics({ m: 1 })).toThrow(closed);
    expect(() => run.health).toThrow(closed);
    for (const call of [
      () => run.logParams({ a: 1 }),
      () => run.logParam('a', 1),
      () => run.setTags({ a: 'b' }),
      () => run.setTag('a', 'b'),
      () => run.logArtifact('a', new Uint8Array(1)),
      () => run.logText('a', 'x'),
      () => run.logJson('a', 1),
      () => run.logFigure('a', '<svg/>'),
      () => run.logDataset({ name: 'd', digest: 'x', role: 'train' }),
      () => run.flush(),
      () => run.finish(),
    ]) {
      await expect(call(), call.toString()).rejects.toMatchObject({ code: 'CLOSED' });
    }
  });
});
