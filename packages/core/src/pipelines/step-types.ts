import type { ModuleContext, StepRun } from '../contracts/module-context.ts';
import type { Logger } from '../contracts/ports.ts';
import type { StepCheckpoint } from '../contracts/step-checkpoint.ts';
import type { Json, JsonObject } from '../json.ts';
import type { ActiveRun } from '../tracking/active-run.ts';
import type { InputSource } from './definition.ts';
import type { FurtherSteps } from './further-steps.ts';
import type { StepArtifact, StepOutputs } from './step-artifact.ts';

/**
 * `T` where it can pass from step to step: JSON values (NaN and its like included) and
 * {@link StepArtifact}s, nested as deep as you like; {@link CannotPass}, which nothing fits, in the place of what
 * cannot.
 */
// biome-ignore lint/suspicious/noConfusingVoidType: a step may return nothing
export type Passable<T> = T extends Json | undefined | void
  ? T
  : T extends StepArtifact | FurtherSteps
    ? T
    : T extends bigint | symbol | Unpassable | ((...args: never) => unknown)
      ? CannotPass
      : T extends object
        ? { readonly [K in keyof T]: Passable<T[K]> }
        : T extends unknown
          ? unknown extends T
            ? CannotPass
            : T
          : never;

declare const why: unique symbol;

/** What the compiler names where a step returns what cannot be stored, or what nobody knows (`unknown`). */
export interface CannotPass<Why extends string = 'a step returns JSON values and artifacts'> {
  readonly [why]: Why;
}

// Not in the place of what is returned: so that is inferred whole, unions too.
/** Nothing more to ask of a function that returns `R`, where what it comes to can pass from step to step. */
export type Returned<R> = [Awaited<R>] extends [Passable<Awaited<R>>] ? unknown : CannotPass;

type Unpassable =
  | Date
  | RegExp
  | Error
  | ArrayBuffer
  | ArrayBufferView
  | Promise<unknown>
  | ReadonlyMap<unknown, unknown>
  | ReadonlySet<unknown>;

declare const output: unique symbol;

/** Stands for a value that a step may take while a pipeline is being defined. */
export interface ValueHandle<out O = unknown> {
  readonly source: InputSource;
  /** Only for the compiler. */
  readonly [output]?: O;
}

/** Stands for the output of a step while a pipeline is being defined. */
export interface StepHandle<out O = unknown> extends ValueHandle<O> {
  readonly step: string;
  /** One field of the output, for a step that needs no more of it. */
  pick<K extends keyof NonNullable<O> & string>(field: K): ValueHandle<NonNullable<O>[K]>;
}

/** What a step takes: outputs of earlier steps, parameters and values by name, one or a list of them. */
export type StepInputs = Readonly<Record<string, ValueHandle | readonly ValueHandle[]>>;

/** Whether a step asks that all it depends on has completed, or only that it has ended. */
export type Join = 'completed' | 'ended';

/** What a step's function gets for its {@link StepInputs}: what was skipped is undefined where it joins that. */
export type InputValues<I extends StepInputs, J extends Join = 'completed'> = {
  readonly [K in keyof I]: I[K] extends ValueHandle<infer O>
    ? J extends 'ended'
      ? O | undefined
      : O
    : I[K] extends readonly ValueHandle[]
      ? ListValues<I[K], J>
      : never;
};

type ListValues<L extends readonly ValueHandle[], J extends Join> = {
  readonly [K in keyof L]: L[K] extends ValueHandle<infer O>
    ? J extends 'ended'
      ? O | null
      : O
    : never;
};

/** What later steps get of what a step returns: of further steps, what those put out. */
export type Settled<R> = R extends FurtherSteps<infer O> ? O : R;

/** The type of the value of a step with these outputs. */
export type OutputsOf<Q> = Flat<{
  readonly [K in keyof Q]: Q[K] extends { readonly optional: true }
    ? PortValue<Q[K]> | undefined
    : PortValue<Q[K]>;
}>;

type PortValue<Q> = Q extends { readonly type: 'parameter' | 'metrics' }
  ? Q extends { readonly schema: infer S }
    ? ValueOf<S>
    : Q extends { readonly type: 'metrics' }
      ? Readonly<Record<string, number>>
      : Json
  : StepArtifact;

/** All that a step's function gets. */
export interface StepContext<P = JsonObject, I = unknown> {
  readonly parameters: P;
  readonly inputs: I;
  /** Where bytes go: `outputs.artifact(name, source)`. */
  readonly outputs: StepOutputs;
  /** Aborted by a cancel, a timeout, a close, or when another process took the step over. */
  readonly signal: AbortSignal;
  /** 1 for the first. */
  readonly attempt: number;
  readonly executionId: string;
  readonly step: string;
  readonly correlationId: string;
  readonly logger: Logger;
  /** Which item of a fan-out this is, 0 for the first. */
  readonly item?: number;
  /** Of a step that repeats: 1 for the first. */
  readonly iteration?: number;
  /** In a fan-out: once this item has completed, the others are ended, such as when one is good enough. */
  stopSiblings(reason: string): void;
  /** Says how far it has come, from 0 to 1, to whoever watches; as often as you like. */
  progress(share: number, message?: string): void;
  /** Where this attempt can go on: what an earlier one has saved, whatever became of it. */
  readonly checkpoint: StepCheckpoint;
  /**
   * For a module in a thread or process that writes files or directories of its own: kept from attempt to attempt, where it writes `v1.tmp` and renames it to
   * `v1`, and so on.
   */
  readonly checkpointDir?: string;
  /** The last complete checkpoint of an earlier attempt, for a module in a thread or process. */
  readonly checkpointPath?: string;
  /**
   * The run of tracking that stands for this attempt, where pipelines are linked with tracking. A module in a
   * thread or process has only what can be written as lines ({@link StepRun}: metrics, params, tags, `progress`);
   * let its function take a {@link ModuleContext}, whose types hold wherever it runs.
   */
  readonly run?: ActiveRun;
}

/** A step's work. What it returns goes to the steps that take it as input, and must be {@link Passable}. */
export type StepFunction<P, I, O> = (context: StepContext<P, I>) => O | Promise<O>;

/** The type of the parameters that a JSON Schema describes, as far as it is written out literally. */
export type ParametersOf<S> = S extends { readonly type: 'object'; readonly properties: infer Q }
  ? Flat<
      { readonly [K in keyof Q as IsGiven<Q[K], K, S> extends true ? K : never]: ValueOf<Q[K]> } & {
        readonly [K in keyof Q as IsGiven<Q[K], K, S> extends true ? never : K]?: ValueOf<Q[K]>;
      }
    >
  : JsonObject;

/** What a caller must pass for {@link ParametersOf}: those with a default may be left out. */
export type GivenParametersOf<S> = S extends {
  readonly type: 'object';
  readonly properties: infer Q;
}
  ? Flat<
      {
        readonly [K in keyof Q as IsRequired<Q[K], K, S> extends true ? K : never]: ValueOf<Q[K]>;
      } & {
        readonly [K in keyof Q as IsRequired<Q[K], K, S> extends true ? never : K]?: ValueOf<Q[K]>;
      }
    >
  : JsonObject;

type Flat<T> = { [K in keyof T]: T[K] };
type IsListed<K, S> = S extends { readonly required: readonly (infer R)[] }
  ? K extends R
    ? true
    : false
  : false;
type HasDefault<T> = T extends { readonly default: unknown } ? true : false;
type IsGiven<T, K, S> = HasDefault<T> extends true ? true : IsListed<K, S>;
type IsRequired<T, K, S> = HasDefault<T> extends true ? false : IsListed<K, S>;

type ValueOf<T> = T extends { readonly const: infer C }
  ? C
  : T extends { readonly enum: readonly (infer E)[] }
    ? E
    : T extends { readonly type: 'string' }
      ? string
      : T extends { readonly type: 'number' | 'integer' }
        ? number
        : T extends { readonly type: 'boolean' }
          ? boolean
          : T extends { readonly type: 'null' }
            ? null
            : T extends { readonly type: 'array'; readonly items: infer E }
              ? readonly ValueOf<E>[]
              : T extends { readonly type: 'object'; readonly properties: unknown }
                ? ParametersOf<T>
                : unknown;
