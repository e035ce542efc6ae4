import type { Change } from '../../contracts/metadata-store.ts';
import type { Json, JsonObject } from '../../json.ts';
import { type PipelineDefinition, runsOn, type StepDefinition } from '../definition.ts';
import type { ExecutionState } from '../execution.ts';
import { originOf } from '../lineage/step-edges.ts';
import { mapKeyOf, type SkipKind, type StepState, stepExecutionId } from '../step-execution.ts';
import { ended } from './dependency-counts.ts';

/** How many records one commit creates or changes at most; a commit takes 500 changes. */
export const chunkSize = 400;

/** What a new record of a step is made of, beside its definition. */
export interface NewStep {
  readonly status?: 'PENDING' | 'SKIPPED' | 'CANCELLED';
  readonly skip?: SkipKind;
  /** How many of those that it depends on are still to end; all of them when left out. */
  readonly waits?: number;
  /** The step of an earlier execution whose output stands for its own: it is COMPLETED. */
  readonly reused?: StepState;
  readonly mapKey?: string;
}

type NewExecution = Pick<
  ExecutionState,
  'id' | 'pipeline' | 'definition' | 'correlationId' | 'priority' | 'triggeredBy'
>;

/** The record of a step that is to come, has come before, or never will. */
export function createStep(
  execution: NewExecution,
  step: StepDefinition,
  made: NewStep = {},
): Change {
  const { status = 'PENDING', mapKey = '', reused } = made;
  const open = reused === undefined && status === 'PENDING';
  return {
    op: 'create',
    kind: 'step_execution',
    id: stepExecutionId(execution.id, step.name, mapKey),
    columns: {
      executionId: execution.id,
      step: step.name,
      mapKey,
      pipeline: execution.pipeline,
      definition: execution.definition,
      runsOn: runsOn(step, execution.definition),
      submittedBy: execution.triggeredBy,
      status: reused === undefined ? status : 'COMPLETED',
      priority: execution.priority * 10_000 + (step.priority ?? 0),
      attempt: 0,
      failures: 0,
      losses: 0,
      pendingDeps: open ? (made.waits ?? step.dependsOn.length) : ended,
      readyAt: 0,
    },
    body: {
      correlationId: execution.correlationId,
      ...(made.skip === undefined ? {} : { skip: made.skip }),
      ...(reused === undefined ? {} : reusedBody(reused)),
    },
  };
}

function reusedBody(from: StepState): JsonObject {
  const { executionId, step, mapKey, attempt } = from;
  const cachedFrom = { executionId, step, mapKey, attempt, at: from.endedAt ?? 0 };
  return {
    output: from.body['output'] as Json,
    artifacts: from.body['artifacts'] ?? [],
    // One that was itself taken over says what it was taken from.
    cachedFrom: originOf(from) === from.id ? cachedFrom : { ...from.cachedFrom },
    // Its metrics are those of the attempt that computed it, however often it was taken over since.
    ...(from.cachedFrom === undefined
      ? {}
      : { computedBy: from.body['computedBy'] ?? { ...from.cachedFrom } }),
  };
}

/** Records of items `from` up to (not including) `to`. */
export function createItems(
  execution: NewExecution,
  step: StepDefinition,
  from: number,
  to: number,
): readonly Change[] {
  return Array.from({ length: to - from }, (_, i) =>
    createStep(execution, step, { mapKey: mapKeyOf(from + i), waits: 0 }),
  );
}

/** The order in which records of steps are made: roots last, so that nothing starts before all stand. */
export function creationOrder(definition: PipelineDefinition): readonly StepDefinition[] {
  const isRoot = (step: StepDefinition) => step.dependsOn.length === 0;
  return [...definition.steps.filter((step) => !isRoot(step)), ...definition.steps.filter(isRoot)];
}
