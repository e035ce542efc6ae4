import { setTimeout as sleep } from 'node:timers/promises';
import { describe, expect, test } from 'vitest';
import { openTestPlatform, sharePlatform, until } from '../../test/open-test-platform.ts';
import type { JsonObject } from '../json.ts';
import { uuidV7 } from '../uuid.ts';
import { currentRun } from './active-run.ts';
import type { StartRunOptions } from './start-run-options.ts';

const shared = sharePlatform();
const quick = { experiment: 'e', environment: false } as const;

describe('startRun', () => {
  test('gives back what was given, types kept', async () => {
    const { platform } = shared.fresh();
    const { tracking } = platform;
    const run = await tracking.startRun({
      ...quick,
      name: 'first',
      description: 'words',
      params: { optimizer: { name: 'adam', rate: 0.001 }, text: '0.001', layers: [64, 32] },
      tags: { team: 'vision' },
      sourceType: 'NOTEBOOK',
    });
    const read = await tracking.getRun(run.id);
    expect(read).toMatchObject({
      id: run.id,
      experimentId: run.experimentId,
      name: 'first',
      description: 'words',
      status: 'RUNNING',
      sourceType: 'NOTEBOOK',
      params: {
        'optimizer.name': 'adam',
        'optimizer.rate': 0.001,
        text: '0.001',
        layers: [64, 32],
      },
      tags: { team: 'vision' },
      lifecycle: 'active',
      environment: {},
    });
    expect(read.endedAt).toBeUndefined();
    expect(await tracking.getParams(run.id)).toEqual({
      optimizer: { name: 'adam', rate: 0.001 },
      text: '0.001',
      layers: [64, 32],
    });
    await run.finish();
    const ended = await tracking.getRun(run.id);
    expect(ended.status).toBe('COMPLETED');
    expect(ended.heartbeatAt).toBeUndefined();
    expect(ended.durationMs).toBe((ended.endedAt ?? 0) - ended.startedAt);
  });

  test('a readable name is made, and the environment captured without being asked', async () => {
    const { platform } = shared.fresh();
    const run = await platform.tracking.startRun({ experiment: 'e' });
    expect(run.name).toMatch(/^[a-z]+-[a-z]+-\d{1,3}$/);
    const { environment } = await platform.tracking.getRun(run.id);
    expect(environment).toMatchObject({ machine: { node: process.versions.node } });
  });

  test.each<[string, unknown, string]>([
    ['no experiment', {}, 'experiment'],
    ['an empty experiment', { experiment: '' }, '1 to 255'],
    ['an unknown option', { ...quick, tag: {} }, '"tag"'],
    ['an unknown environment option', { experiment: 'e', environment: { gti: true } }, '"gti"'],
    ['an unknown source type', { ...quick, sourceType: 'CRON' }, 'sourceType'],
    ['an empty name', { ...quick, name: '' }, 'name is empty'],
    ['a long name', { ...quick, name: 'n'.repeat(256) }, 'at most 255'],
    ['a lone surrogate in the name', { ...quick, name: '\ud800' }, 'lone surrogate'],
    [
      '51 tags',
      { ...quick, tags: Object.fromEntries([...Array(51)].map((_, i) => [i, ''])) },
      '51 tags',
    ],
    ['params that are no object', { ...quick, params: 'rate=1' }, 'params'],
    ['params that are no JSON', { ...quick, params: { f: () => 1 } }, 'param f'],
    ['a signal that is none', { ...quick, signal: {} }, 'AbortSignal'],
    ['an empty id', { ...quick, id: '' }, 'run id is empty'],
    ['no object', undefined, 'A run was given'],
  ])('%s is refused by name, and nothing is made', async (_, options, message) => {
    const { platform } = shared.fresh();
    const { tracking } = platform;
    for (const call of [
      () => tracking.startRun(options as StartRunOptions),
      () => tracking.withRun(options as StartRunOptions, () => expect.unreachable()),
    ]) {
      await expect(call()).rejects.toMatchObject({
        code: 'INVALID',
        message: expect.stringContaining(message),
      });
    }
    expect((await tracking.listExperiments()).experiments).toEqual([]);
  });

  test('a parent that does not exist is NOT_FOUND', async () => {
    const { platform } = shared.fresh();
    const { tracking } = platform;
    await expect(tracking.startRun({ ...quick, parentRunId: 'none' })).rejects.toMatchObject({
      code: 'NOT_FOUND',
    });
    const parent = await tracking.startRun(quick);
    const child = await tracking.startRun({ ...quick, parentRunId: parent.id });
    const { runs } = await tracking.searchRuns({ parentRunId: parent.id });
    expect(runs.map((run) => run.id)).toEqual([child.id]);
  });

  test('started again under its id it is the same run, by ten callers at once too', async () => {
    const { platform } = shared.fresh();
    const { tracking } = platform;
    const id = uuidV7();
    const runs = await Promise.all(
      Array.from({ length: 10 }, () => tracking.startRun({ ...quick, id })),
    );
    expect(new Set(runs.map((run) => run.id))).toEqual(new Set([id]));
    expect(await tracking.countRuns({ exact: true })).toMatchObject({ count: 1 });
    // All handles see that the run has ended.
    await runs[0]?.finish();
    expect(runs.map((run) => run.finished)).toEqual(Array(10).fill(true));
    expect(() => runs[9]?.logMetric('m', 1)).toThrow('is finished');
  });

  test('a run that has ended takes nothing, whoever starts it again', async () => {
    const { platform } = shared.fresh();
    const { tracking } = platform;
    const id = uuidV7();
    await (await tracking.startRun({ ...quick, id })).finish();
    const again = await tracking.startRun({ ...quick, id });
    expect(again.finished).toBe(true);
    expect(() => again.logMetric('m', 1)).toThrow('resumeRun');
    await expect(again.logParams({ a: 1 })).rejects.toMatchObject({ code: 'CONFLICT' });
    await expect(again.logText('a.txt', 'x')).rejects.toMatchObject({ code: 'CONFLICT' });
    await again.finish('COMPLETED');
    await expect(again.finish('FAILED')).rejects.toMatchObject({ code: 'CONFLICT' });
  });
});

describe('the status of a run', () => {
  test.each(['COMPLETED', 'FAILED', 'KILLED'] as const)(
    'RUNNING → %s and no further',
    async (status) => {
      const { platform } = shared.fresh();
      const { tracking } = platform;
      const run = await tracking.startRun(quick);
      await run.finish(status, 'why');
      await run.finish(status, 'again');
      expect(await tracking.getRun(run.id)).toMatchObject({ status, statusReason: 'why' });
      for (const other of ['COMPLETED', 'FAILED', 'KILLED'] as const) {
        if (other === status) continue;
        await expect(run.finish(other)).rejects.toMatchObject({
          code: 'CONFLICT',
          message: expect.stringContaining(`is ${status} and cannot become ${other}`),
        });
      }
    },
  );

  test('an unknown status is refused, and the run goes on', async () => {
    const { platform } = shared.fresh();
    const run = await platform.tracking.startRun(quick);
    for (const status of ['DONE', 'RUNNING', undefined as never, 7]) {
      if (status === undefined) continue;
      await expect(run.finish(status as 'FAILED')).rejects.toMatchObject({ code: 'INVALID' });
    }
    expect(run.finished).toBe(false);
    run.logMetric('m', 1);
    await run.finish();
  });

  test('a finished run is closed to params, metrics and artifacts, and open to tags', async () => {
    const { platform } = shared.fresh();
    const { tracking } = platform;
    const run = await tracking.startRun(quick);
    const other = await tracking.resumeRun(run.id);
    run.logMetric('m', 1);
    await run.finish();
    for (const handle of [run, other]) {
      expect(() => handle.logMetric('m', 2)).toThrow(expect.objectContaining({ code: 'CONFLICT' }));
      expect(() => handle.logMetrics({ m: 2 })).toThrow('is finished');
      for (const late of [
        () => handle.logParams({ a: 1 }),
        () => handle.logParam('a', 1),
        () => handle.logArtifact('a', new Uint8Array(1)),
        () => handle.logJson('a', 1),
        () => handle.logDataset({ name: 'd', digest: 'x', role: 'train' }),
      ]) {
        await expect(late()).rejects.toMatchObject({
          code: 'CONFLICT',
          message: expect.stringContaining('resumeRun'),
        });
      }
      await handle.setTag('late', 'yes');
    }
    await tracking.setRunTags(run.id, { later: 'too' });
    await tracking.removeRunTags(run.id, ['late', 'never there']);
    await tracking.updateRun(run.id, { description: 'words', name: 'renamed' });
    expect(await tracking.getRun(run.id)).toMatchObject({
      tags: { later: 'too' },
      description: 'words',
      name: 'renamed',
      metrics: { m: 1 },
    });
    expect((await tracking.getMetricHistory(run.id, 'm')).values).toEqual(new Float64Array([1]));
  });

  test('a run that another process ended takes no params and artifacts', async () => {
    const { platform, dir } = await openTestPlatform();
    const elsewhere = (await openTestPlatform({ dir })).platform;
    const run = await platform.tracking.startRun(quick);
    await (await elsewhere.tracking.resumeRun(run.id)).finish('KILLED');
    await expect(run.logParams({ a: 1 })).rejects.toMatchObject({
      code: 'CONFLICT',
      message: expect.stringContaining('is KILLED'),
    });
    await expect(run.logText('a.txt', 'x')).rejects.toMatchObject({ code: 'CONFLICT' });
    await expect(run.finish('COMPLETED')).rejects.toMatchObject({ code: 'CONFLICT' });
  });

  test('resumeRun reopens it, which its history tells', async () => {
    const { platform } = shared.fresh();
    const { tracking } = platform;
    const run = await tracking.startRun(quick);
    await run.finish('FAILED', 'ran out of disk');
    const again = await tracking.resumeRun(run.id);
    expect(await tracking.getRun(run.id)).toMatchObject({ status: 'RUNNING' });
    expect((await tracking.getRun(run.id)).statusReason).toBeUndefined();
    void again.logMetric('m', 1);
    await again.logParams({ a: 1 });
    await again.finish();
    expect(await tracking.getRun(run.id)).toMatchObject({ status: 'COMPLETED', metrics: { m: 1 } });
    await expect(tracking.resumeRun('none')).rejects.toMatchObject({ code: 'NOT_FOUND' });
  });

  test('deleting hides it, once; restoring brings it back', async () => {
    const { platform } = shared.fresh();
    const { tracking } = platform;
    const { id } = await tracking.startRun(quick);
    await tracking.deleteRun(id);
    await tracking.deleteRun(id);
    expect((await tracking.searchRuns()).runs).toEqual([]);
    expect((await tracking.searchRuns({ lifecycle: 'deleted' })).runs).toHaveLength(1);
    expect(await tracking.restoreRun(id)).toMatchObject({ lifecycle: 'active' });
    await tracking.restoreRun(id);
    const types: string[] = [];
    for await (const event of platform.events.each({ subjects: [`run:${id}`] }))
      types.push(event.type);
    expect(types).toEqual(['run.started', 'run.deleted', 'run.restored']);
  });

  test('a change based on an old revision is a conflict', async () => {
    const { platform } = shared.fresh();
    const { tracking } = platform;
    const { id } = await tracking.startRun(quick);
    const { revision } = await tracking.getRun(id);
    await tracking.updateRun(id, { name: 'mine', revision });
    await expect(tracking.updateRun(id, { name: 'yours', revision })).rejects.toMatchObject({
      code: 'CONFLICT',
      message: expect.stringContaining(`revision ${revision + 1}, not ${revision}`),
    });
    for (const change of [
      { nam: 'x' },
      { name: '' },
      { name: 1 },
      { description: 'd'.repeat(2049) },
    ]) {
      await expect(tracking.updateRun(id, change as object)).rejects.toMatchObject({
        code: 'INVALID',
      });
    }
    expect((await tracking.getRun(id)).name).toBe('mine');
  });
});

describe('withRun', () => {
  test('COMPLETED with what work returned; the run is current over async calls', async () => {
    const { platform } = shared.fresh();
    const { tracking } = platform;
    expect(currentRun()).toBeUndefined();
    const answer = await tracking.withRun(quick, async (run) => {
      await sleep(1);
      await Promise.all([1, 2].map(async () => expect(currentRun()).toBe(run)));
      setImmediate(() => currentRun()?.logMetric('later', 1));
      await sleep(5);
      return run.id;
    });
    expect(currentRun()).toBeUndefined();
    expect(await tracking.getRun(answer)).toMatchObject({
      status: 'COMPLETED',
      metrics: { later: 1 },
    });
  });

  test('FAILED with the message of what work threw, which is thrown on', async () => {
    const { platform } = shared.fresh();
    const { tracking } = platform;
    const broken = new Error('loss is NaN');
    let id = '';
    const failing = tracking.withRun(quick, (run) => {
      id = run.id;
      throw broken;
    });
    await expect(failing).rejects.toBe(broken);
    expect(await tracking.getRun(id)).toMatchObject({
      status: 'FAILED',
      statusReason: 'loss is NaN',
    });
  });

  test.each<[string, unknown, string]>([
    ['a lone surrogate where it is cut', new Error(`${'x'.repeat(1998)}😀😀`), 'xxx'],
    ['NUL', new Error('bad\u0000byte'), 'bad\ufffdbyte'],
    ['text', 'just text', 'just text'],
    ['undefined', undefined, 'undefined'],
    [
      'an object without a prototype',
      Object.assign(Object.create(null), { toString: () => 'odd' }),
      'odd',
    ],
  ])('the reason is kept though it holds %s', async (_, thrown, reason) => {
    const { platform, logs } = shared.fresh();
    let id = '';
    const failing = platform.tracking.withRun(quick, (run) => {
      id = run.id;
      throw thrown;
    });
    await expect(failing).rejects.toSatisfy((error) => error === thrown);
    const run = await platform.tracking.getRun(id);
    expect(run.status).toBe('FAILED');
    expect(run.statusReason).toContain(reason);
    expect(logs.filter((line) => line.level === 'error')).toEqual([]);
  });

  test('KILLED when the signal was aborted, or work throws an AbortError', async () => {
    const { platform } = shared.fresh();
    const { tracking } = platform;
    const controller = new AbortController();
    let id = '';
    const killed = tracking.withRun({ ...quick, signal: controller.signal }, async (run) => {
      id = run.id;
      controller.abort(new Error('the user has had enough'));
      await sleep(10_000, undefined, { signal: controller.signal });
    });
    await expect(killed).rejects.toThrow();
    expect(await tracking.getRun(id)).toMatchObject({ status: 'KILLED' });

    // Work that does not look at the signal is not stopped by it, but the run was killed.
    const deaf = new AbortController();
    const answer = await tracking.withRun({ ...quick, signal: deaf.signal }, (run) => {
      deaf.abort(new Error('stop'));
      return run.id;
    });
    expect(await tracking.getRun(answer)).toMatchObject({ status: 'KILLED', statusReason: 'stop' });

    await expect(
      tracking.withRun({ ...quick, signal: AbortSignal.abort() }, () => expect.unreachable()),
    ).rejects.toMatchObject({ code: 'ABORTED' });
    expect(await tracking.countRuns({ exact: true })).toMatchObject({ count: 2 });
  });

  test('nested calls make nested runs, in parallel too', async () => {
    const { platform } = shared.fresh();
    const { tracking } = platform;
    const [outer, inner] = await tracking.withRun({ ...quick, name: 'sweep' }, async (sweep) => {
      const children = await Promise.all(
        [0, 1, 2].map((i) =>
          tracking.withRun({ ...quick, name: `run ${i}` }, async (run) => {
            await sleep(5);
            expect(currentRun()).toBe(run);
            return tracking.withRun(quick, (grandchild) => [run.id, grandchild.id]);
          }),
        ),
      );
      expect(currentRun()).toBe(sweep);
      return [sweep.id, children] as const;
    });
    for (const [child, grandchild] of inner) {
      expect((await tracking.getRun(child ?? '')).parentRunId).toBe(outer);
      expect((await tracking.getRun(grandchild ?? '')).parentRunId).toBe(child);
    }
  });

  test('the run of another platform is not a parent here', async () => {
    const one = (await openTestPlatform()).platform;
    const two = (await openTestPlatform()).platform;
    const id = await one.tracking.withRun(quick, () =>
      two.tracking.withRun(quick, (run) => run.id),
    );
    expect((await two.tracking.getRun(id)).parentRunId).toBeUndefined();
  });

  test('a run that work has finished itself stays as it is', async () => {
    const { platform } = shared.fresh();
    const id = await platform.tracking.withRun(quick, async (run) => {
      await run.finish('FAILED', 'accuracy too low');
      return run.id;
    });
    expect(await platform.tracking.getRun(id)).toMatchObject({
      status: 'FAILED',
      statusReason: 'accuracy too low',
    });
  });

  test('when the store fails too, what work threw is what comes out', async () => {
    const { platform, logs } = await openTestPlatform();
    const broken = new Error('the real reason');
    const failing = platform.tracking.withRun(quick, async () => {
      await platform.close();
      throw broken;
    });
    await expect(failing).rejects.toBe(broken);
    expect(logs.at(-1)).toMatchObject({
      level: 'error',
      message: expect.stringContaining('could not be ended'),
    });
  });
});

describe('run.completed', () => {
  test('carries status, final metrics and artifact paths', async () => {
    const { platform } = shared.fresh();
    const id = await platform.tracking.withRun(quick, async (run) => {
      run.logMetrics({ loss: Number.NaN, __proto__: 1, accuracy: 0.5 } as Record<string, number>);
      run.logMetric('__proto__', 7);
      run.logMetric('accuracy', 0.9);
      await run.logText('b.txt', 'b');
      await run.logText('a/a.txt', 'a');
      return run.id;
    });
    const filter = { types: ['run.completed'], subjects: [`run:${id}`] };
    const [event] = await Array.fromAsync(platform.events.each(filter));
    expect(event?.payload).toMatchObject({
      runId: id,
      status: 'COMPLETED',
      artifactPaths: ['a/a.txt', 'b.txt'],
    });
    const finalMetrics = event?.payload['finalMetrics'] as JsonObject;
    expect(Object.entries(finalMetrics).toSorted()).toEqual([
      ['__proto__', 7],
      ['accuracy', 0.9],
      ['loss', Number.NaN],
    ]);
  });

  test('a run of 6,000 metrics with long names ends all the same', async () => {
    const { platform } = shared.fresh();
    const id = await platform.tracking.withRun(quick, (run) => {
      for (let i = 0; i < 6000; i += 1) run.logMetric(`${'m'.repeat(200)}${i}`, i);
      return run.id;
    });
    expect(await platform.tracking.getRun(id)).toMatchObject({ status: 'COMPLETED' });
    const [event] = await Array.fromAsync(platform.events.each({ types: ['run.completed'] }));
    expect(event?.payload['truncated']).toBe(true);
    expect(Object.keys(event?.payload['finalMetrics'] as object).length).toBeGreaterThan(1000);
    expect((await platform.tracking.getMetricSummaries(id)).length).toBe(6000);
  });
});

describe('params', () => {
  test('an overwritten one keeps its history and warns', async () => {
    const { platform, logs } = shared.fresh();
    const { tracking } = platform;
    const run = await tracking.startRun({ ...quick, params: { rate: 0.1, kept: 1 } });
    await run.logParams({ rate: 0.01, kept: 1 });
    await run.logParam('rate', '0.01');
    await run.logParams({});
    expect(await tracking.getParams(run.id)).toEqual({ rate: '0.01', kept: 1 });
    const history = await tracking.getParamHistory(run.id);
    expect(history.map((entry) => entry.params)).toEqual([
      { rate: 0.1, kept: 1 },
      { rate: 0.01, kept: 1 },
      { rate: '0.01' },
    ]);
    expect(logs.map((line) => line.message)).toEqual([
      expect.stringMatching(/^Param rate of run .* was 0.1 and is now 0.01; .*history/),
      expect.stringMatching(/^Param rate of run .* was 0.01 and is now "0.01"/),
    ]);
  });

  test('a batch with one bad param logs none', async () => {
    const { platform } = shared.fresh();
    const run = await platform.tracking.startRun(quick);
    await expect(run.logParams({ good: 1, bad: () => 1 })).rejects.toMatchObject({
      code: 'INVALID',
    });
    expect(await platform.tracking.getParams(run.id)).toEqual({});
    expect(await platform.tracking.getParamHistory(run.id)).toEqual([]);
  });

  test('more than a page of history is read', async () => {
    const { platform } = shared.fresh();
    const run = await platform.tracking.startRun(quick);
    for (let i = 0; i < 1010; i += 1) await run.logParam('i', i);
    const history = await platform.tracking.getParamHistory(run.id);
    expect(history.map((entry) => entry.params['i'])).toEqual([...Array(1010).keys()]);
  });
});

describe('a run that does not exist', () => {
  test('is NOT_FOUND by name for every verb', async () => {
    const { platform } = shared.fresh();
    const { tracking } = platform;
    expect(await tracking.findRun('none')).toBeUndefined();
    for (const call of [
      () => tracking.getRun('none'),
      () => tracking.getParams('none'),
      () => tracking.getParamHistory('none'),
      () => tracking.resumeRun('none'),
      () => tracking.updateRun('none', { name: 'x' }),
      () => tracking.setRunTags('none', { a: 'b' }),
      () => tracking.removeRunTags('none', ['a']),
      () => tracking.deleteRun('none'),
      () => tracking.restoreRun('none'),
      () => tracking.getMetricHistory('none', 'loss'),
      () => tracking.getMetricsAt('none', 1),
      () => tracking.getMetricSummaries('none'),
      () => tracking.downsampleMetric('none', 'loss', { buckets: 10 }),
      () => tracking.listArtifacts('none'),
      () => tracking.getArtifact('none', 'a'),
      () => tracking.openArtifact('none', 'a'),
      () => tracking.readArtifact('none', 'a'),
      () => tracking.downloadArtifact('none', 'a', '/tmp/never'),
      () => tracking.runPage('none'),
    ]) {
      await expect(call(), call.toString()).rejects.toMatchObject({
        code: 'NOT_FOUND',
        message: expect.stringContaining('no run none'),
      });
    }
    await expect(tracking.getRun(7 as unknown as string)).rejects.toMatchObject({
      code: 'INVALID',
    });
  });
});

describe('principals', () => {
  test('the one who acts is kept, and an authorizer may refuse', async () => {
    const asked: unknown[] = [];
    const { platform } = await openTestPlatform({
      principal: { id: 'user:ana', roles: ['trainer'] },
      authorizer: {
        async authorize(request) {
          asked.push([request.principal.id, request.action]);
          return request.principal.id === 'user:ana'
            ? { allowed: true, reason: 'she may' }
            : { allowed: false, reason: 'he may not' };
        },
      },
    });
    const run = await platform.tracking.startRun(quick);
    expect((await platform.tracking.getRun(run.id)).userId).toBe('user:ana');
    const bob = platform.as({ principal: { id: 'user:bob', roles: [] } }).tracking;
    await expect(bob.updateRun(run.id, { name: 'x' })).rejects.toMatchObject({
      code: 'FORBIDDEN',
      message: expect.stringContaining('he may not'),
    });
    await expect(bob.setRunTags(run.id, { a: 'b' })).rejects.toMatchObject({ code: 'FORBIDDEN' });
    await expect(bob.startRun(quick)).rejects.toMatchObject({ code: 'FORBIDDEN' });
    expect(asked).toContainEqual(['user:bob', 'run.write']);
    // Another workspace knows nothing of the run.
    const other = platform.as({ workspace: 'other' }).tracking;
    expect(await other.findRun(run.id)).toBeUndefined();
    await until(
      'the heartbeat is there',
      async () => (await platform.tracking.getRun(run.id)).heartbeatAt !== undefined,
    );
  });
});

test('whatever work throws is thrown on, and the run ends FAILED', async () => {
  const { platform } = shared.fresh();
  const { tracking } = platform;
  const refuse = (): never => {
    throw new Error('a trap');
  };
  const unreadable = Object.defineProperty(new Error('x'), 'message', { get: refuse });
  const traps = new Proxy({}, { get: refuse, getPrototypeOf: refuse, ownKeys: refuse });
  for (const thrown of [undefined, null, 5, Symbol('s'), Object.create(null), unreadable, traps]) {
    let id = '';
    let caught: unknown = 'nothing';
    try {
      await tracking.withRun(quick, (run) => {
        id = run.id;
        throw thrown;
      });
    } catch (error) {
      caught = error;
    }
    expect(Object.is(caught, thrown)).toBe(true);
    expect((await tracking.getRun(id)).status).toBe('FAILED');
  }
  const run = await tracking.startRun(quick);
  await expect(run.finish('FAILED', 5 as never)).rejects.toMatchObject({ code: 'INVALID' });
  await expect(run.finish(5n as never)).rejects.toMatchObject({ code: 'INVALID' });
  await run.finish();
});
