import { z } from 'zod';
import { count, defineEvent, type EventDefinition, figure, text, texts } from './define-event.ts';

/** How bad something is. */
type Severity = 'WARNING' | 'CRITICAL' | 'EMERGENCY';

/** What an alert is about. */
export type AlertKind =
  | 'ERRORS'
  | 'LATENCY'
  | 'TRAFFIC'
  | 'NO_DATA'
  | 'DATA_QUALITY'
  | 'FEATURE_DRIFT'
  | 'PREDICTION_DRIFT'
  | 'CONCEPT_DRIFT'
  | 'LABEL_DRIFT'
  | 'MULTIVARIATE_DRIFT'
  | 'PERFORMANCE'
  | 'BUSINESS'
  | 'DEPLOYMENT'
  | 'MONITORING'
  | 'CUSTOM';

/** In which manner something drifts. */
export type DriftKind = 'SUDDEN' | 'GRADUAL' | 'INCREMENTAL' | 'RECURRING' | 'BLIP';

/** Which alert an event is about, as far as it is known. Optional fields are missing in events of earlier versions. */
export interface OfAlert {
  readonly alertId: string;
  /** The deployment's name. */
  readonly deployment?: string;
  readonly deploymentId?: string;
  /** The rule that found it. */
  readonly rule: string;
  readonly kind?: AlertKind;
  /** Of drift whose manner is known. */
  readonly driftKind?: DriftKind;
  /** The version that it is of, where it is of one. */
  readonly versionId?: string;
  /** The features that carry it; none where it is in no feature. */
  readonly features?: readonly string[];
  /** What the alert carries besides, such as `team` or `segment`. */
  readonly labels?: Readonly<Record<string, string>>;
  /** That of the alert from its beginning on; the event's own may be that of a call. */
  readonly correlationId?: string;
  /** Whether people are told of it by its group, and not by this event. */
  readonly grouped?: boolean;
}

/** A rule has found something wrong. */
export interface AlertTriggered extends OfAlert {
  readonly deployment: string;
  readonly deploymentId: string;
  readonly severity: Severity;
  /** What was found, in words. */
  readonly summary: string;
  /** Up to when data were looked at, in epoch ms. */
  readonly at: number;
  /** Since when it has been so, in epoch ms. */
  readonly since?: number;
  /** The figure that decided. */
  readonly value?: number;
  /** What it was held against. */
  readonly threshold?: number;
}

/** An alert is over. */
export interface AlertResolved extends OfAlert {
  readonly resolution: string;
  /** The last that it had. */
  readonly severity?: Severity;
  readonly at?: number;
}

/** An alert has become graver, or less grave. */
export interface AlertSeverityChanged extends OfAlert {
  readonly severity: Severity;
  readonly formerSeverity: Severity;
  readonly summary: string;
  readonly at: number;
}

/** Somebody looks at an alert. */
export interface AlertAcknowledged extends OfAlert {
  readonly severity: Severity;
  readonly by: string;
  readonly comment?: string;
  /** When it counts as unattended again, in epoch ms. */
  readonly untilAt?: number;
}

/** Nobody looks at an alert any more. */
export interface AlertUnacknowledged extends OfAlert {
  readonly severity: Severity;
  readonly by: string;
  readonly reason: 'EXPIRED' | 'WITHDRAWN' | 'GRAVER';
}

/** Whether the trouble goes on cannot be told: data are missing, or the rule cannot be evaluated. */
export interface AlertSuspended extends OfAlert {
  readonly severity: Severity;
  readonly because: 'NO_DATA' | 'ERROR';
  readonly message: string;
  readonly at: number;
}

/** Whether the trouble goes on can be told again; it does. */
export interface AlertResumed extends OfAlert {
  readonly severity: Severity;
  readonly at: number;
}

/** Nobody has answered: others are told. */
export interface AlertEscalated {
  readonly groupId: string;
  readonly route: string;
  readonly deployment: string;
  readonly deploymentId: string;
  readonly severity: Severity;
  /** 1 for the first step of the chain. */
  readonly level: number;
  readonly receivers: readonly string[];
  readonly alertIds: readonly string[];
}

/** People are told of a group of alerts: what is said, and to whom. The queues of notifiers are filled from it. */
export interface AlertNotified {
  readonly groupId: string;
  readonly route: string;
  readonly deployment: string;
  readonly deploymentId: string;
  /** 1, 2, 3 … of the group. */
  readonly sequence: number;
  readonly reason: 'FIRING' | 'CHANGED' | 'REMINDER' | 'ESCALATION' | 'ACKNOWLEDGED' | 'RESOLVED';
  readonly state: 'OPEN' | 'ACKNOWLEDGED' | 'RESOLVED';
  readonly severity: Severity;
  /** Names of notifiers; all that are told of alerts when left out. */
  readonly receivers?: readonly string[];
  readonly alertIds: readonly string[];
  readonly title: string;
  readonly text: string;
  /** What the message is made of, for each channel to show in its way. */
  readonly message: Readonly<Record<string, unknown>>;
}

/** People shall not be told of some alerts for a while. */
export interface SilenceCreated {
  readonly silenceId: string;
  readonly by: string;
  readonly reason: string;
  /** The labels that it covers, such as `deployment="fraud"`. */
  readonly matchers: readonly string[];
  readonly startsAt: number;
  readonly endsAt: number;
}

/** A silence is over. */
export interface SilenceEnded {
  readonly silenceId: string;
  readonly by: string;
  readonly reason: 'EXPIRED' | 'WITHDRAWN' | 'IDLE';
}

/** Monitoring itself has fallen behind. */
export interface MonitoringStalled {
  readonly job: string;
  readonly lagMs: number;
  /** In words, with what to do. */
  readonly message?: string;
}

/** What had fallen behind works again. */
export interface MonitoringRecovered {
  readonly job: string;
  /** How long it was stalled, in ms. */
  readonly lastedMs: number;
}

/** The events of alerting. */
export interface AlertEventPayloads {
  readonly 'alert.triggered': AlertTriggered;
  readonly 'alert.resolved': AlertResolved;
  readonly 'alert.severity_changed': AlertSeverityChanged;
  readonly 'alert.acknowledged': AlertAcknowledged;
  readonly 'alert.unacknowledged': AlertUnacknowledged;
  readonly 'alert.suspended': AlertSuspended;
  readonly 'alert.resumed': AlertResumed;
  readonly 'alert.escalated': AlertEscalated;
  readonly 'alert.notified': AlertNotified;
  readonly 'silence.created': SilenceCreated;
  readonly 'silence.ended': SilenceEnded;
  readonly 'monitoring.stalled': MonitoringStalled;
  readonly 'monitoring.recovered': MonitoringRecovered;
}

const ofDeployment = { source: 'monitoring', subject: 'deployment:{deployment}' } as const;
const ofSilence = { source: 'monitoring', subject: 'silence:{silenceId}' } as const;
const severity: z.ZodType<Severity> = z.enum(['WARNING', 'CRITICAL', 'EMERGENCY']);
const deployment = 'fraud-api';
const deploymentId = '0198c0de-0000-7000-8000-000000000030';
const alertId = '0198c0de-0000-7000-8000-000000000040';
const groupId = 'group:6a1f9b2c';
const at = 1767225600000;

/** Every {@link AlertKind}. */
export const alertKinds: readonly AlertKind[] = [
  ...(['ERRORS', 'LATENCY', 'TRAFFIC', 'NO_DATA', 'DATA_QUALITY'] as const),
  ...(['FEATURE_DRIFT', 'PREDICTION_DRIFT', 'CONCEPT_DRIFT', 'LABEL_DRIFT'] as const),
  ...(['MULTIVARIATE_DRIFT', 'PERFORMANCE', 'BUSINESS'] as const),
  ...(['DEPLOYMENT', 'MONITORING', 'CUSTOM'] as const),
];

const alertFields = {
  alertId: text,
  deployment: text.optional(),
  deploymentId: text.optional(),
  rule: text,
  kind: z.enum(alertKinds).optional(),
  driftKind: z.enum(['SUDDEN', 'GRADUAL', 'INCREMENTAL', 'RECURRING', 'BLIP']).optional(),
  versionId: text.optional(),
  features: texts.optional(),
  labels: z.record(z.string(), z.string()).optional(),
  correlationId: text.optional(),
  grouped: z.boolean().optional(),
};

const drifted = {
  ...({ alertId, deployment, deploymentId, rule: 'feature-psi' } as const),
  kind: 'FEATURE_DRIFT',
  versionId: '0198c0de-0000-7000-8000-000000000011',
  features: ['age'],
  labels: { team: 'payments' },
  correlationId: '0198c0de-0000-7000-8000-000000000050',
  grouped: true,
} as const;

const groupFields = {
  groupId: text,
  route: text,
  deployment: z.string(),
  deploymentId: z.string(),
  severity,
  alertIds: texts,
};
const group = {
  ...({ groupId, route: 'payments', deployment, deploymentId } as const),
  severity: 'CRITICAL',
  alertIds: [alertId],
} as const;

/** The definitions of the events of alerting. */
export const alertEvents: {
  readonly [T in keyof AlertEventPayloads]: EventDefinition<AlertEventPayloads[T]>;
} = {
  'alert.triggered': defineEvent<AlertTriggered>({
    ...ofDeployment,
    meaning: 'A rule has found something wrong with a deployment.',
    fields: {
      ...alertFields,
      deployment: text,
      deploymentId: text,
      severity,
      summary: z.string(),
      at: figure,
      since: figure.optional(),
      value: figure.optional(),
      threshold: figure.optional(),
    },
    example: {
      ...drifted,
      severity: 'CRITICAL',
      summary: 'PSI of age 0.43, above 0.4',
      ...{ at, since: at - 60_000, value: 0.43, threshold: 0.4 },
    },
  }),
  'alert.resolved': defineEvent<AlertResolved>({
    ...ofDeployment,
    meaning: 'An alert is over.',
    fields: {
      ...alertFields,
      resolution: z.string(),
      severity: severity.optional(),
      at: figure.optional(),
    },
    example: { ...drifted, resolution: 'PSI of age 0.08, below 0.15', severity: 'CRITICAL', at },
  }),
  'alert.severity_changed': defineEvent<AlertSeverityChanged>({
    ...ofDeployment,
    meaning: 'An alert has become graver, or less grave.',
    fields: { ...alertFields, severity, formerSeverity: severity, summary: z.string(), at: figure },
    example: {
      ...drifted,
      ...({ severity: 'CRITICAL', formerSeverity: 'WARNING' } as const),
      at,
      summary: 'PSI of age 0.43, above 0.4',
    },
  }),
  'alert.acknowledged': defineEvent<AlertAcknowledged>({
    ...ofDeployment,
    meaning: 'Somebody looks at an alert: escalation and reminders rest.',
    fields: {
      ...alertFields,
      ...{ severity, by: text, comment: z.string().optional(), untilAt: figure.optional() },
    },
    example: { ...drifted, severity: 'CRITICAL', by: 'user:ana', comment: 'on it', untilAt: at },
  }),
  'alert.unacknowledged': defineEvent<AlertUnacknowledged>({
    ...ofDeployment,
    meaning: 'Nobody looks at an alert any more: escalation and reminders go on.',
    fields: {
      ...alertFields,
      ...{ severity, by: text, reason: z.enum(['EXPIRED', 'WITHDRAWN', 'GRAVER']) },
    },
    example: { ...drifted, severity: 'CRITICAL', by: 'user:ana', reason: 'EXPIRED' },
  }),
  'alert.suspended': defineEvent<AlertSuspended>({
    ...ofDeployment,
    meaning: 'Whether the trouble goes on cannot be told; the alert stays open.',
    fields: {
      ...alertFields,
      ...{ severity, because: z.enum(['NO_DATA', 'ERROR']), message: z.string(), at: figure },
    },
    example: { ...drifted, severity: 'CRITICAL', because: 'NO_DATA', message: 'no requests', at },
  }),
  'alert.resumed': defineEvent<AlertResumed>({
    ...ofDeployment,
    meaning: 'Whether the trouble goes on can be told again; it does.',
    fields: { ...alertFields, severity, at: figure },
    example: { ...drifted, severity: 'CRITICAL', at },
  }),
  'alert.escalated': defineEvent<AlertEscalated>({
    ...ofDeployment,
    meaning: 'Nobody has answered a group of alerts: others are told.',
    fields: { ...groupFields, level: count, receivers: texts },
    example: { ...group, level: 1, receivers: ['pagerduty'] },
  }),
  'alert.notified': defineEvent<AlertNotified>({
    ...ofDeployment,
    meaning: 'People are told of a group of alerts: what is said, and to whom.',
    fields: {
      ...groupFields,
      sequence: count,
      reason: z.enum([
        ...(['FIRING', 'CHANGED', 'REMINDER', 'ESCALATION', 'ACKNOWLEDGED', 'RESOLVED'] as const),
      ]),
      state: z.enum(['OPEN', 'ACKNOWLEDGED', 'RESOLVED']),
      receivers: texts.optional(),
      title: z.string(),
      text: z.string(),
      message: z.record(z.string(), z.unknown()),
    },
    example: {
      ...group,
      ...({ sequence: 1, reason: 'FIRING', state: 'OPEN' } as const),
      receivers: ['slack'],
      ...{ title: 'fraud-api: data drift (age)', text: 'PSI of age 0.43, above 0.4' },
      message: { what: 'data drift' },
    },
  }),
  'silence.created': defineEvent<SilenceCreated>({
    ...ofSilence,
    meaning: 'People shall not be told of some alerts for a while.',
    fields: {
      ...{ silenceId: text, by: text, reason: z.string(), matchers: texts },
      ...{ startsAt: figure, endsAt: figure },
    },
    example: {
      ...{ silenceId: '0198c0de-0000-7000-8000-000000000060', by: 'user:ana', reason: 'upgrade' },
      ...{ matchers: ['deployment="fraud-api"'], startsAt: at, endsAt: at + 3_600_000 },
    },
  }),
  'silence.ended': defineEvent<SilenceEnded>({
    ...ofSilence,
    meaning: 'A silence is over.',
    fields: { silenceId: text, by: text, reason: z.enum(['EXPIRED', 'WITHDRAWN', 'IDLE']) },
    example: {
      ...{ silenceId: '0198c0de-0000-7000-8000-000000000060', by: 'user:ana' },
      reason: 'WITHDRAWN',
    },
  }),
  'monitoring.stalled': defineEvent<MonitoringStalled>({
    source: 'monitoring',
    subject: 'monitoring:{job}',
    meaning: 'Monitoring itself has fallen behind.',
    fields: { job: text, lagMs: count, message: z.string().optional() },
    example: { job: 'drift', lagMs: 7_200_000, message: 'No analysis for two hours.' },
  }),
  'monitoring.recovered': defineEvent<MonitoringRecovered>({
    source: 'monitoring',
    subject: 'monitoring:{job}',
    meaning: 'What had fallen behind in monitoring works again.',
    fields: { job: text, lastedMs: count },
    example: { job: 'drift', lastedMs: 7_200_000 },
  }),
};
