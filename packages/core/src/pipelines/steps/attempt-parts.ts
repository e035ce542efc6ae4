import type { StepCheckpoints } from '../checkpoints/step-checkpoints.ts';
import type { Definitions } from '../definitions.ts';
import type { ExternalSteps } from '../executors/external-work.ts';
import type { AttemptDetails, StepProgress, StepState } from '../step-execution.ts';
import type { StepContext, StepFunction } from '../step-types.ts';
import type { FunctionLog } from './function-logs.ts';
import type { RunLink } from './run-link.ts';
import type { StepCommits } from './step-commits.ts';
import type { StepConditions } from './step-conditions.ts';
import type { StepFunctions } from './step-functions.ts';
import type { StepLeases } from './step-leases.ts';
import type { StepValues } from './step-values.ts';

/** What attempts need. */
export interface AttemptParts {
  readonly functions: StepFunctions;
  readonly definitions: Definitions;
  readonly leases: StepLeases;
  readonly commits: StepCommits;
  readonly values: StepValues;
  readonly conditions: StepConditions;
  readonly link: RunLink;
  /** What functions that run here log, by {@link attemptKey}. */
  readonly logs: Map<string, FunctionLog>;
  /** How far the attempts that run here say that they have come, by the step's id. */
  readonly progress: Map<string, StepProgress>;
  readonly external?: ExternalSteps;
  readonly checkpoints: StepCheckpoints;
  /** Ends the other items of a fan-out. */
  readonly stopSiblings: (item: StepState, reason: string) => Promise<void>;
  /** The function of a module's export. */
  readonly loadModule: (
    module: string,
    name: string,
  ) => Promise<StepFunction<never, never, unknown>>;
}

/** What the work of an attempt has come to. */
export interface Outcome {
  readonly value: unknown;
  readonly details?: AttemptDetails;
}

/** Of an attempt, where runs of tracking stand for executions. */
export type AttemptRun = StepContext['run'];

/** Whether an item has asked for the end of the others. */
export class Siblings {
  reason: string | undefined;

  stop(reason: string): void {
    this.reason ??= String(reason).slice(0, 2000);
  }
}
