import { expect, test } from 'vitest';
import { openTestPlatform, until } from '../../../test/open-test-platform.ts';
import { testBackends } from '../../../test/test-backends.ts';
import { openPlatform, type Platform } from '../../open-platform.ts';
import { seededRandom } from '../../statistics/index.ts';

const everything = { from: 0, to: Date.now() + 86_400_000 };
const id = 'watch:scoring';

async function value(platform: Platform, name: 'requests' | 'errors'): Promise<number | undefined> {
  const range = { from: Date.now() - 3_600_000, to: everything.to };
  const [metric] = await platform.monitoring.metrics(id, {
    ...range,
    names: [name],
    windowMs: 86_400_000,
  });
  return metric?.points.reduce((sum, point) => sum + (point.value ?? 0), 0);
}

function rowsOf(seed: number, count: number, shift = 0) {
  const random = seededRandom(seed);
  return Array.from({ length: count }, () => ({ age: 40 + 10 * random.normal() + shift }));
}

test('a watched function is logged, counted and compared with its baseline, without a deployment', async () => {
  const { platform, dir } = await openTestPlatform();
  const baseline = rowsOf(1, 2000);
  const model = async (row: { age: number }) => ({ risk: row.age / 100 });
  const options = {
    name: 'scoring',
    baseline,
    segment: (row: { age: number }) => (row.age > 40 ? 'old' : 'young'),
  };
  const score = platform.monitoring.watch(model, options);
  await until(
    'the baseline',
    async () => (await platform.monitoring.listBaselines(id)).length === 1,
  );
  for (const row of rowsOf(2, 600, 8)) expect(await score(row)).toEqual(await model(row));
  const { drift } = await platform.monitoring.drift(id, everything);
  expect(drift?.entries).toEqual({ baseline: 2000, window: 600 });
  expect(drift?.features.features[0]).toMatchObject({ feature: 'age', detected: true });
  const range = { from: Date.now() - 3_600_000, to: everything.to };
  const by = await platform.monitoring.metrics(id, {
    ...range,
    names: ['requests'],
    by: 'segment',
    windowMs: 86_400_000,
  });
  expect(by.map(({ dimensions }) => dimensions.segment).sort()).toEqual(['old', 'young']);
  // Another process that watches the same has the same baseline.
  await using second = await openPlatform({ dir, ...(await testBackends(dir)) });
  await second.monitoring.watch(model, options)({ age: 3 });
  second.monitoring.watch(model, { ...options, version: '2', baseline: rowsOf(3, 500) });
  await until(
    'the second version',
    async () => (await second.monitoring.listBaselines(id)).length === 2,
  );
  expect(await second.operations.verify()).toMatchObject({ findings: [] });
});

test('it answers, throws and is called as the function is, whatever monitoring makes of it', async () => {
  const { platform, logs } = await openTestPlatform();
  const fault = new TypeError('no such plan');
  const watch = <F extends (...args: never[]) => unknown>(f: F, more: object = {}): F =>
    platform.monitoring.watch(f, { name: 'scoring', ...more });
  const object = {
    rate: 2,
    times: watch(function times(this: { rate: number }, n: number) {
      return n * this.rate;
    }),
  };
  expect([object.times(4), object.times.name, object.times.length]).toEqual([8, 'times', 1]);
  expect(() =>
    watch((): never => {
      throw fault;
    })(),
  ).toThrow(fault);
  await expect(
    watch(async () => {
      throw fault;
    })(),
  ).rejects.toBe(fault);
  const mutated = watch((row: { a?: number }) => {
    delete row.a;
  });
  mutated({ a: 1 });
  // Asked twice, it would work twice.
  let works = 0;
  const lazy = {
    // biome-ignore lint/suspicious/noThenProperty: a query that begins when it is awaited.
    then: (done: (value: number) => void) => {
      works += 1;
      done(7);
    },
  };
  expect(await watch(() => lazy)()).toBe(7);
  expect(works).toBe(1);
  const cycle: Record<string, unknown> = {
    f: () => 1,
    text: '\ud800\u0000',
    at: new Date(5),
    big: 7n,
  };
  cycle['self'] = cycle;
  expect(watch((row: object) => row)(cycle)).toBe(cycle);
  const broken = watch(() => 'fine', {
    features: () => {
      throw fault;
    },
  });
  expect([broken(), broken()]).toEqual(['fine', 'fine']);
  await platform.monitoring.predictions.flush();
  expect(logs.filter(({ message }) => message.includes('watched function'))).toHaveLength(1);
  expect([await value(platform, 'requests'), await value(platform, 'errors')]).toEqual([6, 2]);
  const requests = await platform.monitoring.sampledRequests(id, {
    ...everything,
    limit: 10,
  } as never);
  expect(requests.map(({ features }) => features)).toEqual(
    expect.arrayContaining([{ 0: 4 }, { a: 1 }, { text: '\ufffd\ufffd', at: 5, big: 7 }]),
  );
});

test('a store that is away neither slows nor breaks it; what it cannot be is refused', async () => {
  const { platform, logs } = await openTestPlatform();
  const score = platform.monitoring.watch((n: number) => n + 1, { name: 'scoring', baseline: [] });
  await until('the warning', () =>
    logs.some(({ message }) => message.includes('could not be set')),
  );
  await platform.close();
  expect(score(1)).toBe(2);
  const { monitoring } = platform;
  expect(() => monitoring.watch('no' as never, { name: 'x' })).toThrow(/takes a function/);
  expect(() => monitoring.watch(() => 1, { name: '' })).toThrow(/name/);
  expect(() => monitoring.watch(() => 1, { name: 'x', speed: 1 } as never)).toThrow(/speed/);
});
