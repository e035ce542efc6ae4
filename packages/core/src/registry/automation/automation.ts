import { z } from 'zod';
import { checkOptions } from '../../check-options.ts';
import type { ModelFormat } from '../../contracts/model-format.ts';
import type { StoredRecord } from '../../contracts/record.ts';
import { KeelsonError } from '../../errors.ts';
import { asJson, assertText, type JsonObject } from '../../json.ts';
import type { Run } from '../../tracking/run.ts';
import { optional } from '../../tracking/run.ts';
import type { Bump } from '../next-version.ts';

/** What a metric of a run must be for the run to be taken: its last value. */
export interface AutomationCriterion {
  readonly metric: string;
  readonly min?: number;
  readonly max?: number;
}

/** From a run that has ended well to a version in Staging, with nobody's hand in it. */
export interface NewAutomation {
  /** Unique in the workspace. */
  readonly name: string;
  /** Name or id. */
  readonly experiment: string;
  readonly model: string;
  /** The run's artifacts below this path are the version. */
  readonly path: string;
  /** All must be met. */
  readonly criteria: readonly AutomationCriterion[];
  /** As with `register`: needed where it cannot be told from the files. */
  readonly format?: ModelFormat;
  /** `auto` when left out. */
  readonly bump?: Bump;
  /**
   * A pipeline that validates the version: started with the parameters `versionId`, `model` and `version`, those of
   * them that it declares. What it comes to is kept with the version, under `validations`.
   */
  readonly pipeline?: string;
  /** Whether the version then goes on to Staging, as far as the model's policy lets it; true when left out. */
  readonly promote?: boolean;
  /** Runs that are taken within an hour, at most; 10 when left out. */
  readonly maxPerHour?: number;
}

/** An automation as it stands. */
export interface Automation
  extends Required<Omit<NewAutomation, 'pipeline' | 'experiment' | 'format'>> {
  readonly id: string;
  readonly experimentId: string;
  readonly pipeline?: string;
  readonly format?: ModelFormat;
  readonly paused: boolean;
  readonly createdBy: string;
  readonly createdAt: number;
  readonly revision: number;
}

/**
 * How far an automation is with a run. NOT_TAKEN and LIMITED left it alone; TAKEN registers it, VALIDATING waits
 * for its pipeline; it ends DONE or FAILED.
 */
export type AutomationState = 'NOT_TAKEN' | 'LIMITED' | 'TAKEN' | 'VALIDATING' | 'DONE' | 'FAILED';

/** What an automation made of a run. */
export interface AutomationOutcome {
  readonly id: string;
  readonly automationId: string;
  readonly runId: string;
  readonly state: AutomationState;
  /** Which criteria were not met, why nothing was taken, or what failed. */
  readonly reasons: readonly string[];
  readonly versionId?: string;
  readonly executionId?: string;
  readonly transitionId?: string;
  /** That of the run's end; registration, pipeline and transition have it too. */
  readonly correlationId: string;
  readonly at: number;
  readonly revision: number;
}

const text = z.string().min(1).max(255);
const finite = z.number().refine(Number.isFinite, 'must be a finite number');
const criterion = z
  .strictObject({ metric: text, min: finite.optional(), max: finite.optional() })
  .refine(({ min, max }) => min !== undefined || max !== undefined, 'needs min or max');
const shape = z.strictObject({
  name: text,
  experiment: text,
  model: text,
  path: z.string().max(1000),
  criteria: z.array(criterion).max(100),
  format: z
    .enum(['ONNX', 'TENSORFLOW', 'PYTORCH', 'SKLEARN', 'XGBOOST', 'PICKLE', 'TFJS', 'JS', 'CUSTOM'])
    .optional(),
  bump: z.enum(['major', 'minor', 'patch', 'auto']).optional(),
  pipeline: text.optional(),
  promote: z.boolean().optional(),
  maxPerHour: z.number().int().min(1).max(10_000).optional(),
} satisfies Record<keyof NewAutomation, z.ZodType>);

/** Refuses, as INVALID and by name, what is no automation. */
export function assertAutomation(given: NewAutomation): NewAutomation {
  checkOptions(shape, given, 'setAutomation');
  for (const each of ['name', 'experiment', 'model', 'path'] as const) {
    assertText(given[each], `The ${each} of an automation`);
  }
  return given;
}

/** What of an automation is kept in its body. */
export function automationBody(given: NewAutomation): JsonObject {
  const { path, criteria, bump = 'auto', promote = true, maxPerHour = 10 } = given;
  const { pipeline, format } = given;
  return asJson({
    path,
    criteria,
    bump,
    promote,
    maxPerHour,
    ...optional('pipeline', pipeline),
    ...optional('format', format),
  }) as JsonObject;
}

/** An automation out of its record. */
export function automationFromRecord({ id, columns, body, ...record }: StoredRecord): Automation {
  const kept = body as unknown as Pick<
    Automation,
    'path' | 'criteria' | 'bump' | 'promote' | 'maxPerHour' | 'pipeline' | 'format'
  >;
  return {
    ...kept,
    id,
    name: columns['name'] as string,
    experimentId: columns['experimentId'] as string,
    model: columns['modelName'] as string,
    paused: columns['paused'] as boolean,
    createdBy: columns['createdBy'] as string,
    createdAt: record.createdAt,
    revision: record.revision,
  };
}

/** An outcome out of its record. */
export function outcomeFromRecord({
  id,
  columns,
  body,
  ...record
}: StoredRecord): AutomationOutcome {
  return {
    id,
    automationId: columns['automationId'] as string,
    runId: columns['runId'] as string,
    state: columns['state'] as AutomationState,
    reasons: (body['reasons'] ?? []) as readonly string[],
    ...optional('versionId', columns['versionId'] as string | undefined),
    ...optional('executionId', columns['executionId'] as string | undefined),
    ...optional('transitionId', columns['transitionId'] as string | undefined),
    correlationId: columns['correlationId'] as string,
    at: record.createdAt,
    revision: record.revision,
  };
}

/** Why a run is not taken; none when it meets all criteria. */
export function unmet(
  { criteria, paused }: Pick<Automation, 'criteria' | 'paused'>,
  run: Pick<Run, 'status' | 'metrics'>,
): readonly string[] {
  if (paused) return ['the automation is paused'];
  if (run.status !== 'COMPLETED') return [`the run ended ${run.status}`];
  return criteria.flatMap(({ metric, min, max }) => {
    const value = Object.hasOwn(run.metrics, metric) ? run.metrics[metric] : undefined;
    if (value === undefined) return [`${metric}: the run has no such metric`];
    // Written so that NaN is not taken.
    if (min !== undefined && !(value >= min)) return [`${metric}: ${value} is below ${min}`];
    if (max !== undefined && !(value <= max)) return [`${metric}: ${value} is above ${max}`];
    return [];
  });
}

/** NOT_FOUND for an automation that is none. */
export function noAutomation(name: string): KeelsonError {
  return new KeelsonError('NOT_FOUND', `There is no automation ${JSON.stringify(name)}.`);
}
