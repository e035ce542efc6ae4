import type { Logger } from '../../contracts/ports.ts';
import { isKeelsonError } from '../../errors.ts';

const maxWaiting = 200;

/**
 * Writes that are made in order, as soon as the store takes them: while it is away they wait in memory, a
 * bounded number of them, and the oldest are given up.
 */
export class WaitingWrites {
  readonly #logger: Logger;
  readonly #writes: (() => Promise<unknown>)[] = [];
  #flushing: Promise<void> | undefined;
  #lost = 0;

  constructor(logger: Logger) {
    this.#logger = logger;
  }

  get size(): number {
    return this.#writes.length;
  }

  /** A write that may be made twice. */
  add(write: () => Promise<unknown>): void {
    this.#writes.push(write);
    if (this.#writes.length <= maxWaiting) return;
    this.#writes.shift();
    this.#lost += 1;
  }

  /** Makes what waits; never rejects. At the first write that fails, the rest waits for the next time. */
  flush(): Promise<void> {
    this.#flushing ??= this.#flush().finally(() => {
      this.#flushing = undefined;
    });
    return this.#flushing;
  }

  async #flush(): Promise<void> {
    for (let write = this.#writes[0]; write !== undefined; write = this.#writes[0]) {
      try {
        await write();
      } catch (error) {
        const fields = { component: 'operations', operation: 'health', waiting: this.size, error };
        if (mayComeLater(error)) {
          this.#logger.debug(fields, 'What health has to tell waits for the store.');
          return;
        }
        this.#logger.warn(fields, 'Something that health had to tell was refused by the store.');
      }
      // It may have been given up meanwhile.
      if (this.#writes[0] === write) this.#writes.shift();
    }
    if (this.#lost === 0) return;
    const fields = { component: 'operations', operation: 'health', lost: this.#lost };
    this.#logger.warn(
      fields,
      `${this.#lost} notes of health were given up while the store was away.`,
    );
    this.#lost = 0;
  }
}

/** Whether the store may take later what it refuses now: it is away, full, or closed. */
function mayComeLater(error: unknown): boolean {
  if (!isKeelsonError(error)) return false;
  return error.class === 'transient' || isKeelsonError(error, 'EXHAUSTED', 'CLOSED', 'STALE');
}
