import type { StoredEvent } from '../../contracts/event.ts';
import type { Json, JsonObject } from '../../json.ts';
import { frozenActs } from '../../operations/freezes.ts';
import {
  defaultLimit,
  defaultLimits,
  defaultMinimumLabels,
  defaultRolloutWithinMs,
  type ResponseAction,
  type ResponseActionName,
  type ResponseKind,
  type ResponseLimit,
  type ResponsePolicyOptions,
  responseMatrix,
  spelt,
} from './response-policy.ts';

/** What an event tells of a trouble. */
export interface Trouble {
  readonly eventId: string;
  readonly type: string;
  readonly alertId?: string;
  readonly rule?: string;
  readonly severity: 'WARNING' | 'CRITICAL' | 'EMERGENCY';
  /** What it is a trouble of, such as `CONCEPT_DRIFT`. */
  readonly about?: string;
  readonly driftKind?: string;
  readonly versionId?: string;
  readonly features: readonly string[];
  readonly summary: string;
  /** Since when it has been so; epoch ms. */
  readonly since: number;
  /** Up to when data were looked at; epoch ms. */
  readonly at: number;
}

/** A rollout as far as decisions go. */
export interface RolloutFact {
  readonly id: string;
  readonly status: string;
  readonly candidateVersionId: string;
  readonly baselineVersionId: string;
  readonly beganAt: number;
  readonly endedAt: number;
}

/** What a decision is made from beside the event and the policy. Plain JSON. */
export interface ResponseFacts {
  /** By the platform's clock. */
  readonly now: number;
  /** Which version has most of the traffic. */
  readonly servingVersionId: string;
  /** The rollout under way. */
  readonly active?: RolloutFact;
  /** The last one that has ended. */
  readonly last?: RolloutFact;
  readonly fallbackVersionId?: string;
  /** Recent requests whose labels are known; missing where nobody asked. */
  readonly labels?: number;
  /** When actions of the policy were taken lately, by action; epoch ms. */
  readonly taken: Readonly<Record<string, readonly number[]>>;
  /** A retraining of the deployment that is under way. */
  readonly retraining?: string;
  /** Actions that this trouble was answered by before. */
  readonly answered: readonly string[];
}

/** One act, as it is decided. */
export interface DecidedAct {
  readonly action: ResponseActionName;
  readonly state: 'PENDING' | 'LIMITED' | 'SKIPPED' | 'DRY_RUN';
  /** Why it is so, in words. */
  readonly reason: string;
  /** What it is done with. Plain JSON. */
  readonly with: JsonObject;
  /** A cron expression: not before its next time. */
  readonly at?: string;
}

/** What answers a trouble: a pure function's answer. */
export interface ResponseVerdict {
  /** The row of the matrix, or the name of the policy's rule. */
  readonly matched: string;
  readonly acts: readonly DecidedAct[];
}

const driftKinds: ReadonlySet<string> = new Set<ResponseKind>([
  ...(['SUDDEN', 'GRADUAL', 'INCREMENTAL', 'RECURRING', 'BLIP'] as const),
]);
const drifts: ReadonlySet<string> = new Set([
  ...['FEATURE_DRIFT', 'PREDICTION_DRIFT', 'CONCEPT_DRIFT', 'LABEL_DRIFT', 'MULTIVARIATE_DRIFT'],
  'PERFORMANCE',
]);

/** What an event tells; of `alert.…`, `drift.detected` and `performance.degraded`. */
export function troubleOf(event: Pick<StoredEvent, 'id' | 'type' | 'payload' | 'at'>): Trouble {
  const { payload } = event;
  const text = (field: string): string | undefined => {
    const value = payload[field];
    return typeof value === 'string' && value !== '' ? value : undefined;
  };
  const time = (field: string, otherwise: number): number => {
    const value = payload[field];
    return typeof value === 'number' && Number.isFinite(value) ? value : otherwise;
  };
  const severity = text('severity');
  const at = time('at', event.at);
  const listed: Json | undefined = payload['features'];
  const optional = {
    ...{ alertId: text('alertId'), rule: text('rule') ?? text('metric') },
    ...{ about: text('kind'), driftKind: text('driftKind')?.toUpperCase() },
    versionId: text('versionId'),
  };
  return {
    ...{ eventId: event.id, type: event.type },
    ...(Object.fromEntries(
      Object.entries(optional).filter(([, value]) => value !== undefined),
    ) as Partial<Trouble>),
    severity: severity === 'CRITICAL' || severity === 'EMERGENCY' ? severity : 'WARNING',
    features: Array.isArray(listed) ? listed.filter((each) => typeof each === 'string') : [],
    summary: text('summary') ?? event.type,
    since: time('since', at),
    at,
  };
}

/** The row of the matrix that a trouble belongs to. */
export function kindOf({ driftKind, about }: Pick<Trouble, 'driftKind' | 'about'>): ResponseKind {
  if (driftKind !== undefined && driftKinds.has(driftKind)) return driftKind as ResponseKind;
  return about === undefined || drifts.has(about) ? 'UNKNOWN' : 'OTHER';
}

/**
 * What answers a trouble: the first of the policy's rules that `holds`, else the row of its kind, and beside it that of
 * CRITICAL. Of each action: whether it can be, in whose place what stands that cannot, and whether its limit is reached.
 * Actions that have answered the trouble before are left out. Pure: equal inputs give equal verdicts.
 */
export function decideResponse(
  policy: ResponsePolicyOptions,
  trouble: Trouble,
  facts: ResponseFacts,
  holds: string | undefined,
): ResponseVerdict {
  const rule = policy.rules?.find(({ name }) => name === holds);
  const kind = kindOf(trouble);
  const row = (of: ResponseKind) => policy.matrix?.[of] ?? responseMatrix[of];
  const grave = trouble.severity === 'WARNING' ? [] : row('CRITICAL');
  const wanted = rule === undefined ? [...row(kind), ...grave] : rule.do;
  const acts: DecidedAct[] = [];
  const seen = new Set<string>(facts.answered);
  for (const action of wanted.map(spelt)) {
    for (const act of resolved(policy, trouble, facts, action)) {
      if (seen.has(act.action)) continue;
      seen.add(act.action);
      acts.push(limited(policy, facts, act, acts));
    }
  }
  return { matched: rule?.name ?? kind, acts };
}

/** An action as it can be done, or what takes its place. */
function resolved(
  policy: ResponsePolicyOptions,
  trouble: Trouble,
  facts: ResponseFacts,
  action: ResponseAction,
): readonly DecidedAct[] {
  const found = possible(policy, trouble, facts, action);
  const { otherwise = [] } = action;
  if ('cannot' in found) {
    const skipped: DecidedAct = {
      ...{ action: action.action, state: 'SKIPPED', reason: found.cannot, with: {} },
    };
    const others = otherwise.flatMap((each) => resolved(policy, trouble, facts, spelt(each)));
    return [skipped, ...others];
  }
  const state = policy.dryRun === true ? 'DRY_RUN' : 'PENDING';
  const { reason, with: how } = found;
  const at = action.at === undefined ? {} : { at: action.at };
  return [{ action: action.action, state, reason, with: how, ...at }];
}

type Possible =
  | { readonly reason: string; readonly with: JsonObject }
  | { readonly cannot: string };

function possible(
  policy: ResponsePolicyOptions,
  trouble: Trouble,
  facts: ResponseFacts,
  { action, forMs = 3_600_000, freeze, text = '' }: ResponseAction,
): Possible {
  const { active, fallbackVersionId } = facts;
  switch (action) {
    case 'rollback':
      return rollback(policy, trouble, facts);
    case 'pause-rollout':
      if (active === undefined) return { cannot: 'no rollout is under way' };
      return { reason: `rollout ${active.id} is under way`, with: { rolloutId: active.id } };
    case 'cut-traffic':
      if (active !== undefined)
        return { reason: `rollout ${active.id} is under way`, with: { rolloutId: active.id } };
      if (fallbackVersionId !== undefined && fallbackVersionId !== facts.servingVersionId)
        return { reason: 'there is a fallback version', with: { versionId: fallbackVersionId } };
      return { reason: 'there is neither a rollout nor a fallback version', with: { stop: true } };
    case 'retrain':
    case 'update':
      return retraining(policy, trouble, facts, action);
    case 'follow-calendar':
      if (policy.calendar === undefined) return { cannot: 'the policy has no calendar' };
      return { reason: 'the policy has a calendar of versions', with: {} };
    case 'raise-attention':
      return { reason: `for ${Math.round(forMs / 60_000)} min`, with: { forMs } };
    case 'freeze': {
      const acts = [...(freeze ?? frozenActs)];
      return { reason: `${trouble.severity} until it is acknowledged`, with: { acts } };
    }
    default:
      return { reason: 'people are told', with: { text } };
  }
}

function rollback(
  { rolloutWithinMs = defaultRolloutWithinMs }: ResponsePolicyOptions,
  { since }: Trouble,
  { active, last, servingVersionId }: ResponseFacts,
): Possible {
  if (active !== undefined && since >= active.beganAt) {
    const reason = `it began with rollout ${active.id}, which is under way`;
    return { reason, with: { rolloutId: active.id } };
  }
  const isFresh =
    last?.status === 'COMPLETED' &&
    last.candidateVersionId === servingVersionId &&
    since >= last.beganAt &&
    since <= last.endedAt + rolloutWithinMs;
  if (last === undefined || !isFresh) return { cannot: 'it did not begin with a rollout' };
  const reason = `it began with rollout ${last.id}, which ended ${minutes(since - last.endedAt)}`;
  return { reason, with: { leavingVersionId: servingVersionId } };
}

function minutes(ms: number): string {
  const whole = Math.round(Math.abs(ms) / 60_000);
  return ms < 0 ? `${whole} min after it` : `${whole} min before`;
}

function retraining(
  { retrain }: ResponsePolicyOptions,
  trouble: Trouble,
  { labels, retraining: underWay }: ResponseFacts,
  action: 'retrain' | 'update',
): Possible {
  if (retrain === undefined) return { cannot: 'the policy names no pipeline (retrain)' };
  if (underWay !== undefined) return { cannot: `retraining ${underWay} is under way` };
  const { minimumLabels = defaultMinimumLabels, pipeline, update } = retrain;
  if (labels !== undefined && labels < minimumLabels) {
    return { cannot: `${labels} recent requests have labels, and ${minimumLabels} are needed` };
  }
  const of = action === 'update' ? (update ?? pipeline) : pipeline;
  const enough = labels === undefined ? '' : `; ${labels} recent requests have labels`;
  return { reason: `${of} is there${enough}`, with: { pipeline: of, to: trouble.at } };
}

/** An act that would be one too many is LIMITED. */
function limited(
  { limits }: ResponsePolicyOptions,
  { now, taken }: ResponseFacts,
  act: DecidedAct,
  beside: readonly DecidedAct[],
): DecidedAct {
  if (act.state === 'SKIPPED') return act;
  const all = limits?.all ?? defaultLimit;
  const own = limits?.actions?.[act.action] ?? defaultLimits[act.action];
  const now_ = beside.filter(({ state }) => state === 'PENDING' || state === 'DRY_RUN').length;
  const ofAll = Object.values(taken).flat();
  const over =
    reached(own, now, taken[act.action] ?? [], 0, `of ${act.action}`) ??
    reached(all, now, ofAll, now_, 'of all actions together');
  return over === undefined ? act : { ...act, state: 'LIMITED', reason: over };
}

function reached(
  { count, withinMs }: ResponseLimit,
  now: number,
  times: readonly number[],
  beside: number,
  what: string,
): string | undefined {
  const within = times.filter((time) => time > now - withinMs);
  if (within.length + beside < count) return undefined;
  const next = within.length === 0 ? undefined : Math.min(...within) + withinMs;
  const when = next === undefined ? '' : `; again from ${new Date(next).toISOString()}`;
  return `${count} ${what} within ${Math.round(withinMs / 60_000)} min is the most there may be${when}`;
}
