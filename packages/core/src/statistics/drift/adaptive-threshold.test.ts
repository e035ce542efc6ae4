import { describe, expect, it } from 'vitest';
import { seededRandom } from '../random/seeded-random.ts';
import { adaptiveThreshold } from './adaptive-threshold.ts';

describe('a threshold learnt from earlier scores', () => {
  it('is the median and robust deviations above it, whatever a few outliers are', () => {
    expect(adaptiveThreshold([1, 2, 3, 4, 5], { deviations: 2 })).toBeCloseTo(
      3 + 2 * 1.4826022185056018,
      12,
    );
    expect(adaptiveThreshold([1, 2, 3, 4, 1e9], { deviations: 2 })).toBeCloseTo(
      3 + 2 * 1.4826022185056018,
      12,
    );
    const random = seededRandom('history');
    const scores = Array.from({ length: 4000 }, () => 10 + 2 * random.normal());
    expect(adaptiveThreshold(scores, { deviations: 3 })).toBeCloseTo(16, 0);
  });

  it('keeps a floor, and says null for too few scores', () => {
    expect(adaptiveThreshold([0.1, 0.1, 0.1, 0.1], { floor: 0.2 })).toBe(0.2);
    expect(adaptiveThreshold([0.1, 0.1, 0.1])).toBeNull();
    expect(adaptiveThreshold([], { minimum: 0 })).toBeNull();
    expect(() => adaptiveThreshold([1, 2, 3, Number.NaN])).toThrow('finite');
  });
});
