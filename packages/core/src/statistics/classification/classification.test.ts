import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { classificationMetrics, confusionMatrix, mergeConfusion } from './confusion-matrix.ts';
import { applyIsotonic, fitIsotonic } from './isotonic-map.ts';
import { brierScore, calibrationError, logLoss } from './probability-scores.ts';
import { rocArea, rocCurve } from './ranked-scores.ts';

const labels = fc.array(fc.tuple(fc.constantFrom('a', 'b', 'c'), fc.constantFrom('a', 'b', 'd')), {
  maxLength: 30,
});

describe('confusion matrix', () => {
  it('a worked example', () => {
    const actual = ['sun', 'sun', 'sun', 'rain', 'rain', 'fog'];
    const predicted = ['sun', 'sun', 'rain', 'rain', 'sun', 'sun'];
    const matrix = confusionMatrix(actual, predicted);
    expect(matrix).toEqual({
      classes: ['fog', 'rain', 'sun'],
      counts: [
        [0, 0, 1],
        [0, 1, 1],
        [0, 1, 2],
      ],
    });
    const metrics = classificationMetrics(matrix);
    expect(metrics).toMatchObject({
      items: 6,
      correct: 3,
      accuracy: 0.5,
      majorityClass: 'sun',
      majorityAccuracy: 0.5,
    });
    expect(metrics.balancedAccuracy).toBeCloseTo((0 + 1 / 2 + 2 / 3) / 3, 12);
    expect(metrics.macroF1).toBeCloseTo((0 + 1 / 2 + 4 / 7) / 3, 12);
    expect(metrics.kappa).toBeCloseTo((0.5 - 16 / 36) / (1 - 16 / 36), 12);
    expect(metrics.perClass[0]).toEqual({
      class: 'fog',
      support: 1,
      predicted: 0,
      precision: null,
      recall: 0,
      f1: 0,
    });
    expect(metrics.perClass[2]).toMatchObject({ precision: 0.5, recall: 2 / 3, f1: 4 / 7 });
  });

  it('merges to that of all items, in any order', () => {
    fc.assert(
      fc.property(labels, labels, (a, b) => {
        const of = (pairs: readonly (readonly [string, string])[]) =>
          confusionMatrix(
            pairs.map(([actual]) => actual),
            pairs.map(([, predicted]) => predicted),
          );
        expect(mergeConfusion(of(a), of(b))).toEqual(of([...a, ...b]));
        expect(mergeConfusion(of(b), of(a))).toEqual(of([...a, ...b]));
      }),
    );
  });

  it('says null without items', () => {
    expect(classificationMetrics(confusionMatrix([], []))).toMatchObject({
      items: 0,
      accuracy: null,
      majorityClass: null,
      kappa: null,
    });
    expect(() => confusionMatrix(['a'], [])).toThrow('as many');
  });
});

describe('ranked scores', () => {
  it('the area is the share of pairs in order, ties counted half', () => {
    const items = fc.array(fc.tuple(fc.integer({ min: 0, max: 5 }), fc.constantFrom(0, 1)), {
      maxLength: 25,
    });
    fc.assert(
      fc.property(items, (list) => {
        const positives = list.filter(([, label]) => label === 1);
        const negatives = list.filter(([, label]) => label === 0);
        let wins = 0;
        for (const [p] of positives)
          for (const [n] of negatives) wins += p > n ? 1 : p === n ? 0.5 : 0;
        const area = rocArea(
          list.map(([score]) => score),
          list.map(([, label]) => label),
        );
        if (positives.length === 0 || negatives.length === 0) expect(area).toBeNull();
        else expect(area).toBeCloseTo(wins / (positives.length * negatives.length), 12);
      }),
    );
  });

  it('the curve runs from (0, 0) to (1, 1)', () => {
    expect(rocCurve([0.9, 0.4, 0.4], [1, 0, 1])).toEqual([
      { falsePositiveRate: 0, truePositiveRate: 0 },
      { falsePositiveRate: 0, truePositiveRate: 0.5 },
      { falsePositiveRate: 1, truePositiveRate: 1 },
    ]);
    expect(() => rocArea([Number.NaN], [1])).toThrow('number');
    expect(() => rocArea([1], [2])).toThrow('from 0 to 1');
  });
});

describe('probabilities', () => {
  it('log loss, Brier score and calibration', () => {
    expect(logLoss([0.8, 0.25], [1, 0])).toBeCloseTo(-(Math.log(0.8) + Math.log(0.75)) / 2, 12);
    expect(logLoss([0], [1])).toBeCloseTo(36.04365338911715, 9);
    expect(brierScore([0.8, 0.25], [1, 0])).toBeCloseTo((0.04 + 0.0625) / 2, 12);
    expect(calibrationError([0.1, 0.3, 0.7, 0.9], [0, 0, 1, 1], 2)).toBeCloseTo(0.2, 12);
    expect(calibrationError([0.5, 0.5], [0, 1], 1)).toBe(0);
    expect(() => logLoss([], [])).toThrow('at least one');
    expect(() => brierScore([0.5], [2])).toThrow('0 or 1');
    expect(() => brierScore([1.5], [1])).toThrow('0 to 1');
  });

  it('an isotonic map rises, and is the identity on what rises already', () => {
    const points = fc.array(
      fc.tuple(fc.integer({ min: 0, max: 20 }), fc.double({ min: 0, max: 1, noNaN: true })),
      { minLength: 1, maxLength: 30 },
    );
    fc.assert(
      fc.property(points, (list) => {
        const map = fitIsotonic(
          list.map(([x]) => x),
          list.map(([, y]) => y),
        );
        for (let index = 1; index < map.x.length; index += 1) {
          expect(map.x[index]).toBeGreaterThan(map.x[index - 1] as number);
          expect(map.y[index]).toBeGreaterThanOrEqual(map.y[index - 1] as number);
        }
        const fitted = list.reduce((sum, [x]) => sum + applyIsotonic(map, x), 0);
        expect(fitted).toBeCloseTo(
          list.reduce((sum, [, y]) => sum + y, 0),
          9,
        );
      }),
    );
    expect(fitIsotonic([1, 2, 4], [0.1, 0.2, 0.9])).toEqual({ x: [1, 2, 4], y: [0.1, 0.2, 0.9] });
    expect(applyIsotonic({ x: [1, 3], y: [0, 1] }, 2.5)).toBe(0.75);
    expect(applyIsotonic({ x: [1, 3], y: [0, 1] }, 9)).toBe(1);
  });
});
