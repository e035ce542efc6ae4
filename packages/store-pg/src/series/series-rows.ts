import type { Rollup, RowBatch, RowColumns, StreamKey } from '@keelson/core';
import { cutRows, decodeRows, encodeRows } from '@keelson/core/sql';
import type { PgDatabase } from '../connection/pg-database.ts';
import { numberList } from './number-list.ts';
import type { RowPartition, RowPartitions } from './row-partitions.ts';
import type { SeriesNumbers } from './series-numbers.ts';

/** Batches deleted in one statement. */
const droppedAtOnce = 500;
const rollupsAtOnce = 500;

/** Stores a valid batch of rows; false when its number was stored before, null when one is missing. */
export async function appendRowBatch(
  database: PgDatabase,
  numbers: SeriesNumbers,
  partitions: RowPartitions,
  batch: RowBatch,
): Promise<unknown> {
  const { workspace, stream, owner } = batch.stream;
  const wid = await numbers.allotWriter(batch.writer);
  const kid = await numbers.allotStream(workspace, stream, owner);
  const count = batch.at.length;
  const oldest = batch.at.reduce((a, b) => Math.min(a, b), count === 0 ? 0 : Infinity);
  const newest = batch.at.reduce((a, b) => Math.max(a, b), count === 0 ? 0 : -Infinity);
  const data = encodeRows(batch.at, batch.columns);
  const [row] = await partitions.appendAt(newest, () =>
    database.write(`SELECT ${database.name('append_rows')}($1, $2, $3, $4, $5, $6, $7) AS taken`, [
      wid,
      kid,
      batch.sequence,
      count,
      oldest,
      newest,
      Buffer.from(data),
    ]),
  );
  return row?.['taken'];
}

/** The address of a stored batch: its number, and the time that says in which partition it lies. */
export interface StoredBatch {
  readonly no: number;
  readonly newest: number;
}

/** The batches that hold rows with from ≤ at < to, in order of arrival. */
export async function findRowBatches(
  database: PgDatabase,
  numbers: SeriesNumbers,
  key: StreamKey,
  range: { readonly from: number; readonly to: number },
): Promise<readonly StoredBatch[]> {
  return await database.snapshot(async (transaction) => {
    const stream = await numbers.findStream(transaction, key.workspace, key.stream, key.owner);
    if (stream === undefined) return [];
    const [kept] = await transaction.query('SELECT longest FROM row_stream WHERE stream = $1', [
      stream,
    ]);
    if (kept === undefined) return [];
    // No batch is longer: the last two leave out what the index, and partitions, need not be asked for.
    const longest = Number(kept['longest']) * (1 + 1e-9) + 1;
    const rows = await transaction.query(
      `SELECT no, at_max FROM row_batch WHERE stream = $1 AND at_max >= $2 AND at_min < $3
       AND at_min >= $4 AND at_max < $5 ORDER BY no`,
      [stream, range.from, range.to, range.from - longest, range.to + longest],
    );
    return rows.map((row) => ({ no: Number(row['no']), newest: Number(row['at_max']) }));
  });
}

/** One batch cut to the range; undefined when nothing is left of it, or it was dropped meanwhile. */
export async function readRowBatch(
  database: PgDatabase,
  { no, newest }: StoredBatch,
  range: { readonly from: number; readonly to: number; readonly columns?: readonly string[] },
): Promise<RowColumns | undefined> {
  const [row] = await database.blobs(
    `SELECT data FROM ${database.name('row_batch')} WHERE no = ANY (${numberList([no], 'bigint')})
     AND at_max = ANY (${numberList([newest], 'float8')})`,
  );
  if (row === undefined) return undefined;
  const rows = cutRows(decodeRows(row.data, range.columns), range.from, range.to);
  return rows.at.length === 0 ? undefined : rows;
}

/**
 * Drops the batches of streams whose rows are all older; answers how many rows. A partition that has no others goes as a
 * whole table; out of one that has, they are deleted.
 */
export async function dropRowBatches(
  database: PgDatabase,
  numbers: SeriesNumbers,
  partitions: RowPartitions,
  keys: readonly StreamKey[],
  before: number,
): Promise<number> {
  const streams = await database.snapshot(async (transaction) => {
    const found: number[] = [];
    for (const { workspace, stream, owner } of keys) {
      const number = await numbers.findStream(transaction, workspace, stream, owner);
      if (number !== undefined) found.push(number);
    }
    return found;
  });
  if (streams.length === 0) return 0;
  let total = 0;
  for (const partition of await partitions.before(before)) {
    const whole = partition.to <= before ? await partitions.drop(partition, streams) : undefined;
    if (whole !== undefined) total += whole;
    else {
      for (const stream of streams)
        total += await deleteBatches(database, stream, partition, before);
    }
  }
  return total;
}

async function deleteBatches(
  database: PgDatabase,
  stream: number,
  { from, to }: RowPartition,
  before: number,
): Promise<number> {
  const table = database.name('row_batch');
  for (let total = 0; ; ) {
    const deleted = await database.write(
      `WITH old AS MATERIALIZED (
         SELECT no FROM ${table} WHERE stream = $1 AND at_min < $3 AND at_max >= $2 AND at_max < $3
         ORDER BY no LIMIT $4 FOR UPDATE SKIP LOCKED
       ) DELETE FROM ${table} b USING old
       WHERE b.no = old.no AND b.at_max >= $2 AND b.at_max < $3 RETURNING b.n AS n`,
      [stream, from, Math.min(to, before), droppedAtOnce],
    );
    total += deleted.reduce((sum, row) => sum + Number(row['n']), 0);
    if (deleted.length < droppedAtOnce) return total;
  }
}

/** Erases rows out of the batches of a stream, one batch at a time; answers how many. */
export async function eraseRowsOf(
  database: PgDatabase,
  numbers: SeriesNumbers,
  key: StreamKey,
  keep: (rows: RowColumns) => RowColumns,
): Promise<number> {
  const table = database.name('row_batch');
  const batches = await database.snapshot(async (transaction) => {
    const stream = await numbers.findStream(transaction, key.workspace, key.stream, key.owner);
    if (stream === undefined) return [];
    return await transaction.query('SELECT no, at_max FROM row_batch WHERE stream = $1', [stream]);
  });
  let erased = 0;
  for (const { no, at_max: newest } of batches) {
    const [row] = await database.blobs(
      `SELECT data FROM ${table} WHERE no = ANY (${numberList([Number(no)], 'bigint')})
       AND at_max = ANY (${numberList([Number(newest)], 'float8')})`,
    );
    if (row === undefined) continue;
    const rows = decodeRows(row.data);
    const kept = keep(rows);
    const gone = rows.at.length - kept.at.length;
    if (gone === 0) continue;
    // Batches never change otherwise, and two erasures leave out what either does only where they meet.
    const done =
      kept.at.length === 0
        ? await database.write(`DELETE FROM ${table} WHERE no = $1 AND at_max = $2 RETURNING no`, [
            no,
            newest,
          ])
        : await database.write(
            `UPDATE ${table} SET n = $3, data = $4 WHERE no = $1 AND at_max = $2 AND n = $5
             RETURNING no`,
            [
              no,
              newest,
              kept.at.length,
              Buffer.from(encodeRows(kept.at, kept.columns)),
              rows.at.length,
            ],
          );
    if (done.length > 0) erased += gone;
    else erased += await eraseRowsOf(database, numbers, key, keep);
  }
  return erased;
}

/** Stores valid rollups, each in place of the one with the same address; of equal ones the last counts. */
export async function putRollups(
  database: PgDatabase,
  numbers: SeriesNumbers,
  rollups: readonly Rollup[],
): Promise<void> {
  const rows = new Map<string, readonly (string | number)[]>();
  for (const { stream, name, windowMs, at, writer, data } of rollups) {
    const kid = await numbers.allotStream(stream.workspace, stream.stream, stream.owner);
    const row = [kid, name, windowMs, at, writer, data];
    rows.set(JSON.stringify(row.slice(0, 5)), row);
  }
  const all = [...rows.values()];
  await database.transaction(async (transaction) => {
    for (let from = 0; from < all.length; from += rollupsAtOnce) {
      const part = all.slice(from, from + rollupsAtOnce);
      await transaction.query(
        `INSERT INTO rollup (stream, name, window_ms, at, writer, data)
         SELECT * FROM unnest($1::integer[], $2::text[], $3::bigint[], $4::float8[], $5::text[],
           $6::text[]) AS r (stream, name, window_ms, at, writer, data)
         ORDER BY stream, name, window_ms, at, writer
         ON CONFLICT (stream, digest_of(name), window_ms, at, digest_of(writer))
         DO UPDATE SET data = excluded.data`,
        Array.from({ length: 6 }, (_, i) => part.map((row) => row[i])),
      );
    }
  });
}

/** Drops the rollups of windows of a length that begin before a time; answers how many. */
export async function dropRollups(
  database: PgDatabase,
  numbers: SeriesNumbers,
  key: StreamKey,
  { windowMs, before }: { readonly windowMs: number; readonly before: number },
): Promise<number> {
  const stream = await database.snapshot((transaction) =>
    numbers.findStream(transaction, key.workspace, key.stream, key.owner),
  );
  if (stream === undefined) return 0;
  const table = database.name('rollup');
  for (let total = 0; ; ) {
    const dropped = await database.write(
      `WITH old AS MATERIALIZED (
         SELECT ctid FROM ${table} WHERE stream = $1 AND window_ms = $2 AND at < $3
         LIMIT ${rollupsAtOnce} FOR UPDATE SKIP LOCKED
       ) DELETE FROM ${table} r USING old WHERE r.ctid = old.ctid RETURNING 1 AS gone`,
      [stream, windowMs, before],
    );
    total += dropped.length;
    if (dropped.length < rollupsAtOnce) return total;
  }
}

/** The streams of a workspace. */
export async function readStreams(
  database: PgDatabase,
  workspace: string,
): Promise<readonly StreamKey[]> {
  const rows = await database.read(
    `SELECT facet, key FROM ${database.name('dict')} WHERE ws = $1 AND kind = 'stream'`,
    [workspace],
  );
  return rows.map((row) => ({
    workspace,
    stream: String(row['facet']),
    owner: String(row['key']),
  }));
}

/** Rollups with from ≤ at < to, by time, then writer. */
export async function readRollups(
  database: PgDatabase,
  numbers: SeriesNumbers,
  key: StreamKey,
  name: string,
  range: { readonly windowMs: number; readonly from: number; readonly to: number },
): Promise<readonly Rollup[]> {
  return await database.snapshot(async (transaction) => {
    const stream = await numbers.findStream(transaction, key.workspace, key.stream, key.owner);
    if (stream === undefined) return [];
    const rows = await transaction.query(
      `SELECT at, writer, data FROM rollup WHERE stream = $1 AND digest_of(name) = digest_of($2)
       AND window_ms = $3 AND at >= $4 AND at < $5 ORDER BY at, writer`,
      [stream, name, range.windowMs, range.from, range.to],
    );
    return rows.map((row) => ({
      stream: { workspace: key.workspace, stream: key.stream, owner: key.owner },
      name,
      windowMs: range.windowMs,
      at: Number(row['at']),
      writer: String(row['writer']),
      data: String(row['data']),
    }));
  });
}
