import type { Evidence } from '../contracts/evidence-source.ts';
import type { Interval } from '../statistics/index.ts';
import {
  type EValue,
  meanDifference,
  type SampleRatioVerdict,
  sampleRatioTest,
} from '../statistics/index.ts';
import type { AbTest, AbTestGuardrail, AbTestMetric } from './ab-test.ts';

/** How an arm does by one metric, against the control. */
export interface ArmFigures {
  readonly arm: string;
  /** Users (or requests, where none has a key) whose outcome is known. */
  readonly units: number;
  readonly mean: number | null;
  /** Arm − control, in the metric's unit; left out for the control. */
  readonly difference?: number | null;
  /** A confidence sequence of the difference: holds at all looks together. */
  readonly interval?: Interval;
  /** min(1, 1/e): valid at every look. */
  readonly pValue?: number;
  readonly eValue?: EValue;
  /** Values that lay outside the metric's bounds. */
  readonly clipped: number;
}

/** What is known of one metric. */
export interface MetricReport {
  readonly metric: string;
  readonly goal: AbTestMetric['goal'];
  /** The level of each of its comparisons. */
  readonly alpha: number;
  readonly arms: readonly ArmFigures[];
}

/** What a test says now. */
export interface AbTestReport {
  readonly testId: string;
  readonly status: AbTest['status'];
  readonly at: number;
  readonly decision: /** Users are not dealt out as they should be: no figure can be trusted. */
    | 'SAMPLE_RATIO_MISMATCH'
    /** An arm is shown to be better than the control by the first metric, and breaks no guardrail. */
    | 'WINNER'
    /** Every other arm is shown to be worse than the control, or breaks a guardrail. */
    | 'CONTROL'
    | 'INCONCLUSIVE';
  /** The arm to take, where the decision names one. */
  readonly winner?: string;
  readonly reason: string;
  /** How many users saw each arm: the exposure log is the prediction log. */
  readonly exposures: Readonly<Record<string, number>>;
  readonly sampleRatio: Readonly<Record<string, SampleRatioVerdict>>;
  readonly metrics: readonly MetricReport[];
  readonly guardrails: readonly (MetricReport & {
    /** The arms that are shown to be worse by more than the margin. */
    readonly broken: readonly string[];
  })[];
}

/** The evidence of each metric and guardrail, by name. */
export type AbTestEvidence = ReadonlyMap<string, Pick<Evidence, 'inputs'>>;

type Outcomes = Readonly<
  Record<string, { readonly exposures: number; readonly values: readonly number[] }>
>;

/** Computes a report from evidence: the same evidence gives the same report. */
export function reportOf(test: AbTest, evidence: AbTestEvidence, at: number): AbTestReport {
  const others = test.arms.filter(({ name }) => name !== test.control);
  const [primary, ...further] = test.metrics;
  const of = (metric: AbTestMetric, alpha: number): MetricReport =>
    metricReport(test, metric, outcomesOf(evidence, metric), alpha / others.length);
  const metrics = [primary, ...further].flatMap((metric) =>
    metric === undefined ? [] : [of(metric, test.alpha)],
  );
  const guardrails = test.guardrails.map((guardrail) => {
    const report = of(guardrail, test.alpha / Math.max(1, test.guardrails.length));
    return { ...report, broken: brokenBy(guardrail, report, test) };
  });
  const first = primary === undefined ? {} : outcomesOf(evidence, primary);
  const exposures = Object.fromEntries(
    test.arms.map(({ name, versionId }) => [name, first[versionId]?.exposures ?? 0]),
  );
  const sampleRatio = ratios(test, exposures);
  const facts = { testId: test.id, status: test.status, at, exposures, sampleRatio };
  const broken = new Set(guardrails.flatMap((guardrail) => guardrail.broken));
  const decision = decide(test, metrics[0], broken, sampleRatio);
  return { ...facts, ...decision, metrics, guardrails };
}

function outcomesOf(evidence: AbTestEvidence, { name }: AbTestMetric): Outcomes {
  return (evidence.get(name)?.inputs['arms'] ?? {}) as unknown as Outcomes;
}

function metricReport(
  test: AbTest,
  { name, goal, bounds = { low: 0, high: 1 } }: AbTestMetric,
  outcomes: Outcomes,
  alpha: number,
): MetricReport {
  const range = bounds.high - bounds.low;
  const scaled = (value: number): number => Math.max(0, Math.min(1, (value - bounds.low) / range));
  const valuesOf = (arm: string): readonly number[] => {
    const versionId = test.arms.find((each) => each.name === arm)?.versionId ?? '';
    return outcomes[versionId]?.values ?? [];
  };
  const control = valuesOf(test.control);
  const arms = test.arms.map(({ name: arm }): ArmFigures => {
    const values = valuesOf(arm);
    const figures = {
      arm,
      units: values.length,
      mean: values.length === 0 ? null : values.reduce((a, b) => a + b, 0) / values.length,
      clipped: values.filter((value) => value < bounds.low || value > bounds.high).length,
    };
    if (arm === test.control) return figures;
    const pairs = Math.min(values.length, control.length);
    const differences = Array.from(
      { length: pairs },
      (_, i) => scaled(values[i] as number) - scaled(control[i] as number),
    );
    const state = meanDifference.update(meanDifference.init({ alpha }), differences);
    const { interval, different } = meanDifference.verdict(state);
    const { mean } = figures;
    const ofControl = control.reduce((a, b) => a + b, 0) / control.length;
    return {
      ...figures,
      difference: mean === null || control.length === 0 ? null : mean - ofControl,
      interval: { low: interval.low * range, high: interval.high * range },
      pValue: different.pValue,
      eValue: different,
    };
  });
  return { metric: name, goal, alpha, arms };
}

/** The arms that are shown to be worse by more than the margin. */
function brokenBy(
  { goal, margin }: AbTestGuardrail,
  { arms }: MetricReport,
  { minimumUnits }: AbTest,
): readonly string[] {
  return arms
    .filter(({ units, interval }) => {
      if (interval === undefined || units < Math.min(minimumUnits, 20)) return false;
      return goal === 'higher' ? interval.high < -margin : interval.low > margin;
    })
    .map(({ arm }) => arm);
}

function ratios(
  test: AbTest,
  exposures: Readonly<Record<string, number>>,
): Readonly<Record<string, SampleRatioVerdict>> {
  const total = Object.values(exposures).reduce((a, b) => a + b, 0);
  const alpha = 0.001 / test.arms.length;
  return Object.fromEntries(
    test.arms.map(({ name, weightPercent }) => {
      const canary = exposures[name] ?? 0;
      const state = sampleRatioTest.update(
        sampleRatioTest.init({ weight: weightPercent / 100, alpha }),
        { canary, baseline: total - canary },
      );
      return [name, sampleRatioTest.verdict(state)];
    }),
  );
}

function decide(
  test: AbTest,
  primary: MetricReport | undefined,
  broken: ReadonlySet<string>,
  sampleRatio: AbTestReport['sampleRatio'],
): Pick<AbTestReport, 'decision' | 'winner' | 'reason'> {
  const astray = Object.entries(sampleRatio).filter(([, { mismatch }]) => mismatch);
  if (astray.length > 0) {
    const shares = astray.map(
      ([arm, { share, weight }]) =>
        `${arm} has ${((share ?? 0) * 100).toFixed(1)} % of users, not ${(weight * 100).toFixed(1)} %`,
    );
    return { decision: 'SAMPLE_RATIO_MISMATCH', reason: shares.join('; ') };
  }
  const arms = primary?.arms ?? [];
  if (arms.length === 0 || arms.some(({ units }) => units < test.minimumUnits)) {
    return {
      decision: 'INCONCLUSIVE',
      reason: `an arm has fewer than ${test.minimumUnits} outcomes`,
    };
  }
  const sign = primary?.goal === 'lower' ? -1 : 1;
  const better = ({ interval }: ArmFigures): boolean =>
    interval !== undefined && (sign > 0 ? interval.low > 0 : interval.high < 0);
  const worse = ({ interval }: ArmFigures): boolean =>
    interval !== undefined && (sign > 0 ? interval.high < 0 : interval.low > 0);
  const others = arms.filter(({ arm }) => arm !== test.control);
  const [best] = others
    .filter((each) => better(each) && !broken.has(each.arm))
    .sort((a, b) => sign * ((b.difference ?? 0) - (a.difference ?? 0)));
  if (best !== undefined) {
    return {
      ...{ decision: 'WINNER', winner: best.arm },
      reason: `${best.arm} is better than ${test.control} by ${primary?.metric}: p = ${best.pValue?.toExponential(1)}`,
    };
  }
  const out = others.filter((each) => worse(each) || broken.has(each.arm));
  if (out.length === others.length) {
    const why = out.map(({ arm }) =>
      broken.has(arm) ? `${arm} breaks a guardrail` : `${arm} is worse`,
    );
    return { decision: 'CONTROL', winner: test.control, reason: why.join('; ') };
  }
  return { decision: 'INCONCLUSIVE', reason: 'no arm is shown to be better, nor all to be worse' };
}
