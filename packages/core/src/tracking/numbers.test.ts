import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { sharePlatform, temporaryDirectory } from '../../test/open-test-platform.ts';
import type { Services } from '../open-platform.ts';

// docs/numbers.md, row by row, from the call to the export and back.
const shared = sharePlatform();
const quick = { environment: false, experiment: 'numbers' } as const;

const values: readonly number[] = [
  Number.NaN,
  Number.POSITIVE_INFINITY,
  Number.NEGATIVE_INFINITY,
  -0,
  1e308,
  Number.MAX_VALUE,
  5e-324,
  0.1,
  2 ** 53 + 2,
  -(2 ** 60),
];

async function moved(from: Services): Promise<Services> {
  const to = join(await temporaryDirectory(), 'numbers.tar');
  await from.tracking.exportExperiments({ to });
  const { platform } = shared.fresh();
  await platform.tracking.importExperiments({ from: to });
  return platform;
}

/** What holds of the platform, and of the one that its export makes. */
async function hereAndMoved(platform: Services, holds: (at: Services) => Promise<void>) {
  await holds(platform);
  await holds(await moved(platform));
}

describe('numbers', () => {
  test('metric values come back as they were, from histories, summaries, runs and comparisons', async () => {
    const { platform } = shared.fresh();
    const run = await platform.tracking.startRun({ ...quick, id: 'r' });
    for (const [step, value] of values.entries()) {
      run.logMetric('all', value, { step });
      run.logMetric(`v${step}`, value);
    }
    await run.finish();
    await platform.tracking.withRun({ ...quick, id: 'other' }, () => undefined);
    await hereAndMoved(platform, async ({ tracking }) => {
      const history = await tracking.getMetricHistory('r', 'all');
      expect([...history.values]).toEqual([...values]);
      const { metrics } = await tracking.getRun('r');
      for (const [step, value] of values.entries()) expect(metrics[`v${step}`]).toBe(value);
      const { metrics: compared } = await tracking.compareRuns(['r', 'other']);
      for (const [step, value] of values.entries()) {
        const row = compared.find(({ name }) => name === `v${step}`);
        expect(row?.figures[0]?.final).toBe(value);
      }
    });
  });

  test('searches find them: NaN by nothing but its presence, the others by their order', async () => {
    const { platform } = shared.fresh();
    for (const [i, value] of values.entries()) {
      await platform.tracking.withRun(
        { ...quick, id: `r${i}`, params: { p: value, text: String(value) } },
        (run) => run.logMetric('m', value),
      );
    }
    const rows: readonly [string, (value: number) => boolean][] = [
      ['x = 0', (v) => v === 0],
      ['x = -0', (v) => v === 0],
      ['x != 0', (v) => v < 0 || v > 0],
      ['x > 1e308', (v) => v > 1e308],
      ['x >= Infinity', (v) => v === Number.POSITIVE_INFINITY],
      ['x <= -inf', (v) => v === Number.NEGATIVE_INFINITY],
      ['x BETWEEN 0 AND 5e-324', (v) => v >= 0 && v <= 5e-324],
      ['x = 9007199254740994', (v) => v === 2 ** 53 + 2],
      ['x IN (-1152921504606846976, 0.1)', (v) => v === -(2 ** 60) || v === 0.1],
      ['NOT x > 0', (v) => !(v > 0)],
      ['x IS NULL', () => false],
    ];
    await hereAndMoved(platform, async ({ tracking }) => {
      for (const [filter, holds] of rows) {
        for (const place of ['metrics.m', 'params.p', 'metrics.m.max']) {
          const asked = filter.replace('x', place);
          const { runs } = await tracking.searchRuns({ filter: asked, orderBy: ['run_id'] });
          const wanted = values.flatMap((value, i) => {
            // A summary of NaN alone has no greatest value.
            const missing = place === 'metrics.m.max' && Number.isNaN(value);
            if (missing) return asked.endsWith('NULL') || asked.startsWith('NOT') ? [`r${i}`] : [];
            return holds(value) ? [`r${i}`] : [];
          });
          expect(
            runs.map(({ id }) => id),
            asked,
          ).toEqual(wanted.sort());
        }
      }
    });
  });

  test('params keep type and value, nested ones too; a text stays the text it was', async () => {
    const { platform } = shared.fresh();
    const params = {
      numbers: [...values],
      nested: [{ deep: { nan: Number.NaN, zero: -0 } }],
      exact: '9007199254740993',
      text: '0.10',
      big: 2 ** 60,
    };
    await platform.tracking.withRun({ ...quick, id: 'r', params }, () => undefined);
    await hereAndMoved(platform, async ({ tracking }) => {
      expect((await tracking.getRun('r')).params).toEqual(params);
      const found = async (filter: string) => (await tracking.searchRuns({ filter })).runs.length;
      expect(await found("params.exact = '9007199254740993'")).toBe(1);
      expect(await found("params.exact = '9007199254740992'")).toBe(0);
      expect(await found('params.text = 0.1')).toBe(1);
      expect(await found("params.text = '0.1'")).toBe(0);
    });
  });

  test('a bigint is refused by name wherever a number may stand, and nothing of its batch is kept', async () => {
    const { platform } = shared.fresh();
    const { tracking } = platform;
    const run = await tracking.startRun(quick);
    const big = 2n ** 53n + 1n;
    const calls: readonly (readonly [string, () => unknown])[] = [
      ['param big', () => run.logParams({ fine: 1, big })],
      ['param deep', () => run.logParams({ fine: 1, deep: [{ big }] } as never)],
      ['bigint', () => run.logMetric('m', big as never)],
      ['bigint', () => run.logMetrics({ m: 1, n: big as never })],
      ['safe integer', () => run.logMetric('m', 1, { step: big as never })],
      ['Timestamp', () => run.logMetric('m', 1, { timestamp: big as never })],
      ['tags', () => run.setTag('t', big as never)],
      ['filter', () => tracking.searchRuns({ filter: big as never })],
      ['limit', () => tracking.searchRuns({ limit: big as never })],
    ];
    for (const [named, call] of calls) {
      const refused = (async () => call())();
      await expect(refused, named).rejects.toMatchObject({
        code: 'INVALID',
        message: expect.stringContaining(named),
      });
    }
    await run.finish();
    expect(await tracking.getRun(run.id)).toMatchObject({ params: {}, metrics: {}, tags: {} });
  });

  test('steps: negative, out of order and equal; times: before 1970, far off, backwards', async () => {
    const { platform } = shared.fresh();
    const run = await platform.tracking.startRun({ ...quick, id: 'r' });
    const safe = Number.MAX_SAFE_INTEGER;
    const points: readonly (readonly [step: number, timestamp: number])[] = [
      [safe, 5],
      [-safe, 4],
      [3, 2_000],
      [3, 1_000],
      [-1, -62_135_596_800_000],
      [0, 8.64e15],
      [3, 1_000],
    ];
    for (const [i, [step, timestamp]] of points.entries()) {
      run.logMetric('m', i, { step, timestamp });
    }
    for (const timestamp of [
      Number.NaN,
      new Date(Number.NaN),
      '5',
      Object.create(null),
      Number.POSITIVE_INFINITY,
    ]) {
      expect(() => run.logMetric('m', 1, { timestamp: timestamp as never })).toThrow('time');
    }
    const bare = Object.create(null) as never;
    expect(() => run.logMetric('m', 1, { step: bare })).toThrow('of type object');
    await run.finish();
    await hereAndMoved(platform, async ({ tracking }) => {
      const { steps, timestamps, values: order } = await tracking.getMetricHistory('r', 'm');
      expect([...steps]).toEqual([-safe, -1, 0, 3, 3, 3, safe]);
      expect([...timestamps]).toEqual([4, -62_135_596_800_000, 8.64e15, 1_000, 1_000, 2_000, 5]);
      expect([...order]).toEqual([1, 4, 5, 3, 6, 2, 0]);
    });
  });
});
