import type { Change, ClaimKey } from '../contracts/metadata-store.ts';
import type { Columns } from '../contracts/record.ts';
import type { Scope } from '../contracts/scope.ts';
import type { PipelineEventPayloads, ToldFailure } from '../events/catalogue/pipeline-events.ts';
import { draftEvent } from '../events/draft-event.ts';
import type { PayloadOf } from '../events/typed-event.ts';
import type { Json, JsonObject } from '../json.ts';
import { optional } from '../tracking/run.ts';
import type { PipelineDefinition, StepDefinition } from './definition.ts';
import { derivedId, type ExecutionState, type StopStatus } from './execution.ts';
import type { ExecutionOutcome } from './execution-outcome.ts';
import { assertExecutionMove, assertStepMove, type StepStatus } from './execution-state.ts';
import type { ArtifactFacts } from './step-artifact.ts';
import {
  replaceStep,
  type StepState,
  type StoredOutput,
  stepExecutionId,
} from './step-execution.ts';
import { type AfterFailure, failureJson, type StepFailure } from './step-policy.ts';

/** What changes are drawn up with. */
export type Author = Pick<Scope, 'clock' | 'ids' | 'principal'>;

/** A step under its claim. */
export interface HeldStep {
  readonly state: StepState;
  readonly claim: ClaimKey;
}

/** How many records one commit creates or changes at most; a commit takes 500 changes. */
export const chunkSize = 400;
/** How many dependents are told in the commit of the completion itself; the rest follow in chunks. */
export const releaseSize = 250;
/** How many artifacts one step may put out. */
export const maxArtifacts = 200;

/** What a step that has ended waits for: see the kind's declaration. */
const ended = -1;

/** The record of a step that is to come, or (in an execution that is stopping) never will. */
export function createStep(
  execution: Pick<ExecutionState, 'id' | 'pipeline' | 'definition' | 'correlationId'>,
  step: StepDefinition,
  status: 'PENDING' | 'SKIPPED' | 'CANCELLED' = 'PENDING',
): Change {
  return {
    op: 'create',
    kind: 'step_execution',
    id: stepExecutionId(execution.id, step.name),
    columns: {
      executionId: execution.id,
      step: step.name,
      mapKey: '',
      pipeline: execution.pipeline,
      definition: execution.definition,
      status,
      priority: 0,
      attempt: 0,
      failures: 0,
      losses: 0,
      pendingDeps: status === 'PENDING' ? step.dependsOn.length : ended,
      readyAt: 0,
    },
    body: { correlationId: execution.correlationId },
  };
}

/** PENDING (or RUNNING under a supervisor that died) → RUNNING, the attempt one higher. */
export function startStep(
  author: Author,
  { state, claim }: HeldStep,
  execution: ExecutionState,
  options: { readonly owner: JsonObject; readonly tracked: boolean },
): readonly Change[] {
  assertStepMove(state.step, state.status, 'RUNNING');
  const now = author.clock.now();
  const attempt = state.attempt + 1;
  const lost = state.status === 'RUNNING';
  const { failure: _, skipReason: __, ...body } = state.body;
  return [
    hold(claim),
    replaceStep(
      state,
      {
        status: 'RUNNING',
        attempt,
        losses: state.losses + (lost ? 1 : 0),
        startedAt: now,
        endedAt: undefined,
      },
      { ...body, owner: options.owner },
    ),
    ...(lost
      ? [stepEvent(author, state, 'step.retried', { attempt: state.attempt, ...died })]
      : []),
    ...(execution.status === 'PENDING'
      ? beginExecution(author, execution, now, options.tracked)
      : [assertExecution(execution)]),
    stepEvent(author, state, 'step.started', { attempt }),
  ];
}

const died = { reason: 'the process that ran it died' } as const;

/**
 * RUNNING → COMPLETED, with what it put out; with the outcome of the whole, it ends the execution too:
 * see {@link isLastStep}.
 */
export function completeStep(
  author: Author,
  { state, claim }: HeldStep,
  execution: ExecutionState,
  output: StoredOutput,
  artifacts: readonly ArtifactFacts[],
  dependents: readonly string[],
  outcome: ExecutionOutcome | undefined,
): readonly Change[] {
  assertStepMove(state.step, state.status, 'COMPLETED');
  const now = author.clock.now();
  const going = execution.phase !== 'stopping';
  const told = going ? dependents.slice(0, releaseSize) : [];
  const left = going ? dependents.length - told.length : 0;
  const facts = artifacts.map((artifact) => ({ ...artifact }));
  return [
    hold(claim),
    replaceStep(
      state,
      {
        status: 'COMPLETED',
        pendingDeps: ended,
        endedAt: now,
        toRelease: left > 0 ? left : undefined,
      },
      { ...state.body, output: { ...output } as unknown as Json, artifacts: facts },
    ),
    ...artifacts.map((artifact) => recordOutput(state, artifact)),
    ...told.map((step) => releaseStep(state.executionId, step)),
    stepEvent(author, state, 'step.completed', {
      attempt: state.attempt,
      durationMs: now - (state.startedAt ?? now),
      artifacts: facts.map(({ path, sha256 }) => ({ path, sha256 })),
    }),
    ...closeStep(author, execution, now, outcome),
  ];
}

// Nobody else can end an execution with one open step but that step, or a change of its revision.
/** Whether the completion of its only open step ends the execution. */
export function isLastStep(execution: ExecutionState): boolean {
  return execution.openSteps === 1 && execution.phase === undefined;
}

function closeStep(
  author: Author,
  execution: ExecutionState,
  now: number,
  outcome: ExecutionOutcome | undefined,
): readonly Change[] {
  if (outcome === undefined) return countSteps(execution, -1);
  const end = { status: 'COMPLETED', outcome } as const;
  return [...countSteps(execution, -1, 'after'), ...endExecution(author, execution, end, now)];
}

/** One dependency fewer to wait for. */
export function releaseStep(executionId: string, step: string): Change {
  const id = stepExecutionId(executionId, step);
  return { op: 'adjust', kind: 'step_execution', id, column: 'pendingDeps', by: -1, min: 0 };
}

/** What follows from a failed attempt: back to PENDING for a while, or FAILED and the end of it all. */
export function failStep(
  author: Author,
  { state, claim }: HeldStep,
  execution: ExecutionState,
  failure: StepFailure,
  after: AfterFailure,
): readonly Change[] {
  const now = author.clock.now();
  const body = { ...state.body, failure: failureJson(failure) };
  const told = toldFailure(failure);
  const { attempt } = state;
  const failures = state.failures + 1;
  if (after.next === 'retry' && execution.phase !== 'stopping') {
    const readyAt = now + after.delayMs;
    assertStepMove(state.step, state.status, 'PENDING');
    return [
      hold(claim),
      replaceStep(state, { status: 'PENDING', failures, readyAt }, body),
      assertExecution(execution),
      stepEvent(author, state, 'step.retried', { attempt, failure: told, readyAt }),
    ];
  }
  assertStepMove(state.step, state.status, 'FAILED');
  const exhausted = after.next === 'fail' && after.exhausted;
  return [
    hold(claim),
    replaceStep(state, { status: 'FAILED', pendingDeps: ended, failures, endedAt: now }, body),
    ...countSteps(execution, -1, 'after'),
    stopExecution(execution, 'FAILED', { failure: { step: state.step, ...failureJson(failure) } }),
    stepEvent(author, state, 'step.failed', { attempt, failure: told }),
    ...(exhausted
      ? [stepEvent(author, state, 'step.retry_exhausted', { attempts: attempt, failure: told })]
      : []),
  ];
}

/** RUNNING → PENDING: the process around the attempt is ending and says so itself. */
export function giveBackStep(
  author: Author,
  { state, claim }: HeldStep,
  reason: string,
): readonly Change[] {
  assertStepMove(state.step, state.status, 'PENDING');
  return [
    hold(claim),
    replaceStep(state, { status: 'PENDING', losses: state.losses + 1 }),
    stepEvent(author, state, 'step.retried', { attempt: state.attempt, reason }),
  ];
}

/** A step that will not run any more in this round. */
export function endStep(
  author: Author,
  state: StepState,
  status: 'SKIPPED' | 'CANCELLED',
  reason: string,
): Change {
  assertStepMove(state.step, state.status, status);
  const endedAt = author.clock.now();
  return replaceStep(
    state,
    { status, pendingDeps: ended, endedAt },
    { ...state.body, skipReason: reason },
  );
}

/** Back to PENDING for another round, waiting for `pendingDeps` others. */
export function reopenStep(state: StepState, pendingDeps: number): Change {
  assertStepMove(state.step, state.status, 'PENDING');
  const { skipReason: _, ...body } = state.body;
  const columns: Columns = {
    status: 'PENDING',
    failures: 0,
    losses: 0,
    pendingDeps,
    readyAt: 0,
    endedAt: undefined,
  };
  return replaceStep(state, columns, body);
}

/** Begins the end of an execution: nothing new starts, and somebody sees to the rest. */
export function stopExecution(
  execution: ExecutionState,
  stop: StopStatus,
  facts: JsonObject,
): Change {
  // The first failure is the one that tells; a cancel outranks it.
  const first = execution.stop === 'CANCELLED' ? execution.body : { ...facts, ...execution.body };
  const body = { ...first, stop: execution.stop === 'CANCELLED' ? execution.stop : stop };
  return replaceExecution(execution, { phase: 'stopping' }, body);
}

/** How an execution ends: a completed one with what it has put out. */
export type ExecutionEnd =
  | { readonly status: 'COMPLETED'; readonly outcome: ExecutionOutcome }
  | { readonly status: StopStatus };

/** The final status, and the event that tells of it. */
export function endExecution(
  author: Author,
  execution: ExecutionState,
  end: ExecutionEnd,
  now: number = author.clock.now(),
): readonly Change[] {
  assertExecutionMove(execution.id, execution.status, end.status);
  const { stop: _, ...body } = execution.body;
  const columns = { status: end.status, phase: undefined, endedAt: now };
  return [replaceExecution(execution, columns, body), endEvent(author, execution, end, now)];
}

function endEvent(
  author: Author,
  execution: ExecutionState,
  end: ExecutionEnd,
  now: number,
): Change {
  const { body } = execution;
  const durationMs = Math.max(0, now - (execution.startedAt ?? now));
  const why = optional('reason', body['cancelReason'] as string | undefined);
  switch (end.status) {
    case 'COMPLETED': {
      const payload = { status: end.status, durationMs, ...end.outcome };
      return executionEvent(author, execution, 'pipeline.completed', payload);
    }
    case 'FAILED': {
      const failure = body['failure'] as unknown as (StepFailure & { step: string }) | undefined;
      const told = optional('failure', failure && toldFailure(failure));
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

/** A failure as events tell it: without the stack. */
function toldFailure({ stack: _, ...told }: StepFailure & { readonly step?: string }): ToldFailure {
  return told;
}

function beginExecution(
  author: Author,
  execution: ExecutionState,
  now: number,
  tracked: boolean,
): readonly Change[] {
  assertExecutionMove(execution.id, execution.status, 'RUNNING');
  return [
    replaceExecution(execution, {
      status: 'RUNNING',
      startedAt: execution.startedAt ?? now,
      runOpen: tracked,
    }),
    executionEvent(author, execution, 'pipeline.started', {
      version: execution.version,
      parameters: execution.parameters,
      trigger: execution.trigger,
      round: execution.round,
    }),
  ];
}

/** A change of an execution's status or phase: raises the revision that every step's commit asserts. */
export function replaceExecution(
  execution: ExecutionState,
  columns: Columns,
  body: JsonObject = execution.body,
): Change {
  const { id, revision } = execution;
  return { op: 'replace', kind: 'execution', id, expect: revision, columns, body };
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

/** STALE when the execution's status or phase has changed since it was read. */
export function assertExecution(execution: ExecutionState): Change {
  return { op: 'assert', kind: 'execution', id: execution.id, expect: execution.revision };
}

function recordOutput(state: StepState, artifact: ArtifactFacts): Change {
  const { name, path, sha256, sizeBytes, mimeType } = artifact;
  const { executionId, step, attempt } = state;
  return {
    op: 'create',
    kind: 'step_output',
    id: derivedId(executionId, 'output', step, name),
    columns: { executionId, step, name, attempt, path, sha256, sizeBytes, mimeType },
  };
}

function hold(claim: ClaimKey): Change {
  const { id, owner, fence } = claim;
  return { op: 'hold', kind: 'step_execution', id, owner, fence };
}

function executionEvent<T extends keyof PipelineEventPayloads>(
  author: Author,
  execution: Pick<ExecutionState, 'id' | 'pipeline'>,
  type: T,
  payload: Omit<PayloadOf<T>, 'executionId' | 'pipeline'>,
): Change {
  const { id, pipeline } = execution;
  const event = {
    type,
    subject: `execution:${id}`,
    source: 'pipelines',
    payload: { executionId: id, pipeline, ...payload } as unknown as PayloadOf<T>,
  };
  return { op: 'emit', event: draftEvent(author, event) };
}

function stepEvent<T extends keyof PipelineEventPayloads>(
  author: Author,
  state: StepState,
  type: T,
  payload: Omit<PayloadOf<T>, 'executionId' | 'pipeline' | 'step'>,
): Change {
  const { executionId, pipeline, step } = state;
  const event = {
    type,
    subject: `step:${executionId}/${step}`,
    source: 'pipelines',
    payload: { executionId, pipeline, step, ...payload } as unknown as PayloadOf<T>,
  };
  return { op: 'emit', event: draftEvent(author, event) };
}

/** The order in which records of steps are made: roots last, so that nothing starts before all stand. */
export function creationOrder(definition: PipelineDefinition): readonly StepDefinition[] {
  const isRoot = (step: StepDefinition) => step.dependsOn.length === 0;
  return [...definition.steps.filter((step) => !isRoot(step)), ...definition.steps.filter(isRoot)];
}

/** Statuses of steps by name. */
export function statusesOf(states: readonly StepState[]): ReadonlyMap<string, StepStatus> {
  return new Map(states.map((state) => [state.step, state.status]));
}
