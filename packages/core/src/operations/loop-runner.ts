import type { Loop } from '../contracts/loop.ts';
import type { Logger } from '../contracts/ports.ts';

/** Runs loops side by side until it is stopped; a loop that fails rests and goes on. */
export class LoopRunner {
  readonly #controller = new AbortController();
  readonly #logger: Logger;
  readonly #running = new Set<Promise<void>>();

  constructor(logger: Logger) {
    this.#logger = logger;
  }

  /** Starts a loop; its timers do not keep the process alive. */
  add(loop: Loop): void {
    const done = this.#drive(loop).finally(() => this.#running.delete(done));
    this.#running.add(done);
  }

  /** Asks all loops to stop and waits until they have, `timeoutMs` at most. */
  async stop(timeoutMs: number): Promise<void> {
    this.#controller.abort();
    let timer: NodeJS.Timeout | undefined;
    const timeout = new Promise<void>((resolve) => {
      timer = setTimeout(resolve, timeoutMs);
    });
    await Promise.race([Promise.all(this.#running), timeout]);
    clearTimeout(timer);
  }

  async #drive(loop: Loop): Promise<void> {
    const { signal } = this.#controller;
    let failures = 0;
    while (!signal.aborted) {
      try {
        const busy = await loop.runOnce(signal);
        failures = 0;
        if (!busy) await this.#rest(loop.idleMs);
      } catch (error) {
        if (signal.aborted) return;
        failures += 1;
        this.#logger.error({ component: 'operations', loop: loop.name, failures, error }, 'A loop failed.');
        await this.#rest(Math.min(30_000, loop.idleMs * 2 ** Math.min(failures, 10)));
      }
    }
  }

  #rest(ms: number): Promise<void> {
    const { signal } = this.#controller;
    return new Promise((resolve) => {
      const done = (): void => {
        clearTimeout(timer);
        signal.removeEventListener('abort', done);
        resolve();
      };
      const timer = setTimeout(done, ms);
      timer.unref();
      signal.addEventListener('abort', done);
    });
  }
}
