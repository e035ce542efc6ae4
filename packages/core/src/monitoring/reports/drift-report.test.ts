import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { seededRandom } from '../../statistics/index.ts';
import { driftReport } from './drift-report.ts';

/** Rows with an age that is shifted by standard deviations, and a plan. */
function people(seed: number, rows: number, shift = 0) {
  const random = seededRandom(seed);
  return Array.from({ length: rows }, () => ({
    age: 40 + 10 * (random.normal() + shift),
    income: Math.exp(random.normal()),
    plan: random.uniform() < 0.3 ? 'free' : 'paid',
    vip: random.uniform() < 0.1,
  }));
}

describe('what it finds', () => {
  test.each([1, 2, 3, 4, 5, 6, 7, 8])('N(0, 1) against N(0.5, 1), 1,000 each (seed %i)', (seed) => {
    const random = seededRandom(seed);
    const normal = (mean: number) => ({
      x: Array.from({ length: 1000 }, () => mean + random.normal()),
    });
    const [reference, current] = [normal(0), normal(0.5)];
    const report = driftReport(reference, current);
    const [x] = report.columns;
    expect(x?.result.method).toBe('kolmogorov-smirnov');
    expect(x?.result.score).toBeCloseTo(0.2, 0.8);
    expect(x?.adjustedPValue).toBeLessThan(0.05);
    expect(['MEDIUM', 'HIGH']).toContain(x?.severity);
    const [psi] = driftReport(reference, current, { numeric: 'psi' }).columns;
    expect(psi?.result.score).toBeGreaterThan(0.16);
    expect(psi?.result.score).toBeLessThan(0.4);
    expect(psi?.detected).toBe(true);
  });

  test('names what moved, and nothing else', () => {
    const report = driftReport(people(1, 2000), people(2, 2000, 1), { title: 'Week 12' });
    expect(report.columns.filter((each) => each.detected).map((each) => each.feature)).toEqual([
      'age',
    ]);
    expect(report.severity).toBe('CRITICAL');
    expect(report.dataset.driftedShare).toBe(0.25);
    const page = report.toMarkdown();
    expect(page).toMatch(/^# Week 12\n\n\*\*DRIFT · CRITICAL\*\*/);
    expect(page).toMatch(
      /- age has drifted, CRITICAL: wasserstein [\d.]+, 0\.31 matters, p .*mean 39\.97 → 50\.02/,
    );
    expect(page.match(/^- .*$/gm)).toHaveLength(1);
    expect(report.toHtml().match(/<figure class="bars">/g)).toHaveLength(5);
  });

  test('missing, infinite and mistyped entries, categories that are new or gone, columns that come and go', () => {
    const reference = people(1, 1000).map((row) => ({ ...row, old: 1 }));
    const current = people(2, 1000).map((row, i) => ({
      ...row,
      age: i % 5 === 0 ? null : row.age,
      income: i % 10 === 0 ? Number.POSITIVE_INFINITY : i % 10 === 1 ? 'n/a' : row.income,
      plan: i % 2 === 0 ? 'trial' : 'free',
      fresh: 2,
    }));
    const report = driftReport(reference, current);
    const shares = report.columns.flatMap(({ feature, shares: all }) =>
      all.filter((each) => each.detected).map((each) => `${feature} ${each.of}`),
    );
    expect(shares.toSorted()).toEqual(['age missing', 'income infinite', 'income wrong-type']);
    const plan = report.columns.find(({ feature }) => feature === 'plan');
    expect(plan).toMatchObject({
      newCategories: [{ category: 'trial', count: 500 }],
      vanished: ['paid'],
      detected: true,
    });
    expect(report.schema).toEqual([
      { column: 'old', change: 'gone' },
      { column: 'fresh', change: 'new' },
    ]);
  });

  test('the prediction and the truth are told apart from the features', () => {
    const half = (rows: ReturnType<typeof people>) =>
      rows.map(({ plan, ...rest }) => ({ ...rest, answer: plan }));
    const moved = half(people(2, 1000)).map((row) => ({ ...row, answer: 'free' }));
    const report = driftReport(half(people(1, 1000)), moved, { prediction: 'answer' });
    expect(report.columns[0]).toMatchObject({
      feature: 'answer',
      role: 'prediction',
      detected: true,
    });
    expect(report.dataset.driftedShare).toBe(0);
    expect(report.detected).toBe(true);
  });

  test('segments: the worst first, tiny ones not at all, and no alarm by their number', () => {
    const rows = (seed: number, shift: number) =>
      [...people(seed, 600), ...people(seed + 10, 600, shift), ...people(seed + 20, 40, 3)].map(
        (row, i) => ({ ...row, country: i < 600 ? 'de' : i < 1200 ? 'fr' : 'li' }),
      );
    const { segments } = driftReport(rows(1, 0), rows(2, 1), { segment: 'country' });
    expect(segments.map(({ segment, drift }) => [segment, drift?.severity])).toEqual([
      ['fr', 'CRITICAL'],
      ['de', 'NONE'],
      ['li', undefined],
    ]);
    expect(segments[0]?.drift?.features.map(({ feature }) => feature)).toEqual(['age']);
  });

  test('ids and times are set aside, unless they are asked for', () => {
    const rows = (from: number) =>
      people(from, 200).map((row, i) => ({
        ...row,
        id: `u${from + i}`,
        at: new Date(1e12 + (from + i) * 1e9),
      }));
    const [reference, current] = [rows(0), rows(1000)];
    const report = driftReport(reference, current);
    expect(report.setAside.map(({ column }) => column)).toEqual(['id', 'at']);
    expect(report.detected).toBe(false);
    expect(driftReport(reference, current, { columns: ['at'] }).columns[0]?.detected).toBe(true);
  });
});

describe('its promises', () => {
  test('without drift it is silent as often as it says: 400 pairs of windows of 50 to 2,000 rows', () => {
    const random = seededRandom(11);
    let alarms = 0;
    for (let run = 0; run < 400; run += 1) {
      const rows = [50, 200, 500, 2000][run % 4] as number;
      const table = () => ({
        a: Array.from({ length: rows }, () => random.normal()),
        b: Array.from({ length: rows }, () => Math.floor(random.uniform() * 4)),
        c: Array.from({ length: rows }, () => (random.uniform() < 0.5 ? 'x' : 'y')),
        d: Array.from({ length: rows }, () => (random.uniform() < 0.1 ? null : random.uniform())),
      });
      if (driftReport(table(), table()).detected) alarms += 1;
    }
    // 5 % stated; 400 runs with a chance of 5 % give more than 36 once in a thousand.
    expect(alarms).toBeLessThanOrEqual(36);
  });

  test('equal data give an equal report, bit for bit, in whatever order and shape it comes', () => {
    const [reference, current] = [people(1, 800), people(2, 700, 0.4)];
    const asColumns = (rows: ReturnType<typeof people>) => ({
      age: Float64Array.from(rows, (row) => row.age),
      income: rows.map((row) => row.income),
      plan: rows.map((row) => row.plan),
      vip: rows.map((row) => row.vip),
    });
    const told = JSON.stringify(driftReport(reference, current));
    expect(JSON.stringify(driftReport(reference.toReversed(), current.toReversed()))).toBe(told);
    expect(JSON.stringify(driftReport(asColumns(reference), asColumns(current)))).toBe(told);
    expect(JSON.parse(told)).toMatchObject({ format: 1, rows: { reference: 800, current: 700 } });
  });

  test('any rows are answered, never with NaN', () => {
    const value = fc.oneof(
      fc.double(),
      fc.constantFrom(
        null,
        undefined,
        Number.NaN,
        1e308,
        -1e308,
        5e-324,
        1e9,
        0,
        -0,
        '',
        '1',
        1,
        true,
      ),
      fc.string(),
      fc.constant({ a: 1 }),
      fc.bigInt(),
    );
    const name = fc.constantFrom('a', 'b', '__proto__', 'constructor');
    const row = fc
      .array(fc.tuple(name, value), { maxLength: 4 })
      .map((all): Record<string, unknown> => Object.fromEntries(all));
    const rows = fc.oneof(
      fc.array(row, { maxLength: 5 }),
      fc.array(row, { minLength: 30, maxLength: 60 }),
    );
    fc.assert(
      fc.property(rows, rows, (reference, current) => {
        const report = driftReport(reference, current);
        const look = (what: unknown): void => {
          if (typeof what === 'number') expect(Number.isFinite(what)).toBe(true);
          else if (typeof what === 'object' && what !== null) Object.values(what).forEach(look);
        };
        look(report.toJSON());
        expect(report.toMarkdown()).not.toMatch(/NaN|undefined/);
        expect(report.toHtml()).not.toMatch(/NaN|undefined/);
      }),
      { numRuns: 150 },
    );
  });

  test.each([
    ['no rows', [], []],
    ['one row', [{ x: 1 }], [{ x: 2 }]],
    ['nothing but missing', Array(100).fill({ x: null }), Array(100).fill({ x: null })],
  ])('%s: not enough data, said so', (_, reference, current) => {
    const report = driftReport(reference, current);
    expect(report.detected).toBe(false);
    expect(report.columns.every(({ result }) => result.outcome === 'not-enough-data')).toBe(true);
    expect(report.toMarkdown()).toContain('**NOT ENOUGH DATA**');
  });

  test('a constant that changes has drifted; at the scale of billions too', () => {
    const constant = (x: number) => Array(200).fill({ x });
    expect(driftReport(constant(7), constant(7)).detected).toBe(false);
    expect(driftReport(constant(7), constant(7.5)).severity).toBe('CRITICAL');
    const random = seededRandom(1);
    const billions = (shift: number) =>
      Array.from({ length: 300 }, () => ({ x: 1e9 + 1e-1 * (random.normal() + shift) }));
    expect(driftReport(billions(0), billions(0)).detected).toBe(false);
    expect(driftReport(billions(0), billions(2)).severity).toBe('CRITICAL');
  });

  test('names and values of any text are text in the page', () => {
    const hostile = '<img src=x onerror=alert(1)>|`';
    const rows = (value: string) => Array(100).fill({ [hostile]: value });
    const report = driftReport(rows(hostile), rows('b'), { title: hostile });
    expect(report.toHtml()).not.toContain('<img');
    expect(report.toMarkdown()).not.toMatch(/(?<!\\)<img/);
  });

  test.each([
    ['a string', 'rows', /must be a list of rows or an object of columns/],
    ['a row that is a number', [{ a: 1 }, 3], /Row 1 of the current data is a number/],
    ['a column that is no list', { a: 3 }, /Column "a" of the current data must be a list/],
    ['columns of different lengths', { a: [1, 2], b: [1] }, /"a" has 2 values, "b" has 1/],
  ])('%s is refused', (_, current, message) => {
    expect(() => driftReport([{ a: 1 }], current as never)).toThrow(message);
  });

  test('options are checked: columns that are not there, methods that do not fit', () => {
    const rows = people(1, 100);
    expect(() => driftReport(rows, rows, { except: ['aeg'] })).toThrow(
      /Neither side has a column "aeg"; there are "age", "income", "plan", "vip"/,
    );
    expect(() => driftReport(rows, rows, { methods: { plan: 'wasserstein' } })).toThrow(
      /Column "plan" has categories, which wasserstein cannot compare/,
    );
    expect(() => driftReport(rows, rows, { alpha: 2 })).toThrow(/alpha/);
    expect(() => driftReport(rows, rows, { numeric: 'ks' as never })).toThrow(/numeric/);
  });
});

test('features that no longer go together are told, though each is as it was', () => {
  const rows = (seed: number, sign: number) => {
    const random = seededRandom(seed);
    return Array.from({ length: 2000 }, () => {
      const [x, noise, z] = [random.normal(), random.normal(), random.normal()];
      return { x, y: sign * 0.9 * x + 0.4 * noise, z };
    });
  };
  const calm = driftReport(rows(1, 1), rows(2, 1));
  expect([calm.detected, calm.multivariate?.detected]).toEqual([false, false]);
  const report = driftReport(rows(1, 1), rows(3, -1));
  expect(report.columns.every(({ detected }) => !detected)).toBe(true);
  expect(report).toMatchObject({
    ...{ detected: true, severity: report.multivariate?.severity },
    multivariate: { outcome: 'measured', detected: true },
  });
  expect(report.severity).not.toBe('NONE');
  expect(report.toMarkdown()).toMatch(/no longer vary together as they did, (HIGH|CRITICAL)/);
  expect(report.toHtml()).toContain('share of the change');
  expect(driftReport(rows(1, 1), rows(3, -1), { multivariate: false }).detected).toBe(false);
});
