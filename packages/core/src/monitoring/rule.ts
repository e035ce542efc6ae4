import { KeelsonError } from '../errors.ts';
import type { Json, JsonObject } from '../json.ts';
import {
  type ClassCounts,
  type DistributionChangeState,
  type DistributionChangeVerdict,
  distributionChange,
  type RateChangeState,
  type RateChangeVerdict,
  rateChange,
} from '../statistics/index.ts';
import type { LabelledRequest } from './performance/labels.ts';

/** Cuts a numeric feature into ranges: value < edges[0], < edges[1], …, the rest. */
export interface StratumCut {
  readonly feature: string;
  /** Ascending. */
  readonly edges: readonly number[];
}

/** What a monitor watches. Names are unique within a monitor. */
export type MonitorRule =
  /**
   * Whether P(label | input) has changed since the reference, two-sided: each class's share within
   * strata of the input. Strata that hold the season fixed keep the seasons from looking like change.
   */
  | {
      readonly name: string;
      readonly rule: 'label-distribution';
      readonly strata: readonly StratumCut[];
      /** The chance that this rule ever raises an alarm while nothing changes. */
      readonly alpha: number;
      /** Absolute change of a share that does not matter. */
      readonly tolerance: number;
      readonly minimumTrials: number;
      readonly severity: AlertSeverity;
    }
  /** Whether the share of right answers has fallen since the reference. */
  | {
      readonly name: string;
      readonly rule: 'accuracy';
      readonly alpha: number;
      readonly tolerance: number;
      readonly minimumTrials: number;
      readonly severity: AlertSeverity;
    };

/** How bad. */
export type AlertSeverity = 'WARNING' | 'CRITICAL' | 'EMERGENCY';

/** What a rule compares with: counts of a period before anything was watched. */
export type RuleReference =
  | { readonly counts: ClassCounts }
  | { readonly right: number; readonly total: number };

/** What an interval adds to a rule. */
export type RuleCounts = RuleReference;

/** The state of a rule's detector; plain JSON. */
export type RuleState = DistributionChangeState | RateChangeState;

/** What a rule says now, with what it is computed from. */
export interface RuleVerdict {
  readonly name: string;
  readonly rule: MonitorRule['rule'];
  /** Whether this is an alarm. */
  readonly changed: boolean;
  /** In words, for people. */
  readonly summary: string;
  readonly test: DistributionChangeVerdict | RateChangeVerdict;
}

/** Rows whose answer is known: what references and intervals are counted from. */
export interface KnownRow {
  readonly features: JsonObject;
  readonly label: Json;
  /** Of the model that is watched, where it has answered. */
  readonly prediction?: Json;
}

/** The rows of labelled requests, with the answer that the caller saw, or that of one version. */
export function knownRows(
  labelled: readonly LabelledRequest[],
  versionId?: string,
): readonly KnownRow[] {
  return labelled.flatMap(({ label, predictions }) => {
    const [any] = predictions;
    if (any === undefined) return [];
    const { features } = any;
    const answered = predictions.find((each) =>
      versionId === undefined ? each.role === 'primary' : each.versionId === versionId,
    );
    if (answered === undefined || answered.error !== undefined) return [{ features, label }];
    return [{ features, label, prediction: answered.prediction }];
  });
}

/** Counts rows for a rule. */
export function countForRule(rule: MonitorRule, rows: readonly KnownRow[]): RuleCounts {
  if (rule.rule === 'accuracy') {
    const answered = rows.filter((row) => row.prediction !== undefined);
    return {
      right: answered.filter((row) => row.prediction === row.label).length,
      total: answered.length,
    };
  }
  const counts = new Map<string, Map<string, number>>();
  for (const row of rows) {
    const stratum = stratumOf(rule.strata, row.features);
    const classes = counts.get(stratum) ?? new Map<string, number>();
    const label = String(row.label);
    classes.set(label, (classes.get(label) ?? 0) + 1);
    counts.set(stratum, classes);
  }
  const sorted = [...counts].sort(([a], [b]) => (a < b ? -1 : 1));
  return {
    counts: Object.fromEntries(sorted.map(([name, classes]) => [name, sortedCounts(classes)])),
  };
}

/** The name of the stratum of a row: `precipitation<0.1, season≥0.5`. */
export function stratumOf(cuts: readonly StratumCut[], features: JsonObject): string {
  if (cuts.length === 0) return 'all';
  return cuts
    .map(({ feature, edges }) => {
      const value = features[feature];
      if (typeof value !== 'number' || Number.isNaN(value)) return `${feature} missing`;
      const i = edges.findIndex((edge) => value < edge);
      if (i === 0) return `${feature}<${edges[0]}`;
      if (i === -1) return `${feature}≥${edges.at(-1)}`;
      return `${edges[i - 1]}≤${feature}<${edges[i]}`;
    })
    .join(', ');
}

/** A detector that has seen its reference and nothing else. */
export function beginRule(rule: MonitorRule, reference: RuleReference): RuleState {
  const { alpha, tolerance, minimumTrials } = rule;
  if (rule.rule === 'accuracy') {
    const { right: successes, total: trials } = accuracyOf(rule, reference);
    return rateChange.init({ reference: { successes, trials }, alpha, tolerance, minimumTrials });
  }
  const counts = countsOf(rule, reference);
  return distributionChange.init({ reference: counts, alpha, tolerance, minimumTrials });
}

/** The detector after an interval. */
export function updateRule(rule: MonitorRule, state: RuleState, counts: RuleCounts): RuleState {
  if (rule.rule === 'accuracy') {
    const { right: successes, total: trials } = accuracyOf(rule, counts);
    return rateChange.update(state as RateChangeState, { successes, trials });
  }
  return distributionChange.update(state as DistributionChangeState, countsOf(rule, counts));
}

/** The detector after its reference and a number of intervals: how a stored verdict is computed again. */
export function replayRule(
  rule: MonitorRule,
  reference: RuleReference,
  intervals: readonly RuleCounts[],
): RuleState {
  return intervals.reduce(
    (state, counts) => updateRule(rule, state, counts),
    beginRule(rule, reference),
  );
}

/** What a detector says. */
export function judgeRule(rule: MonitorRule, state: RuleState): RuleVerdict {
  const { name } = rule;
  if (rule.rule === 'accuracy') {
    const test = rateChange.verdict(state as RateChangeState);
    const changed = test.decision === 'changed' && test.direction === 'down';
    const now = percent(test.current.rate);
    const summary = `accuracy ${now} of ${test.current.trials} labels, ${percent(test.reference.rate)} in the reference (e-value ${short(test.changed.eValue)})`;
    return { name, rule: rule.rule, changed, summary, test };
  }
  const test = distributionChange.verdict(state as DistributionChangeState);
  const flagged = test.streams.filter((stream) => stream.flagged);
  const told = (flagged.length > 0 ? flagged : test.streams.slice(0, 1)).map(
    (stream) =>
      `${stream.class ?? 'classes not in the reference'} where ${stream.stratum}: ${percent(stream.reference.rate)} → ${percent(stream.current.rate)}`,
  );
  const summary = `${told.join('; ') || 'no data'} (e-value ${short(test.changed.eValue)})`;
  return { name, rule: rule.rule, changed: test.decision === 'changed', summary, test };
}

/** Refuses rules that could not be followed. */
export function assertRules(rules: readonly MonitorRule[]): readonly MonitorRule[] {
  const names = new Set(rules.map((rule) => rule.name));
  if (names.size !== rules.length) {
    throw new KeelsonError('INVALID', 'Two rules of a monitor have one name.');
  }
  for (const rule of rules) {
    if (rule.rule !== 'label-distribution') continue;
    for (const { feature, edges } of rule.strata) {
      const ascending = edges.every((edge, i) => i === 0 || edge > (edges[i - 1] ?? edge));
      if (edges.length === 0 || !ascending) {
        throw new KeelsonError(
          'INVALID',
          `The edges of ${feature} in rule ${rule.name} must ascend.`,
        );
      }
    }
  }
  return rules;
}

function accuracyOf(
  rule: MonitorRule,
  counts: RuleCounts,
): { readonly right: number; readonly total: number } {
  if ('right' in counts) return counts;
  throw new KeelsonError('INVALID', `Rule ${rule.name} needs counts of right answers.`);
}

function countsOf(rule: MonitorRule, counts: RuleCounts): ClassCounts {
  if ('counts' in counts) return counts.counts;
  throw new KeelsonError('INVALID', `Rule ${rule.name} needs counts of classes.`);
}

function sortedCounts(classes: ReadonlyMap<string, number>): Record<string, number> {
  return Object.fromEntries([...classes].sort(([a], [b]) => (a < b ? -1 : 1)));
}

function percent(rate: number | null): string {
  return rate === null ? 'none' : `${(100 * rate).toFixed(1)} %`;
}

function short(value: number): string {
  return value >= 1000 ? value.toExponential(1) : value.toPrecision(3);
}
