import type { EvidenceSource } from '../contracts/evidence-source.ts';
import type { Change } from '../contracts/metadata-store.ts';
import type { PredictionSink } from '../contracts/prediction-sink.ts';
import type { StoredRecord } from '../contracts/record.ts';
import type { Scope } from '../contracts/scope.ts';
import { isKeelsonError, KeelsonError } from '../errors.ts';
import { withCorrelation } from '../events/correlation.ts';
import { draftEvent } from '../events/draft-event.ts';
import { asJson, type Json, type JsonObject } from '../json.ts';
import { assertAllowed, commitChanges, decideAndCommit } from '../operations/decide-and-commit.ts';
import { type Alert, alertFromRecord } from './alert.ts';
import { createEvidenceSource } from './evidence.ts';
import { readCounted, writeCounted } from './counted-requests.ts';
import {
  appendLabels,
  type Label,
  LabelNumbers,
  type LabelledRequest,
  type LabelResult,
  readLabelled,
} from './labels.ts';
import { type Performance, performanceOf } from './performance.ts';
import { renderReport, type ReportParts } from './report.ts';
import { PredictionLog, type PredictionLogOptions } from './prediction-log.ts';
import {
  assertRules,
  beginRule,
  countForRule,
  judgeRule,
  knownRows,
  type KnownRow,
  type MonitorRule,
  type RuleCounts,
  type RuleReference,
  type RuleState,
  type RuleVerdict,
  updateRule,
} from './rule.ts';

/** What a deployment is watched for, and against what. */
export interface WatchOptions {
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
  readonly revision: number;
}

/** Tells, early and without crying wolf, that a model in production has gone wrong. */
export interface Monitoring {
  /** Where serving hands its predictions. */
  readonly predictions: PredictionSink;
  /** Answers the gates of rollouts. */
  readonly evidence: EvidenceSource;
  /** Begins to watch; watching already, it changes nothing. */
  watch(options: WatchOptions): Promise<Monitor>;
  getMonitor(deploymentId: string): Promise<Monitor>;
  /**
   * Labels of requests that were predicted; those of unknown requests are refused by name, the rest
   * counts. The first label of a request counts; repeats are harmless.
   */
  logLabels(deploymentId: string, labels: readonly Label[]): Promise<LabelResult>;
  /**
   * Takes the labels observed up to `at` that no analysis has counted yet into every rule, and raises an
   * alert for each that has changed. Labels that are told late count in the next one. Idempotent: an `at` that was analysed before answers that analysis.
   */
  evaluate(deploymentId: string, options: { readonly at: number }): Promise<Analysis | undefined>;
  /** A new reference for all rules; open alerts are resolved. */
  rebaseline(
    options: Omit<WatchOptions, 'rules'> & { readonly reason: string },
  ): Promise<Monitor>;
  /** Oldest first. */
  listAnalyses(deploymentId: string): Promise<readonly Analysis[]>;
  listAlerts(deploymentId: string): Promise<readonly Alert[]>;
  getAlert(id: string): Promise<Alert>;
  /** Accuracy of each version over a period, beside the period's majority class. */
  performance(
    deploymentId: string,
    range: { readonly from: number; readonly to: number },
  ): Promise<Performance>;
  /**
   * Labelled rows of a period: what a new reference is made from. The predictions are those that callers
   * saw, or those of the version named (missing where it gave none).
   */
  labelledRows(
    deploymentId: string,
    range: { readonly from: number; readonly to: number },
    options?: { readonly versionId?: string },
  ): Promise<readonly KnownRow[]>;
  /** A self-contained HTML page: accuracy, label shares and evidence over time, alerts. */
  report(deploymentId: string): Promise<string>;
  close(): Promise<void>;
}

const dayMs = 86_400_000;

/** Monitoring, bound to a scope. */
export function createMonitoring(
  scope: Scope,
  options: {
    readonly predictionLog?: PredictionLogOptions;
    /** Labels later than this after their request are not joined; 60 days when left out. */
    readonly maxLabelDelayMs?: number;
  } = {},
): Monitoring {
  const { metadata, workspace } = scope;
  const maxDelayMs = options.maxLabelDelayMs ?? 60 * dayMs;
  const predictions = new PredictionLog(scope, options.predictionLog);
  const labelNumbers = new LabelNumbers();

  async function findMonitor(deploymentId: string): Promise<Monitor | undefined> {
    const record = await metadata.find(workspace, 'monitor', deploymentId);
    return record && monitorFromRecord(record);
  }

  async function getMonitor(deploymentId: string): Promise<Monitor> {
    const monitor = await findMonitor(deploymentId);
    if (monitor !== undefined) return monitor;
    throw new KeelsonError('NOT_FOUND', `Deployment ${deploymentId} is not watched; call monitoring.watch first.`);
  }

  async function watch(given: WatchOptions): Promise<Monitor> {
    const { id, name } = given.deployment;
    const existing = await findMonitor(id);
    if (existing !== undefined) return existing;
    await assertAllowed(scope, 'monitor.create', `deployment:${name}`);
    const begun = begin(assertRules(given.rules), given.reference);
    try {
      await commitChanges(scope, [
        {
          op: 'create',
          kind: 'monitor',
          id,
          columns: {
            deploymentId: id,
            deploymentName: name,
            versionId: given.versionId,
            evaluatedAt: given.at,
            referenceSetAt: given.at,
          },
          body: asJson(begun) as JsonObject,
        },
        emit('baseline.updated', name, { deploymentId: id, versionId: given.versionId, at: given.at }),
      ]);
    } catch (error) {
      if (!isKeelsonError(error, 'CONFLICT')) throw error;
    }
    return getMonitor(id);
  }

  async function evaluate(deploymentId: string, at: number): Promise<Analysis | undefined> {
    await predictions.flush();
    const before = await getMonitor(deploymentId);
    if (at <= before.evaluatedAt) return findAnalysis(deploymentId, at);
    const correlationId = scope.ids.next();
    await withCorrelation({ correlationId }, () =>
      decideAndCommit(scope, async () => {
        const monitor = await getMonitor(deploymentId);
        if (at <= monitor.evaluatedAt) return { changes: [], result: undefined };
        return { changes: await analyse(monitor, at, correlationId), result: undefined };
      }),
    );
    return findAnalysis(deploymentId, at);
  }

  async function analyse(monitor: Monitor, at: number, correlationId: string): Promise<readonly Change[]> {
    const id = scope.ids.next();
    const labelled = await uncounted(monitor, at);
    const requests = labelled.map((each) => each.requestId);
    await writeCounted(scope, monitor.deploymentId, { id, at }, requests);
    const rows = knownRows(labelled);
    const counts: Record<string, RuleCounts> = {};
    const states: Record<string, RuleState> = {};
    for (const rule of monitor.rules) {
      counts[rule.name] = countForRule(rule, rows);
      states[rule.name] = updateRule(rule, stateOf(monitor, rule), counts[rule.name] as RuleCounts);
    }
    const verdicts = monitor.rules.map((rule) => judgeRule(rule, states[rule.name] as RuleState));
    const raised = await alertChanges(monitor, verdicts, at, correlationId);
    const analysis: Analysis = {
      at,
      from: monitor.evaluatedAt,
      versionId: monitor.versionId,
      referenceSetAt: monitor.referenceSetAt,
      labels: rows.length,
      counts,
      verdicts,
      alertIds: raised.map((each) => each.id),
    };
    return [
      {
        op: 'replace',
        kind: 'monitor',
        id: monitor.deploymentId,
        expect: monitor.revision,
        columns: { evaluatedAt: at },
        body: asJson({ rules: monitor.rules, references: monitor.references, states }) as JsonObject,
      },
      {
        op: 'create',
        kind: 'analysis',
        id,
        columns: {
          deploymentId: monitor.deploymentId,
          at,
          changed: verdicts.some((verdict) => verdict.changed),
        },
        body: asJson(analysis) as JsonObject,
      },
      ...raised.flatMap((each) => each.changes),
    ];
  }

  /** Labels observed up to `at` and since the reference was set, but for those that were counted before. */
  async function uncounted(monitor: Monitor, at: number): Promise<readonly LabelledRequest[]> {
    const { deploymentId, evaluatedAt, referenceSetAt } = monitor;
    const from = Math.max(referenceSetAt, evaluatedAt - maxDelayMs);
    const [labelled, analyses] = await Promise.all([
      readLabelled(scope, deploymentId, { from, to: at }, maxDelayMs),
      analysisRecords(deploymentId, from),
    ]);
    const ids = new Set(analyses.map((record) => record.id));
    const counted = await readCounted(scope, deploymentId, ids, { from, to: evaluatedAt + 1 });
    return labelled.filter((each) => !counted.has(each.requestId));
  }

  async function alertChanges(
    monitor: Monitor,
    verdicts: readonly RuleVerdict[],
    at: number,
    correlationId: string,
  ): Promise<readonly { readonly id: string; readonly changes: readonly Change[] }[]> {
    const open = new Set((await alertsWhere('openKey', undefined, monitor.deploymentId)).map((a) => a.fingerprint));
    return verdicts
      .filter((verdict) => verdict.changed)
      .map((verdict) => ({ verdict, fingerprint: `${monitor.deploymentId}:${verdict.name}` }))
      .filter(({ fingerprint }) => !open.has(fingerprint))
      .map(({ verdict, fingerprint }) => raise(monitor, verdict, fingerprint, at, correlationId));
  }

  function raise(
    monitor: Monitor,
    verdict: RuleVerdict,
    fingerprint: string,
    at: number,
    correlationId: string,
  ): { readonly id: string; readonly changes: readonly Change[] } {
    const id = scope.ids.next();
    const { deploymentId, deployment } = monitor;
    const severity = monitor.rules.find((rule) => rule.name === verdict.name)?.severity ?? 'WARNING';
    const { name: rule, summary } = verdict;
    const payload = { alertId: id, deploymentId, deployment, rule, severity, summary, at };
    const event = draftEvent(scope, {
      type: 'alert.triggered',
      subject: `deployment:${deployment}`,
      source: 'monitoring',
      payload,
    });
    const create: Change = {
      op: 'create',
      kind: 'alert',
      id,
      columns: {
        deploymentId,
        rule,
        fingerprint,
        openKey: fingerprint,
        severity,
        state: 'FIRING',
        firstAt: at,
        lastAt: at,
      },
      body: {
        deployment,
        summary,
        evidence: asJson(verdict) as JsonObject,
        eventId: event.id,
        correlationId,
      },
    };
    const drift = emit('drift.detected', deployment, {
      driftType: verdict.rule === 'accuracy' ? 'CONCEPT' : 'LABEL',
      ...payload,
    });
    return { id, changes: [create, drift, { op: 'emit', event }] };
  }

  async function rebaseline(
    given: Omit<WatchOptions, 'rules'> & { readonly reason: string },
  ): Promise<Monitor> {
    const { id, name } = given.deployment;
    await assertAllowed(scope, 'monitor.update', `deployment:${name}`);
    await decideAndCommit(scope, async () => {
      const monitor = await getMonitor(id);
      // Done already: the same reference time and version.
      if (monitor.referenceSetAt === given.at && monitor.versionId === given.versionId) {
        return { changes: [], result: undefined };
      }
      const open = await alertsWhere('openKey', undefined, id);
      return {
        changes: [
          {
            op: 'replace',
            kind: 'monitor',
            id,
            expect: monitor.revision,
            columns: {
              versionId: given.versionId,
              evaluatedAt: Math.max(monitor.evaluatedAt, given.at),
              referenceSetAt: given.at,
            },
            body: asJson(begin(monitor.rules, given.reference)) as JsonObject,
          },
          ...open.flatMap((alert) => resolveChanges(alert, given.at, given.reason)),
          emit('baseline.updated', name, {
            deploymentId: id,
            versionId: given.versionId,
            at: given.at,
            reason: given.reason,
          }),
        ],
        result: undefined,
        reason: given.reason,
      };
    });
    return getMonitor(id);
  }

  function resolveChanges(alert: Alert, at: number, resolution: string): Change[] {
    const { deployment, summary, evidence, eventId, correlationId } = alert;
    return [
      {
        op: 'replace',
        kind: 'alert',
        id: alert.id,
        expect: alert.revision,
        columns: { openKey: undefined, state: 'RESOLVED', lastAt: at },
        body: { deployment, summary, evidence, eventId, correlationId, resolution },
      },
      emit('alert.resolved', deployment, { alertId: alert.id, rule: alert.rule, resolution }),
    ];
  }

  async function listAnalyses(deploymentId: string): Promise<readonly Analysis[]> {
    const records = await analysisRecords(deploymentId, 0);
    return records.map((record) => record.body as unknown as Analysis);
  }

  /** Analyses made for times behind `from`, oldest first. */
  async function analysisRecords(deploymentId: string, from: number): Promise<readonly StoredRecord[]> {
    const all: StoredRecord[] = [];
    const left = { from: 'column', name: 'deploymentId' } as const;
    const behind = { from: 'column', name: 'at' } as const;
    let cursor: string | undefined;
    do {
      const page = await metadata.query(workspace, 'analysis', {
        where: {
          op: 'and',
          of: [
            { op: 'compare', left, cmp: '=', value: deploymentId },
            { op: 'compare', left: behind, cmp: '>', value: from },
          ],
        },
        orderBy: [{ by: { from: 'column', name: 'at' }, direction: 'asc' }],
        limit: 1000,
        ...(cursor === undefined ? {} : { cursor }),
      });
      all.push(...page.records);
      cursor = page.cursor;
    } while (cursor !== undefined);
    return all;
  }

  /** Accuracy over stretches of 28 days from the first analysis to the last. */
  async function accuracyOverTime(
    deploymentId: string,
    analyses: readonly Analysis[],
  ): Promise<ReportParts['accuracy']> {
    const begin = analyses[0]?.from;
    const end = analyses.at(-1)?.at;
    if (begin === undefined || end === undefined) return [];
    const labelled = await readLabelled(scope, deploymentId, { from: begin - 1, to: end }, maxDelayMs);
    const stretch = 28 * dayMs;
    return Array.from({ length: Math.ceil((end - begin) / stretch) }, (_, i) => {
      const from = begin + i * stretch;
      const { labels, served, majority } = performanceOf(labelled, { from, to: from + stretch });
      return { from, labels, served: served?.accuracy, majority: majority?.share };
    });
  }

  async function findAnalysis(deploymentId: string, at: number): Promise<Analysis | undefined> {
    const { records } = await metadata.query(workspace, 'analysis', {
      where: {
        op: 'and',
        of: [
          { op: 'compare', left: { from: 'column', name: 'deploymentId' }, cmp: '=', value: deploymentId },
          { op: 'compare', left: { from: 'column', name: 'at' }, cmp: '=', value: at },
        ],
      },
      limit: 1,
    });
    return records[0]?.body as unknown as Analysis | undefined;
  }

  /** Alerts of a deployment whose column is present (or equals the value, where one is given). */
  async function alertsWhere(name: string, value: string | undefined, deploymentId: string): Promise<readonly Alert[]> {
    const left = { from: 'column', name } as const;
    const { records } = await metadata.query(workspace, 'alert', {
      where: {
        op: 'and',
        of: [
          { op: 'compare', left: { from: 'column', name: 'deploymentId' }, cmp: '=', value: deploymentId },
          value === undefined ? { op: 'present', left } : { op: 'compare', left, cmp: '=', value },
        ],
      },
      orderBy: [{ by: { from: 'column', name: 'firstAt' }, direction: 'asc' }],
      limit: 1000,
    });
    return records.map(alertFromRecord);
  }

  function emit(type: string, deployment: string, payload: JsonObject): Change {
    const event = { type, subject: `deployment:${deployment}`, source: 'monitoring', payload };
    return { op: 'emit', event: draftEvent(scope, event) };
  }

  return {
    predictions,
    evidence: createEvidenceSource(scope, maxDelayMs),
    watch,
    getMonitor,
    rebaseline,
    evaluate: (deploymentId, { at }) => evaluate(deploymentId, at),

    async logLabels(deploymentId, labels) {
      await predictions.flush();
      return appendLabels(scope, deploymentId, labels, maxDelayMs, labelNumbers);
    },

    listAnalyses,

    async report(deploymentId) {
      const [monitor, analyses, alerts] = await Promise.all([
        getMonitor(deploymentId),
        listAnalyses(deploymentId),
        alertsWhere('deploymentId', deploymentId, deploymentId),
      ]);
      const accuracy = await accuracyOverTime(deploymentId, analyses);
      return renderReport({ monitor, analyses, alerts, accuracy });
    },

    listAlerts: (deploymentId) => alertsWhere('deploymentId', deploymentId, deploymentId),

    async getAlert(id) {
      const record = await metadata.find(workspace, 'alert', id);
      if (record !== undefined) return alertFromRecord(record);
      throw new KeelsonError('NOT_FOUND', `There is no alert ${id}.`);
    },

    async performance(deploymentId, range) {
      // By the time of the request: labels may come as late as they are joined at all.
      const labels = { from: range.from - 1, to: range.to + maxDelayMs };
      const labelled = await readLabelled(scope, deploymentId, labels, maxDelayMs);
      return performanceOf(labelled, range);
    },

    async labelledRows(deploymentId, range, rowOptions = {}) {
      await predictions.flush();
      const labelled = await readLabelled(scope, deploymentId, range, maxDelayMs);
      return knownRows(labelled, rowOptions.versionId);
    },

    close: () => predictions.flush({ timeoutMs: 10_000 }),
  };
}

function begin(
  rules: readonly MonitorRule[],
  rows: readonly KnownRow[],
): Pick<Monitor, 'rules' | 'references' | 'states'> {
  const references = Object.fromEntries(rules.map((rule) => [rule.name, countForRule(rule, rows)]));
  const states = Object.fromEntries(
    rules.map((rule) => [rule.name, beginRule(rule, references[rule.name] as RuleReference)]),
  );
  return { rules, references, states };
}

function stateOf(monitor: Monitor, rule: MonitorRule): RuleState {
  const state = monitor.states[rule.name];
  if (state !== undefined) return state;
  throw new KeelsonError('CORRUPT', `The monitor of ${monitor.deployment} lacks the state of rule ${rule.name}.`);
}

function monitorFromRecord(record: StoredRecord): Monitor {
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
    revision: record.revision,
  };
}
