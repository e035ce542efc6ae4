import type { Change } from '../../contracts/metadata-store.ts';
import type { Notification } from '../../contracts/ports.ts';
import type { Predicate } from '../../contracts/query.ts';
import type { StoredRecord } from '../../contracts/record.ts';
import type { Scope } from '../../contracts/scope.ts';
import { isKeelsonError } from '../../errors.ts';
import { withCorrelation } from '../../events/correlation.ts';
import { asJson, canonicalJson, type JsonObject } from '../../json.ts';
import { commitChanges } from '../../operations/decide-and-commit.ts';
import { everyRecord } from '../../operations/every-record.ts';
import { type Alert, type AlertBody, alertFromRecord, labelsOf, topicOf } from './alert.ts';
import { alertMessage, correlatedSeverity } from './alert-message.ts';
import { groupIdOf, routesOf } from './alert-routing.ts';
import { isWithin, nextWithin, scheduleAt } from './alert-schedule.ts';
import type { AlertRoute, Inhibition, Settings } from './alert-settings.ts';
import { alertEvent } from './alert-steps.ts';
import {
  type GroupState,
  type Member,
  newGroup,
  type Plan,
  planGroup,
  type Send,
} from './group-plan.ts';
import { matches } from './matchers.ts';
import { createMessageContext } from './message-context.ts';
import { silences as isSilenced, type Silence, type SilenceStore } from './silences.ts';

/** What happens to an alert next, and why people are not told of it now. */
export interface AlertOutlook {
  readonly groupId: string;
  readonly route: string;
  /** Names of notifiers; all that are told of alerts where it is left out. */
  readonly receivers?: readonly string[];
  /** When the next message goes out, where nothing changes; missing where none will. */
  readonly nextAt?: number;
  /** What it will be. */
  readonly next?: Send['reason'];
  /** Why none goes out now, in words. */
  readonly because: readonly string[];
}

/** Tells people of alerts, in groups. */
export interface Dispatcher {
  /** Sends what is due, computed from the alerts, silences and routes as they are; answers when the next is. */
  dispatch(now: number, signal: AbortSignal): Promise<number | undefined>;
  /** One for each route that the alert goes to. */
  explain(alertId: string, now: number): Promise<readonly AlertOutlook[]>;
  /** Whether there is anything to tell. */
  hasWork(): Promise<boolean>;
  /** Whether a message that has waited is still to be sent: not where somebody looks at all of it, or it is over. */
  isStillWanted(notification: Pick<Notification, 'type' | 'state' | 'details'>): Promise<boolean>;
}

interface Group {
  readonly id: string;
  readonly route: AlertRoute;
  readonly record: StoredRecord | undefined;
  readonly state: GroupState;
  readonly members: readonly Member[];
}

interface World {
  readonly bodies: ReadonlyMap<string, AlertBody>;
  readonly alerts: readonly Alert[];
  readonly silences: readonly Silence[];
  readonly inhibitions: readonly Inhibition[];
}

/** {@link Dispatcher} of a scope. */
export function createDispatcher(
  scope: Scope,
  parts: {
    readonly routes: Settings<AlertRoute>;
    readonly inhibitions: Settings<Inhibition>;
    readonly silences: SilenceStore;
    /** Where an alert can be looked at. */
    readonly url?: string;
  },
): Dispatcher {
  const { metadata, workspace } = scope;
  const { lastChangeBefore, doneAbout } = createMessageContext(scope);

  async function look(): Promise<World> {
    const bodies = new Map<string, AlertBody>();
    const alerts: Alert[] = [];
    const open: Predicate = { op: 'present', left: { from: 'column', name: 'openKey' } };
    for await (const record of everyRecord(scope, 'alert', { where: open })) {
      const body = record.body as unknown as AlertBody;
      if (record.columns['state'] !== 'FIRING' || body.grouped !== true) continue;
      bodies.set(record.id, body);
      alerts.push(alertFromRecord(record));
    }
    const [silences, inhibitions] = await Promise.all([
      parts.silences.list(),
      parts.inhibitions.list(),
    ]);
    return { bodies, alerts, silences, inhibitions };
  }

  /** All groups: those that have something to tell, and those that have told something. */
  async function groupsOf(world: World, now: number): Promise<readonly Group[]> {
    const routes = await parts.routes.list();
    const wanted = new Map<string, { route: AlertRoute; alerts: Alert[] }>();
    for (const alert of world.alerts) {
      for (const route of routesOf(alert, routes, world.bodies.get(alert.id)?.routes)) {
        const id = groupIdOf(route, alert);
        const group = wanted.get(id) ?? { route, alerts: [] };
        group.alerts.push(alert);
        wanted.set(id, group);
      }
    }
    const records = new Map<string, StoredRecord>();
    const open: Predicate = { op: 'present', left: { from: 'column', name: 'openKey' } };
    for await (const record of everyRecord(scope, 'alert_group', { where: open })) {
      records.set(record.id, record);
    }
    const missing = [...wanted.keys()].filter((id) => !records.has(id));
    for (let i = 0; i < missing.length; i += 1000) {
      const page = await metadata.findMany(workspace, 'alert_group', missing.slice(i, i + 1000));
      for (const record of page) records.set(record.id, record);
    }
    const groups: Group[] = [];
    for (const id of new Set([...wanted.keys(), ...records.keys()])) {
      const record = records.get(id);
      const { route: told, ...state } = (record?.body ?? {}) as unknown as GroupState & {
        route: AlertRoute;
      };
      const { route = routes.find(({ name }) => name === told?.name) ?? told, alerts = [] } =
        wanted.get(id) ?? {};
      const known = record === undefined ? newGroup : state;
      const members = [
        ...alerts.map((alert) => ({ alert, muted: mutedBy(world, route, alert, now) })),
        ...(await endedOf(known, alerts)),
      ];
      groups.push({ id, route, record, state: known, members });
    }
    return groups;
  }

  /** Alerts that people were told of and that are not open any more. */
  async function endedOf(state: GroupState, alerts: readonly Alert[]): Promise<readonly Member[]> {
    const gone = Object.keys(state.told).filter((id) => !alerts.some((alert) => alert.id === id));
    if (gone.length === 0) return [];
    const records = await metadata.findMany(workspace, 'alert', gone);
    const found = records.map((record) => ({ alert: alertFromRecord(record), muted: [] }));
    // One that goes on and is told elsewhere now is over for this group.
    return found.map(({ alert, muted }) => ({
      alert: { ...alert, state: 'RESOLVED' } as const,
      muted,
    }));
  }

  async function send(group: Group, world: World, plan: Plan, now: number): Promise<void> {
    const { id, record, route } = group;
    const body = asJson({ ...plan.state, route }) as JsonObject;
    const columns = { openKey: plan.isOver ? undefined : id, nextAt: plan.nextAt };
    const change: Change =
      record === undefined
        ? {
            op: 'create',
            kind: 'alert_group',
            id,
            columns: { route: route.name, ...columns },
            body,
          }
        : { op: 'replace', kind: 'alert_group', id, expect: record.revision, columns, body };
    const told: Change[] = [];
    for (const [i, each] of plan.sends.entries()) {
      const sequence = plan.state.sequence - plan.sends.length + 1 + i;
      told.push(...(await messageOf(group, world, each, plan.state, sequence, now)));
    }
    try {
      await commitChanges(scope, [change, ...told]);
    } catch (error) {
      // Another process has told it.
      if (!isKeelsonError(error, 'STALE', 'CONFLICT')) throw error;
    }
  }

  async function messageOf(
    { id: groupId, route }: Group,
    world: World,
    send: Send,
    state: GroupState,
    sequence: number,
    now: number,
  ): Promise<readonly Change[]> {
    const [first] = send.members;
    if (first === undefined) return [];
    const { deployment, deploymentId, correlationId } = first.alert;
    const alertIds = send.members.map(({ alert }) => alert.id);
    const severity = correlatedSeverity(
      send.severity,
      topicOf(first.alert),
      world.alerts.filter((alert) => alert.deploymentId === deploymentId),
    );
    const told = { ...send, severity };
    const since = Math.min(...send.members.map(({ alert }) => alert.firstAt));
    const lastChange = await lastChangeBefore(deployment, since);
    const advice = new Map(alertIds.map((id) => [id, world.bodies.get(id)?.actions ?? []]));
    const message = alertMessage({
      ...{ send: told, now, advice },
      ...(lastChange === undefined ? {} : { lastChange }),
      done: await doneAbout([...new Set(send.members.map(({ alert }) => alert.correlationId))]),
      ...(parts.url === undefined ? {} : { url: parts.url }),
    });
    const group = { groupId, route: route.name, deployment, deploymentId, severity, alertIds };
    const receivers = send.receivers ?? receiversOf(route, state);
    return withCorrelation({ correlationId }, async () => [
      alertEvent(scope, 'alert.notified', deployment, {
        ...{ ...group, sequence, reason: send.reason, state: send.state },
        ...(receivers === undefined ? {} : { receivers }),
        ...{ title: message.title, text: message.text },
        message: message.content as unknown as JsonObject,
      }),
      ...(send.level === undefined
        ? []
        : [
            alertEvent(scope, 'alert.escalated', deployment, {
              ...group,
              level: send.level,
              receivers: receivers ?? [],
            }),
          ]),
    ]);
  }

  return {
    async dispatch(now, signal) {
      const world = await look();
      const nexts: number[] = [];
      for (const group of await groupsOf(world, now)) {
        signal.throwIfAborted();
        const plan = planGroup(group.route, group.state, group.members, now);
        if (plan.nextAt !== undefined) nexts.push(plan.nextAt);
        const isOpen = group.record?.columns['openKey'] !== undefined;
        const isSame =
          canonicalJson(asJson(plan.state)) === canonicalJson(asJson(group.state)) &&
          isOpen === !plan.isOver;
        if (!isSame) await send(group, world, plan, now);
      }
      await parts.silences.keep(world.alerts.map(labelsOf), now);
      return nexts.length === 0 ? undefined : Math.min(...nexts);
    },

    async explain(alertId, now) {
      const world = await look();
      const groups = await groupsOf(world, now);
      return groups
        .filter(({ members }) => members.some(({ alert }) => alert.id === alertId))
        .map((group) => outlookOf(group, now));
    },

    async hasWork() {
      const left = { from: 'column', name: 'openKey' } as const;
      const query = { where: { op: 'present', left } as const, limit: 1, body: false };
      for (const kind of ['alert', 'alert_group', 'silence']) {
        const { records } = await metadata.query(workspace, kind, query);
        if (records.length > 0) return true;
      }
      return false;
    },

    async isStillWanted({ type, state, details }) {
      if (type !== 'alert.notified' || state !== 'OPEN') return true;
      const { alertIds, reason } = details as {
        readonly alertIds?: readonly string[];
        readonly reason?: string;
      };
      const records = await metadata.findMany(workspace, 'alert', (alertIds ?? []).slice(0, 1000));
      const firing = records.map(alertFromRecord).filter((alert) => alert.state === 'FIRING');
      // That something began is told before its end is.
      if (firing.length === 0) return reason === 'FIRING' || reason === 'CHANGED';
      return firing.some(({ acknowledged }) => acknowledged === undefined);
    },
  };
}

/** Why people are not told of an alert now. */
function mutedBy(world: World, route: AlertRoute, alert: Alert, now: number): readonly string[] {
  const labels = labelsOf(alert);
  const why = world.silences
    .filter((silence) => isSilenced(silence, labels, now))
    .map(({ id, reason }) => `silence ${id}: ${reason}`);
  for (const { name, source, target, equal = ['deployment'] } of world.inhibitions) {
    // What is of both sorts keeps nothing of its own sort.
    if (!matches(target, labels) || matches(source, labels)) continue;
    const by = world.alerts.find((other) => {
      const others = labelsOf(other);
      return (
        matches(source, others) &&
        equal.every((label) => (others[label] ?? '') === (labels[label] ?? ''))
      );
    });
    if (by !== undefined) why.push(`inhibited by alert ${by.id} (${name})`);
  }
  for (const schedule of [world.bodies.get(alert.id)?.schedule, route.schedule]) {
    const hours = scheduleAt(schedule, alert.severity);
    if (hours === undefined || isWithin(hours, now)) continue;
    const opensAt = nextWithin(hours, now);
    why.push(
      `outside of its hours${opensAt === undefined ? '' : `, until ${new Date(opensAt).toISOString()}`}`,
    );
  }
  return why;
}

function receiversOf(
  { receivers }: AlertRoute,
  { escalatedTo }: GroupState,
): readonly string[] | undefined {
  return receivers === undefined ? undefined : [...new Set([...receivers, ...escalatedTo])];
}

function outlookOf({ id, route, state, members }: Group, now: number): AlertOutlook {
  const plan = planGroup(route, state, members, now);
  const { nextAt } = plan.sends.length > 0 ? { nextAt: now } : plan;
  const later =
    nextAt === undefined
      ? undefined
      : planGroup(route, plan.sends.length > 0 ? state : plan.state, members, nextAt);
  const next = later?.sends[0]?.reason;
  const receivers = receiversOf(route, state);
  return {
    ...{ groupId: id, route: route.name, because: plan.because },
    ...(receivers === undefined ? {} : { receivers }),
    ...(nextAt === undefined ? {} : { nextAt }),
    ...(next === undefined ? {} : { next }),
  };
}
