import type { DatabaseSync } from 'node:sqlite';
import { fromSqliteError, isBusy } from './sqlite-error.ts';
import { loadSqlite } from './sqlite-module.ts';

/**
 * A lock on a directory which many may share or one may hold alone. It is SQLite's lock on an empty
 * database: the system gives it up when its process dies, however it dies. Never waits.
 */
export class DirectoryLock implements Disposable {
  readonly #path: string;
  readonly #connection: DatabaseSync;

  private constructor(path: string, connection: DatabaseSync) {
    this.#path = path;
    this.#connection = connection;
  }

  /** Opens the lock file, creating it if need be; holds nothing yet. */
  static open(path: string): DirectoryLock {
    try {
      return new DirectoryLock(path, new (loadSqlite().DatabaseSync)(path, { timeout: 0 }));
    } catch (error) {
      throw fromSqliteError(error, path);
    }
  }

  /** Holds it beside others that share it; false when somebody has it alone. */
  tryShare(): boolean {
    return this.#try(() => {
      this.#connection.exec('BEGIN');
      this.#connection.prepare('SELECT count(*) FROM sqlite_schema').get();
    });
  }

  /** Holds it alone; false when somebody else has it in any way. What was held before is given up. */
  tryAlone(): boolean {
    return this.#try(() => {
      // Nothing is ever written; with a journal, its file would stay behind.
      this.#connection.exec('PRAGMA journal_mode = OFF; BEGIN EXCLUSIVE');
    });
  }

  /** Gives up what is held; fine when that is nothing. */
  release(): void {
    if (this.#connection.isOpen && this.#connection.isTransaction) {
      this.#connection.exec('ROLLBACK');
    }
  }

  /** Gives it up and closes the lock file; twice is fine. */
  close(): void {
    if (!this.#connection.isOpen) return;
    this.release();
    this.#connection.close();
  }

  [Symbol.dispose](): void {
    this.close();
  }

  #try(take: () => void): boolean {
    this.release();
    try {
      take();
      return true;
    } catch (error) {
      this.release();
      if (isBusy(error)) return false;
      throw fromSqliteError(error, this.#path);
    }
  }
}
