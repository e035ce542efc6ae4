import type {
  PointBatch,
  PointColumns,
  Rollup,
  RowBatch,
  RowColumns,
  SeriesBucket,
  SeriesKey,
  SeriesStore,
  SeriesSummary,
  StreamKey,
} from '../contracts/series-store.ts';
import { KeelsonError } from '../errors.ts';
import {
  assertPointBatch,
  assertRollup,
  assertRowBatch,
  assertSeriesKey,
  assertStreamKey,
  assertTime,
  assertWhole,
  checkErasedRows,
} from '../sql/series-input.ts';
import { SqliteDatabase } from './sqlite-database.ts';
import { createSharedTables, findRid } from './sqlite-schema.ts';
import { appendSegments, SeriesIds } from './sqlite-series-append.ts';
import { foldPoints, foldSlice } from './sqlite-series-fold.ts';
import { readBuckets, readPoints, readSummaries } from './sqlite-series-read.ts';
import { removeOwner } from './sqlite-series-remove.ts';
import {
  allRowBatches,
  appendRowBatch,
  dropRollups,
  dropRowBatches,
  eraseInBatch,
  findRowBatches,
  putRollups,
  readRollups,
  readRowBatch,
  readStreams,
} from './sqlite-series-rows.ts';
import { pendingSql, seriesTables } from './sqlite-series-schema.ts';

/** Unfolded segments that an append leaves lying: reads decode them all. */
const pendingSegments = 256;
const defaultLimit = 1_000_000;

/**
 * The embedded {@link SeriesStore}: tables in the SQLite file of the metadata store. A flush is appended
 * as one row; packed chunks and summaries are made of many flushes at once, when an append finds that
 * 20,000 points lie unfolded, or `fold` is called. Reads see both.
 */
export class SqliteSeriesStore implements SeriesStore {
  readonly #database: SqliteDatabase;
  readonly #owned: boolean;
  readonly #seriesIds = new SeriesIds();
  #closed = false;
  #foldError: unknown;

  private constructor(database: SqliteDatabase, owned: boolean) {
    this.#database = database;
    this.#owned = owned;
  }

  /** On a database that stays the caller's, or on a file that this store opens and closes. */
  static async open(
    options: { readonly database: SqliteDatabase } | { readonly path: string },
  ): Promise<SqliteSeriesStore> {
    const owned = 'path' in options;
    const database = owned ? await SqliteDatabase.open(options.path) : options.database;
    try {
      await createSharedTables(database);
      await createSeriesTables(database);
    } catch (error) {
      if (owned) await database.close();
      throw error;
    }
    return new SqliteSeriesStore(database, owned);
  }

  async appendPoints(batch: PointBatch): Promise<void> {
    const database = this.#open();
    assertPointBatch(batch, (key) => this.#seriesIds.has(key));
    await database.write(() => appendSegments(database, batch, this.#seriesIds));
    // The batch is durable whatever becomes of the fold, which the next append tries again.
    await this.#foldExcess().catch((error: unknown) => {
      this.#foldError = error;
    });
  }

  async summaries(
    workspace: string,
    owner: string,
    keys?: readonly string[],
  ): Promise<readonly SeriesSummary[]> {
    const found = await this.summariesOf(workspace, [owner], keys);
    return [...(found.get(owner)?.values() ?? [])];
  }

  async summariesOf(
    workspace: string,
    owners: readonly string[],
    keys?: readonly string[],
  ): Promise<ReadonlyMap<string, ReadonlyMap<string, SeriesSummary>>> {
    const database = this.#open();
    return database.read(() => readSummaries(database, workspace, owners, keys));
  }

  async points(
    series: SeriesKey,
    options: {
      readonly fromStep?: number;
      readonly toStep?: number;
      readonly offset?: number;
      readonly limit?: number;
    } = {},
  ): Promise<PointColumns> {
    const database = this.#open();
    assertSeriesKey(series);
    const { offset = 0, limit = defaultLimit } = options;
    assertStepRange(options);
    assertWhole(offset, 'offset', 0);
    assertWhole(limit, 'limit', 1);
    const range = {
      fromStep: options.fromStep ?? Number.MIN_SAFE_INTEGER,
      toStep: options.toStep ?? Number.MAX_SAFE_INTEGER,
    };
    return database.read(() => readPoints(database, series, range, offset, limit));
  }

  async downsample(
    series: SeriesKey,
    options: { readonly buckets: number; readonly fromStep?: number; readonly toStep?: number },
  ): Promise<readonly SeriesBucket[]> {
    const database = this.#open();
    assertSeriesKey(series);
    assertStepRange(options);
    assertWhole(options.buckets, 'buckets', 1);
    const { buckets, fromStep, toStep } = options;
    return database.read(() => readBuckets(database, series, buckets, fromStep, toStep));
  }

  /** Whether points lie unfolded, which a search by summaries would not see. Costs microseconds. */
  hasPending(): boolean {
    return this.#open().prepare(pendingSql).get() !== undefined;
  }

  /** Why the last fold behind an append failed; undefined when it did not. */
  get foldError(): unknown {
    return this.#foldError;
  }

  async fold(options: { readonly signal?: AbortSignal } = {}): Promise<number> {
    const { signal } = options;
    let folded = 0;
    while (this.hasPending()) {
      if (signal?.aborted === true) {
        throw new KeelsonError('ABORTED', 'The fold was aborted.', { cause: signal.reason });
      }
      folded += await this.#database.write(foldSlice, signal === undefined ? {} : { signal });
    }
    return folded;
  }

  async appendRows(batch: RowBatch): Promise<void> {
    const database = this.#open();
    assertRowBatch(batch);
    await database.write(() => appendRowBatch(database, batch));
  }

  async *rows(
    stream: StreamKey,
    range: { readonly from: number; readonly to: number; readonly columns?: readonly string[] },
  ): AsyncGenerator<RowColumns> {
    const database = this.#open();
    assertStreamKey(stream);
    const found = database.read(() => findRowBatches(database, stream, range.from, range.to));
    for (const no of found) {
      const rows = readRowBatch(this.#open(), no, range);
      if (rows !== undefined) yield rows;
    }
  }

  async putRollups(rollups: readonly Rollup[]): Promise<void> {
    const database = this.#open();
    rollups.forEach(assertRollup);
    await database.write(() => putRollups(database, rollups));
  }

  async rollups(
    stream: StreamKey,
    name: string,
    range: { readonly windowMs: number; readonly from: number; readonly to: number },
  ): Promise<readonly Rollup[]> {
    const database = this.#open();
    assertStreamKey(stream);
    return database.read(() => readRollups(database, stream, name, range));
  }

  async removeOwners(workspace: string, owners: readonly string[]): Promise<void> {
    const database = this.#open();
    await this.fold();
    for (const owner of owners) {
      const rid = findRid(database, workspace, owner);
      if (rid !== undefined) await database.write(() => removeOwner(database, rid));
    }
  }

  async dropRows(stream: StreamKey | readonly StreamKey[], before: number): Promise<number> {
    const database = this.#open();
    const streams = [stream].flat();
    streams.forEach(assertStreamKey);
    assertTime(before, 'before');
    let rows = 0;
    for (const each of streams) {
      for (let more = true; more; ) {
        const dropped = await database.write(() => dropRowBatches(database, each, before));
        rows += dropped.rows;
        more = dropped.more;
      }
    }
    return rows;
  }

  async dropRollups(
    stream: StreamKey,
    windows: { readonly windowMs: number; readonly before: number },
  ): Promise<number> {
    const database = this.#open();
    assertStreamKey(stream);
    assertTime(windows.before, 'before');
    for (let total = 0; ; ) {
      const dropped = await database.write(() => dropRollups(database, stream, windows));
      if (dropped === 0) return total;
      total += dropped;
    }
  }

  async streams(workspace: string): Promise<readonly StreamKey[]> {
    const database = this.#open();
    return database.read(() => readStreams(database, workspace));
  }

  async eraseRows(stream: StreamKey, column: string, values: readonly string[]): Promise<number> {
    const database = this.#open();
    const erased = checkErasedRows(stream, column, values);
    let rows = 0;
    for (const no of allRowBatches(database, stream)) {
      rows += await database.write(() => eraseInBatch(database, no, column, erased));
    }
    return rows;
  }

  async close(): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    if (this.#owned) await this.#database.close();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }

  #open(): SqliteDatabase {
    if (this.#closed) throw new KeelsonError('CLOSED', 'The series store has been closed.');
    return this.#database;
  }

  async #foldExcess(): Promise<void> {
    const database = this.#database;
    const count = database.prepare('SELECT count(*) AS segments, total(n) AS points FROM segment');
    for (;;) {
      const pending = count.get();
      const { segments, points } = pending as unknown as { segments: number; points: number };
      if (points < foldPoints && segments < pendingSegments) {
        this.#foldError = undefined;
        return;
      }
      await database.write(foldSlice);
    }
  }
}

/** Creates the tables of the series store where they are missing. */
async function createSeriesTables(database: SqliteDatabase): Promise<void> {
  const ready = database.read(() =>
    database.prepare("SELECT 1 FROM sqlite_schema WHERE name = 'heartbeat'").get(),
  );
  if (ready === undefined) await database.write(() => database.exec(seriesTables.join(';\n')));
}

function assertStepRange(range: { readonly fromStep?: number; readonly toStep?: number }): void {
  assertWhole(range.fromStep, 'fromStep', Number.MIN_SAFE_INTEGER);
  assertWhole(range.toStep, 'toStep', Number.MIN_SAFE_INTEGER);
}
