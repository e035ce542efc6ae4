import type { Decision } from '../operations/decide-and-commit.ts';
import { assertExecution, countSteps, replaceExecution } from './changes/execution-changes.ts';
import { chunkSize } from './changes/step-creation.ts';
import { reopenStep } from './changes/step-return.ts';
import type { Definitions } from './definitions.ts';
import type { ExecutionState } from './execution.ts';
import type { ExecutionRecords } from './execution-records.ts';
import {
  endOf,
  missingDependencies,
  openDependencies,
  type StepEnd,
  stepHasEnded,
} from './execution-state.ts';
import { replaceStep, type StepState } from './step-execution.ts';
import { topologicalOrder } from './step-graph.ts';

const owingAtOnce = 50;

/**
 * Puts what did not complete back to PENDING: dependents first, then the steps that they depend on, a fan-out
 * before its items, so that nothing starts or is told of too early. What a condition skipped stays
 * skipped, and what failed and was tolerated stays failed.
 */
export async function reopening(
  records: ExecutionRecords,
  definitions: Definitions,
  execution: ExecutionState,
): Promise<Decision<'more' | 'done'>> {
  const { definition, steps } = await definitions.get(execution.definition);
  const states = await records.steps(execution.id);
  const own = new Map(states.filter(isStep).map((state) => [state.step, state]));
  const ends = new Map<string, StepEnd>(
    [...own].map(([name, state]) => [name, endFor(state, steps.get(name) ?? {})]),
  );
  const items = Map.groupBy(
    states.filter((state) => !isStep(state)),
    (state) => state.step,
  );
  const closed = topologicalOrder(definition.steps)
    .toReversed()
    .flatMap((name) => [...toList(own.get(name)), ...(items.get(name) ?? [])])
    .filter((state) => stepHasEnded(state.status) && isOpen(state, steps.get(state.step) ?? {}));
  const changes = closed.slice(0, chunkSize).map((state) => {
    const step = steps.get(state.step);
    if (step === undefined || !isStep(state)) {
      return reopenStep(state, { pending: 0, missing: 0, unfinished: 0 });
    }
    const unfinished = (items.get(state.step) ?? []).filter((item) => isOpen(item, step)).length;
    return reopenStep(state, {
      pending: openDependencies(step, ends),
      missing: missingDependencies(step, ends),
      // Those that were never made are made by whoever releases them.
      unfinished: unfinished + state.toRelease,
    });
  });
  const owing = states.filter((state) => state.toRelease > 0 && stepHasEnded(state.status));
  const told = owing.filter((state) => !closed.includes(state));
  const done = closed.length <= chunkSize && told.length <= owingAtOnce;
  return {
    changes: [
      ...changes,
      // Their dependents have been counted anew.
      ...told.slice(0, owingAtOnce).map((state) => replaceStep(state, { toRelease: undefined })),
      ...countSteps(execution, changes.length, 'after'),
      done ? replaceExecution(execution, { phase: undefined }) : assertExecution(execution),
    ],
    result: done ? 'done' : 'more',
  };
}

/** What the end of a step is to those that depend on it, once the execution goes on. */
function endFor(state: StepState, rule: Parameters<typeof endOf>[1]): StepEnd {
  return isOpen(state, rule) ? 'open' : endOf(state.status, rule);
}

/** Whether it is to run in the next round. */
function isOpen(state: StepState, rule: Parameters<typeof endOf>[1]): boolean {
  if (!stepHasEnded(state.status) || state.status === 'CANCELLED') return true;
  if (state.status === 'SKIPPED') return (state.skip ?? 'stopped') === 'stopped';
  if (state.status !== 'FAILED') return false;
  return !(state.tolerated === true && endOf(state.status, rule) !== 'open');
}

function isStep(state: StepState): boolean {
  return state.mapKey === '';
}

function toList<T>(value: T | undefined): readonly T[] {
  return value === undefined ? [] : [value];
}
