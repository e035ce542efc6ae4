import type { StoredEvent } from '../../contracts/event.ts';
import type { Notification, Severity } from '../../contracts/ports.ts';
import { findDefinition } from '../../events/event-catalogue.ts';
import type { JsonObject } from '../../json.ts';

/** How an event is told to people. */
interface Telling {
  readonly severity: Severity | ((payload: JsonObject) => Severity);
  readonly state?: (payload: JsonObject) => Notification['state'];
  /** What the trouble is known by; the event's subject when left out. */
  readonly key?: (payload: JsonObject) => string;
  /** Whose words say what happened; the catalogue's meaning when left out. */
  readonly text?: (payload: JsonObject) => string;
  /** Whose title says what it is about; subject and type when left out. */
  readonly title?: (payload: JsonObject) => string;
}

const ranks: Record<Severity, number> = { INFO: 0, WARNING: 1, CRITICAL: 2, EMERGENCY: 3 };

/** Whether `severity` is at least `from`. */
export function isAtLeast(severity: Severity, from: Severity): boolean {
  return ranks[severity] >= ranks[from];
}

const told =
  (field: string) =>
  (payload: JsonObject): string =>
    typeof payload[field] === 'string' ? payload[field] : '';
const severityOf = (payload: JsonObject): Severity => {
  const said = payload['severity'];
  return typeof said === 'string' && Object.hasOwn(ranks, said) ? (said as Severity) : 'WARNING';
};
const resolved = (): Notification['state'] => 'RESOLVED';
const ofAlert = (payload: JsonObject): string => `alert:${told('alertId')(payload)}`;
const ofAnswered = (payload: JsonObject): string =>
  typeof payload['alertId'] === 'string'
    ? ofAlert(payload)
    : `response:${told('decisionId')(payload)}`;
const healthSeverity: Record<string, Severity> = { UNHEALTHY: 'CRITICAL', HEALTHY: 'INFO' };

const tellings: Readonly<Record<string, Telling>> = {
  'alert.triggered': { severity: severityOf, key: ofAlert, text: told('summary') },
  'alert.resolved': { severity: 'INFO', state: resolved, key: ofAlert, text: told('resolution') },
  'alert.notified': {
    severity: severityOf,
    state: (payload) => told('state')(payload) as Notification['state'],
    key: told('groupId'),
    text: told('text'),
    title: told('title'),
  },
  'performance.degraded': { severity: severityOf },
  'response.notified': { severity: severityOf, key: ofAnswered, text: told('text') },
  'response.paged': { severity: severityOf, key: ofAnswered, text: told('text') },
  'monitoring.stalled': { severity: 'CRITICAL', text: told('message') },
  'monitoring.recovered': { severity: 'INFO', state: resolved },
  'pipeline.failed': { severity: 'WARNING', text: told('error') },
  'resource.exhausted': { severity: 'WARNING' },
  'deployment.degraded': { severity: 'WARNING', text: told('reason') },
  'deployment.recovered': { severity: 'INFO', state: resolved, text: told('reason') },
  'deployment.failed': { severity: 'CRITICAL', text: told('error') },
  'deployment.rolling_back': { severity: 'CRITICAL', text: told('reason') },
  'deployment.rolled_back': { severity: 'CRITICAL', text: told('reason') },
  'event.dead-lettered': { severity: 'WARNING', text: told('error') },
  'component.health_changed': {
    severity: (payload) => healthSeverity[told('newStatus')(payload)] ?? 'WARNING',
    state: (payload) => (payload['newStatus'] === 'HEALTHY' ? 'RESOLVED' : 'OPEN'),
    text: told('message'),
  },
  'recovery.manual_required': {
    severity: 'CRITICAL',
    text: (payload) => {
      const steps = Array.isArray(payload['steps']) ? payload['steps'] : [];
      return [told('message')(payload), ...steps.map((step) => `- ${String(step)}`)].join('\n');
    },
  },
  'storage.quota_warning': { severity: 'WARNING' },
  'incident.opened': { severity: severityOf, text: told('title') },
  'notification.failed': { severity: 'WARNING', text: told('error') },
};

/** The types of event that a notifier is told of where its route names none. */
export const toldTypes: readonly string[] = Object.keys(tellings);

/** What people are told of an event; of a type that is not among {@link toldTypes}, as INFO. */
export function notificationOf(event: StoredEvent, id: string): Notification {
  const { type, subject, payload, at, correlationId } = event;
  const telling = Object.hasOwn(tellings, type) ? tellings[type] : undefined;
  const { severity = 'INFO', state, key, text, title } = telling ?? {};
  const meaning = findDefinition(type)?.meaning ?? '';
  // The parts of a message are its content, not one more detail.
  const { message, ...facts } = payload;
  const details = type === 'alert.notified' ? facts : payload;
  return {
    id,
    type,
    key: key?.(payload) ?? subject,
    state: state?.(payload) ?? 'OPEN',
    severity: typeof severity === 'function' ? severity(payload) : severity,
    at,
    title: title?.(payload) ?? `${subject}: ${type.replaceAll(/[._]/g, ' ')}`,
    text: text?.(payload) || meaning,
    details,
    correlationId,
    ...(type === 'alert.notified' ? { supersedes: true, ...contentOf(message) } : {}),
  };
}

function contentOf(message: unknown): Pick<Notification, 'content'> {
  const { facts, items, actions } = (message ?? {}) as Partial<
    NonNullable<Notification['content']>
  >;
  const isWhole = Array.isArray(facts) && Array.isArray(items) && Array.isArray(actions);
  return isWhole ? { content: { facts, items, actions } } : {};
}
