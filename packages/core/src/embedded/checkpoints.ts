import { statSync } from 'node:fs';
import { Worker } from 'node:worker_threads';
import { sqliteResultCode } from './sqlite-error.ts';

/** A log of so many bytes more is copied into the database. */
const growthBytes = 16 * 2 ** 20;

/** Commits between two looks at the size of the log. */
const commitsPerLook = 128;

/**
 * Copies the write-ahead log into the database off the path of commits: in a short-lived thread, when
 * the log has grown by 16 MB. (A commit that does it itself takes a hundred times as long.) Where threads
 * cannot be started SQLite does it at a commit, when the log has four times that size.
 */
export class Checkpoints {
  readonly #path: string;
  readonly #empty: () => void;
  #commits = 0;
  #nextAt = growthBytes;
  #thread: Promise<void> | undefined;
  #worker: Worker | undefined;
  #refused = false;

  /** `empty` copies the little that the thread has left over, and has the log begin anew. */
  constructor(path: string, empty: () => void) {
    this.#path = path;
    this.#empty = empty;
  }

  /** To be called after each commit. */
  committed(): void {
    this.#commits += 1;
    if (this.#commits < commitsPerLook) return;
    this.#commits = 0;
    if (this.#thread !== undefined || this.#refused) return;
    const size = this.#logBytes();
    if (size >= this.#nextAt) this.#thread = this.#run();
  }

  /** Waits for a checkpoint that is under way. */
  async close(): Promise<void> {
    this.#refused = true;
    this.#worker?.ref();
    await this.#thread;
  }

  #run(): Promise<void> {
    const file = import.meta.url.endsWith('.ts')
      ? './sqlite-checkpoint-thread.ts'
      : './sqlite-checkpoint-thread.js';
    const worker = new Worker(new URL(file, import.meta.url), { workerData: { path: this.#path } });
    worker.unref();
    this.#worker = worker;
    return new Promise((resolve) => {
      // A checkpoint that could not be is one that SQLite does later; no commit depends on it.
      worker.once('error', () => {
        this.#refused = true;
      });
      worker.once('exit', () => {
        this.#worker = undefined;
        this.#thread = undefined;
        if (!this.#refused) this.#tryToEmpty();
        this.#nextAt = this.#logBytes() + growthBytes;
        resolve();
      });
    });
  }

  #tryToEmpty(): void {
    try {
      this.#empty();
    } catch (error) {
      // The log is whole, and commits go on; what is wrong with the disk they will say themselves.
      if (sqliteResultCode(error) === undefined) throw error;
      this.#refused = true;
    }
  }

  #logBytes(): number {
    return statSync(`${this.#path}-wal`, { throwIfNoEntry: false })?.size ?? 0;
  }
}
