import { setTimeout as pause } from 'node:timers/promises';
import { storeAway } from './crash-points.ts';
import { interposed } from './interposed.ts';

/** Faults of wrapped stores, switched on and off while they are used. One may serve several stores. */
export class StoreFaults {
  #away = false;
  #latencyMs: readonly [number, number] = [0, 0];
  #failing = 0;
  #random: () => number = Math.random;
  #injected = 0;

  /** How many calls were refused. */
  get injected(): number {
    return this.#injected;
  }

  /** From now on every call is UNAVAILABLE, until `back`. */
  away(): void {
    this.#away = true;
  }

  back(): void {
    this.#away = false;
  }

  /** Every call takes so long before it is made. */
  latency(leastMs: number, mostMs: number = leastMs): void {
    this.#latencyMs = [leastMs, mostMs];
  }

  /** A share of the calls, from 0 to 1, is UNAVAILABLE, by these random numbers. */
  failSome(share: number, random: () => number): void {
    this.#failing = share;
    this.#random = random;
  }

  /** The store with these faults; `close` is never refused. Waiting for events keeps its own time. */
  wrap<S extends object>(store: S): S {
    return interposed(store, async ({ method }, proceed) => {
      const [least, most] = this.#latencyMs;
      if (most > 0) await pause(least + this.#random() * (most - least));
      if (this.#away || (this.#failing > 0 && this.#random() < this.#failing)) {
        this.#injected += 1;
        throw storeAway(method);
      }
      return await proceed();
    });
  }
}
