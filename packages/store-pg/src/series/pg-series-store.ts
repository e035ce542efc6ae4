import {
  KeelsonError,
  type PointBatch,
  type PointColumns,
  type Rollup,
  type RowBatch,
  type RowColumns,
  type SeriesBucket,
  type SeriesKey,
  type SeriesStore,
  type SeriesSummary,
  type StreamKey,
} from '@keelson/core';
import {
  assertPointBatch,
  assertRollup,
  assertRowBatch,
  assertSeriesKey,
  assertStreamKey,
  assertTime,
  assertWhole,
  checkErasedRows,
  segmentsOf,
  withoutRows,
} from '@keelson/core/sql';
import type { PgDatabase } from '../connection/pg-database.ts';
import { migrate } from '../schema/migrations.ts';
import { sharedSchema } from '../schema/shared-schema.ts';
import { RowPartitions } from './row-partitions.ts';
import { foldPoints, foldSlice } from './series-fold.ts';
import { SeriesNumbers } from './series-numbers.ts';
import { readBuckets, readPoints, readSummaries } from './series-read.ts';
import { removeRids } from './series-removal.ts';
import {
  appendRowBatch,
  dropRollups,
  dropRowBatches,
  eraseRowsOf,
  findRowBatches,
  putRollups,
  readRollups,
  readRowBatch,
  readStreams,
} from './series-rows.ts';
import { seriesSchema } from './series-schema.ts';

/** Unfolded segments that an append leaves lying: reads decode them all. */
const pendingSegments = 256;
const defaultLimit = 1_000_000;
/** So many times as much as should lie unfolded makes appends wait for the fold. */
const farBehind = 8;
/** How often at most an append looks whether it should fold. */
const lookMs = 100;

/** Where the store keeps its series. */
export interface PgSeriesStoreOptions {
  /** Stays the caller's. */
  readonly database: PgDatabase;
  /** Called once, when the store has been closed. */
  readonly onClose?: () => Promise<void>;
}

/**
 * A {@link SeriesStore} on PostgreSQL, which many processes may share. A flush is appended by one function
 * call; packed chunks and summaries are made of many flushes at once, by whoever finds that enough points lie
 * unfolded. Reads see both.
 */
export class PgSeriesStore implements SeriesStore {
  readonly #db: PgDatabase;
  readonly #numbers: SeriesNumbers;
  readonly #partitions: RowPartitions;
  readonly #onClose: () => Promise<void>;
  /** Series whose address was found valid, by the object that callers pass with each batch. */
  readonly #valid = new WeakSet<SeriesKey>();
  #lookedAt = Number.NEGATIVE_INFINITY;
  #sinceLook = 0;
  #behind = false;
  #folding: Promise<void> | undefined;
  #foldError: unknown;
  #closing: Promise<void> | undefined;

  private constructor({ database, onClose }: PgSeriesStoreOptions) {
    this.#db = database;
    this.#numbers = new SeriesNumbers(database);
    this.#partitions = new RowPartitions(database);
    this.#onClose = onClose ?? (async () => undefined);
  }

  /** Migrates the schema; of any number of starters one does it. */
  static async open(options: PgSeriesStoreOptions): Promise<PgSeriesStore> {
    await migrate(options.database, [sharedSchema, seriesSchema]);
    return new PgSeriesStore(options);
  }

  async appendPoints(batch: PointBatch): Promise<void> {
    this.#assertOpen();
    assertPointBatch(batch, (key) => this.#valid.has(key));
    const wid = await this.#numbers.allotWriter(batch.writer);
    const ids = await this.#idsOf(batch.series);
    const segments = [...segmentsOf(batch, ids)];
    const [row] = await this.#db.write(
      `SELECT ${this.#db.name('append_points')}($1, $2, $3, $4, $5) AS taken`,
      [
        wid,
        batch.sequence,
        segments.map(({ count }) => count),
        segments.map(({ data }) => data.length),
        Buffer.concat(segments.map(({ data }) => data)),
      ],
    );
    assertTaken(row?.['taken'], batch.sequence);
    this.#sinceLook += batch.steps.length;
    await this.#foldExcess();
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
    this.#assertOpen();
    return await readSummaries(this.#db, this.#numbers, workspace, owners, keys);
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
    this.#assertOpen();
    assertSeriesKey(series);
    const { offset = 0, limit = defaultLimit } = options;
    assertStepRange(options);
    assertWhole(offset, 'offset', 0);
    assertWhole(limit, 'limit', 1);
    const fromStep = options.fromStep ?? Number.MIN_SAFE_INTEGER;
    const toStep = options.toStep ?? Number.MAX_SAFE_INTEGER;
    const page = { fromStep, toStep, offset, limit };
    return await this.#db.snapshot((transaction) =>
      readPoints(transaction, this.#numbers, series, page),
    );
  }

  async downsample(
    series: SeriesKey,
    options: { readonly buckets: number; readonly fromStep?: number; readonly toStep?: number },
  ): Promise<readonly SeriesBucket[]> {
    this.#assertOpen();
    assertSeriesKey(series);
    assertStepRange(options);
    assertWhole(options.buckets, 'buckets', 1);
    return await this.#db.snapshot((transaction) =>
      readBuckets(transaction, this.#numbers, series, options),
    );
  }

  /** Why the last fold behind an append failed; undefined when it did not. */
  get foldError(): unknown {
    return this.#foldError;
  }

  async fold(options: { readonly signal?: AbortSignal } = {}): Promise<number> {
    this.#assertOpen();
    const { signal } = options;
    for (let folded = 0; ; ) {
      if (signal?.aborted === true) {
        throw new KeelsonError('ABORTED', 'The fold was aborted.', { cause: signal.reason });
      }
      const points = await this.#foldSlice(signal);
      if (points === 0) return folded;
      folded += points;
    }
  }

  /** Folds what lies unfolded, which a search by summaries would not see; mostly one cheap question. */
  async foldPending(): Promise<void> {
    this.#assertOpen();
    const [row] = await this.#db.read(
      `SELECT EXISTS (SELECT 1 FROM ${this.#db.name('segment')}) AS pending`,
    );
    if (row?.['pending'] === true) await this.fold();
  }

  async appendRows(batch: RowBatch): Promise<void> {
    this.#assertOpen();
    assertRowBatch(batch);
    const taken = await appendRowBatch(this.#db, this.#numbers, this.#partitions, batch);
    assertTaken(taken, batch.sequence);
  }

  async *rows(
    stream: StreamKey,
    range: { readonly from: number; readonly to: number; readonly columns?: readonly string[] },
  ): AsyncGenerator<RowColumns> {
    this.#assertOpen();
    assertStreamKey(stream);
    for (const batch of await findRowBatches(this.#db, this.#numbers, stream, range)) {
      this.#assertOpen();
      const rows = await readRowBatch(this.#db, batch, range);
      if (rows !== undefined) yield rows;
    }
  }

  async putRollups(rollups: readonly Rollup[]): Promise<void> {
    this.#assertOpen();
    rollups.forEach(assertRollup);
    if (rollups.length > 0) await putRollups(this.#db, this.#numbers, rollups);
  }

  async rollups(
    stream: StreamKey,
    name: string,
    range: { readonly windowMs: number; readonly from: number; readonly to: number },
  ): Promise<readonly Rollup[]> {
    this.#assertOpen();
    assertStreamKey(stream);
    return await readRollups(this.#db, this.#numbers, stream, name, range);
  }

  async removeOwners(workspace: string, owners: readonly string[]): Promise<void> {
    this.#assertOpen();
    if (owners.length === 0) return;
    await this.fold();
    await this.#db.transaction(async (transaction) => {
      const rids = await this.#numbers.findOwners(transaction, workspace, owners);
      if (rids.size > 0) await removeRids(transaction, [...rids.keys()]);
    });
  }

  async dropRows(stream: StreamKey | readonly StreamKey[], before: number): Promise<number> {
    this.#assertOpen();
    const streams = [stream].flat();
    streams.forEach(assertStreamKey);
    assertTime(before, 'before');
    return await dropRowBatches(this.#db, this.#numbers, this.#partitions, streams, before);
  }

  async dropRollups(
    stream: StreamKey,
    windows: { readonly windowMs: number; readonly before: number },
  ): Promise<number> {
    this.#assertOpen();
    assertStreamKey(stream);
    assertTime(windows.before, 'before');
    return await dropRollups(this.#db, this.#numbers, stream, windows);
  }

  async streams(workspace: string): Promise<readonly StreamKey[]> {
    this.#assertOpen();
    return await readStreams(this.#db, workspace);
  }

  async eraseRows(stream: StreamKey, column: string, values: readonly string[]): Promise<number> {
    this.#assertOpen();
    const erased = checkErasedRows(stream, column, values);
    return await eraseRowsOf(this.#db, this.#numbers, stream, (rows) =>
      withoutRows(rows, column, erased),
    );
  }

  close(): Promise<void> {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }

  async #close(): Promise<void> {
    await this.#folding;
    await this.#onClose();
  }

  #assertOpen(): void {
    if (this.#closing === undefined && !this.#db.closed) return;
    throw new KeelsonError('CLOSED', 'The series store has been closed.');
  }

  async #idsOf(
    series: readonly SeriesKey[],
  ): Promise<readonly { readonly kid: number; readonly rid: number }[]> {
    const ids = new Map<SeriesKey, { readonly kid: number; readonly rid: number }>();
    for (const [workspace, own] of Map.groupBy(series, (key) => key.workspace)) {
      const kids = await this.#numbers.allotKeys(
        workspace,
        own.map(({ key }) => key),
      );
      const rids = await this.#numbers.allotOwners(
        workspace,
        own.map(({ owner }) => owner),
      );
      own.forEach((key, i) => {
        ids.set(key, { kid: kids[i] as number, rid: rids[i] as number });
      });
    }
    return series.map((key) => ids.get(key) as { kid: number; rid: number });
  }

  /**
   * The batch is durable whatever becomes of the fold, which goes on beside; a later append tries again.
   * An append waits for it where this process alone has appended as much as one takes, or all together
   * many times as much as should lie unfolded.
   */
  async #foldExcess(): Promise<void> {
    const now = performance.now();
    const much = this.#sinceLook >= foldPoints;
    const due = much || now - this.#lookedAt >= lookMs;
    if (due && this.#folding === undefined) {
      this.#lookedAt = now;
      this.#sinceLook = 0;
      this.#folding = this.#foldNow().finally(() => {
        this.#folding = undefined;
      });
    }
    if (much || this.#behind) await this.#folding;
  }

  async #foldNow(): Promise<void> {
    try {
      while (await this.#isExcess()) {
        // Another process folds: that is enough, unless it does not keep up with all that append.
        const options = { unlessUnderWay: !this.#behind };
        if ((await this.#foldSlice(undefined, options)) === 0) break;
      }
      this.#foldError = undefined;
    } catch (error) {
      this.#foldError = error;
    }
  }

  async #isExcess(): Promise<boolean> {
    const [row] = await this.#db.read(
      `SELECT count(*) AS segments, coalesce(sum(n), 0) AS points FROM (
         SELECT n FROM ${this.#db.name('segment')} ORDER BY no LIMIT ${farBehind * pendingSegments}
       ) AS oldest`,
    );
    const excess = Math.max(
      Number(row?.['points']) / foldPoints,
      Number(row?.['segments']) / pendingSegments,
    );
    this.#behind = excess >= farBehind;
    return excess >= 1;
  }

  async #foldSlice(
    signal: AbortSignal | undefined,
    options: { readonly unlessUnderWay?: boolean } = {},
  ): Promise<number> {
    return await this.#db.transaction(
      (transaction) => foldSlice(transaction, this.#numbers, options),
      signal === undefined ? {} : { signal },
    );
  }
}

function assertTaken(taken: unknown, sequence: number): void {
  if (taken === true || taken === false) return;
  throw new KeelsonError(
    'INVALID',
    `A batch of this writer before ${sequence} never came, though 1000 later ones did; number batches 1, 2, 3 …`,
    { details: { sequence } },
  );
}

function assertStepRange(range: { readonly fromStep?: number; readonly toStep?: number }): void {
  assertWhole(range.fromStep, 'fromStep', Number.MIN_SAFE_INTEGER);
  assertWhole(range.toStep, 'toStep', Number.MIN_SAFE_INTEGER);
}
