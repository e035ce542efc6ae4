import type { PointTarget, RunAddress } from '../contracts/point-target.ts';

/** What a pulse works with, and whom it tells how it goes. */
export interface RunPulseParts {
  open(): Promise<PointTarget>;
  beaten(): void;
  failed(error: unknown): void;
}

/** Keeps the heartbeats of the runs that are open in this process. */
export class RunPulse {
  readonly #intervalMs: number;
  readonly #parts: RunPulseParts;
  readonly #runs = new Map<string, RunAddress>();
  #ended: RunAddress[] = [];
  #beating: Promise<void> | undefined;
  #nextAt: number = Number.POSITIVE_INFINITY;

  constructor(intervalMs: number, parts: RunPulseParts) {
    this.#intervalMs = intervalMs;
    this.#parts = parts;
  }

  /** The beat under way. It never rejects: a beat that fails is made up for by the next. */
  get beating(): Promise<void> | undefined {
    return this.#beating;
  }

  /** When the next beat is due, on the clock of `performance.now()`. */
  get nextAt(): number {
    return this.#nextAt;
  }

  /** Whether a beat is under way, or runs wait to be forgotten. */
  get hasWork(): boolean {
    return this.#beating !== undefined || this.#ended.length > 0;
  }

  open(run: RunAddress): void {
    this.#runs.set(nameOf(run), run);
    this.#ended = this.#ended.filter((one) => nameOf(one) !== nameOf(run));
    this.#nextAt = 0;
  }

  close(run: RunAddress): void {
    this.#runs.delete(nameOf(run));
    this.#ended.push(run);
    this.#nextAt = 0;
  }

  /** Begins a beat when one is due. */
  beat(now: number): void {
    if (this.#beating !== undefined || now < this.#nextAt) return;
    const idle = this.#runs.size === 0 && this.#ended.length === 0;
    this.#nextAt = idle ? Number.POSITIVE_INFINITY : now + this.#intervalMs;
    if (idle) return;
    this.#beating = this.#beatNow()
      .then(
        () => this.#parts.beaten(),
        (error: unknown) => this.#parts.failed(error),
      )
      .finally(() => {
        this.#beating = undefined;
      });
  }

  async #beatNow(): Promise<void> {
    const target = await this.#parts.open();
    const ended = this.#ended;
    if (ended.length > 0) {
      await target.endBeats(ended);
      this.#ended = this.#ended.filter((run) => !ended.includes(run));
    }
    if (this.#runs.size > 0) await target.beat([...this.#runs.values()], Date.now());
  }
}

function nameOf(run: RunAddress): string {
  return `${run.workspace}\u0000${run.runId}`;
}
