import type { StoredEvent } from '../contracts/event.ts';
import type { Scope } from '../contracts/scope.ts';
import { KeelsonError } from '../errors.ts';
import type { Causes, OpenCause } from './causes.ts';
import { handOver, type Outcome } from './hand-over.ts';
import type { PartitionState } from './partition-place.ts';
import type { Slots } from './slots.ts';
import { maxCrashes, type Subscription } from './subscription.ts';

/** How a call ended, or why there was none. */
export type CallOutcome = Outcome | { readonly state: 'blocked'; readonly cause: OpenCause };

/** What of a partition's state says which event may have ended a process. */
export type CrashState = Pick<
  PartitionState,
  'dirty' | 'careful' | 'inFlight' | 'suspect' | 'crashes'
>;

/** What calls need beside the event. */
export interface CallParts {
  readonly scope: Scope;
  readonly subscription: Subscription;
  readonly slots: Slots;
  readonly causes: Causes;
  /** Aborted when the claim is lost or the process stops. */
  readonly signal: AbortSignal;
  /** Whether no more calls shall begin. */
  isPausing(): boolean;
  /** Makes the state durable. */
  save(): Promise<void>;
}

/** After a process was killed, so many events of its partition are noted before they are handed over. */
const carefulEvents = 500;

/**
 * The calls of a handler for one partition. Where the last holder was killed, events are called one by
 * one, each noted before, so that one which ends its process again and again is found and given up.
 */
export class CarefulCalls {
  readonly #parts: CallParts;
  #state: CrashState;
  #turn: Promise<void> = Promise.resolve();

  /** `wasDirty`: whether the last holder did not give the partition back. */
  constructor(parts: CallParts, found: CrashState, wasDirty: boolean) {
    this.#parts = parts;
    this.#state = stateAtClaim(found, wasDirty);
  }

  get state(): CrashState {
    return this.#state;
  }

  /** To be called when the partition is given back; `isThrough`: nothing of it is left to do. */
  end(isThrough: boolean): void {
    const careful = isThrough ? 0 : this.#state.careful;
    this.#state = { ...this.#state, dirty: false, inFlight: undefined, careful };
  }

  /** Calls the handler with the event, once. */
  async call(event: StoredEvent, position: number, attempt: number): Promise<CallOutcome> {
    const { careful, suspect } = this.#state;
    if (careful === 0 && suspect !== event.id) return this.#call(event, position, { attempt });
    const before = this.#turn;
    let next = (): void => undefined;
    this.#turn = new Promise((resolve) => {
      next = resolve;
    });
    try {
      await before;
      return await this.#callAlone(event, position, attempt);
    } finally {
      next();
    }
  }

  async #callAlone(event: StoredEvent, position: number, attempt: number): Promise<CallOutcome> {
    const { crashes } = this.#state;
    const isSuspect = this.#state.suspect === event.id;
    if (isSuspect && crashes >= maxCrashes) {
      this.#state = { ...this.#state, suspect: undefined, crashes: 0 };
      return { state: 'failed', error: killed(event, crashes), final: true };
    }
    return this.#call(event, position, { attempt, isNoted: true, alone: isSuspect });
  }

  async #call(
    event: StoredEvent,
    position: number,
    how: { readonly attempt: number; readonly isNoted?: boolean; readonly alone?: boolean },
  ): Promise<CallOutcome> {
    const { scope, subscription, slots, causes, signal, isPausing, save } = this.#parts;
    const { attempt, isNoted = false, alone = false } = how;
    const release = await slots.take(position, signal, { alone });
    if (release === undefined) return { state: 'stopped' };
    try {
      if (isPausing()) return { state: 'stopped' };
      const cause = await causes.open(event);
      if (cause !== undefined) return { state: 'blocked', cause };
      if (isNoted) {
        this.#state = { ...this.#state, inFlight: event.id };
        await save();
      }
      const outcome = await handOver(scope, subscription, event, { signal, attempt });
      // Before anything else may end the process: what is not in flight shall not be suspect.
      if (isNoted) await this.#noteEnd(event, outcome);
      return outcome;
    } finally {
      release();
    }
  }

  async #noteEnd(event: StoredEvent, outcome: Outcome): Promise<void> {
    const isOver = outcome.state !== 'stopped';
    const careful = Math.max(0, this.#state.careful - (isOver ? 1 : 0));
    const isCleared = isOver && this.#state.suspect === event.id;
    const cleared = isCleared ? { suspect: undefined, crashes: 0 } : {};
    this.#state = { ...this.#state, inFlight: undefined, careful, ...cleared };
    await this.#parts.save();
  }
}

/** What a claim finds: where the last holder did not give the partition back, its event is suspect. */
function stateAtClaim(found: CrashState, wasDirty: boolean): CrashState {
  const { suspect, crashes, inFlight, careful } = found;
  const claimed = { suspect, crashes, careful, inFlight: undefined, dirty: true };
  if (!wasDirty) return claimed;
  if (inFlight === undefined) return { ...claimed, careful: carefulEvents };
  const times = suspect === inFlight ? crashes + 1 : 1;
  return { ...claimed, careful: carefulEvents, suspect: inFlight, crashes: times };
}

function killed(event: StoredEvent, crashes: number): KeelsonError {
  return new KeelsonError(
    'FAILED',
    `The process has ended ${crashes} times while it handled event ${event.id} (${event.type}).`,
    { details: { event: event.id, crashes } },
  );
}
