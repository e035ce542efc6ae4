import { z } from 'zod';
import type { JsonObject } from '../../json.ts';
import {
  anyObject,
  count,
  defineEvent,
  type EventDefinition,
  figures,
  text,
} from './define-event.ts';

/** Why an attempt failed. */
export interface ToldFailure {
  /** Whether trying again may help: `transient`, `resource`, `permanent` … */
  readonly class: string;
  /** The error's name. */
  readonly name: string;
  readonly message: string;
  /** The error's code, if it has one. */
  readonly code?: string;
  /** The step that failed for good, where an execution is told of. */
  readonly step?: string;
}

/** Something that a step has put out. */
export interface StepOutputArtifact {
  readonly path: string;
  readonly sha256: string;
}

/** Something that an execution has put out, and which step. */
export interface ExecutionArtifact {
  readonly step: string;
  readonly path: string;
  readonly sha256: string;
}

/** An execution of a pipeline runs; again after a retry. */
export interface PipelineStarted {
  readonly executionId: string;
  readonly pipeline: string;
  /** The version of its definition. */
  readonly version: string;
  readonly parameters: JsonObject;
  /** What started it, such as `MANUAL`. */
  readonly trigger: string;
  /** 1, and one more with each retry of the execution. */
  readonly round: number;
}

/** An execution has come to its end, and all its steps have completed. */
export interface PipelineCompleted {
  readonly executionId: string;
  readonly pipeline: string;
  readonly status: 'COMPLETED';
  readonly durationMs: number;
  /** What its steps have put out. */
  readonly artifacts: readonly ExecutionArtifact[];
  /** The last values that each step has logged to its run, by step. */
  readonly metrics: Readonly<Record<string, Readonly<Record<string, number>>>>;
  /** There are more artifacts or metrics than are told here. */
  readonly truncated?: boolean;
}

/** A step has failed for good, and the execution with it. */
export interface PipelineFailed {
  readonly executionId: string;
  readonly pipeline: string;
  readonly status: 'FAILED';
  readonly durationMs: number;
  readonly failure?: ToldFailure;
  readonly reason?: string;
}

/** Somebody has cancelled the execution, and nothing of it runs any more. */
export interface PipelineCancelled {
  readonly executionId: string;
  readonly pipeline: string;
  readonly status: 'CANCELLED';
  readonly durationMs: number;
  readonly reason?: string;
}

/** An attempt of a step has begun. */
export interface StepStarted {
  readonly executionId: string;
  readonly pipeline: string;
  readonly step: string;
  /** Which item of a fan-out, 0 for the first. */
  readonly item?: number;
  /** 1, 2, 3 … */
  readonly attempt: number;
  /** How many items it has, where it is a fan-out. */
  readonly items?: number;
}

/** A step has completed. */
export interface StepCompleted {
  readonly executionId: string;
  readonly pipeline: string;
  readonly step: string;
  /** Which item of a fan-out, 0 for the first. */
  readonly item?: number;
  readonly attempt: number;
  /** Of the attempt that completed. */
  readonly durationMs: number;
  readonly artifacts: readonly StepOutputArtifact[];
  /** The attempt whose result stands for its own, taken from the cache. */
  readonly cachedFrom?: {
    readonly executionId: string;
    readonly step: string;
    readonly attempt: number;
  };
}

/** A step will not run: its condition is false, a step before it has no value for it, or the like. */
export interface StepSkipped {
  readonly executionId: string;
  readonly pipeline: string;
  readonly step: string;
  /** Which item of a fan-out, 0 for the first. */
  readonly item?: number;
  readonly reason: string;
}

/** An attempt has ended without an outcome; another will follow. */
export interface StepRetried {
  readonly executionId: string;
  readonly pipeline: string;
  readonly step: string;
  /** Which item of a fan-out, 0 for the first. */
  readonly item?: number;
  /** The attempt that ended. */
  readonly attempt: number;
  /** Where it failed. */
  readonly failure?: ToldFailure;
  /** When the next may begin, in epoch ms; at once when missing. */
  readonly readyAt?: number;
  /** Where it did not fail but its process ended. */
  readonly reason?: string;
}

/** A step has failed for good. */
export interface StepFailed {
  readonly executionId: string;
  readonly pipeline: string;
  readonly step: string;
  /** Which item of a fan-out, 0 for the first. */
  readonly item?: number;
  /** The last attempt. */
  readonly attempt: number;
  readonly failure: ToldFailure;
}

/** A step has used up its retries. */
export interface StepRetryExhausted {
  readonly executionId: string;
  readonly pipeline: string;
  readonly step: string;
  /** Which item of a fan-out, 0 for the first. */
  readonly item?: number;
  /** How many there were. */
  readonly attempts: number;
  readonly failure: ToldFailure;
}

/** A step asks for more than there is. */
export interface ResourceExhausted {
  readonly executionId: string;
  readonly pipeline: string;
  readonly step: string;
  /** Which item of a fan-out, 0 for the first. */
  readonly item?: number;
  /** Such as `memory`, `cpu`, `gpu`. */
  readonly type: string;
  readonly requested: number;
  readonly available: number;
}

/** The events of pipelines. */
export interface PipelineEventPayloads {
  readonly 'pipeline.started': PipelineStarted;
  readonly 'pipeline.completed': PipelineCompleted;
  readonly 'pipeline.failed': PipelineFailed;
  readonly 'pipeline.cancelled': PipelineCancelled;
  readonly 'step.started': StepStarted;
  readonly 'step.completed': StepCompleted;
  readonly 'step.skipped': StepSkipped;
  readonly 'step.retried': StepRetried;
  readonly 'step.failed': StepFailed;
  readonly 'step.retry_exhausted': StepRetryExhausted;
  readonly 'resource.exhausted': ResourceExhausted;
}

const failureShape: z.ZodType<ToldFailure> = z.object({
  class: text,
  name: z.string(),
  message: z.string(),
  code: z.string().optional(),
  step: text.optional(),
}) as z.ZodType<ToldFailure>;

const sha256 = 'e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855';
const ofExecution = { source: 'pipelines', subject: 'execution:{executionId}' } as const;
const ofStep = { source: 'pipelines', subject: 'step:{executionId}/{step}' } as const;
const execution = { executionId: '0198c0de-0000-7000-8000-000000000020', pipeline: 'nightly' };
const step = { ...execution, step: 'train' };
const executionFields = { executionId: text, pipeline: text };
const stepFields = { ...executionFields, step: text, item: count.optional() };
const failure: ToldFailure = { class: 'transient', name: 'Error', message: 'connection reset' };

/** The definitions of the events of pipelines. */
export const pipelineEvents: {
  readonly [T in keyof PipelineEventPayloads]: EventDefinition<PipelineEventPayloads[T]>;
} = {
  'pipeline.started': defineEvent<PipelineStarted>({
    ...ofExecution,
    meaning: 'An execution of a pipeline runs; again after a retry.',
    fields: {
      ...executionFields,
      version: text,
      parameters: anyObject,
      trigger: text,
      round: count,
    },
    example: {
      ...execution,
      version: '3',
      parameters: { epochs: 20 },
      trigger: 'MANUAL',
      round: 1,
    },
  }),
  'pipeline.completed': defineEvent<PipelineCompleted>({
    ...ofExecution,
    meaning: 'All steps of an execution have completed.',
    fields: {
      ...executionFields,
      status: z.literal('COMPLETED'),
      durationMs: count,
      artifacts: z.array(z.object({ step: text, path: text, sha256: text })),
      metrics: z.record(z.string(), figures),
      truncated: z.boolean().optional(),
    },
    example: {
      ...execution,
      status: 'COMPLETED',
      durationMs: 64_000,
      artifacts: [
        { step: 'train', path: 'pipelines/nightly/runs/7/steps/train/outputs/model', sha256 },
      ],
      metrics: { train: { accuracy: 0.94 } },
    },
    // Version 1 did not tell what was put out.
    upcasts: [(payload) => ({ ...payload, artifacts: [], metrics: {}, truncated: true })],
  }),
  'pipeline.failed': defineEvent<PipelineFailed>({
    ...ofExecution,
    meaning: 'A step has failed for good, and the execution with it.',
    fields: {
      ...executionFields,
      status: z.literal('FAILED'),
      durationMs: count,
      failure: failureShape.optional(),
      reason: z.string().optional(),
    },
    example: {
      ...execution,
      status: 'FAILED',
      durationMs: 12_000,
      failure: { ...failure, step: 'train' },
    },
  }),
  'pipeline.cancelled': defineEvent<PipelineCancelled>({
    ...ofExecution,
    meaning: 'An execution was cancelled, and nothing of it runs any more.',
    fields: {
      ...executionFields,
      status: z.literal('CANCELLED'),
      durationMs: count,
      reason: z.string().optional(),
    },
    example: { ...execution, status: 'CANCELLED', durationMs: 9_000, reason: 'wrong data' },
  }),
  'step.started': defineEvent<StepStarted>({
    ...ofStep,
    meaning: 'An attempt of a step has begun.',
    fields: { ...stepFields, attempt: count, items: count.optional() },
    example: { ...step, attempt: 1 },
  }),
  'step.completed': defineEvent<StepCompleted>({
    ...ofStep,
    meaning: 'A step has completed.',
    fields: {
      ...stepFields,
      attempt: count,
      durationMs: count,
      artifacts: z.array(z.object({ path: text, sha256: text })),
      cachedFrom: z.object({ executionId: text, step: text, attempt: count }).optional(),
    },
    example: {
      ...step,
      attempt: 2,
      durationMs: 51_000,
      artifacts: [{ path: 'pipelines/nightly/runs/7/steps/train/outputs/model', sha256 }],
    },
  }),
  'step.skipped': defineEvent<StepSkipped>({
    ...ofStep,
    meaning: 'A step will not run.',
    fields: { ...stepFields, reason: text },
    example: { ...step, reason: 'its condition is false: metrics.train.accuracy > 0.9' },
  }),
  'step.retried': defineEvent<StepRetried>({
    ...ofStep,
    meaning: 'An attempt has ended without an outcome; another will follow.',
    fields: {
      ...stepFields,
      attempt: count,
      failure: failureShape.optional(),
      readyAt: count.optional(),
      reason: z.string().optional(),
    },
    example: { ...step, attempt: 1, failure, readyAt: 1767225600000 },
  }),
  'step.failed': defineEvent<StepFailed>({
    ...ofStep,
    meaning: 'A step has failed for good.',
    alias: 'pipeline.step.failed',
    fields: { ...stepFields, attempt: count, failure: failureShape },
    example: { ...step, attempt: 3, failure },
  }),
  'step.retry_exhausted': defineEvent<StepRetryExhausted>({
    ...ofStep,
    meaning: 'A step has used up its retries.',
    fields: { ...stepFields, attempts: count, failure: failureShape },
    example: { ...step, attempts: 3, failure },
  }),
  'resource.exhausted': defineEvent<ResourceExhausted>({
    ...ofStep,
    meaning: 'A step asks for more than there is.',
    alias: 'pipeline.resource.exhausted',
    fields: { ...stepFields, type: text, requested: count, available: count },
    example: { ...step, type: 'gpu', requested: 2, available: 1 },
  }),
};
