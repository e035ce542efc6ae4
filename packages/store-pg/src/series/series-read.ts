import type { PointColumns, SeriesBucket, SeriesKey, SeriesSummary } from '@keelson/core';
import {
  addToSummary,
  type ChunkHeader,
  clustersOf,
  compareText,
  concatPoints,
  decodeChunk,
  decodeChunkValues,
  gatherSeries,
  lowerBound,
  makePoints,
  type PointSet,
  SeriesBuckets,
  type SeriesFilter,
  type SeriesPoints,
  type SummaryState,
  slicePoints,
  sortPoints,
  stateOf,
  toSummary,
} from '@keelson/core/sql';
import type { PgDatabase } from '../connection/pg-database.ts';
import type { PgTransaction } from '../connection/pg-server.ts';
import { numberList } from './number-list.ts';
import type { SeriesNumbers } from './series-numbers.ts';
import { summaryRow } from './summary-rows.ts';

/** A range of steps, both ends included. */
export interface StepRange {
  readonly fromStep: number;
  readonly toStep: number;
}

/** A chunk, or the points that no chunk has yet. */
interface Piece {
  readonly count: number;
  readonly stepMin: number;
  readonly stepMax: number;
  /** Of a chunk; undefined for the points at hand. */
  readonly id: number | undefined;
}

/**
 * Summaries of runs, folded and unfolded points together: owner → summaries by key ascending. Of one run it asks
 * first whether it can have any, as many runs end without points.
 */
export async function readSummaries(
  database: PgDatabase,
  numbers: SeriesNumbers,
  workspace: string,
  owners: readonly string[],
  keys: readonly string[] | undefined,
): Promise<Map<string, Map<string, SeriesSummary>>> {
  const [only] = owners;
  if (only === undefined) return new Map();
  if (owners.length === 1 && !(await mayHavePoints(database, workspace, only))) return new Map();
  return await database.snapshot((transaction) =>
    summariesIn(transaction, numbers, workspace, owners, keys),
  );
}

/** Points that lie unfolded are not looked into: any run may have some of them. */
async function mayHavePoints(
  database: PgDatabase,
  workspace: string,
  owner: string,
): Promise<boolean> {
  const [row] = await database.read(
    `SELECT EXISTS (SELECT 1 FROM ${database.name('segment')}) OR EXISTS (
       SELECT 1 FROM ${database.name('entity')} e JOIN ${database.name('summary')} s ON s.rid = e.rid
       WHERE e.ws = $1 AND e.id = $2) AS may`,
    [workspace, owner],
  );
  return row?.['may'] === true;
}

async function summariesIn(
  transaction: PgTransaction,
  numbers: SeriesNumbers,
  workspace: string,
  owners: readonly string[],
  keys: readonly string[] | undefined,
): Promise<Map<string, Map<string, SeriesSummary>>> {
  const ownerOf = await numbers.findOwners(transaction, workspace, owners);
  const found = new Map<string, Map<string, SeriesSummary>>();
  if (ownerOf.size === 0) return found;
  const wanted =
    keys === undefined ? undefined : await numbers.findKeys(transaction, workspace, keys);
  const states = await readStates(transaction, numbers, [...ownerOf.keys()], wanted);
  const kids = new Set([...states.values()].flatMap((byKid) => [...byKid.keys()]));
  const keyOf = wanted ?? (await numbers.keysOf(transaction, [...kids]));
  for (const [rid, byKid] of states) {
    const summaries = [...byKid].map(([kid, state]) => toSummary(keyOf.get(kid) ?? '', state));
    summaries.sort((a, b) => compareText(a.key, b.key));
    found.set(ownerOf.get(rid) as string, new Map(summaries.map((each) => [each.key, each])));
  }
  return found;
}

/** Points of a series in order, from `offset` on, at most `limit`. */
export async function readPoints(
  transaction: PgTransaction,
  numbers: SeriesNumbers,
  series: SeriesKey,
  page: StepRange & { readonly offset: number; readonly limit: number },
): Promise<PointColumns> {
  const { fromStep, toStep } = page;
  const ids = await idsOf(transaction, numbers, series);
  if (ids === undefined) return columnsOf(makePoints(0));
  const headers = await chunkHeaders(transaction, ids, page);
  const pending = await pendingOf(transaction, ids);
  const pieces: Piece[] = headers.map((header) => ({ ...header }));
  if (pending !== undefined) pieces.push({ ...spanOf(pending), id: undefined });
  const found: PointSet[] = [];
  let skip = page.offset;
  let wanted = page.limit;
  for (const cluster of clustersOf(pieces)) {
    if (wanted === 0) break;
    const count = cluster.reduce((sum, piece) => sum + piece.count, 0);
    const inside = cluster.every((piece) => piece.stepMin >= fromStep && piece.stepMax <= toStep);
    if (inside && skip >= count) {
      skip -= count;
      continue;
    }
    const sorted = await readCluster(transaction, numbers, cluster, pending);
    const from = lowerBound(sorted.steps, fromStep);
    const to = lowerBound(sorted.steps, toStep + 1);
    const start = Math.min(from + skip, to);
    skip -= start - from;
    const end = Math.min(start + wanted, to);
    wanted -= end - start;
    if (end > start) found.push(slicePoints(sorted, start, end));
  }
  return columnsOf(found.length === 0 ? makePoints(0) : concatPoints(found));
}

/** Buckets of equal width over the range, exact. */
export async function readBuckets(
  transaction: PgTransaction,
  numbers: SeriesNumbers,
  series: SeriesKey,
  asked: { readonly buckets: number; readonly fromStep?: number; readonly toStep?: number },
): Promise<readonly SeriesBucket[]> {
  const ids = await idsOf(transaction, numbers, series);
  if (ids === undefined) return [];
  const range = {
    fromStep: asked.fromStep ?? -Number.MAX_SAFE_INTEGER,
    toStep: asked.toStep ?? Number.MAX_SAFE_INTEGER,
  };
  const headers = await chunkHeaders(transaction, ids, range);
  const pending = await pendingOf(transaction, ids);
  const spans = pending === undefined ? headers : [...headers, spanOf(pending)];
  const low = asked.fromStep ?? spans.reduce((a, b) => Math.min(a, b.stepMin), Infinity);
  const high = asked.toStep ?? spans.reduce((a, b) => Math.max(a, b.stepMax), -Infinity);
  if (!(low <= high)) return [];
  const buckets = new SeriesBuckets(low, high, asked.buckets);
  const split = headers.filter((header) => !buckets.addHeader(header)).map(({ id }) => id);
  for (const data of (await chunkData(transaction, split)).values()) {
    const { steps, values } = decodeChunkValues(data);
    buckets.add(steps, values);
  }
  if (pending !== undefined) buckets.add(pending.steps, pending.values);
  return buckets.finish();
}

/** The points that were appended and not yet folded, by series. */
async function pendingSeries(
  transaction: PgTransaction,
  filter: SeriesFilter,
): Promise<readonly SeriesPoints[]> {
  const rows = await transaction.blobs('SELECT wid::bigint, data FROM segment ORDER BY no');
  const pending = rows.map(({ numbers: [wid], data }) => ({ wid: wid as number, data }));
  return gatherSeries(pending, filter);
}

async function readStates(
  transaction: PgTransaction,
  numbers: SeriesNumbers,
  rids: readonly number[],
  kids: ReadonlyMap<number, string> | undefined,
): Promise<Map<number, Map<number, SummaryState>>> {
  const states = new Map<number, Map<number, SummaryState>>();
  const put = (rid: number, kid: number, state: SummaryState): void => {
    const byKid = states.get(rid) ?? new Map<number, SummaryState>();
    states.set(rid, byKid.set(kid, state));
  };
  const rows = await transaction.query(
    `SELECT * FROM summary WHERE rid = ANY ($1::bigint[])
     AND ($2::integer[] IS NULL OR kid = ANY ($2::integer[]))`,
    [rids, kids === undefined ? null : [...kids.keys()]],
  );
  const wids = new Set<number>();
  for (const row of rows.map(summaryRow)) {
    put(row.rid, row.kid, stateOf(row));
    wids.add(row.first_wid).add(row.last_wid);
  }
  const filter = {
    rids: new Set(rids),
    ...(kids === undefined ? {} : { kids: new Set(kids.keys()) }),
  };
  const pending = await pendingSeries(transaction, filter);
  for (const { points } of pending) for (const wid of points.writers) wids.add(wid);
  const compareWriters = await numbers.writerOrder(transaction, wids);
  for (const { rid, kid, points } of pending) {
    const before = states.get(rid)?.get(kid);
    const sorted = sortPoints(points, compareWriters);
    put(rid, kid, addToSummary(before, points.values, sorted, compareWriters));
  }
  return states;
}

async function readCluster(
  transaction: PgTransaction,
  numbers: SeriesNumbers,
  cluster: readonly Piece[],
  pending: PointSet | undefined,
): Promise<PointSet> {
  const arrived = cluster.toSorted((a, b) => (a.id ?? Infinity) - (b.id ?? Infinity));
  const ids = arrived.flatMap(({ id }) => (id === undefined ? [] : [id]));
  const data = await chunkData(transaction, ids);
  const sets = arrived.map(({ id }) =>
    id === undefined ? (pending as PointSet) : decodeChunk(data.get(id) as Uint8Array),
  );
  const all = concatPoints(sets);
  return sortPoints(all, await numbers.writerOrder(transaction, all.writers));
}

async function chunkHeaders(
  transaction: PgTransaction,
  { kid, rid }: { readonly kid: number; readonly rid: number },
  { fromStep, toStep }: StepRange,
): Promise<readonly (ChunkHeader & { readonly id: number })[]> {
  const rows = await transaction.query(
    `SELECT id, n, nan_count, step_min, step_max, vmin, vmin_step, vmax, vmax_step FROM chunk
     WHERE kid = $1 AND rid = $2 AND step_max >= $3 AND step_min <= $4 ORDER BY id`,
    [kid, rid, fromStep, toStep],
  );
  const maybe = (value: unknown): number | undefined =>
    value === null ? undefined : Number(value);
  return rows.map((row) => ({
    id: Number(row['id']),
    count: Number(row['n']),
    nanCount: Number(row['nan_count']),
    stepMin: Number(row['step_min']),
    stepMax: Number(row['step_max']),
    min: maybe(row['vmin']),
    minStep: maybe(row['vmin_step']),
    max: maybe(row['vmax']),
    maxStep: maybe(row['vmax_step']),
  }));
}

async function chunkData(
  transaction: PgTransaction,
  ids: readonly number[],
): Promise<ReadonlyMap<number, Uint8Array>> {
  if (ids.length === 0) return new Map();
  const rows = await transaction.blobs(
    `SELECT id, data FROM chunk WHERE id = ANY (${numberList(ids, 'bigint')}) ORDER BY id`,
  );
  return new Map(rows.map(({ numbers: [id], data }) => [id as number, data]));
}

async function pendingOf(
  transaction: PgTransaction,
  { kid, rid }: { readonly kid: number; readonly rid: number },
): Promise<PointSet | undefined> {
  const filter = { kids: new Set([kid]), rids: new Set([rid]) };
  return (await pendingSeries(transaction, filter))[0]?.points;
}

function spanOf({ steps }: PointSet): Omit<Piece, 'id'> {
  return {
    count: steps.length,
    stepMin: steps.reduce((a, b) => Math.min(a, b)),
    stepMax: steps.reduce((a, b) => Math.max(a, b)),
  };
}

async function idsOf(
  transaction: PgTransaction,
  numbers: SeriesNumbers,
  { workspace, owner, key }: SeriesKey,
): Promise<{ kid: number; rid: number } | undefined> {
  const [rid] = (await numbers.findOwners(transaction, workspace, [owner])).keys();
  const [kid] = (await numbers.findKeys(transaction, workspace, [key])).keys();
  return rid === undefined || kid === undefined ? undefined : { kid, rid };
}

function columnsOf({ steps, timestamps, values }: PointSet): PointColumns {
  return { steps, timestamps, values };
}
