import { KeelsonError } from '../errors.ts';

/**
 * The operations that are going on in something that can be closed. Each has a signal of its own, which
 * says ABORTED when the caller's signal is aborted, and CLOSED when the whole is closed.
 */
export class OngoingWork {
  readonly #message: string;
  readonly #running = new Map<AbortController, Promise<unknown>>();
  #closed = false;

  /** `message` is what operations are told after the close. */
  constructor(message: string) {
    this.#message = message;
  }

  /** How many are going on. */
  get size(): number {
    return this.#running.size;
  }

  /** Does `act`; rejects with CLOSED after the close, with ABORTED for a signal that is aborted. */
  async run<T>(
    signal: AbortSignal | undefined,
    act: (signal: AbortSignal) => Promise<T>,
  ): Promise<T> {
    const { promise, resolve } = Promise.withResolvers<void>();
    const own = this.begin(signal, promise);
    try {
      own.signal.throwIfAborted();
      return await act(own.signal);
    } finally {
      own.end();
      resolve();
    }
  }

  /**
   * Begins something that ends with `end`. The close aborts its signal and waits until `settled`
   * resolves.
   */
  begin(
    signal: AbortSignal | undefined,
    settled: Promise<unknown>,
  ): { readonly signal: AbortSignal; readonly end: () => void } {
    if (this.#closed) throw new KeelsonError('CLOSED', this.#message);
    const controller = new AbortController();
    const stop = (): void => controller.abort(aborted(signal));
    if (signal?.aborted) stop();
    else signal?.addEventListener('abort', stop, { once: true });
    this.#running.set(controller, settled);
    const end = (): void => {
      this.#running.delete(controller);
      signal?.removeEventListener('abort', stop);
    };
    return { signal: controller.signal, end };
  }

  async close(): Promise<void> {
    this.#closed = true;
    const settled = [...this.#running.values()];
    for (const controller of this.#running.keys()) {
      controller.abort(new KeelsonError('CLOSED', this.#message));
    }
    await Promise.allSettled(settled);
  }
}

function aborted(signal: AbortSignal | undefined): KeelsonError {
  return new KeelsonError('ABORTED', 'The operation was aborted by its caller.', {
    cause: signal?.reason,
  });
}
