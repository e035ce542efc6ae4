import type { Change } from '../../contracts/metadata-store.ts';
import type { ExecutionState } from '../execution.ts';
import type { StepEnd } from '../execution-state.ts';
import { type StepState, stepExecutionId } from '../step-execution.ts';

/** What a step that has ended waits for: see the kind's declaration. */
export const ended = -1;

/** How many dependents are told in the commit of the end itself; the rest follow in chunks. */
const toldAtOnce = 200;

/** Tells those that wait for the step: its dependents, or the fan-out that it is an item of. */
export function tell(
  state: StepState,
  execution: ExecutionState,
  dependents: readonly string[],
  end: StepEnd,
): { readonly changes: readonly Change[]; readonly left: number } {
  if (execution.phase === 'stopping') return { changes: [], left: 0 };
  if (state.mapKey !== '')
    return { changes: [releaseStep(state.executionId, state.step)], left: 0 };
  const told = dependents.slice(0, releaseSize(end));
  const changes = told.flatMap((step) => tellDependent(state.executionId, step, end));
  return { changes, left: dependents.length - told.length };
}

/** How many dependents one commit tells of such an end. */
export function releaseSize(end: StepEnd): number {
  return end === 'missing' ? toldAtOnce / 2 : toldAtOnce;
}

/** One dependency fewer to wait for, and whether it has a value. */
export function tellDependent(executionId: string, step: string, end: StepEnd): readonly Change[] {
  const id = stepExecutionId(executionId, step);
  const missing: Change = {
    op: 'adjust',
    kind: 'step_execution',
    id,
    column: 'missingDeps',
    by: 1,
  };
  return [...(end === 'missing' ? [missing] : []), releaseStep(executionId, step)];
}

function releaseStep(executionId: string, step: string): Change {
  const id = stepExecutionId(executionId, step);
  return { op: 'adjust', kind: 'step_execution', id, column: 'pendingDeps', by: -1, min: 0 };
}
