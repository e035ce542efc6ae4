import type { StoredRecord } from '../../contracts/record.ts';
import type { AlertKind, DriftKind } from '../../events/catalogue/alert-events.ts';
import type { JsonObject } from '../../json.ts';
import type { AlertSeverity } from '../rule.ts';
import type { RecommendedAction } from './alert-rule.ts';
import type { AlertSchedule } from './alert-schedule.ts';
import type { Acknowledgement, AlertState } from './alert-state.ts';
import type { ByLevel } from './levels.ts';
import type { Labels } from './matchers.ts';

/** Something that went wrong, once for as long as it is open. */
export interface Alert {
  readonly id: string;
  readonly deploymentId: string;
  readonly deployment: string;
  readonly rule: string;
  /** The same for the same trouble. */
  readonly fingerprint: string;
  readonly severity: AlertSeverity;
  /** PENDING: it must hold for longer before people are told. */
  readonly state: 'PENDING' | 'FIRING' | 'RESOLVED';
  /** Who looks at it, where somebody does: escalation and reminders rest. */
  readonly acknowledged?: Acknowledgement;
  /** Why it cannot be told whether it goes on, where that is so. */
  readonly blind?: { readonly because: 'NO_DATA' | 'ERROR'; readonly since: number };
  readonly firstAt: number;
  readonly lastAt: number;
  /** What, in words. */
  readonly summary: string;
  /** The verdict in full. */
  readonly evidence: JsonObject;
  readonly eventId: string;
  readonly correlationId: string;
  readonly resolution?: string;
  readonly kind?: AlertKind;
  readonly driftKind?: DriftKind;
  readonly versionId?: string;
  readonly features?: readonly string[];
  readonly labels?: Labels;
  readonly revision: number;
}

/** What an alert's record holds beside its columns. */
export interface AlertBody
  extends Pick<
    Alert,
    | 'deployment'
    | 'summary'
    | 'evidence'
    | 'eventId'
    | 'correlationId'
    | 'resolution'
    | 'kind'
    | 'driftKind'
    | 'versionId'
    | 'features'
    | 'labels'
  > {
  /** Of alerts of alert rules. */
  readonly condition?: AlertState;
  /** Of others, whose state is in the columns alone. */
  readonly acknowledged?: Acknowledgement;
  /** Whether people are told of it with others of its group. */
  readonly grouped?: boolean;
  /** Names of the routes that its rule asks for. */
  readonly routes?: readonly string[];
  /** When people are told of it, as its rule says. */
  readonly schedule?: AlertSchedule | ByLevel<AlertSchedule>;
  /** What its rule advises. */
  readonly actions?: readonly RecommendedAction[];
}

/** An alert out of its record. */
export function alertFromRecord(record: StoredRecord): Alert {
  const c = record.columns;
  const body = record.body as unknown as AlertBody;
  const { condition, grouped: _, routes: __, schedule: ___, actions: ____, ...said } = body;
  return {
    ...said,
    ...(condition?.acknowledged === undefined ? {} : { acknowledged: condition.acknowledged }),
    ...(condition?.blind === undefined ? {} : { blind: condition.blind }),
    id: record.id,
    deploymentId: c['deploymentId'] as string,
    rule: c['rule'] as string,
    fingerprint: c['fingerprint'] as string,
    severity: c['severity'] as AlertSeverity,
    state: c['state'] as Alert['state'],
    firstAt: c['firstAt'] as number,
    lastAt: c['lastAt'] as number,
    revision: record.revision,
  };
}

/** What goes wrong together: alerts of one topic and deployment are told as one. */
export function topicOf({ kind, rule }: Pick<Alert, 'kind' | 'rule'>): string {
  switch (kind) {
    case 'FEATURE_DRIFT':
    case 'PREDICTION_DRIFT':
    case 'MULTIVARIATE_DRIFT':
      return 'data drift';
    case 'CONCEPT_DRIFT':
    case 'LABEL_DRIFT':
    case 'PERFORMANCE':
      return 'model performance';
    case 'ERRORS':
    case 'LATENCY':
    case 'TRAFFIC':
    case 'NO_DATA':
      return 'service';
    case 'DATA_QUALITY':
      return 'data quality';
    case 'BUSINESS':
      return 'business';
    case 'DEPLOYMENT':
      return 'deployment';
    case 'MONITORING':
      return 'monitoring';
    default:
      return rule;
  }
}

/** The labels by which an alert is matched: its own, and those that every alert has. */
export function labelsOf(alert: Alert): Labels {
  return {
    ...alert.labels,
    deployment: alert.deployment,
    rule: alert.rule,
    kind: alert.kind ?? 'CUSTOM',
    severity: alert.severity,
    topic: topicOf(alert),
    ...(alert.versionId === undefined ? {} : { version: alert.versionId }),
  };
}
