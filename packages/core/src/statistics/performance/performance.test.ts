import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { classificationMetrics, confusionMatrix } from '../classification/confusion-matrix.ts';
import { brierScore, calibrationError, logLoss } from '../classification/probability-scores.ts';
import { rocAreaInterval } from '../classification/roc-area-interval.ts';
import { wilsonInterval } from '../intervals/rate-interval.ts';
import { seededRandom } from '../random/seeded-random.ts';
import { predictionErrors } from '../regression/prediction-errors.ts';
import { classPerformance } from './class-performance.ts';
import type { MeasuredFigure } from './measured-figure.ts';
import { numberPerformance } from './number-performance.ts';
import { type ScoredRows, scorePerformance } from './score-performance.ts';
import { weightedConfusion } from './weighted-confusion.ts';

const alpha = 0.05;
const name = fc.constantFrom('a', 'b', 'c');
const pairs = fc.array(fc.tuple(name, name), { minLength: 1, maxLength: 40 });
const close = (actual: MeasuredFigure, expected: number | null): void => {
  if (expected === null) expect(actual.value).toBeNull();
  else expect(actual.value).toBeCloseTo(expected, 12);
};

function of(list: readonly (readonly [string, string])[], weights?: readonly number[]) {
  return classPerformance(
    weightedConfusion(
      list.map(([actual]) => actual),
      list.map(([, predicted]) => predicted),
      weights,
    ),
    alpha,
  );
}

function binary(seed: string, rows: number): ScoredRows & { readonly labels: number[] } {
  const random = seededRandom(seed);
  const scores = Array.from({ length: rows }, () => random.uniform());
  const labels = scores.map((p) => (random.uniform() < p ** 1.5 ? 1 : 0));
  return {
    labels,
    actual: labels.map(String),
    predicted: scores.map((p) => (p >= 0.5 ? '1' : '0')),
    classes: ['0', '1'],
    probabilities: scores.map((p) => [1 - p, p]),
  };
}

describe('without weights', () => {
  it('classes are measured as by the confusion matrix, with Wilson’s intervals', () => {
    fc.assert(
      fc.property(pairs, (list) => {
        const known = classificationMetrics(
          confusionMatrix(
            list.map(([actual]) => actual),
            list.map(([, predicted]) => predicted),
          ),
        );
        const found = of(list);
        close(found.accuracy, known.accuracy);
        close(found.macroRecall, known.balancedAccuracy);
        close(found.macroF1, known.macroF1);
        expect(found.accuracy.interval).toEqual(
          wilsonInterval({ successes: known.correct, trials: known.items }, alpha),
        );
        for (const [i, each] of found.perClass.entries()) {
          close(each.precision, known.perClass[i]?.precision ?? null);
          close(each.recall, known.perClass[i]?.recall ?? null);
          close(each.f1, known.perClass[i]?.f1 ?? null);
        }
      }),
    );
  });

  it('probabilities are measured as by the scores, with DeLong’s interval', () => {
    const rows = binary('scores', 300);
    const scores = rows.probabilities.map((each) => each[1] as number);
    const found = scorePerformance(rows, alpha);
    const known = rocAreaInterval(scores, rows.labels, alpha);
    close(found.rocArea, known?.area ?? null);
    expect(found.rocArea.standardError).toBeCloseTo(known?.standardError ?? Number.NaN, 12);
    close(found.logLoss, logLoss(scores, rows.labels));
    close(found.brier, brierScore(scores, rows.labels));
    close(found.calibrationError, calibrationError(scores, rows.labels));
    expect(found.calibration.map((bin) => bin.rows)).toEqual(new Array(10).fill(30));
  });

  it('numbers are measured as by their errors', () => {
    const random = seededRandom('numbers');
    const actual = Array.from({ length: 100 }, () => random.normal());
    const predicted = actual.map((value) => value + 0.3 + 0.5 * random.normal());
    const known = predictionErrors(actual, predicted);
    const found = numberPerformance({ actual, predicted }, alpha);
    close(found.meanAbsolute, known.meanAbsolute);
    close(found.rootMeanSquared, known.rootMeanSquared);
    close(found.determination, known.determination);
    expect(found.bias.interval?.low).toBeGreaterThan(0);
  });
});

it('a row of weight 3 counts as three rows do', () => {
  const rows = binary('weights', 120);
  const weights = rows.actual.map((_, i) => 1 + (i % 3));
  const repeat = <T>(list: readonly T[]): T[] =>
    list.flatMap((each, i) => new Array<T>(weights[i] as number).fill(each));
  const many = {
    ...rows,
    actual: repeat(rows.actual),
    predicted: repeat(rows.predicted),
    probabilities: repeat(rows.probabilities),
  };
  const [few, all] = [scorePerformance({ ...rows, weights }, alpha), scorePerformance(many, alpha)];
  for (const figure of ['rocArea', 'logLoss', 'brier'] as const) {
    close(few[figure], all[figure].value);
    // They are no more rows than they were.
    expect(few[figure].rows).toBeLessThan(all[figure].rows);
  }
  const classes = (list: ScoredRows, by?: number[]) =>
    of(
      list.actual.map((each, i) => [each, list.predicted[i] as string] as const),
      by,
    );
  const [light, heavy] = [classes(rows, weights), classes(many)];
  for (const figure of ['accuracy', 'macroPrecision', 'macroRecall', 'macroF1'] as const) {
    close(light[figure], heavy[figure].value);
    expect(light[figure].rows).toBeLessThan(heavy[figure].rows);
  }
});

it('intervals hold the truth about as often as they say, of plain and of sampled rows', () => {
  const runs = 400;
  const truth = binary('truth', 200_000);
  const figures = (rows: ScoredRows): Record<string, MeasuredFigure> => {
    const { accuracy, macroF1, macroRecall, perClass } = of(
      rows.actual.map((each, i) => [each, rows.predicted[i] as string] as const),
      rows.weights as number[] | undefined,
    );
    const { rocArea, logLoss: loss, brier, calibrationError: ece } = scorePerformance(rows, alpha);
    const { recall, f1 } = perClass[1] as (typeof perClass)[number];
    return { accuracy, macroF1, macroRecall, recall, f1, rocArea, loss, brier, ece };
  };
  const expected = figures(truth);
  const held: Record<string, number> = {};
  for (let run = 0; run < runs; run += 1) {
    const rows = binary(`run ${run}`, 300);
    const random = seededRandom(`sample ${run}`);
    // Half of the runs: of the zeros a quarter is kept, with its weight.
    const kept = rows.actual.flatMap((each, i) =>
      run % 2 === 0 || each === '1' || random.uniform() < 0.25 ? [i] : [],
    );
    const pick = <T>(list: readonly T[]): T[] => kept.map((i) => list[i] as T);
    const sample = {
      ...rows,
      actual: pick(rows.actual),
      predicted: pick(rows.predicted),
      probabilities: pick(rows.probabilities),
      weights: kept.map((i) => (run % 2 === 0 || rows.actual[i] === '1' ? 1 : 4)),
    };
    for (const [figure, { interval }] of Object.entries(figures(sample))) {
      const is = expected[figure]?.value as number;
      const holds = interval !== null && interval.low <= is && is <= interval.high;
      held[figure] = (held[figure] ?? 0) + (holds ? 1 : 0);
    }
  }
  // 95 % of 400 with four standard errors; the calibration error is biased upwards in small samples.
  for (const [figure, count] of Object.entries(held)) {
    expect([figure, count / runs > (figure === 'ece' ? 0.85 : 0.906)]).toEqual([figure, true]);
    expect([figure, count / runs <= 1]).toEqual([figure, true]);
  }
}, 60_000);

it('says nothing of nothing, and refuses what is no row', () => {
  const empty = scorePerformance(
    { actual: [], predicted: [], classes: ['a'], probabilities: [] },
    alpha,
  );
  expect([empty.rocArea.value, empty.logLoss.value, empty.calibrationError.value]).toEqual([
    null,
    null,
    null,
  ]);
  expect(of([['a', 'a']]).accuracy).toMatchObject({ value: 1, rows: 1 });
  expect(numberPerformance({ actual: [1], predicted: [2] }, alpha).meanAbsolute).toMatchObject({
    value: 1,
    interval: null,
  });
  expect(() => of([['a', 'a']], [0])).toThrow('weight');
  expect(() => numberPerformance({ actual: [1], predicted: [Number.NaN] }, alpha)).toThrow('value');
});
