import { deepStrictEqual } from 'node:assert/strict';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { sharePlatform } from '../../test/open-test-platform.ts';
import type { Json } from '../json.ts';
import type { MetricOptions } from './active-run.ts';

const shared = sharePlatform();
const quick = { experiment: 'e', environment: false } as const;
const storable = fc
  .string({ unit: 'binary', minLength: 1, maxLength: 20 })
  .filter((text) => text.isWellFormed() && !text.includes('\u0000'));
const hostile = fc.oneof(
  storable,
  fc.constantFrom('__proto__', 'constructor', 'a.b', "'; DROP TABLE run; --", '\u2028', '%_', '😀'),
);

describe('logMetric', () => {
  test('every value survives: NaN, infinities, −0, the least and the greatest', async () => {
    const { platform } = shared.fresh();
    const run = await platform.tracking.startRun(quick);
    const values = [
      Number.NaN,
      Number.POSITIVE_INFINITY,
      Number.NEGATIVE_INFINITY,
      -0,
      0,
      5e-324,
      Number.MAX_VALUE,
      2 ** 53 - 1,
      2 ** 53,
      2 ** 53 + 2,
      0.1 + 0.2,
    ];
    for (const [step, value] of values.entries()) run.logMetric('m', value, { step });
    await run.flush();
    const history = await platform.tracking.getMetricHistory(run.id, 'm');
    deepStrictEqual([...history.values], values);
    deepStrictEqual([...history.steps], [...values.keys()]);
    const [summary] = await platform.tracking.getMetricSummaries(run.id);
    expect(summary).toMatchObject({ count: 11, nanCount: 1, last: 0.1 + 0.2 });
    deepStrictEqual(await platform.tracking.getMetricsAt(run.id, 3), { m: -0 });
    await run.finish();
    expect((await platform.tracking.getRun(run.id)).metrics).toEqual({ m: 0.1 + 0.2 });
  });

  test('keys, values, steps and times of any kind come back as they were', async () => {
    const { platform } = shared.fresh();
    const { tracking } = platform;
    const point = fc.record({
      key: hostile,
      value: fc.double(),
      step: fc.oneof(fc.maxSafeInteger(), fc.constantFrom(2 ** 53 - 1, -(2 ** 53 - 1), 0)),
      timestamp: fc.oneof(fc.integer(), fc.double({ noNaN: true, noDefaultInfinity: true })),
    });
    const points = fc.uniqueArray(point, {
      maxLength: 20,
      selector: ({ key, step }) => `${step} ${key}`,
    });
    await fc.assert(
      fc.asyncProperty(points, async (logged) => {
        const run = await tracking.startRun(quick);
        for (const { key, value, ...place } of logged) run.logMetric(key, value, place);
        await run.flush();
        for (const key of new Set(logged.map((each) => each.key))) {
          const own = logged.filter((each) => each.key === key).sort((a, b) => a.step - b.step);
          const history = await tracking.getMetricHistory(run.id, key);
          deepStrictEqual(
            [...history.steps],
            own.map((each) => each.step + 0),
          );
          deepStrictEqual(
            [...history.values],
            own.map((each) => each.value),
          );
          deepStrictEqual(
            [...history.timestamps],
            own.map((each) => each.timestamp + 0),
          );
        }
        const { metrics } = await tracking.getRun(run.id);
        deepStrictEqual(new Set(Object.keys(metrics)), new Set(logged.map((each) => each.key)));
      }),
      { numRuns: 30, verbose: 1 },
    );
  });

  test('steps left out count on, per key, also after a resume', async () => {
    const { platform } = shared.fresh();
    const run = await platform.tracking.startRun(quick);
    for (let i = 0; i < 3; i += 1) run.logMetrics({ a: i, b: i });
    run.logMetric('a', 9, { step: 10 });
    run.logMetric('a', 11);
    await run.finish();
    const again = await platform.tracking.resumeRun(run.id);
    again.logMetric('b', 3);
    await again.finish();
    const steps = async (key: string): Promise<number[]> => [
      ...(await platform.tracking.getMetricHistory(run.id, key)).steps,
    ];
    expect(await steps('b')).toEqual([0, 1, 2, 3]);
    expect((await steps('a')).slice(0, 4)).toEqual([0, 1, 2, 10]);
  });

  test('equal steps keep all points', async () => {
    const { platform } = shared.fresh();
    const run = await platform.tracking.startRun(quick);
    for (const [i, value] of [3, 1, 2].entries()) {
      run.logMetric('m', value, { step: 5, timestamp: new Date(1000 + i) });
    }
    await run.flush();
    const history = await platform.tracking.getMetricHistory(run.id, 'm');
    expect([...history.values]).toEqual([3, 1, 2]);
    expect([...history.timestamps]).toEqual([1000, 1001, 1002]);
  });

  test.each<[string, unknown, unknown, unknown, string]>([
    ['a key that is no text', 7, 1, {}, 'A metric key must be text'],
    ['a symbol as key', Symbol('m'), 1, {}, 'A metric key must be text'],
    ['an empty key', '', 1, {}, 'A metric key is empty'],
    ['a long key', 'k'.repeat(256), 1, {}, 'at most 255'],
    ['NUL in the key', 'a\u0000', 1, {}, 'U+0000'],
    ['a lone surrogate in the key', '\ud800', 1, {}, 'lone surrogate'],
    ['text as value', 'm', '0.5', {}, 'must be a number, not a string'],
    ['a bigint as value', 'm', 2n ** 53n, {}, 'must be a number, not a bigint'],
    ['no value', 'm', undefined, {}, 'must be a number, not a undefined'],
    ['a step of 2^53', 'm', 1, { step: 2 ** 53 }, 'Step 9007199254740992 is not a safe integer'],
    ['a step of −2^53', 'm', 1, { step: -(2 ** 53) }, 'is not a safe integer'],
    ['half a step', 'm', 1, { step: 0.5 }, 'Step 0.5 is not a safe integer'],
    ['NaN as step', 'm', 1, { step: Number.NaN }, 'Step NaN is not a safe integer'],
    ['text as step', 'm', 1, { step: '1' }, 'Step 1 is not a safe integer'],
    ['an unknown option', 'm', 1, { stp: 1 }, 'no option "stp"'],
    [
      'an unknown option beside a known one',
      'm',
      1,
      { step: 1, timestmp: 1 },
      'no option "timestmp"',
    ],
    ['an invalid Date', 'm', 1, { timestamp: new Date('x') }, 'is no time'],
    ['text as time', 'm', 1, { timestamp: '2026' }, 'is no time'],
    ['infinity as time', 'm', 1, { timestamp: Number.POSITIVE_INFINITY }, 'is no time'],
  ])(
    '%s is refused at once and by name, and nothing is logged',
    async (_, key, value, options, message) => {
      const { platform } = shared.fresh();
      const run = await platform.tracking.startRun(quick);
      const one = (): void =>
        run.logMetric(key as string, value as number, options as MetricOptions);
      expect(one).toThrow(expect.objectContaining({ code: 'INVALID' }));
      expect(one).toThrow(message);
      if (typeof key === 'string') {
        const many = (): void =>
          run.logMetrics({ first: 1, [key]: value as number }, options as MetricOptions);
        expect(many).toThrow(message);
      }
      await run.flush();
      expect(await platform.tracking.getMetricSummaries(run.id)).toEqual([]);
    },
  );

  test('logMetrics of what is no object is refused', async () => {
    const { platform } = shared.fresh();
    const run = await platform.tracking.startRun(quick);
    for (const values of [null, undefined, 5]) {
      expect(() => run.logMetrics(values as never)).toThrow('takes an object of numbers');
    }
  });

  test('health tells of nothing pending after a flush', async () => {
    const { platform } = shared.fresh();
    const run = await platform.tracking.startRun(quick);
    run.logMetric('m', 1);
    await run.flush();
    expect(run.health).toMatchObject({ pendingPoints: 0, spooledPoints: 0, lostPoints: {} });
  });
});

describe('what is hostile', () => {
  const value: fc.Arbitrary<Json> = fc.oneof(
    fc.double(),
    storable,
    fc.constantFrom<Json>(
      -0,
      Number.NaN,
      Number.NEGATIVE_INFINITY,
      2 ** 53,
      '',
      '0.001',
      '1e5',
      null,
      true,
      [Number.NaN, { __proto__x: -0 }],
    ),
  );

  test('params and tags of any text come back as they were', async () => {
    const { platform } = shared.fresh();
    const { tracking } = platform;
    const key = hostile.filter((text) => !text.split('.').includes(''));
    const params = fc
      .array(fc.tuple(key, value), { maxLength: 6 })
      .map((all) => Object.fromEntries(all));
    const tags = fc
      .array(fc.tuple(hostile, fc.oneof(storable, fc.constant(''))), { maxLength: 6 })
      .map((all): Record<string, string> => Object.fromEntries(all));
    await fc.assert(
      fc.asyncProperty(params, tags, async (givenParams, givenTags) => {
        const run = await tracking.startRun({ ...quick, tags: givenTags });
        await run.logParams(givenParams);
        const read = await tracking.getRun(run.id);
        deepStrictEqual(new Map(Object.entries(read.params)), new Map(Object.entries(givenParams)));
        deepStrictEqual(new Map(Object.entries(read.tags)), new Map(Object.entries(givenTags)));
        const [entry] = await tracking.getParamHistory(run.id);
        deepStrictEqual(
          new Map(Object.entries(entry?.params ?? {})),
          new Map(Object.entries(givenParams)),
        );
      }),
      { numRuns: 50, verbose: 1 },
    );
  });

  test('names, descriptions and datasets of any text come back as they were', async () => {
    const { platform } = shared.fresh();
    const { tracking } = platform;
    const name = hostile.filter((text) => text.trim() !== '');
    await fc.assert(
      fc.asyncProperty(name, hostile, hostile, async (experiment, runName, text) => {
        const run = await tracking.startRun({
          ...quick,
          experiment,
          name: runName,
          description: text,
        });
        const read = await tracking.getRun(run.id);
        expect(read).toMatchObject({ name: runName, description: text });
        expect((await tracking.getExperiment(experiment)).id).toBe(read.experimentId);
        const dataset = {
          name: text,
          digest: runName,
          role: 'train',
          schema: { [text]: Number.NaN },
        } as const;
        const id = await run.logDataset(dataset);
        expect(await run.logDataset(dataset)).toBe(id);
        expect(await run.logDataset({ ...dataset, role: 'test' })).toBe(id);
      }),
      { numRuns: 50, verbose: 1 },
    );
  });

  test('keys and values of 1 MB', async () => {
    const { platform } = shared.fresh();
    const { tracking } = platform;
    const long = 'k'.repeat(1_000_000);
    const run = await tracking.startRun(quick);
    await run.logParams({ [long]: 'v'.repeat(1_000_000) });
    expect((await tracking.getRun(run.id)).params[long]?.valueOf()).toHaveLength(1_000_000);
    const refused: [() => Promise<unknown>, string][] = [
      [() => run.logParams({ [`${long}k`]: 1 }), 'at most 1000000'],
      [() => run.setTag(long, 'x'), 'at most 250'],
      [() => run.setTag('x', long), 'at most 8000'],
      [() => tracking.startRun({ ...quick, name: long }), 'at most 255'],
      [() => tracking.startRun({ ...quick, experiment: long }), 'at most 255'],
      [() => tracking.startRun({ ...quick, description: long }), 'at most 2048'],
      [() => run.logText(long, 'x'), 'longer than 1,024 bytes'],
      [() => run.logDataset({ name: long, digest: 'x', role: 'train' }), 'at most 255'],
      [() => tracking.getRun(long), 'no run kkk'],
    ];
    for (const [call, message] of refused) {
      const error = (await call().catch((fault: unknown) => fault)) as Error;
      expect(error).toMatchObject({ message: expect.stringContaining(message) });
      expect(error.message.length).toBeLessThan(1000);
    }
    expect(() => run.logMetric(long, 1)).toThrow('at most 255');
  });

  test.each<[string, unknown, string]>([
    ['no role', { name: 'd', digest: 'x' }, 'role'],
    ['an unknown role', { name: 'd', digest: 'x', role: 'training' }, 'role'],
    ['no name', { name: '', digest: 'x', role: 'train' }, 'a name and a digest'],
    ['an unknown part', { name: 'd', digest: 'x', role: 'train', rows: 5 }, '"rows"'],
    ['half a row', { name: 'd', digest: 'x', role: 'train', rowCount: 0.5 }, 'rowCount'],
    ['2^53 rows', { name: 'd', digest: 'x', role: 'train', rowCount: 2 ** 53 }, 'rowCount'],
    [
      'a schema of functions',
      { name: 'd', digest: 'x', role: 'train', schema: { f: () => 1 } },
      'function',
    ],
  ])('a dataset with %s is refused by name', async (_, dataset, message) => {
    const { platform } = shared.fresh();
    const run = await platform.tracking.startRun(quick);
    await expect(run.logDataset(dataset as never)).rejects.toMatchObject({
      code: 'INVALID',
      message: expect.stringContaining(message),
    });
  });

  test.each<[string, unknown]>([
    ['no object', 'team=vision'],
    ['null', null],
    ['a number as value', { team: 7 }],
    ['an empty key', { '': 'x' }],
    ['NUL', { team: '\u0000' }],
    ['a lone surrogate', { '\udfff': 'x' }],
  ])('tags that are %s are refused by name', async (_, tags) => {
    const { platform } = shared.fresh();
    const run = await platform.tracking.startRun(quick);
    for (const call of [
      () => run.setTags(tags as never),
      () => platform.tracking.setRunTags(run.id, tags as never),
    ]) {
      await expect(call()).rejects.toMatchObject({ code: 'INVALID' });
    }
    expect((await platform.tracking.getRun(run.id)).tags).toEqual({});
  });

  test('at most 50 tags', async () => {
    const { platform } = shared.fresh();
    const run = await platform.tracking.startRun(quick);
    for (let i = 0; i < 50; i += 1) await run.setTag(`t${i}`, '');
    await run.setTag('t7', 'changed');
    await expect(run.setTag('t50', '')).rejects.toMatchObject({
      code: 'INVALID',
      message: expect.stringContaining('51 tags'),
    });
    await platform.tracking.removeRunTags(run.id, ['t7']);
    await run.setTag('t50', '');
  });
});
