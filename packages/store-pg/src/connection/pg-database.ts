import { KeelsonError, type Logger } from '@keelson/core';
import {
  checkConnectionOptions,
  describeUrl,
  openPool,
  type PgConnectionOptions,
} from './connection-options.ts';
import { fromPgError, isConnectionFault, isRolledBack, sqlState } from './pg-error.ts';
import type { PgPool, PgPoolClient } from './pg-pool.ts';
import { type PgRow, PgSession, type SessionLimits } from './pg-session.ts';
import { aborted, withRetry } from './retry.ts';

/** Statements of one transaction. */
export interface PgTransaction {
  /** Names without a schema are those of the platform's schema. */
  query(text: string, values?: readonly unknown[]): Promise<readonly PgRow[]>;
}

/** What bounds one operation. */
export interface OperationOptions {
  readonly signal?: AbortSignal | undefined;
  /** Instead of the database's. */
  readonly statementTimeoutMs?: number;
  readonly lockTimeoutMs?: number;
}

const defaults = {
  schema: 'keelson',
  maxConnections: 10,
  statementTimeoutMs: 30_000,
  lockTimeoutMs: 5_000,
  connectTimeoutMs: 10_000,
  retryMs: 10_000,
} as const;

/** The server ends a statement by itself so much later: for a process that died and cancels nothing. */
const serverGraceMs = 5_000;

/** How long to wait for a connection to send a cancel on. */
const cancelConnectMs = 2_000;

/**
 * One PostgreSQL database as the stores of this package use it: a pool, bounded operations, transient
 * faults borne. Errors come as KeelsonErrors with their cause:
 *
 * - UNAVAILABLE when the server cannot be reached; with `details.outcome: 'unknown'` when the connection
 *   broke while a write was under way.
 * - TIMEOUT and ABORTED when the statement was cancelled on the server; the connection goes on.
 * - What the database undid (a deadlock, a lost race, a lock that took too long, a cancel) is repeated
 *   inside, after random pauses, for `retryMs` at most.
 * - CLOSED after `close`.
 *
 * Making one does no I/O.
 */
export class PgDatabase implements AsyncDisposable {
  readonly schema: string;
  /** Where the database is, without secrets. */
  readonly place: string;
  readonly #options: typeof defaults & { readonly [key: string]: unknown };
  readonly #pool: PgPool;
  readonly #replica: PgPool | undefined;
  readonly #control: PgPool;
  readonly #listening: PgPool | undefined;
  readonly #owned: { end(): Promise<void> }[] = [];
  readonly #logger: Logger | undefined;
  #closed: Promise<void> | undefined;

  constructor(options: PgConnectionOptions, logger?: Logger) {
    const given = checkConnectionOptions(options);
    const set = Object.entries(given).filter(([, value]) => value !== undefined);
    this.#options = { ...defaults, ...Object.fromEntries(set) };
    this.schema = this.#options.schema;
    this.#logger = logger;
    this.#pool = this.#open(given, this.#options.maxConnections);
    // A cancel must not wait for a connection that the statements to be cancelled hold.
    this.#control = 'url' in given ? this.#open(given, 1) : given.pool;
    const listens = given.listen ?? 'url' in given;
    this.#listening = !listens ? undefined : 'url' in given ? this.#open(given, 1) : given.pool;
    this.#replica =
      given.replica === undefined
        ? undefined
        : this.#open(given.replica, this.#options.maxConnections);
    this.place = 'url' in given ? describeUrl(given.url) : 'PostgreSQL (by the pool given)';
  }

  /** The quoted name of something in the platform's schema, for statements outside a transaction. */
  name(object: string): string {
    return `"${this.schema}".${object}`;
  }

  /** One statement that only reads, in no transaction of its own; names must be written with {@link name}. */
  async read(
    text: string,
    values: readonly unknown[] = [],
    options: OperationOptions = {},
  ): Promise<readonly PgRow[]> {
    return await this.#operate(this.#pool, options, 'read', (session) =>
      session.query(text, values),
    );
  }

  /** One statement that writes: it is a transaction by itself. Names as for {@link read}. */
  async write(
    text: string,
    values: readonly unknown[] = [],
    options: OperationOptions = {},
  ): Promise<readonly PgRow[]> {
    return await this.#operate(this.#pool, options, 'write', (session, sending) => {
      sending();
      return session.query(text, values);
    });
  }

  /** Several reads of one state of the database, that of the last commit before the first of them. */
  async snapshot<T>(
    work: (transaction: PgTransaction) => Promise<T>,
    options: OperationOptions = {},
  ): Promise<T> {
    return await this.#snapshot(this.#pool, work, options);
  }

  /** {@link snapshot} for searches: of the replica, if there is one that has what was committed before. */
  async search<T>(
    work: (transaction: PgTransaction) => Promise<T>,
    options: OperationOptions = {},
  ): Promise<T> {
    return await this.#snapshot(this.#pool, work, options);
  }

  /**
   * A transaction that writes. `work` may run again after a transient fault: it must depend on nothing
   * but what it reads in there. Each of its statements sees what was committed before that statement.
   */
  async transaction<T>(
    work: (transaction: PgTransaction) => Promise<T>,
    options: OperationOptions = {},
  ): Promise<T> {
    return await this.#operate(this.#pool, options, 'write', async (session, sending) => {
      await session.query(this.#begin('READ COMMITTED', options));
      const result = await work(session);
      sending();
      await session.query('COMMIT');
      return result;
    });
  }

  /** How long a statement waits for another transaction's lock. */
  get lockTimeoutMs(): number {
    return this.#options.lockTimeoutMs;
  }

  /** A connection to keep, for LISTEN; undefined where it was switched off. Errors are those of `pg`. */
  async connectListener(): Promise<PgPoolClient | undefined> {
    this.#assertOpen();
    return this.#listening === undefined ? undefined : await this.#connect(this.#listening);
  }

  /** How the pool stands; what the pool does not tell is left out. */
  poolFigures(): { readonly total?: number; readonly idle?: number; readonly waiting?: number } {
    const { totalCount, idleCount, waitingCount } = this.#pool;
    return {
      ...(totalCount === undefined ? {} : { total: totalCount }),
      ...(idleCount === undefined ? {} : { idle: idleCount }),
      ...(waitingCount === undefined ? {} : { waiting: waitingCount }),
    };
  }

  get closed(): boolean {
    return this.#closed !== undefined;
  }

  /** Waits for what is under way, then closes what was opened here. May be called again. */
  close(): Promise<void> {
    this.#closed ??= Promise.all(this.#owned.map((pool) => pool.end())).then(() => undefined);
    return this.#closed;
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  async #snapshot<T>(
    pool: PgPool,
    work: (transaction: PgTransaction) => Promise<T>,
    options: OperationOptions,
  ): Promise<T> {
    return await this.#operate(pool, options, 'read', async (session) => {
      await session.query(this.#begin('REPEATABLE READ READ ONLY', options));
      const result = await work(session);
      await session.query('COMMIT');
      return result;
    });
  }

  /**
   * Takes a connection, does something, gives it back. Reads are repeated after any transient fault;
   * writes only while it is certain that nothing was committed, that is, before `sending` was called
   * or after the server said that it undid all.
   */
  async #operate<T>(
    pool: PgPool,
    options: OperationOptions,
    kind: 'read' | 'write',
    work: (session: PgSession, sending: () => void) => Promise<T>,
  ): Promise<T> {
    let sent = false;
    const sending = (): void => {
      sent = kind === 'write';
    };
    const attempt = async (): Promise<T> => {
      this.#assertOpen();
      sent = false;
      const session = new PgSession(
        await this.#connect(pool, options.signal),
        this.#limits(options),
      );
      try {
        return await work(session, sending);
      } catch (error) {
        await session.rollback();
        throw error;
      } finally {
        session.release();
      }
    };
    try {
      return await withRetry(attempt, {
        retryMs: this.#options.retryMs,
        signal: options.signal,
        isTransient: (error) => isRolledBack(error) || (!sent && isConnectionFault(error)),
        onRetry: (error, tries) =>
          this.#logger?.debug({ component: 'store-pg', error, tries }, 'Trying again.'),
      });
    } catch (error) {
      throw fromPgError(error, this.place, { sent });
    }
  }

  #limits(options: OperationOptions): SessionLimits {
    return {
      signal: options.signal,
      statementTimeoutMs: options.statementTimeoutMs ?? this.#options.statementTimeoutMs,
      cancel: (processId) => this.#cancel(processId),
    };
  }

  /** Opens a transaction whose settings end with it, so that a borrowed session keeps its own. */
  #begin(isolation: string, options: OperationOptions): string {
    const {
      statementTimeoutMs = this.#options.statementTimeoutMs,
      lockTimeoutMs = this.#options.lockTimeoutMs,
    } = options;
    return `BEGIN ISOLATION LEVEL ${isolation};
      SET LOCAL search_path TO "${this.schema}", pg_catalog, pg_temp;
      SET LOCAL statement_timeout TO ${statementTimeoutMs + serverGraceMs};
      SET LOCAL lock_timeout TO ${lockTimeoutMs};
      SET LOCAL idle_in_transaction_session_timeout TO ${2 * statementTimeoutMs};
      SET LOCAL extra_float_digits TO 1;
      SET LOCAL jit TO off`;
  }

  async #connect(pool: PgPool, signal?: AbortSignal): Promise<PgPoolClient> {
    try {
      return await unlessAborted(pool.connect(), signal);
    } catch (error) {
      if (error instanceof Error && error.message.startsWith('Cannot use a pool after')) {
        throw new KeelsonError('CLOSED', 'The pool that pgBackend was given has been ended.', {
          cause: error,
        });
      }
      throw error;
    }
  }

  async #cancel(processId: number): Promise<void> {
    const signal = AbortSignal.timeout(cancelConnectMs);
    const client = await unlessAborted(this.#control.connect(), signal);
    const session = new PgSession(client, { ...this.#limits({}), cancel: async () => undefined });
    try {
      await session.query('SELECT pg_cancel_backend($1)', [processId]);
    } finally {
      session.release();
    }
  }

  #open(target: { readonly url: string } | { readonly pool: PgPool }, max: number): PgPool {
    if ('pool' in target) return target.pool;
    const { statementTimeoutMs, connectTimeoutMs } = this.#options;
    const settings = `SET statement_timeout TO ${statementTimeoutMs + serverGraceMs};
      SET idle_in_transaction_session_timeout TO ${2 * statementTimeoutMs};
      SET client_connection_check_interval TO 10000;
      SET extra_float_digits TO 1;
      SET jit TO off`;
    const pool = openPool(target.url, {
      max,
      connectTimeoutMs,
      onConnect: async (client) => {
        await client.query(settings);
      },
      onError: (error) => {
        // The pool has dropped the connection already; the next operation opens another.
        const fields = { component: 'store-pg', sqlState: sqlState(error), said: error.message };
        this.#logger?.debug(fields, 'An idle connection broke.');
      },
    });
    this.#owned.push(pool);
    return pool;
  }

  #assertOpen(): void {
    if (this.#closed === undefined) return;
    throw new KeelsonError('CLOSED', 'The store has been closed.');
  }
}

/** The connection, unless the signal comes first: then a late one goes back, and this is ABORTED. */
async function unlessAborted(
  connecting: Promise<PgPoolClient>,
  signal: AbortSignal | undefined,
): Promise<PgPoolClient> {
  if (signal === undefined) return await connecting;
  const { promise, reject } = Promise.withResolvers<never>();
  const onAbort = (): void => reject(aborted(signal));
  signal.addEventListener('abort', onAbort, { once: true });
  try {
    return await Promise.race([connecting, promise]);
  } catch (error) {
    connecting.then(
      (late) => late.release(),
      () => undefined,
    );
    throw error;
  } finally {
    signal.removeEventListener('abort', onAbort);
  }
}
