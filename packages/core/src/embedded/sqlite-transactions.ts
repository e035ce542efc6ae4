import type { DatabaseSync } from 'node:sqlite';
import { isKeelsonError, KeelsonError } from '../errors.ts';
import { FileIdentity } from './file-identity.ts';
import { fromSqliteError, isInputOutput, sqliteResultCode } from './sqlite-error.ts';

/** How a part of a transaction went. */
export type Attempt =
  | { readonly done: true; readonly result: unknown }
  /** `undoneAll`: the error undid the whole transaction, not only this part of it. */
  | { readonly done: false; readonly error: unknown; readonly undoneAll: boolean };

/** The transactions of one connection, one at a time, and what is to be done once they are committed. */
export class SqliteTransactions {
  readonly #path: string;
  readonly #connection: DatabaseSync;
  readonly #committed: () => void;
  readonly #file: FileIdentity;
  #afterCommit: (() => void)[] = [];
  #running = false;
  #writing = false;
  /** As the connection was opened. */
  #synced = true;

  /** `committed` is called after each commit of a write. */
  constructor(path: string, connection: DatabaseSync, committed: () => void) {
    this.#file = new FileIdentity(path);
    this.#path = path;
    this.#connection = connection;
    this.#committed = committed;
  }

  /** Whether one is running. */
  get running(): boolean {
    return this.#running;
  }

  /** Whether one that writes is running. */
  get writing(): boolean {
    return this.#writing;
  }

  /** Calls `then` once the write that is running has been committed. */
  afterCommit(then: () => void): void {
    if (!this.#writing) throw new KeelsonError('INTERNAL', 'afterCommit outside of a write.');
    this.#afterCommit.push(then);
  }

  /**
   * Throws SQLite's own error when another connection is in the way. A write that is not `synced` outlives the process,
   * not a loss of power.
   */
  begin(writing: boolean, synced = true): void {
    if (this.#running) {
      throw new KeelsonError('INTERNAL', `A write on ${this.#path} was started inside another.`);
    }
    this.#rollBack();
    if (writing && synced !== this.#synced) {
      this.#connection.exec(`PRAGMA synchronous = ${synced ? 'FULL' : 'NORMAL'}`);
      this.#synced = synced;
    }
    this.#connection.exec(writing ? 'BEGIN IMMEDIATE' : 'BEGIN');
    this.#running = true;
    this.#writing = writing;
  }

  /** Runs a part of the transaction; with a savepoint, its failure undoes it alone. */
  attempt(work: () => unknown, savepoint: boolean): Attempt {
    const announcements = this.#afterCommit.length;
    try {
      if (savepoint) this.#connection.exec('SAVEPOINT part');
      const result = work();
      if (savepoint) this.#connection.exec('RELEASE part');
      return { done: true, result };
    } catch (error) {
      this.#afterCommit.length = announcements;
      // A full disk, say, undoes the whole of it at once.
      const undoneAll = !savepoint || !this.#undoPart();
      return { done: false, error, undoneAll };
    }
  }

  /** Commits, then calls what waited for it; answers the error if it could not be committed. */
  commit(): unknown {
    try {
      this.#connection.exec('COMMIT');
    } catch (error) {
      this.rollback();
      return error;
    }
    const { announcements, writing } = this.#end();
    const replaced = writing ? this.#file.fault() : undefined;
    if (replaced !== undefined) return replaced;
    if (writing) this.#committed();
    for (const announce of announcements) announce();
    return undefined;
  }

  /** A rollback that the disk refuses is made up for by the next transaction. */
  rollback(): undefined {
    try {
      this.#rollBack();
    } catch (error) {
      if (sqliteResultCode(error) === undefined) throw error;
    } finally {
      this.#end();
    }
  }

  #rollBack(): void {
    // After some errors SQLite has done it by itself.
    if (this.#connection.isTransaction) this.#connection.exec('ROLLBACK');
  }

  /** Whether only the part that failed was undone. */
  #undoPart(): boolean {
    if (!this.#connection.isTransaction) return false;
    try {
      this.#connection.exec('ROLLBACK TO part; RELEASE part');
      return true;
    } catch (error) {
      if (sqliteResultCode(error) === undefined) throw error;
      return false;
    }
  }

  /** Runs a whole transaction. Throws what `work` throws, and SQLite's own errors. */
  run<T>(writing: boolean, work: () => T): T {
    this.begin(writing);
    let result: T;
    try {
      result = work();
    } catch (error) {
      this.rollback();
      throw error;
    }
    const failure = this.commit();
    if (failure !== undefined) throw writing ? this.commitError(failure) : failure;
    return result;
  }

  /** What a commit that failed is told its caller as. */
  commitError(cause: unknown): unknown {
    if (isKeelsonError(cause) || !isInputOutput(cause)) return fromSqliteError(cause, this.#path);
    return new KeelsonError(
      'UNAVAILABLE',
      `Writing a commit to ${this.#path} failed on the disk; after a crash it may be there or not. Check the disk, then read before trying again.`,
      { cause, details: { path: this.#path, outcome: 'unknown' } },
    );
  }

  #end(): { readonly announcements: readonly (() => void)[]; readonly writing: boolean } {
    const ended = { announcements: this.#afterCommit, writing: this.#writing };
    this.#afterCommit = [];
    this.#running = false;
    this.#writing = false;
    return ended;
  }
}
