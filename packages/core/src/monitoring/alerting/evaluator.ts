import type { Change } from '../../contracts/metadata-store.ts';
import type { Predicate } from '../../contracts/query.ts';
import type { StoredRecord } from '../../contracts/record.ts';
import type { Scope } from '../../contracts/scope.ts';
import { isKeelsonError } from '../../errors.ts';
import { withCorrelation } from '../../events/correlation.ts';
import { asJson, canonicalJson, type JsonObject } from '../../json.ts';
import { commitChanges, jitter } from '../../operations/decide-and-commit.ts';
import { columnIs, everyRecord } from '../../operations/every-record.ts';
import type { AlertBody } from './alert.ts';
import { type AlertRule, everyMsOf } from './alert-rule.ts';
import {
  type AlertInput,
  type AlertState,
  type AlertTiming,
  isOverSince,
  stepAlert,
} from './alert-state.ts';
import { alertAs, alertChange, announcements, optionally, type StepReason } from './alert-steps.ts';
import type { FigureSource } from './figure-source.ts';
import { keyOfLabels, type Verdict } from './judge-rule.ts';
import { type RuleReading, readRules } from './read-rules.ts';
import type { RuleSights } from './rule-sights.ts';

/** A deployment whose rules are evaluated. */
export interface Watched {
  readonly id: string;
  readonly name: string;
}

/** Evaluates alert rules. */
export interface Evaluator {
  /** Judges the rules of a deployment as of a time, and moves its alerts. Once more for the same time it changes nothing. */
  evaluate(deployment: Watched, rules: readonly AlertRule[], at: number): Promise<void>;
  /** Ends alerts whose rule, or whose deployment, is no longer there. */
  close(
    inForce: (deploymentId: string) => ReadonlySet<string> | undefined,
    at: number,
  ): Promise<void>;
}

const attempts = 10;

/** {@link Evaluator} of a scope. */
export function createEvaluator(
  scope: Scope,
  figures: FigureSource,
  sights: RuleSights,
): Evaluator {
  const { metadata, workspace } = scope;

  /** Open alerts of a deployment that alert rules have raised, by fingerprint. */
  async function openAlerts(deploymentId?: string): Promise<ReadonlyMap<string, StoredRecord>> {
    const open: Predicate = { op: 'present', left: { from: 'column', name: 'openKey' } };
    const of = deploymentId === undefined ? [open] : [columnIs('deploymentId', deploymentId), open];
    const found = new Map<string, StoredRecord>();
    for await (const record of everyRecord(scope, 'alert', { where: { op: 'and', of } })) {
      const isOfRule = (record.body as unknown as AlertBody).condition !== undefined;
      if (isOfRule) found.set(record.columns['fingerprint'] as string, record);
    }
    return found;
  }

  /** The state of the newest alert of the same trouble. */
  async function lastOf(facts: {
    readonly deploymentId: string;
    readonly fingerprint: string;
  }): Promise<AlertState | undefined> {
    const of = Object.entries(facts).map(([name, value]) => columnIs(name, value));
    const { records } = await metadata.query(workspace, 'alert', {
      where: { op: 'and', of },
      orderBy: [{ by: { from: 'column', name: 'firstAt' }, direction: 'desc' }],
      limit: 1,
    });
    return (records[0]?.body as unknown as AlertBody | undefined)?.condition;
  }

  async function move(
    deployment: Watched,
    reading: RuleReading,
    open: ReadonlyMap<string, StoredRecord>,
    at: number,
  ): Promise<readonly Change[]> {
    const { rule, verdicts } = reading;
    const prefix = fingerprintOf(deployment.id, rule.name, {});
    const changes: Change[] = [];
    const seen = new Set<string>();
    for (const verdict of verdicts) {
      const fingerprint = fingerprintOf(deployment.id, rule.name, verdict.labels);
      seen.add(fingerprint);
      const record = open.get(fingerprint);
      changes.push(...(await stepOf(deployment, rule, verdict, record, at)));
    }
    // Series that have gone are not over: nobody can see them.
    for (const [fingerprint, record] of open) {
      if (seen.has(fingerprint) || !isOf(fingerprint, prefix)) continue;
      const blind = verdicts.find((verdict) => verdict.blind !== undefined);
      const { labels = {} } = record.body as unknown as AlertBody;
      const summary = blind?.summary ?? `There is no ${rule.figure ?? 'figure'} of it any more.`;
      const gone: Verdict = { labels, blind: blind?.blind ?? 'NO_DATA', summary };
      changes.push(...(await stepOf(deployment, rule, gone, record, at)));
    }
    return changes;
  }

  async function stepOf(
    deployment: Watched,
    rule: AlertRule,
    verdict: Verdict,
    record: StoredRecord | undefined,
    at: number,
  ): Promise<readonly Change[]> {
    const before = record?.body as unknown as AlertBody | undefined;
    const step = stepAlert(timingOf(rule), before?.condition, inputOf(verdict, at));
    const facts = {
      deploymentId: deployment.id,
      rule: rule.name,
      fingerprint: fingerprintOf(deployment.id, rule.name, verdict.labels),
    };
    const { state } = step;
    if (state === undefined && record === undefined) return [];
    if (record === undefined && isOverSince(await lastOf(facts), at)) return [];
    // What only says that it was looked at once more is written now and then.
    const lastAt = (record?.columns['lastAt'] as number | undefined) ?? 0;
    const isOld = verdict.reached !== undefined && at - lastAt >= noteEveryMs;
    const isSame = withoutLook(state) === withoutLook(before?.condition);
    if (isSame && !isOld) return [];
    const id = record?.id ?? scope.ids.next();
    const body = bodyOf(deployment, rule, verdict, before, scope.ids.next());
    const change = alertChange(record, id, facts, state, body, at);
    if (change === undefined || state === undefined) return change === undefined ? [] : [change];
    const revision = record?.revision ?? 0;
    const alert = alertAs({ id, revision }, facts, state, body, at);
    const former = record && alertAs(record, facts, before?.condition ?? state, before ?? body, at);
    const reason: StepReason = { at, resolution: verdict.summary, message: verdict.summary };
    const told = await withCorrelation({ correlationId: body.correlationId }, async () =>
      announcements(scope, step, alert, former, reason),
    );
    return [change, ...told];
  }

  return {
    async evaluate(deployment, rules, at) {
      const readings = await readRules(figures, deployment, rules, at);
      for (let attempt = 1; ; attempt += 1) {
        const open = await openAlerts(deployment.id);
        const changes: Change[] = [];
        for (const reading of readings)
          changes.push(...(await move(deployment, reading, open, at)));
        try {
          await commitInParts(changes);
          break;
        } catch (error) {
          // Somebody has moved one of them in between: an acknowledgement, or another evaluator.
          if (!isKeelsonError(error, 'STALE', 'CONFLICT') || attempt === attempts) throw error;
          await jitter(attempt);
        }
      }
      await sights.note(deployment.id, readings, at);
    },

    async close(inForce, at) {
      const changes: Change[] = [];
      for (const record of (await openAlerts()).values()) {
        const { deploymentId, rule, fingerprint } = record.columns as Record<string, string>;
        const names = inForce(deploymentId as string);
        if (names?.has(rule as string)) continue;
        const body = record.body as unknown as AlertBody;
        const resolution =
          names === undefined
            ? `The deployment ${body.deployment} is no longer served.`
            : `The rule ${rule} is no longer in force.`;
        const facts = {
          deploymentId: deploymentId as string,
          rule: rule as string,
          fingerprint: fingerprint as string,
        };
        const step = stepAlert(noTiming, body.condition, { type: 'resolve', at });
        const told = { ...body, resolution };
        const change = alertChange(record, record.id, facts, step.state, told, at);
        if (change === undefined) continue;
        changes.push(change);
        if (step.state === undefined) continue;
        const alert = alertAs(record, facts, step.state, told, at);
        changes.push(...announcements(scope, step, alert, undefined, { at, resolution }));
      }
      try {
        await commitInParts(changes);
        await sights.forget((id, rule) => inForce(id)?.has(rule) === true);
      } catch (error) {
        // The next round sees them again.
        if (!isKeelsonError(error, 'STALE')) throw error;
      }
    },
  };

  /** A change of an alert and the events after it go together; a commit takes 500. */
  async function commitInParts(changes: readonly Change[]): Promise<void> {
    let part: Change[] = [];
    for (const change of changes) {
      if (change.op !== 'emit' && part.length > 450) {
        await commitChanges(scope, part);
        part = [];
      }
      part.push(change);
    }
    await commitChanges(scope, part);
  }
}

const noteEveryMs = 300_000;
const noTiming: AlertTiming = { forMs: 0, keepFiringForMs: 0 };

/** How long, and how often, the condition of a rule must hold. */
function timingOf(rule: AlertRule): AlertTiming {
  const { forMs = 0, keepFiringForMs = 0, windows } = rule;
  return { forMs, keepFiringForMs, ...(windows === undefined ? {} : { windows }) };
}

/** The same for the same trouble. */
function fingerprintOf(deploymentId: string, rule: string, labels: Verdict['labels']): string {
  return `${deploymentId}:rule:${rule}${keyOfLabels(labels)}`;
}

function isOf(fingerprint: string, prefix: string): boolean {
  return fingerprint === prefix || fingerprint.startsWith(`${prefix}{`);
}

function inputOf({ blind, reached, kept }: Verdict, at: number): AlertInput {
  if (blind !== undefined) return { type: 'blind', at, because: blind };
  return { type: 'judged', at, ...optionally({ reached, kept }) };
}

/** The state as text, without what every look changes; stores may give keys back in another order. */
function withoutLook(state: AlertState | undefined): string {
  if (state === undefined) return '';
  const { judgedAt: _, ...rest } = state;
  return canonicalJson(asJson(rest));
}

function bodyOf(
  deployment: Watched,
  rule: AlertRule,
  verdict: Verdict,
  before: AlertBody | undefined,
  freshId: string,
): Omit<AlertBody, 'condition'> {
  const { routes, schedule, actions, kind = 'CUSTOM' } = rule;
  const { driftKind, versionId, features } = verdict;
  const isBlind = verdict.blind !== undefined && before !== undefined;
  const evidence = isBlind
    ? before.evidence
    : (asJson({ ...verdict, everyMs: everyMsOf(rule) }) as JsonObject);
  return {
    deployment: deployment.name,
    summary: isBlind ? before.summary : verdict.summary,
    evidence,
    eventId: before?.eventId ?? freshId,
    correlationId: before?.correlationId ?? freshId,
    ...(verdict.reached === undefined && verdict.blind === undefined && before !== undefined
      ? { resolution: verdict.summary }
      : {}),
    ...{ kind, grouped: true, labels: { ...rule.labels, ...verdict.labels } },
    ...optionally({
      ...{ routes, schedule, actions },
      driftKind: driftKind ?? before?.driftKind,
      versionId: versionId ?? before?.versionId,
      features: features ?? before?.features,
    }),
  };
}
