import { z } from 'zod';
import { count, defineEvent, type EventDefinition, figure, text } from './define-event.ts';

/** How well something is. */
type Status = 'HEALTHY' | 'DEGRADED' | 'UNHEALTHY' | 'UNKNOWN';

/** A subscription has given an event up. */
export interface EventDeadLettered {
  readonly subscription: string;
  readonly eventId: string;
  /** What the handler said last. */
  readonly error: string;
}

/** Somebody wants a subscription to be handed events again. */
export interface EventReplayRequested {
  readonly subscription: string;
}

/** A component is better or worse than before. */
export interface ComponentHealthChanged {
  readonly component: string;
  readonly oldStatus: Status;
  readonly newStatus: Status;
  readonly message: string;
  /** The check that tells, where it is one. */
  readonly check?: string;
}

/** An attempt to mend a fault has ended. */
export interface RecoveryCompleted {
  readonly recoveryId: string;
  readonly recovery: string;
  /** The check that stood at the fault. */
  readonly check: string;
  readonly attempt: number;
  readonly outcome: 'SUCCESS' | 'PARTIAL' | 'FAILED' | 'MANUAL_REQUIRED';
  readonly message: string;
  readonly durationMs: number;
}

/** A fault is not mended by itself: a person must act. */
export interface RecoveryManualRequired {
  readonly component: string;
  readonly check: string;
  readonly message: string;
  /** What to do, in order. */
  readonly steps: readonly string[];
}

/** A quota is nearly used up. */
export interface StorageQuotaWarning {
  /** What is limited: `storage`, `runs`, `compute` or `requests`. */
  readonly resource: string;
  /** Bytes, runs, milliseconds or requests. */
  readonly used: number;
  readonly limit: number;
  /** When it will be full at the present pace, in epoch ms; missing where nothing grows. */
  readonly fullAt?: number;
}

/** Something has gone wrong that people should look at. */
export interface IncidentOpened {
  readonly incidentId: string;
  readonly severity: 'INFO' | 'WARNING' | 'CRITICAL' | 'EMERGENCY';
  readonly title: string;
  /** What it concerns, such as `model:fraud`. */
  readonly concerns?: string;
}

/** An incident is over. */
export interface IncidentResolved {
  readonly incidentId: string;
  readonly title: string;
  /** How that was verified, in the words of whoever did it. */
  readonly verification: string;
  /** How the platform stood then. */
  readonly health: string;
}

/** An incident was reviewed. */
export interface IncidentReviewed {
  readonly incidentId: string;
  readonly title: string;
  /** What was learned. */
  readonly outcome: string;
}

/** A notification could not be delivered, and was given up. */
export interface NotificationFailed {
  readonly notifier: string;
  readonly deliveryId: string;
  /** The event that it tells of. */
  readonly eventId: string;
  readonly attempts: number;
  /** What went wrong last. */
  readonly error: string;
}

/** An extension runs. */
export interface ExtensionReady {
  readonly name: string;
  readonly version?: string;
}

/** A saga is wholly done. */
export interface SagaCompleted {
  readonly sagaId: string;
  readonly name: string;
  readonly durationMs: number;
}

/** A saga is wholly undone. */
export interface SagaCompensated {
  readonly sagaId: string;
  readonly name: string;
  /** Why it turned back. */
  readonly error: string;
}

/** A compensation failed for good: a person must act. */
export interface SagaStuck {
  readonly sagaId: string;
  readonly name: string;
  readonly step: string;
  readonly error: string;
}

/** A change was put into the audit trail that no other event tells of. */
export interface AuditRecorded {
  /** Whose chain, such as `model:fraud`. */
  readonly subject: string;
  /** Of the entry. */
  readonly sequence: number;
  /** What was done to which kind of record. */
  readonly action: string;
}

/** Somebody has content erased for good. */
export interface AuditErased {
  readonly erasureId: string;
  readonly reason: string;
  /** How many of each were to go. */
  readonly events: number;
  readonly tags: number;
  readonly predictions: number;
}

/** The events of the platform itself. */
export interface OperationsEventPayloads {
  readonly 'event.dead-lettered': EventDeadLettered;
  readonly 'event.replay-requested': EventReplayRequested;
  readonly 'component.health_changed': ComponentHealthChanged;
  readonly 'recovery.completed': RecoveryCompleted;
  readonly 'recovery.manual_required': RecoveryManualRequired;
  readonly 'storage.quota_warning': StorageQuotaWarning;
  readonly 'incident.opened': IncidentOpened;
  readonly 'incident.resolved': IncidentResolved;
  readonly 'incident.reviewed': IncidentReviewed;
  readonly 'notification.failed': NotificationFailed;
  readonly 'extension.ready': ExtensionReady;
  readonly 'saga.completed': SagaCompleted;
  readonly 'saga.compensated': SagaCompensated;
  readonly 'saga.stuck': SagaStuck;
  readonly 'audit.recorded': AuditRecorded;
  readonly 'audit.erased': AuditErased;
}

const sagaId = '0198c0de-0000-7000-8000-000000000080';
const ofSaga = { source: 'operations', subject: 'saga:{sagaId}' };
const status: z.ZodType<Status> = z.enum(['HEALTHY', 'DEGRADED', 'UNHEALTHY', 'UNKNOWN']);

/** The definitions of the events of the platform itself. */
export const operationsEvents: {
  readonly [T in keyof OperationsEventPayloads]: EventDefinition<OperationsEventPayloads[T]>;
} = {
  'event.dead-lettered': defineEvent<EventDeadLettered>({
    source: 'events',
    subject: 'subscription:{subscription}',
    meaning: 'A subscription has given an event up.',
    fields: { subscription: text, eventId: text, error: z.string() },
    example: {
      subscription: 'mail-owners',
      eventId: '0198c0de-0000-7000-8000-000000000050',
      error: 'the mail server does not answer',
    },
  }),
  'event.replay-requested': defineEvent<EventReplayRequested>({
    source: 'events',
    subject: 'subscription:{subscription}',
    meaning:
      'Somebody wants a subscription to be handed events again, or has dropped dead letters.',
    fields: { subscription: text },
    example: { subscription: 'mail-owners' },
  }),
  'component.health_changed': defineEvent<ComponentHealthChanged>({
    source: 'operations',
    subject: 'component:{component}',
    meaning: 'A component is better or worse than before.',
    fields: {
      component: text,
      oldStatus: status,
      newStatus: status,
      message: z.string(),
      check: text.optional(),
    },
    example: {
      component: 'artifacts',
      oldStatus: 'HEALTHY',
      newStatus: 'DEGRADED',
      message: 'a write took 4.1 s',
      check: 'artifact write–read–delete',
    },
  }),
  'recovery.completed': defineEvent<RecoveryCompleted>({
    source: 'operations',
    subject: 'recovery:{recoveryId}',
    meaning: 'An attempt to mend a fault has ended.',
    fields: {
      recoveryId: text,
      recovery: text,
      check: text,
      attempt: count,
      outcome: z.enum(['SUCCESS', 'PARTIAL', 'FAILED', 'MANUAL_REQUIRED']),
      message: z.string(),
      durationMs: count,
    },
    example: {
      recoveryId: '0198c0de-0000-7000-8000-000000000090',
      recovery: 'collect storage',
      check: 'disk',
      attempt: 1,
      outcome: 'SUCCESS',
      message: '41 contents went, 12884901888 bytes were freed',
      durationMs: 5200,
    },
  }),
  'recovery.manual_required': defineEvent<RecoveryManualRequired>({
    source: 'operations',
    subject: 'component:{component}',
    meaning: 'A fault is not mended by itself: a person must act.',
    fields: { component: text, check: text, message: z.string(), steps: z.array(z.string()) },
    example: {
      component: 'machine',
      check: 'disk',
      message: 'Only 900 MiB (4 %) are free, and there is nothing to collect',
      steps: ['Enlarge the disk.'],
    },
  }),
  'storage.quota_warning': defineEvent<StorageQuotaWarning>({
    source: 'operations',
    subject: 'quota:{resource}',
    meaning: 'A quota is nearly used up.',
    fields: { resource: text, used: count, limit: count, fullAt: figure.optional() },
    example: {
      resource: 'storage',
      used: 85_899_345_920,
      limit: 107_374_182_400,
      fullAt: 1767225600000,
    },
  }),
  'incident.opened': defineEvent<IncidentOpened>({
    source: 'operations',
    subject: 'incident:{incidentId}',
    meaning: 'Something has gone wrong that people should look at.',
    fields: {
      incidentId: text,
      severity: z.enum(['INFO', 'WARNING', 'CRITICAL', 'EMERGENCY']),
      title: text,
      concerns: text.optional(),
    },
    example: {
      incidentId: '0198c0de-0000-7000-8000-000000000060',
      severity: 'CRITICAL',
      title: 'fraud-api was rolled back by its gates',
      concerns: 'deployment:fraud-api',
    },
  }),
  'incident.resolved': defineEvent<IncidentResolved>({
    source: 'operations',
    subject: 'incident:{incidentId}',
    meaning: 'An incident is over.',
    fields: { incidentId: text, title: text, verification: text, health: text },
    example: {
      incidentId: '0198c0de-0000-7000-8000-000000000060',
      title: 'fraud-api was rolled back by its gates',
      verification: 'errors are at 0.1 % for an hour',
      health: 'HEALTHY',
    },
  }),
  'incident.reviewed': defineEvent<IncidentReviewed>({
    source: 'operations',
    subject: 'incident:{incidentId}',
    meaning: 'An incident was reviewed.',
    fields: { incidentId: text, title: text, outcome: text },
    example: {
      incidentId: '0198c0de-0000-7000-8000-000000000060',
      title: 'fraud-api was rolled back by its gates',
      outcome: 'the schema of the feed had changed; it is checked now',
    },
  }),
  'notification.failed': defineEvent<NotificationFailed>({
    source: 'operations',
    subject: 'notifier:{notifier}',
    meaning: 'A notification could not be delivered, and was given up.',
    fields: { notifier: text, deliveryId: text, eventId: text, attempts: count, error: z.string() },
    example: {
      notifier: 'slack',
      deliveryId: 'delivery:slack:0198c0de-0000-7000-8000-000000000050',
      eventId: '0198c0de-0000-7000-8000-000000000050',
      attempts: 9,
      error: 'hooks.slack.com answered 400: invalid_blocks.',
    },
  }),
  'extension.ready': defineEvent<ExtensionReady>({
    source: 'operations',
    subject: 'extension:{name}',
    meaning: 'An extension runs.',
    reserved: true,
    fields: { name: text, version: text.optional() },
    example: { name: 'acme-billing', version: '1.0.0' },
  }),
  'saga.completed': defineEvent<SagaCompleted>({
    ...ofSaga,
    meaning: 'A saga is wholly done.',
    fields: { sagaId: text, name: text, durationMs: count },
    example: { sagaId, name: 'promotion', durationMs: 1250 },
  }),
  'saga.compensated': defineEvent<SagaCompensated>({
    ...ofSaga,
    meaning: 'A saga has turned back and is wholly undone.',
    fields: { sagaId: text, name: text, error: z.string() },
    example: { sagaId, name: 'promotion', error: 'the route cannot be reached' },
  }),
  'saga.stuck': defineEvent<SagaStuck>({
    ...ofSaga,
    meaning: 'A compensation of a saga failed for good: a person must act, and retry it.',
    fields: { sagaId: text, name: text, step: text, error: z.string() },
    example: { sagaId, name: 'promotion', step: 'shift traffic', error: 'no permission' },
  }),
  'audit.recorded': defineEvent<AuditRecorded>({
    source: 'operations',
    subject: 'audit:{subject}',
    meaning: 'A change was put into the audit trail that no other event tells of.',
    fields: { subject: text, sequence: count, action: text },
    example: { subject: 'model:fraud', sequence: 7, action: 'model changed' },
  }),
  'audit.erased': defineEvent<AuditErased>({
    source: 'operations',
    subject: 'erasure:{erasureId}',
    meaning: 'Somebody has content erased for good.',
    fields: { erasureId: text, reason: text, events: count, tags: count, predictions: count },
    example: {
      erasureId: '0198c0de-0000-7000-8000-0000000000a0',
      reason: 'asked for by the customer',
      events: 2,
      tags: 1,
      predictions: 14,
    },
  }),
};
