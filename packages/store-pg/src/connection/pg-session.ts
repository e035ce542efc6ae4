import { setTimeout as wait } from 'node:timers/promises';
import { KeelsonError } from '@keelson/core';
import { type BlobRow, canCopy, copyBlobs } from './blob-copy.ts';
import { isConnectionFault, sqlState } from './pg-error.ts';
import type { PgPoolClient } from './pg-pool.ts';
import { aborted, throwIfAborted } from './retry.ts';
import { valueTypes } from './value-types.ts';

/** A row of an answer: column → value. */
export type PgRow = Readonly<Record<string, unknown>>;

/** After a cancel, so long for the statement to end before the connection is given up. */
const cancelGraceMs = 5_000;

/** What bounds the statements of a session. */
export interface SessionLimits {
  readonly statementTimeoutMs: number;
  readonly signal?: AbortSignal | undefined;
  /** Asks the server to cancel what this process of its is doing. */
  cancel(processId: number): Promise<void>;
}

/** A connection out of the pool, for as long as one operation has it. */
export class PgSession {
  readonly #client: PgPoolClient;
  readonly #limits: SessionLimits;
  #broken = false;

  constructor(client: PgPoolClient, limits: SessionLimits) {
    this.#client = client;
    this.#limits = limits;
    // A connection may break between two statements; without a listener that would end the process.
    client.on('error', this.#onError);
  }

  readonly #onError = (): void => {
    this.#broken = true;
  };

  /**
   * Runs one statement; throws what `pg` throws, or TIMEOUT or ABORTED when the limits ended it. The
   * server has then stopped it, and the connection can be used again.
   */
  async query(text: string, values?: readonly unknown[]): Promise<readonly PgRow[]> {
    throwIfAborted(this.#limits.signal);
    const query = { text, types: valueTypes };
    const answer = this.#client.query(
      values === undefined ? query : { ...query, values: values as unknown[] },
    );
    const { rows } = await this.#bounded(answer);
    return rows;
  }

  /**
   * The rows of a SELECT whose columns are bigints and, last, a bytea, which comes as it is. It takes no
   * values: numbers stand in it (`numberList`). Throws as {@link query} does.
   */
  async blobs(select: string): Promise<readonly BlobRow[]> {
    throwIfAborted(this.#limits.signal);
    if (canCopy(this.#client)) return await this.#bounded(copyBlobs(this.#client, select));
    const rows = await this.query(select);
    return rows.map((row) => {
      const values = Object.values(row);
      return { numbers: values.slice(0, -1).map(Number), data: values.at(-1) as Uint8Array };
    });
  }

  /** Ends what transaction there is, and gives the connection back, or gives it up. */
  async rollback(): Promise<void> {
    if (this.#broken) return;
    // A cancel that came too late may hit this statement instead of the one it was meant for.
    for (let tries = 0; tries < 3; tries += 1) {
      try {
        await this.#client.query({ text: 'ROLLBACK' });
        return;
      } catch (error) {
        if (sqlState(error) !== '57014') break;
      }
    }
    this.#broken = true;
  }

  /** Gives the connection back to its pool. */
  release(): void {
    this.#client.removeListener('error', this.#onError);
    // Between here and the pool's own listener nothing can happen: both run in this turn.
    this.#client.release(this.#broken);
  }

  async #bounded<T>(answer: Promise<T>): Promise<T> {
    const { signal, statementTimeoutMs } = this.#limits;
    let stop: 'aborted' | 'timeout' | undefined;
    let stopping: Promise<'stopped'> | undefined;
    const givenUp = Promise.withResolvers<never>();
    const stopFor = (why: 'aborted' | 'timeout'): void => {
      stop ??= why;
      stopping ??= this.#stop(answer, givenUp.reject);
    };
    const onAbort = (): void => stopFor('aborted');
    const timer = setTimeout(() => stopFor('timeout'), statementTimeoutMs);
    signal?.addEventListener('abort', onAbort, { once: true });
    try {
      return await Promise.race([answer, givenUp.promise]);
    } catch (error) {
      if (isConnectionFault(error)) this.#broken = true;
      if (stop === undefined || this.#broken || sqlState(error) !== '57014') throw error;
      throw stop === 'aborted' ? aborted(signal) : this.#timedOut(error);
    } finally {
      clearTimeout(timer);
      signal?.removeEventListener('abort', onAbort);
      await stopping;
    }
  }

  /** Cancels the statement; gives the connection up when that does not end it. */
  async #stop(answer: Promise<unknown>, giveUp: (error: Error) => void): Promise<'stopped'> {
    const ended = answer.then(
      () => true,
      () => true,
    );
    const { processID } = this.#client;
    try {
      if (typeof processID === 'number') await this.#limits.cancel(processID);
      const inTime = wait(cancelGraceMs, false, { ref: false });
      if (await Promise.race([ended, inTime])) return 'stopped';
    } catch {
      // Without a way to cancel, all that is left is to give the connection up.
    }
    this.#broken = true;
    giveUp(new Error('Connection terminated: a statement could not be cancelled'));
    return 'stopped';
  }

  #timedOut(cause: unknown): KeelsonError {
    const { statementTimeoutMs } = this.#limits;
    return new KeelsonError(
      'TIMEOUT',
      `PostgreSQL had no answer after ${statementTimeoutMs} ms; the statement was cancelled and nothing was changed. Narrow the query, or set statementTimeoutMs.`,
      { cause, details: { statementTimeoutMs } },
    );
  }
}
