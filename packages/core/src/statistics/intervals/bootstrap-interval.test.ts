import { describe, expect, it } from 'vitest';
import { seededRandom } from '../random/seeded-random.ts';
import { bootstrapInterval } from './bootstrap-interval.ts';

const meanOf =
  (values: readonly number[]) =>
  (places: Uint32Array): number => {
    let sum = 0;
    for (const place of places) sum += values[place] as number;
    return sum / places.length;
  };

describe('the bootstrap', () => {
  it('is the same for the same seed, and the point where all items are equal', () => {
    const values = [1, 5, 2, 8, 4, 4, 9];
    const draw = (seed: number) => bootstrapInterval(7, meanOf(values), { alpha: 0.05, seed });
    expect(draw(1)).toEqual(draw(1));
    expect(draw(1)).not.toEqual(draw(2));
    expect(bootstrapInterval(3, meanOf([2, 2, 2]), { alpha: 0.05, seed: 1 })).toEqual({
      low: 2,
      high: 2,
    });
  });

  it('covers the true mean of skewed values at about its level', () => {
    const runs = 400;
    let covered = 0;
    for (let run = 0; run < runs; run += 1) {
      const random = seededRandom(`bootstrap/${run}`);
      const values = Array.from({ length: 80 }, () => -Math.log(1 - random.uniform()));
      const options = { alpha: 0.1, seed: run, resamples: 300 };
      const found = bootstrapInterval(80, meanOf(values), options);
      if (found !== null && found.low <= 1 && found.high >= 1) covered += 1;
    }
    expect(covered / runs).toBeGreaterThan(0.84);
    expect(covered / runs).toBeLessThan(0.95);
  });

  it('leaves out samples without the figure, and says nothing where most have none', () => {
    const one = (places: Uint32Array) => (places[0] === 0 ? Number.NaN : 1);
    expect(bootstrapInterval(4, one, { alpha: 0.05, seed: 1 })).toEqual({ low: 1, high: 1 });
    const none = () => Number.NaN;
    expect(bootstrapInterval(4, none, { alpha: 0.05, seed: 1 })).toBeNull();
    expect(() => bootstrapInterval(0, none, { alpha: 0.05, seed: 1 })).toThrow('at least 1');
  });
});
