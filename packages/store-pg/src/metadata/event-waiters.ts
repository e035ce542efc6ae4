import { isKeelsonError, KeelsonError, type Logger } from '@keelson/core';
import type { PgDatabase } from '../connection/pg-database.ts';
import { EventListener } from './event-listener.ts';
import { type EventPlace, hasEvents } from './pg-events.ts';

interface Waiter {
  readonly after: EventPlace;
  readonly settle: (outcome: boolean | KeelsonError) => void;
}

/** How soon to look again: while messages are heard, while none can be, and when an event is on its way. */
const paceMs = { listening: 1_000, polling: 50, soon: 5 } as const;

/** Those who wait for events. Its timers keep no process alive. */
export class EventWaiters {
  readonly #database: PgDatabase;
  readonly #listener: EventListener;
  readonly #waiters = new Set<Waiter>();
  #timer: ReturnType<typeof setTimeout> | undefined;
  #looking = false;
  #woken = false;
  #closed = false;

  constructor(database: PgDatabase, logger?: Logger) {
    this.#database = database;
    this.#listener = new EventListener(database, () => this.wake(), logger);
  }

  /** Whether messages are heard, so that waiting needs no polling. */
  get listening(): boolean {
    return this.#listener.listening;
  }

  /** True when there is an event behind `after`, false when the time runs out before. */
  wait(
    after: EventPlace,
    options: { readonly timeoutMs: number; readonly signal?: AbortSignal },
  ): Promise<boolean> {
    const { signal } = options;
    if (signal?.aborted) return Promise.reject(abortedError(signal));
    this.#listener.start();
    return new Promise((resolve, reject) => {
      let looked = false;
      let over = false;
      const settle = (outcome: boolean | KeelsonError): void => {
        // Also without time to wait, what is there already is seen.
        if (outcome === false && !looked) {
          over = true;
          return;
        }
        clearTimeout(timeout);
        signal?.removeEventListener('abort', abort);
        this.#waiters.delete(waiter);
        if (typeof outcome === 'boolean') resolve(outcome);
        else reject(outcome);
      };
      const waiter: Waiter = { after, settle };
      const abort = (): void => settle(abortedError(signal));
      const timeout = setTimeout(() => settle(false), Math.min(options.timeoutMs, 2 ** 31 - 1));
      timeout.unref();
      signal?.addEventListener('abort', abort, { once: true });
      this.#waiters.add(waiter);
      void this.#lookFor(waiter).then((found) => {
        looked = true;
        if (over) settle(false);
        else this.#schedule(found === 'soon' ? 'soon' : undefined);
      });
    });
  }

  /** Looks now. */
  wake(): void {
    if (this.#waiters.size === 0 || this.#closed) return;
    this.#woken = true;
    if (!this.#looking) void this.#look();
  }

  /** Rejects all who wait with CLOSED. */
  close(): void {
    this.#closed = true;
    clearTimeout(this.#timer);
    this.#listener.close();
    const error = new KeelsonError('CLOSED', 'The store was closed while waiting for events.');
    for (const waiter of [...this.#waiters]) waiter.settle(error);
  }

  async #look(): Promise<void> {
    this.#looking = true;
    let soon = false;
    do {
      this.#woken = false;
      soon = false;
      for (const waiter of [...this.#waiters]) {
        if ((await this.#lookFor(waiter)) === 'soon') soon = true;
      }
    } while (this.#woken);
    this.#looking = false;
    this.#schedule(soon ? 'soon' : undefined);
  }

  async #lookFor(waiter: Waiter): Promise<'soon' | 'no'> {
    try {
      const found = await hasEvents(this.#database, waiter.after);
      if (found === 'yes') waiter.settle(true);
      return found === 'soon' ? 'soon' : 'no';
    } catch (error) {
      // A server that is away for a moment is asked again; anything else the waiter hears of.
      if (!isKeelsonError(error, 'UNAVAILABLE', 'CLOSED')) waiter.settle(asKeelsonError(error));
      return 'no';
    }
  }

  #schedule(sooner?: 'soon'): void {
    const pace = sooner ?? (this.listening ? 'listening' : 'polling');
    clearTimeout(this.#timer);
    if (this.#waiters.size === 0 || this.#closed || this.#looking) return;
    this.#timer = setTimeout(() => this.wake(), paceMs[pace]);
    this.#timer.unref();
  }
}

function abortedError(signal: AbortSignal | undefined): KeelsonError {
  return new KeelsonError('ABORTED', 'Waiting for events was aborted.', { cause: signal?.reason });
}

function asKeelsonError(error: unknown): KeelsonError {
  if (isKeelsonError(error)) return error;
  return new KeelsonError('INTERNAL', 'Looking for events failed.', { cause: error });
}
