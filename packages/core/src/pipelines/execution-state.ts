import { KeelsonError } from '../errors.ts';
import type { GraphStep } from './step-graph.ts';

/** Where an execution stands. */
export type ExecutionStatus = 'PENDING' | 'RUNNING' | 'COMPLETED' | 'FAILED' | 'CANCELLED';

/** Where a step of an execution stands. */
export type StepStatus = 'PENDING' | 'RUNNING' | 'COMPLETED' | 'FAILED' | 'SKIPPED' | 'CANCELLED';

const executionMoves: Record<ExecutionStatus, readonly ExecutionStatus[]> = {
  PENDING: ['RUNNING', 'CANCELLED', 'FAILED'],
  RUNNING: ['COMPLETED', 'FAILED', 'CANCELLED'],
  COMPLETED: [],
  // Retry and restart.
  FAILED: ['PENDING'],
  CANCELLED: ['PENDING'],
};

const stepMoves: Record<StepStatus, readonly StepStatus[]> = {
  // FAILED without having run: an input that does not verify.
  PENDING: ['RUNNING', 'FAILED', 'SKIPPED', 'CANCELLED'],
  // RUNNING again: the process around the attempt died; PENDING: a back-off; SKIPPED: it died while
  // the execution was coming to its end.
  RUNNING: ['RUNNING', 'PENDING', 'COMPLETED', 'FAILED', 'SKIPPED', 'CANCELLED'],
  COMPLETED: [],
  FAILED: ['PENDING'],
  SKIPPED: ['PENDING'],
  CANCELLED: ['PENDING'],
};

/** Whether nothing more happens to an execution by itself. */
export function hasEnded(status: ExecutionStatus): boolean {
  return status === 'COMPLETED' || status === 'FAILED' || status === 'CANCELLED';
}

/** Whether nothing more happens to a step by itself. */
export function stepHasEnded(status: StepStatus): boolean {
  return status !== 'PENDING' && status !== 'RUNNING';
}

/** CONFLICT, naming the execution, for a move that the machine does not have. */
export function assertExecutionMove(id: string, from: ExecutionStatus, to: ExecutionStatus): void {
  if (executionMoves[from].includes(to)) return;
  throw new KeelsonError('CONFLICT', `Execution ${id} is ${from} and cannot become ${to}.`, {
    details: { executionId: id, from, to },
  });
}

/** CONFLICT, naming the step, for a move that the machine does not have. */
export function assertStepMove(step: string, from: StepStatus, to: StepStatus): void {
  if (stepMoves[from].includes(to)) return;
  throw new KeelsonError('CONFLICT', `Step ${step} is ${from} and cannot become ${to}.`, {
    details: { step, from, to },
  });
}

/** What should happen next to an execution whose steps stand as they do. */
export interface Plan {
  /** May start now, in the order of the definition. */
  readonly ready: readonly string[];
  /** Will never start in this round, because a step failed. */
  readonly skip: readonly string[];
  /** How many steps each one that is PENDING waits for. */
  readonly waiting: ReadonlyMap<string, number>;
  /** The status that the steps give the execution; RUNNING while anything is left to do. */
  readonly outcome: 'RUNNING' | 'COMPLETED' | 'FAILED';
}

/**
 * The law that the engine's counters follow step by step: a step may start when all that it depends on
 * have completed; once a step has failed for good nothing else starts, what runs runs to its end, and
 * the rest is skipped; the execution ends when nothing runs and nothing may start.
 */
export function planExecution(
  steps: readonly GraphStep[],
  statuses: ReadonlyMap<string, StepStatus>,
): Plan {
  const statusOf = (name: string): StepStatus => statuses.get(name) ?? 'PENDING';
  const pending = steps.filter((step) => statusOf(step.name) === 'PENDING');
  const waiting = new Map(pending.map((step) => [step.name, openDependencies(step, statuses)]));
  const running = steps.some((step) => statusOf(step.name) === 'RUNNING');
  if (steps.some((step) => statusOf(step.name) === 'FAILED')) {
    return {
      ready: [],
      skip: pending.map((step) => step.name),
      waiting,
      outcome: running ? 'RUNNING' : 'FAILED',
    };
  }
  const ready = pending.filter((step) => waiting.get(step.name) === 0).map((step) => step.name);
  const ended = pending.length === 0 && !running;
  return { ready, skip: [], waiting, outcome: ended ? 'COMPLETED' : 'RUNNING' };
}

/** How many of the steps that `step` depends on have not completed. */
export function openDependencies(
  step: GraphStep,
  statuses: ReadonlyMap<string, StepStatus>,
): number {
  return step.dependsOn.filter((name) => statuses.get(name) !== 'COMPLETED').length;
}
