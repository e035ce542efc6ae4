import type { StoredEvent } from '../contracts/event.ts';

/** An event in the window. */
export interface Entry {
  readonly event: StoredEvent;
  /** The cursor in front of it. */
  readonly before: string | undefined;
  /** Rises in the order of the log. */
  readonly position: number;
  /** Handled, given up, or the matter of a parked subject. */
  done: boolean;
}

/** The events of a partition that were read and are not all through: between its cursor and where it reads. */
export class EventWindow {
  #entries: Entry[] = [];
  #readTo: string | undefined;
  #cursor: string | undefined;

  constructor(cursor: string | undefined) {
    this.#cursor = cursor;
    this.#readTo = cursor;
  }

  get size(): number {
    return this.#entries.length;
  }

  /** Behind the last event that was read. */
  get readTo(): string | undefined {
    return this.#readTo;
  }

  /** The oldest that is not through. */
  get oldest(): Entry | undefined {
    return this.#entries[0];
  }

  /** Takes in what was read from {@link readTo} on. */
  add(
    events: readonly StoredEvent[],
    readTo: string,
    nextPosition: () => number,
  ): readonly Entry[] {
    let before = this.#readTo;
    const added = events.map((event): Entry => {
      const entry = { event, before, position: nextPosition(), done: false };
      before = event.cursor;
      return entry;
    });
    this.#entries.push(...added);
    this.#readTo = readTo;
    return added;
  }

  /** The cursor behind everything that is through. */
  moveOn(): string | undefined {
    let through = 0;
    while (this.#entries[through]?.done === true) through += 1;
    const last = this.#entries[through - 1];
    if (through > 0) this.#entries = this.#entries.slice(through);
    if (this.#entries.length === 0) this.#cursor = this.#readTo;
    else if (last !== undefined) this.#cursor = last.event.cursor;
    return this.#cursor;
  }
}
