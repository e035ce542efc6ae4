import type { Rollup, RowBatch, RowColumns, StreamKey } from '../contracts/series-store.ts';
import { cutRows, decodeRows, encodeRows, withoutRows } from '../sql/series-rows.ts';
import type { SqliteDatabase } from './sqlite-database.ts';
import { findKid, kidOf } from './sqlite-schema.ts';
import { takeSequence, widOf } from './sqlite-writers.ts';

/** Batches removed in one transaction. */
const droppedAtOnce = 500;

/** Stores a valid batch of rows, inside a write; does nothing when its number was stored before. */
export function appendRowBatch(database: SqliteDatabase, batch: RowBatch): void {
  const wid = widOf(database, batch.writer);
  const stream = kidOf(database, dictKey(batch.stream));
  if (!takeSequence(database, wid, stream, batch.sequence) || batch.at.length === 0) return;
  const oldest = batch.at.reduce((a, b) => Math.min(a, b));
  const newest = batch.at.reduce((a, b) => Math.max(a, b));
  database
    .prepare('INSERT INTO row_batch(stream, n, at_min, at_max, data) VALUES (?, ?, ?, ?, ?)')
    .run(stream, batch.at.length, oldest, newest, encodeRows(batch.at, batch.columns));
  // How far back from a moment the batches must be looked at that may hold rows of it.
  database
    .prepare(
      `INSERT INTO row_stream(stream, longest) VALUES (?, ?)
       ON CONFLICT(stream) DO UPDATE SET longest = max(longest, excluded.longest)`,
    )
    .run(stream, newest - oldest);
}

/** The numbers of the batches that hold rows with from ≤ at < to, in order of arrival. */
export function findRowBatches(
  database: SqliteDatabase,
  key: StreamKey,
  from: number,
  to: number,
): readonly number[] {
  const stream = findKid(database, dictKey(key));
  if (stream === undefined) return [];
  const rows = database
    .prepare(
      `SELECT no FROM row_batch WHERE stream = ?1 AND at_max >= ?2 AND at_min < ?3
       AND at_min >= ?2 - (SELECT longest FROM row_stream WHERE stream = ?1) ORDER BY no`,
    )
    .all(stream, from, to);
  return rows.map((row) => Number(row['no']));
}

/** One batch cut to the range; undefined when nothing is left of it, or it was dropped meanwhile. */
export function readRowBatch(
  database: SqliteDatabase,
  no: number,
  range: { readonly from: number; readonly to: number; readonly columns?: readonly string[] },
): RowColumns | undefined {
  const row = database.prepare('SELECT data FROM row_batch WHERE no = ?').get(no);
  if (row === undefined) return undefined;
  const rows = cutRows(decodeRows(row['data'] as Uint8Array, range.columns), range.from, range.to);
  return rows.at.length === 0 ? undefined : rows;
}

/** Drops some batches whose rows are all older; answers how many rows, and whether more are left. */
export function dropRowBatches(
  database: SqliteDatabase,
  key: StreamKey,
  before: number,
): { readonly rows: number; readonly more: boolean } {
  const stream = findKid(database, dictKey(key));
  if (stream === undefined) return { rows: 0, more: false };
  const dropped = database
    .prepare(
      `DELETE FROM row_batch WHERE no IN (
         SELECT no FROM row_batch WHERE stream = ? AND at_min < ?2 AND at_max < ?2 LIMIT ?3
       ) RETURNING n`,
    )
    .all(stream, before, droppedAtOnce);
  return {
    rows: dropped.reduce((sum, row) => sum + Number(row['n']), 0),
    more: dropped.length === droppedAtOnce,
  };
}

/** The numbers of all batches of a stream. */
export function allRowBatches(database: SqliteDatabase, key: StreamKey): readonly number[] {
  const stream = findKid(database, dictKey(key));
  if (stream === undefined) return [];
  const rows = database
    .prepare('SELECT no FROM row_batch WHERE stream = ? ORDER BY no')
    .all(stream);
  return rows.map((row) => Number(row['no']));
}

/** Erases rows out of one batch, inside a write; answers how many. */
export function eraseInBatch(
  database: SqliteDatabase,
  no: number,
  column: string,
  values: ReadonlySet<string>,
): number {
  const row = database.prepare('SELECT data FROM row_batch WHERE no = ?').get(no);
  if (row === undefined) return 0;
  const rows = decodeRows(row['data'] as Uint8Array);
  const kept = withoutRows(rows, column, values);
  const erased = rows.at.length - kept.at.length;
  if (erased === 0) return 0;
  if (kept.at.length === 0) database.prepare('DELETE FROM row_batch WHERE no = ?').run(no);
  else {
    database
      .prepare('UPDATE row_batch SET n = ?, data = ? WHERE no = ?')
      .run(kept.at.length, encodeRows(kept.at, kept.columns), no);
  }
  return erased;
}

/** Stores valid rollups, inside a write, each in place of the one with the same address. */
export function putRollups(database: SqliteDatabase, rollups: readonly Rollup[]): void {
  const put = database.prepare(
    `INSERT INTO rollup(stream, name, window_ms, at, writer, data) VALUES (?, ?, ?, ?, ?, ?)
     ON CONFLICT(stream, name, window_ms, at, writer) DO UPDATE SET data = excluded.data`,
  );
  for (const rollup of rollups) {
    const stream = kidOf(database, dictKey(rollup.stream));
    put.run(stream, rollup.name, rollup.windowMs, rollup.at, rollup.writer, rollup.data);
  }
}

/** Rollups with from ≤ at < to, by time, then writer. */
export function readRollups(
  database: SqliteDatabase,
  key: StreamKey,
  name: string,
  range: { readonly windowMs: number; readonly from: number; readonly to: number },
): readonly Rollup[] {
  const stream = findKid(database, dictKey(key));
  if (stream === undefined) return [];
  const rows = database
    .prepare(
      `SELECT at, writer, data FROM rollup
       WHERE stream = ? AND name = ? AND window_ms = ? AND at >= ? AND at < ? ORDER BY at, writer`,
    )
    .all(stream, name, range.windowMs, range.from, range.to);
  return rows.map((row) => ({
    stream: { workspace: key.workspace, stream: key.stream, owner: key.owner },
    name,
    windowMs: range.windowMs,
    at: Number(row['at']),
    writer: String(row['writer']),
    data: String(row['data']),
  }));
}

/** Drops some rollups that begin before a time; answers how many. */
export function dropRollups(
  database: SqliteDatabase,
  key: StreamKey,
  { windowMs, before }: { readonly windowMs: number; readonly before: number },
): number {
  const stream = findKid(database, dictKey(key));
  if (stream === undefined) return 0;
  const dropped = database
    .prepare(
      `DELETE FROM rollup WHERE no IN (
         SELECT no FROM rollup WHERE stream = ? AND window_ms = ? AND at < ? LIMIT ${droppedAtOnce}
       )`,
    )
    .run(stream, windowMs, before);
  return Number(dropped.changes);
}

/** The streams of a workspace. */
export function readStreams(database: SqliteDatabase, workspace: string): readonly StreamKey[] {
  const rows = database
    .prepare("SELECT facet, key FROM dict WHERE ws = ? AND kind = 'stream'")
    .all(workspace);
  return rows.map((row) => ({
    workspace,
    stream: String(row['facet']),
    owner: String(row['key']),
  }));
}

// Streams are numbered by the same dictionary: facet is the stream, key its owner.
function dictKey(key: StreamKey): { workspace: string; kind: string; facet: string; key: string } {
  return { workspace: key.workspace, kind: 'stream', facet: key.stream, key: key.owner };
}
