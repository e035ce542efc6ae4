import { availableParallelism } from 'node:os';
import type { BatchingConfig, Clock, Ids, Isolation, Logger } from '@keelson/core';
import { correlatedLogger, KeelsonError } from '@keelson/core';
import type { RateLimitOptions } from '../http/rate-limit.ts';
import type { ScalingSignals } from '../scaling/version-scaler.ts';
import { assertCaller, type CallerOption } from './caller-facts.ts';

/** How models are served; every value has a default. What a deployment says of itself (`serving`) goes before it. */
export interface ServingOptions {
  /** The deployments to serve, by name: at least one. */
  readonly deployments: readonly string[];
  /** Replicas of each version: one less than the machine's parallelism, from 1 to 4, when left out. */
  readonly replicas?: number;
  /**
   * Where models run: `thread` (the default) keeps inference off the HTTP thread; `process` also contains models that
   * crash, leak or hang in native code; `none` runs them on the HTTP thread, for models of well under a millisecond,
   * without any protection.
   */
  readonly isolation?: Isolation;
  /** Of each replica that is a process: above it another takes its place. No limit when left out. */
  readonly memoryBytes?: number;
  /** How requests share calls of a model; as they come (`adaptive`) when left out. */
  readonly batching?: BatchingConfig;
  /** Requests that may wait for a replica of one version; 256. */
  readonly maxQueue?: number;
  /** From a request's arrival until its answer, or 504; 30,000. */
  readonly timeoutMs?: number;
  /** Of a request, unpacked; 16 MiB. */
  readonly maxBodyBytes?: number;
  /** Of a request; 10,000. */
  readonly maxRows?: number;
  /** None when left out. */
  readonly rateLimit?: RateLimitOptions;
  /** Predictions being answered at a time, of all deployments; more get 503. No limit when left out. */
  readonly maxConcurrent?: number;
  /** For loading and warming a replica; 60,000. */
  readonly loadTimeoutMs?: number;
  /** How long a request may run past its deadline before its replica counts as hung and is replaced; 5,000. */
  readonly hungAfterMs?: number;
  /** How long an old version may take to finish its requests; 60,000. */
  readonly drainMs?: number;
  /** Copies that may wait for a shadow version before more are dropped; 1,024. */
  readonly maxShadows?: number;
  /** How often routes are read again without a wake-up; 1,000. */
  readonly pollMs?: number;
  /**
   * `explicit` lets whoever reaches the server load and unload deployments in this process, by Triton's repository
   * extension; `none`, the default, leaves that to the platform.
   */
  readonly modelControl?: 'none' | 'explicit';
  /** Answers from so many bytes on are compressed for callers that accept gzip or deflate; 16,384. */
  readonly compressFromBytes?: number;
  /** Whose requests they are, for the prediction log: by headers, or as a function says. Nobody's when left out. */
  readonly caller?: CallerOption;
  /** What the autoscaler cannot see itself, such as the memory of GPUs. */
  readonly signals?: ScalingSignals;
  readonly logger?: Logger;
  readonly clock?: Clock;
  readonly ids?: Ids;
}

/** What has no default: it comes from outside, or is off. */
type WithoutDefault =
  | ('batching' | 'memoryBytes' | 'rateLimit' | 'maxConcurrent')
  | ('caller' | 'signals' | 'logger' | 'clock' | 'ids');

/** Options with their defaults. */
export type ResolvedServingOptions = Required<Omit<ServingOptions, WithoutDefault>> &
  Pick<ServingOptions, WithoutDefault>;

/** 16 MiB. */
export const defaultMaxBodyBytes: number = 16 * 1024 * 1024;

const defaults = {
  isolation: 'thread',
  maxQueue: 256,
  timeoutMs: 30_000,
  maxBodyBytes: defaultMaxBodyBytes,
  maxRows: 10_000,
  loadTimeoutMs: 60_000,
  hungAfterMs: 5_000,
  drainMs: 60_000,
  maxShadows: 1_024,
  pollMs: 1_000,
  modelControl: 'none',
  compressFromBytes: 16_384,
} as const;

const known: readonly string[] = [
  ...Object.keys(defaults),
  'deployments',
  'replicas',
  'batching',
  'memoryBytes',
  'rateLimit',
  'maxConcurrent',
  'caller',
  'signals',
  'logger',
  'clock',
  'ids',
];

/** Fills in the defaults. INVALID, naming the option, for an unknown one or a value out of its range. */
export function resolveOptions(options: ServingOptions): ResolvedServingOptions {
  for (const key of Object.keys(options)) {
    if (!known.includes(key))
      throw new KeelsonError('INVALID', `Unknown option "${key}"; known are ${known.join(', ')}.`);
  }
  const given = Object.fromEntries(
    Object.entries(options).filter(([, value]) => value !== undefined),
  );
  const replicas = Math.min(4, Math.max(1, availableParallelism() - 1));
  const { logger } = options;
  const resolved: ResolvedServingOptions = {
    ...defaults,
    replicas,
    deployments: [],
    ...given,
    ...(logger === undefined ? {} : { logger: correlatedLogger(logger) }),
  };
  const isList =
    Array.isArray(resolved.deployments) &&
    resolved.deployments.every((name) => typeof name === 'string' && name !== '');
  if (!isList || resolved.deployments.length === 0) {
    throw new KeelsonError('INVALID', 'Option "deployments" must name at least one deployment.');
  }
  if (!['thread', 'process', 'none'].includes(resolved.isolation)) {
    throw new KeelsonError('INVALID', 'Option "isolation" must be "thread", "process" or "none".');
  }
  if (resolved.modelControl !== 'none' && resolved.modelControl !== 'explicit') {
    throw new KeelsonError('INVALID', 'Option "modelControl" must be "none" or "explicit".');
  }
  if (resolved.caller !== undefined) assertCaller(resolved.caller);
  if (resolved.memoryBytes !== undefined)
    assertRange(resolved, 'memoryBytes', 2 ** 20, Number.MAX_SAFE_INTEGER);
  if (resolved.maxConcurrent !== undefined) assertRange(resolved, 'maxConcurrent', 1, 2 ** 31 - 1);
  assertRange(resolved, 'replicas', 1, 256);
  assertRange(resolved, 'maxBodyBytes', 1, 2 ** 30);
  for (const key of [
    'maxQueue',
    'maxShadows',
    'hungAfterMs',
    'drainMs',
    'compressFromBytes',
  ] as const)
    assertRange(resolved, key, 0, 2 ** 31 - 1);
  for (const key of ['timeoutMs', 'maxRows', 'loadTimeoutMs', 'pollMs'] as const)
    assertRange(resolved, key, 1, 2 ** 31 - 1);
  return resolved;
}

function assertRange(
  options: ResolvedServingOptions,
  key: keyof ResolvedServingOptions,
  min: number,
  max: number,
): void {
  const value = options[key];
  if (!Number.isInteger(value) || (value as number) < min || (value as number) > max) {
    throw new KeelsonError(
      'INVALID',
      `Option "${key}" must be an integer from ${min} to ${max}, not ${String(value)}.`,
    );
  }
}
