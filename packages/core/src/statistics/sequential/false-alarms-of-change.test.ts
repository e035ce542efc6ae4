import { afterAll, describe, expect, it } from 'vitest';
import {
  alpha,
  expectAtMostAlpha,
  needed,
  printSimulations,
  type Run,
  simulate,
} from '../fixtures/simulation.ts';
import type { SeededRandom } from '../random/seeded-random.ts';
import { logRateEvidence } from './beta-mixture.ts';
import { type ClassCounts, distributionChange } from './distribution-change.ts';
import { meanSequence } from './mean-sequence.ts';
import { rateChange } from './rate-change.ts';
import { sampleRatioTest } from './sample-ratio-test.ts';

afterAll(printSimulations);

describe('one rate and its interval', () => {
  it('never leaves the truth outside more often than stated', () => {
    for (const p of [0.02, 0.3]) {
      const run: Run = (random) => {
        let successes = 0;
        for (let trials = 1; trials <= 800; trials += 1) {
          if (random.chance(p)) successes += 1;
          if (logRateEvidence({ successes, trials }, p) >= needed) return trials;
        }
        return undefined;
      };
      expectAtMostAlpha(
        simulate('rate outside its interval', `${100 * p} %`, 1000, 800, run),
        1000,
      );
    }
  });

  it('sees a wrong split of traffic, and only that', () => {
    const split =
      (share: number): Run =>
      (random) => {
        let state = sampleRatioTest.init({ weight: 0.1, alpha });
        for (let count = 10; count <= 5000; count += 10) {
          const canary = Array.from({ length: 10 }, () => random.chance(share)).filter(
            Boolean,
          ).length;
          state = sampleRatioTest.update(state, { canary, baseline: 10 - canary });
          if (sampleRatioTest.verdict(state).mismatch) return count;
        }
        return undefined;
      };
    expectAtMostAlpha(simulate('sample ratio', '10 % as meant', 1000, 500, split(0.1)), 1000);
    expect(
      simulate('sample ratio', '13 % instead of 10 %', 100, 500, split(0.13)).share,
    ).toBeGreaterThan(0.95);
  });
});

describe('mean of bounded values', () => {
  it('never leaves the truth outside more often than stated, and narrows', () => {
    let width = 0;
    const run: Run = (random) => {
      let state = meanSequence.init({ low: 0, high: 10, alpha });
      let left: number | undefined;
      for (let count = 1; count <= 600; count += 1) {
        state = meanSequence.update(state, [10 * random.uniform() ** 3]);
        const { interval } = meanSequence.verdict(state);
        if (left === undefined && (interval.low > 2.5 || interval.high < 2.5)) left = count;
        width = interval.high - interval.low;
      }
      return left;
    };
    expectAtMostAlpha(
      simulate('mean outside its sequence', 'skewed in [0, 10], mean 2.5', 1000, 600, run),
      1000,
    );
    expect(width).toBeLessThan(1.5);
  });
});

describe('change of a rate since a reference', () => {
  interface Change {
    readonly sample: number;
    readonly before: number;
    readonly after: number;
    /** Trials before the change. */
    readonly at: number;
    readonly looks: number;
    readonly tolerance?: number;
  }

  /** Trials from the change until it is seen, looked at every 20. */
  function changing({ sample, before, after, at, looks, tolerance = 0 }: Change): Run {
    return (random) => {
      const draw = (p: number, trials: number) => {
        let successes = 0;
        for (let trial = 0; trial < trials; trial += 1) if (random.chance(p)) successes += 1;
        return { successes, trials };
      };
      let state = rateChange.init({ reference: draw(before, sample), alpha, tolerance });
      for (let look = 1; look <= looks; look += 1) {
        state = rateChange.update(state, draw(look * 20 > at ? after : before, 20));
        if (rateChange.verdict(state).decision === 'changed') return look * 20 - at;
      }
      return undefined;
    };
  }

  it.each([
    [30, 0.3],
    [200, 0.05],
    [1000, 0.5],
  ])('with a reference of %d it raises no more false alarms than stated', (sample, p) => {
    const run = changing({ sample, before: p, after: p, at: 0, looks: 15 });
    const truth = `none: ${100 * p} %, reference of ${sample}`;
    expectAtMostAlpha(simulate('rate change', truth, 500, 15, run), 500);
  });

  it('raises no more false alarms than stated about a change within its tolerance', () => {
    const law = { before: 0.2, after: 0.23, tolerance: 0.03 };
    const run = changing({ sample: 300, at: 0, looks: 40, ...law });
    const truth = '20 → 23 %, reference of 300';
    expectAtMostAlpha(simulate('rate change, tolerance 3 %', truth, 200, 40, run), 200);
  });

  it('finds a change at once, or a late one', () => {
    const early = changing({ sample: 200, before: 0.2, after: 0.05, at: 0, looks: 60 });
    const atOnce = simulate('rate change', '20 → 5 % at once, reference of 200', 150, 60, early);
    expect(atOnce.share).toBeGreaterThan(0.95);
    expect(atOnce.median).toBeLessThanOrEqual(160);
    const late = changing({ sample: 200, before: 0.2, after: 0.05, at: 400, looks: 80 });
    const later = simulate('rate change', '20 → 5 % after 400, reference of 200', 100, 80, late);
    expect(later.share).toBeGreaterThan(0.95);
    expect(later.median).toBeLessThanOrEqual(300);
  });
});

describe('change of a distribution', () => {
  const classes = ['drizzle', 'fog', 'rain', 'snow', 'sun'];
  const reference: Record<string, readonly number[]> = {
    dry: [0.05, 0.03, 0.18, 0.01, 0.73],
    wet: [0.1, 0.02, 0.68, 0.12, 0.08],
  };

  function nameAt(shares: readonly number[], place: number): string {
    let below = 0;
    const index = shares.findIndex((share) => {
      below += share;
      return place < below;
    });
    return classes.at(index) as string;
  }

  function draw(
    random: SeededRandom,
    trials: number,
    laws: Record<string, readonly number[]>,
  ): ClassCounts {
    const counts: Record<string, Record<string, number>> = { dry: {}, wet: {} };
    for (let trial = 0; trial < trials; trial += 1) {
      const stratum = random.chance(0.55) ? 'dry' : 'wet';
      const name = nameAt(laws[stratum] as readonly number[], random.uniform());
      const own = counts[stratum] as Record<string, number>;
      own[name] = (own[name] ?? 0) + 1;
    }
    return counts;
  }

  function changing(laws: Record<string, readonly number[]>, looks: number): Run {
    return (random) => {
      let state = distributionChange.init({ reference: draw(random, 365, reference), alpha });
      for (let look = 1; look <= looks; look += 1) {
        state = distributionChange.update(state, draw(random, 30, laws));
        if (distributionChange.verdict(state).decision === 'changed') return look * 30;
      }
      return undefined;
    };
  }

  it('raises no more false alarms than stated over five classes in two strata', () => {
    expectAtMostAlpha(
      simulate('label given input', 'none, reference of 365', 200, 12, changing(reference, 12)),
      200,
    );
  });

  it('finds that similar days are labelled otherwise', () => {
    const shifted = { ...reference, dry: [0.04, 0.12, 0.03, 0, 0.81] };
    const found = simulate(
      'label given input',
      'dry days: rain 18 → 3 %, fog 3 → 12 %',
      60,
      36,
      changing(shifted, 36),
    );
    expect(found.share).toBeGreaterThan(0.9);
  });
});
