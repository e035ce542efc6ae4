import type { Change } from '../../contracts/metadata-store.ts';
import type { JsonObject } from '../../json.ts';
import type { StepDefinition } from '../definition.ts';
import type { ExecutionState } from '../execution.ts';
import { assertStepMove, type StepEnd } from '../execution-state.ts';
import { type Author, stepEvent, toldFailure } from '../pipeline-emits.ts';
import type { ArtifactFacts } from '../step-artifact.ts';
import { type AttemptDetails, replaceStep } from '../step-execution.ts';
import { type AfterFailure, failureJson, type StepFailure } from '../step-policy.ts';
import { ended, tell } from './dependency-counts.ts';
import { assertExecution, countSteps, stopExecution } from './execution-changes.ts';
import { freed, type HeldStep, hold } from './held-step.ts';
import { recordLog, recordOutput } from './output-records.ts';
import { closeStep, type Following } from './step-completion.ts';

/** What a failed attempt leads to. */
export interface FailedWith {
  readonly failure: StepFailure;
  readonly after: AfterFailure;
  readonly details?: AttemptDetails;
  /** What the attempt asked to be kept, under names of their own. */
  readonly artifacts?: readonly ArtifactFacts[];
  /** What goes into the same commit. */
  readonly changes?: readonly Change[];
}

/** What follows from a failed attempt: back to PENDING for a while, FAILED and tolerated, or the end of it all. */
export function failStep(
  author: Author,
  { state, claim }: HeldStep,
  execution: ExecutionState,
  step: Pick<StepDefinition, 'onFailure'>,
  made: FailedWith,
  following: Following,
): readonly Change[] {
  const now = author.clock.now();
  const { failure, after, artifacts = [] } = made;
  const { held: _, ...kept } = state.body;
  const body = {
    ...kept,
    ...(made.details as unknown as JsonObject),
    ...(artifacts.length === 0 ? {} : { artifacts: artifacts.map((each) => ({ ...each })) }),
    failure: failureJson(failure),
  };
  const told = toldFailure(failure);
  const { attempt } = state;
  const failures = state.failures + 1;
  const shared = [
    hold(claim),
    ...freed(state.held),
    ...artifacts.map((artifact) => recordOutput(state, artifact)),
    ...recordLog(state, made.details),
    ...(made.changes ?? []),
  ];
  if (after.next === 'retry' && execution.phase !== 'stopping') {
    const readyAt = now + after.delayMs;
    assertStepMove(state.step, state.status, 'PENDING');
    return [
      ...shared,
      replaceStep(state, { status: 'PENDING', failures, readyAt }, body),
      assertExecution(execution),
      stepEvent(author, state, 'step.retried', { attempt, failure: told, readyAt }),
    ];
  }
  assertStepMove(state.step, state.status, 'FAILED');
  const exhausted = after.next === 'fail' && after.exhausted;
  const events = [
    stepEvent(author, state, 'step.failed', { attempt, failure: told }),
    ...(exhausted
      ? [stepEvent(author, state, 'step.retry_exhausted', { attempts: attempt, failure: told })]
      : []),
  ];
  const columns = { status: 'FAILED', pendingDeps: ended, failures, endedAt: now };
  const end = toleratedEnd(step, state.mapKey);
  if (end !== undefined && execution.phase !== 'stopping') {
    const telling = tell(state, execution, following.dependents, end);
    const toRelease = telling.left > 0 ? telling.left : undefined;
    return [
      ...shared,
      replaceStep(state, { ...columns, toRelease }, { ...body, tolerated: true }),
      ...telling.changes,
      ...events,
      ...closeStep(author, execution, now, following),
    ];
  }
  const item = state.mapKey === '' ? {} : { item: Number(state.mapKey) };
  const facts = { failure: { step: state.step, ...item, ...failureJson(failure) } };
  return [
    ...shared,
    replaceStep(state, columns, body),
    ...countSteps(execution, -1, 'after'),
    stopExecution(execution, { status: 'FAILED', facts, aborts: false }),
    ...events,
  ];
}

/** What a tolerated failure is to those that depend on the step; undefined when it is not tolerated. */
export function toleratedEnd(
  step: Pick<StepDefinition, 'onFailure'>,
  mapKey = '',
): StepEnd | undefined {
  if (step.onFailure === 'continue') return 'value';
  if (step.onFailure !== 'skipDownstream') return undefined;
  // The fan-out itself tells its dependents.
  return mapKey === '' ? 'missing' : 'value';
}
