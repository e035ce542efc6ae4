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
  // FAILED without having run: an input that does not verify; COMPLETED: a result that was there.
  PENDING: ['RUNNING', 'COMPLETED', 'FAILED', 'SKIPPED', 'CANCELLED'],
  // RUNNING again: the process around the attempt died; PENDING: a back-off; SKIPPED: it died while
  // the execution was coming to its end.
  RUNNING: ['RUNNING', 'PENDING', 'COMPLETED', 'FAILED', 'SKIPPED', 'CANCELLED'],
  COMPLETED: [],
  // RUNNING: a fan-out whose items go on where they were ended.
  FAILED: ['PENDING', 'RUNNING'],
  SKIPPED: ['PENDING', 'RUNNING'],
  CANCELLED: ['PENDING', 'RUNNING'],
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
  const what = moveRefused(from, to) ?? `cannot become ${to}`;
  throw new KeelsonError('CONFLICT', `Execution ${id} is ${from} and ${what}.`, {
    details: { executionId: id, from, to },
  });
}

/** Why one of the moves that people ask for cannot be, and what to do. */
function moveRefused(from: ExecutionStatus, to: ExecutionStatus): string | undefined {
  if (to === 'CANCELLED' && hasEnded(from)) return 'cannot be cancelled any more';
  if (to !== 'PENDING') return undefined;
  if (from === 'COMPLETED') {
    return 'has nothing to retry; start another, with { from, reuse } where a part of it is to run again';
  }
  return 'cannot be retried before it has ended; cancel it, or wait for it';
}

/** CONFLICT, naming the step, for a move that the machine does not have. */
export function assertStepMove(step: string, from: StepStatus, to: StepStatus): void {
  if (stepMoves[from].includes(to)) return;
  throw new KeelsonError('CONFLICT', `Step ${step} is ${from} and cannot become ${to}.`, {
    details: { step, from, to },
  });
}

/** A step as far as the law goes. */
export interface RuledStep extends GraphStep {
  /** Whether all that it depends on must have completed, or only ended; `completed` when left out. */
  readonly join?: 'completed' | 'ended';
  /** What its failure does; `fail` when left out. */
  readonly onFailure?: 'fail' | 'continue' | 'skipDownstream';
}

/** What should happen next to an execution whose steps stand as they do. */
export interface Plan {
  /** May start now, in the order of the definition. */
  readonly ready: readonly string[];
  /** Will never start in this round: a step failed, or one that it depends on has no value for it. */
  readonly skip: readonly string[];
  /** How many steps each one that is PENDING waits for. */
  readonly waiting: ReadonlyMap<string, number>;
  /** The status that the steps give the execution; RUNNING while anything is left to do. */
  readonly outcome: 'RUNNING' | 'COMPLETED' | 'FAILED';
}

/** What a step's status means for those that depend on it. */
export type StepEnd = 'open' | 'value' | 'missing';

/** A failure that is tolerated as `continue` counts like a completion without a value. */
export function endOf(status: StepStatus, rule: Pick<RuledStep, 'onFailure'>): StepEnd {
  if (status === 'COMPLETED') return 'value';
  if (status === 'SKIPPED') return 'missing';
  if (status !== 'FAILED') return 'open';
  if (rule.onFailure === 'continue') return 'value';
  return rule.onFailure === 'skipDownstream' ? 'missing' : 'open';
}

/**
 * The law that the engine's counters follow step by step. A step may start when all that it depends on
 * have ended in a way that lets others go on; where one of them has no value for it, it is skipped, unless
 * it joins whatever has ended. Once a step has failed for good, and not in a way that is tolerated, nothing
 * else starts, what runs runs to its end, and the rest is skipped. The execution ends when nothing runs
 * and nothing may start.
 */
export function planExecution(
  steps: readonly RuledStep[],
  statuses: ReadonlyMap<string, StepStatus>,
): Plan {
  const statusOf = (name: string): StepStatus => statuses.get(name) ?? 'PENDING';
  const ends = new Map(steps.map((step) => [step.name, endOf(statusOf(step.name), step)]));
  const pending = steps.filter((step) => statusOf(step.name) === 'PENDING');
  const waiting = new Map(pending.map((step) => [step.name, openDependencies(step, ends)]));
  const running = steps.some((step) => statusOf(step.name) === 'RUNNING');
  if (steps.some((step) => statusOf(step.name) === 'FAILED' && ends.get(step.name) === 'open')) {
    return {
      ready: [],
      skip: pending.map((step) => step.name),
      waiting,
      outcome: running ? 'RUNNING' : 'FAILED',
    };
  }
  const due = pending.filter((step) => waiting.get(step.name) === 0);
  const lacks = (step: RuledStep): boolean =>
    step.join !== 'ended' && step.dependsOn.some((name) => ends.get(name) === 'missing');
  const ended = pending.length === 0 && !running;
  return {
    ready: due.filter((step) => !lacks(step)).map((step) => step.name),
    skip: due.filter(lacks).map((step) => step.name),
    waiting,
    outcome: ended ? 'COMPLETED' : 'RUNNING',
  };
}

/** How many of the steps that `step` depends on have not ended in a way that lets others go on. */
export function openDependencies(step: GraphStep, ends: ReadonlyMap<string, StepEnd>): number {
  return step.dependsOn.filter((name) => (ends.get(name) ?? 'open') === 'open').length;
}

/** How many of them have ended without a value. */
export function missingDependencies(step: GraphStep, ends: ReadonlyMap<string, StepEnd>): number {
  return step.dependsOn.filter((name) => ends.get(name) === 'missing').length;
}
