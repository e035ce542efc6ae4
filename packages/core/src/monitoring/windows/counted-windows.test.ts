import { expect, test } from 'vitest';
import { openTestPlatform } from '../../../test/open-test-platform.ts';
import { openTestScope } from '../../../test/open-test-scope.ts';
import { testBackends } from '../../../test/test-backends.ts';
import type { PredictionRow } from '../../contracts/prediction-sink.ts';
import { KeelsonError } from '../../errors.ts';
import { openPlatform, type Platform } from '../../open-platform.ts';
import { platformKinds } from '../../platform-kinds.ts';
import { seededRandom } from '../../statistics/index.ts';
import { baselineOf } from '../baselines/baseline.ts';
import { createBaselines } from '../baselines/baselines.ts';
import { PredictionLog } from '../predictions/prediction-log.ts';
import { CountedWindows } from './counted-windows.ts';
import { SegmentChoice } from './segments.ts';

const begin = Date.parse('2026-01-01');
const signature = {
  inputs: [{ name: 'x', datatype: 'FP64', shape: [-1, 1], columns: ['x'] }],
  outputs: [{ name: 'label', datatype: 'BYTES', shape: [-1] }],
} as const;
const everything = { from: begin, to: begin + 86_400_000 } as const;

function rowsOf(seed: number, count: number, shift = 0) {
  const random = seededRandom(seed);
  return Array.from({ length: count }, () => ({
    x: random.normal() + shift,
    plan: random.uniform() < 0.3 ? 'free' : 'paid',
    answer: random.uniform() < 0.5 ? 'yes' : 'no',
  }));
}

async function deployed() {
  const world = await openTestPlatform();
  const { platform } = world;
  const versions = [];
  for (const text of ['one', 'two']) {
    const files = { 'model.mjs': Buffer.from(text) };
    versions.push(
      await platform.registry.register({ model: 'm', from: { files }, format: 'JS', signature }),
    );
  }
  const [versionId, otherId] = versions.map((version) => version.id) as [string, string];
  const deployment = await platform.deployments.create({
    name: 'd',
    versionId,
    environment: 'PRODUCTION',
  });
  const set = (reference: ReturnType<typeof rowsOf>, more: object = {}) =>
    platform.monitoring.setBaseline({
      deployment,
      versionId,
      reference,
      prediction: 'answer',
      ...more,
    });
  const drift = (range: { from: number; to: number } = everything) =>
    platform.monitoring.drift(deployment.id, range);
  let request = 0;
  const predict = (
    rows: ReturnType<typeof rowsOf>,
    more: Partial<PredictionRow> = {},
    by: Platform = platform,
  ): void => {
    for (const { answer, ...features } of rows) {
      request += 1;
      by.monitoring.predictions.record({
        deploymentId: deployment.id,
        versionId,
        requestId: `r${request}`,
        role: 'primary',
        at: begin + request * 100,
        features,
        prediction: answer,
        latencyMs: 5,
        ...more,
      });
    }
  };
  return { ...world, deployment, versionId, otherId, set, drift, predict };
}

test('what is served is counted in the bins of its baseline, and drift is told from the counts', async () => {
  const { platform, deployment, versionId, set, drift, predict } = await deployed();
  await expect(drift()).rejects.toThrow(/has no baseline; give it one with monitoring.setBaseline/);
  predict(rowsOf(9, 50));
  await platform.monitoring.predictions.flush();
  const stored = await set(rowsOf(1, 2000), { reason: 'training data' });
  expect(stored).toMatchObject({ deployment: 'd', versionId, reason: 'training data' });
  expect(await drift()).toEqual({
    ...{ deploymentId: deployment.id, versionId, baselineId: stored.id },
    ...everything,
  });
});

test('only what callers saw of that version is counted, each once, errors too', async () => {
  const { otherId, set, drift, predict } = await deployed();
  await set(rowsOf(1, 2000));
  predict(rowsOf(2, 900, 1));
  predict(rowsOf(3, 100, 1), { error: 'broken' });
  predict(rowsOf(4, 300), { role: 'shadow' });
  predict(rowsOf(5, 300), { versionId: otherId });
  const { drift: found } = await drift();
  expect(found?.entries).toEqual({ baseline: 2000, window: 1000 });
  expect(found?.features.features.map(({ feature, severity }) => [feature, severity])).toEqual([
    ['x', 'CRITICAL'],
    ['plan', 'NONE'],
  ]);
  expect(found?.prediction).toMatchObject({ feature: 'answer', detected: false });
  expect(found?.prediction?.result.currentCount).toBe(900);
  // Whole minutes: those that begin in the range.
  const first = await drift({ from: begin, to: begin + 60_000 });
  expect(first.drift?.entries.window).toBe(599);
});

test('windows of several processes, late rows and a clock that jumps add up', async () => {
  const { platform, dir, set, drift, predict } = await deployed();
  await set(rowsOf(1, 2000));
  await using second = await openPlatform({ dir, ...(await testBackends(dir)) });
  for (const by of [platform, second]) {
    predict(rowsOf(2, 200), { at: begin + 1000 }, by);
    await by.monitoring.predictions.flush();
    // Hours later, and hundreds of minutes at once: the first window is closed by now.
    for (let minute = 100; minute < 400; minute += 1) {
      predict(rowsOf(minute, 1), { at: begin + minute * 60_000 }, by);
    }
    await by.monitoring.predictions.flush();
    predict(rowsOf(3, 50), { at: begin + 2000 }, by);
    predict(rowsOf(3, 1), { at: Number.NaN }, by);
    await by.monitoring.predictions.flush();
  }
  expect((await drift({ from: begin, to: begin + 60_000 })).drift?.entries.window).toBe(500);
  expect((await drift()).drift?.entries.window).toBe(500 + 600);
  expect(platform.monitoring.predictions.health().dropped).toBe(1);
});

test('a fault of the counts loses no row, and no count: what could not be stored is stored the next time', async () => {
  const { dir, deployment, versionId, set, drift } = await deployed();
  await set(rowsOf(1, 2000));
  await using world = await openTestScope({ kinds: platformKinds, dir });
  let faults = 1;
  const series = new Proxy(world.scope.series, {
    get(store, name) {
      const method = Reflect.get(store, name);
      if (name !== 'putRollups') return method.bind(store);
      return async (...args: never[]) => {
        faults -= 1;
        if (faults >= 0) throw new KeelsonError('UNAVAILABLE', 'The store is away.');
        return method.apply(store, args);
      };
    },
  });
  const scope = { ...world.scope, series };
  const stored = createBaselines(scope, () => {
    throw new Error('Nothing is set here.');
  });
  const log = new PredictionLog(scope, {}, { windows: new CountedWindows(scope, stored.find) });
  for (const [i, { answer, ...features }] of rowsOf(2, 600).entries()) {
    log.record({
      ...{ deploymentId: deployment.id, versionId, requestId: `r${i}`, role: 'primary' },
      ...{ at: begin + i, features, prediction: answer, latencyMs: 1 },
    });
  }
  await expect(log.flush()).rejects.toThrow('The store is away.');
  expect(log.health()).toMatchObject({ pending: 0, dropped: 0 });
  await log.flush();
  expect((await drift()).drift?.entries.window).toBe(600);
});

test('a new baseline begins its own counts; the old one stays readable; two at once: one is in force', async () => {
  const { platform, deployment, versionId, set, drift, predict } = await deployed();
  const raced = await Promise.all([1, 2, 3].map((seed) => set(rowsOf(seed, 500))));
  const inForce = await platform.monitoring.getBaseline(deployment.id, { versionId });
  expect(raced.map(({ id }) => id)).toContain(inForce.id);
  expect(await platform.monitoring.listBaselines(deployment.id)).toHaveLength(3);
  const next = await set(rowsOf(7, 500, 1), { reason: 'moved' });
  expect((await platform.monitoring.getBaseline(deployment.id)).id).toBe(next.id);
  predict(rowsOf(8, 600, 1));
  const { baselineId, drift: found } = await drift();
  expect(baselineId).toBe(next.id);
  expect(found?.features.detected).toBe(false);
  const told = await Array.fromAsync(platform.events.each({ types: ['baseline.updated'] }));
  expect(told).toHaveLength(4);
  expect(told.at(-1)?.payload).toMatchObject({ deployment: 'd', versionId, reason: 'moved' });
});

test('what cannot be watched is refused by name; a baseline made elsewhere is taken', async () => {
  const { platform, deployment, versionId, set, drift } = await deployed();
  await expect(set([] as never)).rejects.toThrow(/no column that can be watched/);
  await expect(set('rows' as never)).rejects.toThrow(/must be a list of rows/);
  await expect(set(rowsOf(1, 10), { bins: 0 })).rejects.toThrow(/bins/);
  const wide = Object.fromEntries(
    Array.from({ length: 400 }, (_, i) => [`f${i}`, rowsOf(i, 300).map(({ x }) => x)]),
  );
  const of = { deployment, versionId };
  await expect(platform.monitoring.setBaseline({ ...of, reference: wide })).rejects.toThrow(
    /The baseline of 400 features takes \d+ bytes, and at most 900000 can be kept/,
  );
  const made = baselineOf(rowsOf(1, 500), { sample: 10 });
  expect((await platform.monitoring.setBaseline({ ...of, reference: made })).baseline).toEqual(
    made,
  );
  await expect(drift({ from: Number.NaN, to: 1 })).rejects.toThrow(/from must be a time/);
  await expect(
    platform.monitoring.drift(deployment.id, { ...everything, alpha: 3 }),
  ).rejects.toThrow(/alpha/);
});

test('the worst segments are found, none is named that is small, and many share a place', async () => {
  const { platform, deployment, set, drift, predict } = await deployed();
  const where = (i: number): string => (i % 10 < 6 ? 'DE' : i % 10 < 9 ? 'FR' : 'LI');
  const located = (seed: number, count: number, shift: (country: string) => number) =>
    rowsOf(seed, count).map((row, i) => ({
      ...row,
      country: where(i),
      x: row.x + shift(where(i)),
    }));
  const usual = (country: string): number => (country === 'FR' ? 2 : 0);
  await platform.monitoring.setUp('d', { segmentBy: 'country' });
  await set(located(1, 4000, usual), { segment: 'country' });
  const segmented = async () =>
    (await platform.monitoring.drift(deployment.id, { ...everything, segment: 'country' }))
      .segments;
  expect(await segmented()).toEqual([]);
  // France is another than the rest, and always was; Germany has changed, and so have the few of Liechtenstein.
  predict(located(2, 900, (country) => (country === 'FR' ? 2 : 0.6)));
  const segments = await segmented();
  expect(segments?.map(({ segment, severity }) => [segment, severity])).toEqual([
    ['DE', 'MEDIUM'],
    ['FR', 'NONE'],
    ['LI', 'not-enough-data'],
  ]);
  expect(segments?.[0]?.entries).toEqual({ baseline: 2400, window: 540 });
  expect(segments?.[2]).not.toHaveProperty('features');
  predict(rowsOf(3, 100).map((row, i) => ({ ...row, country: `c${i}` })));
  const names = (await segmented())?.map(({ segment }) => segment) ?? [];
  expect([names.length, names.includes('__other__')]).toEqual([21, true]);
  const updated = await platform.monitoring.updateBaseline(deployment.id, {
    ...everything,
    reason: 'so it is now',
  });
  expect(updated.baseline.segments).toMatchObject({ by: 'country', parts: { DE: { rows: 540 } } });
  expect((await drift()).segments).toBeUndefined();
  await expect(
    platform.monitoring.drift(deployment.id, { ...everything, segment: 'plan' }),
  ).rejects.toThrow(/has segments by "country", and none by "plan"/);
});

test('the quality of data is checked against the baseline, and requests that were refused', async () => {
  const { platform, deployment, set, predict } = await deployed();
  await set(rowsOf(1, 2000));
  const quality = async () =>
    (await platform.monitoring.dataQuality(deployment.id, everything)).quality;
  expect(await quality()).toBeUndefined();
  predict(rowsOf(2, 800));
  expect(await quality()).toMatchObject({
    type: 'DATA_QUALITY',
    detected: false,
    severity: 'NONE',
  });
  const odd = rowsOf(3, 200).map((row, i) => ({
    answer: 'yes',
    ...(i < 100 ? {} : { x: i < 150 ? 99 : 'none' }),
    plan: i < 100 ? row.plan : 'trial',
  }));
  predict(odd as never);
  for (let i = 0; i < 40; i += 1) {
    platform.monitoring.predictions.refused?.({ deploymentId: deployment.id, at: begin });
  }
  const found = await quality();
  expect(
    found?.findings
      .filter(({ detected }) => detected)
      .map((each) => [each.check, each.feature, each.is]),
  ).toEqual([
    ['missing', 'x', 0.1],
    ['new-category', 'plan', 0.1],
    ['wrong-type', 'x', 0.05],
    ['out-of-range', 'x', expect.closeTo(0.05, 2)],
    ['invalid-requests', undefined, 40 / 1040],
  ]);
  expect(found).toMatchObject({ severity: 'MEDIUM', affectedFeatures: ['x', 'plan'] });
});

test('a prediction that says it is of a time to come does not end the choice of segments', () => {
  const choice = new SegmentChoice();
  const hour = 3_600_000;
  choice.choose('first', begin + 1000 * hour, begin);
  for (let i = 0; i < 30; i += 1) choice.choose(`few ${i}`, begin, begin);
  for (let i = 0; i < 5; i += 1) expect(choice.choose('many', begin, begin)).toBe('__other__');
  // In the next hour those have a count of their own that were most frequent in this one.
  expect(choice.choose('many', begin + hour, begin + hour)).toBe('many');
});
