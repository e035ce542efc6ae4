import { createHash } from 'node:crypto';
import { describe, expect, it } from 'vitest';
import { momentsOf, populationDeviation, sampleVariance } from '../descriptive/moments.ts';
import { numericSample } from '../descriptive/numeric-sample.ts';
import { quantile } from '../descriptive/quantile.ts';
import { kolmogorovLimitAbove } from '../distributions/kolmogorov.ts';
import { expectCloseTo } from '../fixtures/close-to.ts';
import {
  categoricalCases,
  type ExpectedDistances,
  numberOf,
  numericCases,
} from '../fixtures/drift-cases.ts';
import { contingencyTest } from '../hypothesis/contingency.ts';
import { kolmogorovSmirnov } from '../hypothesis/kolmogorov-smirnov.ts';
import { mannWhitney } from '../hypothesis/mann-whitney.ts';
import { studentTest, type TTest, welchTest } from '../hypothesis/t-test.ts';
import { fisherTest, twoRateTest } from '../hypothesis/two-by-two.ts';
import { categoryBins, countCategories } from './category-bins.ts';
import * as divergence from './divergence.ts';
import { countInBins, quantileBins, valueBins } from './numeric-bins.ts';
import { sharesOf } from './shares.ts';
import { normalisedWasserstein, wassersteinDistance } from './wasserstein.ts';

const statistic = 1e-12;
const pValue = 1e-9;

/** A distance of 0 may come out as a few units of the last place. */
const nearZero = 1e-15;

const measures: Record<string, (p: readonly number[], q: readonly number[]) => number> = {
  psi: divergence.populationStability,
  kl_ref_cur: divergence.kullbackLeibler,
  kl_cur_ref: (p, q) => divergence.kullbackLeibler(q, p),
  kl_ref_cur_base2: (p, q) => divergence.kullbackLeibler(p, q) / Math.LN2,
  js_distance_base2: divergence.jensenShannonDistance,
  js_distance_e: (p, q) => divergence.jensenShannonDistance(p, q) * Math.sqrt(Math.LN2),
  js_divergence_base2: divergence.jensenShannonDivergence,
  hellinger: divergence.hellingerDistance,
  l_infinity: divergence.largestDifference,
  tvd: divergence.totalVariation,
};

function expectDistances(
  reference: readonly number[],
  current: readonly number[],
  expected: Readonly<Record<'raw' | 'eps' | 'smooth', ExpectedDistances>>,
): number {
  let compared = 0;
  for (const [rule, name] of [
    ['raw', 'raw'],
    ['evidently', 'eps'],
    ['smooth', 'smooth'],
  ] as const) {
    const p = sharesOf(reference, rule);
    const q = sharesOf(current, rule);
    for (const [key, value] of Object.entries(expected[name])) {
      const measure = measures[key];
      if (measure === undefined) expect.fail(`no measure for ${key}`);
      expectCloseTo(measure(p, q), numberOf(value), statistic, nearZero);
      compared += 1;
    }
  }
  return compared;
}

function shareUpTo(values: Float64Array, limit: number): number {
  return values.filter((value) => value <= limit).length / values.length;
}

function expectTTest(
  actual: TTest,
  expected: Readonly<Record<string, number | string | null>>,
): void {
  expectCloseTo(actual.statistic, numberOf(expected['statistic']), statistic);
  if ('df' in expected) expectCloseTo(actual.degrees, numberOf(expected['df']), statistic);
  expectCloseTo(actual.pValue, numberOf(expected['pvalue']), pValue);
}

describe.each(numericCases.map((one) => [one.id, one] as const))('reference case %s', (_, one) => {
  const { expected } = one;
  const reference = numericSample(one.reference);
  const current = numericSample(one.current);
  const moments = [momentsOf(reference.values), momentsOf(current.values)] as const;

  it('has the samples of the reference', () => {
    expect(reference.values.length).toBe(expected.n_reference);
    expect(current.values.length).toBe(expected.n_current);
    for (const side of ['reference', 'current'] as const) {
      const made = one.generator?.[side];
      if (made === undefined) continue;
      expect(one[side].slice(0, 5)).toEqual(made.first5);
      const bytes = new Uint8Array(Float64Array.from(one[side] as number[]).buffer);
      expect(createHash('sha256').update(bytes).digest('hex')).toBe(made.sha256_float64le);
    }
  });

  it('Kolmogorov–Smirnov', () => {
    const { ks } = expected;
    const exact = kolmogorovSmirnov(reference.values, current.values, 'exact');
    expectCloseTo(exact.statistic, numberOf(ks['statistic_exact_snapped']), statistic, nearZero);
    // scipy breaks exact ties of the distance by rounding; ours is the first, and both reach the distance.
    expect(exact.location).toBeLessThanOrEqual(numberOf(ks['statistic_location']));
    for (const at of [exact.location, numberOf(ks['statistic_location'])]) {
      const gap = shareUpTo(reference.values, at) - shareUpTo(current.values, at);
      expectCloseTo(gap * exact.sign, exact.statistic, statistic, nearZero);
    }
    expect(exact.sign).toBe(ks['statistic_sign']);
    expectCloseTo(exact.pValue, numberOf(ks['pvalue_exact']), pValue);
    expectCloseTo(
      kolmogorovSmirnov(reference.values, current.values).pValue,
      numberOf(ks['pvalue_auto']),
      pValue,
    );
    const asymptotic = kolmogorovSmirnov(reference.values, current.values, 'asymptotic');
    expectCloseTo(asymptotic.pValue, numberOf(ks['pvalue_asymp']), 1e-6);
    const n = expected.n_reference;
    const m = expected.n_current;
    const limit = kolmogorovLimitAbove(Math.sqrt((n * m) / (n + m)) * numberOf(ks['statistic']));
    expectCloseTo(limit, numberOf(ks['pvalue_kolmogorov_limit']), pValue);
  });

  it('Wasserstein', () => {
    const { wasserstein } = expected;
    const distance = wassersteinDistance(reference.values, current.values);
    expectCloseTo(distance, numberOf(wasserstein['distance']), statistic, nearZero);
    const deviation = populationDeviation(moments[0]);
    expectCloseTo(deviation, numberOf(wasserstein['reference_std_ddof0']), statistic);
    const floored = numberOf(wasserstein['normalised_std0_floor0.001']);
    expectCloseTo(distance / Math.max(deviation, 0.001), floored, statistic, nearZero);
    if (deviation > 0.001) {
      expectCloseTo(
        normalisedWasserstein(reference.values, current.values).distance,
        floored,
        statistic,
      );
    }
  });

  it('moments, Welch and Student', () => {
    for (const side of [0, 1] as const) {
      expectCloseTo(moments[side].mean, expected.moments.mean[side], statistic, 1e-15);
      expectCloseTo(sampleVariance(moments[side]), expected.moments.var_ddof1[side], statistic);
      expect(moments[side].low).toBe(expected.moments.min[side]);
      expect(moments[side].high).toBe(expected.moments.max[side]);
    }
    expectTTest(welchTest(moments[0], moments[1]), expected.welch);
    expectTTest(studentTest(moments[0], moments[1]), expected.student);
  });

  it('Mann–Whitney', () => {
    const { mannwhitney } = expected;
    const normal = mannWhitney(reference.values, current.values, 'normal');
    expect(normal.statistic).toBe(mannwhitney['u_reference']);
    expectCloseTo(normal.pValue, numberOf(mannwhitney['pvalue_asymptotic_cc']), pValue);
    if (!('pvalue_exact' in mannwhitney)) return;
    const exact = mannWhitney(reference.values, current.values, 'exact');
    expectCloseTo(exact.pValue, numberOf(mannwhitney['pvalue_exact']), pValue);
  });

  it('binned distances under every rule for empty bins', () => {
    let compared = 0;
    for (const binning of Object.values(expected.binned)) {
      compared += expectDistances(binning.reference_counts, binning.current_counts, binning);
    }
    expect(compared).toBeGreaterThanOrEqual(3 * 15);
  });

  it('edges and counts of the recommended bins', () => {
    const recommended = expected.binned['recommended_deciles_atoms'];
    if (recommended === undefined) expect.fail('no recommended bins');
    const bins = quantileBins(reference.values);
    expect(bins.edges).toEqual(recommended.inner_edges);
    expect(countInBins(bins, reference.values)).toEqual(recommended.reference_counts);
    expect(countInBins(bins, current.values)).toEqual(recommended.current_counts);
  });

  it('interpolated quantiles, bit for bit', () => {
    const deciles = expected.binned['deciles_numpy_linear'];
    if (deciles === undefined) expect.fail('no deciles');
    const edges = new Set(
      Array.from({ length: 9 }, (__, k) => quantile(reference.values, (k + 1) / 10)),
    );
    expect([...edges]).toEqual(deciles.inner_edges);
  });

  it('bins of single values', () => {
    const perValue = expected.binned['evidently_per_value'];
    if (perValue === undefined) return;
    const values = perValue.values as readonly number[];
    const both = valueBins(Float64Array.from(values).sort());
    const odd = (counts: readonly number[]) => counts.filter((__, index) => index % 2 === 1);
    expect(odd(countInBins(both, reference.values))).toEqual(perValue.reference_counts);
    expect(odd(countInBins(both, current.values))).toEqual(perValue.current_counts);
  });
});

describe.each(categoricalCases.map((one) => [one.id, one] as const))(
  'reference case %s',
  (_, one) => {
    const { expected } = one;

    it('counts', () => {
      const bins = categoryBins([...one.reference, ...one.current]);
      const counted = countCategories(bins, one.current);
      for (const [index, category] of expected.categories.entries()) {
        expect(counted.counts[bins.categories.indexOf(category)]).toBe(
          expected.current_counts[index],
        );
      }
      const own = countCategories(categoryBins(one.reference), one.current);
      const isNew = (category: string) => !one.reference.includes(category);
      expect(own.others.map((other) => other.category)).toEqual(expected.categories.filter(isNew));
      const gone = expected.categories.filter((category) => !one.current.includes(category));
      expect([...own.vanished].sort()).toEqual(gone);
    });

    it('chi-squared and the likelihood ratio', () => {
      const test = contingencyTest(expected.reference_counts, expected.current_counts);
      const { chi2_contingency: chi } = expected;
      expectCloseTo(test.statistic, numberOf(chi['statistic'] as number), statistic);
      expectCloseTo(test.pValue, numberOf(chi['pvalue'] as number), pValue);
      expect(test.degrees).toBe(chi['dof']);
      if (chi.expected !== undefined) {
        for (const row of [0, 1] as const) {
          for (const [index, cell] of (chi.expected[row] as readonly number[]).entries()) {
            expectCloseTo(test.expected[row][index] as number, cell, statistic);
          }
        }
        expectCloseTo(test.cramersV, numberOf(chi['cramers_v'] as number), statistic);
      }
      if (expected.g_test === undefined) return;
      const ratio = contingencyTest(expected.reference_counts, expected.current_counts, {
        statistic: 'likelihood-ratio',
      });
      expectCloseTo(ratio.statistic, numberOf(expected.g_test['statistic']), statistic);
      expectCloseTo(ratio.pValue, numberOf(expected.g_test['pvalue']), pValue);
    });

    it('divergences', () => {
      const compared = expectDistances(
        expected.reference_counts,
        expected.current_counts,
        expected.divergence,
      );
      expect(compared).toBe(15);
    });
  },
);

it('the 2×2 case: Yates, Fisher and z', () => {
  const { expected } =
    categoricalCases.find((one) => one.id === 'cat-07-binary') ?? expect.fail('no such case');
  const yates = contingencyTest(expected.reference_counts, expected.current_counts, {
    yates: true,
  });
  expectCloseTo(
    yates.statistic,
    numberOf(expected.chi2_contingency_yates?.['statistic']),
    statistic,
  );
  expectCloseTo(yates.pValue, numberOf(expected.chi2_contingency_yates?.['pvalue']), pValue);
  const [a, b] = [expected.reference_counts, expected.current_counts].map(([no, yes]) => ({
    successes: no as number,
    trials: (no as number) + (yes as number),
  })) as [{ successes: number; trials: number }, { successes: number; trials: number }];
  expectCloseTo(fisherTest(a, b), numberOf(expected.fisher_exact?.['pvalue']), pValue);
  expectCloseTo(
    Math.abs(twoRateTest(a, b).z),
    Math.abs(numberOf(expected.two_proportion_z?.['z'])),
    statistic,
  );
  expectCloseTo(twoRateTest(a, b).pValue, numberOf(expected.two_proportion_z?.['pvalue']), pValue);
});

it('reads every case of the reference file', () => {
  expect(numericCases.length).toBe(16);
  expect(categoricalCases.length).toBe(7);
});
