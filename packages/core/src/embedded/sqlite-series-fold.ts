import { decodeChunk, describeChunk, encodeChunk } from '../sql/series-chunk.ts';
import { ChunkLevels, piecesOf } from '../sql/series-levels.ts';
import type { SeriesPoints } from '../sql/series-pending.ts';
import {
  type CompareWriters,
  concatPoints,
  type PointSet,
  sortPoints,
} from '../sql/series-points.ts';
import { addToSummary } from '../sql/series-summary.ts';
import { rowValues, type SummaryRow, stateColumns, stateOf } from '../sql/summary-row.ts';
import type { SqliteDatabase } from './sqlite-database.ts';
import { pendingSeries } from './sqlite-series-pending.ts';
import { writerOrder } from './sqlite-writers.ts';

/** Points folded in one transaction: some 15 ms of work, so that other writers get their turn. */
export const foldPoints = 20_000;

const selectSummary = 'SELECT * FROM summary WHERE kid = ? AND rid = ?';
const insertSummary = `INSERT INTO summary(kid, rid, ${stateColumns.join(', ')})
  VALUES (?, ?, ${stateColumns.map(() => '?').join(', ')})`;
const updateSummary = `UPDATE summary SET ${stateColumns.map((column) => `${column} = ?`).join(', ')}
  WHERE kid = ? AND rid = ?`;
const selectSmall = `SELECT id, level, data FROM chunk
  WHERE kid = ? AND rid = ? AND level <= ? ORDER BY id`;
const deleteSmall = 'DELETE FROM chunk WHERE kid = ? AND rid = ? AND level <= ?';
const insertChunk = `INSERT INTO chunk(kid, rid, level, n, nan_count, step_min, step_max,
  vmin, vmin_step, vmax, vmax_step, data) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`;

/**
 * Folds the oldest segments, some {@link foldPoints} points, into chunks and summaries; answers how
 * many points. Runs inside a write transaction: killed at any instant, nothing of it has happened.
 */
export function foldSlice(database: SqliteDatabase): number {
  const segments = database
    .prepare('SELECT no, n FROM segment ORDER BY no LIMIT 1000')
    .all() as unknown as readonly { no: number; n: number }[];
  let points = 0;
  let upto = 0;
  for (const segment of segments) {
    if (points > 0 && points + segment.n > foldPoints) break;
    points += segment.n;
    upto = segment.no;
  }
  if (upto === 0) return 0;
  const compareWriters = writerOrder(database);
  for (const series of pendingSeries(database, { upto })) {
    foldSeries(database, series, compareWriters);
  }
  database.prepare('DELETE FROM segment WHERE no <= ?').run(upto);
  return points;
}

function foldSeries(
  database: SqliteDatabase,
  series: SeriesPoints,
  compareWriters: CompareWriters,
): void {
  const { kid, rid, points } = series;
  const row = database.prepare(selectSummary).get(kid, rid) as unknown as SummaryRow | undefined;
  const sorted = sortPoints(points, compareWriters);
  const state = addToSummary(
    row === undefined ? undefined : stateOf(row),
    points.values,
    sorted,
    compareWriters,
  );
  const tiers = packChunks(database, series, sorted, row?.tiers ?? 0, compareWriters);
  const values = rowValues(state, tiers);
  if (row === undefined) database.prepare(insertSummary).run(kid, rid, ...values);
  else database.prepare(updateSummary).run(...values, kid, rid);
}

/**
 * Stores sorted new points as chunks; answers how many small chunks of each level there are then.
 * In order of arrival the levels of a series never rise (what is smaller than the newcomer is merged
 * into it), so that merging a level and all below it takes the newest points, and ties keep their order.
 */
function packChunks(
  database: SqliteDatabase,
  series: { readonly kid: number; readonly rid: number },
  sorted: PointSet,
  tiers: number,
  compareWriters: CompareWriters,
): number {
  const levels = new ChunkLevels(tiers);
  let points = sorted;
  let merged = -1;
  for (;;) {
    const upto = levels.mergedBy(points.steps.length);
    if (upto <= merged) break;
    const older = levels.hasBetween(merged, upto);
    merged = upto;
    if (!older) continue;
    points = mergeSmaller(database, series, sorted, upto, compareWriters);
    levels.clear(upto);
  }
  if (points !== sorted) database.prepare(deleteSmall).run(series.kid, series.rid, merged);
  for (const piece of piecesOf(points)) {
    storeChunk(database, series, levels.add(piece.steps.length), piece);
  }
  return levels.tiers;
}

function mergeSmaller(
  database: SqliteDatabase,
  { kid, rid }: { readonly kid: number; readonly rid: number },
  newest: PointSet,
  upto: number,
  compareWriters: CompareWriters,
): PointSet {
  const rows = database.prepare(selectSmall).all(kid, rid, upto) as unknown as readonly {
    data: Uint8Array;
  }[];
  const sets = rows.map((row) => decodeChunk(row.data));
  return sortPoints(concatPoints([...sets, newest]), compareWriters);
}

function storeChunk(
  database: SqliteDatabase,
  { kid, rid }: { readonly kid: number; readonly rid: number },
  level: number,
  points: PointSet,
): void {
  const header = describeChunk(points);
  database
    .prepare(insertChunk)
    .run(
      kid,
      rid,
      level,
      header.count,
      header.nanCount,
      header.stepMin,
      header.stepMax,
      header.min ?? null,
      header.minStep ?? null,
      header.max ?? null,
      header.maxStep ?? null,
      encodeChunk(points),
    );
}
