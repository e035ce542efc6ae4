import type { AlertSeverity } from '../rule.ts';
import { ofRank, rankOf, severities } from './levels.ts';

/** How long, and how often, a condition must hold. */
export interface AlertTiming {
  readonly forMs: number;
  readonly keepFiringForMs: number;
  readonly windows?: { readonly atLeast: number; readonly of: number };
}

/** Who looks at an alert. */
export interface Acknowledgement {
  readonly by: string;
  readonly at: number;
  readonly comment?: string;
  /** When it counts as unattended again. */
  readonly untilAt: number;
}

/**
 * Where an alert stands. Plain JSON; RESOLVED is final. That data are missing or that the rule cannot be evaluated is told
 * beside the phase (`blind`), which it leaves alone.
 */
export interface AlertState {
  readonly phase: 'PENDING' | 'FIRING' | 'RESOLVED';
  readonly severity: AlertSeverity;
  /** Since when each level has been reached, in epoch ms. */
  readonly since: Readonly<Partial<Record<AlertSeverity, number>>>;
  /** The ranks that the last evaluations reached, newest last; kept where the rule counts windows. */
  readonly recent?: readonly number[];
  /** The newest evaluation that is in this state. */
  readonly judgedAt: number;
  readonly beganAt: number;
  readonly firedAt?: number;
  readonly resolvedAt?: number;
  /** Since when its level has no longer been kept. */
  readonly fallingSince?: number;
  readonly blind?: { readonly because: 'NO_DATA' | 'ERROR'; readonly since: number };
  readonly acknowledged?: Acknowledgement;
}

/** What an alert is told. */
export type AlertInput =
  /** An evaluation: the gravest level that was reached, and the gravest whose end was not. */
  | {
      readonly type: 'judged';
      readonly at: number;
      readonly reached?: AlertSeverity;
      readonly kept?: AlertSeverity;
    }
  | { readonly type: 'blind'; readonly at: number; readonly because: 'NO_DATA' | 'ERROR' }
  | { readonly type: 'acknowledge'; readonly by: Acknowledgement }
  | { readonly type: 'withdraw'; readonly at: number }
  /** Time has passed: acknowledgements end. */
  | { readonly type: 'time'; readonly at: number }
  /** Somebody, or a policy, says that it is over. */
  | { readonly type: 'resolve'; readonly at: number };

/** What is to be announced of a step. */
export type AlertEffect =
  | 'TRIGGERED'
  | 'RESOLVED'
  | 'SEVERITY_CHANGED'
  | 'SUSPENDED'
  | 'RESUMED'
  | 'ACKNOWLEDGED'
  | 'WITHDRAWN'
  | 'ACKNOWLEDGEMENT_EXPIRED'
  | 'ACKNOWLEDGEMENT_OUTGROWN';

/** A step: the state after it (none where there is nothing to remember), and what is announced. */
export interface AlertStep {
  readonly state: AlertState | undefined;
  readonly effects: readonly AlertEffect[];
}

/**
 * The alert after something happened. Pure: the same state and input give the same step, and an evaluation that is in the
 * state already changes nothing, so that whoever repeats one after a crash announces nothing twice.
 */
export function stepAlert(
  timing: AlertTiming,
  state: AlertState | undefined,
  input: AlertInput,
): AlertStep {
  if (state?.phase === 'RESOLVED') return { state, effects: [] };
  switch (input.type) {
    case 'judged':
      return judged(timing, state, input);
    case 'blind':
      return blinded(state, input);
    case 'acknowledge':
      if (state?.phase !== 'FIRING') return { state, effects: [] };
      return { state: { ...state, acknowledged: input.by }, effects: ['ACKNOWLEDGED'] };
    case 'withdraw':
      return unattended(state, 'WITHDRAWN');
    case 'time': {
      const isOver = state?.acknowledged !== undefined && input.at >= state.acknowledged.untilAt;
      return isOver ? unattended(state, 'ACKNOWLEDGEMENT_EXPIRED') : { state, effects: [] };
    }
    case 'resolve':
      return state === undefined ? { state, effects: [] } : resolved(state, input.at);
  }
}

/** Whether an evaluation as of a time is in the last alert of the same trouble, which is over: another would tell it twice. */
export function isOverSince(last: AlertState | undefined, at: number): boolean {
  return last?.phase === 'RESOLVED' && at <= last.judgedAt;
}

function blinded(
  state: AlertState | undefined,
  { at, because }: Extract<AlertInput, { type: 'blind' }>,
): AlertStep {
  if (state === undefined || at <= state.judgedAt) return { state, effects: [] };
  if (state.blind?.because === because) return { state, effects: [] };
  const since = state.blind?.since ?? at;
  const next = { ...state, judgedAt: at, blind: { because, since } };
  return { state: next, effects: state.phase === 'FIRING' ? ['SUSPENDED'] : [] };
}

function judged(
  timing: AlertTiming,
  state: AlertState | undefined,
  input: Extract<AlertInput, { type: 'judged' }>,
): AlertStep {
  const { at, reached } = input;
  if (state !== undefined && at <= state.judgedAt) return { state, effects: [] };
  if (state === undefined && reached === undefined) return { state, effects: [] };
  const seen = look(timing, state, input);
  if (seen.phase === 'PENDING') return pending(timing, seen, at);
  const effects: AlertEffect[] = state?.blind === undefined ? [] : ['RESUMED'];
  const step = firing(timing, seen, input);
  return step.state?.phase === 'RESOLVED'
    ? step
    : { state: step.state, effects: [...effects, ...step.effects] };
}

/** The state with an evaluation in it, in the phase that it was in. */
function look(
  timing: AlertTiming,
  state: AlertState | undefined,
  { at, reached }: Extract<AlertInput, { type: 'judged' }>,
): AlertState {
  const { blind, ...before } = state ?? ({} as Partial<AlertState>);
  // Time in which nothing could be seen counts for nothing.
  const lost = blind === undefined ? 0 : at - blind.since;
  const since: Partial<Record<AlertSeverity, number>> = {};
  for (const level of severities.slice(0, rankOf(reached))) {
    const earlier = before.since?.[level];
    since[level] = earlier === undefined ? at : Math.min(at, earlier + lost);
  }
  const { windows } = timing;
  return {
    phase: 'PENDING',
    severity: reached ?? 'WARNING',
    beganAt: at,
    ...before,
    since,
    judgedAt: at,
    ...(windows === undefined
      ? {}
      : { recent: [...(before.recent ?? []), rankOf(reached)].slice(-windows.of) }),
  };
}

/** The gravest level that has held for as long, or as often, as it must. */
function satisfied(timing: AlertTiming, state: AlertState, at: number): AlertSeverity | undefined {
  const { windows, forMs } = timing;
  return severities.findLast((level) => {
    if (windows !== undefined) {
      const times = (state.recent ?? []).filter((rank) => rank >= rankOf(level)).length;
      return times >= windows.atLeast;
    }
    const since = state.since[level];
    return since !== undefined && at - since >= forMs;
  });
}

function pending(timing: AlertTiming, state: AlertState, at: number): AlertStep {
  const level = satisfied(timing, state, at);
  if (level !== undefined) {
    const next = { ...state, phase: 'FIRING', severity: level, firedAt: at } as const;
    return { state: next, effects: ['TRIGGERED'] };
  }
  const isLeft =
    Object.keys(state.since).length > 0 || (state.recent ?? []).some((rank) => rank > 0);
  if (!isLeft) return { state: undefined, effects: [] };
  const reached = severities.findLast((each) => state.since[each] !== undefined);
  return { state: { ...state, severity: reached ?? state.severity }, effects: [] };
}

function firing(
  timing: AlertTiming,
  state: AlertState,
  { at, kept, reached }: Extract<AlertInput, { type: 'judged' }>,
): AlertStep {
  const level = satisfied(timing, state, at);
  if (rankOf(level) > rankOf(state.severity)) {
    const { acknowledged, fallingSince: _, ...rest } = state;
    const effects: AlertEffect[] = ['SEVERITY_CHANGED'];
    // Whoever has looked at the lesser one has not seen this.
    if (acknowledged !== undefined) effects.push('ACKNOWLEDGEMENT_OUTGROWN');
    return { state: { ...rest, severity: level as AlertSeverity }, effects };
  }
  const often = timing.windows === undefined ? 0 : rankOf(level);
  const holds = Math.max(rankOf(kept), rankOf(reached), often);
  if (holds >= rankOf(state.severity)) {
    const { fallingSince: _, ...rest } = state;
    return { state: rest, effects: [] };
  }
  const fallingSince = state.fallingSince ?? at;
  if (at - fallingSince < timing.keepFiringForMs)
    return { state: { ...state, fallingSince }, effects: [] };
  const lower = ofRank(holds);
  if (lower === undefined) return resolved(state, at);
  const { fallingSince: _, ...rest } = state;
  return { state: { ...rest, severity: lower }, effects: ['SEVERITY_CHANGED'] };
}

/** What never fired is forgotten. */
function resolved(state: AlertState, at: number): AlertStep {
  if (state.phase === 'PENDING') return { state: undefined, effects: [] };
  const { acknowledged: _, blind: __, fallingSince: ___, ...rest } = state;
  const next = {
    ...rest,
    phase: 'RESOLVED',
    judgedAt: Math.max(at, state.judgedAt),
    resolvedAt: at,
  } as const;
  return { state: next, effects: ['RESOLVED'] };
}

function unattended(state: AlertState | undefined, effect: AlertEffect): AlertStep {
  if (state?.acknowledged === undefined) return { state, effects: [] };
  const { acknowledged: _, ...rest } = state;
  return { state: rest, effects: [effect] };
}
