import type { DatabaseSync, SQLInputValue, SQLOutputValue, StatementSync } from 'node:sqlite';
import { KeelsonError } from '../errors.ts';
import { Checkpoints } from './checkpoints.ts';
import {
  defaultLockTimeoutMs,
  type LockOptions,
  lockAborted,
  lockPauseMs,
  lockTimeout,
  pause,
  retryBlocking,
  retryWhileBusy,
} from './lock-retry.ts';
import { fromSqliteError, isBusy, isInputOutput } from './sqlite-error.ts';
import { loadSqlite } from './sqlite-module.ts';

const cachedStatements = 1_000;

/** Writes that wait are committed together, so many at most, and for so long at most. */
const groupSize = 64;
const groupMs = 3;

/** After so long without a turn of the event loop, the next call gives it one. */
const turnMs = 10;

/** A write that waits for its turn. */
interface QueuedWrite {
  readonly work: () => unknown;
  readonly startedAt: number;
  readonly timeoutMs: number;
  readonly resolve: (result: unknown) => void;
  readonly reject: (error: unknown) => void;
}

/**
 * One connection to one SQLite file in WAL mode. Every write transaction is IMMEDIATE and runs in one
 * synchronous turn; SQLite never waits for a lock by itself (that blocks the event loop for seconds and
 * starves other processes): busy writers try again after a random pause. Commits are durable
 * (`synchronous=FULL`).
 *
 * Errors of SQLite come as KeelsonErrors with their cause: EXHAUSTED for a full disk, CORRUPT for a
 * damaged file, UNAVAILABLE for what cannot be opened, read or written now, CLOSED after `close`.
 */
export class SqliteDatabase implements AsyncDisposable {
  readonly path: string;
  readonly #connection: DatabaseSync;
  readonly #statements = new Map<string, StatementSync>();
  readonly #queue: QueuedWrite[] = [];
  readonly #checkpoints: Checkpoints;
  #afterCommit: (() => void)[] = [];
  #draining: Promise<void> | undefined;
  #turnedAt = 0;
  #inTransaction = false;
  #writing = false;
  #closing = false;
  #closed = false;

  private constructor(path: string, connection: DatabaseSync) {
    this.path = path;
    this.#connection = connection;
    // Answers whether it could; where a reader or writer is in the way, the next one will.
    this.#checkpoints = new Checkpoints(path, () => {
      this.prepare('PRAGMA wal_checkpoint(TRUNCATE)').get();
    });
  }

  /** Opens the file, creating it if need be; waits for other processes that are opening it too. */
  static async open(
    path: string,
    options: { readonly readOnly?: boolean; readonly timeoutMs?: number } = {},
  ): Promise<SqliteDatabase> {
    const attempt = (): SqliteDatabase => SqliteDatabase.#connect(path, options.readOnly ?? false);
    return await retryWhileBusy(path, 'open the database', attempt, options);
  }

  static #connect(path: string, readOnly: boolean): SqliteDatabase {
    const { DatabaseSync } = loadSqlite();
    const connection = new DatabaseSync(path, {
      readOnly,
      timeout: 0,
      enableForeignKeyConstraints: false,
      enableDoubleQuotedStringLiterals: false,
    });
    try {
      connection.exec('PRAGMA busy_timeout = 0');
      if (!readOnly) {
        const mode = connection.prepare('PRAGMA journal_mode = WAL').get()?.['journal_mode'];
        if (mode !== 'wal') {
          throw new KeelsonError(
            'UNSUPPORTED',
            `${path} cannot use a write-ahead log (its journal mode stays '${String(mode)}'). Put the directory on a local file system.`,
            { details: { path } },
          );
        }
      }
      // 16,000 pages: a checkpoint at a commit takes long; see Checkpoints, which come before it.
      connection.exec(
        'PRAGMA synchronous = FULL; PRAGMA wal_autocheckpoint = 16000; PRAGMA temp_store = MEMORY; PRAGMA cache_size = -16000',
      );
      // The first read finds out whether this is a database at all.
      connection.prepare('SELECT count(*) FROM sqlite_schema').get();
    } catch (error) {
      connection.close();
      throw error;
    }
    return new SqliteDatabase(path, connection);
  }

  /** Whether the connection has been closed, or is being. */
  get closed(): boolean {
    return this.#closing;
  }

  /** Whether a write transaction is running: what is read now may yet be rolled back. */
  get writing(): boolean {
    return this.#writing;
  }

  /**
   * Runs `work` in a write transaction and commits it; whatever `work` throws undoes it and rejects.
   * `work` must be synchronous. Writes of one connection run one after another, in the order in which
   * they were asked for; those that wait share a commit (one fsync for all), each still undone alone.
   * A commit that failed on the disk rejects with UNAVAILABLE and `details.outcome: 'unknown'`.
   */
  write<T>(work: (db: SqliteDatabase) => T, options: LockOptions = {}): Promise<T> {
    if (this.#closing) return Promise.reject(this.#closedError());
    const { signal, timeoutMs = defaultLockTimeoutMs } = options;
    if (signal?.aborted) return Promise.reject(lockAborted(this.path, signal));
    return new Promise<T>((resolve, reject) => {
      const done = (): void => signal?.removeEventListener('abort', abort);
      const queued: QueuedWrite = {
        work: () => work(this),
        startedAt: performance.now(),
        timeoutMs,
        resolve: (result) => {
          done();
          resolve(result as T);
        },
        reject: (error) => {
          done();
          reject(error);
        },
      };
      const abort = (): void => {
        const at = this.#queue.indexOf(queued);
        // What is not in the queue any more is being written: its outcome is reported as it is.
        if (at < 0 || signal === undefined) return;
        this.#queue.splice(at, 1);
        reject(lockAborted(this.path, signal));
      };
      signal?.addEventListener('abort', abort, { once: true });
      this.#queue.push(queued);
      this.#draining ??= this.#drain();
    });
  }

  /**
   * {@link write} for exit hooks and worker threads: blocks while another connection writes. It goes
   * ahead of the writes that wait in the queue.
   */
  writeSync<T>(work: (db: SqliteDatabase) => T, options: { readonly timeoutMs?: number } = {}): T {
    if (this.#closing) throw this.#closedError();
    return retryBlocking(this.path, 'write', () => this.#transaction(true, work), options);
  }

  /**
   * Runs `work` in one read transaction: all of its statements see the same state, that of the last
   * commit. Inside a write, reads that write.
   */
  read<T>(work: (db: SqliteDatabase) => T): T {
    if (this.#inTransaction) return work(this);
    if (this.#closing) throw this.#closedError();
    // Readers meet a lock only while a log is recovered or the last connection closes: milliseconds.
    return retryBlocking(this.path, 'read', () => this.#transaction(false, work), {
      timeoutMs: 2_000,
    });
  }

  /** A prepared statement, cached by its text. It must not be used within its own iteration. */
  prepare(sql: string): StatementSync {
    this.#assertOpen();
    const cached = this.#statements.get(sql);
    if (cached !== undefined) return cached;
    const statement = this.#connection.prepare(sql);
    if (this.#statements.size >= cachedStatements) {
      const oldest = this.#statements.keys().next();
      if (!oldest.done) this.#statements.delete(oldest.value);
    }
    this.#statements.set(sql, statement);
    return statement;
  }

  /** Runs statements without parameters, such as those of a schema. */
  exec(sql: string): void {
    this.#assertOpen();
    this.#connection.exec(sql);
  }

  /** Makes a pure function callable from SQL on this connection. */
  defineFunction(name: string, call: (...values: SQLOutputValue[]) => SQLInputValue): void {
    this.#assertOpen();
    this.#connection.function(name, { deterministic: true }, call);
  }

  /** Inside a write: calls `then` once that write has been committed, never when it is rolled back. */
  afterCommit(then: () => void): void {
    if (!this.#writing) throw new KeelsonError('INTERNAL', 'afterCommit outside of a write.');
    this.#afterCommit.push(then);
  }

  /** Changes whenever another connection has committed; costs microseconds. */
  dataVersion(): number {
    const row = this.prepare('PRAGMA data_version').get();
    return Number(row?.['data_version']);
  }

  /**
   * Gives timers and sockets a turn if they have had none for 10 ms. Everything here is synchronous under
   * its promises: a loop that awaits call after call would keep the event loop from turning at all.
   */
  async turn(): Promise<void> {
    if (performance.now() - this.#turnedAt < turnMs) return;
    await new Promise((resolve) => setImmediate(resolve));
    this.#turnedAt = performance.now();
  }

  /** Waits for the writes in the queue, then closes. May be called again. */
  async close(): Promise<void> {
    this.#closing = true;
    await this.#draining;
    await this.#checkpoints.close();
    if (this.#closed) return;
    this.#closed = true;
    this.#statements.clear();
    try {
      this.#connection.close();
    } catch (error) {
      throw fromSqliteError(error, this.path);
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }

  /** Writes what is in the queue; ends when it is empty. Never rejects. */
  async #drain(): Promise<void> {
    // Not in the turn of the first caller: those that follow it at once shall share its commit.
    await this.turn();
    let tries = 0;
    let alone = false;
    while (this.#queue.length > 0) {
      try {
        alone = this.#writeGroup(alone ? 1 : groupSize);
        tries = 0;
      } catch (error) {
        // Only BEGIN throws: nothing of the queue has been touched.
        if (isBusy(error)) {
          this.#rejectOverdue(error);
          await pause(lockPauseMs(tries));
          tries += 1;
        } else {
          this.#queue.shift()?.reject(fromSqliteError(error, this.path));
        }
        continue;
      }
      // Without a rest between groups, other processes would hardly ever find the lock free.
      if (this.#queue.length > 0) await pause(1);
    }
    this.#draining = undefined;
  }

  #rejectOverdue(cause: unknown): void {
    const now = performance.now();
    const overdue = this.#queue.filter(({ startedAt, timeoutMs }) => now - startedAt >= timeoutMs);
    for (const write of overdue) {
      this.#queue.splice(this.#queue.indexOf(write), 1);
      write.reject(lockTimeout(this.path, 'write', write.timeoutMs, cause));
    }
  }

  /**
   * Runs waiting writes in one transaction, each in a savepoint, and settles them once it is committed.
   * Answers whether the next ones should be run alone: after an error that undid the others as well.
   */
  #writeGroup(most: number): boolean {
    this.#begin(true);
    const written: { write: QueuedWrite; result: unknown }[] = [];
    const failed: { write: QueuedWrite; error: unknown }[] = [];
    const startedAt = performance.now();
    let taken = 0;
    let undoneByOther = false;
    while (taken < most && this.#queue.length > 0 && performance.now() - startedAt < groupMs) {
      const write = this.#queue.shift();
      if (write === undefined) break;
      taken += 1;
      // By itself in the transaction, it needs no savepoint: all is undone with it.
      const single = taken === 1 && (most === 1 || this.#queue.length === 0);
      const announcements = this.#afterCommit.length;
      try {
        if (!single) this.#connection.exec('SAVEPOINT one');
        const result = write.work();
        if (!single) this.#connection.exec('RELEASE one');
        written.push({ write, result });
        if (single) break;
      } catch (error) {
        failed.push({ write, error: fromSqliteError(error, this.path) });
        this.#afterCommit.length = announcements;
        if (single) break;
        // A full disk, say, undoes the whole transaction, and what came before must be run again.
        undoneByOther = !this.#connection.isTransaction;
        if (undoneByOther) break;
        this.#connection.exec('ROLLBACK TO one; RELEASE one');
      }
    }
    const failure = undoneByOther ? undefined : this.#commit(written.length > 0);
    const announcements = this.#end();
    for (const { write, error } of failed) write.reject(error);
    if (undoneByOther || (failure !== undefined && !isInputOutput(failure) && written.length > 1)) {
      // Nothing of it was kept: each is tried again by itself.
      this.#queue.unshift(...written.map(({ write }) => write));
      return true;
    }
    if (failure === undefined) {
      for (const { write, result } of written) write.resolve(result);
      for (const announce of announcements) announce();
    } else {
      const error = this.#commitError(failure);
      for (const { write } of written) write.reject(error);
    }
    return false;
  }

  #begin(writing: boolean): void {
    this.#assertOpen();
    if (this.#inTransaction) {
      throw new KeelsonError('INTERNAL', `A write on ${this.path} was started inside another one.`);
    }
    this.#connection.exec(writing ? 'BEGIN IMMEDIATE' : 'BEGIN');
    this.#inTransaction = true;
    this.#writing = writing;
  }

  /** Ends the transaction in either way; the error, if it could not be committed. */
  #commit(keep: boolean): unknown {
    try {
      this.#connection.exec(keep ? 'COMMIT' : 'ROLLBACK');
      if (keep && this.#writing) this.#checkpoints.committed();
      return undefined;
    } catch (error) {
      this.#rollback();
      return error;
    }
  }

  /** What to announce, if the transaction was committed. */
  #end(): readonly (() => void)[] {
    this.#inTransaction = false;
    this.#writing = false;
    const announcements = this.#afterCommit;
    this.#afterCommit = [];
    return announcements;
  }

  #transaction<T>(writing: boolean, work: (db: SqliteDatabase) => T): T {
    this.#begin(writing);
    let result: T;
    try {
      result = work(this);
    } catch (error) {
      this.#rollback();
      this.#end();
      throw error;
    }
    const failure = this.#commit(true);
    const announcements = this.#end();
    if (failure !== undefined) {
      throw writing ? this.#commitError(failure) : failure;
    }
    for (const announce of announcements) announce();
    return result;
  }

  #rollback(): void {
    // SQLite has rolled back by itself after some errors (a full disk, say).
    if (this.#connection.isTransaction) this.#connection.exec('ROLLBACK');
  }

  #commitError(cause: unknown): unknown {
    if (!isInputOutput(cause)) return fromSqliteError(cause, this.path);
    return new KeelsonError(
      'UNAVAILABLE',
      `Writing a commit to ${this.path} failed on the disk; after a crash it may be there or not. Check the disk, then read before trying again.`,
      { cause, details: { path: this.path, outcome: 'unknown' } },
    );
  }

  #assertOpen(): void {
    if (this.#closed) throw this.#closedError();
  }

  #closedError(): KeelsonError {
    return new KeelsonError('CLOSED', `The database ${this.path} has been closed.`);
  }
}
