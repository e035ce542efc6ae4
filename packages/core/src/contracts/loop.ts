/**
 * Background work that any process may do: claims what is due, does a bounded piece of it, answers
 * whether there was any. Killed at any instant, another process goes on.
 */
export interface Loop {
  readonly name: string;
  /** How long to rest after a round that found nothing. */
  readonly idleMs: number;
  runOnce(signal: AbortSignal): Promise<boolean>;
  /**
   * Resolves when another round may find something, after `idleMs` at the latest, or when the signal is
   * aborted; never rejects. Left out, it rests for `idleMs`.
   */
  wait?(signal: AbortSignal): Promise<void>;
  /** Ends what rounds have left running, and resolves when it has ended; asked for after the last round. */
  drain?(): Promise<void>;
}
