import type { StoredRecord } from '../../contracts/record.ts';
import type { Strategy } from '../../deployments/revision.ts';
import type { RolloutStep } from '../../deployments/rollout.ts';
import type { RolloutPolicy } from '../../deployments/strategy-policy.ts';
import type { JsonObject } from '../../json.ts';
import type { FrozenAct } from '../../operations/freezes.ts';
import type { Bump } from '../../registry/next-version.ts';

/** The manner in which something drifts, and the rest of what may be told. */
export type ResponseKind =
  | 'SUDDEN'
  | 'GRADUAL'
  | 'INCREMENTAL'
  | 'RECURRING'
  | 'BLIP'
  /** Drift whose manner nobody knows. */
  | 'UNKNOWN'
  /** No drift: errors, latency, missing data. */
  | 'OTHER'
  /** Beside the row of its kind, where its severity is CRITICAL or EMERGENCY. */
  | 'CRITICAL';

/** What may be done. */
export type ResponseActionName =
  /** Back to the version before the rollout that the trouble began with: aborts it where it is under way. */
  | 'rollback'
  /** The rollout that is under way stays at its step. */
  | 'pause-rollout'
  /** A rollout is aborted; else the fallback version takes over; else the deployment is stopped. */
  | 'cut-traffic'
  /** A new version from recent data, by the policy's `retrain`. */
  | 'retrain'
  /** The same by the pipeline that goes on training what serves (`retrain.update`). */
  | 'update'
  /** Versions follow the policy's `calendar` from now on. */
  | 'follow-calendar'
  /** More is sampled and evaluated for a while. */
  | 'raise-attention'
  /** Promotions, rollouts and scale-down wait until the alert is acknowledged. */
  | 'freeze'
  | 'notify'
  /** As CRITICAL at least. */
  | 'page';

/** An action with what it leaves to it; its name alone stands for it with the defaults. */
export interface ResponseAction {
  readonly action: ResponseActionName;
  /** In its place, where it cannot be: nothing began with a rollout, say, or no pipeline is named. */
  readonly otherwise?: readonly (ResponseActionName | ResponseAction)[];
  /** `retrain`, `update`: not before the next time of this cron expression (UTC); at once when left out. */
  readonly at?: string;
  /** `raise-attention`: for so long, in ms; 3,600,000 when left out. */
  readonly forMs?: number;
  /** `freeze`: all three when left out. */
  readonly freeze?: readonly FrozenAct[];
  /** `notify`, `page`: what to do, in words; appended to what is told. */
  readonly text?: string;
}

/** How a new version is made, and what becomes of it. */
export interface RetrainPlan {
  /**
   * The pipeline. Of these parameters it is given those that it declares: `deployment`, `deploymentId`, `model`,
   * `from`, `to` (epoch ms: the recent data), `alertId`, `driftKind`, `baseVersionId`, `search`, and the parameters of
   * the run that it starts from. Its output names what was trained: `{ runId }`, a run with the model's files among its
   * artifacts, or `{ versionId }` where it registers by itself.
   */
  readonly pipeline: string;
  /** Over all others. */
  readonly parameters?: JsonObject;
  /** The pipeline of `update`; `pipeline` when left out. */
  readonly update?: string;
  /** Which parameters it starts from: those of the version that `metric` says is best, of the one that serves, or none. */
  readonly startFrom?: 'best' | 'serving' | 'search';
  /** Of versions; which is the best one. */
  readonly metric?: { readonly name: string; readonly better: 'higher' | 'lower' };
  /** How far back data are recent; 30 days when left out. */
  readonly recentMs?: number;
  /** So many recent requests with labels at least; 100 when left out, 0 for none. */
  readonly minimumLabels?: number;
  /** The run's artifacts below this path are the version; `model` when left out. */
  readonly path?: string;
  /** `minor` when left out. */
  readonly bump?: Bump;
  /** As with `deployments.deploy`; a canary by default. */
  readonly rollout?: {
    readonly strategy?: Strategy | 'suggested';
    readonly policy?: RolloutPolicy;
    /** Steps of one's own, as with `deployments.startRollout`, in place of a strategy. */
    readonly steps?: readonly RolloutStep[];
    readonly onInconclusive?: 'pause' | 'rollback';
  };
  /** Whether it goes on to Production once its rollout is complete; true when left out. */
  readonly promote?: boolean;
}

/** Versions by the calendar. */
export interface RouteCalendar {
  /** From each time of the cron expression on, the version (a reference such as `2.1.0` or an id) answers. */
  readonly entries: readonly { readonly cron: string; readonly version: string }[];
  /** `UTC` when left out. */
  readonly timeZone?: string;
}

/** What a rule of one's own answers; asked in order, before the matrix, and the first that holds decides. */
export interface ResponseRule {
  readonly name: string;
  /** CEL over `event` (`type`, `payload`), such as `event.payload.rule == "accuracy"`. */
  readonly when: string;
  readonly do: readonly (ResponseActionName | ResponseAction)[];
}

/** So many within so long. */
export interface ResponseLimit {
  readonly count: number;
  readonly withinMs: number;
}

/** How a deployment's troubles are answered. */
export interface ResponsePolicyOptions {
  /** Decides and records, and does nothing. */
  readonly dryRun?: boolean;
  readonly rules?: readonly ResponseRule[];
  /** Over the rows of {@link responseMatrix}; an empty list does nothing. */
  readonly matrix?: {
    readonly [K in ResponseKind]?: readonly (ResponseActionName | ResponseAction)[];
  };
  readonly retrain?: RetrainPlan;
  readonly calendar?: RouteCalendar & {
    /** Whether it is followed from now on, or once `follow-calendar` says so; false when left out. */
    readonly follow?: boolean;
  };
  readonly limits?: {
    /** All actions of the policy together; 20 an hour when left out. */
    readonly all?: ResponseLimit;
    /** Over {@link defaultLimits}. */
    readonly actions?: { readonly [K in ResponseActionName]?: ResponseLimit };
  };
  /** A trouble began with a rollout that began or ended so long before it; a day when left out. */
  readonly rolloutWithinMs?: number;
}

/** A policy as it stands. */
export interface ResponsePolicy extends ResponsePolicyOptions {
  readonly id: string;
  readonly deploymentId: string;
  /** The deployment's name. */
  readonly deployment: string;
  readonly model: string;
  /** A disabled one decides nothing, and what is under way of it stays where it is. */
  readonly enabled: boolean;
  readonly calendarOn: boolean;
  /** The time of the calendar that was followed last. */
  readonly switchedAt?: number;
  /** Events from then on are answered; epoch ms. */
  readonly since: number;
  readonly revision: number;
}

const hourMs = 3_600_000;
const dayMs = 24 * hourMs;

/** What answers which kind where the policy does not say otherwise. */
export const responseMatrix: {
  readonly [K in ResponseKind]: readonly (ResponseActionName | ResponseAction)[];
} = {
  SUDDEN: [{ action: 'rollback', otherwise: ['pause-rollout', 'page'] }],
  GRADUAL: [{ action: 'retrain', otherwise: ['notify'] }],
  INCREMENTAL: [{ action: 'update', otherwise: ['notify'] }],
  RECURRING: [{ action: 'follow-calendar', otherwise: ['notify'] }],
  BLIP: ['raise-attention'],
  UNKNOWN: [{ action: 'retrain', otherwise: ['notify'] }],
  OTHER: [],
  CRITICAL: ['freeze'],
};

/** How often at most, by action; what is over it is recorded as LIMITED. */
export const defaultLimits: { readonly [K in ResponseActionName]: ResponseLimit } = {
  rollback: { count: 2, withinMs: hourMs },
  'pause-rollout': { count: 5, withinMs: hourMs },
  'cut-traffic': { count: 1, withinMs: hourMs },
  retrain: { count: 1, withinMs: dayMs },
  update: { count: 4, withinMs: dayMs },
  'follow-calendar': { count: 1, withinMs: hourMs },
  'raise-attention': { count: 10, withinMs: hourMs },
  freeze: { count: 10, withinMs: hourMs },
  notify: { count: 10, withinMs: hourMs },
  page: { count: 5, withinMs: hourMs },
};

/** All actions of a policy together. */
export const defaultLimit: ResponseLimit = { count: 20, withinMs: hourMs };
/** How far back data are recent. */
export const defaultRecentMs: number = 30 * dayMs;
/** So many recent requests with labels at least. */
export const defaultMinimumLabels = 100;
/** How long before a trouble a rollout may have been that it began with. */
export const defaultRolloutWithinMs: number = dayMs;

/** An action with its defaults spelt out. */
export function spelt(action: ResponseActionName | ResponseAction): ResponseAction {
  return typeof action === 'string' ? { action } : action;
}

/** A policy out of its record. */
export function policyFromRecord({ id, columns: c, body, revision }: StoredRecord): ResponsePolicy {
  const switchedAt = c['switchedAt'] as number | undefined;
  return {
    ...(body as unknown as ResponsePolicyOptions),
    id,
    deploymentId: c['deploymentId'] as string,
    deployment: c['deployment'] as string,
    model: c['model'] as string,
    enabled: c['enabled'] as boolean,
    calendarOn: c['calendarOn'] as boolean,
    ...(switchedAt === undefined ? {} : { switchedAt }),
    since: c['since'] as number,
    revision,
  };
}
