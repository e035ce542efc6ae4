import { KeelsonError } from '../../errors.ts';

/**
 * A test that may be looked at after every update, for as long as wanted: the chance that a true null
 * hypothesis is *ever* rejected is at most its level. States and verdicts are plain JSON; `verdict` is a pure
 * function of the state, so that a stored state gives the same verdict again, bit for bit.
 */
export interface SequentialTest<Options, State, Counts, Verdict> {
  /** Starts a test; the options are checked (INVALID) and kept in the state. */
  init(options: Options): State;
  /** The state after new observations; the given state is not changed. INVALID for counts that are none. */
  update(state: State, counts: Counts): State;
  /** What can be said now. */
  verdict(state: State): Verdict;
}

/** Throws INVALID unless a stored state belongs to the test that is asked about it. */
export function requireKind(state: { readonly kind: string }, kind: string): void {
  if (state.kind === kind) return;
  throw new KeelsonError(
    'INVALID',
    `This is the state of a ${state.kind} test, not of a ${kind} test.`,
    {
      details: { kind: state.kind, expected: kind },
    },
  );
}
