import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { type SimulatedWindow, simulateWindow } from '../../../test/simulated-windows.ts';
import { seededRandom } from '../../statistics/index.ts';
import { type Baseline, baselineOf } from '../baselines/baseline.ts';
import { baselineDrift } from './baseline-drift.ts';
import { coarseBins, fullBins } from './coarse-bins.ts';
import { dataQuality } from './data-quality.ts';
import { mergeWindows, WindowCounter, type WindowCounts } from './window-counts.ts';

type Row = Readonly<Record<string, unknown>>;

/** Rows with an age that is shifted by standard deviations, an income, a plan. */
function people(seed: number, rows: number, shift = 0): readonly Row[] {
  const random = seededRandom(seed);
  return Array.from({ length: rows }, () => ({
    age: 40 + 10 * (random.normal() + shift),
    income: Math.exp(random.normal()),
    plan: random.uniform() < 0.3 ? 'free' : 'paid',
    vip: random.uniform() < 0.1,
  }));
}

function counted(baseline: Baseline, rows: readonly Row[]): WindowCounts {
  const counter = new WindowCounter(baseline);
  for (const features of rows) counter.add({ features });
  return counter.counts();
}

describe('a baseline', () => {
  test('is counts: bins, moments, shares, and a bounded sample of numbers', () => {
    const rows = people(1, 5000).map((row, i) => ({
      ...row,
      id: `u${i}`,
      at: new Date(1e12 + i),
      list: [i],
      label: i % 2,
    }));
    const baseline = baselineOf(rows, { except: ['label'], prediction: 'plan' });
    expect(baseline.features.map(({ feature, type }) => [feature, type])).toEqual([
      ['age', 'number'],
      ['income', 'number'],
      ['vip', 'category'],
    ]);
    expect(baseline.prediction?.type).toBe('category');
    expect(baseline.setAside.map(({ feature }) => feature)).toEqual(['id', 'at', 'list']);
    const [age] = baseline.features;
    expect(age?.counts).toHaveLength(100);
    expect(age?.counts.every((count) => Math.abs(count - 50) <= 1)).toBe(true);
    expect(age?.sample).toHaveLength(2000);
    expect(age?.moments?.mean).toBeCloseTo(40, 0);
    expect(JSON.stringify(baseline).length).toBeLessThan(100_000);
    expect(JSON.parse(JSON.stringify(baseline))).toEqual(baseline);
  });

  test('of equal rows is equal, bit for bit, in whatever order they come', () => {
    const rows = people(1, 3000);
    expect(JSON.stringify(baselineOf(rows.toReversed()))).toBe(JSON.stringify(baselineOf(rows)));
  });

  test('a window of the same rows has the same counts, of any rows', () => {
    const value = fc.oneof(
      fc.double(),
      fc.constantFrom(null, undefined, Number.NaN, 0, -0, 1e308, '', '1', true, 7, 7, 7),
      fc.string(),
      fc.constant({ a: 1 }),
    );
    const name = fc.constantFrom('a', 'b', '__proto__', 'constructor');
    const row = fc
      .array(fc.tuple(name, value), { maxLength: 4 })
      .map((all): Row => Object.fromEntries(all));
    fc.assert(
      fc.property(fc.array(row, { minLength: 1, maxLength: 60 }), (rows) => {
        const baseline = baselineOf(rows, { columns: ['a', 'b', '__proto__', 'constructor'] });
        const window = counted(baseline, rows);
        for (const [i, was] of baseline.features.entries()) {
          const is = window.features[i];
          expect(is?.counts).toEqual(was.counts);
          // An infinity among categories is a category of its own to the counter, and missing to nobody.
          const bad = (each: typeof was | typeof is): number =>
            (each?.missing ?? 0) + (each?.infinite ?? 0) + (each?.mistyped ?? 0);
          expect(bad(is)).toBe(bad(was));
        }
        const drift = baselineDrift(baseline, window);
        expect(drift.features.detected).toBe(false);
        expect(JSON.stringify(drift)).not.toMatch(/NaN|null,null,null,null/);
      }),
      { numRuns: 200 },
    );
  });
});

describe('windows', () => {
  const baseline = baselineOf(people(1, 2000), { prediction: 'vip' });

  test('add up to what one window would have counted, however they are cut and ordered', () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 1, max: 1000 }),
        fc.array(fc.nat(4), { minLength: 300, maxLength: 300 }),
        (seed, shards) => {
          const rows = people(seed, 300, 0.2).map((row, i) => ({
            ...row,
            plan: i % 50 === 0 ? `new${i}` : row['plan'],
            income: i % 30 === 0 ? null : row['income'],
          }));
          const parts = [0, 1, 2, 3, 4].map((shard) =>
            counted(
              baseline,
              rows.filter((_, i) => shards[i] === shard),
            ),
          );
          const whole = counted(baseline, rows);
          for (const order of [parts, parts.toReversed()]) {
            const merged = mergeWindows(order) as WindowCounts;
            expect(merged.requests).toBe(300);
            for (const [i, each] of merged.features.entries()) {
              const one = whole.features[i];
              expect({ ...each, moments: undefined }).toEqual({ ...one, moments: undefined });
              if (each.moments === undefined || each.moments.count === 0) continue;
              expect(each.moments.mean).toBeCloseTo(one?.moments?.mean ?? Number.NaN, 9);
              expect(each.moments.squares).toBeCloseTo(one?.moments?.squares ?? Number.NaN, 6);
            }
            const drift = baselineDrift(baseline, merged);
            expect(JSON.stringify(drift)).toBe(JSON.stringify(baselineDrift(baseline, whole)));
          }
        },
      ),
      { numRuns: 25 },
    );
    expect(mergeWindows([])).toBeUndefined();
  });

  test('count errors and times', () => {
    const counter = new WindowCounter(baseline);
    for (let i = 1; i <= 1000; i += 1) {
      counter.add({
        features: {},
        latencyMs: i,
        ...(i <= 20 ? { error: 'broken' } : { prediction: true }),
      });
    }
    counter.add({ features: {}, latencyMs: Number.NaN, queueMs: -1 });
    const { requests, errors, prediction, latency, queue } = counter.counts();
    expect([requests, errors]).toEqual([1001, 20]);
    expect(prediction?.counts.reduce((a, b) => a + b)).toBe(980);
    expect(latency.counts.reduce((a, b) => a + b)).toBe(1000);
    expect(queue.counts).toEqual([]);
  });
});

describe('a window against its baseline', () => {
  const baseline = baselineOf(people(1, 5000), { prediction: 'vip' });

  test('what moved is named, with its severity; N(0.5, 1) has a PSI of about 0.24', () => {
    const drift = baselineDrift(baseline, counted(baseline, people(2, 2000, 0.5)));
    expect(drift.features.features.map(({ feature, severity }) => [feature, severity])).toEqual([
      ['age', expect.stringMatching(/LOW|MEDIUM/)],
      ['income', 'NONE'],
      ['plan', 'NONE'],
    ]);
    const [age] = drift.features.features;
    expect(age?.result.method).toBe('psi');
    expect(age?.result.score).toBeGreaterThan(0.17);
    expect(age?.result.score).toBeLessThan(0.33);
    expect(baselineDrift(baseline, counted(baseline, people(3, 2000, 1))).features.severity).toBe(
      'CRITICAL',
    );
  });

  test('features that are none are missing', () => {
    const baseline = baselineOf(people(1, 1000));
    const hostile = [null, undefined, 5, 'text', [], { age: null }] as unknown as readonly Row[];
    const [age] = counted(baseline, hostile).features;
    expect(age).toMatchObject({ missing: hostile.length });
  });

  test('a few entries are compared by chi-squared, fewer not at all', () => {
    const few = baselineDrift(baseline, counted(baseline, people(4, 60, 1.5)));
    expect(few.features.features[0]).toMatchObject({
      result: { method: 'chi-squared' },
      detected: true,
    });
    const none = baselineDrift(baseline, counted(baseline, people(4, 3, 1.5)));
    expect(none.features.features[0]?.result.outcome).toBe('not-enough-data');
    expect(none.features.detected).toBe(false);
  });

  test('without drift it is silent as often as it says: 400 windows of 60 to 3,000 entries', () => {
    let alarms = 0;
    for (let run = 0; run < 400; run += 1) {
      const rows = [60, 200, 600, 3000][run % 4] as number;
      const drift = baselineDrift(baseline, counted(baseline, people(1000 + run, rows)));
      if (drift.features.detected || drift.shares.some(({ detected }) => detected)) alarms += 1;
    }
    // 5 % stated; 400 windows with a chance of 5 % give more than 36 once in a thousand.
    expect(alarms).toBeLessThanOrEqual(36);
  });

  test('shares of bad entries and strangers are told', () => {
    const rows = people(5, 2000).map((row, i) => ({
      ...row,
      age: i % 10 === 0 ? null : row['age'],
      income: i % 10 === 1 ? 'n/a' : row['income'],
      plan: i % 4 === 0 ? 'trial' : row['plan'],
    }));
    const drift = baselineDrift(baseline, counted(baseline, rows));
    expect(drift.shares.filter(({ detected }) => detected)).toMatchObject([
      { feature: 'age', of: 'missing' },
      { feature: 'income', of: 'mistyped' },
    ]);
    expect(drift.strangers).toEqual([
      { feature: 'plan', categories: [{ category: 'trial', count: 500 }] },
    ]);
  });

  test('a constant that changes either way has drifted', () => {
    const constant = baselineOf(Array.from({ length: 600 }, () => ({ x: 7 })));
    for (const x of [6.999, 7.001]) {
      const window = counted(
        constant,
        Array.from({ length: 600 }, () => ({ x })),
      );
      expect(baselineDrift(constant, window).features.severity).toBe('CRITICAL');
      expect(coarseBins(constant.features[0] as never, window.features[0] as never)[0]).toEqual([
        0, 600, 0,
      ]);
    }
  });

  test('a hundred bins make ten of equal share, atoms apart', () => {
    const rows = Array.from({ length: 5000 }, (_, i) => ({ x: i < 1500 ? 0 : i }));
    const [x] = baselineOf(rows).features;
    const [reference] = coarseBins(x as never, x as never);
    expect(reference.reduce((a, b) => a + b)).toBe(5000);
    expect(Math.max(...reference)).toBe(1500);
    expect(reference.length).toBeGreaterThanOrEqual(8);
    expect(reference.length).toBeLessThanOrEqual(11);
  });

  test('counts of another baseline, unknown methods and what is no table are refused', () => {
    const other = baselineOf([{ a: 1 }]);
    expect(() => baselineDrift(other, counted(baseline, people(1, 10)))).toThrow(
      /counted in the bins of another baseline/,
    );
    const window = counted(baseline, people(1, 10));
    expect(() => baselineDrift(baseline, window, { method: 'wasserstein' as never })).toThrow(
      /method/,
    );
    expect(() => baselineOf('rows' as never)).toThrow(/must be a list of rows/);
    expect(() => baselineOf([], { bins: 1 })).toThrow(/bins/);
  });
});

describe('the stated rates', () => {
  const detected = (
    windows: number,
    given: Omit<SimulatedWindow, 'random' | 'reference'>,
  ): number =>
    Array.from({ length: windows }, (_, i) => {
      const random = seededRandom(`${i}:${JSON.stringify(given)}`);
      const { baseline, window } = simulateWindow({ random, reference: 10_000, ...given });
      return baselineDrift(baseline, window).features.detected ? 1 : 0;
    }).reduce<number>((sum, each) => sum + each, 0);

  test.each([
    [20, 10],
    [50, 100],
    [100, 10],
    [200, 1],
    [2000, 20],
    [100_000, 5],
  ])(
    '%i rows × %i features without drift raise an alarm in 5 of 100 windows at the most',
    (rows, features) => {
      // 300 windows: with a chance of 5 % each, more than 27 come once in a thousand times.
      expect(detected(300, { rows, features })).toBeLessThanOrEqual(27);
    },
  );

  test.each([
    [50, 1, 0.95],
    [100, 0.5, 0.75],
    [200, 0.5, 0.95],
    [1000, 0.5, 0.95],
  ])('of %i rows a shift of %d standard deviations is found', (rows, shift, share) => {
    expect(detected(100, { rows, shift, features: 10 })).toBeGreaterThanOrEqual(100 * share);
  });

  test('bins are as full as chi-squared needs; what was never seen, and an atom, stay apart', () => {
    expect(fullBins('number', [10, 10, 10, 10], [5, 5, 5, 5])).toEqual([
      [20, 20],
      [10, 10],
    ]);
    expect(fullBins('number', [0, 100, 0], [3, 10, 4])).toEqual([
      [0, 100, 0],
      [3, 10, 4],
    ]);
    expect(fullBins('category', [50, 50, 0], [10, 10, 20])).toEqual([
      [0, 50, 50],
      [20, 10, 10],
    ]);
    expect(fullBins('number', [0, 0], [1, 2])).toEqual([
      [0, 0],
      [1, 2],
    ]);
  });
});

describe('odd data', () => {
  const rows = people(1, 2000);
  const baseline = baselineOf(rows);
  const constant = baselineOf(rows.map((row) => ({ ...row, age: 7 })));
  const given: readonly (readonly [string, Baseline, readonly Row[]])[] = [
    ['nothing', baseline, []],
    ['one row', baseline, people(2, 1)],
    ['nothing but missing values', baseline, rows.map(() => ({}))],
    [
      'nothing but NaN and infinities',
      baseline,
      rows.map((_, i) => ({ age: i % 2 ? Number.NaN : -Infinity })),
    ],
    [
      'nothing but other types',
      baseline,
      rows.map(() => ({ age: 'old', income: [1], plan: { a: 1 }, vip: 3n })),
    ],
    [
      'nothing but new categories',
      baseline,
      rows.map((row, i) => ({ ...row, plan: `p${i % 80}` })),
    ],
    ['values of billions', baseline, rows.map((row) => ({ ...row, age: 1e300, income: -1e300 }))],
    ['another constant', constant, rows.map((row) => ({ ...row, age: 7.5 }))],
    ['a baseline of one row', baselineOf(rows.slice(0, 1)), rows],
    [
      'a baseline of no values',
      baselineOf(
        rows.map(() => ({ age: null })),
        { columns: ['age'] },
      ),
      rows.slice(0, 90),
    ],
  ];

  test.each(given)('%s: a typed answer, no NaN', (what, against, data) => {
    const window = counted(against, data);
    const drift = baselineDrift(against, window);
    const quality = dataQuality(against, window, { answered: data.length, invalid: 0 });
    const numbers: number[] = [];
    JSON.stringify([drift, quality], (_, value: unknown) => {
      if (typeof value === 'number') numbers.push(value);
      return value;
    });
    expect(numbers.filter((value) => Number.isNaN(value))).toEqual([]);
    const isSmall = what.includes('row') || what === 'nothing' || what.includes('no values');
    if (isSmall) expect(drift.features.detected).toBe(false);
    else expect(drift.features.detected || quality.detected).toBe(true);
    // Shards in any order, counted apart: the same, bit for bit.
    const shards = [0, 1, 2].map((shard) =>
      counted(
        against,
        data.filter((_, i) => i % 3 === shard),
      ),
    );
    const turned = mergeWindows(shards.toReversed()) as WindowCounts;
    expect(JSON.stringify(baselineDrift(against, turned))).toBe(JSON.stringify(drift));
    expect(
      JSON.stringify(dataQuality(against, turned, { answered: data.length, invalid: 0 })),
    ).toBe(JSON.stringify(quality));
  });
});
