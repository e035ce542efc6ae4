import { KeelsonError, type Logger } from '@keelson/core';
import type { BlobRow } from './blob-copy.ts';
import { describeUrl, openPool, type PgTarget } from './connection-options.ts';
import { fromPgError, isConnectionFault, isRolledBack, sqlState } from './pg-error.ts';
import type { PgPool, PgPoolClient } from './pg-pool.ts';
import { type PgRow, PgSession, type SessionLimits } from './pg-session.ts';
import { aborted, withRetry } from './retry.ts';

/** Statements of one transaction. */
export interface PgTransaction {
  /** Names without a schema are those of the platform's schema. */
  query(text: string, values?: readonly unknown[]): Promise<readonly PgRow[]>;
  /** The rows of a SELECT, without values, whose columns are bigints and, last, a bytea. */
  blobs(select: string): Promise<readonly BlobRow[]>;
}

/** What bounds one operation. */
export interface OperationOptions {
  readonly signal?: AbortSignal | undefined;
  /** Instead of the server's. */
  readonly statementTimeoutMs?: number;
  readonly lockTimeoutMs?: number;
  readonly retryMs?: number;
}

/** How a server is used. */
export interface ServerOptions {
  readonly schema: string;
  readonly maxConnections: number;
  readonly statementTimeoutMs: number;
  readonly lockTimeoutMs: number;
  readonly connectTimeoutMs: number;
  readonly retryMs: number;
  readonly logger: Logger | undefined;
}

/** The server ends a statement by itself so much later: for a process that died and cancels nothing. */
const serverGraceMs = 5_000;

/** How long to wait for a connection to send a cancel on. */
const cancelConnectMs = 2_000;

/** Connections of a pool: all, those free, and how many callers wait for one. */
export interface PoolFigures {
  readonly total?: number;
  readonly idle?: number;
  readonly waiting?: number;
}

/** How a transaction begins that only reads, of one state; and one that writes. */
type Isolation = 'REPEATABLE READ READ ONLY' | 'READ COMMITTED';

/**
 * One server, by a pool of connections of our own or a borrowed one: bounded operations, transient faults
 * borne, see {@link PgDatabase}. Making one does no I/O.
 */
export class PgServer {
  /** Where it is, without secrets. */
  readonly place: string;
  readonly #options: ServerOptions;
  readonly #target: PgTarget;
  #pool: PgPool;
  #control: PgPool;
  readonly #owned = new Set<{ end(): Promise<void> }>();
  /** Aborted when the pool is replaced: whoever waits for one of its connections takes one of the next. */
  #replacing = new AbortController();
  #closed: Promise<void> | undefined;

  constructor(target: PgTarget, options: ServerOptions) {
    this.#options = options;
    this.#target = target;
    this.place = 'url' in target ? describeUrl(target.url) : 'PostgreSQL (by the pool given)';
    this.#pool = this.openPool(target, options.maxConnections);
    // A cancel must not wait for a connection that the statements to be cancelled hold.
    this.#control = this.openPool(target, 1);
  }

  get closed(): boolean {
    return this.#closed !== undefined;
  }

  /** A pool of its own, closed with the server; the very pool where one was borrowed. */
  openPool(target: PgTarget, max: number): PgPool {
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
        this.#options.logger?.debug(fields, 'An idle connection broke.');
      },
    });
    this.#owned.add(pool);
    return pool;
  }

  /** Several reads of one state of the database. */
  async snapshot<T>(
    work: (transaction: PgTransaction) => Promise<T>,
    options: OperationOptions,
  ): Promise<T> {
    return await this.operate('read', options, async (session) => {
      await session.query(this.begin('REPEATABLE READ READ ONLY', options));
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
  async operate<T>(
    kind: 'read' | 'write',
    options: OperationOptions,
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
        await this.connect(this.#pool, options.signal, this.#replacing.signal),
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
        retryMs: options.retryMs ?? this.#options.retryMs,
        signal: options.signal,
        isTransient: (error) =>
          isRolledBack(error) || (!sent && (isConnectionFault(error) || error instanceof Replaced)),
        onRetry: (error, tries) =>
          this.#options.logger?.debug({ component: 'store-pg', error, tries }, 'Trying again.'),
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

  /** The statements that open a transaction whose settings end with it: a borrowed session keeps its own. */
  begin(isolation: Isolation, options: OperationOptions): string {
    const {
      statementTimeoutMs = this.#options.statementTimeoutMs,
      lockTimeoutMs = this.#options.lockTimeoutMs,
    } = options;
    // What is not named comes first, pg_catalog: no table of the schema can stand for a type or a function.
    return `BEGIN ISOLATION LEVEL ${isolation};
      SET LOCAL search_path TO "${this.#options.schema}", pg_temp;
      SET LOCAL statement_timeout TO ${statementTimeoutMs + serverGraceMs};
      SET LOCAL lock_timeout TO ${lockTimeoutMs};
      SET LOCAL idle_in_transaction_session_timeout TO ${2 * statementTimeoutMs};
      SET LOCAL extra_float_digits TO 1;
      SET LOCAL jit TO off`;
  }

  /**
   * Puts new pools in place of ours: connections that are stuck are left behind, and what runs on good ones
   * comes to its end there. Answers false, doing nothing, where the pool is borrowed.
   */
  reset(): boolean {
    this.#assertOpen();
    if ('pool' in this.#target) return false;
    const old: readonly unknown[] = [this.#pool, this.#control];
    this.#pool = this.openPool(this.#target, this.#options.maxConnections);
    this.#control = this.openPool(this.#target, 1);
    const replacing = this.#replacing;
    this.#replacing = new AbortController();
    replacing.abort();
    for (const pool of this.#owned) {
      if (!old.includes(pool)) continue;
      this.#owned.delete(pool);
      // A connection that is stuck may never come back: nobody waits for it.
      pool.end().catch((error: unknown) => {
        const fields = { component: 'store-pg', error };
        this.#options.logger?.debug(fields, 'A pool that was replaced could not be ended.');
      });
    }
    return true;
  }

  /** A connection out of a pool of this server. */
  async connect(
    pool: PgPool,
    signal?: AbortSignal,
    replacing?: AbortSignal,
  ): Promise<PgPoolClient> {
    try {
      return await unlessAborted(pool.connect(), signal, replacing);
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

  /** How the pool stands; what the pool does not tell is left out. */
  poolFigures(): PoolFigures {
    const { totalCount, idleCount, waitingCount } = this.#pool;
    return {
      ...(totalCount === undefined ? {} : { total: totalCount }),
      ...(idleCount === undefined ? {} : { idle: idleCount }),
      ...(waitingCount === undefined ? {} : { waiting: waitingCount }),
    };
  }

  /** Waits for what is under way, then closes the pools that were opened here. */
  close(): Promise<void> {
    this.#closed ??= Promise.all([...this.#owned].map((pool) => pool.end())).then(() => undefined);
    return this.#closed;
  }

  #assertOpen(): void {
    if (this.#closed === undefined) return;
    throw new KeelsonError('CLOSED', 'The store has been closed.');
  }
}

/** The pool was replaced while a connection of it was waited for. */
class Replaced extends Error {}

/** The connection, unless a signal comes first: then a late one goes back, and this is ABORTED or {@link Replaced}. */
async function unlessAborted(
  connecting: Promise<PgPoolClient>,
  signal: AbortSignal | undefined,
  replacing?: AbortSignal,
): Promise<PgPoolClient> {
  if (signal === undefined && replacing === undefined) return await connecting;
  const { promise, reject } = Promise.withResolvers<never>();
  const onAbort = (): void => reject(aborted(signal));
  const onReplaced = (): void => reject(new Replaced('The pool was replaced.'));
  signal?.addEventListener('abort', onAbort, { once: true });
  replacing?.addEventListener('abort', onReplaced, { once: true });
  try {
    return await Promise.race([connecting, promise]);
  } catch (error) {
    connecting.then(
      (late) => late.release(),
      () => undefined,
    );
    throw error;
  } finally {
    signal?.removeEventListener('abort', onAbort);
    replacing?.removeEventListener('abort', onReplaced);
  }
}
