import { z } from 'zod';
import { checkOptions } from '../check-options.ts';
import type { Change } from '../contracts/metadata-store.ts';
import { KeelsonError } from '../errors.ts';
import { assertText, type Json } from '../json.ts';

/** What a step has when it runs, or is undone. */
export interface SagaContext<I = Json> {
  readonly sagaId: string;
  readonly input: I;
  /** What the steps before have answered, by name; in a compensation, its own step's result too, if it has one. */
  readonly results: Readonly<Record<string, Json>>;
  /** In a compensation: why the saga turned back. */
  readonly error?: string;
  /** How often this was begun, from 1. */
  readonly attempt: number;
  /** The same whenever this step of this saga runs (another one for its compensation): for calls elsewhere. */
  readonly idempotencyKey: string;
  /**
   * For the step's own commits: one by a process that was taken over (it stood still for longer than its
   * lease, say) is LOST with it, and so cannot come after what its successor has done or undone. Calls
   * elsewhere have only the key: let the receiver refuse a key that was undone.
   */
  readonly hold: Change;
  /** Aborted when the step's time is up, the process stops, or another process has taken over. */
  readonly signal: AbortSignal;
}

/** What a step answers. */
export interface SagaStepDone {
  /** Kept, for later steps and the compensation. */
  readonly result?: Json;
  /** Committed together with the step's completion: these effects happen once. */
  readonly changes?: readonly Change[];
}

/**
 * One step. A process may die anywhere in it: `run` and `compensate` are called again then, so each must
 * be harmless when its work is done already. `compensate` undoes whatever `run` has done: all, a part, or
 * nothing; without it there is nothing to undo.
 */
export interface SagaStep<I = Json> {
  /** Unique in its saga; what is stored refers to it. */
  readonly name: string;
  run(context: SagaContext<I>): Promise<SagaStepDone | undefined>;
  compensate?(context: SagaContext<I>): Promise<SagaStepDone | undefined>;
  /** For one attempt; 60,000 when left out. The step must heed its signal: what goes on after it is not waited for. */
  readonly timeoutMs?: number;
  /** How often it may fail, and its compensation too; 5 when left out. */
  readonly maxAttempts?: number;
}

/** A change of several steps that ends wholly done or wholly undone. */
export interface SagaDefinition<I = Json> {
  readonly name: string;
  readonly steps: readonly SagaStep<I>[];
  /** After which it turns back, unless it is done; no limit when left out. */
  readonly timeoutMs?: number;
}

/** A definition whatever its input. */
export type AnySaga = SagaDefinition<never>;

const whole = z
  .number()
  .int()
  .min(1)
  .max(2 ** 31 - 1);
const isFunction = (value: unknown): boolean => typeof value === 'function';
const stepShape = z.strictObject({
  name: z.string().min(1).max(200),
  run: z.custom(isFunction, 'must be a function'),
  compensate: z.custom(isFunction, 'must be a function').optional(),
  timeoutMs: whole.optional(),
  maxAttempts: whole.max(1000).optional(),
} satisfies Record<keyof SagaStep, z.ZodType>);
const sagaShape = z.strictObject({
  steps: z.array(stepShape).min(1).max(100),
  timeoutMs: whole.optional(),
});

/**
 * Defines a saga. Its steps run one after another; when one fails for good, it and those before it are
 * compensated, last first. INVALID for no steps, two of one name, and whatever is no step.
 */
export function defineSaga<I = Json>(
  name: string,
  steps: readonly SagaStep<I>[],
  options: { readonly timeoutMs?: number } = {},
): SagaDefinition<I> {
  assertText(name, 'The name of a saga', 200);
  if (name === '') throw new KeelsonError('INVALID', 'A saga needs a name.');
  checkOptions(z.strictObject({ timeoutMs: whole.optional() }), options, `The saga ${name}`);
  checkOptions(sagaShape, { steps }, `The saga ${name}`);
  const names = new Set(steps.map((step) => step.name));
  if (names.size < steps.length) {
    throw new KeelsonError('INVALID', `The saga ${name} has two steps of one name.`);
  }
  return { name, steps: [...steps], ...options };
}
