import { z } from 'zod';
import { checkOptions, signalOption } from '../check-options.ts';
import { KeelsonError } from '../errors.ts';
import { assertText, type Json } from '../json.ts';
import { type EnvironmentOptions, environmentOption } from './environment.ts';
import { assertTags } from './experiment.ts';
import { flattenParams } from './params.ts';
import type { SourceType } from './run.ts';
import { type SystemMetricsOption, systemMetricsOption } from './system-metrics.ts';
import { assertThresholds, type Threshold, thresholdsOption } from './threshold.ts';

/** How a run begins. */
export interface StartRunOptions {
  /** Name or id; an experiment of that name is made when there is none. */
  readonly experiment: string;
  readonly name?: string;
  readonly description?: string;
  readonly params?: object;
  readonly tags?: Readonly<Record<string, string>>;
  /** NOT_FOUND when there is no such run. */
  readonly parentRunId?: string;
  readonly sourceType?: SourceType;
  /** What is captured about where it runs; false for nothing. */
  readonly environment?: EnvironmentOptions | false;
  /**
   * Bounds, beside those of the experiment: a metric that crosses one is told of by the event
   * `metric.threshold_exceeded`, at the latest when the run ends.
   */
  readonly thresholds?: readonly Threshold[];
  /** Samples of machine and process as `system/*` metrics; as the platform says when left out. */
  readonly systemMetrics?: SystemMetricsOption;
  /**
   * An id of the caller's: starting it again answers the same run, so that a restart leaves no strays.
   * A handle of one that has ended takes nothing more; `resumeRun` reopens it.
   */
  readonly id?: string;
  /** Epoch ms, for runs that began elsewhere, before they were told of here; now when left out. */
  readonly startedAt?: number;
  /** Once aborted, `withRun` ends the run as KILLED. */
  readonly signal?: AbortSignal;
}

const shape = z.strictObject({
  experiment: z.string(),
  name: z.string().optional(),
  description: z.string().optional(),
  params: z.looseObject({}).optional(),
  tags: z.looseObject({}).optional(),
  parentRunId: z.string().optional(),
  sourceType: z.enum(['NOTEBOOK', 'SCRIPT', 'PIPELINE', 'SERVICE']).optional(),
  environment: environmentOption.optional(),
  thresholds: thresholdsOption.optional(),
  systemMetrics: systemMetricsOption.optional(),
  id: z.string().optional(),
  startedAt: z.number().int().min(0).max(8.64e15).optional(),
  signal: signalOption.optional(),
} satisfies Record<keyof StartRunOptions, z.ZodType>);

/** Options that were checked, params flattened. */
export interface CheckedStart extends Omit<StartRunOptions, 'params' | 'tags'> {
  readonly params: Readonly<Record<string, Json>>;
  readonly tags: Readonly<Record<string, string>>;
}

/** Refuses, as INVALID and by name, everything about the options that no store need be asked for. */
export function checkStart(options: StartRunOptions): CheckedStart {
  checkOptions(shape, options, 'A run');
  if (options.name !== undefined) assertRunName(options.name);
  assertText(options.description ?? '', 'A description', 2048);
  if (options.id !== undefined) assertId(options.id, 'A run id');
  assertThresholds(options.thresholds ?? []);
  if (options.parentRunId !== undefined) assertId(options.parentRunId, 'A parent run id');
  return {
    ...options,
    tags: assertTags(options.tags ?? {}, 50),
    params: Object.fromEntries(flattenParams(options.params ?? {})),
  };
}

/** Refuses what a run's name may not be. */
export function assertRunName(name: string): string {
  return assertNotEmpty(assertText(name, 'A run name', 255), 'A run name');
}

function assertId(id: string, label: string): string {
  return assertNotEmpty(assertText(id, label, 255), label);
}

function assertNotEmpty(text: string, label: string): string {
  if (text !== '') return text;
  throw new KeelsonError('INVALID', `${label} is empty.`);
}
