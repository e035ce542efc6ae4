import { digestJson, type JsonObject } from '../json.ts';

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

/** One step, as it is stored. */
export interface StepDefinition {
  /** Part of logical paths: letters, digits, `.`, `_`, `-`. */
  readonly name: string;
  /** What runs: a function that a process has registered under this pipeline, version and name. */
  readonly run: { readonly type: 'function' };
  /** Input name → the step whose output it is, or several for a list of outputs. */
  readonly inputs: Readonly<Record<string, string | readonly string[]>>;
  /** Every step that must have completed before: those of the inputs, and those named besides. */
  readonly dependsOn: readonly string[];
  readonly retry: RetryPolicy;
  readonly timeoutMs?: number;
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
}

/** What tells two definitions apart: SHA-256 of the canonical JSON. */
export function digestDefinition(definition: PipelineDefinition): string {
  return digestJson(definition);
}
