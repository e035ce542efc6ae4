import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { isKeelsonError } from '../../errors.ts';
import { expectCloseTo } from '../fixtures/close-to.ts';
import { incompleteBeta, logBetaTails } from '../special/incomplete-beta.ts';
import { incompleteGamma } from '../special/incomplete-gamma.ts';
import { logBeta, logGamma } from '../special/log-gamma.ts';
import { absoluteSum, absoluteSumAbove, absoluteSumQuantile } from './absolute-sum.ts';
import { betaQuantile } from './beta.ts';
import {
  binomialAtLeast,
  binomialAtMost,
  binomialProbability,
  binomialTwoSided,
} from './binomial.ts';
import { chiSquaredAbove, chiSquaredBelow, chiSquaredQuantileAbove } from './chi-squared.ts';
import { kolmogorovAbove, kolmogorovLimitAbove, smirnovAbove } from './kolmogorov.ts';
import { kolmogorovExactBelow } from './kolmogorov-matrix.ts';
import { normalAbove, normalBelow, normalQuantile, normalTwoSided } from './normal.ts';
import { studentQuantileTwoSided, studentTwoSided } from './student-t.ts';

// Expected values are from exact rational arithmetic, closed forms, or the C library's lgamma and erfc.
const digits = 1e-13;

const parameter = fc.double({ min: 0.01, max: 1e5, noNaN: true });
const share = fc.double({ min: 1e-6, max: 1 - 1e-6, noNaN: true });

describe('special functions', () => {
  it.each([
    [0.1, 2.2527126517342055],
    [0.5, 0.5723649429247004],
    [1.5, -0.12078223763524543],
    [3.7, 1.4280723266653883],
    [10, 12.801827480081467],
    [33.3, 82.60372358165495],
    [171.5, 709.1431630309282],
    [1e5, 1051287.7089736566],
    [1e10, 220258509288.81058],
  ])('ln Γ(%d)', (x, expected) => expectCloseTo(logGamma(x), expected, 1e-14, 3e-15));

  it('Γ(x + 1) = x Γ(x), also where the series takes over', () => {
    fc.assert(
      fc.property(parameter, (x) => {
        expectCloseTo(logGamma(x + 1), logGamma(x) + Math.log(x), 1e-14, 1e-14);
      }),
    );
  });

  it('B(a, b) is symmetric and follows from Γ', () => {
    fc.assert(
      fc.property(
        fc.double({ min: 0.05, max: 100, noNaN: true }),
        fc.double({ min: 0.05, max: 100, noNaN: true }),
        (a, b) => {
          expectCloseTo(logBeta(a, b), logBeta(b, a), 1e-13, 1e-13);
          expectCloseTo(logBeta(a, b), logGamma(a) + logGamma(b) - logGamma(a + b), 1e-12, 1e-12);
        },
      ),
    );
    expectCloseTo(logBeta(0.5, 0.5), Math.log(Math.PI), digits);
    expectCloseTo(logBeta(1, 1e12), -Math.log(1e12), digits);
  });

  it('the incomplete beta function', () => {
    expectCloseTo(incompleteBeta(5, 7, 0.3), 0.2103046173, digits);
    fc.assert(
      fc.property(parameter, parameter, share, (a, b, x) => {
        const { logLower, logUpper } = logBetaTails(a, b, x, 1 - x);
        expectCloseTo(Math.exp(logLower) + Math.exp(logUpper), 1, 1e-13);
        expectCloseTo(logBetaTails(b, a, 1 - x, x).logUpper, logLower, 1e-10, 1e-12);
      }),
    );
  });

  it('the incomplete gamma function', () => {
    fc.assert(
      fc.property(
        fc.double({ min: 0.01, max: 1e4, noNaN: true }),
        fc.double({ min: 0, max: 2e4, noNaN: true }),
        (a, x) => {
          const { lower, upper } = incompleteGamma(a, x);
          expect(lower).toBeGreaterThanOrEqual(0);
          expect(upper).toBeGreaterThanOrEqual(0);
          expectCloseTo(lower + upper, 1, 1e-14);
        },
      ),
    );
    expect(incompleteGamma(2, 0)).toEqual({ lower: 0, upper: 1 });
    expect(incompleteGamma(2, Infinity)).toEqual({ lower: 1, upper: 0 });
  });

  it('refuse what they are not defined for', () => {
    const calls = [
      () => logGamma(0),
      () => logGamma(Number.NaN),
      () => incompleteBeta(1, 1, 1.1),
      () => incompleteGamma(1, -1),
    ];
    for (const call of calls) {
      let caught: unknown;
      try {
        call();
      } catch (error) {
        caught = error;
      }
      expect(isKeelsonError(caught, 'INVALID')).toBe(true);
    }
  });
});

describe('distributions', () => {
  it.each([
    [0.1, 0.460172162722971],
    [1, 0.15865525393145707],
    [1.96, 0.024997895148220435],
    [5, 2.866515718791946e-7],
    [10, 7.619853024160593e-24],
    [30, 4.906713927148764e-198],
  ])('normal tail at %d', (z, expected) => {
    expectCloseTo(normalAbove(z), expected, 2e-13);
    expectCloseTo(normalBelow(-z), expected, 2e-13);
    expectCloseTo(normalTwoSided(-z), 2 * expected, 2e-13);
    expectCloseTo(normalBelow(z), 1 - expected, digits);
    expectCloseTo(-normalQuantile(expected), z, 1e-13);
  });

  it.each([
    [3, 2, 0.22313016014842982],
    [10, 4, 0.0404276819945128],
    [100, 6, 2.509303552201057e-19],
    [1, 10, 0.9998278843700441],
    [700, 20, 2.213405340424449e-135],
  ])('chi-squared tail at %d with %d degrees', (x, degrees, expected) => {
    expectCloseTo(chiSquaredAbove(x, degrees), expected, digits);
    expectCloseTo(chiSquaredBelow(x, degrees), 1 - expected, 1e-12);
    expectCloseTo(chiSquaredQuantileAbove(expected, degrees), x, 1e-9);
  });

  it.each([
    [0.5, 1, 0.7048327646991335],
    [3, 1, 0.20483276469913345],
    [50, 1, 0.012730698201945596],
    [0.5, 2, 0.6666666666666666],
    [3, 2, 0.09546596626670913],
    [1000, 2, 9.999985000025e-7],
  ])('both tails of t beyond %d with %d degrees', (t, degrees, expected) => {
    expectCloseTo(studentTwoSided(t, degrees), expected, digits);
    expectCloseTo(studentTwoSided(-t, degrees), expected, digits);
    expectCloseTo(studentQuantileTwoSided(expected, degrees), t, 1e-11);
  });

  it('binomial', () => {
    expectCloseTo(binomialAtMost(3, 20, 0.1), 0.8670466765656649, digits);
    expectCloseTo(binomialAtLeast(40, 50, 0.25), 5.203604458813607e-16, digits);
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 60 }), share, (trials, rate) => {
        let sum = 0;
        for (let successes = 0; successes <= trials; successes += 1) {
          sum += binomialProbability(successes, trials, rate);
          expectCloseTo(binomialAtMost(successes, trials, rate), sum, 1e-11);
          expect(binomialTwoSided(successes, trials, rate)).toBeLessThanOrEqual(1);
        }
        expectCloseTo(sum, 1, 1e-12);
      }),
      { numRuns: 50 },
    );
  });

  it('quantiles of the beta distribution', () => {
    expectCloseTo(betaQuantile(0.025, 1, 10), -Math.expm1(Math.log(0.975) / 10), 1e-12);
    expectCloseTo(betaQuantile(0.975, 10, 1), 0.975 ** 0.1, 1e-12);
    fc.assert(
      fc.property(
        fc.double({ min: 0.5, max: 1e4, noNaN: true }),
        fc.double({ min: 0.5, max: 1e4, noNaN: true }),
        share,
        (a, b, p) => {
          const x = betaQuantile(p, a, b);
          fc.pre(x > 1e-12 && x < 1 - 1e-6);
          expectCloseTo(incompleteBeta(a, b, x), p, 1e-8);
        },
      ),
    );
  });

  it('Smirnov and Kolmogorov', () => {
    expectCloseTo(smirnovAbove(10, 0.3), 0.1354635556, 1e-12);
    expectCloseTo(smirnovAbove(50, 0.1), 0.34490701996888, 1e-12);
    expectCloseTo(smirnovAbove(200, 0.4), 1.0816790818473232e-29, 1e-12);
    // The value in Marsaglia, Tsang & Wang's paper.
    expectCloseTo(kolmogorovExactBelow(10, 0.274), 0.6284796154565043, 1e-13);
    expect(kolmogorovAbove(20, 0)).toBe(1);
    expect(kolmogorovAbove(20, 1)).toBe(0);
    expect(kolmogorovLimitAbove(0)).toBe(1);
    expectCloseTo(kolmogorovLimitAbove(1), 0.26999967167735456, 1e-13);
  });

  it('the ways to compute Kolmogorov’s distribution meet where they take over', () => {
    for (const [n, d] of [
      [601, 0.03],
      [601, 0.05],
      [800, 0.02],
    ] as const) {
      expectCloseTo(kolmogorovAbove(n, d), 1 - kolmogorovExactBelow(n, d), 1e-6);
    }
    expectCloseTo(2 * smirnovAbove(150, 0.14), 1 - kolmogorovExactBelow(150, 0.14), 1e-5);
    for (const x of [0.9, 0.99, 1, 1.01]) {
      const below = kolmogorovLimitAbove(x - 1e-9);
      expect(below).toBeGreaterThan(kolmogorovLimitAbove(x + 1e-9));
      expectCloseTo(below, kolmogorovLimitAbove(x + 1e-9), 1e-7);
    }
  });

  it('a sum of absolute normal values', () => {
    const one = absoluteSum([2], () => 1);
    expectCloseTo(absoluteSumAbove(one, 2 * 1.959963984540054), 0.05, 1e-9);
    const linked = absoluteSum([1, 3], () => 1);
    expectCloseTo(absoluteSumQuantile(linked, 0.05), 4 * 1.959963984540054, 1e-6);
    const many = absoluteSum(new Array<number>(200).fill(1), (i, j) => (i === j ? 1 : 0));
    const mean = 200 * Math.sqrt(2 / Math.PI);
    const deviation = Math.sqrt(200 * (1 - 2 / Math.PI));
    expectCloseTo(absoluteSumQuantile(many, 0.05), mean + 1.6449 * deviation, 0.005);
  });
});
