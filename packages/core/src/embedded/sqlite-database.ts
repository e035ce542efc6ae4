import { existsSync } from 'node:fs';
import type { DatabaseSync, SQLInputValue, SQLOutputValue, StatementSync } from 'node:sqlite';
import { KeelsonError } from '../errors.ts';
import { Checkpoints } from './checkpoints.ts';
import { retryBlocking, retryWhileBusy, type WriteOptions } from './lock-retry.ts';
import { fromSqliteError } from './sqlite-error.ts';
import { loadSqlite } from './sqlite-module.ts';
import { SqliteTransactions } from './sqlite-transactions.ts';
import { WriteQueue } from './write-queue.ts';

const cachedStatements = 1_000;

/** After so long without a turn of the event loop, the next call gives it one. */
const turnMs = 10;

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
  readonly #checkpoints: Checkpoints;
  readonly #transactions: SqliteTransactions;
  readonly #queue: WriteQueue;
  #turnedAt = 0;
  #closing = false;
  #closed = false;

  private constructor(path: string, connection: DatabaseSync) {
    this.path = path;
    this.#connection = connection;
    // Where a reader or writer is in the way it does nothing, and the next one will.
    const emptyLog = (): void => {
      this.prepare('PRAGMA wal_checkpoint(TRUNCATE)').get();
    };
    this.#checkpoints = new Checkpoints(path, emptyLog);
    const committed = (): void => this.#checkpoints.committed();
    this.#transactions = new SqliteTransactions(path, connection, committed);
    this.#queue = new WriteQueue(path, this.#transactions, () => this.turn());
  }

  /**
   * Opens the file, creating it if need be; waits for other processes that are opening it too. With
   * `mustExist`, UNAVAILABLE where there is none.
   */
  static async open(
    path: string,
    options: {
      readonly readOnly?: boolean;
      readonly mustExist?: boolean;
      readonly timeoutMs?: number;
    } = {},
  ): Promise<SqliteDatabase> {
    if (options.mustExist === true && !existsSync(path)) throw removed(path);
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
    return this.#transactions.writing;
  }

  /**
   * Runs `work` in a write transaction and commits it; whatever `work` throws undoes it and rejects.
   * `work` must be synchronous. Writes of one connection run one after another, in the order in which
   * they were asked for; those that wait share a commit (one fsync for all), each still undone alone.
   * A commit that failed on the disk rejects with UNAVAILABLE and `details.outcome: 'unknown'`.
   */
  write<T>(work: (db: SqliteDatabase) => T, options: WriteOptions = {}): Promise<T> {
    if (this.#closing) return Promise.reject(this.#closedError());
    return this.#queue.add(() => work(this), options);
  }

  /**
   * {@link write} for exit hooks and worker threads: blocks while another connection writes. It goes
   * ahead of the writes that wait in the queue.
   */
  writeSync<T>(work: (db: SqliteDatabase) => T, options: { readonly timeoutMs?: number } = {}): T {
    if (this.#closing) throw this.#closedError();
    const attempt = (): T => this.#transactions.run(true, () => work(this));
    return retryBlocking(this.path, 'write', attempt, options);
  }

  /**
   * Runs `work` in one read transaction: all of its statements see the same state, that of the last
   * commit. Inside a write, reads that write.
   */
  read<T>(work: (db: SqliteDatabase) => T): T {
    if (this.#transactions.running) return work(this);
    if (this.#closing) throw this.#closedError();
    const attempt = (): T => this.#transactions.run(false, () => work(this));
    // Readers meet a lock only while a log is recovered or the last connection closes: milliseconds.
    return retryBlocking(this.path, 'read', attempt, { timeoutMs: 2_000 });
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
    this.#transactions.afterCommit(then);
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
    await this.#queue.drained();
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

  #assertOpen(): void {
    if (this.#closed) throw this.#closedError();
  }

  #closedError(): KeelsonError {
    return new KeelsonError('CLOSED', `The database ${this.path} has been closed.`);
  }
}

function removed(path: string): KeelsonError {
  return new KeelsonError(
    'UNAVAILABLE',
    `The database ${path} was removed. Put the directory back from a backup, and open it again.`,
    { details: { path } },
  );
}
