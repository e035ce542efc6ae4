import type {
  PointColumns,
  SeriesBucket,
  SeriesKey,
  SeriesSummary,
} from '../contracts/series-store.ts';
import { compareText } from '../language/stored-value.ts';
import { SeriesBuckets } from '../sql/series-buckets.ts';
import { type ChunkHeader, decodeChunk, decodeChunkValues } from '../sql/series-chunk.ts';
import { clustersOf } from '../sql/series-clusters.ts';
import {
  concatPoints,
  lowerBound,
  makePoints,
  type PointSet,
  slicePoints,
  sortPoints,
} from '../sql/series-points.ts';
import { addToSummary, type SummaryState, toSummary } from '../sql/series-summary.ts';
import { metricDict, type SummaryRow, stateOf } from '../sql/summary-row.ts';
import type { SqliteDatabase } from './sqlite-database.ts';
import { findKid, findRid } from './sqlite-schema.ts';
import { pendingSeries } from './sqlite-series-pending.ts';
import { writerOrder } from './sqlite-writers.ts';

/** A range of steps, both ends included. */
export interface StepRange {
  readonly fromStep: number;
  readonly toStep: number;
}

/** What is stored of a series in one place: a chunk, or the points that no chunk has yet. */
interface Piece {
  readonly count: number;
  readonly stepMin: number;
  readonly stepMax: number;
  /** Order of arrival. */
  readonly no: number;
  read(): PointSet;
}

/** Summaries of runs, folded and unfolded points together: owner → summaries by key ascending. */
export function readSummaries(
  database: SqliteDatabase,
  workspace: string,
  owners: readonly string[],
  keys: readonly string[] | undefined,
): Map<string, Map<string, SeriesSummary>> {
  const ownerOf = new Map<number, string>();
  for (const owner of owners) {
    const rid = findRid(database, workspace, owner);
    if (rid !== undefined) ownerOf.set(rid, owner);
  }
  const kids = keys === undefined ? undefined : kidsOf(database, workspace, keys);
  const states = readStates(database, new Set(ownerOf.keys()), kids);
  // Runs of one page mostly have the same keys: each is looked up once.
  const keyNames = new Map<number, string>();
  for (const byKid of states.values()) {
    for (const kid of byKid.keys()) {
      if (!keyNames.has(kid)) keyNames.set(kid, keyOf(database, kid));
    }
  }
  const found = new Map<string, Map<string, SeriesSummary>>();
  for (const [rid, byKid] of states) {
    const summaries = [...byKid].map(([kid, state]) =>
      toSummary(keyNames.get(kid) as string, state),
    );
    summaries.sort((a, b) => compareText(a.key, b.key));
    found.set(ownerOf.get(rid) as string, new Map(summaries.map((s) => [s.key, s])));
  }
  return found;
}

/** Points of a series in order, from `offset` on, at most `limit`. */
export function readPoints(
  database: SqliteDatabase,
  series: SeriesKey,
  range: StepRange,
  offset: number,
  limit: number,
): PointColumns {
  const ids = idsOf(database, series);
  if (ids === undefined) return columnsOf(makePoints(0));
  const pieces = piecesOf(database, ids, range);
  const compareWriters = writerOrder(database);
  const found: PointSet[] = [];
  let skip = offset;
  let wanted = limit;
  for (const cluster of clustersOf(pieces)) {
    if (wanted === 0) break;
    const count = cluster.reduce((sum, piece) => sum + piece.count, 0);
    const inside = cluster.every(
      (piece) => piece.stepMin >= range.fromStep && piece.stepMax <= range.toStep,
    );
    if (inside && skip >= count) {
      skip -= count;
      continue;
    }
    const arrived = cluster.toSorted((a, b) => a.no - b.no).map((piece) => piece.read());
    const sorted = sortPoints(concatPoints(arrived), compareWriters);
    const from = lowerBound(sorted.steps, range.fromStep);
    const to = lowerBound(sorted.steps, range.toStep + 1);
    const start = Math.min(from + skip, to);
    skip -= start - from;
    const end = Math.min(start + wanted, to);
    wanted -= end - start;
    if (end > start) found.push(slicePoints(sorted, start, end));
  }
  return columnsOf(found.length === 0 ? makePoints(0) : concatPoints(found));
}

/** Buckets of equal width over the range, exact. */
export function readBuckets(
  database: SqliteDatabase,
  series: SeriesKey,
  limit: number,
  from: number | undefined,
  to: number | undefined,
): readonly SeriesBucket[] {
  const ids = idsOf(database, series);
  if (ids === undefined) return [];
  const range = {
    fromStep: from ?? -Number.MAX_SAFE_INTEGER,
    toStep: to ?? Number.MAX_SAFE_INTEGER,
  };
  const headers = chunkHeaders(database, ids, range);
  const pending = pendingOf(database, ids);
  const least = Math.min(...stepsOf(pending, Math.min), ...headers.map((h) => h.stepMin));
  const greatest = Math.max(...stepsOf(pending, Math.max), ...headers.map((h) => h.stepMax));
  const low = from ?? least;
  const high = to ?? greatest;
  if (!(low <= high)) return [];
  const buckets = new SeriesBuckets(low, high, limit);
  for (const header of headers) {
    if (buckets.addHeader(header)) continue;
    const { steps, values } = decodeChunkValues(chunkData(database, header.id));
    buckets.add(steps, values);
  }
  if (pending !== undefined) buckets.add(pending.steps, pending.values);
  return buckets.finish();
}

function readStates(
  database: SqliteDatabase,
  rids: ReadonlySet<number>,
  kids: ReadonlySet<number> | undefined,
): Map<number, Map<number, SummaryState>> {
  const states = new Map<number, Map<number, SummaryState>>();
  const put = (rid: number, kid: number, state: SummaryState): void => {
    const byKid = states.get(rid) ?? new Map<number, SummaryState>();
    states.set(rid, byKid.set(kid, state));
  };
  for (const rid of rids) {
    for (const row of summaryRows(database, rid, kids)) put(rid, row.kid, stateOf(row));
  }
  const compareWriters = writerOrder(database);
  const filter = kids === undefined ? { rids } : { rids, kids };
  for (const { rid, kid, points } of pendingSeries(database, filter)) {
    const before = states.get(rid)?.get(kid);
    const sorted = sortPoints(points, compareWriters);
    put(rid, kid, addToSummary(before, points.values, sorted, compareWriters));
  }
  return states;
}

function summaryRows(
  database: SqliteDatabase,
  rid: number,
  kids: ReadonlySet<number> | undefined,
): readonly SummaryRow[] {
  if (kids === undefined) {
    const all = database.prepare('SELECT * FROM summary WHERE rid = ?').all(rid);
    return all as unknown as readonly SummaryRow[];
  }
  const one = database.prepare('SELECT * FROM summary WHERE kid = ? AND rid = ?');
  return [...kids].flatMap((kid) => (one.get(kid, rid) as unknown as SummaryRow) ?? []);
}

function piecesOf(
  database: SqliteDatabase,
  ids: { readonly kid: number; readonly rid: number },
  range: StepRange,
): readonly Piece[] {
  const pieces: Piece[] = chunkHeaders(database, ids, range).map((header) => ({
    count: header.count,
    stepMin: header.stepMin,
    stepMax: header.stepMax,
    no: header.id,
    read: () => decodeChunk(chunkData(database, header.id)),
  }));
  const pending = pendingOf(database, ids);
  if (pending === undefined) return pieces;
  const [stepMin] = stepsOf(pending, Math.min);
  const [stepMax] = stepsOf(pending, Math.max);
  pieces.push({
    count: pending.steps.length,
    stepMin: stepMin as number,
    stepMax: stepMax as number,
    no: Number.POSITIVE_INFINITY,
    read: () => pending,
  });
  return pieces;
}

function chunkHeaders(
  database: SqliteDatabase,
  { kid, rid }: { readonly kid: number; readonly rid: number },
  { fromStep, toStep }: StepRange,
): readonly (ChunkHeader & { readonly id: number })[] {
  const rows = database
    .prepare(
      `SELECT id, n, nan_count, step_min, step_max, vmin, vmin_step, vmax, vmax_step FROM chunk
       WHERE kid = ? AND rid = ? AND step_max >= ? AND step_min <= ? ORDER BY id`,
    )
    .all(kid, rid, fromStep, toStep) as unknown as readonly Record<string, number | null>[];
  return rows.map((row) => ({
    id: row['id'] as number,
    count: row['n'] as number,
    nanCount: row['nan_count'] as number,
    stepMin: row['step_min'] as number,
    stepMax: row['step_max'] as number,
    min: row['vmin'] ?? undefined,
    minStep: row['vmin_step'] ?? undefined,
    max: row['vmax'] ?? undefined,
    maxStep: row['vmax_step'] ?? undefined,
  }));
}

function chunkData(database: SqliteDatabase, id: number): Uint8Array {
  const row = database.prepare('SELECT data FROM chunk WHERE id = ?').get(id);
  return row?.['data'] as Uint8Array;
}

function pendingOf(
  database: SqliteDatabase,
  { kid, rid }: { readonly kid: number; readonly rid: number },
): PointSet | undefined {
  const filter = { kids: new Set([kid]), rids: new Set([rid]) };
  return pendingSeries(database, filter)[0]?.points;
}

function stepsOf(
  points: PointSet | undefined,
  pick: (a: number, b: number) => number,
): readonly number[] {
  return points === undefined ? [] : [points.steps.reduce((a, b) => pick(a, b))];
}

function idsOf(
  database: SqliteDatabase,
  series: SeriesKey,
): { kid: number; rid: number } | undefined {
  const rid = findRid(database, series.workspace, series.owner);
  const [kid] = kidsOf(database, series.workspace, [series.key]);
  return rid === undefined || kid === undefined ? undefined : { kid, rid };
}

function kidsOf(
  database: SqliteDatabase,
  workspace: string,
  keys: readonly string[],
): ReadonlySet<number> {
  const kids = keys.map((key) => findKid(database, { ...metricDict, workspace, key }));
  return new Set(kids.filter((kid) => kid !== undefined));
}

function keyOf(database: SqliteDatabase, kid: number): string {
  return String(database.prepare('SELECT key FROM dict WHERE kid = ?').get(kid)?.['key']);
}

function columnsOf({ steps, timestamps, values }: PointSet): PointColumns {
  return { steps, timestamps, values };
}
