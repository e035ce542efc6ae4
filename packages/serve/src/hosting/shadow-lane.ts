/** How shadow requests of a deployment went. */
export interface ShadowCounts {
  readonly waiting: number;
  readonly running: number;
  readonly answered: number;
  readonly failed: number;
  /** Given up because too many waited, or because serving closed. */
  readonly dropped: number;
}

const retryMs = 10;

/**
 * Runs copies of answered requests beside the traffic: few at a time, only while no caller waits in a queue, and
 * never awaited. More than `maxWaiting` are dropped and counted.
 */
export class ShadowLane {
  readonly #waiting: (() => Promise<void>)[] = [];
  readonly #limits: { readonly maxWaiting: number; readonly concurrency: number };
  readonly #isPressed: () => boolean;
  #running = 0;
  #answered = 0;
  #failed = 0;
  #dropped = 0;
  #timer: NodeJS.Timeout | undefined;
  #closed = false;
  #waiters: (() => void)[] = [];

  /** `isPressed` says whether callers wait for replicas right now. */
  constructor(
    limits: { readonly maxWaiting: number; readonly concurrency: number },
    isPressed: () => boolean,
  ) {
    this.#limits = limits;
    this.#isPressed = isPressed;
  }

  counts(): ShadowCounts {
    return {
      waiting: this.#waiting.length,
      running: this.#running,
      answered: this.#answered,
      failed: this.#failed,
      dropped: this.#dropped,
    };
  }

  /** Takes `run` (which rejects when the shadow failed) or drops it; returns at once. */
  offer(run: () => Promise<void>): void {
    if (this.#closed || this.#waiting.length >= this.#limits.maxWaiting) {
      this.#dropped += 1;
      return;
    }
    this.#waiting.push(run);
    this.#pump();
  }

  /** Resolves when none waits or runs, at the latest after `timeoutMs`. */
  async settled(timeoutMs: number): Promise<void> {
    if (this.#waiting.length + this.#running === 0) return;
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#waiters.push(resolve);
    const timer = setTimeout(resolve, timeoutMs);
    await promise;
    clearTimeout(timer);
  }

  /** Drops what has not begun and takes no more. */
  close(): void {
    this.#closed = true;
    clearTimeout(this.#timer);
    this.#dropped += this.#waiting.length;
    this.#waiting.length = 0;
    this.#wake();
  }

  #pump(): void {
    while (this.#waiting.length > 0 && this.#running < this.#limits.concurrency) {
      if (this.#isPressed()) {
        this.#timer ??= setTimeout(() => {
          this.#timer = undefined;
          this.#pump();
        }, retryMs);
        return;
      }
      const run = this.#waiting.shift() as () => Promise<void>;
      this.#running += 1;
      void this.#run(run);
    }
  }

  async #run(run: () => Promise<void>): Promise<void> {
    try {
      await run();
      this.#answered += 1;
    } catch (error) {
      // Its row says what went wrong; the caller of the request must not feel it.
      void error;
      this.#failed += 1;
    } finally {
      this.#running -= 1;
      this.#pump();
      this.#wake();
    }
  }

  #wake(): void {
    if (this.#waiting.length + this.#running > 0) return;
    for (const resolve of this.#waiters.splice(0)) resolve();
  }
}
