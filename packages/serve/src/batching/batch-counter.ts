import type { BatchJob } from './batch-job.ts';

/** What came of sharing calls. */
export interface BatchCounts {
  /** Calls of the model. */
  readonly calls: number;
  readonly requests: number;
  readonly rows: number;
  /** Calls by their rows: up to 1, 2, 4, 8 … rows. */
  readonly sizes: readonly { readonly upTo: number; readonly calls: number }[];
  /** How long the first request of each call had waited, together. */
  readonly waitedMs: number;
}

/** Counts calls and their sizes. */
export class BatchCounter {
  #calls = 0;
  #requests = 0;
  #rows = 0;
  #waitedMs = 0;
  readonly #sizes: number[] = [];

  count({ members, rowCount, sentAt, enqueuedAt }: BatchJob): void {
    this.#calls += 1;
    this.#requests += members.length;
    this.#rows += rowCount;
    this.#waitedMs += sentAt - enqueuedAt;
    const octave = rowCount <= 1 ? 0 : 32 - Math.clz32(rowCount - 1);
    this.#sizes[octave] = (this.#sizes[octave] ?? 0) + 1;
  }

  counts(): BatchCounts {
    return {
      calls: this.#calls,
      requests: this.#requests,
      rows: this.#rows,
      sizes: Array.from(this.#sizes, (calls = 0, octave) => ({ upTo: 2 ** octave, calls })),
      waitedMs: this.#waitedMs,
    };
  }
}
