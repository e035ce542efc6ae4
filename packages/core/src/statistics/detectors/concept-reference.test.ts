import { describe, expect, it } from 'vitest';
import { binaryPerformance } from '../classification/estimated-performance.ts';
import { expectedClassification } from '../classification/expected-classification.ts';
import { applyIsotonic, fitIsotonic } from '../classification/isotonic-map.ts';
import { normalTwoSided } from '../distributions/normal.ts';
import { expectCloseTo } from '../fixtures/close-to.ts';
import { conceptReference, streamValues } from '../fixtures/concept-cases.ts';
import { benjaminiHochberg, bonferroni, holm } from '../hypothesis/multiplicity.ts';
import { linearTrend, monotonicTrend, theilSenSlope } from '../trend/trend.ts';
import { adwin } from './adwin.ts';
import {
  bayesianChangePoint,
  type ChangePointModel,
  changeWithin,
  likeliestRun,
} from './bayesian-change-point.ts';
import type { ChangeDetector, DetectorSignal } from './change-detector.ts';
import { cusum } from './cusum.ts';
import { ddm } from './ddm.ts';
import { pageHinkley } from './page-hinkley.ts';

const { bocpd, cbpe, detectors, multiplicity, streams, trend } = conceptReference;

function signals<Options, State extends { readonly signal: DetectorSignal }>(
  detector: ChangeDetector<Options, State>,
  options: Options,
  values: readonly number[],
): State[] {
  let state = detector.init(options);
  return values.map((value) => {
    state = detector.update(JSON.parse(JSON.stringify(state)), value);
    return state;
  });
}

function detections(states: readonly { readonly signal: DetectorSignal }[]): number[] {
  return states.flatMap((state, index) => (state.signal === 'drift' ? [index] : []));
}

it.each(Object.entries(streams))('stream %s is that of the reference', (name, stream) => {
  const values = streamValues(name);
  if (stream.first5 !== undefined) expect(values.slice(0, 5)).toEqual(stream.first5);
  const sum = values.reduce((total, value) => total + value, 0);
  expectCloseTo(sum, stream.sum_fsum ?? stream.ones ?? Number.NaN, 1e-12);
});

describe.each(Object.keys(streams))('detectors on %s', (name) => {
  const values = streamValues(name);
  const expected = (detector: string) => detectors[detector]?.detections[name];

  it('Page–Hinkley', () => {
    const standard = { threshold: 50, direction: 'up' } as const;
    expect(detections(signals(pageHinkley, standard, values))).toEqual(expected('page_hinkley'));
    const quick = { threshold: 20, direction: 'up' } as const;
    expect(detections(signals(pageHinkley, quick, values))).toEqual(
      expected('page_hinkley_threshold_20'),
    );
  });

  it('CUSUM', () => {
    expect(detections(signals(cusum, { threshold: 5 }, values))).toEqual(expected('cusum'));
    expect(detections(signals(cusum, { threshold: 8 }, values))).toEqual(expected('cusum_h8'));
  });

  it('ADWIN', () => {
    expect(detections(signals(adwin, {}, values))).toEqual(expected('adwin'));
  });
});

it('ADWIN keeps the window of the reference at every step of its trace', () => {
  const states = signals(adwin, {}, streamValues('step_up_down'));
  const trace = detectors['adwin']?.trace_step_up_down ?? [];
  expect(trace.length).toBe(8);
  for (const step of trace) {
    const state = states[step.after_index];
    if (state === undefined) expect.fail(`no state after ${step.after_index}`);
    expect(state.width).toBe(step.width);
    expectCloseTo(state.total, step.total, 1e-10);
    expectCloseTo(state.squares, step.variance_sum, 1e-10);
    expectCloseTo(state.total / state.width, step.estimation, 1e-10);
  }
});

it('DDM warns and finds where the reference does', () => {
  const states = signals(ddm, {}, streamValues('error_rate_step'));
  const events = states.flatMap((state, index) => {
    const before = states[index - 1]?.signal ?? 'none';
    return state.signal !== 'none' && state.signal !== before ? [{ [state.signal]: index }] : [];
  });
  expect(events).toEqual(detectors['ddm']?.events_error_rate_step);
});

describe('Bayesian change points', () => {
  const cases = {
    gaussian_known_variance: { kind: 'known-variance', mean: 0, meanVariance: 4, variance: 1 },
    normal_inverse_gamma: { kind: 'unknown-variance', mean: 0, kappa: 1, alpha: 1, beta: 1 },
  } satisfies Record<string, ChangePointModel>;

  it.each(Object.entries(cases) as [keyof typeof cases, ChangePointModel][])(
    '%s',
    (name, model) => {
      const expected = bocpd[name];
      let state = bayesianChangePoint.init({
        model,
        hazard: expected.hazard,
        smallest: 0,
        most: 1000,
      });
      const lengths: number[] = [];
      let checked = 0;
      for (const [index, value] of bocpd.series.entries()) {
        state = bayesianChangePoint.update(state, value);
        lengths.push(likeliestRun(state).length);
        const check = expected.checks.find((one) => one.after_index === index);
        if (check === undefined) continue;
        checked += 1;
        expectCloseTo(Math.exp(likeliestRun(state).logProbability), check.p_map, 1e-9);
        expectCloseTo(changeWithin(state, 5), check.p_r_le_5, 1e-9);
        const mean = state.runs.reduce(
          (sum, run) => sum + run.length * Math.exp(run.logProbability),
          0,
        );
        expectCloseTo(mean, check.expected_run_length, 1e-9);
      }
      expect(checked).toBe(expected.checks.length);
      expect(lengths).toEqual(expected.map_run_length);
      for (const [length, probability] of expected.final_posterior_first10.entries()) {
        expectCloseTo(
          Math.exp(state.runs[length]?.logProbability ?? Number.NaN),
          probability,
          1e-8,
        );
      }
    },
  );

  it('finds the same changes when unlikely runs are dropped', () => {
    let all = bayesianChangePoint.init({ smallest: 0 });
    let few = bayesianChangePoint.init({ most: 40 });
    for (const value of bocpd.series) {
      all = bayesianChangePoint.update(all, value);
      few = bayesianChangePoint.update(few, value);
      expect(few.runs.length).toBeLessThanOrEqual(40);
      expectCloseTo(changeWithin(few, 5), changeWithin(all, 5), 0.02, 1e-3);
    }
    expect(all.runs.length).toBe(bocpd.series.length + 1);
  });
});

it('trends', () => {
  const { linregress, kendalltau, mann_kendall: mannKendall } = trend;
  const line = linearTrend(trend.series);
  expectCloseTo(line.slope, linregress.slope, 1e-11);
  expectCloseTo(line.intercept, linregress.intercept, 1e-12);
  expectCloseTo(line.correlation, linregress.r, 1e-11);
  expectCloseTo(line.standardError, linregress.stderr, 1e-11);
  expectCloseTo(line.pValue, linregress.pvalue, 1e-9);
  const tendency = monotonicTrend(trend.series);
  expect(tendency.score).toBe(mannKendall.S);
  expectCloseTo(tendency.variance, mannKendall.var_no_ties, 1e-12);
  expectCloseTo(tendency.z, mannKendall.z, 1e-12);
  expectCloseTo(tendency.pValue, mannKendall.pvalue, 1e-9);
  expectCloseTo(tendency.tau, kendalltau.tau, 1e-12);
  expectCloseTo(
    normalTwoSided(tendency.score / Math.sqrt(tendency.variance)),
    kendalltau.pvalue,
    1e-9,
  );
  expectCloseTo(theilSenSlope(trend.series), trend.theil_sen_slope, 1e-11);
});

describe('performance without labels', () => {
  const map = fitIsotonic(cbpe.reference.score, cbpe.reference.label);
  const calibrated = cbpe.current.score.map((score) => applyIsotonic(map, score));
  const names = {
    tp: 'truePositives',
    fp: 'falsePositives',
    fn: 'falseNegatives',
    tn: 'trueNegatives',
    roc_auc: 'rocArea',
    accuracy: 'accuracy',
    precision: 'precision',
    recall: 'recall',
    f1: 'f1',
    specificity: 'specificity',
  } as const;

  function expectPerformance(
    positives: readonly number[],
    expected: Readonly<Record<string, number>>,
  ): number {
    const performance = binaryPerformance(cbpe.current.score, positives, cbpe.threshold);
    for (const [name, value] of Object.entries(expected)) {
      const own = performance[names[name as keyof typeof names]];
      expectCloseTo(own ?? Number.NaN, value, 1e-12);
    }
    return Object.keys(expected).length;
  }

  it('calibrates as the reference does', () => {
    expect(map.x).toEqual(cbpe.isotonic.x_thresholds);
    for (const [index, level] of cbpe.isotonic.y_thresholds.entries())
      expectCloseTo(map.y[index] as number, level, 1e-12, 1e-16);
    for (const [index, p] of cbpe.isotonic.calibrated_current.entries())
      expectCloseTo(calibrated[index] as number, p, 1e-12, 1e-16);
  });

  it('of classes is that of the two classes of the reference', () => {
    const { score } = cbpe.current;
    const complement = {
      x: map.x.map((x) => 1 - x).reverse(),
      y: map.y.map((y) => 1 - y).reverse(),
    };
    const found = expectedClassification(
      { classes: ['0', '1'], maps: [complement, map], rows: 200 },
      {
        predicted: score.map((p) => (p >= cbpe.threshold ? '1' : '0')),
        probabilities: score.map((p) => [1 - p, p]),
      },
    );
    const expected = cbpe.estimated_calibrated;
    const positive = found.perClass[1];
    for (const [own, name] of [
      [found.accuracy, 'accuracy'],
      [positive?.precision, 'precision'],
      [positive?.recall, 'recall'],
      [positive?.f1, 'f1'],
      [found.rocArea, 'roc_auc'],
    ] as const) {
      expectCloseTo(own?.value ?? Number.NaN, expected[name] as number, 1e-9);
    }
    // The band of three errors holds what was realised.
    const { value, standardError } = found.accuracy;
    const gap = Math.abs((value ?? 0) - (cbpe.realised_current['accuracy'] as number));
    expect(gap).toBeLessThan(3 * (standardError ?? 0));
  });

  it('estimates what the reference does, and computes what was realised', () => {
    expect(expectPerformance(calibrated, cbpe.estimated_calibrated)).toBe(10);
    expect(expectPerformance(cbpe.current.score, cbpe.estimated_uncalibrated)).toBe(10);
    expect(expectPerformance(cbpe.current.label_hidden_until_later, cbpe.realised_current)).toBe(5);
  });
});

it('corrections for many tests', () => {
  const { pvalues } = multiplicity;
  for (const [index, value] of bonferroni(pvalues).entries())
    expectCloseTo(value, multiplicity.bonferroni[index] as number, 1e-12);
  for (const [index, value] of benjaminiHochberg(pvalues).entries()) {
    expectCloseTo(value, multiplicity.benjamini_hochberg[index] as number, 1e-12);
  }
  expect(holm([0.04, 0.01, 0.03])).toEqual([0.06, 0.03, 0.06]);
});
