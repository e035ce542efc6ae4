import { describe, expect, it } from 'vitest';
import { momentsOf } from '../descriptive/moments.ts';
import { binomialProbability } from '../distributions/binomial.ts';
import { expectCloseTo } from '../fixtures/close-to.ts';
import { seededRandom } from '../random/seeded-random.ts';
import type { Interval } from './interval.ts';
import { meanDifferenceInterval, meanInterval } from './mean-interval.ts';
import { clopperPearsonInterval, type Rate, wilsonInterval } from './rate-interval.ts';

describe('intervals of a rate', () => {
  it('known values', () => {
    // Newcombe 1998, table I: 81 of 263, 15 of 148, 0 of 20, 1 of 29.
    const wilson = (successes: number, trials: number) => {
      const { low, high } = wilsonInterval({ successes, trials }, 0.05);
      return [low.toFixed(4), high.toFixed(4)];
    };
    expect(wilson(81, 263)).toEqual(['0.2553', '0.3662']);
    expect(wilson(15, 148)).toEqual(['0.0624', '0.1605']);
    expect(wilson(0, 20)).toEqual(['0.0000', '0.1611']);
    expect(wilson(1, 29)).toEqual(['0.0061', '0.1718']);
    const exact = (successes: number, trials: number) => {
      const { low, high } = clopperPearsonInterval({ successes, trials }, 0.05);
      return [low.toFixed(4), high.toFixed(4)];
    };
    expect(exact(81, 263)).toEqual(['0.2527', '0.3676']);
    expect(exact(15, 148)).toEqual(['0.0578', '0.1617']);
    expect(exact(0, 20)).toEqual(['0.0000', '0.1684']);
    expect(exact(1, 29)).toEqual(['0.0009', '0.1776']);
    expect(clopperPearsonInterval({ successes: 0, trials: 0 }, 0.05)).toEqual({ low: 0, high: 1 });
    expect(wilsonInterval({ successes: 0, trials: 0 }, 0.05)).toEqual({ low: 0, high: 1 });
  });

  function coverage(
    trials: number,
    rate: number,
    interval: (counts: Rate, alpha: number) => Interval,
  ): number {
    let covered = 0;
    for (let successes = 0; successes <= trials; successes += 1) {
      const { low, high } = interval({ successes, trials }, 0.05);
      if (rate >= low && rate <= high) covered += binomialProbability(successes, trials, rate);
    }
    return covered;
  }

  it('Clopper–Pearson covers every rate at its level, Wilson on average', () => {
    let sum = 0;
    let count = 0;
    for (const trials of [5, 20, 80]) {
      for (let rate = 0.01; rate < 1; rate += 0.0173) {
        expect(coverage(trials, rate, clopperPearsonInterval)).toBeGreaterThanOrEqual(0.95);
        sum += coverage(trials, rate, wilsonInterval);
        count += 1;
      }
    }
    expect(sum / count).toBeGreaterThan(0.94);
    expect(sum / count).toBeLessThan(0.965);
  });
});

describe('intervals of a mean', () => {
  it('known values', () => {
    // Mean 3, deviation √2.5, t(4) = 2.7764451051977987.
    const { low, high } = meanInterval(momentsOf([1, 2, 3, 4, 5]), 0.05);
    expectCloseTo(low, 3 - 2.7764451051977987 * Math.sqrt(0.5), 1e-12);
    expectCloseTo(high, 3 + 2.7764451051977987 * Math.sqrt(0.5), 1e-12);
    const same = meanDifferenceInterval(momentsOf([7, 7]), momentsOf([9, 9, 9]), 0.05);
    expect(same).toEqual({ low: 2, high: 2 });
    expect(() => meanInterval(momentsOf([1]), 0.05)).toThrow('at least 2');
  });

  it('cover the true mean and difference at their level', () => {
    const runs = 2000;
    let means = 0;
    let differences = 0;
    for (let run = 0; run < runs; run += 1) {
      const random = seededRandom(`means/${run}`);
      const a = momentsOf(Array.from({ length: 8 }, () => random.normal()));
      const b = momentsOf(Array.from({ length: 15 }, () => 1 + 3 * random.normal()));
      const mean = meanInterval(a, 0.1);
      const difference = meanDifferenceInterval(a, b, 0.1);
      if (mean.low <= 0 && mean.high >= 0) means += 1;
      if (difference.low <= 1 && difference.high >= 1) differences += 1;
    }
    for (const covered of [means, differences]) {
      expect(Math.abs(covered / runs - 0.9)).toBeLessThan(4 * Math.sqrt((0.9 * 0.1) / runs));
    }
  });
});
