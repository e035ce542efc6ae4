/** How many rows a call may have. */
export interface BatchSizerOptions {
  readonly maxRows: number;
  /** Waiting and running together are meant to take no longer; undefined for no such limit. */
  readonly latencyTargetMs: number | undefined;
}

/** What the past weighs against a new call: about the last fifty count. */
const decay = 0.98;
const enoughCalls = 5;
/** Of the target; the rest is for what cannot be foreseen. */
const share = 0.92;

/**
 * Learns what calls take as `fixed + perRow · rows` (least squares over the last fifty or so), and from it how many
 * rows may go together: as many as the latency target leaves time for, under a cap that grows while calls
 * keep the target and shrinks by a tenth when one does not (AIMD, as in Crankshaw et al., Clipper, NSDI 2017).
 */
export class BatchSizer {
  readonly #options: BatchSizerOptions;
  #weight = 0;
  #rows = 0;
  #ms = 0;
  #rowsRows = 0;
  #rowsMs = 0;
  #calls = 0;
  #cap: number;

  constructor(options: BatchSizerOptions) {
    this.#options = options;
    this.#cap = options.latencyTargetMs === undefined ? options.maxRows : 1;
  }

  /** Learns from a call of `rows`, of which the first had waited `waitedMs`, and which took `ms`. */
  record(rows: number, ms: number, waitedMs: number): void {
    this.#weight = this.#weight * decay + 1;
    this.#rows = this.#rows * decay + rows;
    this.#ms = this.#ms * decay + ms;
    this.#rowsRows = this.#rowsRows * decay + rows * rows;
    this.#rowsMs = this.#rowsMs * decay + rows * ms;
    this.#calls += 1;
    const { latencyTargetMs, maxRows } = this.#options;
    if (latencyTargetMs === undefined) return;
    if (ms + waitedMs > latencyTargetMs) this.#cap = Math.max(1, Math.floor(this.#cap * 0.9));
    else if (rows >= Math.floor(this.#cap)) {
      this.#cap = Math.min(maxRows, this.#cap < 10 ? this.#cap + 1 : this.#cap * 1.1);
    }
  }

  /** What a call of `rows` is expected to take; undefined before enough calls were seen. */
  expectedMs(rows: number): number | undefined {
    if (this.#calls < enoughCalls) return undefined;
    const { fixedMs, perRowMs } = this.#fit();
    return fixedMs + perRowMs * rows;
  }

  /** Rows that may go together now, when the first of them has waited so long: at least 1. */
  limit(waitedMs: number): number {
    const { latencyTargetMs, maxRows } = this.#options;
    if (latencyTargetMs === undefined) return maxRows;
    const cap = Math.min(maxRows, Math.floor(this.#cap));
    if (this.#calls < enoughCalls) return Math.max(1, cap);
    const { fixedMs, perRowMs } = this.#fit();
    const room = share * latencyTargetMs - waitedMs - fixedMs;
    // Late already: small batches would only make those behind later still.
    const fits = room <= 0 ? cap : perRowMs > 0 ? Math.floor(room / perRowMs) : cap;
    return Math.max(1, Math.min(cap, fits));
  }

  #fit(): { readonly fixedMs: number; readonly perRowMs: number } {
    const meanRows = this.#rows / this.#weight;
    const meanMs = this.#ms / this.#weight;
    const variance = this.#rowsRows / this.#weight - meanRows * meanRows;
    // All of one size: nothing tells the fixed part from the rest.
    if (!(variance > 1e-9 * meanRows * meanRows))
      return { fixedMs: 0, perRowMs: meanMs / meanRows };
    const slope = (this.#rowsMs / this.#weight - meanRows * meanMs) / variance;
    const perRowMs = Math.min(Math.max(0, slope), meanMs / meanRows);
    return { fixedMs: Math.max(0, meanMs - perRowMs * meanRows), perRowMs };
  }
}
