import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { expectCloseTo } from '../fixtures/close-to.ts';
import { seededRandom } from '../random/seeded-random.ts';
import {
  mergeMoments,
  momentsOf,
  noMoments,
  populationDeviation,
  sampleVariance,
} from './moments.ts';
import { numericSample } from './numeric-sample.ts';
import { median, quantile, sorted } from './quantile.ts';
import { SortSpace, sortNumbers } from './sort-numbers.ts';
import { summarise } from './summary.ts';
import { trapezoidArea } from './trapezoid-area.ts';

const values = fc.array(fc.double({ min: -1e6, max: 1e6, noNaN: true }), {
  minLength: 1,
  maxLength: 40,
});

describe('moments', () => {
  it('keep a small spread around a large mean', () => {
    const around = [1e9 + 0.1, 1e9 - 0.1, 1e9 + 0.1, 1e9 - 0.1];
    expectCloseTo(sampleVariance(momentsOf(around)), 0.04 / 3, 1e-6);
  });

  it('merged are those of all values, whatever the split', () => {
    fc.assert(
      fc.property(values, values, (a, b) => {
        const whole = momentsOf([...a, ...b]);
        const merged = mergeMoments(momentsOf(a), momentsOf(b));
        expect([merged.count, merged.low, merged.high]).toEqual([
          whole.count,
          whole.low,
          whole.high,
        ]);
        expectCloseTo(merged.mean, whole.mean, 1e-9, 1e-6);
        expectCloseTo(merged.squares, whole.squares, 1e-9, 1e-3);
        expect(mergeMoments(noMoments, whole)).toEqual(whole);
        expect(mergeMoments(whole, noMoments)).toEqual(whole);
      }),
    );
  });

  it('of too few values are not numbers, and of no number INVALID', () => {
    expect(sampleVariance(momentsOf([3]))).toBeNaN();
    expect(populationDeviation(noMoments)).toBeNaN();
    expect(populationDeviation(momentsOf([3]))).toBe(0);
    expect(() => momentsOf([1, Number.NaN])).toThrow('finite');
  });
});

describe('sortNumbers', () => {
  it('sorts as comparing does, bit for bit, few values and many', () => {
    const random = seededRandom('sort');
    const draws: readonly (() => number)[] = [
      () => random.normal(),
      () => Math.floor(random.uniform() * 20) - 10,
      () => Math.exp(1000 * (random.uniform() - 0.5)) * (random.uniform() < 0.5 ? -1 : 1),
      () => (random.uniform() < 0.5 ? -0 : 0),
      () => 7,
      // Alike in their upper 32 bits: all of them, or a few at a time.
      () => -1 - random.below(1_000_000) * Number.EPSILON,
      () => random.below(10_000) + random.below(4) * 1e-9,
    ];
    const space = new SortSpace();
    for (const length of [0, 1, 1000, 30_000]) {
      for (const draw of draws) {
        const values = Float64Array.from({ length }, draw);
        const before = values.slice();
        const compared = values.slice().sort();
        expect(sameBits(sortNumbers(values, space), compared)).toBe(true);
        expect(sameBits(values, before)).toBe(true);
      }
    }
  });

  function sameBits(a: Float64Array, b: Float64Array): boolean {
    return a.length === b.length && a.every((value, i) => Object.is(value, b[i]));
  }
});

describe('quantiles', () => {
  it('lie between neighbours, and are values at the ends', () => {
    fc.assert(
      fc.property(values, fc.double({ min: 0, max: 1, noNaN: true }), (list, share) => {
        const ascending = sorted(list);
        const at = quantile(ascending, share);
        expect(at).toBeGreaterThanOrEqual(
          ascending[Math.floor((list.length - 1) * share)] as number,
        );
        expect(at).toBeLessThanOrEqual(ascending[Math.ceil((list.length - 1) * share)] as number);
        expect(quantile(ascending, 0) === ascending[0]).toBe(true);
        expect(quantile(ascending, 1) === ascending.at(-1)).toBe(true);
      }),
    );
  });

  it('interpolate', () => {
    expect(median(sorted([4, 1, 3, 2]))).toBe(2.5);
    expect(quantile([0, 10], 0.3)).toBe(3);
    expect(() => quantile([], 0.5)).toThrow('at least one');
    expect(() => sorted([1, Number.NaN])).toThrow('number');
  });
});

it('a sample sets aside what is missing or infinite', () => {
  const sample = numericSample([3, null, -Infinity, 1, Number.NaN, undefined, Infinity, -0]);
  expect([...sample.values]).toEqual([-0, 1, 3]);
  expect(sample).toMatchObject({ entries: 8, missing: 3, infinite: 2 });
  expect(numericSample(['7' as never, true as never])).toMatchObject({ missing: 2 });
});

it('a summary says what there is, and null where there is nothing', () => {
  expect(summarise([1, 2, 2, null, Infinity])).toEqual({
    entries: 5,
    missing: 1,
    infinite: 1,
    distinct: 2,
    mean: 5 / 3,
    deviation: Math.sqrt(1 / 3),
    low: 1,
    high: 2,
    quantiles: { p1: 1.02, p5: 1.1, p25: 1.5, p50: 2, p75: 2, p95: 2, p99: 2 },
  });
  expect(summarise([null])).toMatchObject({
    distinct: 0,
    mean: null,
    deviation: null,
    low: null,
    quantiles: null,
  });
});

it('an area by trapezoids', () => {
  expect(trapezoidArea([0, 1, 3], [0, 2, 4])).toBe(7);
  expect(trapezoidArea([2], [5])).toBe(0);
  expect(() => trapezoidArea([0, 2, 1], [0, 0, 0])).toThrow('ascending');
  expect(() => trapezoidArea([0, 1], [0])).toThrow('as many');
});
