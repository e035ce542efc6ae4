/** What is waited for before a run ends, and never made a training loop wait. */
interface Task {
  readonly what: string;
  readonly work: () => Promise<void>;
}

/** How many may wait for a loop that never yields; more are counted and told. */
const maxWaiting = 1000;

/**
 * Commits that a training loop causes and does not wait for: they run one after another when the event
 * loop is free, and what fails is tried again by `settle`, which a run's end waits for.
 */
export class BesideTheLoop {
  readonly #warn: (message: string, fields: object) => void;
  #waiting: Task[] = [];
  #leftOut = 0;
  #working: Promise<void> | undefined;

  constructor(warn: (message: string, fields: object) => void) {
    this.#warn = warn;
  }

  /** Takes work on; `what` names it in warnings: "The crossing of loss". Never throws. */
  add(what: string, work: () => Promise<void>): void {
    if (this.#waiting.length >= maxWaiting) {
      this.#leftOut += 1;
      return;
    }
    this.#waiting.push({ what, work });
    this.#working ??= this.#run();
  }

  /** Resolves when all has been done, or has failed a second time and a warning has said so. */
  async settle(): Promise<void> {
    while (this.#working !== undefined) await this.#working;
    const again = this.#waiting;
    this.#waiting = [];
    for (const { what, work } of again) {
      try {
        await work();
      } catch (error) {
        this.#warn(`${what} could not be written down.`, { error });
      }
    }
    if (this.#leftOut > 0) {
      this.#warn(`${this.#leftOut} more facts beside the loop were too many to write down.`, {});
      this.#leftOut = 0;
    }
  }

  async #run(): Promise<void> {
    const failed: Task[] = [];
    try {
      await null;
      for (let task = this.#waiting.shift(); task !== undefined; task = this.#waiting.shift()) {
        try {
          await task.work();
        } catch {
          // The store may be away; `settle` tries again, and says what it could not do.
          failed.push(task);
        }
      }
    } finally {
      this.#waiting.unshift(...failed);
      this.#working = undefined;
    }
  }
}
