import { isKeelsonError } from '@keelson/core';
import type { PgDatabase } from '../connection/pg-database.ts';
import { sqlState } from '../connection/pg-error.ts';

const dayMs = 86_400_000;
/** Days that a process remembers to have a partition. */
const rememberedDays = 10_000;

/**
 * What creating and dropping bear: appends must not wait long for it, and can do without it.
 * A drop waits with everybody behind it, so it gives up soon and comes again.
 */
const createLimits = { lockTimeoutMs: 1_000, retryMs: 3_000 };
const dropLimits = { lockTimeoutMs: 200, retryMs: 2_000 };

/** Times from ≤ at < to, of the newest row of a batch. */
export interface RowPartition {
  readonly id: number;
  readonly from: number;
  readonly to: number;
}

/** The partitions of `row_batch`, one for each day near now: created ahead, dropped whole. */
export class RowPartitions {
  readonly #database: PgDatabase;
  /** Days, as numbers since 1970, whose partitions were there when this process asked. */
  readonly #days = new Set<number>();

  constructor(database: PgDatabase) {
    this.#database = database;
  }

  /**
   * Does `append`, a batch whose newest row is of the time `at`, with a partition there for it; about now,
   * that of the next day is created too, a day before it is needed. A partition that is dropped meanwhile
   * is created again.
   */
  async appendAt<T>(at: number, append: () => Promise<T>): Promise<T> {
    for (let tries = 1; ; tries += 1) {
      const fault = await this.#create(at);
      try {
        return await append();
      } catch (error) {
        if (!isMissingPartition(error)) throw error;
        if (fault !== undefined) throw fault;
        if (tries === 10) throw error;
        this.#days.delete(Math.floor(at / dayMs));
      }
    }
  }

  /** Why it could not be made sure of; the partition may be there nevertheless, only not the next day's. */
  async #create(at: number): Promise<unknown> {
    const day = Math.floor(at / dayMs);
    if (this.#days.has(day)) return undefined;
    try {
      await this.#database.transaction(
        (transaction) => transaction.query('SELECT create_row_partitions($1)', [at]),
        createLimits,
      );
    } catch (error) {
      return error;
    }
    if (this.#days.size >= rememberedDays) this.#days.clear();
    this.#days.add(day);
    return undefined;
  }

  /** Those that may hold batches with all rows before `before`, oldest first. */
  async before(before: number): Promise<readonly RowPartition[]> {
    const rows = await this.#database.read(
      `SELECT id::bigint AS id, at_from, at_to FROM ${this.#database.name('row_partition')}
       WHERE at_from < $1 ORDER BY at_from`,
      [before],
    );
    return rows.map((row) => ({
      id: Number(row['id']),
      from: Number(row['at_from']),
      to: Number(row['at_to']),
    }));
  }

  /**
   * Drops the table if no streams but these have rows in it; answers how many rows there were. Undefined
   * when it must stay, or somebody reads so long (a dump, say) that it cannot be had.
   */
  async drop(partition: RowPartition, streams: readonly number[]): Promise<number | undefined> {
    try {
      const [row] = await this.#database.transaction(
        (transaction) =>
          transaction.query('SELECT drop_row_partition_of($1, $2::integer[]) AS n', [
            partition.id,
            streams,
          ]),
        dropLimits,
      );
      return row?.['n'] === null ? undefined : Number(row?.['n']);
    } catch (error) {
      if (isKeelsonError(error) && sqlState(error.cause) === '55P03') return undefined;
      throw error;
    }
  }
}

/** What PostgreSQL says of a row that no partition takes. */
function isMissingPartition(error: unknown): boolean {
  return isKeelsonError(error) && sqlState(error.cause) === '23514';
}
