import type { Change } from '../../contracts/metadata-store.ts';
import type { StoredRecord } from '../../contracts/record.ts';
import type { Scope } from '../../contracts/scope.ts';
import type { AlertEventPayloads } from '../../events/catalogue/alert-events.ts';
import { draftEvent } from '../../events/draft-event.ts';
import type { PayloadOf } from '../../events/typed-event.ts';
import { asJson, type JsonObject } from '../../json.ts';
import { type Alert, type AlertBody, alertFromRecord } from './alert.ts';
import type { AlertEffect, AlertState, AlertStep } from './alert-state.ts';

/** Who and why, for what is announced. */
export interface StepReason {
  readonly at: number;
  /** Of ends: why it is over. */
  readonly resolution?: string;
  /** Of what cannot be told: why. */
  readonly message?: string;
  /** Of acknowledgements: who. */
  readonly by?: string;
}

type EventScope = Pick<Scope, 'clock' | 'ids' | 'principal'>;

/** An event of a deployment's alert. */
export function alertEvent<T extends keyof AlertEventPayloads>(
  scope: EventScope,
  type: T,
  deployment: string,
  payload: AlertEventPayloads[T],
): Change {
  const said = { type, subject: `deployment:${deployment}`, source: 'monitoring' };
  return {
    op: 'emit',
    event: draftEvent<T>(scope, { ...said, payload: payload as unknown as PayloadOf<T> }),
  };
}

/** What every event of an alert says of it. */
type AlertFacts = Pick<
  AlertEventPayloads['alert.triggered'],
  | 'alertId'
  | 'deployment'
  | 'deploymentId'
  | 'rule'
  | 'severity'
  | 'correlationId'
  | 'kind'
  | 'driftKind'
  | 'versionId'
  | 'features'
  | 'labels'
>;

/** See {@link AlertFacts}. */
function factsOfAlert(alert: Alert): AlertFacts {
  const { deployment, deploymentId, rule, kind, driftKind, versionId, features, labels } = alert;
  return {
    ...{ alertId: alert.id, deployment, deploymentId, rule, severity: alert.severity },
    correlationId: alert.correlationId,
    ...(kind === undefined ? {} : { kind }),
    ...(driftKind === undefined ? {} : { driftKind }),
    ...(versionId === undefined ? {} : { versionId }),
    ...(features === undefined ? {} : { features }),
    ...(labels === undefined ? {} : { labels }),
  };
}

/** The events that announce a step. */
export function announcements(
  scope: EventScope,
  { effects }: AlertStep,
  alert: Alert,
  former: Alert | undefined,
  reason: StepReason,
): readonly Change[] {
  const facts = factsOfAlert(alert);
  const { at, message = '', by = scope.principal.id } = reason;
  const emit = <T extends keyof AlertEventPayloads>(type: T, payload: AlertEventPayloads[T]) =>
    alertEvent(scope, type, alert.deployment, payload);
  return effects.flatMap((effect): Change[] => {
    switch (effect) {
      case 'TRIGGERED':
        return [emit('alert.triggered', { ...triggeredPayload(alert, at) })];
      case 'RESOLVED': {
        const resolution = reason.resolution ?? alert.summary;
        return [emit('alert.resolved', { ...facts, resolution, at, grouped: true })];
      }
      case 'SEVERITY_CHANGED': {
        const formerSeverity = former?.severity ?? alert.severity;
        const { summary } = alert;
        return [emit('alert.severity_changed', { ...facts, formerSeverity, summary, at })];
      }
      case 'SUSPENDED': {
        const because = alert.blind?.because ?? 'NO_DATA';
        return [emit('alert.suspended', { ...facts, because, message, at })];
      }
      case 'RESUMED':
        return [emit('alert.resumed', { ...facts, at })];
      case 'ACKNOWLEDGED': {
        const { comment, untilAt } = alert.acknowledged ?? {};
        const told = { ...facts, by, ...optionally({ comment, untilAt }) };
        return [emit('alert.acknowledged', told)];
      }
      default:
        return [emit('alert.unacknowledged', { ...facts, by, reason: unattendedReasons[effect] })];
    }
  });
}

const unattendedReasons = {
  WITHDRAWN: 'WITHDRAWN',
  ACKNOWLEDGEMENT_EXPIRED: 'EXPIRED',
  ACKNOWLEDGEMENT_OUTGROWN: 'GRAVER',
} as const satisfies Partial<Record<AlertEffect, string>>;

function triggeredPayload(alert: Alert, at: number): AlertEventPayloads['alert.triggered'] {
  const { value, threshold } = alert.evidence as { value?: unknown; threshold?: unknown };
  return {
    ...factsOfAlert(alert),
    ...{ summary: alert.summary, at, since: alert.firstAt, grouped: true },
    ...(typeof value === 'number' ? { value } : {}),
    ...(typeof threshold === 'number' ? { threshold } : {}),
  };
}

/** Without the fields that are undefined. */
export function optionally<T extends object>(fields: T): { [K in keyof T]?: NonNullable<T[K]> } {
  const kept = Object.entries(fields).filter(([, value]) => value !== undefined);
  return Object.fromEntries(kept) as { [K in keyof T]?: NonNullable<T[K]> };
}

/** The change that puts a state and what is said of it into an alert's record; its end takes it out of what is open. */
export function alertChange(
  record: StoredRecord | undefined,
  id: string,
  facts: { readonly deploymentId: string; readonly rule: string; readonly fingerprint: string },
  state: AlertState | undefined,
  body: Omit<AlertBody, 'condition'>,
  at: number,
): Change | undefined {
  if (state === undefined) {
    if (record === undefined) return undefined;
    return { op: 'remove', kind: 'alert', id, expect: record.revision };
  }
  const openKey = state.phase === 'RESOLVED' ? undefined : facts.fingerprint;
  const moving = { openKey, severity: state.severity, state: state.phase, lastAt: at };
  const whole = asJson({ ...body, condition: state }) as JsonObject;
  if (record === undefined) {
    const columns = { ...facts, ...moving, firstAt: state.beganAt };
    return { op: 'create', kind: 'alert', id, columns, body: whole };
  }
  const expect = record.revision;
  return { op: 'replace', kind: 'alert', id, expect, columns: moving, body: whole };
}

/** The alert as it will be read once its record is in a state. */
export function alertAs(
  record: Pick<StoredRecord, 'id' | 'revision'>,
  facts: { readonly deploymentId: string; readonly rule: string; readonly fingerprint: string },
  state: AlertState,
  body: Omit<AlertBody, 'condition'>,
  at: number,
): Alert {
  return alertFromRecord({
    ...{ kind: 'alert', workspace: '', createdAt: 0, updatedAt: 0, facets: {} },
    ...record,
    columns: {
      ...facts,
      ...{ severity: state.severity, state: state.phase, firstAt: state.beganAt, lastAt: at },
    },
    body: { ...body, condition: state } as unknown as JsonObject,
  });
}
