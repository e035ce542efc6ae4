import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import type { Json } from '../../json.ts';
import { bootstrapInterval, predictionErrors, seededRandom } from '../../statistics/index.ts';
import { metricFigure } from './metric-figure.ts';
import { type LabelledRows, readPredictions } from './read-predictions.ts';
import { TestFault } from './test-fault.ts';

function rowsOf(pairs: readonly (readonly [label: Json, prediction: Json])[]): LabelledRows {
  return { rows: pairs.map(([label, prediction]) => ({ row: {}, label, prediction })) };
}

async function figureOf(metric: string, rows: LabelledRows): Promise<number | null> {
  return (await metricFigure(metric, rows, {})).value;
}

// scikit-learn's documentation of its metrics.
const labels = ['cat', 'ant', 'cat', 'cat', 'ant', 'bird'];
const said = ['ant', 'ant', 'cat', 'cat', 'ant', 'cat'];
const animals = rowsOf(labels.map((label, i) => [label, said[i] as string]));

describe('figures have the values known elsewhere', () => {
  test('of classes', async () => {
    expect(await figureOf('accuracy', animals)).toBeCloseTo(4 / 6, 15);
    expect(await figureOf('recall', animals)).toBeCloseTo((1 + 0 + 2 / 3) / 3, 15);
    expect(await figureOf('balancedAccuracy', animals)).toBeCloseTo((1 + 0 + 2 / 3) / 3, 15);
    // bird is never predicted, so that its precision has nothing to divide by, and is left out.
    expect(await figureOf('precision', animals)).toBeCloseTo((2 / 3 + 2 / 3) / 2, 15);
    const cat = { ...animals, positive: 'cat' };
    const precision = await metricFigure('precision', cat, {});
    expect(precision).toMatchObject({ value: 2 / 3, method: 'Wilson', rows: 6 });
    expect(await figureOf('recall', cat)).toBeCloseTo(2 / 3, 15);
    expect(await figureOf('f1', cat)).toBeCloseTo(2 / 3, 15);
    expect(await figureOf('recall', { ...animals, positive: 'dog' })).toBeNull();
  });

  test('of numbers', async () => {
    const numbers = rowsOf([
      [3, 2.5],
      ['-0.5', 0],
      [2, [2]],
      [7, '8'],
    ]);
    expect(await figureOf('mae', numbers)).toBe(0.5);
    expect(await figureOf('rmse', numbers)).toBeCloseTo(0.6123724356957945, 15);
    expect(await figureOf('r2', numbers)).toBeCloseTo(0.9486081370449679, 14);
    await expect(figureOf('mae', rowsOf([['x', 1]]))).rejects.toThrow('the label "x" is no number');
    await expect(figureOf('mae', rowsOf([[1, 'x']]))).rejects.toThrow('the prediction "x" is no');
  });

  test('of probabilities', async () => {
    const ham = (spam: number, label: string) => ({
      ...{ row: {}, label, prediction: 'x', score: spam },
      probabilities: { ham: 1 - spam, spam },
    });
    const rows = [ham(0.9, 'spam'), ham(0.1, 'ham'), ham(0.2, 'ham'), ham(0.65, 'spam')];
    expect(await figureOf('logLoss', { rows })).toBeCloseTo(0.21616187468057912, 12);
    expect(await figureOf('auc', { rows, ranked: 'spam' })).toBe(1);
    // scikit-learn: roc_auc_score([0, 0, 1, 1], [0.1, 0.4, 0.35, 0.8]) is 0.75.
    const four = [0.1, 0.4, 0.35, 0.8].map((score, i) => ham(score, i < 2 ? 'ham' : 'spam'));
    expect(await metricFigure('auc', { rows: four, ranked: 'spam' }, {})).toMatchObject({
      ...{ value: 0.75, method: 'DeLong' },
    });
    await expect(figureOf('auc', animals)).rejects.toThrow('auc needs the probability of a class');
    await expect(figureOf('logLoss', { rows: [ham(0.5, 'eggs')] })).rejects.toThrow('class eggs');
    await expect(figureOf('logLoss', animals)).rejects.toThrow('needs probabilities');
    await expect(
      figureOf('auc', { rows: [ham(Number.NaN, 'ham')], ranked: 'spam' }),
    ).rejects.toThrow(TestFault);
  });
});

test('every interval has its value within, and comes out the same again', async () => {
  const pair = fc.tuple(fc.constantFrom('a', 'b', 'c'), fc.constantFrom('a', 'b', 'c'));
  await fc.assert(
    fc.asyncProperty(fc.array(pair, { minLength: 5, maxLength: 40 }), async (pairs) => {
      const rows = { ...rowsOf(pairs), positive: 'a' };
      for (const metric of ['accuracy', 'precision', 'recall', 'f1', 'balancedAccuracy']) {
        const figure = await metricFigure(metric, rows, {});
        expect(await metricFigure(metric, rows, {})).toEqual(figure);
        if (figure.value === null || figure.interval === undefined) continue;
        expect(figure.interval.low).toBeLessThanOrEqual(figure.value + 1e-12);
        expect(figure.interval.high).toBeGreaterThanOrEqual(figure.value - 1e-12);
      }
    }),
    { numRuns: 15 },
  );
});

test('intervals of many rows, drawn in groups, are as wide as those of single rows', async () => {
  const random = seededRandom('many rows');
  const rows = Array.from({ length: 8000 }, () => {
    const label = random.normal();
    return { row: {}, label, prediction: label + random.normal() };
  });
  const { value, interval } = await metricFigure('r2', { rows }, {});
  const actual = rows.map((row) => row.label);
  const said = rows.map((row) => row.prediction);
  const single = bootstrapInterval(
    rows.length,
    (places) => {
      const of = (list: readonly number[]) => Array.from(places, (place) => list[place] as number);
      return predictionErrors(of(actual), of(said)).determination as number;
    },
    { alpha: 0.05, seed: 1, resamples: 200 },
  );
  expect(value).toBe(predictionErrors(actual, said).determination);
  const width = (interval?.high ?? 0) - (interval?.low ?? 0);
  const wanted = (single?.high ?? 0) - (single?.low ?? 0);
  expect(width / wanted).toBeGreaterThan(0.8);
  expect(width / wanted).toBeLessThan(1.25);
});

test('a figure of one’s own is a number, or fails with what it says', async () => {
  const own = (made: () => unknown) => metricFigure('mine', animals, { mine: made as never });
  expect(await own(async () => 0.5)).toEqual({ metric: 'mine', value: 0.5, rows: 6 });
  await expect(own(() => '0.5')).rejects.toThrow('metric mine answered a string');
  await expect(
    own(() => {
      throw new Error('no costs are known');
    }),
  ).rejects.toThrow('metric mine: no costs are known');
});

describe('predictions are read', () => {
  const scored = { name: 'score', datatype: 'FP64', shape: [-1] } as const;
  const table = {
    ...{ name: 'probabilities', datatype: 'FP64', shape: [-1, 2], columns: ['no', 'yes'] },
  } as const;
  const label = { name: 'label', datatype: 'BYTES', shape: [-1] } as const;
  const rows = [{ y: 'yes' }];
  const read = (outputs: readonly object[], answer: object, prediction = {}) =>
    readPredictions({ inputs: [], outputs: outputs as never }, { label: 'y', prediction }, rows, [
      answer as never,
    ]);

  test('from a label with probabilities, from the likeliest class, from a score', () => {
    const probabilities = { no: 0.2, yes: 0.8 };
    expect(read([label, table], { label: 'no', probabilities })).toMatchObject({
      ...{ ranked: 'yes', rows: [{ prediction: 'no', score: 0.8 }] },
    });
    expect(read([table], { probabilities })).toMatchObject({ rows: [{ prediction: 'yes' }] });
    const positive = { positive: 'no' };
    expect(read([table], { probabilities }, positive)).toMatchObject({
      ...{ positive: 'no', ranked: 'no', rows: [{ score: 0.2 }] },
    });
    const threshold = { threshold: 0.7, positive: 'yes', negative: 'no' };
    expect(read([scored], { score: 0.7 }, threshold).rows[0]).toMatchObject({ prediction: 'yes' });
    expect(read([scored], { score: 0.6 }, threshold).rows[0]).toMatchObject({ prediction: 'no' });
    expect(read([scored], { score: 3 }).rows[0]).toMatchObject({ prediction: 3 });
  });

  test('or it is said what is missing', () => {
    expect(() => read([scored, { ...scored, name: 'b' }], {})).toThrow('prediction.output');
    expect(() => read([scored], {}, { output: 'x' })).toThrow('there are score');
    expect(() => read([scored], {}, { probabilities: 'p' })).toThrow('no output p with a column');
    expect(() => read([table], {}, { threshold: 0.5 })).toThrow('needs an output that is a score');
    expect(() => read([label], { label: 'x' }, { threshold: 0.5 })).toThrow('is no score: "x"');
    expect(() =>
      readPredictions({ inputs: [], outputs: [label] }, { label: 'z' }, rows, [{}]),
    ).toThrow('row 1 has no label: column z is missing');
  });
});
