import type { PointTarget } from '../contracts/point-target.ts';
import { isKeelsonError } from '../errors.ts';
import type { PointBlock } from './point-block.ts';
import { PointSpool } from './point-spool.ts';
import { type FindLastSteps, StepNumbers } from './step-numbers.ts';

/** Whom the carrying of spools tells how it goes. */
export interface AdoptedSpoolsParts {
  /** Whether there is more urgent work. */
  mustWait(): boolean;
  findLastSteps(target: PointTarget): FindLastSteps;
  stored(): void;
  note(error: unknown): void;
}

/**
 * The spools of writers whose processes died. What the store will never take, or cannot be read any more,
 * is set aside in its file and told of, so that it dams up nothing.
 */
export class AdoptedSpools {
  readonly #spools: PointSpool[] = [];
  readonly #parts: AdoptedSpoolsParts;

  constructor(parts: AdoptedSpoolsParts) {
    this.#parts = parts;
  }

  /** Takes over what lies in a directory and nobody holds; what is held here stays. */
  adopt(directory: string): void {
    const { spools, faults } = PointSpool.adopt(directory);
    for (const fault of faults) this.#parts.note(fault);
    this.#spools.push(...spools);
  }

  get isEmpty(): boolean {
    return this.#spools.length === 0;
  }

  /** Carries all blocks to the store, unless there is more urgent work. Rejects when the store fails. */
  async carry(target: PointTarget): Promise<void> {
    for (let spool = this.#spools[0]; spool !== undefined; spool = this.#spools[0]) {
      const steps = new StepNumbers(this.#parts.findLastSteps(target));
      for (let block = this.#firstOf(spool); block !== undefined; block = this.#firstOf(spool)) {
        if (this.#parts.mustWait()) return;
        await nextTurn();
        if (!(await this.#store(target, spool, await steps.resolve(block)))) break;
      }
      this.#close(spool);
      this.#spools.shift();
    }
  }

  close(): void {
    for (const spool of this.#spools) this.#close(spool);
  }

  /** False when the store will never take it, and it cannot be set aside either. */
  async #store(target: PointTarget, spool: PointSpool, block: PointBlock): Promise<boolean> {
    try {
      await target.store.appendPoints(block);
    } catch (error) {
      if (!isKeelsonError(error, 'INVALID')) throw error;
      return this.#setAside(spool, error.message);
    }
    spool.remove(block.sequence, block.steps.length);
    this.#parts.stored();
    return true;
  }

  #firstOf(spool: PointSpool): PointBlock | undefined {
    for (;;) {
      try {
        return spool.first();
      } catch (error) {
        if (!isKeelsonError(error, 'CORRUPT')) throw error;
        if (!this.#setAside(spool, error.message)) return undefined;
      }
    }
  }

  #setAside(spool: PointSpool, why: string): boolean {
    try {
      const points = spool.setFirstAside(why);
      const message = `${points} metric points of a process that died cannot be stored; they are kept in ${spool.path} (table aside): ${why}`;
      this.#parts.note(new Error(message));
      return points > 0;
    } catch (error) {
      // The file itself is damaged: it stays as it is.
      this.#parts.note(error);
      return false;
    }
  }

  #close(spool: PointSpool): void {
    try {
      spool.close();
    } catch (error) {
      this.#parts.note(error);
    }
  }
}

function nextTurn(): Promise<void> {
  return new Promise((resolve) => {
    setImmediate(resolve);
  });
}
