import { describe, expect, test } from 'vitest';
import { seededRandom } from '../random/seeded-random.ts';
import { meanDifference } from './mean-difference.ts';

/** Whether, looked at every forty pairs, a difference is ever found. */
function everFound(seed: number, shift: number, pairs: number): 'higher' | 'lower' | undefined {
  const random = seededRandom(seed);
  let state = meanDifference.init({ alpha: 0.1 });
  const value = (): number => random.uniform() ** 2 * 0.9;
  for (let i = 0; i < pairs; i += 40) {
    state = meanDifference.update(
      state,
      Array.from({ length: 40 }, () => value() + shift - value()),
    );
    const { decision } = meanDifference.verdict(state);
    if (decision !== 'inconclusive') return decision;
  }
  return undefined;
}

describe('the comparison of two means', () => {
  test('finds a difference where there is none no oftener than it says', () => {
    const found = Array.from({ length: 60 }, (_, seed) => everFound(seed, 0, 200));
    // Of a share of 10 % more than 14 of 60 have a chance of one in 1,000.
    expect(found.filter((each) => each !== undefined).length).toBeLessThanOrEqual(14);
  });

  test('finds a difference, and its side', () => {
    const up = Array.from({ length: 10 }, (_, seed) => everFound(seed, 0.1, 2000));
    expect(up).toEqual(up.map(() => 'higher'));
    let state = meanDifference.init({});
    state = meanDifference.update(
      state,
      Array.from({ length: 60 }, () => -1),
    );
    expect(meanDifference.verdict(state)).toMatchObject({ decision: 'lower', difference: -1 });
  });

  test('says nothing without enough pairs, and keeps sums that the grid rounds', () => {
    let state = meanDifference.init({ minimumPairs: 1001 });
    state = meanDifference.update(
      state,
      Array.from({ length: 1000 }, () => 0.0013),
    );
    const { decision, difference, interval } = meanDifference.verdict(state);
    expect(decision).toBe('inconclusive');
    expect(difference).toBeCloseTo(0.0013, 10);
    const gridded = Object.entries(state.counts).reduce((sum, [at, n]) => sum + Number(at) * n, 0);
    expect(Math.abs(gridded / 200 - 1.3)).toBeLessThan(0.005);
    expect(interval.low).toBeLessThan(0.0013);
    expect(meanDifference.verdict(meanDifference.init({})).interval).toEqual({ low: -1, high: 1 });
  });

  test('refuses what is no difference', () => {
    const state = meanDifference.init({});
    expect(() => meanDifference.update(state, [1.5])).toThrow('difference');
    expect(() => meanDifference.init({ alpha: 2 })).toThrow('alpha');
  });
});
