import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import type { PointColumns } from '../contracts/series-store.ts';
import { ExtentFold, FiguresFold, type MetricFigures, seriesFigures } from './series-figures.ts';

function series(values: readonly number[], steps = values.map((_, i) => i)): PointColumns {
  return {
    steps: Float64Array.from(steps),
    timestamps: new Float64Array(values.length),
    values: Float64Array.from(values),
  };
}

function lower(values: readonly number[], steps?: number[]): MetricFigures {
  return seriesFigures(series(values, steps), 'lower') as MetricFigures;
}

describe('figures of a series', () => {
  test('by hand: final, best, convergence, area, stability, count', () => {
    // Range 10 − 1 = 9, so the band reaches to 1 + 0.45. The last tenth of 12 points is 2 points:
    // 1.2 and 1.4, mean 1.3, variance 2 · 0.1² / 1 = 0.02.
    const values = [10, 6, 4, 2, 1.4, 1, 1.5, 1.3, 1.2, 1.1, 1.2, 1.4];
    const figures = lower(values);
    expect(figures).toMatchObject({ count: 12, final: 1.4, finalStep: 11, best: 1, bestStep: 5 });
    expect(figures).toMatchObject({ min: 1, minStep: 5, max: 10, maxStep: 0 });
    // 1.5 at step 6 is outside 1.45; from step 7 on all are inside.
    expect(figures.convergenceStep).toBe(7);
    // The sum of all values, 32.1, less half of the first and half of the last: 5 and 0.7.
    expect(figures.area).toBeCloseTo(26.4, 10);
    expect(figures.stability).toBeCloseTo(50, 8);
  });

  test('with higher as better the same curve upside down converges at the same step', () => {
    const values = [10, 6, 4, 2, 1.4, 1, 1.5, 1.3, 1.2, 1.1, 1.2, 1.4];
    const figures = seriesFigures(series(values.map((v) => -v)), 'higher');
    expect(figures).toMatchObject({ best: -1, bestStep: 5, convergenceStep: 7 });
  });

  test('a series that ends far from its best has not converged', () => {
    expect(lower([5, 1, 5]).convergenceStep).toBeUndefined();
    expect(lower([5, 5, 5]).convergenceStep).toBe(0);
  });

  test('without a direction there is no best, and the extremes are both told', () => {
    const figures = seriesFigures(series([3, 1, 2]), undefined);
    expect(figures).toMatchObject({ min: 1, max: 3, best: undefined, convergenceStep: undefined });
  });

  test('NaN and infinities are counted and skipped, never bridged', () => {
    const figures = lower([4, Number.NaN, 2, 2, Infinity, 2]);
    expect(figures).toMatchObject({ count: 6, nanCount: 1, infiniteCount: 1, best: 2, max: 4 });
    // Of the five trapezoids only that between steps 2 and 3 has two finite ends.
    expect(figures.area).toBe(2);
    // The infinity at step 4 is outside any band.
    expect(figures.convergenceStep).toBe(5);
    expect(lower([1, Number.NaN]).final).toBeNaN();
    expect(lower([Number.NaN, Number.NaN])).toMatchObject({
      min: undefined,
      best: undefined,
      area: undefined,
      stability: undefined,
      convergenceStep: undefined,
      nanCount: 2,
    });
  });

  test('one point, equal steps, unequal widths, negative steps', () => {
    expect(lower([3])).toMatchObject({ area: undefined, stability: undefined, convergenceStep: 0 });
    expect(lower([3, 5], [4, 4]).area).toBeUndefined();
    // Two points of step 2, the first outside: it is not from step 2 on that all are inside.
    expect(lower([100, 90, 1, 1], [1, 2, 2, 5]).convergenceStep).toBe(5);
    // 10 · (1 + 3) / 2 + 90 · (3 + 5) / 2
    expect(lower([1, 3, 5], [-10, 0, 90]).area).toBe(20 + 360);
    expect(seriesFigures(series([]), 'lower')).toBeUndefined();
  });

  test('values at the ends of the doubles do not overflow the band or the trapezoids', () => {
    const figures = lower([1e308, -1e308, -1e308]);
    expect(figures).toMatchObject({ best: -1e308, convergenceStep: 1, area: -1e308 });
  });

  test('equal values at the end are perfectly stable', () => {
    expect(lower([5, 2, 2]).stability).toBe(Infinity);
  });

  test('property: pages of any size give what one page gives, and the definition holds', () => {
    const value = fc.oneof(
      fc.double({ min: -1e6, max: 1e6, noNaN: true }),
      fc.constantFrom(Number.NaN, Infinity, -Infinity, 0, -0),
    );
    const points = fc.array(fc.tuple(fc.integer({ min: -50, max: 50 }), value), { minLength: 1 });
    const property = fc.property(
      points,
      fc.integer({ min: 1, max: 7 }),
      fc.constantFrom('lower' as const, 'higher' as const),
      (raw, size, direction) => {
        const sorted = raw.toSorted(([a], [b]) => a - b);
        const steps = sorted.map(([step]) => step);
        const values = sorted.map(([, v]) => v);
        const whole = seriesFigures(series(values, steps), direction) as MetricFigures;
        const pages: PointColumns[] = [];
        for (let at = 0; at < values.length; at += size)
          pages.push(series(values.slice(at, at + size), steps.slice(at, at + size)));
        const extent = new ExtentFold();
        for (const page of pages) extent.add(page);
        const fold = new FiguresFold(extent.extent as NonNullable<typeof extent.extent>, direction);
        for (const page of pages) fold.add(page);
        const { stability, ...exact } = fold.figures;
        const { stability: expected, ...rest } = whole;
        expect(exact).toEqual(rest);
        if (expected === undefined || stability === undefined) expect(stability).toBe(expected);
        else {
          // Variances that are merged lose digits where the values are large beside their spread.
          const largest = Math.max(...values.filter(Number.isFinite).map(Math.abs), 1e-150);
          const difference = Math.abs(1 / stability - 1 / expected);
          expect(difference).toBeLessThanOrEqual(1e-9 / expected + 1e-12 * largest * largest);
        }
        expect(exact.convergenceStep).toBe(convergence(steps, values, direction));
      },
    );
    fc.assert(property, { numRuns: 300 });
  });
});

/** By the words of the definition, in quadratic time. */
function convergence(
  steps: readonly number[],
  values: readonly number[],
  direction: 'lower' | 'higher',
): number | undefined {
  const finite = values.filter((value) => Number.isFinite(value));
  if (finite.length === 0) return undefined;
  const [low, high] = [Math.min(...finite), Math.max(...finite)];
  const width = 0.05 * high - 0.05 * low;
  const inside = (value: number): boolean =>
    Number.isFinite(value) &&
    (direction === 'lower' ? value <= low + width : value >= high - width);
  return [...new Set(steps)].find((from) =>
    values.every((value, i) => (steps[i] as number) < from || inside(value)),
  );
}
