import type { StoredEvent } from '../../contracts/event.ts';
import type {
  NotificationAction,
  NotificationContent,
  NotificationFact,
  NotificationItem,
} from '../../contracts/notification-content.ts';
import type { AlertSeverity } from '../rule.ts';
import { type Alert, topicOf } from './alert.ts';
import type { RecommendedAction } from './alert-rule.ts';
import type { Member, Send } from './group-plan.ts';
import { duration } from './judge-rule.ts';
import { rankOf } from './levels.ts';

/** What a message is made of. */
export interface MessageParts {
  readonly send: Send;
  readonly now: number;
  /** What rules advise, by alert id. */
  readonly advice: ReadonlyMap<string, readonly RecommendedAction[]>;
  /** What last changed before it began: a rollout, a baseline, traffic. */
  readonly lastChange?: StoredEvent;
  /** What was done about it by itself. */
  readonly done: readonly StoredEvent[];
  /** Where an alert can be looked at, with `{alertId}` and `{deployment}` in it. */
  readonly url?: string;
}

/** A message in words and in parts. */
export interface AlertMessage {
  readonly title: string;
  readonly text: string;
  readonly content: NotificationContent;
}

const maxItems = 20;
const maxFeatures = 5;

/** What people are told of a group of alerts. Pure: the same parts give the same message. */
export function alertMessage(parts: MessageParts): AlertMessage {
  const { send, now } = parts;
  const members = send.members.toSorted(byWeight);
  const [first] = members;
  if (first === undefined)
    return { title: '', text: '', content: { facts: [], items: [], actions: [] } };
  const { alert } = first;
  const features = topFeatures(members.map((member) => member.alert));
  const title = titleOf(send, alert, features, members.length);
  const since = Math.min(...members.map((member) => member.alert.firstAt));
  const versions = [...new Set(members.flatMap((member) => member.alert.versionId ?? []))];
  const segments = [
    ...new Set(members.flatMap((member) => member.alert.labels?.['segment'] ?? [])),
  ];
  const { lastChange, done } = parts;
  const fact = (name: string, value: string | undefined): readonly NotificationFact[] =>
    value === undefined || value === '' ? [] : [{ name, value }];
  const by = alert.acknowledged;
  const facts = [
    ...fact('Deployment', alert.deployment),
    ...fact('Since', `${timeText(since)} (${duration(now - since)} ago)`),
    ...fact('Severity', send.severity),
    ...fact('Version', versions.join(', ')),
    ...fact('Features', features.join(', ')),
    ...fact('Segments', segments.join(', ')),
    ...fact(
      'Acknowledged by',
      send.state === 'ACKNOWLEDGED'
        ? by && `${by.by}${by.comment === undefined ? '' : `: ${by.comment}`}`
        : undefined,
    ),
    ...fact(
      'Last change before it',
      lastChange && `${eventText(lastChange)}, ${duration(since - lastChange.at)} before`,
    ),
    ...fact('Done already', done.map(eventText).join('; ')),
    ...fact('Correlation', alert.correlationId),
  ];
  const items = members.slice(0, maxItems).map(({ alert: each }) => itemOf(each));
  const more = members.length - items.length;
  const text = [
    ...items.slice(0, 3).map(({ title: what, text: how }) => `${what}: ${how}`),
    ...(members.length > 3 ? [`and ${members.length - 3} more`] : []),
  ].join('\n');
  return {
    title,
    text,
    content: {
      facts,
      items:
        more > 0
          ? [...items, { title: `${more} more`, text: 'monitoring.listAlerts has them' }]
          : items,
      actions: actionsOf(parts, members),
    },
  };
}

/** `fraud: data drift (age, income)`, `CRITICAL` being told by the channel. */
function titleOf(
  { reason, level }: Send,
  alert: Alert,
  features: readonly string[],
  count: number,
): string {
  const topic = topicOf(alert);
  const which =
    features.length > 0
      ? ` (${features.join(', ')})`
      : count > 1
        ? ` (${count} alerts)`
        : topic === alert.rule
          ? ''
          : ` (${alert.rule})`;
  const prefix = {
    ...{ FIRING: '', CHANGED: '', RESOLVED: '', ACKNOWLEDGED: '' },
    REMINDER: 'Still: ',
    ESCALATION: `Unanswered, step ${level ?? 1}: `,
  }[reason];
  return `${prefix}${alert.deployment}: ${topic}${which}`;
}

function itemOf(alert: Alert): NotificationItem {
  const { summary, resolution, state, severity, evidence } = alert;
  const segment = alert.labels?.['segment'];
  const where = segment === undefined ? '' : ` in ${segment}`;
  const unseen =
    alert.blind === undefined
      ? ''
      : ` (${alert.blind.because === 'NO_DATA' ? 'no data' : 'not evaluable'} since ${timeText(alert.blind.since)})`;
  if (state === 'RESOLVED') {
    return { title: `${alert.rule}${where}: over`, text: resolution ?? summary };
  }
  return {
    title: `${alert.rule}${where} ${severity}`,
    text: `${summary}${beyondNoise(evidence)}${unseen}`,
  };
}

/** How far it is beyond what chance, or its own noise, may bring. */
function beyondNoise(evidence: Alert['evidence']): string {
  const number = (name: string): number | undefined => {
    const found = evidence[name];
    return typeof found === 'number' && Number.isFinite(found) ? found : undefined;
  };
  const [value, chance, noise, threshold] = ['value', 'chance', 'noise', 'threshold'].map(number);
  if (value === undefined) return '';
  if (chance !== undefined && chance > 0) {
    return `; ${times(Math.abs(value) / chance)} what chance may bring with so many`;
  }
  if (noise === undefined || noise <= 0 || threshold === undefined) return '';
  return `; ${times(Math.abs(value - threshold) / noise)} its own noise beyond`;
}

function times(ratio: number): string {
  return `${Number(ratio.toPrecision(2))} times`;
}

/** The features that carry most, by how far each is beyond its threshold. */
function topFeatures(alerts: readonly Alert[]): readonly string[] {
  const weights = new Map<string, number>();
  for (const { features = [], evidence } of alerts) {
    const { value, threshold } = evidence as {
      readonly value?: unknown;
      readonly threshold?: unknown;
    };
    const isKnown = typeof value === 'number' && typeof threshold === 'number' && threshold !== 0;
    const excess = isKnown ? Math.abs(value / threshold) : 1;
    for (const [place, feature] of features.entries()) {
      const weight = excess / (place + 1);
      weights.set(feature, Math.max(weights.get(feature) ?? 0, weight));
    }
  }
  const sorted = [...weights].sort(([a, m], [b, n]) => n - m || (a < b ? -1 : 1));
  return sorted.slice(0, maxFeatures).map(([feature]) => feature);
}

/** Of firing before over, grave before less grave, far beyond before near. */
function byWeight(a: Member, b: Member): number {
  const weight = ({ alert }: Member): number =>
    (alert.state === 'FIRING' ? 10 : 0) + rankOf(alert.severity);
  return (
    weight(b) - weight(a) ||
    excessOf(b.alert) - excessOf(a.alert) ||
    (a.alert.id < b.alert.id ? -1 : 1)
  );
}

function excessOf({ evidence }: Alert): number {
  const { value, threshold } = evidence as {
    readonly value?: unknown;
    readonly threshold?: unknown;
  };
  return typeof value === 'number' && typeof threshold === 'number' && threshold !== 0
    ? Math.abs(value / threshold)
    : 0;
}

function actionsOf(
  { send, advice, url }: MessageParts,
  members: readonly Member[],
): readonly NotificationAction[] {
  const [first] = members;
  if (first === undefined || send.state === 'RESOLVED') return [];
  const { alert } = first;
  const own = members.flatMap((member) => advice.get(member.alert.id) ?? []);
  const link = url
    ?.replaceAll('{alertId}', encodeURIComponent(alert.id))
    .replaceAll('{deployment}', encodeURIComponent(alert.deployment));
  const acknowledge: NotificationAction[] =
    send.state === 'OPEN'
      ? [
          {
            title: 'Acknowledge',
            command: `monitoring.acknowledge('${alert.id}', { comment: '…' })`,
          },
        ]
      : [];
  const all = [
    ...(link === undefined ? [] : [{ title: 'Open', url: link }]),
    ...acknowledge,
    ...own,
    ...advised(alert),
  ];
  return all
    .filter((each, i) => all.findIndex(({ title }) => title === each.title) === i)
    .slice(0, 8);
}

/** What usually helps, by what the alert is about. */
function advised({ kind, deployment, deploymentId, rule }: Alert): readonly NotificationAction[] {
  const rollback = {
    title: 'Go back to the version before',
    command: `deployments.rollback('${deployment}', { reason: '${rule}' })`,
  };
  switch (kind) {
    case 'ERRORS':
    case 'LATENCY':
      return [
        { title: 'See latency and errors', command: `monitoring.recentMetrics('${deploymentId}')` },
        rollback,
      ];
    case 'FEATURE_DRIFT':
    case 'PREDICTION_DRIFT':
    case 'MULTIVARIATE_DRIFT':
    case 'DATA_QUALITY':
      return [
        { title: 'See the drift', command: `monitoring.drift('${deploymentId}', { from, to })` },
        {
          title: 'Take what comes now as the baseline',
          command: `monitoring.updateBaseline('${deployment}', { from, to, reason })`,
        },
      ];
    case 'CONCEPT_DRIFT':
    case 'LABEL_DRIFT':
    case 'PERFORMANCE':
      return [
        {
          title: 'See how right it is',
          command: `monitoring.performance('${deploymentId}', { from, to })`,
        },
        rollback,
      ];
    case 'NO_DATA':
      return [{ title: 'See the deployment', command: `deployments.get('${deployment}')` }];
    default:
      return [];
  }
}

/** An event in words: `deployment rolled back: too many errors`. */
function eventText({ type, payload }: StoredEvent): string {
  const why =
    payload['reason'] ?? payload['decision'] ?? payload['version'] ?? payload['versionId'];
  return `${type.replaceAll(/[._]/g, ' ')}${typeof why === 'string' ? `: ${why}` : ''}`;
}

function timeText(at: number): string {
  return `${new Date(at).toISOString().slice(0, 16).replace('T', ' ')} UTC`;
}

/** What a group of drift alerts is told as: graver by a level where the model has become worse too. */
export function correlatedSeverity(
  severity: AlertSeverity,
  topic: string,
  others: readonly Alert[],
): AlertSeverity {
  if (topic !== 'data drift' || severity !== 'WARNING') return severity;
  const isWorse = others.some(
    (other) => other.state === 'FIRING' && topicOf(other) === 'model performance',
  );
  return isWorse ? 'CRITICAL' : severity;
}
