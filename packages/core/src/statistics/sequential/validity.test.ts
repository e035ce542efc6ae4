import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { binomialProbability } from '../distributions/binomial.ts';
import {
  logRateEvidence,
  logRateEvidenceAbove,
  logRateEvidenceBelow,
  rateInterval,
} from './beta-mixture.ts';
import { bettingInterval, logWealthAbove, logWealthBelow, logWealthEither } from './betting.ts';
import { changeEvidence, changeStarts, withTrials } from './change-evidence.ts';
import { rateChange } from './rate-change.ts';
import { rateComparison } from './rate-comparison.ts';
import { referenceEvidence } from './reference-evidence.ts';

// A process is valid if, under its null hypothesis, no next step raises its expectation. That is checked exactly,
// by summing over all outcomes of the next step; rounding may add this much.
const slack = 1 + 1e-9;

const count = fc.integer({ min: 0, max: 60 });
const rate = fc.double({ min: 0.001, max: 0.999, noNaN: true });

function outcomes(wins: number, ties: number, losses: number) {
  return [
    { value: 1, count: wins },
    { value: 0.5, count: ties },
    { value: 0, count: losses },
  ];
}

describe('bets on paired outcomes', () => {
  const processes = { above: logWealthAbove, below: logWealthBelow, either: logWealthEither };

  it.each(Object.entries(processes))(
    '%s: never expects to gain while the mean is as assumed',
    (_, log) => {
      fc.assert(
        fc.property(
          count,
          count,
          count,
          rate,
          fc.double({ min: 0, max: 1, noNaN: true }),
          (w, t, l, mean, share) => {
            const tie = 2 * Math.min(mean, 1 - mean) * share;
            const win = mean - tie / 2;
            const now = log(outcomes(w, t, l), mean);
            const factor =
              win * Math.exp(log(outcomes(w + 1, t, l), mean) - now) +
              tie * Math.exp(log(outcomes(w, t + 1, l), mean) - now) +
              (1 - win - tie) * Math.exp(log(outcomes(w, t, l + 1), mean) - now);
            expect(factor).toBeLessThanOrEqual(slack);
          },
        ),
      );
    },
  );

  it('one-sided bets fall as the assumed mean moves towards the data', () => {
    fc.assert(
      fc.property(count, count, count, rate, rate, (w, t, l, a, b) => {
        const [low, high] = [Math.min(a, b), Math.max(a, b)];
        const data = outcomes(w, t, l);
        expect(logWealthAbove(data, high)).toBeLessThanOrEqual(logWealthAbove(data, low) + 1e-9);
        expect(logWealthBelow(data, low)).toBeLessThanOrEqual(logWealthBelow(data, high) + 1e-9);
      }),
    );
  });

  it('the interval is exactly what is not rejected', () => {
    fc.assert(
      fc.property(count, count, count, rate, (w, t, l, mean) => {
        const data = outcomes(w, t, l);
        const { low, high } = bettingInterval(data, 0.1);
        fc.pre(Math.abs(mean - low) > 1e-9 && Math.abs(mean - high) > 1e-9);
        expect(mean > low && mean < high).toBe(logWealthEither(data, mean) < Math.log(10));
      }),
    );
  });
});

describe('mixtures over a rate', () => {
  const processes = {
    exactly: logRateEvidence,
    above: logRateEvidenceAbove,
    below: logRateEvidenceBelow,
  };

  it.each(Object.entries(processes))(
    '%s: never expects to gain while the rate is as assumed',
    (_, log) => {
      fc.assert(
        fc.property(count, count, rate, (successes, failures, p) => {
          const trials = successes + failures;
          const now = log({ successes, trials }, p);
          const factor =
            p * Math.exp(log({ successes: successes + 1, trials: trials + 1 }, p) - now) +
            (1 - p) * Math.exp(log({ successes, trials: trials + 1 }, p) - now);
          expect(factor).toBeLessThanOrEqual(slack);
        }),
      );
    },
  );

  it('one-sided ones do not gain on the rest of their null hypothesis either', () => {
    fc.assert(
      fc.property(count, count, rate, rate, (successes, failures, a, b) => {
        const [low, high] = [Math.min(a, b), Math.max(a, b)];
        const trials = successes + failures;
        const factor = (log: typeof logRateEvidence, truth: number, limit: number) => {
          const now = log({ successes, trials }, limit);
          const up = log({ successes: successes + 1, trials: trials + 1 }, limit) - now;
          const down = log({ successes, trials: trials + 1 }, limit) - now;
          return truth * Math.exp(up) + (1 - truth) * Math.exp(down);
        };
        expect(factor(logRateEvidenceAbove, low, high)).toBeLessThanOrEqual(slack);
        expect(factor(logRateEvidenceBelow, high, low)).toBeLessThanOrEqual(slack);
      }),
    );
  });

  it('the interval is exactly what is not rejected', () => {
    fc.assert(
      fc.property(count, count, rate, (successes, failures, p) => {
        const data = { successes, trials: successes + failures };
        const { low, high } = rateInterval(data, 0.1);
        fc.pre(Math.abs(p - low) > 1e-9 && Math.abs(p - high) > 1e-9);
        expect(p > low && p < high).toBe(logRateEvidence(data, p) < Math.log(10));
      }),
    );
  });
});

describe('change of a rate', () => {
  it('a stream of the assumed rate never expects to gain', () => {
    const epochs = fc.array(
      fc.tuple(fc.integer({ min: 0, max: 9 }), fc.integer({ min: 1, max: 9 })),
      {
        minLength: 1,
        maxLength: 70,
      },
    );
    fc.assert(
      fc.property(epochs, rate, rate, (list, p, expected) => {
        let kept = withTrials([], 1, { successes: 0, trials: 1 });
        for (const [successes, failures] of list) {
          kept = withTrials(kept, 5, { successes, trials: successes + failures });
        }
        const e = (successes: number, trials: number) => {
          const next = trials === 0 ? kept : withTrials(kept, 5, { successes, trials });
          return Math.exp(changeEvidence(changeStarts(next), expected).logE(p));
        };
        expect(p * e(1, 1) + (1 - p) * e(0, 1)).toBeLessThanOrEqual(e(0, 0) * slack);
      }),
      { numRuns: 200 },
    );
  });

  it('the evidence of a reference against its own rate is at most 1 in expectation', () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 1, max: 40 }),
        rate,
        fc.double({ min: 1e-6, max: 0.5, noNaN: true }),
        (trials, p, alpha) => {
          let expectation = 0;
          for (let successes = 0; successes <= trials; successes += 1) {
            const steps = referenceEvidence({ successes, trials }, alpha);
            const step = steps.find(({ low, high }) => p >= low && p <= high);
            expectation +=
              binomialProbability(successes, trials, p) * Math.exp(step?.logE ?? Infinity);
          }
          expect(expectation).toBeLessThanOrEqual(slack);
        },
      ),
      { numRuns: 40 },
    );
  });

  it('the whole test is at most 1 in expectation, whatever the rate', () => {
    const [n, m] = [12, 10];
    for (const p of [0.02, 0.1, 0.3, 0.5, 0.85, 0.99]) {
      let expectation = 0;
      for (let before = 0; before <= n; before += 1) {
        const start = rateChange.init({ reference: { successes: before, trials: n }, alpha: 0.3 });
        for (let after = 0; after <= m; after += 1) {
          const state = rateChange.update(start, { successes: after, trials: m });
          const chance = binomialProbability(before, n, p) * binomialProbability(after, m, p);
          expectation += chance * rateChange.verdict(state).changed.eValue;
        }
      }
      expect(expectation).toBeLessThanOrEqual(slack);
      expect(expectation).toBeGreaterThan(0.1);
    }
  });
});

describe('comparison of rates', () => {
  /** Expected e-value after one more window, over all its outcomes, relative to now. */
  function gain(
    side: 'worse' | 'noWorse',
    line: { ratio: number; margin: number },
    arms: [number, number],
    p: [number, number],
    weight?: number,
  ): number {
    const start = rateComparison.init({ [side]: line });
    let expectation = 0;
    for (let canaryBad = 0; canaryBad <= arms[0]; canaryBad += 1) {
      for (let baselineBad = 0; baselineBad <= arms[1]; baselineBad += 1) {
        const chance =
          binomialProbability(canaryBad, arms[0], p[0]) *
          binomialProbability(baselineBad, arms[1], p[1]);
        const window = {
          canaryRequests: arms[0],
          canaryBad,
          baselineRequests: arms[1],
          baselineBad,
        };
        const state = rateComparison.update(
          start,
          weight === undefined ? window : { ...window, weight },
        );
        expectation += chance * rateComparison.verdict(state)[side].eValue;
      }
    }
    return expectation;
  }

  const arms = fc.tuple(fc.integer({ min: 1, max: 8 }), fc.integer({ min: 1, max: 20 }));
  const line = fc.record({
    ratio: fc.double({ min: 0.3, max: 3, noNaN: true }),
    margin: fc.double({ min: 0, max: 0.3, noNaN: true }),
  });

  it('worse: never expects to gain on or below its line', () => {
    fc.assert(
      fc.property(
        arms,
        line,
        rate,
        fc.double({ min: 0, max: 1, noNaN: true }),
        (sizes, at, baseline, part) => {
          const canary = Math.min(1, at.ratio * baseline + at.margin) * (1 - part / 2);
          expect(gain('worse', at, sizes, [canary, baseline])).toBeLessThanOrEqual(slack);
        },
      ),
      { numRuns: 150 },
    );
  });

  it('no worse: never expects to gain on or above its line', () => {
    fc.assert(
      fc.property(
        arms,
        line,
        rate,
        fc.double({ min: 0, max: 1, noNaN: true }),
        (sizes, at, baseline, part) => {
          const onLine = at.ratio * baseline + at.margin;
          fc.pre(onLine <= 1);
          const canary = onLine + (1 - onLine) * part;
          expect(gain('noWorse', at, sizes, [canary, baseline])).toBeLessThanOrEqual(slack);
        },
      ),
      { numRuns: 150 },
    );
  });

  it('does gain when the canary is worse, and when it is not', () => {
    expect(gain('worse', { ratio: 1, margin: 0 }, [8, 20], [0.5, 0.05])).toBeGreaterThan(2);
    expect(gain('noWorse', { ratio: 1, margin: 0.2 }, [8, 20], [0.02, 0.05])).toBeGreaterThan(1.2);
  });

  it('with a weight, each request goes to the canary with that chance', () => {
    // One request, assigned at random: four outcomes.
    for (const [weight, ratio, margin, baseline] of [
      [0.05, 1, 0, 0.1],
      [0.4, 1.5, 0.02, 0.3],
      [0.9, 0.7, 0.1, 0.02],
    ] as const) {
      const start = rateComparison.init({ worse: { ratio, margin } });
      const canary = ratio * baseline + margin;
      let expectation = 0;
      for (const [onCanary, bad] of [
        [1, 1],
        [1, 0],
        [0, 1],
        [0, 0],
      ] as const) {
        const p = onCanary === 1 ? canary : baseline;
        const chance = (onCanary === 1 ? weight : 1 - weight) * (bad === 1 ? p : 1 - p);
        const state = rateComparison.update(start, {
          canaryRequests: onCanary,
          canaryBad: onCanary * bad,
          baselineRequests: 1 - onCanary,
          baselineBad: (1 - onCanary) * bad,
          weight,
        });
        expectation += chance * rateComparison.verdict(state).worse.eValue;
      }
      expect(expectation).toBeLessThanOrEqual(slack);
      expect(expectation).toBeGreaterThan(0.97);
    }
  });
});
