interface Waiter {
  readonly position: number;
  readonly alone: boolean;
  give(release: (() => void) | undefined): void;
}

/**
 * How many handlers of a subscription run at once in this process. Who asks with the lowest position is
 * served first; who asks to be alone waits until nobody runs, and nobody else is let in meanwhile.
 */
export class Slots {
  readonly #count: number;
  readonly #waiters: Waiter[] = [];
  #taken = 0;
  #isAlone = false;

  constructor(count: number) {
    this.#count = count;
  }

  /** How many could be taken now. */
  get free(): number {
    return this.#isAlone || this.#waiters.length > 0 ? 0 : this.#count - this.#taken;
  }

  /** Resolves with what gives the slot back, once; with undefined when the signal is aborted first. */
  take(
    position: number,
    signal: AbortSignal,
    options: { readonly alone?: boolean } = {},
  ): Promise<(() => void) | undefined> {
    return new Promise((resolve) => {
      const give = (release: (() => void) | undefined): void => {
        signal.removeEventListener('abort', leave);
        resolve(release);
      };
      const waiter: Waiter = { position, alone: options.alone === true, give };
      const leave = (): void => {
        const place = this.#waiters.indexOf(waiter);
        if (place >= 0) this.#waiters.splice(place, 1);
        give(undefined);
        this.#serve();
      };
      if (signal.aborted) {
        resolve(undefined);
        return;
      }
      signal.addEventListener('abort', leave, { once: true });
      const behind = this.#waiters.findIndex((other) => isBefore(waiter, other));
      this.#waiters.splice(behind < 0 ? this.#waiters.length : behind, 0, waiter);
      this.#serve();
    });
  }

  #serve(): void {
    for (;;) {
      const [first] = this.#waiters;
      if (first === undefined || this.#isAlone) return;
      if (first.alone ? this.#taken > 0 : this.#taken >= this.#count) return;
      this.#waiters.shift();
      this.#taken += 1;
      this.#isAlone = first.alone;
      let isBack = false;
      first.give(() => {
        if (isBack) return;
        isBack = true;
        this.#taken -= 1;
        if (first.alone) this.#isAlone = false;
        this.#serve();
      });
    }
  }
}

function isBefore(one: Waiter, other: Waiter): boolean {
  if (one.alone !== other.alone) return one.alone;
  return one.position < other.position;
}
