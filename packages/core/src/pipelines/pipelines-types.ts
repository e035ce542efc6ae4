import type { DownloadCache } from '../contracts/download-cache.ts';
import type { Loop } from '../contracts/loop.ts';
import type { JsonObject } from '../json.ts';
import type { QueuedStep, UserLimits } from './admission/admission.ts';
import type { PoolUse } from './admission/pool-uses.ts';
import type { KeyParts } from './cache/explain-key.ts';
import type { Pipeline } from './define-pipeline.ts';
import type { PipelineDefinition } from './definition.ts';
import type { Execution } from './execution.ts';
import type { ExecutionStatus } from './execution-state.ts';
import type { ExecutorsHere } from './executors/executors-here.ts';
import type { StepLogChunk } from './executors/log-store.ts';
import type { StepLogOptions } from './executors/step-logs.ts';
import type { Schedules } from './schedules/schedules.ts';
import type { Subscribe, Triggers } from './schedules/triggers.ts';
import type { StartOptions } from './start-execution.ts';
import type { StepArtifact } from './step-artifact.ts';
import type { CachedFrom, StepExecution } from './step-execution.ts';
import type { RunTracker } from './steps/run-link.ts';
import type { ConditionFacts } from './steps/step-conditions.ts';
import type { StepFunctions } from './steps/step-functions.ts';
import type { WaitOptions } from './waiting.ts';

declare const outputType: unique symbol;

/** An execution whose output has a type that the compiler knows. */
export interface TypedExecution<out O> extends Execution {
  /** Only for the compiler. */
  readonly [outputType]?: O;
}

/** An execution that has ended. */
export interface EndedExecution<out O = unknown> extends Execution {
  /** What the pipeline's output step has put out, if the execution completed and there is one. */
  readonly output?: O;
}

/** What a completed step has put out. */
export interface StepOutput {
  /** What it returned, artifacts ready to be opened. */
  readonly value: unknown;
  /** By name, those included that it did not return. */
  readonly artifacts: Readonly<Record<string, StepArtifact>>;
}

/** Whether a step's result was taken from an earlier one, and why. */
export interface CacheExplanation {
  /** `off` where the step is not cached. */
  readonly outcome: 'hit' | 'miss' | 'off';
  readonly explanation: string;
  readonly key?: string;
  /** What the key is made of. */
  readonly parts?: KeyParts;
  readonly cachedFrom?: CachedFrom;
}

/** A stored definition, as lists show it. */
export interface DefinitionSummary {
  readonly name: string;
  readonly version: string;
  readonly digest: string;
  readonly description: string;
  /** How many steps it has. */
  readonly steps: number;
  readonly tags: Readonly<Record<string, string>>;
  readonly createdBy: string;
  /** Epoch ms. */
  readonly createdAt: number;
}

/** Pipelines and their executions. */
export interface Pipelines {
  /**
   * Registers a pipeline's functions, so that this process can run its steps; the definition is stored at
   * the first start. CONFLICT when this process has another definition of that name and version.
   */
  add(pipeline: Pipeline): void;
  /**
   * Stores a definition, from `definePipeline` or as JSON, and answers its digest. INVALID, naming the
   * place, for one that cannot work; CONFLICT when its name and version have another definition.
   */
  putDefinition(definition: Pipeline | PipelineDefinition): Promise<string>;
  /** The definition of the version, or of the highest one. NOT_FOUND when there is none. */
  getDefinition(name: string, version?: string): Promise<PipelineDefinition>;
  /** What is stored, by name, of each the version that was stored last first: 50 when `limit` is left out, 1,000 at most. */
  definitions(options?: {
    readonly name?: string;
    readonly limit?: number;
    readonly cursor?: string;
  }): Promise<{ readonly definitions: readonly DefinitionSummary[]; readonly cursor?: string }>;

  /** Starts an execution; its steps are run by `wait`, and by the loops of any process. */
  start(pipeline: string, parameters?: JsonObject, options?: StartOptions): Promise<Execution>;
  // Last: the compiler tells why the last one does not fit, and by this one which parameter it is.
  start<G, O>(
    pipeline: Pipeline<G, O>,
    ...rest: Record<never, never> extends G
      ? [parameters?: G, options?: StartOptions]
      : [parameters: G, options?: StartOptions]
  ): Promise<TypedExecution<O>>;
  /** NOT_FOUND when there is none. */
  get(id: string): Promise<Execution>;
  find(id: string): Promise<Execution | undefined>;
  /** Newest first. */
  list(options?: {
    readonly pipeline?: string;
    readonly status?: ExecutionStatus;
    readonly correlationId?: string;
    readonly limit?: number;
    readonly cursor?: string;
  }): Promise<{ readonly executions: readonly Execution[]; readonly cursor?: string }>;
  /** The steps of an execution, in the order of the definition; of a fan-out, the step itself. */
  steps(executionId: string): Promise<readonly StepExecution[]>;
  /** The items of a fan-out that are there, in their order. NOT_FOUND for a step that there is none of. */
  items(executionId: string, step: string): Promise<readonly StepExecution[]>;
  /**
   * Resolves when the execution has ended, FAILED and CANCELLED included; look at `status`. Meanwhile this
   * process runs what it can of it.
   */
  wait<O = unknown>(
    execution: string | TypedExecution<O>,
    options?: WaitOptions,
  ): Promise<EndedExecution<O>>;
  /**
   * Ends an execution: nothing more starts, what runs is aborted, and its results are not taken. CONFLICT
   * when it has completed or failed; one that is cancelled stays so.
   */
  cancel(id: string, reason?: string): Promise<Execution>;
  /** Nothing of it starts any more until `resume`; what runs, ends. CONFLICT when it has ended. */
  pause(id: string): Promise<Execution>;
  /** Undoes `pause`; no change where it is not paused. CONFLICT when it has ended: `retry` begins it again. */
  resume(id: string): Promise<Execution>;
  /**
   * Puts a FAILED or CANCELLED execution back to PENDING: steps that completed stay, the others run.
   * CONFLICT in any other status.
   */
  retry(id: string): Promise<Execution>;
  /** What a step has put out. NOT_FOUND when it has not completed. */
  outputs(executionId: string, step: string): Promise<StepOutput>;
  /**
   * The artifacts of a step by name, also of one that failed, where its failure kept some ({@link StepError}): those
   * are `failed/a<attempt>/<name>`.
   */
  artifacts(executionId: string, step: string): Promise<Readonly<Record<string, StepArtifact>>>;
  /**
   * What a command has written or a function has logged, in order; with `follow` also what it will write, to the end
   * of its attempt. NOT_FOUND for a step that there is none of, or whose log cannot be had from this process.
   */
  logs(executionId: string, step: string, options?: StepLogOptions): AsyncIterable<StepLogChunk>;
  /** The steps that could start and wait, in the order in which they will, each with why: at most 1,000. */
  queue(of?: { readonly executionId?: string }): Promise<readonly QueuedStep[]>;
  /**
   * Whether a step's result was taken from an earlier one, and why, or why not; of a fan-out, of how many items that
   * is so, and of one of them by its number. NOT_FOUND when there is no such step.
   */
  explainCache(
    executionId: string,
    step: string,
    of?: { readonly item?: number },
  ): Promise<CacheExplanation>;
  /** Forgets kept results, of one pipeline or step where named; answers how many. */
  clearCache(of?: { readonly pipeline?: string; readonly step?: string }): Promise<number>;
  /** The machines that steps run on: what they have, what of it is taken, and by which steps. */
  resources(): Promise<readonly PoolUse[]>;
  /** Starts by the clock. */
  readonly schedules: Schedules;
  /** Starts by events and webhooks. */
  readonly triggers: Triggers;
  readonly loops: readonly Loop[];
  /** Stops running steps here and gives them back, so that another process may go on at once. */
  close(): Promise<void>;
}

/** How room on machines is shared out. */
export interface ResourceLimits {
  readonly perUser?: UserLimits;
  /**
   * When a step has waited so long for room, smaller ones behind it that would take it are held back; 60,000 when
   * left out.
   */
  readonly holdBackMs?: number;
}

/** What pipelines may be given beside their scope. */
export interface PipelinesOptions {
  /** Runs of tracking stand for executions and attempts when given; `platform.tracking` fits. */
  readonly tracker?: RunTracker;
  /** Shared by all services of one platform, so that what was added to one can be run by each. */
  readonly functions?: StepFunctions;
  /** Functions that run at once in this process; 4 when left out. */
  readonly concurrency?: number;
  /** Tasks of executors that this process watches over at once; 64 when left out. */
  readonly supervised?: number;
  /** Where modules of steps that are named by a relative path lie; the working directory when left out. */
  readonly modulesRoot?: string;
  /** What conditions may ask besides the execution itself. */
  readonly facts?: ConditionFacts;
  /** Bounds for what users may have at once of what is reserved. */
  readonly limits?: ResourceLimits;
  /** Events, for triggers; there are none when left out. */
  readonly events?: {
    readonly subscribe: Subscribe;
    readonly removeSubscription: (name: string) => Promise<void>;
  };
  /** What steps that are no functions run on; none when left out. */
  readonly executors?: ExecutorsHere;
  /** Copies of contents on this machine, which their inputs are staged through; none when left out. */
  readonly downloads?: DownloadCache;
  /** Where files of such steps lie while they run; below the system's temporary directory when left out. */
  readonly workRoot?: string;
  /** 10,000 when left out; renewed each third of it. */
  readonly leaseMs?: number;
  /**
   * How long a step is left to a process of this host that lives but does not renew its lease, because it
   * computes without a pause or was stopped; ten minutes when left out.
   */
  readonly patienceMs?: number;
  /** How many processes may die around one step before it counts as failed; 50 when left out. */
  readonly lossLimit?: number;
}
