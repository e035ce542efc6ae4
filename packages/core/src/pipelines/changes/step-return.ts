import type { Change } from '../../contracts/metadata-store.ts';
import type { Columns } from '../../contracts/record.ts';
import type { Json } from '../../json.ts';
import type { ExecutionState } from '../execution.ts';
import { assertStepMove, type StepStatus } from '../execution-state.ts';
import { type Author, stepEvent } from '../pipeline-emits.ts';
import { parkedAt, replaceStep, type StepState } from '../step-execution.ts';
import { assertExecution } from './execution-changes.ts';
import { freed, type HeldStep, hold } from './held-step.ts';
import { recordLog, recordOutput } from './output-records.ts';
import type { StepResult } from './step-completion.ts';

/** RUNNING → PENDING: the process around the attempt is ending and says so itself, or its task is gone. */
export function giveBackStep(
  author: Author,
  { state, claim }: HeldStep,
  reason: string,
): readonly Change[] {
  assertStepMove(state.step, state.status, 'PENDING');
  const { held: _, task: __, ...body } = state.body;
  return [
    hold(claim),
    ...freed(state.held),
    replaceStep(state, { status: 'PENDING', losses: state.losses + 1 }, body),
    stepEvent(author, state, 'step.retried', { attempt: state.attempt, reason }),
  ];
}

/** RUNNING → PENDING with what it has put out, for another iteration. */
export function repeatStep(
  author: Author,
  { state, claim }: HeldStep,
  execution: ExecutionState,
  { output, artifacts, details, changes = [] }: StepResult,
  reason: string,
): readonly Change[] {
  assertStepMove(state.step, state.status, 'PENDING');
  const { held: _, task: __, ...body } = state.body;
  const iteration = state.iteration ?? 1;
  return [
    hold(claim),
    ...freed(state.held),
    replaceStep(
      state,
      { status: 'PENDING', failures: 0, losses: 0, readyAt: 0 },
      { ...body, previous: { ...output } as unknown as Json, iteration: iteration + 1 },
    ),
    ...artifacts.map((artifact) =>
      recordOutput(state, { ...artifact, name: `iterations/${iteration}/${artifact.name}` }),
    ),
    ...recordLog(state, details),
    ...changes,
    assertExecution(execution),
    stepEvent(author, state, 'step.retried', { attempt: state.attempt, reason }),
  ];
}

/** Not before `readyAt`, and why; the execution's resumption brings back what waits for that. */
export function parkStep(
  { state, claim }: HeldStep,
  execution: ExecutionState,
  waitsFor: string,
  readyAt: number = parkedAt,
): readonly Change[] {
  if (state.status !== 'PENDING') assertStepMove(state.step, state.status, 'PENDING');
  const { held: _, ...body } = state.body;
  return [
    hold(claim),
    ...freed(state.held),
    replaceStep(state, { status: 'PENDING', readyAt }, { ...body, waitsFor }),
    assertExecution(execution),
  ];
}

/** RUNNING by a process → waiting for an execution that it has asked for. */
export function awaitExecution(
  { state, claim }: HeldStep,
  execution: ExecutionState,
  child: { readonly id: string; readonly changes: readonly Change[] },
): readonly Change[] {
  const { owner: _, held: __, ...body } = state.body;
  return [
    hold(claim),
    ...freed(state.held),
    replaceStep(state, { pendingDeps: 1 }, { ...body, child: child.id }),
    assertExecution(execution),
    ...child.changes,
  ];
}

/** Back to PENDING for another round; a fan-out goes on with the items that it has. */
export function reopenStep(
  state: StepState,
  waits: { readonly pending: number; readonly missing: number; readonly unfinished: number },
): Change {
  const expanded = state.items !== undefined;
  const status: StepStatus = expanded ? 'RUNNING' : 'PENDING';
  assertStepMove(state.step, state.status, status);
  const { skipReason: _, skip: __, child: ___, failure, ...rest } = state.body;
  // That of a fan-out was one of its items'; an attempt of its own forgets what was before.
  const body = expanded || failure === undefined ? rest : { ...rest, failure };
  const columns: Columns = {
    status,
    failures: 0,
    losses: 0,
    pendingDeps: expanded ? waits.unfinished : waits.pending,
    missingDeps: waits.missing > 0 ? waits.missing : undefined,
    readyAt: 0,
    endedAt: undefined,
  };
  return replaceStep(state, columns, body);
}
