import { createHash } from 'node:crypto';
import { inspect } from 'node:util';
import type { ModuleOutput } from '../contracts/module-context.ts';
import { type ErrorCode, isKeelsonError } from '../errors.ts';
import type { JsonObject } from '../json.ts';
import type { FailureClass, RetryPolicy } from './definition.ts';
import type { ArtifactFacts } from './step-artifact.ts';

/** What a {@link StepError} may be given besides. */
export interface StepErrorOptions {
  readonly cause?: unknown;
  /**
   * What the attempt has put out that is to be kept although it failed, such as a report: they are found in
   * `pipelines.steps` under `failed/a<attempt>/<name>`.
   */
  readonly artifacts?: readonly (ArtifactFacts | ModuleOutput)[];
}

/** What a step throws to say which kind of failure it is: a `data` error is not tried again. */
export class StepError extends Error {
  override readonly name = 'StepError';
  readonly failure: FailureClass;
  readonly artifacts: readonly (ArtifactFacts | ModuleOutput)[];

  constructor(failure: FailureClass, message: string, options: StepErrorOptions = {}) {
    super(message, 'cause' in options ? { cause: options.cause } : undefined);
    this.failure = failure;
    this.artifacts = options.artifacts ?? [];
  }
}

/** What a step asked to be kept of a failed attempt. */
export function artifactsOfFailure(error: unknown): StepError['artifacts'] {
  for (let at = error, depth = 0; at instanceof Error && depth < 10; at = at.cause, depth += 1) {
    // By name, as in classOf; a copy of another version has none.
    if (at.name === 'StepError' && 'artifacts' in at && Array.isArray(at.artifacts)) {
      return at.artifacts;
    }
  }
  return [];
}

/** A failure as it is stored; bounded, so that recording it always fits. */
export interface StepFailure {
  readonly class: FailureClass;
  readonly name: string;
  readonly message: string;
  readonly code?: string;
  readonly stack?: string;
}

/** How many retries, and how they are spaced, where a step says only how many, or nothing. */
export const defaultRetry: RetryPolicy = {
  limit: 0,
  delayMs: 1000,
  factor: 2,
  maxDelayMs: 60_000,
  on: ['transient', 'resource'],
};

const keelsonCodes: Readonly<Record<ErrorCode, FailureClass | undefined>> = {
  INVALID: 'data',
  SYNTAX: 'data',
  CORRUPT: 'data',
  EXHAUSTED: 'resource',
  TIMEOUT: 'transient',
  UNAVAILABLE: 'transient',
  STALE: 'transient',
  LOST: 'transient',
  CONFLICT: 'permanent',
  NOT_FOUND: 'permanent',
  IMMUTABLE: 'permanent',
  FORBIDDEN: 'permanent',
  CLOSED: 'permanent',
  ABORTED: 'permanent',
  UNSUPPORTED: 'permanent',
  INCOMPATIBLE: 'permanent',
  // What lies behind them decides.
  FAILED: undefined,
  INTERNAL: undefined,
};

const systemCodes: Readonly<Record<string, FailureClass>> = {
  ECONNRESET: 'transient',
  ECONNREFUSED: 'transient',
  ETIMEDOUT: 'transient',
  EPIPE: 'transient',
  EAI_AGAIN: 'transient',
  EBUSY: 'transient',
  EAGAIN: 'transient',
  ENOSPC: 'resource',
  EDQUOT: 'resource',
  ENOMEM: 'resource',
  EMFILE: 'resource',
  ENFILE: 'resource',
  ENOENT: 'permanent',
  EACCES: 'permanent',
  EPERM: 'permanent',
  E2BIG: 'permanent',
  MODULE_NOT_FOUND: 'permanent',
  ERR_MODULE_NOT_FOUND: 'permanent',
};

/**
 * The class of what a step threw: what it says itself ({@link StepError}), Keelson's and the system's
 * codes, the names of validation and programming errors; anything else may be better luck next time.
 */
export function classifyFailure(error: unknown): FailureClass {
  for (let at = error, depth = 0; at instanceof Error && depth < 10; at = at.cause, depth += 1) {
    const found = classOf(at);
    if (found !== undefined) return found;
  }
  return 'transient';
}

function classOf(error: Error): FailureClass | undefined {
  // By name rather than by class, so that a second copy of the package is understood too.
  if (error.name === 'StepError' && 'failure' in error) return error.failure as FailureClass;
  if (isKeelsonError(error)) return keelsonCodes[error.code];
  const code = (error as NodeJS.ErrnoException).code;
  if (typeof code === 'string' && code in systemCodes) return systemCodes[code];
  if (error.name === 'ZodError' || error.name === 'ValidationError') return 'data';
  if (error.name === 'ReferenceError' || error.name === 'SyntaxError') return 'permanent';
  return undefined;
}

/**
 * What a step threw, or an error that stands for it where it throws by itself when it is looked at, as getters and
 * proxies may.
 */
export function readableThrow(thrown: unknown): unknown {
  try {
    describeFailure(thrown);
    artifactsOfFailure(thrown);
    return thrown;
  } catch {
    return new Error('What the step threw cannot be read.');
  }
}

/** The stored form of what a step threw: text that every store takes, of bounded length. */
export function describeFailure(error: unknown): StepFailure {
  const known = error instanceof Error ? error : undefined;
  const code = (known as NodeJS.ErrnoException | undefined)?.code;
  return {
    class: classifyFailure(error),
    name: plainText(known?.name ?? typeof error, 200),
    message: plainText(known?.message ?? textOf(error), 4000),
    ...(typeof code === 'string' ? { code: plainText(code, 100) } : {}),
    ...(known?.stack === undefined ? {} : { stack: plainText(known.stack, 8000) }),
  };
}

/** {@link describeFailure}'s answer as JSON. */
export function failureJson(failure: StepFailure): JsonObject {
  return { ...failure };
}

// Anything can be thrown, also what has no text.
function textOf(thrown: unknown): string {
  return typeof thrown === 'string' ? thrown : inspect(thrown, { depth: 2 });
}

function plainText(text: string, maxLength: number): string {
  return String(text).slice(0, maxLength).replaceAll('\u0000', '\\0').toWellFormed();
}

/** What follows from a failed attempt. */
export type AfterFailure =
  | { readonly next: 'retry'; readonly delayMs: number }
  | { readonly next: 'fail'; readonly exhausted: boolean };

/**
 * What follows from the `failures`-th failure of a step (1 for the first). The delay grows by the
 * policy and is spread over its upper half by `seed`, so that it is the same whoever computes it.
 */
export function afterFailure(
  policy: RetryPolicy,
  failure: FailureClass,
  failures: number,
  seed: string,
): AfterFailure {
  if (!policy.on.includes(failure)) return { next: 'fail', exhausted: false };
  if (failures > policy.limit) return { next: 'fail', exhausted: policy.limit > 0 };
  const full = Math.min(policy.maxDelayMs, policy.delayMs * policy.factor ** (failures - 1));
  const spread = createHash('sha256').update(`${seed}:${failures}`).digest().readUInt32BE(0);
  return { next: 'retry', delayMs: Math.round(full * (0.5 + spread / 2 ** 33)) };
}
