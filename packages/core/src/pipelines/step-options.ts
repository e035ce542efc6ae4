import { isAbsolute, relative, sep } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { Resources } from '../contracts/executor.ts';
import type { ModuleRun } from './define-pipeline.ts';
import type { CachePolicy, Distributed, Repeat, StepDefinition, StepRun } from './definition.ts';
import type { RetryOptions } from './retry-options.ts';
import type { Join, StepHandle } from './step-types.ts';

/** How a step is run. */
export interface StepOptions<J extends Join = Join> {
  readonly description?: string;
  /**
   * Of what a function or command does, raised when that changes: with one, a function is durable and
   * results are cached.
   */
  readonly version?: string;
  /** Further attempts after a failed one, or how they are spaced as well; none when left out. */
  readonly retries?: number | RetryOptions;
  /** For one attempt; none when left out. */
  readonly timeoutMs?: number;
  /** Steps that must have ended before, whose outputs it does not take. */
  readonly after?: readonly StepHandle[];
  /**
   * A condition in CEL over `parameters`, `outputs.<step>`, `metrics.<step>.<name>` of the steps it depends on; where
   * it is false the step is skipped.
   */
  readonly when?: string;
  /** `ended`: it runs also where a step before it was skipped, or failed in a tolerated way. */
  readonly join?: J;
  readonly resources?: Resources;
  /** Results are reused where that is safe, when left out. */
  readonly cache?: false | CachePolicy;
  /** Environment variables of its task. */
  readonly env?: Readonly<Record<string, string>>;
  /** The execution fails (`fail`, when left out), goes on, or goes on without what depends on the step. */
  readonly onFailure?: 'fail' | 'continue' | 'skipDownstream';
  /** Higher ones are taken first, within the priority of the execution; 0 when left out. */
  readonly priority?: number;
  /** It runs again, with what it put out as the input `previous`, until a condition is met. */
  readonly repeat?: Repeat;
  /** What it puts out, by name: checked, and told to readers. */
  readonly outputs?: StepDefinition['outputs'];
  /** The executor that runs it, by its name. */
  readonly executor?: string;
  /** Several processes that start and end together. */
  readonly distributed?: Distributed;
}

/** How a fan-out is run. */
export interface ForEachOptions extends StepOptions {
  /** How many items run at once; no bound of its own when left out. */
  readonly maxParallel?: number;
  /** A condition in CEL over `output`, `metrics` and `index` of an item that completed: once true, the others are ended. */
  readonly stopWhen?: string;
}

/** The fields that are not undefined. */
export function definedFields<T extends object>(
  fields: T,
): { [K in keyof T]?: Exclude<T[K], undefined> } {
  const there = Object.entries(fields).filter(([, value]) => value !== undefined);
  return Object.fromEntries(there) as { [K in keyof T]?: Exclude<T[K], undefined> };
}

/** A module as definitions keep it: a path below the working directory where it lies there. */
export function moduleRun(run: ModuleRun): StepRun {
  const { module, isolation = 'inline' } = run;
  return { type: 'module', module: portable(module), export: run.export, isolation };
}

function portable(module: string | URL): string {
  const url = module instanceof URL ? module.href : module;
  if (typeof url !== 'string' || !url.startsWith('file:')) return url;
  const path = relative(process.cwd(), fileURLToPath(url));
  const outside = path.startsWith('..') || isAbsolute(path);
  return outside ? url : `./${path.split(sep).join('/')}`;
}
