import type { Change, ClaimKey } from '../../contracts/metadata-store.ts';
import type { Held } from '../admission/admission.ts';
import type { StepState } from '../step-execution.ts';

/** A step under its claim. */
export interface HeldStep {
  readonly state: StepState;
  readonly claim: ClaimKey;
}

/** Proves, in a commit, that the claim is held. */
export function hold(claim: ClaimKey): Change {
  const { id, owner, fence } = claim;
  return { op: 'hold', kind: 'step_execution', id, owner, fence };
}

/** Undoes what was reserved. */
export function freed(held: readonly Held[]): readonly Change[] {
  return held.map((each) =>
    each.op === 'adjust'
      ? { op: 'adjust', kind: each.kind, id: each.id, column: each.column, by: -each.by }
      : { op: 'remove', kind: each.kind, id: each.id, expect: 1 },
  );
}
