import type { Change } from '../../contracts/metadata-store.ts';
import type { Scope } from '../../contracts/scope.ts';
import { KeelsonError } from '../../errors.ts';
import type { AlertEventPayloads } from '../../events/catalogue/alert-events.ts';
import type { MonitoringEventPayloads } from '../../events/catalogue/monitoring-events.ts';
import { draftEvent } from '../../events/draft-event.ts';
import type { PayloadOf } from '../../events/typed-event.ts';
import { asJson, type JsonObject } from '../../json.ts';
import type { Monitor } from '../monitor.ts';
import type { MonitorRule, RuleVerdict } from '../rule.ts';
import { type Alert, alertFromRecord } from './alert.ts';
import { optionally } from './alert-steps.ts';

/** Reads alerts, and makes the changes that raise and resolve them. */
export interface Alerts {
  /** Oldest first. */
  list(deploymentId: string): Promise<readonly Alert[]>;
  open(deploymentId: string): Promise<readonly Alert[]>;
  /** NOT_FOUND by id. */
  get(id: string): Promise<Alert>;
  /** For each rule that has changed and has no open alert: a new one, with its events. */
  raiseAll(
    monitor: Monitor,
    verdicts: readonly RuleVerdict[],
    at: number,
    correlationId: string,
  ): Promise<readonly { readonly id: string; readonly changes: readonly Change[] }[]>;
  resolve(alert: Alert, at: number, resolution: string): readonly Change[];
  emit<T extends keyof (MonitoringEventPayloads & AlertEventPayloads)>(
    type: T,
    deployment: string,
    payload: PayloadOf<T>,
  ): Change;
}

/** {@link Alerts} of a scope. */
export function createAlerts(scope: Scope): Alerts {
  const { metadata, workspace } = scope;

  async function alertChanges(
    monitor: Monitor,
    verdicts: readonly RuleVerdict[],
    at: number,
    correlationId: string,
  ): Promise<readonly { readonly id: string; readonly changes: readonly Change[] }[]> {
    const open = new Set(
      (await alertsWhere('openKey', monitor.deploymentId)).map((a) => a.fingerprint),
    );
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
    const watching = monitor.rules.find((each) => each.name === verdict.name);
    const severity = watching?.severity ?? 'WARNING';
    const { name: rule, summary } = verdict;
    const found = { alertId: id, deploymentId, deployment, rule, severity, summary, at };
    const features = featuresOf(watching);
    const kind = verdict.rule === 'accuracy' ? 'CONCEPT_DRIFT' : 'LABEL_DRIFT';
    const { versionId } = monitor;
    const event = draftEvent(scope, {
      type: 'alert.triggered',
      subject: `deployment:${deployment}`,
      source: 'monitoring',
      payload: { ...found, kind, versionId, features, correlationId, grouped: true },
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
        ...{ kind, versionId, features, grouped: true },
      },
    };
    const drift = emit('drift.detected', deployment, {
      ...found,
      driftType: verdict.rule === 'accuracy' ? 'CONCEPT' : 'LABEL',
      features,
      metrics: { eValue: verdict.test.changed.eValue, pValue: verdict.test.changed.pValue },
      threshold: 1 / verdict.test.alpha,
    });
    return { id, changes: [create, drift, { op: 'emit', event }] };
  }

  function resolveChanges(alert: Alert, at: number, resolution: string): Change[] {
    const { deployment, summary, evidence, eventId, correlationId } = alert;
    const { kind, versionId, features, labels } = alert;
    return [
      {
        op: 'replace',
        kind: 'alert',
        id: alert.id,
        expect: alert.revision,
        columns: { openKey: undefined, state: 'RESOLVED', lastAt: at },
        body: asJson({
          ...{ deployment, summary, evidence, eventId, correlationId, resolution },
          ...optionally({ kind, versionId, features, labels }),
          grouped: true,
        }) as JsonObject,
      },
      emit('alert.resolved', deployment, {
        ...{ alertId: alert.id, deploymentId: alert.deploymentId, rule: alert.rule },
        ...{ resolution, severity: alert.severity, at, correlationId, grouped: true },
      }),
    ];
  }

  /** Alerts of a deployment that have the column. */
  async function alertsWhere(name: string, deploymentId: string): Promise<readonly Alert[]> {
    const left = { from: 'column', name } as const;
    const { records } = await metadata.query(workspace, 'alert', {
      where: {
        op: 'and',
        of: [
          {
            op: 'compare',
            left: { from: 'column', name: 'deploymentId' },
            cmp: '=',
            value: deploymentId,
          },
          { op: 'present', left },
        ],
      },
      orderBy: [{ by: { from: 'column', name: 'firstAt' }, direction: 'asc' }],
      limit: 1000,
    });
    return records.map(alertFromRecord);
  }

  function emit<T extends keyof (MonitoringEventPayloads & AlertEventPayloads)>(
    type: T,
    deployment: string,
    payload: PayloadOf<T>,
  ): Change {
    const event = {
      type,
      subject: `deployment:${deployment}`,
      source: 'monitoring',
      payload: { ...payload, deployment },
    };
    return { op: 'emit', event: draftEvent(scope, event) };
  }

  return {
    list: (deploymentId) => alertsWhere('deploymentId', deploymentId),
    open: (deploymentId) => alertsWhere('openKey', deploymentId),
    raiseAll: alertChanges,
    resolve: resolveChanges,
    emit,

    async get(id) {
      const record = await metadata.find(workspace, 'alert', id);
      if (record !== undefined) return alertFromRecord(record);
      throw new KeelsonError('NOT_FOUND', `There is no alert ${id}.`);
    },
  };
}

/** The features by which a rule tells cases apart. */
function featuresOf(rule: MonitorRule | undefined): readonly string[] {
  return rule?.rule === 'label-distribution' ? rule.strata.map(({ feature }) => feature) : [];
}
