import type { Clock } from '../../contracts/ports.ts';

/** A clock that stands still until it is moved. */
export class VirtualClock implements Clock {
  #now: number;

  /** Starts at `now`, in epoch ms (14 November 2023 when left out). */
  constructor(now = 1_700_000_000_000) {
    this.#now = now;
  }

  now(): number {
    return this.#now;
  }

  /** Moves it on by `ms`, rounded up to a whole one. */
  advance(ms: number): void {
    this.#now += Math.ceil(ms);
  }
}
