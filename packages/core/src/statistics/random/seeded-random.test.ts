import { describe, expect, it } from 'vitest';
import { chiSquaredAbove } from '../distributions/chi-squared.ts';
import { kolmogorovLimitAbove } from '../distributions/kolmogorov.ts';
import { normalBelow } from '../distributions/normal.ts';
import { type SeededRandom, seededRandom } from './seeded-random.ts';

function draws<T>(count: number, draw: () => T): T[] {
  return Array.from({ length: count }, draw);
}

describe('seeded random numbers', () => {
  it('are the same for the same seed, on every machine and in every version', () => {
    const random = seededRandom('keelson');
    expect(draws(4, () => random.nextUint32())).toEqual([
      2123648044, 4105833919, 974428678, 995936695,
    ]);
    expect(draws(3, () => seededRandom(7).uniform())[2]).toBe(seededRandom(7).uniform());
    expect(seededRandom(7).nextUint32()).toBe(seededRandom('7').nextUint32());
    expect(seededRandom(7).nextUint32()).not.toBe(seededRandom(8).nextUint32());
  });

  it('a fork depends on its name, not on what was drawn', () => {
    const early = seededRandom('a');
    const late = seededRandom('a');
    draws(10, () => late.uniform());
    expect(late.fork('x').nextUint32()).toBe(early.fork('x').nextUint32());
    expect(early.fork('x').nextUint32()).not.toBe(early.fork('y').nextUint32());
    expect(early.fork('x').nextUint32()).not.toBe(seededRandom('ax').nextUint32());
  });

  it('are uniform, also in their lower bits and across seeds', () => {
    const evenness = (values: readonly number[], cells: number) => {
      const counts = new Array<number>(cells).fill(0);
      for (const value of values) counts[value] = (counts[value] as number) + 1;
      const expected = values.length / cells;
      return chiSquaredAbove(
        counts.reduce((sum, count) => sum + (count - expected) ** 2 / expected, 0),
        cells - 1,
      );
    };
    const random = seededRandom(1);
    expect(
      evenness(
        draws(20_000, () => Math.floor(random.uniform() * 100)),
        100,
      ),
    ).toBeGreaterThan(0.001);
    expect(
      evenness(
        draws(20_000, () => random.nextUint32() % 64),
        64,
      ),
    ).toBeGreaterThan(0.001);
    expect(
      evenness(
        draws(20_000, () => random.below(7)),
        7,
      ),
    ).toBeGreaterThan(0.001);
    let seed = 0;
    expect(
      evenness(
        draws(20_000, () => Math.floor(seededRandom(seed++).uniform() * 50)),
        50,
      ),
    ).toBeGreaterThan(0.001);
  });

  it('normal values are normal', () => {
    const random: SeededRandom = seededRandom('normal');
    const values = draws(5000, () => random.normal()).sort((a, b) => a - b);
    const gap = Math.max(
      ...values.map((value, index) => Math.abs(normalBelow(value) - (index + 0.5) / values.length)),
    );
    expect(kolmogorovLimitAbove(gap * Math.sqrt(values.length))).toBeGreaterThan(0.001);
  });

  it('shuffles to every order alike', () => {
    const random = seededRandom('shuffle');
    const seen = new Map<string, number>();
    for (let run = 0; run < 6000; run += 1) {
      const order = random.shuffle([1, 2, 3]).join('');
      seen.set(order, (seen.get(order) ?? 0) + 1);
    }
    expect(seen.size).toBe(6);
    for (const count of seen.values()) expect(Math.abs(count - 1000)).toBeLessThan(130);
  });
});
