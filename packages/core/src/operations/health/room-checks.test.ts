import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { openTestPlatform, temporaryDirectory, until } from '../../../test/open-test-platform.ts';
import { type FaultyWorld, openFaultyWorld } from '../../../test/planted-faults.ts';
import { testBackends } from '../../../test/test-backends.ts';
import { detectorCheck } from '../../monitoring/monitoring-checks.ts';
import { replayRule } from '../../monitoring/rule.ts';
import { openPlatform, type Platform } from '../../open-platform.ts';
import { definePipeline } from '../../pipelines/define-pipeline.ts';
import { baselineWatch } from './baseline.ts';
import { judgeDisk, judgeSkew, memoryWatch } from './machine-checks.ts';

/** One for all: each test plants a fault of another check, and looks at that check alone. Its clock only goes on. */
let world: FaultyWorld;

beforeAll(async () => {
  world = await openFaultyWorld();
});
afterAll(() => world?.[Symbol.asyncDispose]());

async function open(): Promise<FaultyWorld> {
  return world;
}

async function standOf(platform: Platform, name: string, rounds = 1) {
  const only = { fresh: true, checks: [name] };
  for (let i = 1; i < rounds; i += 1) await platform.operations.health(only);
  const { checks } = await platform.operations.health(only);
  const check = checks.find((each) => each.name === name);
  if (check === undefined) throw new Error(`There is no check ${name}.`);
  return check;
}

/** The outcome of the recovery that runs for a check. */
async function mendingOf(platform: Platform, check: string): Promise<string> {
  let outcome = '';
  await until(`a recovery of ${check}`, async () => {
    const [last] = await platform.operations.recoveries({ check });
    outcome = last?.outcome ?? '';
    return outcome !== '' && outcome !== 'RUNNING';
  });
  return outcome;
}

test('a sound platform is healthy in everything but, at most, the machine', async () => {
  const { platform } = await open();
  const { checks } = await platform.operations.health({ fresh: true });
  const wrong = checks.filter(
    ({ status, component }) => status !== 'HEALTHY' && component !== 'machine',
  );
  expect(wrong).toEqual([]);
  expect(checks.map(({ name }) => name)).toEqual(
    expect.arrayContaining([
      'stuck runs',
      'recent versions',
      'routes',
      'subscriptions',
      'notifiers',
    ]),
  );
});

describe('tracking', () => {
  test('runs that stay open without a process are found, and ended by a recovery', async () => {
    const w = await open();
    const [id] = w.world.runIds;
    const columns = { status: 'RUNNING', endedAt: undefined, durationMs: undefined };
    await w.spoil('run', id, { columns });
    let stand = await standOf(w.platform, 'stuck runs');
    await until('it is a fault', async () => {
      stand = await standOf(w.platform, 'stuck runs');
      return stand.status === 'DEGRADED';
    });
    expect(stand).toMatchObject({ status: 'DEGRADED', details: { stuck: 1 } });
    expect(await mendingOf(w.platform, 'stuck runs')).toBe('SUCCESS');
    expect(await w.platform.tracking.getRun(id)).toMatchObject({ status: 'FAILED' });
    expect(await standOf(w.platform, 'stuck runs')).toMatchObject({ status: 'HEALTHY' });
  });

  test('runs whose times cannot be are found', async () => {
    const w = await open();
    await w.spoil('run', w.world.runIds[0], { columns: { endedAt: 5 } });
    const stand = await standOf(w.platform, 'recent runs');
    expect([stand.status, stand.message]).toEqual([
      'DEGRADED',
      expect.stringContaining(`run ${w.world.runIds[0]}: it ends before it starts`),
    ]);
  });
});

describe('registry', () => {
  test('a damaged file of a recent version is found', async () => {
    const w = await open();
    await w.damage(w.world.sha256);
    const stand = await standOf(w.platform, 'recent versions');
    expect([stand.status, stand.message]).toEqual([
      'UNHEALTHY',
      expect.stringContaining('w-model@'),
    ]);
  });

  test('a store that lets go of immutability is found', async () => {
    const { scope } = (await open()).store;
    const { registryChecks } = await import('../../registry/registry-checks.ts');
    const metadata = new Proxy(scope.metadata, {
      get(target, name) {
        if (name === 'commit') return async () => ({ at: 0, revisions: [] });
        const method = Reflect.get(target, name) as (...args: unknown[]) => unknown;
        return (...args: unknown[]) => Reflect.apply(method, target, args);
      },
    });
    const [sound, lax] = [scope.metadata, metadata].map((store) =>
      registryChecks(scope, { ...scope, metadata: store, workspace: '~health' }).find(
        ({ name }) => name === 'immutability',
      ),
    );
    const { signal } = new AbortController();
    expect(await sound?.run(signal)).toMatchObject({ status: 'HEALTHY' });
    expect(await lax?.run(signal)).toMatchObject({ status: 'UNHEALTHY' });
  });
});

describe('deployments', () => {
  test('a route that cannot be followed is found', async () => {
    const w = await open();
    const { deploymentId, versionId } = w.world;
    const targets = [
      { versionId, weightPercent: 60 },
      { versionId: 'gone', weightPercent: 10 },
    ];
    const body = { deploymentId, targets, rules: [], shadows: [] };
    await w.spoil('route', deploymentId, { body });
    const stand = await standOf(w.platform, 'routes');
    expect(stand.message).toBe(
      'w-deployment: its version gone is not there; w-deployment: its weights sum to 70, not to 100.',
    );
  });

  test('a rollout that nobody evaluates is found, and driven on', async () => {
    const w = await open();
    expect(await standOf(w.platform, 'stalled rollouts')).toMatchObject({ status: 'HEALTHY' });
    w.ahead(901_000);
    expect(await standOf(w.platform, 'stalled rollouts')).toMatchObject({ status: 'DEGRADED' });
    expect(await mendingOf(w.platform, 'stalled rollouts')).toBe('SUCCESS');
    expect(await standOf(w.platform, 'stalled rollouts')).toMatchObject({ status: 'HEALTHY' });
  });
});

describe('pipelines', () => {
  test('steps that no process takes are found; one that has their functions takes them', async () => {
    const w = await open();
    const pipeline = definePipeline('waits', { version: '1.0.0' }, (p) =>
      p.step('only', {}, () => ({ done: true })),
    );
    const execution = await w.platform.pipelines.start(pipeline);
    w.ahead(601_000);
    const stand = await standOf(w.platform, 'overdue steps', 2);
    expect([stand.status, stand.message]).toEqual([
      'DEGRADED',
      '1 steps of waits have been due for ten minutes.',
    ]);
    expect(await mendingOf(w.platform, 'overdue steps')).toMatch(/SUCCESS|PARTIAL/);
    await until('it has completed', async () => {
      return (await w.platform.pipelines.get(execution.id)).status === 'COMPLETED';
    });
  });
});

describe('events', () => {
  test('events that wait are found and handed over; without a handler a person is told', async () => {
    const w = await open();
    const { events } = w.platform;
    const seen: string[] = [];
    const options = { types: ['bill.sent'], from: 'start' } as const;
    const handler = (event: { readonly id: string }) => void seen.push(event.id);
    const { unsubscribe } = await events.subscribe('bills', options, handler);
    const publish = () => events.publish({ type: 'bill.sent', subject: 'bill', payload: {} });
    const first = await publish();
    w.ahead(301_000);
    expect((await standOf(w.platform, 'subscriptions')).message).toBe(
      'Events wait for bills (301 s).',
    );
    expect(await mendingOf(w.platform, 'subscriptions')).toBe('SUCCESS');
    expect(seen).toEqual([first]);
    await unsubscribe();
    await standOf(w.platform, 'subscriptions');
    await publish();
    w.ahead(301_000);
    await standOf(w.platform, 'subscriptions');
    await until('it has been tried', async () => {
      const tried = await w.platform.operations.recoveries({ check: 'subscriptions' });
      return tried.length === 2 && tried[0]?.outcome !== 'RUNNING';
    });
    const [last] = await w.platform.operations.recoveries({ check: 'subscriptions' });
    expect(last).toMatchObject({ outcome: 'MANUAL_REQUIRED' });
    const told = await Array.fromAsync(events.each({ types: ['recovery.manual_required'] }));
    expect(told[0]?.payload).toMatchObject({ check: 'subscriptions' });
  });
});

describe('monitoring', () => {
  test('labels that wait for an evaluation are found', async () => {
    const w = await open();
    const { deploymentId } = w.world;
    const at = Date.UTC(2026, 0, 2);
    w.platform.monitoring.predictions.record({
      ...{ deploymentId, versionId: w.world.versionId, requestId: 'late', role: 'primary' },
      ...{ at, features: {}, prediction: 'a', latencyMs: 1 },
    });
    await w.platform.monitoring.predictions.flush();
    const label = { requestId: 'late', value: 'a', observedAt: at + 1 };
    await w.platform.monitoring.logLabels(deploymentId, [label]);
    const stand = await standOf(w.platform, 'drift freshness');
    expect([stand.status, stand.message]).toEqual([
      'DEGRADED',
      expect.stringContaining('w-deployment'),
    ]);
    expect(await mendingOf(w.platform, 'drift freshness')).toBe('SUCCESS');
    expect(await standOf(w.platform, 'drift freshness')).toMatchObject({ status: 'HEALTHY' });
  });

  test('predictions that are lost are told of', async () => {
    const { platform } = await openTestPlatform();
    expect(await standOf(platform, 'prediction log')).toMatchObject({ status: 'HEALTHY' });
    platform.monitoring.predictions.record(undefined as never);
    expect(await standOf(platform, 'prediction log')).toMatchObject({
      ...{ status: 'DEGRADED', message: '1 predictions were dropped.' },
    });
    expect(await standOf(platform, 'prediction log')).toMatchObject({ status: 'HEALTHY' });
  });
});

describe('what monitoring computes with', () => {
  test('a detector that sees nothing, or change everywhere, is found', async () => {
    const { signal } = new AbortController();
    expect(await detectorCheck().run(signal)).toMatchObject({ status: 'HEALTHY' });
    const blind = detectorCheck((rule, reference) => replayRule(rule, reference, []));
    expect(await blind.run(signal)).toMatchObject({ status: 'UNHEALTHY' });
    const jumpy = detectorCheck((rule, reference) =>
      replayRule(rule, reference, [{ right: 10, total: 1000 }]),
    );
    expect(await jumpy.run(signal)).toMatchObject({ status: 'UNHEALTHY' });
  });
});

test('a quota that is nearly used up is found', async () => {
  const w = await open();
  const { quotas } = w.platform.operations;
  await quotas.set({ resource: 'runs', limit: 100 });
  expect(await standOf(w.platform, 'quotas')).toMatchObject({ status: 'HEALTHY' });
  await quotas.set({ resource: 'runs', limit: 2 });
  expect(await standOf(w.platform, 'quotas')).toMatchObject({
    ...{ status: 'DEGRADED', message: expect.stringMatching(/: \d of 2 runs\./) },
  });
});

test('events that stay in the log beyond their time are found', async () => {
  const w = await open();
  expect(await standOf(w.platform, 'retention')).toMatchObject({ status: 'HEALTHY' });
  w.ahead(400 * 86_400_000);
  const stand = await standOf(w.platform, 'retention');
  expect([stand.status, stand.message]).toEqual([
    'DEGRADED',
    expect.stringMatching(/should have been archived, such as .* since 2/),
  ]);
});

test('checks and recoveries of one’s own run beside the others; one that is none is refused', async () => {
  const check = {
    ...({ name: 'licence', component: 'ours', kind: 'deep', critical: true } as const),
    ...{ intervalMs: 60_000, timeoutMs: 1_000 },
    run: async () => ({ status: 'UNHEALTHY', message: 'It has expired.' }) as const,
  };
  const renew = {
    ...{ name: 'renew', priority: 1, canHandle: () => true },
    run: async () => ({ outcome: 'SUCCESS', message: 'Renewed.' }) as const,
  };
  const caretakers = [{ component: 'ours', checks: [check], recoveries: [renew] }];
  const { platform } = await openTestPlatform({ caretakers });
  expect(await standOf(platform, 'licence')).toMatchObject({ status: 'UNHEALTHY' });
  expect(await mendingOf(platform, 'licence')).toBe('SUCCESS');
  const wrong = [{ component: 'ours', checks: [{ ...check, run: 'now' }] }];
  await expect(openTestPlatform({ caretakers: wrong as never })).rejects.toMatchObject({
    code: 'INVALID',
  });
});

describe('the machine', () => {
  const gib = 2 ** 30;
  test.each([
    [30, 100, 'HEALTHY'],
    [9, 100, 'DEGRADED'],
    [0.01, 100, 'UNHEALTHY'],
    [0.05, 0.1, 'HEALTHY'],
  ] as const)('%s of %s GiB free is %s', (free, total, status) => {
    expect(judgeDisk('/data', free * gib, total * gib).status).toBe(status);
  });

  test.each([
    [1000, 1000, 1010, 'HEALTHY', 0],
    [1000, 1500, 1010, 'HEALTHY', 490],
    [1000, 3000, 1010, 'DEGRADED', 1990],
    [100_000, 30_000, 100_010, 'UNHEALTHY', -70_000],
  ] as const)('clocks at %s, %s, %s', (before, theirs, after, status, skewMs) => {
    expect(judgeSkew(before, theirs, after)).toMatchObject({ status, details: { skewMs } });
  });

  test('memory that grows by half within an hour is told of; slow growth is not', () => {
    let now = 0;
    const watch = memoryWatch(() => now);
    const read = (rssGib: number) =>
      watch({ rssBytes: rssGib * gib, freeBytes: 8 * gib, totalBytes: 16 * gib }).status;
    expect(read(1)).toBe('HEALTHY');
    now += 1_800_000;
    expect(read(1.4)).toBe('HEALTHY');
    now += 1_700_000;
    expect(read(1.6)).toBe('DEGRADED');
    now += 200_000;
    expect(read(1.6)).toBe('HEALTHY');
    const full = { rssBytes: gib, freeBytes: 0.1 * gib, totalBytes: 16 * gib };
    expect(watch(full).status).toBe('DEGRADED');
  });

  test('a time is judged by those before it, and not for one that is out of line', () => {
    const watch = baselineWatch('It');
    const last = (times: readonly number[]) => times.map((ms) => watch(ms).status).at(-1);
    expect(last([900, 100, 110, 90, 100, 105, 95, 100])).toBe('HEALTHY');
    expect(last([900])).toBe('HEALTHY');
    expect(last([130, 130, 130])).toBe('DEGRADED');
    expect(last([100, 100, 100])).toBe('HEALTHY');
    const quick = baselineWatch('It');
    for (let i = 0; i < 10; i += 1) quick(1);
    expect([3, 3, 3].map((ms) => quick(ms).status)).toEqual(['HEALTHY', 'HEALTHY', 'HEALTHY']);
  });
});

test('a platform whose directory is gone says so', async () => {
  const dir = join(await temporaryDirectory(), '.keelson');
  const silent = (): void => undefined;
  const logger = { debug: silent, info: silent, warn: silent, error: silent };
  const platform = await openPlatform({ dir, logger, ...(await testBackends(dir)) });
  await rm(dir, { recursive: true, force: true });
  const { status } = await platform.operations.health({ fresh: true });
  expect(status).toBe('UNHEALTHY');
  // It may say once more that nothing is kept.
  await Promise.allSettled([platform.close()]);
});
