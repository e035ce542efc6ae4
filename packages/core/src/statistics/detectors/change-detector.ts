/**
 * Watches a stream of numbers, one at a time, for a change of its level. States are plain JSON; `update` is a pure
 * function. After a detection the next value starts a new state, with the same options. Values must be finite
 * (INVALID). These detectors are quick, but none holds a stated false-alarm rate: pair them with a sequential
 * test where an alarm is dear.
 */
export interface ChangeDetector<Options, State> {
  /** Starts to watch. */
  init(options?: Options): State;
  /** The state after one more value. */
  update(state: State, value: number): State;
}

/** What a detector says after a value: `drift` was just found, `warning` that it may come. */
export type DetectorSignal = 'none' | 'warning' | 'drift';
