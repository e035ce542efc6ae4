import { z } from 'zod';
import { checkOptions } from '../check-options.ts';
import type {
  AnswerChecksConfig,
  BatchingConfig,
  ResultCacheConfig,
  RuntimeConfig,
  ScalingConfig,
  ServingConfig,
  UsualInput,
} from '../contracts/serving-config.ts';
import type { Route, RouteRule } from '../contracts/traffic-router.ts';
import { KeelsonError } from '../errors.ts';
import { asJson, type Json } from '../json.ts';
import { checkPromotionPolicy, type PromotionPolicy } from './promotion-policy.ts';

/** What a replica may take of its machine; nothing is limited where a figure is left out. */
export interface DeploymentResources {
  /** Cores, fractions included. */
  readonly cpus?: number;
  readonly memoryBytes?: number;
  readonly gpus?: number;
}

/** How it is told whether a deployment answers. */
export interface HealthCheckConfig {
  /** 10,000 when left out. */
  readonly intervalMs?: number;
  /** 5,000 when left out. */
  readonly timeoutMs?: number;
  /** So many failures in a row make it DEGRADED; 3 when left out. */
  readonly failureThreshold?: number;
}

/** Which requests go where, whatever rollout is under way. */
export interface TrafficConfig {
  /** Requests with one key stay with one version as long as weights allow. */
  readonly sticky?: Route['sticky'];
  /** Tried in order, before any weight. */
  readonly rules?: readonly RouteRule[];
  /** Answers when the chosen version has no live replica. */
  readonly fallbackVersionId?: string;
}

/** All of a deployment that a change may touch, but for its version. */
export interface DeploymentConfig {
  /** How its versions are run; what is left out is as the serving process has it. */
  readonly serving: ServingConfig;
  /** A fixed number of replicas where it is left out. */
  readonly scaling?: ScalingConfig;
  readonly resources: DeploymentResources;
  readonly healthCheck: HealthCheckConfig;
  readonly traffic: TrafficConfig;
  /** How long a version that no longer answers is kept loaded for an instant return; 24 hours when left out. */
  readonly warmMs?: number;
  /** From how many of its newest revisions the versions are kept for a rollback; 10 when left out, 2 at least. */
  readonly keptRevisions?: number;
}

/** The parts that are given replace those of before; `null` takes one away. */
type Changed<T> = { readonly [K in keyof T]?: T[K] | null };

/** A change of a deployment's configuration: within a part, the fields that are named are replaced, `null` clears. */
export interface DeploymentChange {
  readonly serving?: Changed<ServingConfig>;
  readonly scaling?: ScalingConfig | null;
  readonly resources?: Changed<DeploymentResources>;
  readonly healthCheck?: Changed<HealthCheckConfig>;
  readonly traffic?: Changed<TrafficConfig>;
  readonly warmMs?: number | null;
  readonly keptRevisions?: number | null;
  readonly endpointUrl?: string | null;
  /** Tags that are named are set, `null` removes one. */
  readonly tags?: Readonly<Record<string, string | null>>;
  /**
   * What a promotion of its model to Production starts, from now on; `null`: nothing. Where the rollout fails, the
   * registry, the route and the monitor go back together.
   */
  readonly onPromotion?: PromotionPolicy | null;
}

/** How many tags a deployment may have. */
export const mostTags = 20;

const whole = z.number().int().min(0).max(Number.MAX_SAFE_INTEGER);
const counted = whole.min(1);
const duration = z
  .number()
  .min(0)
  .max(366 * 86_400_000);
const name = z.string().min(1).max(255);
const versionId = z.string().min(1).max(255);
const url = z.url({ protocol: /^https?$/ });

const runtimeShape = z.strictObject({
  name,
  endpoint: url.optional(),
  model: name.optional(),
  formats: z.array(z.string().min(1)).min(1).optional(),
  headers: z.record(z.string().min(1), z.string()).optional(),
  options: z
    .custom<Readonly<Record<string, Json>>>(
      (value) => typeof value === 'object' && value !== null && !Array.isArray(value),
      'must be an object',
    )
    .optional(),
} satisfies Record<keyof RuntimeConfig, z.ZodType>);

const batchingShape = z.strictObject({
  mode: z.enum(['adaptive', 'fixed', 'off']),
  maxRows: counted.max(1_000_000).optional(),
  maxDelayMs: duration.optional(),
  latencyTargetMs: duration.optional(),
} satisfies Record<keyof BatchingConfig, z.ZodType>);

const cacheShape = z.strictObject({
  maxBytes: counted,
  ttlMs: duration.optional(),
  decimals: whole.max(15).optional(),
} satisfies Record<keyof ResultCacheConfig, z.ZodType>);

const rangeShape = z
  .strictObject({ min: z.number().optional(), max: z.number().optional() })
  .refine(({ min, max }) => min === undefined || max === undefined || min <= max, {
    message: 'min must not be above max',
  });

const usualShape = z
  .strictObject({
    min: z.number().optional(),
    max: z.number().optional(),
    values: z.array(z.string()).max(10_000).optional(),
    missing: z.boolean().optional(),
  } satisfies Record<keyof UsualInput, z.ZodType>)
  .refine(({ min, max }) => min === undefined || max === undefined || min <= max, {
    message: 'min must not be above max',
  });

const answersShape = z.strictObject({
  enforce: z.boolean().optional(),
  ranges: z.record(z.string().min(1), rangeShape).optional(),
  minimumConfidence: z.number().min(0).max(1).optional(),
  below: z.enum(['flag', 'refuse', 'fallback']).optional(),
  inputs: z.record(z.string().min(1), usualShape).optional(),
} satisfies Record<keyof AnswerChecksConfig, z.ZodType>);

const servingFields = {
  runtime: runtimeShape.optional(),
  isolation: z.enum(['none', 'thread', 'process']).optional(),
  replicas: counted.max(10_000).optional(),
  batching: batchingShape.optional(),
  cache: cacheShape.optional(),
  answers: answersShape.optional(),
  maxQueue: whole.optional(),
  timeoutMs: duration.min(1).optional(),
} satisfies Record<keyof ServingConfig, z.ZodType>;

const scalingShape = z
  .strictObject({
    min: whole.max(10_000),
    max: counted.max(10_000),
    targetOutstanding: z.number().positive().optional(),
    latencyTargetMs: duration.min(1).optional(),
    targetRequestsPerSecond: z.number().positive().optional(),
    targetCpuPercent: z.number().positive().max(100).optional(),
    targetGpuMemoryPercent: z.number().positive().max(100).optional(),
    spares: whole.max(10_000).optional(),
    scaleToZeroAfterMs: duration.min(1).optional(),
    downAfterMs: duration.optional(),
  } satisfies Record<keyof ScalingConfig, z.ZodType>)
  .superRefine(({ min, max, scaleToZeroAfterMs }, context) => {
    const wrong = (path: string, message: string): void =>
      context.addIssue({ code: 'custom', path: [path], message });
    if (min > max) wrong('min', `must not be above max, ${max}`);
    if (min === 0 && scaleToZeroAfterMs === undefined)
      wrong('scaleToZeroAfterMs', 'is needed where min is 0');
    if (min > 0 && scaleToZeroAfterMs !== undefined)
      wrong('scaleToZeroAfterMs', 'is only for min: 0');
  });

const resourcesFields = {
  cpus: z.number().positive().optional(),
  memoryBytes: counted.optional(),
  gpus: whole.optional(),
} satisfies Record<keyof DeploymentResources, z.ZodType>;

const healthCheckFields = {
  intervalMs: duration.min(100).optional(),
  timeoutMs: duration.min(1).optional(),
  failureThreshold: counted.max(1000).optional(),
} satisfies Record<keyof HealthCheckConfig, z.ZodType>;

const matchShape = z.union([
  z.strictObject({ header: z.string().min(1), equals: z.string() }),
  z.strictObject({ attribute: z.string().min(1), equals: z.json() }),
]);

const trafficFields = {
  sticky: z.strictObject({ header: z.string().min(1), salt: z.string() }).optional(),
  rules: z
    .array(z.strictObject({ match: matchShape, versionId }))
    .max(100)
    .optional(),
  fallbackVersionId: versionId.optional(),
} satisfies Record<keyof TrafficConfig, z.ZodType>;

const keptFields = {
  warmMs: duration.optional(),
  keptRevisions: whole.min(2).max(100).optional(),
};

/** The shapes of a configuration's parts, for whoever takes one. */
export const configFields: Readonly<Record<keyof DeploymentConfig, z.ZodType>> = {
  serving: z.strictObject(servingFields).optional(),
  scaling: scalingShape.optional(),
  resources: z.strictObject(resourcesFields).optional(),
  healthCheck: z.strictObject(healthCheckFields).optional(),
  traffic: z.strictObject(trafficFields).optional(),
  ...keptFields,
};

/** The shape of tags, as they are given at once. */
export const tagsShape: z.ZodType = z.record(z.string().min(1).max(250), z.string().max(5000));

/** The shape of where a deployment answers. */
export const endpointShape: z.ZodType = url;

const changeShape = z.strictObject({
  serving: clearable(servingFields).optional(),
  scaling: scalingShape.nullable().optional(),
  resources: clearable(resourcesFields).optional(),
  healthCheck: clearable(healthCheckFields).optional(),
  traffic: clearable(trafficFields).optional(),
  warmMs: keptFields.warmMs.nullable(),
  keptRevisions: keptFields.keptRevisions.nullable(),
  endpointUrl: url.nullable().optional(),
  tags: z.record(z.string().min(1).max(250), z.string().max(5000).nullable()).optional(),
  onPromotion: z.unknown().optional(),
} satisfies Record<keyof DeploymentChange, z.ZodType>);

/** Refuses, as INVALID and by the field's name, a change that could not be made. */
export function checkChange(change: DeploymentChange): DeploymentChange {
  const what = 'configure';
  asJson(change, `The change of ${what}`);
  checkOptions(changeShape, change, what);
  if (change.onPromotion !== undefined && change.onPromotion !== null)
    checkPromotionPolicy(change.onPromotion);
  return change;
}

/** The configuration after a change. */
export function changedConfig(
  config: DeploymentConfig,
  change: DeploymentChange,
): DeploymentConfig {
  const scaling = change.scaling === undefined ? config.scaling : change.scaling;
  const warmMs = change.warmMs === undefined ? config.warmMs : change.warmMs;
  const kept = change.keptRevisions === undefined ? config.keptRevisions : change.keptRevisions;
  return {
    serving: merged(config.serving, change.serving),
    resources: merged(config.resources, change.resources),
    healthCheck: merged(config.healthCheck, change.healthCheck),
    traffic: merged(config.traffic, change.traffic),
    ...present({ scaling, warmMs, keptRevisions: kept }),
  };
}

/** Tags after a change. INVALID for more than there may be. */
export function changedTags(
  tags: Readonly<Record<string, string>>,
  change: DeploymentChange['tags'],
): Readonly<Record<string, string>> {
  const after = merged<Record<string, string>>(tags, change);
  const count = Object.keys(after).length;
  if (count <= mostTags) return after;
  throw new KeelsonError('INVALID', `tags: ${count} are more than the ${mostTags} allowed.`);
}

function merged<T extends object>(before: T, change: Changed<T> | undefined): T {
  return present({ ...before, ...change }) as T;
}

/** Without what is null or undefined. */
function present<T extends object>(value: T): { readonly [K in keyof T]: NonNullable<T[K]> } {
  const entries = Object.entries(value).filter(([, each]) => each !== undefined && each !== null);
  return Object.fromEntries(entries) as { readonly [K in keyof T]: NonNullable<T[K]> };
}

function clearable(fields: Readonly<Record<string, z.ZodType>>): z.ZodObject {
  return z.strictObject(
    Object.fromEntries(Object.entries(fields).map(([key, shape]) => [key, shape.nullable()])),
  );
}

/** The versions that it names. */
export function versionsOfTraffic({
  rules,
  fallbackVersionId,
}: TrafficConfig = {}): readonly string[] {
  const named = (rules ?? []).map((rule) => rule.versionId);
  return fallbackVersionId === undefined ? named : [...named, fallbackVersionId];
}
