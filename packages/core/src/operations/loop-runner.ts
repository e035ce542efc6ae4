import type { Loop } from '../contracts/loop.ts';
import type { Logger } from '../contracts/ports.ts';
import { rest } from '../rest.ts';

const longestRestMs = 30_000;

/** Runs loops side by side until it is stopped; a loop that fails rests and goes on. */
export class LoopRunner {
  readonly #controller = new AbortController();
  readonly #logger: Logger;
  readonly #running = new Set<Promise<void>>();

  constructor(logger: Logger) {
    this.#logger = logger;
  }

  /**
   * Starts a loop; its timers do not keep the process alive. What is answered stops this loop alone,
   * and resolves when its round is over.
   */
  add(loop: Loop): () => Promise<void> {
    const own = new AbortController();
    const signal = AbortSignal.any([this.#controller.signal, own.signal]);
    const done = this.#drive(loop, signal).finally(() => this.#running.delete(done));
    this.#running.add(done);
    return async () => {
      own.abort();
      await done;
    };
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

  async #drive(loop: Loop, signal: AbortSignal): Promise<void> {
    let failures = 0;
    while (!signal.aborted) {
      try {
        const busy = await loop.runOnce(signal);
        failures = 0;
        if (!busy) await rest(loop.idleMs, signal, { background: true });
      } catch (error) {
        if (signal.aborted) return;
        failures += 1;
        this.#logger.error(
          { component: 'operations', loop: loop.name, failures, error },
          'A loop failed.',
        );
        const ms = Math.min(longestRestMs, loop.idleMs * 2 ** Math.min(failures, 10));
        await rest(ms, signal, { background: true });
      }
    }
  }
}
