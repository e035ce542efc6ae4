import type { Resources } from '../contracts/executor.ts';
import { digestJson, type Json, type JsonObject } from '../json.ts';

/** Why an attempt failed, as far as the question goes whether another one may do better. */
export type FailureClass = 'transient' | 'resource' | 'data' | 'permanent';

/** How often, when, and after which failures a step is tried again. */
export interface RetryPolicy {
  /** Further attempts after the first; 0 for none. */
  readonly limit: number;
  /** Before the second attempt; then times `factor` each, up to `maxDelayMs`. */
  readonly delayMs: number;
  readonly factor: number;
  readonly maxDelayMs: number;
  /** Failures of other classes end the step at once. */
  readonly on: readonly FailureClass[];
}

/** What runs. */
export type StepRun =
  /**
   * A function that a process has registered under this pipeline, version and step. With `version` it is
   * durable: the same version promises the same results, so that they may be cached.
   */
  | { readonly type: 'function'; readonly version?: string }
  /** A module's export; `module` is a path below the modules' root, a package's specifier or a `file:` URL. */
  | {
      readonly type: 'module';
      readonly module: string;
      readonly export: string;
      /** Where: in this process, in a thread or in a process of its own. */
      readonly isolation: 'inline' | 'thread' | 'process';
    }
  | {
      readonly type: 'command';
      readonly command: readonly string[];
      readonly cwd?: string;
      /** What is in the command, for the cache: raised by hand. */
      readonly version?: string;
      /** Files whose contents are part of what the command is, for the cache. */
      readonly files?: readonly string[];
    }
  | {
      readonly type: 'image';
      readonly image: string;
      readonly command?: readonly string[];
      readonly network?: 'none' | 'bridge';
    };

/** What a value is, for people, checks and lineage. */
export type PortType = 'dataset' | 'model' | 'metrics' | 'parameter' | 'artifact';

/** Where the value of an input comes from. */
export type InputSource =
  /** A step's value, or one field of it. */
  | { readonly step: string; readonly output?: string }
  | { readonly parameter: string }
  | { readonly value: Json };

/** What a step takes. */
export interface StepInput {
  /** Several give a list, in their order. */
  readonly from: InputSource | readonly InputSource[];
  readonly type?: PortType;
  /** JSON Schema of the value; checked before the step starts. */
  readonly schema?: JsonObject;
  /** Whether the step can do without it, where what it comes from was skipped; false when left out. */
  readonly optional?: boolean;
  /** In place of a missing value. */
  readonly default?: Json;
}

/** What a step puts out under a name: a field of its value. */
export interface StepOutputPort {
  readonly type: PortType;
  /** JSON Schema of the value; checked before it counts. */
  readonly schema?: JsonObject;
  /** Whether the step may end without it; false when left out. */
  readonly optional?: boolean;
}

/** How a step's results may stand for those of a later one that is the same. */
export interface CachePolicy {
  /** Results older than this do not count; any age when left out. */
  readonly maxAgeMs?: number;
  /** The parameters that matter to the step; all of them when left out. */
  readonly parameters?: readonly string[];
}

/** One task for each item of a list that is known only at run time. */
export interface ForEach {
  readonly items: InputSource;
  /** The name of the input that gets the item. */
  readonly as: string;
  /** How many items run at once; no bound of its own when left out. */
  readonly maxParallel?: number;
  /** A condition over `output`, `metrics` and `index` of an item that completed: once true, the others are ended. */
  readonly stopWhen?: string;
}

/** The step runs again, with what it put out as the input `previous`, until a condition is met. */
export interface Repeat {
  /** A condition over `output`, `metrics` and `iteration` (1 for the first). */
  readonly until: string;
  /** Iterations at most; then it completes with what it has. */
  readonly max: number;
}

/** Processes that start together or not at all, end together, and begin again together from their checkpoint. */
export interface Distributed {
  readonly nodes: number;
  readonly processesPerNode: number;
  readonly strategy: 'data' | 'model' | 'pipeline' | 'hybrid';
}

/** One step, as it is stored. */
export interface StepDefinition {
  /** Part of logical paths: letters, digits, `.`, `_`, `-`. */
  readonly name: string;
  readonly description?: string;
  readonly run: StepRun;
  /** The executor that runs it, by its name; by what it runs when left out. */
  readonly executor?: string;
  readonly inputs: Readonly<Record<string, StepInput>>;
  readonly outputs?: Readonly<Record<string, StepOutputPort>>;
  /** Every step that must have ended before: those of the inputs, and those named besides. */
  readonly dependsOn: readonly string[];
  /**
   * Whether all that it depends on must have completed, or may have been skipped or have failed in a way
   * that its `onFailure` tolerates; `completed` when left out.
   */
  readonly join?: 'completed' | 'ended';
  /** A condition in CEL; where it is false the step is skipped. */
  readonly when?: string;
  readonly retry: RetryPolicy;
  readonly timeoutMs?: number;
  readonly env?: Readonly<Record<string, string>>;
  readonly resources?: Resources;
  /** Results are reused where that is safe, when left out. */
  readonly cache?: false | CachePolicy;
  readonly forEach?: ForEach;
  readonly repeat?: Repeat;
  readonly distributed?: Distributed;
  /** The execution fails (`fail`, when left out), goes on, or goes on without what depends on the step. */
  readonly onFailure?: 'fail' | 'continue' | 'skipDownstream';
  /** Higher ones are taken first, within an execution's own priority; 0 when left out. */
  readonly priority?: number;
}

/** When a pipeline is started by the clock. */
export interface ScheduleDefinition {
  /** Five or six fields. */
  readonly cron: string;
  /** IANA; UTC when left out. */
  readonly timeZone?: string;
  /** What becomes of times that passed while no process ran; `latest` when left out. */
  readonly catchUp?: 'none' | 'latest' | 'all';
  /** With `all`: the newest ones, at most so many; 100 when left out. */
  readonly maxCatchUp?: number;
  /** Whether a time passes over while the last execution still runs; `allow` when left out. */
  readonly overlap?: 'allow' | 'skip';
  readonly parameters?: JsonObject;
}

/** When a pipeline is started by an event. */
export interface TriggerDefinition {
  readonly name: string;
  /** An event type, such as `drift.detected`, or `*` patterns as subscriptions take them. */
  readonly on: string;
  /** A condition over `event`; any event when left out. */
  readonly when?: string;
  /** Parameter → an expression over `event`. */
  readonly parameters?: Readonly<Record<string, string>>;
}

/** A pipeline, as it is stored: plain JSON, immutable under its name and version. */
export interface PipelineDefinition {
  readonly format: 1;
  readonly name: string;
  /** Semantic version. */
  readonly version: string;
  readonly description: string;
  /** JSON Schema of the parameters, with defaults; anything goes when left out. */
  readonly parameters?: JsonObject;
  readonly steps: readonly StepDefinition[];
  /** The step whose output is the execution's. */
  readonly output?: string;
  /** For steps that say nothing themselves. */
  readonly resourceDefaults?: Resources;
  /** Of an execution, from its start. */
  readonly timeoutMs?: number;
  readonly schedule?: ScheduleDefinition;
  readonly triggers?: readonly TriggerDefinition[];
  /** At most 20. */
  readonly tags?: Readonly<Record<string, string>>;
}

/** What tells two definitions apart: SHA-256 of the canonical JSON. */
export function digestDefinition(definition: PipelineDefinition): string {
  return digestJson(definition);
}

/** What a process must have to run a step: the step's own functions, or an executor. */
export function runsOn(step: StepDefinition, digest: string): string {
  const { run, executor } = step;
  if (executor !== undefined) return `executor:${executor}`;
  switch (run.type) {
    case 'function':
      return `function:${digest}`;
    case 'module':
      return run.isolation === 'inline' ? 'executor:inline' : `executor:${run.isolation}`;
    case 'command':
      return 'executor:process';
    case 'image':
      return 'executor:docker';
  }
}

/** The sources of an input, one or several. */
export function sourcesOf(input: StepInput): readonly InputSource[] {
  return Array.isArray(input.from) ? input.from : [input.from as InputSource];
}
