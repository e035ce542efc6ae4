import type { StoredRecord } from '../contracts/record.ts';
import type { MonitorWindow } from '../deployments/monitor-window.ts';
import { KeelsonError } from '../errors.ts';
import type { Json } from '../json.ts';
import {
  beginRule,
  countForRule,
  type KnownRow,
  type MonitorRule,
  type RuleCounts,
  type RuleReference,
  type RuleState,
  type RuleVerdict,
} from './rule.ts';

/** What a deployment is watched for, and against what. */
export interface WatchLabelsOptions {
  readonly deployment: { readonly id: string; readonly name: string };
  readonly versionId: string;
  readonly rules: readonly MonitorRule[];
  /** What was the case before: rows with labels, with the version's own predictions where it has any. */
  readonly reference: readonly KnownRow[];
  /** Labels observed after this are watched. */
  readonly at: number;
}

/** One analysis: an interval's counts, and what each rule then said. */
export interface Analysis {
  readonly at: number;
  readonly from: number;
  readonly versionId: string;
  readonly referenceSetAt: number;
  readonly labels: number;
  readonly counts: Readonly<Record<string, RuleCounts>>;
  readonly verdicts: readonly RuleVerdict[];
  /** Alerts that this analysis raised. */
  readonly alertIds: readonly string[];
  /** Why the rules were suspended: what was counted is in no rule's state. */
  readonly suspended?: string;
}

/** A monitor as it is read. */
export interface Monitor {
  readonly deploymentId: string;
  readonly deployment: string;
  readonly versionId: string;
  readonly evaluatedAt: number;
  readonly referenceSetAt: number;
  readonly rules: readonly MonitorRule[];
  readonly references: Readonly<Record<string, RuleReference>>;
  readonly states: Readonly<Record<string, RuleState>>;
  /** When the rules were suspended, since traffic went back to an earlier version; oldest first. */
  readonly windows: readonly MonitorWindow[];
  /** What the rules knew when the rollout began that is under way. */
  readonly held?: Json;
  readonly revision: number;
}

/** Rules that have seen their reference and nothing else. */
export function beginRules(
  rules: readonly MonitorRule[],
  rows: readonly KnownRow[],
): Pick<Monitor, 'rules' | 'references' | 'states'> {
  const references = Object.fromEntries(rules.map((rule) => [rule.name, countForRule(rule, rows)]));
  const states = Object.fromEntries(
    rules.map((rule) => [rule.name, beginRule(rule, references[rule.name] as RuleReference)]),
  );
  return { rules, references, states };
}

/** The state of a rule. CORRUPT when the monitor lacks it. */
export function stateOf(monitor: Monitor, rule: MonitorRule): RuleState {
  const state = monitor.states[rule.name];
  if (state !== undefined) return state;
  throw new KeelsonError(
    'CORRUPT',
    `The monitor of ${monitor.deployment} lacks the state of rule ${rule.name}.`,
  );
}

/** The window that suspends the rules at a time. */
export function windowAt(
  { windows }: Pick<Monitor, 'windows'>,
  at: number,
): MonitorWindow | undefined {
  return windows.findLast(({ from, until }) => from <= at && at < until);
}

/** A monitor out of its record. */
export function monitorFromRecord(record: StoredRecord): Monitor {
  const c = record.columns;
  const body = record.body as Readonly<Record<string, Json>>;
  return {
    deploymentId: record.id,
    deployment: c['deploymentName'] as string,
    versionId: c['versionId'] as string,
    evaluatedAt: c['evaluatedAt'] as number,
    referenceSetAt: c['referenceSetAt'] as number,
    rules: body['rules'] as unknown as readonly MonitorRule[],
    references: body['references'] as unknown as Monitor['references'],
    states: body['states'] as unknown as Monitor['states'],
    windows: (body['windows'] ?? []) as unknown as Monitor['windows'],
    ...(body['held'] === undefined ? {} : { held: body['held'] }),
    revision: record.revision,
  };
}
