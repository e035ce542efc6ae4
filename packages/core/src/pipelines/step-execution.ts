import type { Change } from '../contracts/metadata-store.ts';
import type { Columns, StoredRecord } from '../contracts/record.ts';
import type { Json, JsonObject } from '../json.ts';
import { derivedId, given } from './execution.ts';
import type { StepStatus } from './execution-state.ts';
import type { ArtifactFacts } from './step-artifact.ts';
import type { StepFailure } from './step-policy.ts';

/** One step of one execution, as it is read. */
export interface StepExecution {
  readonly id: string;
  readonly executionId: string;
  readonly step: string;
  readonly status: StepStatus;
  /** 0 before the first start. */
  readonly attempt: number;
  /** Attempts of this round that failed by themselves. */
  readonly failures: number;
  /** Attempts of this round whose process died. */
  readonly losses: number;
  /** The end of a back-off, while it waits for one. */
  readonly readyAt?: number;
  readonly startedAt?: number;
  readonly endedAt?: number;
  /** The process that runs it or ran it last. */
  readonly owner?: JsonObject;
  /** Why the last attempt failed. */
  readonly failure?: StepFailure;
  /** Why it was skipped. */
  readonly skipReason?: string;
  readonly artifacts: readonly ArtifactFacts[];
}

/** The output of a completed step as its record keeps it: inline when small, else as content. */
export interface StoredOutput {
  /** SHA-256 of the canonical JSON of the packed value. */
  readonly digest: string;
  readonly value?: Json;
  readonly content?: ArtifactFacts;
}

/** A step with what only the engine needs. */
export interface StepState extends StepExecution {
  /** What of it users see. */
  readonly facts: StepExecution;
  readonly revision: number;
  readonly body: JsonObject;
  readonly definition: string;
  readonly pipeline: string;
  readonly correlationId: string;
  readonly pendingDeps: number;
  readonly toRelease: number;
  readonly output?: StoredOutput;
}

/** What a record of kind `step_execution` says. */
export function stepFromRecord(record: StoredRecord): StepState {
  const { columns: c, body } = record;
  const facts = factsOf(record);
  return {
    ...facts,
    facts,
    revision: record.revision,
    body,
    definition: c['definition'] as string,
    pipeline: c['pipeline'] as string,
    correlationId: body['correlationId'] as string,
    pendingDeps: c['pendingDeps'] as number,
    toRelease: (c['toRelease'] as number | undefined) ?? 0,
    ...given('output', body['output'] as StoredOutput | undefined),
  };
}

function factsOf({ id, columns: c, body }: StoredRecord): StepExecution {
  const status = c['status'] as StepStatus;
  const readyAt = c['readyAt'] as number;
  return {
    id,
    executionId: c['executionId'] as string,
    step: c['step'] as string,
    status,
    attempt: c['attempt'] as number,
    failures: c['failures'] as number,
    losses: c['losses'] as number,
    ...given('readyAt', status === 'PENDING' && readyAt > 0 ? readyAt : undefined),
    ...given('startedAt', c['startedAt'] as number | undefined),
    ...given('endedAt', c['endedAt'] as number | undefined),
    ...given('owner', body['owner'] as JsonObject | undefined),
    ...given('failure', body['failure'] as StepFailure | undefined),
    ...given('skipReason', body['skipReason'] as string | undefined),
    artifacts: (body['artifacts'] ?? []) as unknown as readonly ArtifactFacts[],
  };
}

/** The id of the record of a step: the same whoever computes it. */
export function stepExecutionId(executionId: string, step: string): string {
  return derivedId(executionId, 'step', step, '');
}

/** The id of the run of tracking that stands for an attempt. */
export function attemptRunId(executionId: string, step: string, attempt: number): string {
  return derivedId(executionId, 'run', step, attempt);
}

/** Where an output of a step lies, logically. */
export function outputPath(
  where: { readonly pipeline: string; readonly executionId: string; readonly step: string },
  name: string,
): string {
  return `pipelines/${where.pipeline}/runs/${where.executionId}/steps/${where.step}/outputs/${name}`;
}

/** A change of a step's record that expects it as it was read. */
export function replaceStep(
  state: StepState,
  columns: Columns,
  body: JsonObject = state.body,
): Change {
  return {
    op: 'replace',
    kind: 'step_execution',
    id: state.id,
    expect: state.revision,
    columns,
    body,
  };
}
