import { z } from 'zod';
import { checkOptions } from '../check-options.ts';
import { KeelsonError } from '../errors.ts';
import { asJson } from '../json.ts';
import type { FigureBounds } from './gate.ts';
import type { Strategy } from './revision.ts';

/** When requests that fail let a rollout go on, and when they turn it back. */
export interface ErrorPolicy {
  /** The share of failed requests at which it goes on. */
  readonly goAt?: number;
  /** Rolled back once it is shown that more fail. */
  readonly backAbove?: number;
  /** Requests of the candidate without which it does not go on. */
  readonly minimumRequests?: number;
}

/** The same for latency, as multiples of the baseline's before the rollout. */
export interface LatencyPolicy {
  readonly quantiles?: readonly number[];
  readonly goRatio?: number;
  readonly backRatio?: number;
  readonly minimumRequests?: number;
}

/** The same for the share of right answers, as differences from the baseline's. */
export interface AccuracyPolicy {
  readonly goMargin?: number;
  readonly backMargin?: number;
  readonly minimumLabels?: number;
}

/** A figure of one's own (`deployments.addFigure`), or of monitoring. */
export interface MetricPolicy {
  readonly figure: string;
  readonly go: FigureBounds;
  readonly back?: FigureBounds;
  readonly minimumSamples?: number;
}

/** One step of a canary. */
export interface CanaryStep {
  readonly weightPercent: number;
  readonly durationMs: number;
  /** Waits for `promoteRollout` before it goes on. */
  readonly manual?: boolean;
  /** What differs from the policy's in this step. */
  readonly errors?: ErrorPolicy | false;
  readonly latency?: LatencyPolicy | false;
  readonly accuracy?: AccuracyPolicy | false;
  readonly drift?: { readonly tolerance?: number; readonly minimumItems?: number } | false;
}

/** What a rollout must show; every number has a default, by strategy. `false` leaves a gate out. */
export interface RolloutPolicy {
  /** Of a canary: 5 % for 10 min, 25 % for 30 min, 50 % for 60 min, 75 % for 30 min and by hand, then all. */
  readonly steps?: readonly CanaryStep[];
  /** Of the others: how long the candidate is watched with all of the traffic (or in the shadow). */
  readonly durationMs?: number;
  /** The chance that a rollout of a candidate that is no worse is turned back by its tests, all gates together; 0.05. */
  readonly alpha?: number;
  readonly errors?: ErrorPolicy | false;
  /** The sequential comparison of failed requests with the baseline's at the same time. */
  readonly comparison?:
    | { readonly ratio?: number; readonly margin?: number; readonly minimumRequests?: number }
    | false;
  readonly latency?: LatencyPolicy | false;
  readonly accuracy?: AccuracyPolicy | false;
  readonly drift?: { readonly tolerance?: number; readonly minimumItems?: number } | false;
  readonly metrics?: readonly MetricPolicy[];
  /** The candidate answers every request in the shadow too, so that labels compare both on the same ones. */
  readonly paired?: { readonly margin?: number; readonly minimumItems?: number } | false;
  /** How many replicas of the candidate may fail, in percent; `false` where no process says how it serves. */
  readonly ready?: { readonly failingPercent?: number } | false;
  /** Of rolling: the share of traffic that each step adds. */
  readonly batchPercent?: number;
  /** Of a shadow: whether the candidate gets all traffic when it has passed. */
  readonly promote?: boolean;
  /** A step that may not go on after so long turns the rollout back as FAILED. */
  readonly progressDeadlineMs?: number;
  /** How long a version is watched that was gone back to, before that counts as done; 30 min. */
  readonly rollbackWatchMs?: number;
  /** The windows in which both versions are compared; a minute. */
  readonly windowMs?: number;
}

const share = z.number().min(0).max(1);
const rate = z.number().min(0).max(0.999);
const count = z.number().int().min(0);
const duration = z
  .number()
  .min(0)
  .max(366 * 86_400_000);
const orFalse = <T extends z.ZodType>(shape: T): z.ZodType =>
  z.union([z.literal(false), shape]).optional();
const bounds = z.strictObject({ min: z.number().optional(), max: z.number().optional() });

const gates = {
  errors: orFalse(
    z.strictObject({
      goAt: share.optional(),
      backAbove: rate.optional(),
      minimumRequests: count.optional(),
    } satisfies Record<keyof ErrorPolicy, z.ZodType>),
  ),
  latency: orFalse(
    z.strictObject({
      quantiles: z.array(z.number().min(0.01).max(0.9999)).min(1).max(5).optional(),
      goRatio: z.number().positive().optional(),
      backRatio: z.number().positive().optional(),
      minimumRequests: count.optional(),
    } satisfies Record<keyof LatencyPolicy, z.ZodType>),
  ),
  accuracy: orFalse(
    z.strictObject({
      goMargin: share.optional(),
      backMargin: share.optional(),
      minimumLabels: count.optional(),
    } satisfies Record<keyof AccuracyPolicy, z.ZodType>),
  ),
  drift: orFalse(z.strictObject({ tolerance: share.optional(), minimumItems: count.optional() })),
};

const stepShape = z.strictObject({
  weightPercent: z.number().positive().max(100),
  durationMs: duration,
  manual: z.boolean().optional(),
  ...gates,
} satisfies Record<keyof CanaryStep, z.ZodType>);

const policyShape = z.strictObject({
  steps: z.array(stepShape).min(1).max(50).optional(),
  durationMs: duration.optional(),
  alpha: z.number().min(1e-9).max(0.5).optional(),
  ...gates,
  comparison: orFalse(
    z.strictObject({
      ratio: z.number().min(1).optional(),
      margin: share.optional(),
      minimumRequests: count.optional(),
    }),
  ),
  metrics: z
    .array(
      z.strictObject({
        figure: z.string().min(1).max(255),
        go: bounds,
        back: bounds.optional(),
        minimumSamples: count.optional(),
      } satisfies Record<keyof MetricPolicy, z.ZodType>),
    )
    .max(20)
    .optional(),
  paired: orFalse(z.strictObject({ margin: rate.optional(), minimumItems: count.optional() })),
  ready: orFalse(z.strictObject({ failingPercent: z.number().min(0).max(100).optional() })),
  batchPercent: z.number().min(1).max(100).optional(),
  promote: z.boolean().optional(),
  progressDeadlineMs: duration.min(1).optional(),
  rollbackWatchMs: duration.optional(),
  windowMs: duration.min(1).optional(),
} satisfies Record<keyof RolloutPolicy, z.ZodType>);

/** What only one strategy understands. */
const onlyOf: Readonly<Record<string, readonly Strategy[]>> = {
  steps: ['canary'],
  durationMs: ['blue-green', 'rolling', 'immediate', 'shadow'],
  batchPercent: ['rolling'],
  promote: ['shadow'],
};

/**
 * Refuses, as INVALID and by the field's name, a policy that the strategy could not follow; with `suggested`, what only
 * one strategy understands.
 */
export function checkPolicy(
  strategy: Strategy | 'suggested',
  policy: RolloutPolicy,
): RolloutPolicy {
  asJson(policy ?? null, 'The policy of deploy');
  checkOptions(policyShape, policy, 'The policy of deploy');
  for (const [field, strategies] of Object.entries(onlyOf)) {
    if (!Object.hasOwn(policy, field) || strategies.includes(strategy as Strategy)) continue;
    throw new KeelsonError(
      'INVALID',
      `${field} is only for the strategies ${strategies.join(', ')}, not for ${strategy}.`,
    );
  }
  return policy;
}
