import type { Change } from '../../contracts/metadata-store.ts';
import { assertStepMove } from '../execution-state.ts';
import type { Author } from '../pipeline-emits.ts';
import { replaceStep, type SkipKind, type StepState, stepLabel } from '../step-execution.ts';
import { ended } from './dependency-counts.ts';
import { freed } from './held-step.ts';

/** A step that will not run any more in this round. */
export function endStep(
  author: Author,
  state: StepState,
  status: 'SKIPPED' | 'CANCELLED',
  reason: string,
  kind: SkipKind = 'stopped',
): readonly Change[] {
  assertStepMove(state.step, state.status, status);
  const { held: _, ...body } = state.body;
  return [
    ...freed(state.held),
    replaceStep(
      state,
      { status, pendingDeps: ended, endedAt: author.clock.now() },
      { ...body, skip: kind, skipReason: reason },
    ),
  ];
}

/** RUNNING → FAILED for a fan-out whose execution stops, because of one of its items. */
export function failFanOut(author: Author, state: StepState, item: StepState): Change {
  assertStepMove(state.step, state.status, 'FAILED');
  const { class: kind = 'permanent', name = 'Error', message = '' } = item.failure ?? {};
  const failure = { class: kind, name, message: `${stepLabel(item)} failed: ${message}` };
  return replaceStep(
    state,
    { status: 'FAILED', pendingDeps: ended, endedAt: author.clock.now() },
    { ...state.body, failure },
  );
}
