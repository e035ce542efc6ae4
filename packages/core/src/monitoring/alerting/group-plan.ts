import type { AlertSeverity } from '../rule.ts';
import type { Alert } from './alert.ts';
import { isWithin, nextWithin } from './alert-schedule.ts';
import type { AlertRoute, EscalationStep } from './alert-settings.ts';
import { gravest, rankOf } from './levels.ts';

/** What people were told of an alert. */
interface Told {
  readonly severity: AlertSeverity;
  /** It is kept from them since: when it is not any more, they are told again. */
  readonly muted?: boolean;
}

/** Where the escalation of a group stands: the chain as it was when the group began, and when its next step is due. */
export interface EscalationState {
  readonly chain: readonly EscalationStep[];
  readonly repeat: number;
  readonly step: number;
  readonly round: number;
  /** How many steps were taken. */
  readonly level: number;
  /** Epoch ms; missing when the chain has come to its end. */
  readonly nextAt?: number;
  /** Since when it rests, because somebody looks at it or nothing of it is to be told. */
  readonly pausedAt?: number;
}

/** What is remembered of a group. Plain JSON. */
export interface GroupState {
  /** How many messages there were. */
  readonly sequence: number;
  /** By alert id. */
  readonly told: Readonly<Record<string, Told>>;
  /** Whether people believe that something is wrong. */
  readonly isOpen: boolean;
  /** Whether they were told that somebody looks at it. */
  readonly isAcknowledged: boolean;
  /** Since when there is something that they do not know yet. */
  readonly newsAt?: number;
  readonly sentAt?: number;
  /** The gravest that they were told of. */
  readonly severity?: AlertSeverity;
  /** Names of notifiers that were told besides the route's own. */
  readonly escalatedTo: readonly string[];
  readonly escalation?: EscalationState;
}

/** A group that nobody was told of. */
export const newGroup: GroupState = {
  ...{ sequence: 0, told: {}, isOpen: false, isAcknowledged: false, escalatedTo: [] },
};

/** An alert of a group, and why people are not to be told of it now. */
export interface Member {
  readonly alert: Alert;
  /** In words, such as `silence 0198…`; empty where nothing keeps it. */
  readonly muted: readonly string[];
}

/** A message that is to be sent. */
export interface Send {
  readonly reason: 'FIRING' | 'CHANGED' | 'REMINDER' | 'ESCALATION' | 'ACKNOWLEDGED' | 'RESOLVED';
  readonly state: 'OPEN' | 'ACKNOWLEDGED' | 'RESOLVED';
  readonly severity: AlertSeverity;
  /** What it is about: what fires and is not kept, or what is over. */
  readonly members: readonly Member[];
  /** Those of the route where they are left out. */
  readonly receivers?: readonly string[];
  /** Of an escalation: 1 for the first step. */
  readonly level?: number;
}

/** What is to be done about a group now. */
export interface Plan {
  readonly state: GroupState;
  readonly sends: readonly Send[];
  /** Whether there is nothing left to remember but what was told. */
  readonly isOver: boolean;
  /** When something is to be done next, where nothing changes. */
  readonly nextAt?: number;
  /** Why nothing more is sent now, in words. */
  readonly because: readonly string[];
}

const minuteMs = 60_000;
/** What is left out of a route. */
const routeDefaults = {
  notifyWithinMs: 30_000,
  updateEveryMs: 5 * minuteMs,
  remindEveryMs: 240 * minuteMs,
  escalateAfterMs: 5 * minuteMs,
} as const;

/**
 * What people are to be told of a group, and when: Alertmanager's questions (is there anything new, is it over, is it time
 * to remind?), asked of the alerts as they are now. Pure; asked twice for the same time, the second says nothing.
 */
export function planGroup(
  route: AlertRoute,
  state: GroupState,
  members: readonly Member[],
  now: number,
): Plan {
  const seen = look(state, members);
  if (seen.all.length === 0 && Object.keys(state.told).length === 0) {
    const { newsAt: _, escalation: __, ...rest } = state;
    return { state: rest, sends: [], isOver: true, because: ['nothing of it fires'] };
  }
  const acknowledged = answer(state, seen, now);
  const said = tellNews(route, acknowledged.state, seen, now);
  const escalated = escalate(route, said.state, seen, now);
  const nexts = [said.nextAt, escalated.nextAt].filter((each) => each !== undefined);
  return {
    state: escalated.state,
    sends: [...acknowledged.sends, ...said.sends, ...escalated.sends],
    isOver: Object.keys(escalated.state.told).length === 0 && seen.all.length === 0,
    ...(nexts.length === 0 ? {} : { nextAt: Math.min(...nexts) }),
    because: [...said.because, ...escalated.because],
  };
}

interface Seen {
  readonly all: readonly Member[];
  /** What fires, may be told, and nobody looks at. */
  readonly unattended: readonly Member[];
  /** What fires and may be told. */
  readonly firing: readonly Member[];
  readonly muted: readonly Member[];
  /** What people were told of and is over. */
  readonly over: readonly Member[];
  /** Of what is unattended: what they do not know, or know as less grave. */
  readonly fresh: readonly Member[];
  readonly graver: readonly Member[];
}

function look(state: GroupState, members: readonly Member[]): Seen {
  const all = members.filter(({ alert }) => alert.state === 'FIRING');
  const firing = all.filter(({ muted }) => muted.length === 0);
  const unattended = firing.filter(({ alert }) => alert.acknowledged === undefined);
  const toldOf = ({ alert }: Member): Told | undefined => state.told[alert.id];
  return {
    ...{ all, firing, unattended },
    muted: all.filter(({ muted }) => muted.length > 0),
    over: members.filter(
      (member) => member.alert.state === 'RESOLVED' && toldOf(member) !== undefined,
    ),
    fresh: unattended.filter((member) => {
      const told = toldOf(member);
      return told === undefined || told.muted === true;
    }),
    graver: unattended.filter((member) => {
      const told = toldOf(member);
      return told !== undefined && rankOf(member.alert.severity) > rankOf(told.severity);
    }),
  };
}

type Part = Pick<Plan, 'state' | 'sends' | 'because'> & Pick<Partial<Plan>, 'nextAt'>;

/** Tells that somebody looks at all of it. */
function answer(state: GroupState, { firing, unattended }: Seen, now: number): Part {
  const isAcknowledged = firing.length > 0 && unattended.length === 0;
  const next = { ...state, isAcknowledged };
  if (!isAcknowledged || state.isAcknowledged || !state.isOpen) {
    return { state: next, sends: [], because: [] };
  }
  const severity = gravest(firing.map(({ alert }) => alert.severity)) ?? 'WARNING';
  const send = {
    reason: 'ACKNOWLEDGED',
    state: 'ACKNOWLEDGED',
    severity,
    members: firing,
  } as const;
  return {
    state: { ...next, sequence: state.sequence + 1, sentAt: now },
    sends: [send],
    because: [],
  };
}

function tellNews(route: AlertRoute, state: GroupState, seen: Seen, now: number): Part {
  const { firing, unattended, muted, over, fresh, graver } = seen;
  // What is kept from people is not over: when it is not kept any more, they are told again.
  const kept = withMuted(state, muted);
  const isEnding =
    state.isOpen && firing.length === 0 && over.length > 0 && !stillTold(kept, muted);
  const hasNews =
    fresh.length > 0 ||
    graver.length > 0 ||
    isEnding ||
    (over.length > 0 && state.isOpen && firing.length > 0);
  if (!hasNews) return remind(route, withoutNews(kept, over), seen, now);
  const newsAt = state.newsAt ?? now;
  const dueAt = dueTime(route, state, seen, newsAt, isEnding);
  if (now < dueAt) {
    const why =
      dueAt > newsAt + withinMs(route)
        ? 'further news of a group come at intervals'
        : 'more may come that belongs to it';
    return { state: { ...kept, newsAt }, sends: [], nextAt: dueAt, because: [why] };
  }
  const { newsAt: _, ...rest } = kept;
  const sent = { ...rest, sequence: state.sequence + 1, sentAt: now };
  if (isEnding) {
    const severity = state.severity ?? 'WARNING';
    const { escalation: __, ...ended } = sent;
    const next = { ...ended, told: without(kept.told, over), isOpen: false, isAcknowledged: false };
    if (route.tellResolved === false) {
      return {
        state: { ...next, sequence: state.sequence, escalatedTo: [] },
        sends: [],
        because: ['its end is not told on this route'],
      };
    }
    const send = { reason: 'RESOLVED', state: 'RESOLVED', severity, members: over } as const;
    return { state: next, sends: [send], because: [] };
  }
  const severity = gravest(firing.map(({ alert }) => alert.severity)) ?? 'WARNING';
  const told = { ...without(kept.told, over) };
  for (const { alert } of firing) told[alert.id] = { severity: alert.severity };
  const reason = state.isOpen ? 'CHANGED' : 'FIRING';
  const escalatedTo = state.isOpen ? state.escalatedTo : [];
  return {
    state: {
      ...sent,
      told,
      severity,
      isOpen: true,
      isAcknowledged: unattended.length === 0,
      escalatedTo,
    },
    sends: [{ reason, state: 'OPEN', severity, members: [...firing, ...over] }],
    nextAt: now + remindMs(route),
    because: [],
  };
}

/** What is graver, and the end of all, wait for nothing but what may belong to it; other news come at intervals. */
function dueTime(
  route: AlertRoute,
  state: GroupState,
  { fresh, graver }: Seen,
  newsAt: number,
  isEnding: boolean,
): number {
  const soon = newsAt + withinMs(route);
  const isGraver =
    graver.length > 0 || fresh.some(({ alert }) => rankOf(alert.severity) > rankOf(state.severity));
  if (isEnding || isGraver || state.sentAt === undefined) return soon;
  return Math.max(soon, state.sentAt + (route.updateEveryMs ?? routeDefaults.updateEveryMs));
}

function remind(route: AlertRoute, state: GroupState, seen: Seen, now: number): Part {
  const { unattended, firing, muted } = seen;
  const because = [
    ...new Set(muted.flatMap((member) => member.muted)),
    ...(firing.length > 0 && unattended.length === 0 ? ['somebody looks at it'] : []),
  ];
  if (!state.isOpen || unattended.length === 0) return { state, sends: [], because };
  const dueAt = (state.sentAt ?? now) + remindMs(route);
  if (now < dueAt) {
    return { state, sends: [], nextAt: dueAt, because: [...because, 'people know of it'] };
  }
  const severity = gravest(firing.map(({ alert }) => alert.severity)) ?? 'WARNING';
  const next = { ...state, sequence: state.sequence + 1, sentAt: now, severity };
  const send = { reason: 'REMINDER', state: 'OPEN', severity, members: firing } as const;
  return { state: next, sends: [send], nextAt: now + remindMs(route), because: [] };
}

function escalate(route: AlertRoute, state: GroupState, seen: Seen, now: number): Part {
  const { unattended, firing } = seen;
  if (!state.isOpen) return { state, sends: [], because: [] };
  const begun = state.escalation ?? beginning(route, now);
  if (begun?.nextAt === undefined) return { state, sends: [], because: [] };
  if (unattended.length === 0) {
    const escalation = { ...begun, pausedAt: begun.pausedAt ?? now };
    return { state: { ...state, escalation }, sends: [], because: [] };
  }
  const { pausedAt, ...running } = begun;
  const nextAt = begun.nextAt + (pausedAt === undefined ? 0 : now - pausedAt);
  const escalation: EscalationState = { ...running, nextAt };
  if (now < nextAt) return { state: { ...state, escalation }, sends: [], nextAt, because: [] };
  const step = escalation.chain[escalation.step] as EscalationStep;
  const severity = gravest(unattended.map(({ alert }) => alert.severity)) ?? 'WARNING';
  if (step.within !== undefined && !isWithin(step.within, now)) {
    const opensAt = nextWithin(step.within, now);
    const because = ['the next step of the escalation waits for its hours'];
    if (opensAt !== undefined) {
      const waiting = { ...escalation, nextAt: opensAt };
      return { state: { ...state, escalation: waiting }, sends: [], nextAt: opensAt, because };
    }
  }
  const isLeftOut =
    rankOf(severity) < rankOf(step.from) ||
    (step.ifMoreThan !== undefined && firing.length <= step.ifMoreThan);
  const moved = advanced(escalation, now, isLeftOut);
  if (isLeftOut) return escalate(route, { ...state, escalation: moved }, seen, now);
  const escalatedTo = [...new Set([...state.escalatedTo, ...step.receivers])];
  const next = { ...state, escalation: moved, escalatedTo, sequence: state.sequence + 1 };
  const told = { reason: 'ESCALATION', state: 'OPEN', severity, members: firing } as const;
  const send = { ...told, receivers: step.receivers, level: moved.level };
  return {
    state: next,
    sends: [send],
    ...(moved.nextAt === undefined ? {} : { nextAt: moved.nextAt }),
    because: [],
  };
}

function beginning(route: AlertRoute, now: number): EscalationState | undefined {
  const { escalation: chain, repeatEscalation: repeat = 0 } = route;
  const [first] = chain ?? [];
  if (chain === undefined || first === undefined) return undefined;
  return { ...{ chain, repeat, step: 0, round: 0, level: 0 }, nextAt: now + waitOf(first) };
}

/** The escalation behind a step, which was taken or left out. */
function advanced(state: EscalationState, now: number, isLeftOut: boolean): EscalationState {
  const { nextAt: _, ...rest } = state;
  const level = state.level + (isLeftOut ? 0 : 1);
  const isLast = state.step + 1 >= state.chain.length;
  if (isLast && state.round >= state.repeat) return { ...rest, level };
  const step = isLast ? 0 : state.step + 1;
  const round = state.round + (isLast ? 1 : 0);
  const nextAt = now + waitOf(state.chain[step] as EscalationStep);
  return { ...rest, level, step, round, nextAt };
}

function waitOf({ afterMs = routeDefaults.escalateAfterMs }: EscalationStep): number {
  return afterMs;
}

function withMuted(state: GroupState, muted: readonly Member[]): GroupState {
  const told = { ...state.told };
  for (const { alert } of muted) {
    const known = told[alert.id];
    if (known !== undefined) told[alert.id] = { ...known, muted: true };
  }
  return { ...state, told };
}

/** Whether people were told of something that is kept from them now, and goes on. */
function stillTold(state: GroupState, muted: readonly Member[]): boolean {
  return muted.some(({ alert }) => state.told[alert.id] !== undefined);
}

function withoutNews(state: GroupState, over: readonly Member[]): GroupState {
  const { newsAt: _, ...rest } = state;
  return state.isOpen ? rest : { ...rest, told: without(state.told, over) };
}

function without(told: GroupState['told'], over: readonly Member[]): Record<string, Told> {
  const gone = new Set(over.map(({ alert }) => alert.id));
  return Object.fromEntries(Object.entries(told).filter(([id]) => !gone.has(id)));
}

function withinMs(route: AlertRoute): number {
  return route.notifyWithinMs ?? routeDefaults.notifyWithinMs;
}

function remindMs(route: AlertRoute): number {
  return route.remindEveryMs ?? routeDefaults.remindEveryMs;
}
