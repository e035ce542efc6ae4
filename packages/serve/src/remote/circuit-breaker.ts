/** When a breaker opens, and for how long. */
export interface BreakerOptions {
  /** Opens after so many failures one after another. */
  readonly failures: number;
  /** Opens as well when half of so many last calls have failed. */
  readonly window: number;
  /** From opening to the first trial; doubled for each trial that fails, up to `maxOpenMs`. */
  readonly openMs: number;
  readonly maxOpenMs: number;
  /** Monotonic, in ms. */
  readonly now: () => number;
}

/** How a breaker is doing. */
export interface BreakerStatus {
  /** `half-open`: a trial is under way, nothing else is let through. */
  readonly state: 'closed' | 'open' | 'half-open';
  /** How often it opened so far. */
  readonly opened: number;
  /** Why it opened last; undefined before. */
  readonly reason: string | undefined;
  /** Until the next trial; 0 unless open. */
  readonly retryAfterMs: number;
}

/** A breaker that was closed for so long begins with `openMs` again. */
const stableMs = 30_000;

/**
 * A circuit breaker: closed, calls go through; after too many failures open, none do; after a while half-open, one trial
 * goes, and what comes of it closes or opens it. Has no timer of its own: whoever owns it asks when a trial is due.
 */
export class CircuitBreaker {
  readonly #options: BreakerOptions;
  #state: BreakerStatus['state'] = 'closed';
  /** Of the last calls, the newest last; true is a failure. */
  #recent: boolean[] = [];
  #inARow = 0;
  #opened = 0;
  #openForMs: number;
  #trialAt = 0;
  #closedAt = Number.NEGATIVE_INFINITY;
  #reason: string | undefined;

  constructor(options: BreakerOptions) {
    this.#options = options;
    this.#openForMs = options.openMs;
  }

  get isClosed(): boolean {
    return this.#state === 'closed';
  }

  get status(): BreakerStatus {
    const retryAfterMs =
      this.#state === 'open' ? Math.max(0, this.#trialAt - this.#options.now()) : 0;
    return { state: this.#state, opened: this.#opened, reason: this.#reason, retryAfterMs };
  }

  /** A call went well. Of calls that began before it opened, only failures are news, and those are known. */
  succeed(): void {
    if (this.#state === 'closed') this.#note(false);
  }

  /** A call failed; answers whether that opened it. */
  fail(reason: string): boolean {
    if (this.#state !== 'closed') return false;
    this.#note(true);
    const { failures, window } = this.#options;
    const failed = this.#recent.filter((isFailure) => isFailure).length;
    const isRateHigh = this.#recent.length === window && failed * 2 >= window;
    if (this.#inARow < failures && !isRateHigh) return false;
    const wasStable = this.#options.now() - this.#closedAt > stableMs;
    this.#open(reason, wasStable ? this.#options.openMs : this.#openForMs * 2);
    this.#opened += 1;
    return true;
  }

  /** Half-open from now on, if it is open and its time is up; answers whether a trial is to be made. */
  tryHalfOpen(): boolean {
    if (this.#state !== 'open' || this.#options.now() < this.#trialAt) return false;
    this.#state = 'half-open';
    return true;
  }

  /** What came of the trial: closes it, or opens it for longer. */
  endTrial(failure: string | undefined): void {
    if (this.#state !== 'half-open') return;
    if (failure !== undefined) {
      this.#open(failure, this.#openForMs * 2);
      return;
    }
    this.#state = 'closed';
    this.#closedAt = this.#options.now();
    this.#recent = [];
    this.#inARow = 0;
  }

  #open(reason: string, forMs: number): void {
    this.#state = 'open';
    this.#reason = reason;
    this.#openForMs = Math.min(this.#options.maxOpenMs, forMs);
    this.#trialAt = this.#options.now() + this.#openForMs;
  }

  #note(isFailure: boolean): void {
    this.#inARow = isFailure ? this.#inARow + 1 : 0;
    this.#recent.push(isFailure);
    if (this.#recent.length > this.#options.window) this.#recent.shift();
  }
}
