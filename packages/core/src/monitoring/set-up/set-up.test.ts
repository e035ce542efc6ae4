import { expect, test } from 'vitest';
import { openTestPlatform, until } from '../../../test/open-test-platform.ts';
import { openTestScope } from '../../../test/open-test-scope.ts';
import { testBackends } from '../../../test/test-backends.ts';
import { openPlatform, type Platform } from '../../open-platform.ts';
import { platformKinds } from '../../platform-kinds.ts';
import { seededRandom } from '../../statistics/index.ts';
import { createMonitoring } from '../monitoring.ts';

const signature = {
  inputs: [{ name: 'x', datatype: 'FP64', shape: [-1, 1], columns: ['x'] }],
  outputs: [{ name: 'label', datatype: 'BYTES', shape: [-1] }],
} as const;

async function world() {
  const opened = await openTestPlatform();
  const { platform } = opened;
  let versions = 0;
  /** A version, with training data where it is told what they are. */
  const register = async (training?: string, columns: readonly string[] = ['x']) => {
    versions += 1;
    const run = await platform.tracking.startRun({ experiment: 'e', environment: false });
    if (training !== undefined) {
      await run.logArtifact('train.csv', Buffer.from(training), { type: 'DATASET' });
    }
    return platform.registry.register({
      ...{ model: 'm', from: { files: { 'model.mjs': Buffer.from(`${versions}`) } }, format: 'JS' },
      signature: { ...signature, inputs: [{ ...signature.inputs[0], columns }] },
      lineage: { sourceRunId: run.id },
    });
  };
  const deploy = async (versionId: string, name = 'd') => {
    const tags = { team: 'payments' };
    const made = await platform.deployments.create({
      ...{ name, versionId, environment: 'PRODUCTION', tags },
    });
    await platform.deployments.reportHealth(name, { status: 'HEALTHY' });
    return made;
  };
  const shift = async (versionId: string) => {
    const step = { shadow: false, gates: [], minDurationMs: 1e12 };
    const steps = [50, 100].map((weightPercent) => ({ ...step, weightPercent }));
    return platform.deployments.startRollout({ deployment: 'd', versionId, reason: 'r', steps });
  };
  const setUpIs = (what: object, by: Platform = platform) =>
    until(JSON.stringify(what), async () => {
      const found = await by.monitoring.getSetUp('d').catch(() => undefined);
      return JSON.stringify({ ...found, ...what }) === JSON.stringify(found);
    });
  return { ...opened, register, deploy, shift, setUpIs };
}

function csvOf(seed: number, count = 1000): string {
  const random = seededRandom(seed);
  return ['x', ...Array.from({ length: count }, () => String(random.normal()))].join('\n');
}

test('a deployment that answers is set up: a baseline of its training data, and of each new version as traffic goes to it', async () => {
  const { platform, dir, register, deploy, shift, setUpIs } = await world();
  const [one, two, three, four] = [
    await register(csvOf(1)),
    await register(),
    await register('{}'),
    await register(undefined, ['x', 'y']),
  ];
  const { id } = await deploy(one.id);
  await expect(platform.monitoring.getSetUp('d')).rejects.toThrow(/Nothing was set up/);
  // Nobody was there when it happened: it comes late, and twice.
  platform.start();
  await using second = await openPlatform({ dir, ...(await testBackends(dir)) });
  second.start();
  const since = expect.any(Number);
  await setUpIs({ state: 'ACTIVE' });
  expect(await platform.monitoring.getSetUp('d')).toMatchObject({
    ...{
      deploymentId: id,
      team: 'payments',
      versions: { [one.id]: { baseline: 'training', since } },
    },
  });
  expect(await platform.monitoring.getBaseline(id)).toMatchObject({
    ...{ versionId: one.id, source: { kind: 'training' }, baseline: { rows: 1000 } },
  });
  const sources = async () =>
    (await platform.monitoring.listBaselines(id)).map(
      ({ versionId, source, provisional = false }) => [versionId, source?.kind, provisional],
    );
  for (const [version, baseline] of [
    [two, 'version'],
    [three, 'version'],
    [four, 'waiting'],
  ] as const) {
    const { id: rolloutId } = await shift(version.id);
    await until(baseline, async () => {
      const { versions } = await platform.monitoring.getSetUp('d');
      return versions[version.id]?.baseline === baseline;
    });
    await platform.deployments.abortRollout(rolloutId, 'next');
  }
  expect((await platform.monitoring.getSetUp('d')).versions[three.id]?.problem).toMatch(
    /no column/,
  );
  expect(await sources()).toEqual([
    [three.id, 'version', true],
    [two.id, 'version', true],
    [one.id, 'training', false],
  ]);
  expect((await platform.monitoring.getBaseline(id)).versionId).toBe(one.id);
});

test('where nothing is known of the training data the first full window is the baseline, and provisional', async () => {
  const { platform, dir, register, deploy } = await world();
  const version = await register();
  await platform.monitoring.setUp('d', { firstWindow: { predictions: 600, ms: 60_000 } });
  expect((await platform.monitoring.getSetUp('d')).state).toBe('WISHED');
  const { id } = await deploy(version.id);
  const set = await platform.monitoring.setUp('d', {});
  expect(set.versions).toMatchObject({ [version.id]: { baseline: 'waiting' } });
  const random = seededRandom(3);
  const predict = (count: number, agoMs: number): void => {
    for (let i = 0; i < count; i += 1) {
      platform.monitoring.predictions.record({
        ...{ deploymentId: id, versionId: version.id, requestId: `${agoMs}-${i}`, role: 'primary' },
        ...{ at: Date.now() - agoMs, features: { x: random.normal() }, prediction: i % 2 },
        latencyMs: 1,
      });
    }
  };
  // In a process that may have begun at any time.
  await using own = await openTestScope({ kinds: platformKinds, dir });
  let now = Date.now();
  const scope = { ...own.scope, clock: { now: () => now } };
  const { setUpWork } = createMonitoring(scope);
  const fill = async () => {
    await platform.monitoring.predictions.flush();
    return setUpWork.fillWaiting(new AbortController().signal);
  };
  predict(599, 0);
  now += 120_000;
  expect(await fill()).toBe(false);
  predict(50, 0);
  now -= 110_000;
  // Enough of them, but not for long enough.
  expect(await fill()).toBe(false);
  now += 110_000;
  expect([await fill(), await fill()]).toEqual([true, false]);
  const stored = await platform.monitoring.getBaseline(id);
  expect(stored).toMatchObject({ provisional: true, source: { kind: 'window', of: 'rows' } });
  expect(stored.baseline).toMatchObject({ rows: 649, prediction: { feature: 'prediction' } });
  const { versions } = await platform.monitoring.getSetUp('d');
  expect(versions[version.id]?.baseline).toBe('first-window');
});

test('what comes by itself can be forbidden, allowed again, and ends with the deployment; its data stay', async () => {
  const { platform, dir, register, deploy, setUpIs } = await world();
  const version = await register(csvOf(1));
  expect(await platform.monitoring.setUp('d', false)).toMatchObject({ state: 'FORBIDDEN' });
  const { id } = await deploy(version.id);
  await using own = await openTestScope({ kinds: platformKinds, dir });
  const { setUpWork } = createMonitoring(own.scope);
  await setUpWork.follow('d');
  expect(await platform.monitoring.listBaselines(id)).toEqual([]);
  expect(await platform.monitoring.setUp('d', { baseline: false })).toMatchObject({
    ...{ state: 'ACTIVE', versions: { [version.id]: { baseline: 'none' } } },
  });
  const allowed = await platform.monitoring.setUp('d', true);
  expect(allowed.versions).toMatchObject({ [version.id]: { baseline: 'training' } });
  await Promise.all([1, 2, 3].map(() => setUpWork.follow('d')));
  expect(await platform.monitoring.listBaselines(id)).toHaveLength(1);
  platform.start();
  await platform.deployments.remove('d', { reason: 'replaced', graceMs: 0 });
  await setUpIs({ state: 'ENDED' });
  expect(await platform.monitoring.listBaselines(id)).toHaveLength(1);
  await expect(platform.monitoring.setUp('d', { speed: 1 } as never)).rejects.toThrow(/speed/);
  await expect(platform.monitoring.setUp('d', undefined as never)).rejects.toThrow(
    /takes the name/,
  );
});
