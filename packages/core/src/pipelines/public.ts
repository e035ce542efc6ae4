// What users of the package see of pipelines.

export type { Checkpoint, StepCheckpoint } from '../contracts/step-checkpoint.ts';
export type { QueuedStep, UserLimits } from './admission/admission.ts';
export type { PoolHolder, PoolUse } from './admission/pool-uses.ts';
export type { ColumnProfile, DataProfile } from './data-validation/data-profile.ts';
export type { DataValidationOptions } from './data-validation/data-validation-options.ts';
export {
  type DataRows,
  type DataValidation,
  dataValidationStep,
  type ValidatedData,
} from './data-validation/data-validation-step.ts';
export type { DataDriftOptions } from './data-validation/profile-drift.ts';
export type { Bounds, ColumnRules, DataRules } from './data-validation/profile-rules.ts';
export {
  type CommandOptions,
  definePipeline,
  type ImageRun,
  type ItemsOf,
  type ModuleRun,
  type OutputPorts,
  type Pipeline,
  type PipelineBuilder,
  type PipelineOptions,
  type TaskOptions,
} from './define-pipeline.ts';
export type {
  CachePolicy,
  Distributed,
  FailureClass,
  PipelineDefinition,
  Repeat,
  RetryPolicy,
  ScheduleDefinition,
  StepDefinition,
  TriggerDefinition,
} from './definition.ts';
export type { Execution, ExecutionTrigger, PartialRun } from './execution.ts';
export type { ExecutionStatus, StepStatus } from './execution-state.ts';
export type { StepLogChunk } from './executors/log-store.ts';
export type { StepLogOptions } from './executors/step-logs.ts';
export { formatPipeline } from './format-pipeline.ts';
export { continueWith, type FurtherSteps } from './further-steps.ts';
export type { PartOptions } from './partial-run.ts';
export { parsePipeline } from './pipeline-file.ts';
export type {
  CacheExplanation,
  DefinitionSummary,
  EndedExecution,
  Pipelines,
  ResourceLimits,
  StepOutput,
  TypedExecution,
} from './pipelines-types.ts';
export type { Backfill, BackfillOptions, BackfillProgress } from './schedules/backfill.ts';
export type { NewSchedule, Schedule, StartFailure } from './schedules/schedule.ts';
export type { Schedules } from './schedules/schedules.ts';
export type { NewTrigger, Trigger, Triggers } from './schedules/triggers.ts';
export type { StartOptions } from './start-execution.ts';
export type { StepArtifact } from './step-artifact.ts';
export type { CachedFrom, StepExecution, StepProgress } from './step-execution.ts';
export type { ForEachOptions, StepOptions } from './step-options.ts';
export { StepError, type StepErrorOptions } from './step-policy.ts';
export type { InputValues, Join, StepContext, StepHandle, ValueHandle } from './step-types.ts';
export { type StepValidation, type ValidatedVersion, validationStep } from './validation-step.ts';
export type { TerminalOutput } from './view/terminal-screen.ts';
export { type WatchOptions, watchExecution } from './view/watch-execution.ts';
export type { WaitOptions } from './waiting.ts';
