import {
  addToSummary,
  ChunkLevels,
  type CompareWriters,
  concatPoints,
  decodeChunk,
  describeChunk,
  encodeChunk,
  gatherSeries,
  type PointSet,
  piecesOf,
  rowValues,
  type SeriesPoints,
  type SummaryRow,
  sortPoints,
  stateColumns,
  stateOf,
} from '@keelson/core/sql';
import type { PgTransaction } from '../connection/pg-server.ts';
import { numberList } from './number-list.ts';
import type { SeriesNumbers } from './series-numbers.ts';
import { summaryRow, typeOf } from './summary-rows.ts';

/** Points folded in one transaction, at most, where there are several segments. */
export const foldPoints = 100_000;

/** One series of a fold. */
interface Folding {
  readonly kid: number;
  readonly rid: number;
  readonly arrived: PointSet;
  readonly sorted: PointSet;
  readonly row: SummaryRow | undefined;
  readonly levels: ChunkLevels;
  points: PointSet;
  /** The level up to which its older chunks are part of `points`; −1 for none. */
  merged: number;
}

/**
 * Folds the oldest segments into chunks and summaries; answers how many points, 0 when nothing is left. One
 * process folds at a time: another waits, or with `unlessUnderWay` answers 0. All in the transaction given:
 * killed at any instant, nothing of it has happened.
 */
export async function foldSlice(
  transaction: PgTransaction,
  numbers: SeriesNumbers,
  options: { readonly unlessUnderWay?: boolean } = {},
): Promise<number> {
  const lock = `hashtextextended('keelson fold ' || current_schema(), 0)`;
  if (options.unlessUnderWay === true) {
    const [row] = await transaction.query(`SELECT pg_try_advisory_xact_lock(${lock}) AS taken`);
    if (row?.['taken'] !== true) return 0;
  } else {
    await transaction.query(`SELECT pg_advisory_xact_lock(${lock})`);
  }
  // By list, not by range: a segment of a lesser number may be committed after one of a greater.
  const rows = await transaction.blobs(
    `SELECT no, wid::bigint, n::bigint, data FROM (
       SELECT no, wid, n, data, sum(n) OVER (ORDER BY no) - n AS before FROM segment
       ORDER BY no LIMIT 1000
     ) AS oldest WHERE before < ${foldPoints} ORDER BY no`,
  );
  if (rows.length === 0) return 0;
  const pending = rows.map(({ numbers: [, wid], data }) => ({ wid: wid as number, data }));
  const series = gatherSeries(pending);
  const wids = pending.map(({ wid }) => wid);
  await foldSeries(transaction, numbers, series, wids);
  const folded = rows.map(({ numbers: [no] }) => no);
  await transaction.query('DELETE FROM segment WHERE no = ANY ($1::bigint[])', [folded]);
  return rows.reduce((sum, { numbers: [, , n] }) => sum + (n as number), 0);
}

async function foldSeries(
  transaction: PgTransaction,
  numbers: SeriesNumbers,
  series: readonly SeriesPoints[],
  wids: readonly number[],
): Promise<void> {
  if (series.length === 0) return;
  const rows = await transaction.query(
    `SELECT s.* FROM unnest($1::integer[], $2::bigint[]) AS w (kid, rid)
     JOIN summary s ON s.kid = w.kid AND s.rid = w.rid`,
    [series.map(({ kid }) => kid), series.map(({ rid }) => rid)],
  );
  const known = new Map(rows.map(summaryRow).map((row) => [`${row.kid} ${row.rid}`, row]));
  // Of the summaries too: their first and last points may be of writers that are not among these.
  const places = [...known.values()].flatMap((row) => [row.first_wid, row.last_wid]);
  const compareWriters = await numbers.writerOrder(transaction, [...wids, ...places]);
  const all = series.map(({ kid, rid, points }): Folding => {
    const row = known.get(`${kid} ${rid}`);
    const sorted = sortPoints(points, compareWriters);
    const levels = new ChunkLevels(row?.tiers ?? 0);
    return { kid, rid, arrived: points, sorted, row, levels, points: sorted, merged: -1 };
  });
  await mergeChunks(transaction, numbers, all);
  await storeChunks(transaction, all);
  await storeSummaries(transaction, all, compareWriters);
}

/** Makes older, smaller chunks part of the newcomers, until none is due. */
async function mergeChunks(
  transaction: PgTransaction,
  numbers: SeriesNumbers,
  all: readonly Folding[],
): Promise<void> {
  for (let due = all; due.length > 0; ) {
    const merging: Folding[] = [];
    for (const one of due) {
      for (;;) {
        const upto = one.levels.mergedBy(one.points.steps.length);
        if (upto <= one.merged) break;
        const older = one.levels.hasBetween(one.merged, upto);
        one.merged = upto;
        if (!older) continue;
        merging.push(one);
        break;
      }
    }
    if (merging.length === 0) break;
    await readOlder(transaction, numbers, merging);
    due = merging;
  }
  const merged = all.filter(({ points, sorted }) => points !== sorted);
  if (merged.length === 0) return;
  await transaction.query(
    `DELETE FROM chunk c USING unnest($1::integer[], $2::bigint[], $3::integer[]) AS w (kid, rid, upto)
     WHERE c.kid = w.kid AND c.rid = w.rid AND c.level <= w.upto`,
    placesOf(merged),
  );
}

async function readOlder(
  transaction: PgTransaction,
  numbers: SeriesNumbers,
  merging: readonly Folding[],
): Promise<void> {
  const [kids, rids, levels] = placesOf(merging).map((places) => numberList(places, 'bigint'));
  const rows = await transaction.blobs(
    `SELECT w.place, c.data
     FROM unnest(${kids}, ${rids}, ${levels}) WITH ORDINALITY AS w (kid, rid, upto, place)
     JOIN chunk c ON c.kid = w.kid::integer AND c.rid = w.rid AND c.level <= w.upto ORDER BY c.id`,
  );
  const older = new Map<number, PointSet[]>();
  for (const { numbers: found, data } of rows) {
    const place = (found[0] as number) - 1;
    const sets = older.get(place) ?? [];
    older.set(place, sets);
    sets.push(decodeChunk(data));
  }
  const wids = new Set<number>();
  for (const sets of older.values()) {
    for (const { writers } of sets) for (const wid of writers) wids.add(wid);
  }
  for (const one of merging) for (const wid of one.sorted.writers) wids.add(wid);
  const compareWriters = await numbers.writerOrder(transaction, wids);
  merging.forEach((one, place) => {
    const sets = older.get(place) ?? [];
    one.points = sortPoints(concatPoints([...sets, one.sorted]), compareWriters);
    one.levels.clear(one.merged);
  });
}

function placesOf(all: readonly Folding[]): number[][] {
  return [all.map(({ kid }) => kid), all.map(({ rid }) => rid), all.map(({ merged }) => merged)];
}

async function storeChunks(transaction: PgTransaction, all: readonly Folding[]): Promise<void> {
  const columns: (number | null)[][] = Array.from({ length: 13 }, () => []);
  const blobs: Uint8Array[] = [];
  // The blobs lie one behind another: an array of them would travel as text.
  let at = 1;
  for (const { kid, rid, levels, points } of all) {
    for (const piece of piecesOf(points)) {
      const level = levels.add(piece.steps.length);
      const header = describeChunk(piece);
      const data = encodeChunk(piece);
      const values = [
        ...[kid, rid, level, header.count, header.nanCount, header.stepMin, header.stepMax],
        ...[header.min ?? null, header.minStep ?? null, header.max ?? null, header.maxStep ?? null],
        ...[at, data.length],
      ];
      for (const [i, value] of values.entries()) columns[i]?.push(value);
      blobs.push(data);
      at += data.length;
    }
  }
  await transaction.query(
    `INSERT INTO chunk (kid, rid, level, n, nan_count, step_min, step_max,
       vmin, vmin_step, vmax, vmax_step, data)
     SELECT c.kid, c.rid, c.level, c.n, c.nan_count, c.step_min, c.step_max,
       c.vmin, c.vmin_step, c.vmax, c.vmax_step, substr($14::bytea, c.at, c.length)
     FROM unnest($1::integer[], $2::bigint[], $3::smallint[], $4::integer[], $5::integer[],
       $6::bigint[], $7::bigint[], $8::float8[], $9::bigint[], $10::float8[], $11::bigint[],
       $12::integer[], $13::integer[])
       WITH ORDINALITY AS c (kid, rid, level, n, nan_count, step_min, step_max,
         vmin, vmin_step, vmax, vmax_step, at, length, place)
     ORDER BY c.place`,
    [...columns, Buffer.concat(blobs)],
  );
}

const allColumns = ['kid', 'rid', ...stateColumns];
const upsert = `INSERT INTO summary (${allColumns.join(', ')})
  SELECT * FROM unnest($1::integer[], $2::bigint[], ${stateColumns
    .map((column, i) => `$${i + 3}::${typeOf(column)}`)
    .join(', ')})
  ON CONFLICT (kid, rid) DO UPDATE SET ${stateColumns
    .map((column) => `${column} = excluded.${column}`)
    .join(', ')}`;

async function storeSummaries(
  transaction: PgTransaction,
  all: readonly Folding[],
  compareWriters: CompareWriters,
): Promise<void> {
  const columns: (number | null)[][] = allColumns.map(() => []);
  for (const { kid, rid, arrived, sorted, row, levels } of all) {
    const before = row === undefined ? undefined : stateOf(row);
    const state = addToSummary(before, arrived.values, sorted, compareWriters);
    for (const [i, value] of [kid, rid, ...rowValues(state, levels.tiers)].entries()) {
      columns[i]?.push(value);
    }
  }
  await transaction.query(upsert, columns);
}
