import type { Change } from '../../contracts/metadata-store.ts';
import type { Columns } from '../../contracts/record.ts';
import type { JsonObject } from '../../json.ts';
import { type ExecutionState, given, type StopStatus } from '../execution.ts';
import type { ExecutionOutcome } from '../execution-outcome.ts';
import { assertExecutionMove } from '../execution-state.ts';
import { type Author, executionEvent, toldFailure } from '../pipeline-emits.ts';
import { replaceStep, type StepState } from '../step-execution.ts';
import type { StepFailure } from '../step-policy.ts';

/** A change of an execution's status or phase: raises the revision that every step's commit asserts. */
export function replaceExecution(
  execution: ExecutionState,
  columns: Columns,
  body: JsonObject = execution.body,
): Change {
  const { id, revision } = execution;
  return { op: 'replace', kind: 'execution', id, expect: revision, columns, body };
}

/** STALE when the execution's status or phase has changed since it was read. */
export function assertExecution(execution: ExecutionState): Change {
  return { op: 'assert', kind: 'execution', id: execution.id, expect: execution.revision };
}

/** Counts open steps; without raising the revision, so that steps may end side by side. */
export function countSteps(
  execution: ExecutionState,
  by: number,
  asserted: 'here' | 'after' = 'here',
): readonly Change[] {
  const { id } = execution;
  const adjust: Change = { op: 'adjust', kind: 'execution', id, column: 'openSteps', by, min: 0 };
  return asserted === 'here' ? [assertExecution(execution), adjust] : [adjust];
}

/** PENDING → RUNNING, with the event that tells of it; the clock of its timeout begins. */
export function beginExecution(
  author: Author,
  execution: ExecutionState,
  now: number,
  tracked: boolean,
): readonly Change[] {
  assertExecutionMove(execution.id, execution.status, 'RUNNING');
  const timeoutMs = execution.body['timeoutMs'] as number | undefined;
  return [
    replaceExecution(execution, {
      status: 'RUNNING',
      startedAt: execution.startedAt ?? now,
      runOpen: tracked,
      ...(timeoutMs === undefined ? {} : { deadlineAt: now + timeoutMs }),
    }),
    executionEvent(author, execution, 'pipeline.started', {
      version: execution.version,
      parameters: execution.parameters,
      trigger: execution.trigger,
      round: execution.round,
    }),
  ];
}

/** How an execution comes to stop, and what of it still runs: it may end, or is aborted. */
export interface Stop {
  readonly status: StopStatus;
  readonly facts: JsonObject;
  readonly aborts: boolean;
}

/** Begins the end of an execution: nothing new starts, and somebody sees to the rest. */
export function stopExecution(execution: ExecutionState, stop: Stop): Change {
  // The first failure is the one that tells; a cancel outranks it.
  const first =
    execution.stop === 'CANCELLED' ? execution.body : { ...stop.facts, ...execution.body };
  const body = {
    ...first,
    stop: execution.stop === 'CANCELLED' ? execution.stop : stop.status,
    ...(stop.aborts || execution.aborts ? { aborts: true } : {}),
  };
  return replaceExecution(execution, { phase: 'stopping' }, body);
}

/** How an execution ends: a completed one with what it has put out. */
export type ExecutionEnd =
  | { readonly status: 'COMPLETED'; readonly outcome: ExecutionOutcome }
  | { readonly status: StopStatus };

/** The final status, the event that tells of it, and the step that waits for it. */
export function endExecution(
  author: Author,
  execution: ExecutionState,
  end: ExecutionEnd,
  parent: StepState | undefined,
  now: number = author.clock.now(),
): readonly Change[] {
  assertExecutionMove(execution.id, execution.status, end.status);
  const { stop: _, aborts: __, ...body } = execution.body;
  const columns = { status: end.status, phase: undefined, endedAt: now, deadlineAt: undefined };
  return [
    replaceExecution(execution, columns, body),
    ...(parent === undefined ? [] : [replaceStep(parent, { pendingDeps: 0 })]),
    endEvent(author, execution, end, now),
  ];
}

function endEvent(
  author: Author,
  execution: ExecutionState,
  end: ExecutionEnd,
  now: number,
): Change {
  const { body } = execution;
  const durationMs = Math.max(0, now - (execution.startedAt ?? now));
  const why = given('reason', body['cancelReason'] as string | undefined);
  switch (end.status) {
    case 'COMPLETED': {
      const payload = { status: end.status, durationMs, ...end.outcome };
      return executionEvent(author, execution, 'pipeline.completed', payload);
    }
    case 'FAILED': {
      const failure = body['failure'] as unknown as (StepFailure & { step?: string }) | undefined;
      const told = given('failure', failure && toldFailure(failure));
      const payload = { status: end.status, durationMs, ...told, ...why };
      return executionEvent(author, execution, 'pipeline.failed', payload);
    }
    case 'CANCELLED':
      return executionEvent(author, execution, 'pipeline.cancelled', {
        status: end.status,
        durationMs,
        ...why,
      });
  }
}

// Nobody else can end an execution with one open step but that step, or a change of its revision.
/** Whether the end of its only open step ends the execution. */
export function isLastStep(execution: ExecutionState): boolean {
  return execution.openSteps === 1 && execution.phase === undefined;
}
