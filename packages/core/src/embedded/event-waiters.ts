import { isKeelsonError, KeelsonError } from '../errors.ts';

interface Waiter {
  readonly after: number;
  readonly settle: (outcome: boolean | KeelsonError) => void;
}

const pollMs = 25;

/**
 * Those who wait for events. Looks at the newest event's number (microseconds) every 25 ms while
 * somebody waits, and at once when this process has emitted one. Its timers keep no process alive.
 */
export class EventWaiters {
  readonly #latest: () => number;
  readonly #waiters = new Set<Waiter>();
  #timer: ReturnType<typeof setInterval> | undefined;

  /** `latest` reads the number of the newest event. */
  constructor(latest: () => number) {
    this.#latest = latest;
  }

  /** True when there is an event behind `after`, false when the time runs out before. */
  wait(
    after: number,
    options: { readonly timeoutMs: number; readonly signal?: AbortSignal },
  ): Promise<boolean> {
    const { signal } = options;
    if (signal?.aborted) return Promise.reject(aborted(signal));
    if (this.#latest() > after) return Promise.resolve(true);
    return new Promise((resolve, reject) => {
      const settle = (outcome: boolean | KeelsonError): void => {
        clearTimeout(timeout);
        signal?.removeEventListener('abort', abort);
        this.#waiters.delete(waiter);
        if (this.#waiters.size === 0) this.#stop();
        if (typeof outcome === 'boolean') resolve(outcome);
        else reject(outcome);
      };
      const waiter: Waiter = { after, settle };
      const abort = (): void => settle(aborted(signal));
      const timeout = setTimeout(() => settle(false), Math.min(options.timeoutMs, 2 ** 31 - 1));
      timeout.unref();
      signal?.addEventListener('abort', abort, { once: true });
      this.#waiters.add(waiter);
      this.#timer ??= setInterval(() => this.wake(), pollMs).unref();
    });
  }

  /** Looks now. */
  wake(): void {
    if (this.#waiters.size === 0) return;
    let latest: number;
    try {
      latest = this.#latest();
    } catch (error) {
      // A database that is locked for a moment is looked at again; anything else the waiters hear of.
      if (isKeelsonError(error, 'UNAVAILABLE')) return;
      this.#settleAll(asKeelsonError(error));
      return;
    }
    for (const waiter of [...this.#waiters]) if (latest > waiter.after) waiter.settle(true);
  }

  /** Rejects all who wait with CLOSED. */
  close(): void {
    this.#settleAll(new KeelsonError('CLOSED', 'The store was closed while waiting for events.'));
    this.#stop();
  }

  #settleAll(error: KeelsonError): void {
    for (const waiter of [...this.#waiters]) waiter.settle(error);
  }

  #stop(): void {
    clearInterval(this.#timer);
    this.#timer = undefined;
  }
}

function aborted(signal: AbortSignal | undefined): KeelsonError {
  return new KeelsonError('ABORTED', 'Waiting for events was aborted.', { cause: signal?.reason });
}

function asKeelsonError(error: unknown): KeelsonError {
  if (isKeelsonError(error)) return error;
  return new KeelsonError('INTERNAL', 'Looking for events failed.', { cause: error });
}
