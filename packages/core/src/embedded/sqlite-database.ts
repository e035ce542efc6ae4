import type { DatabaseSync, SQLInputValue, SQLOutputValue, StatementSync } from 'node:sqlite';
import { isKeelsonError, KeelsonError } from '../errors.ts';
import { fromSqliteError, isBusy, isInputOutput } from './sqlite-error.ts';
import { loadSqlite } from './sqlite-module.ts';

/** How to wait for the one writer that SQLite allows at a time. */
export interface WriteOptions {
  readonly signal?: AbortSignal;
  /** How long to try for the lock; 30,000 when left out. UNAVAILABLE afterwards. */
  readonly timeoutMs?: number;
}

const defaultTimeoutMs = 30_000;
const cachedStatements = 1_000;

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
  readonly #afterCommit: (() => void)[] = [];
  #queue: Promise<void> = Promise.resolve();
  #inTransaction = false;
  #writing = false;
  #closing = false;
  #closed = false;

  private constructor(path: string, connection: DatabaseSync) {
    this.path = path;
    this.#connection = connection;
  }

  /** Opens the file, creating it if need be; waits for other processes that are opening it too. */
  static async open(
    path: string,
    options: { readonly readOnly?: boolean; readonly timeoutMs?: number } = {},
  ): Promise<SqliteDatabase> {
    const attempt = (): SqliteDatabase => SqliteDatabase.#connect(path, options.readOnly ?? false);
    return await retryWhileBusy(path, attempt, 'open the database', options);
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
      // 16,000 pages: a checkpoint on the commit path costs milliseconds, so it shall be rare.
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
   * Runs `work` in one write transaction and commits it; whatever `work` throws rolls it back and
   * rejects. `work` must be synchronous. Writes of one connection run one after another, in the order
   * in which they were asked for. A commit that failed on the disk rejects with UNAVAILABLE and
   * `details.outcome: 'unknown'`.
   */
  write<T>(work: (db: SqliteDatabase) => T, options: WriteOptions = {}): Promise<T> {
    if (this.#closing) return Promise.reject(this.#closedError());
    const done = this.#queue.then(() =>
      retryWhileBusy(this.path, () => this.#transaction(true, work), 'write', options),
    );
    this.#queue = done.then(ignore, ignore);
    return done;
  }

  /**
   * {@link write} for exit hooks and worker threads: blocks while another connection writes. It goes
   * ahead of the writes that wait in the queue.
   */
  writeSync<T>(work: (db: SqliteDatabase) => T, options: { readonly timeoutMs?: number } = {}): T {
    if (this.#closing) throw this.#closedError();
    return retryBlocking(this.path, () => this.#transaction(true, work), options);
  }

  /**
   * Runs `work` in one read transaction: all of its statements see the same state, that of the last
   * commit. Inside a write, reads that write.
   */
  read<T>(work: (db: SqliteDatabase) => T): T {
    if (this.#inTransaction) return work(this);
    if (this.#closing) throw this.#closedError();
    // Readers meet a lock only while a log is recovered or the last connection closes: milliseconds.
    return retryBlocking(this.path, () => this.#transaction(false, work), { timeoutMs: 2_000 });
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

  /** Waits for the writes in the queue, then closes. May be called again. */
  async close(): Promise<void> {
    this.#closing = true;
    await this.#queue;
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

  #transaction<T>(writing: boolean, work: (db: SqliteDatabase) => T): T {
    this.#assertOpen();
    if (this.#inTransaction) {
      throw new KeelsonError('INTERNAL', `A write on ${this.path} was started inside another one.`);
    }
    this.#connection.exec(writing ? 'BEGIN IMMEDIATE' : 'BEGIN');
    this.#inTransaction = true;
    this.#writing = writing;
    let result: T;
    let committing = false;
    try {
      result = work(this);
      committing = true;
      this.#connection.exec('COMMIT');
    } catch (error) {
      this.#rollback();
      if (writing && committing && isInputOutput(error)) throw this.#unknownOutcome(error);
      throw error;
    } finally {
      this.#inTransaction = false;
      this.#writing = false;
    }
    const announcements = this.#afterCommit.splice(0);
    for (const announce of announcements) announce();
    return result;
  }

  #rollback(): void {
    this.#afterCommit.length = 0;
    // SQLite has rolled back by itself after some errors (a full disk, say).
    if (this.#connection.isTransaction) this.#connection.exec('ROLLBACK');
  }

  #unknownOutcome(cause: unknown): KeelsonError {
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

/** Tries again after a random pause for as long as another connection is in the way. */
async function retryWhileBusy<T>(
  path: string,
  attempt: () => T,
  purpose: string,
  options: WriteOptions,
): Promise<T> {
  const timeoutMs = options.timeoutMs ?? defaultTimeoutMs;
  const startedAt = performance.now();
  for (let tries = 0; ; tries += 1) {
    if (options.signal?.aborted) throw aborted(path, options.signal);
    try {
      return attempt();
    } catch (error) {
      if (!isBusy(error)) throw fromSqliteError(error, path);
      if (performance.now() - startedAt >= timeoutMs) {
        throw lockTimeout(path, purpose, timeoutMs, error);
      }
    }
    await pause(pauseMs(tries), options.signal);
  }
}

const sleeper = new Int32Array(new SharedArrayBuffer(4));

function retryBlocking<T>(
  path: string,
  attempt: () => T,
  options: { readonly timeoutMs?: number },
): T {
  const timeoutMs = options.timeoutMs ?? defaultTimeoutMs;
  const startedAt = performance.now();
  for (let tries = 0; ; tries += 1) {
    try {
      return attempt();
    } catch (error) {
      if (!isBusy(error)) throw fromSqliteError(error, path);
      if (performance.now() - startedAt >= timeoutMs) {
        throw lockTimeout(path, 'use the database', timeoutMs, error);
      }
    }
    Atomics.wait(sleeper, 0, 0, pauseMs(tries));
  }
}

/** 0.5 to 8 ms at first, up to twice that later: all processes keep getting their turn. */
function pauseMs(tries: number): number {
  return (0.5 + Math.random() * 7.5) * (1 + Math.min(tries, 50) / 50);
}

/** Never rejects; an abort ends it early. Its timer keeps the process: somebody awaits the write. */
function pause(ms: number, signal: AbortSignal | undefined): Promise<void> {
  return new Promise((resolve) => {
    const finish = (): void => {
      clearTimeout(timer);
      signal?.removeEventListener('abort', finish);
      resolve();
    };
    const timer = setTimeout(finish, ms);
    signal?.addEventListener('abort', finish, { once: true });
  });
}

function aborted(path: string, signal: AbortSignal): KeelsonError {
  return new KeelsonError('ABORTED', `Waiting to write to ${path} was aborted.`, {
    cause: signal.reason,
  });
}

function lockTimeout(path: string, purpose: string, ms: number, cause: unknown): KeelsonError {
  if (isKeelsonError(cause)) return cause;
  return new KeelsonError(
    'UNAVAILABLE',
    `Could not ${purpose} within ${ms} ms: another connection, in process ${process.pid} or another one, holds the write lock of ${path}. See which process keeps a transaction open (a copy tool or a shell, say), and try again.`,
    { cause, details: { path, waitedMs: ms } },
  );
}

function ignore(): void {
  // What a write rejects with belongs to its caller, not to the next one in the queue.
}
