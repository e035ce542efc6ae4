import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import type { Json } from '../../json.ts';
import { seededRandom } from '../../statistics/index.ts';
import { performanceReport } from '../reports/performance-report.ts';
import { estimateErrors } from './estimated-errors.ts';
import { estimatePerformance } from './estimated-performance.ts';
import { lossesOf } from './losses.ts';
import { measureRows, type PerformanceRow } from './measured-rows.ts';
import { segmentPerformances } from './segment-performance.ts';

describe('rows whose truth is known', () => {
  test('are classes or numbers by what they hold', () => {
    const task = (rows: readonly (readonly [Json, Json])[]) =>
      measureRows(rows.map(([actual, predicted]) => ({ actual, predicted }))).task;
    expect(task([['a', 'b']])).toBe('classification');
    expect(task([[true, false]])).toBe('classification');
    expect(task([[3, 4]])).toBe('classification');
    expect(task([[3.5, 4]])).toBe('regression');
    expect(task([[3.5, 'x']])).toBe('classification');
    expect(task(Array.from({ length: 30 }, (_, i) => [i, i + 1]))).toBe('regression');
    expect(task([[1, 0.8]])).toBe('classification');
    expect(task([[2, 0.8]])).toBe('regression');
    expect(task([])).toBeUndefined();
  });

  test('probabilities of one class are scores, with a threshold', () => {
    const rows = [0.9, 0.8, 0.3, 0.6, 0.2].map((predicted, i) => ({
      actual: i < 2 || i === 4,
      predicted,
    }));
    const { classes, scores } = measureRows(rows);
    expect(classes?.accuracy.value).toBe(0.6);
    expect(scores?.rocArea.value).toBeCloseTo(4 / 6, 12);
    expect(measureRows(rows, { threshold: 0.7 }).classes?.accuracy.value).toBe(0.8);
    expect([...lossesOf(rows)]).toEqual([0, 0, 0, 1, 1]);
  });

  test('a failed answer is wrong, and no class; of numbers it is left out and counted', () => {
    const { classes, failed } = measureRows([
      { actual: 'a', predicted: 'a' },
      { actual: 'a' },
      { actual: 'b', predicted: 'b' },
    ]);
    expect(failed).toBe(1);
    expect(classes?.accuracy.value).toBeCloseTo(2 / 3, 12);
    expect(classes?.perClass.map((each) => [each.class, each.recall.value])).toEqual([
      ['a', 0.5],
      ['b', 1],
    ]);
    expect(classes?.macroPrecision.value).toBe(1);
    expect(
      measureRows([{ actual: 1.5, predicted: 2 }, { actual: 2.5 }, { actual: 1, predicted: 'x' }], {
        task: 'regression',
      }),
    ).toMatchObject({ failed: 1, unusable: 1, numbers: { rows: 1 } });
  });

  test('1 and "1" are not the same', () => {
    const { classes } = measureRows([
      { actual: '1', predicted: 1 },
      { actual: '1', predicted: '1' },
    ]);
    expect(classes?.accuracy.value).toBe(0.5);
  });

  test('of any kind give figures without NaN, the same every time', () => {
    const value = fc.oneof(
      fc.constantFrom<Json>(0, 1, true, 'a', '1', null, 1e308, -1e308, 0.5, 1e-300),
      fc.double() as fc.Arbitrary<Json>,
      fc.constant<Json>({ a: [1] }),
    );
    const row: fc.Arbitrary<PerformanceRow> = fc.record(
      {
        actual: value,
        predicted: value,
        probabilities: fc.dictionary(fc.constantFrom('0', '1', 'a', '__proto__'), fc.double()),
        weight: fc.constantFrom(1, 10, 1.5),
      },
      { requiredKeys: ['actual'] },
    );
    fc.assert(
      fc.property(
        fc.array(row, { maxLength: 30 }),
        fc.constantFrom(undefined, 'classification', 'regression'),
        (rows, task) => {
          const how = task === undefined ? {} : ({ task } as const);
          const measured = measureRows(rows, how);
          assertFinite(measured);
          expect(measureRows(rows, how)).toEqual(measured);
          expect(measured.outcome === 'measured').toBe(
            measured.classes !== undefined || measured.numbers !== undefined,
          );
        },
      ),
      { numRuns: 300 },
    );
  });
});

test('the segment that does worse is found, and none where all do alike', () => {
  const named: string[] = [];
  for (let run = 0; run < 60; run += 1) {
    const random = seededRandom(`segments ${run}`);
    const rows = Array.from({ length: 1500 }, (_, i) => {
      const country = `c${i % 12}`;
      const isWrong = random.uniform() < (run % 2 === 1 && country === 'c3' ? 0.4 : 0.1);
      const tiny = i % 300 === 0;
      return {
        row: { actual: 'a', predicted: isWrong || tiny ? 'b' : 'a' },
        prediction: { features: { country: tiny ? 'tiny' : country } },
      };
    });
    const found = segmentPerformances(rows, 'country', {});
    const worse = found.filter(({ beside }) => beside?.isWorse).map(({ segment }) => segment);
    named.push(worse.join('+'));
    expect(found.find(({ segment }) => segment === 'tiny')?.beside).toBeUndefined();
    expect(found.find(({ segment }) => segment === 'tiny')?.performance.outcome).toBe(
      'not-enough-data',
    );
  }
  const of = (parity: number) => named.filter((_, run) => run % 2 === parity);
  expect(of(1).filter((each) => each.split('+')[0] === 'c3').length).toBeGreaterThanOrEqual(29);
  // 5 % of 30.
  expect(of(0).filter((each) => each !== '').length).toBeLessThanOrEqual(5);
});

describe('a performance report', () => {
  const random = seededRandom('report');
  const rows = Array.from({ length: 600 }, (_, i) => {
    const p = random.uniform();
    const country = ['DE', 'FR', '<b>'][i % 3] as string;
    const isWrong = random.uniform() < (country === 'FR' ? 0.4 : 0.15);
    const says = p > 0.5 ? 'yes' : 'no';
    return {
      ...{ prediction: says, yes: p, no: 1 - p, country, at: new Date(1.7e12 + i * 3_600_000) },
      label: isWrong ? (says === 'yes' ? 'no' : 'yes') : says,
      version: i % 2 === 0 ? 'one' : 'two',
    };
  });
  const options = {
    ...{ title: 'Churn', time: 'at', version: 'version', segment: 'country' },
    probabilities: { yes: 'yes', no: 'no' },
  };

  test('needs no platform: data, Markdown and a page of its own', () => {
    const report = performanceReport([...rows, { ...rows[0], label: null }], options);
    expect(report.unlabelled).toBe(1);
    expect(report.overall).toMatchObject({ outcome: 'measured', rows: 600 });
    expect(report.segments[0]).toMatchObject({ segment: 'FR', beside: { isWorse: true } });
    expect(report.versions.map(({ version }) => version)).toEqual(['one', 'two']);
    expect(report.overTime).toHaveLength(24);
    assertFinite(report.toJSON());
    const [html, markdown] = [report.toHtml(), report.toMarkdown()];
    expect(html.match(/<svg/g)?.length).toBeGreaterThanOrEqual(6);
    expect(html).not.toMatch(/<script|src=|NaN|undefined|<b>FR|<td><b>/);
    expect(html).toContain('&lt;b&gt;');
    expect(markdown).toMatch(/\| accuracy \| 0\.7\d+ \|/);
    const columns = Object.fromEntries(
      Object.keys(rows[0] as object).map((name) => [
        name,
        rows.map((row) => row[name as keyof typeof row]),
      ]),
    );
    expect(performanceReport(columns, options).toHtml()).toBe(
      performanceReport(rows, options).toHtml(),
    );
  });

  test('of numbers, of nothing, and of columns that are not there', () => {
    const numbers = Array.from({ length: 50 }, (_, i) => ({ prediction: i + 0.5, label: i }));
    expect(performanceReport(numbers).toMarkdown()).toContain('| mean absolute error | 0.5 |');
    const nothing = performanceReport({ prediction: [], label: [] });
    expect(nothing.overall.outcome).toBe('not-enough-data');
    expect(nothing.toHtml()).toContain('NOT ENOUGH DATA');
    expect(() => performanceReport(numbers, { target: 'truth' })).toThrow('"truth"');
    expect(() => performanceReport(numbers, { titel: 'x' } as never)).toThrow('titel');
  });
});

describe('performance without labels', () => {
  /** Answers of a model that is too sure of itself; from `drift` on the truth is other than it was. */
  function answered(seed: string, count: number, drift = 0): PerformanceRow[] {
    const random = seededRandom(seed);
    return Array.from({ length: count }, () => {
      const [a, b] = [2.5 * random.normal(), random.normal()];
      const said = 1 / (1 + Math.exp(-a));
      const truth = 1 / (1 + Math.exp(-(a / 2.5 + drift * b * 3)));
      const actual = random.uniform() < truth ? 'yes' : 'no';
      const probabilities = { yes: said, no: 1 - said };
      return { actual, predicted: said >= 0.5 ? 'yes' : 'no', probabilities };
    });
  }

  test('is estimated within its band, where the probabilities themselves would be wrong', () => {
    let [inside, diverged, outside, calibrated] = [0, 0, 0, 0];
    const runs = 20;
    for (let run = 0; run < runs; run += 1) {
      const reference = answered(`reference ${run}`, 2000);
      const rows = answered(`rows ${run}`, 500);
      const { figures, beside, usual, ...rest } = estimatePerformance(reference, rows, rows);
      expect(rest).toMatchObject({
        ...{ outcome: 'measured', rows: 500 },
        reference: { rows: 2000 },
      });
      if (rest.reference.calibrated.length === 2) calibrated += 1;
      const real = measureRows(rows);
      const holds = (figure: 'accuracy' | 'macroF1' | 'rocArea', value: number): boolean => {
        const { band } = figures?.[figure] ?? {};
        return band != null && band.low <= value && value <= band.high;
      };
      const isInside =
        holds('accuracy', real.classes?.accuracy.value as number) &&
        holds('macroF1', real.classes?.macroF1.value as number) &&
        holds('rocArea', real.scores?.rocArea.value as number);
      if (isInside) inside += 1;
      if (beside?.hasDiverged === true) diverged += 1;
      if (usual?.isOutside === true) outside += 1;
      expect((figures?.accuracy.band?.high ?? 1) - (figures?.accuracy.band?.low ?? 0)).toBeLessThan(
        0.2,
      );
    }
    expect(calibrated).toBe(runs);
    expect([inside >= runs - 1, diverged <= 1, outside <= 1]).toEqual([true, true, true]);
  });

  test('diverges from what is realised where the concept has drifted', () => {
    let diverged = 0;
    for (let run = 0; run < 10; run += 1) {
      const reference = answered(`reference ${run}`, 2000);
      const rows = answered(`drifted ${run}`, 1000, 1);
      const { beside } = estimatePerformance(reference, rows, rows);
      if (beside?.hasDiverged === true && beside.realised < beside.estimated) diverged += 1;
    }
    expect(diverged).toBeGreaterThanOrEqual(9);
  });

  test('of scores alone, and with too little data an answer', () => {
    const scores = (seed: string, count: number) =>
      answered(seed, count).map(({ actual, probabilities }) => ({
        ...{ actual: actual === 'yes', predicted: probabilities?.['yes'] as number },
      }));
    const found = estimatePerformance(scores('a', 1000), scores('b', 300), []);
    expect(found).toMatchObject({ outcome: 'measured', reference: { rows: 1000 } });
    expect(found.beside).toBeUndefined();
    expect(estimatePerformance(scores('a', 100), scores('b', 300), [])).toMatchObject({
      ...{ outcome: 'not-enough-data', reason: expect.stringContaining('100 of 200') },
    });
    expect(estimatePerformance([], [], []).outcome).toBe('not-enough-data');
  });

  test('of numbers by the regressor that is given', async () => {
    const random = seededRandom('regressor');
    const rows = Array.from({ length: 400 }, () => {
      const x = random.uniform();
      return { features: { x }, predicted: 0, actual: x * (random.uniform() < 0.5 ? 1 : -1) };
    });
    // |error| is x: the mean of the neighbours would say the same.
    const regressor = {
      fit: async () => async (asked: readonly { readonly features: object }[]) =>
        asked.map(({ features }) => (features as { x: number }).x),
    };
    const late = Array.from({ length: 50 }, () => ({ features: { x: 0.9 }, predicted: 0 }));
    expect((await estimateErrors(rows, late, regressor)).meanAbsolute).toBeCloseTo(0.9, 12);
    expect(await estimateErrors([], late, regressor)).toMatchObject({ meanAbsolute: null });
    const lazy = { fit: async () => async () => [] };
    await expect(estimateErrors(rows, late, lazy)).rejects.toMatchObject({ code: 'INVALID' });
  });
});

function assertFinite(value: unknown): void {
  if (typeof value === 'number') expect(Number.isFinite(value)).toBe(true);
  else if (typeof value === 'object' && value !== null) Object.values(value).forEach(assertFinite);
}
