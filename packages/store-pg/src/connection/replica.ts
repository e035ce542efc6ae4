import { setTimeout as wait } from 'node:timers/promises';
import { isKeelsonError, type Logger } from '@keelson/core';
import type { OperationOptions, PgServer, PgTransaction } from './pg-server.ts';

/** So long a replica is waited for that has not yet replayed what was committed before the search. */
const catchUpMs = 50;

/** So long a replica is left alone that could not be reached. */
const restMs = 5_000;

/** How far a replica is behind. */
export interface ReplicaLag {
  /** Of the log that the primary has written, not yet replayed. */
  readonly bytes: number;
  /** Age of the last commit that was replayed; small also when nothing is committed. */
  readonly ms: number;
}

/** A streaming standby that answers searches: never from a state older than what had been committed. */
export class Replica {
  readonly #primary: PgServer;
  readonly #standby: PgServer;
  readonly #logger: Logger | undefined;
  #restUntil = 0;

  /** `standby` is closed with this; `primary` is not. */
  constructor(primary: PgServer, standby: PgServer, logger?: Logger) {
    this.#primary = primary;
    this.#standby = standby;
    this.#logger = logger;
  }

  /**
   * Several reads of one state, in which every commit is that was resolved before this call. The primary
   * answers where the standby lags behind for long, is away, or gives up.
   */
  async snapshot<T>(
    work: (transaction: PgTransaction) => Promise<T>,
    options: OperationOptions,
  ): Promise<T> {
    if (performance.now() >= this.#restUntil && (await this.#catchesUp(options))) {
      try {
        return await this.#standby.snapshot(work, { ...options, retryMs: 0 });
      } catch (error) {
        this.#passOver(error);
      }
    }
    return await this.#primary.snapshot(work, options);
  }

  /** How far the standby is behind; undefined when it is none. */
  async lag(options: OperationOptions): Promise<ReplicaLag | undefined> {
    const lsn = await this.#written(options);
    const [row] = await this.#standby.operate('read', { ...options, retryMs: 0 }, (session) =>
      session.query(
        `SELECT greatest(pg_wal_lsn_diff($1::pg_lsn, pg_last_wal_replay_lsn()), 0)::float8 AS bytes,
           coalesce(extract(epoch FROM clock_timestamp() - pg_last_xact_replay_timestamp()), 0)::float8
             * 1000 AS ms`,
        [lsn],
      ),
    );
    const bytes = row?.['bytes'];
    if (typeof bytes !== 'number') return undefined;
    return { bytes, ms: bytes === 0 ? 0 : Math.round(Number(row?.['ms'])) };
  }

  async close(): Promise<void> {
    await this.#standby.close();
  }

  /** Whether the standby has, or soon has, all that the primary has committed. */
  async #catchesUp(options: OperationOptions): Promise<boolean> {
    const lsn = await this.#written(options);
    const startedAt = performance.now();
    try {
      for (let pauseMs = 1; ; pauseMs = Math.min(2 * pauseMs, 10)) {
        const [row] = await this.#standby.operate('read', { ...options, retryMs: 0 }, (session) =>
          session.query('SELECT pg_last_wal_replay_lsn() >= $1::pg_lsn AS here', [lsn]),
        );
        if (row?.['here'] === true) return true;
        // NULL: the server is no standby, or no longer one.
        if (row?.['here'] === null || performance.now() - startedAt > catchUpMs) return false;
        await wait(pauseMs);
      }
    } catch (error) {
      this.#passOver(error);
      return false;
    }
  }

  async #written(options: OperationOptions): Promise<string> {
    const [row] = await this.#primary.operate('read', options, (session) =>
      session.query('SELECT pg_current_wal_flush_lsn() AS lsn'),
    );
    return String(row?.['lsn']);
  }

  /** Leaves a standby that is away alone for a while; throws what the primary would answer as well. */
  #passOver(error: unknown): void {
    if (!isKeelsonError(error, 'UNAVAILABLE')) throw error;
    this.#restUntil = performance.now() + restMs;
    const fields = { component: 'store-pg', said: error.message };
    this.#logger?.debug(fields, 'The replica is passed over.');
  }
}
