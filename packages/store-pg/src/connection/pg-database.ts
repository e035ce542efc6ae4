import type { Logger } from '@keelson/core';
import type { BlobRow } from './blob-copy.ts';
import { checkConnectionOptions, type PgConnectionOptions } from './connection-options.ts';
import type { PgPool, PgPoolClient } from './pg-pool.ts';
import {
  type OperationOptions,
  PgServer,
  type PgTransaction,
  type PoolFigures,
  type ServerOptions,
} from './pg-server.ts';
import type { PgRow } from './pg-session.ts';
import { Replica } from './replica.ts';

const defaults = {
  schema: 'keelson',
  maxConnections: 10,
  statementTimeoutMs: 30_000,
  lockTimeoutMs: 5_000,
  connectTimeoutMs: 10_000,
  retryMs: 10_000,
} as const;

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
  readonly #primary: PgServer;
  readonly #replica: Replica | undefined;
  readonly #listening: PgPool | undefined;
  readonly #options: ServerOptions;

  constructor(options: PgConnectionOptions, logger?: Logger) {
    const given = checkConnectionOptions(options);
    const set = Object.entries(given).filter(([, value]) => value !== undefined);
    this.#options = { ...defaults, ...Object.fromEntries(set), logger };
    this.schema = this.#options.schema;
    this.#primary = new PgServer(given, this.#options);
    this.place = this.#primary.place;
    const listens = given.listen ?? 'url' in given;
    this.#listening = listens ? this.#primary.openPool(given, 1) : undefined;
    if (given.replica !== undefined) {
      this.#replica = new Replica(
        this.#primary,
        new PgServer(given.replica, this.#options),
        logger,
      );
    }
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
    return await this.#primary.operate('read', options, (session) => session.query(text, values));
  }

  /** {@link read} for columns of bigints and, last, a bytea; without values. */
  async blobs(select: string): Promise<readonly BlobRow[]> {
    return await this.#primary.operate('read', {}, (session) => session.blobs(select));
  }

  /** One statement that writes: it is a transaction by itself. Names as for {@link read}. */
  async write(
    text: string,
    values: readonly unknown[] = [],
    options: OperationOptions = {},
  ): Promise<readonly PgRow[]> {
    return await this.#primary.operate('write', options, (session, sending) => {
      sending();
      return session.query(text, values);
    });
  }

  /** Several reads of one state of the database, that of the last commit before the first of them. */
  async snapshot<T>(
    work: (transaction: PgTransaction) => Promise<T>,
    options: OperationOptions = {},
  ): Promise<T> {
    return await this.#primary.snapshot(work, options);
  }

  /** {@link snapshot} for searches: of the replica, if there is one that has what was committed before. */
  async search<T>(
    work: (transaction: PgTransaction) => Promise<T>,
    options: OperationOptions = {},
  ): Promise<T> {
    return await (this.#replica ?? this.#primary).snapshot(work, options);
  }

  /**
   * A transaction that writes. `work` may run again after a transient fault: it must depend on nothing
   * but what it reads in there. Each of its statements sees what was committed before that statement.
   */
  async transaction<T>(
    work: (transaction: PgTransaction) => Promise<T>,
    options: OperationOptions = {},
  ): Promise<T> {
    return await this.#primary.operate('write', options, async (session, sending) => {
      await session.query(this.#primary.begin('READ COMMITTED', options));
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

  /** How long transient faults are borne. */
  get retryMs(): number {
    return this.#options.retryMs;
  }

  /** A connection to keep, for LISTEN; undefined where it was switched off. Errors are those of `pg`. */
  async connectListener(): Promise<PgPoolClient | undefined> {
    return this.#listening === undefined ? undefined : await this.#primary.connect(this.#listening);
  }

  /** How the pool stands; what the pool does not tell is left out. */
  poolFigures(): PoolFigures {
    return this.#primary.poolFigures();
  }

  /** New pools in place of ours; false where they are borrowed. CLOSED after `close`. */
  reset(): boolean {
    return this.#primary.reset();
  }

  /** The replica, where there is one. */
  get replica(): Replica | undefined {
    return this.#replica;
  }

  get closed(): boolean {
    return this.#primary.closed;
  }

  /** Waits for what is under way, then closes what was opened here. May be called again. */
  async close(): Promise<void> {
    await Promise.all([this.#primary.close(), this.#replica?.close()]);
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }
}
