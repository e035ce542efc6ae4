import { expect, it } from 'vitest';
import { predictionErrors } from './prediction-errors.ts';

it('known values', () => {
  // scikit-learn's documentation of its regression metrics.
  const errors = predictionErrors([3, -0.5, 2, 7], [2.5, 0, 2, 8]);
  expect(errors).toMatchObject({ items: 4, meanAbsolute: 0.5, meanSquared: 0.375 });
  expect(errors.rootMeanSquared).toBeCloseTo(0.6123724356957945, 15);
  expect(errors.determination).toBeCloseTo(0.9486081370449679, 15);
  expect(predictionErrors([1, 2, 3], [3, 2, 1]).determination).toBe(-3);
});

it('has no figures of nothing, no share of a spread that is none, and hides nothing', () => {
  expect(predictionErrors([], [])).toMatchObject({ items: 0, meanAbsolute: null });
  expect(predictionErrors([0.1, 0.1, 0.1, 0.1], [0.1, 1.1, 0.1, 1.1])).toMatchObject({
    meanAbsolute: 0.5,
    determination: null,
  });
  expect(predictionErrors([1, 2], [1, Number.NaN]).meanAbsolute).toBeNaN();
  expect(() => predictionErrors([1], [])).toThrow('as many');
});
