import type { PointBatch, SeriesKey } from '../contracts/series-store.ts';
import { encodeSegment } from '../sql/series-segment.ts';
import { metricDict } from '../sql/summary-row.ts';
import type { SqliteDatabase } from './sqlite-database.ts';
import { kidOf, ridOf } from './sqlite-schema.ts';
import { pointStream, takeSequence, widOf } from './sqlite-writers.ts';

/** Points in one segment: a larger flush becomes several, so that a fold is never much larger. */
const segmentPoints = 16_384;

/** The numbers of a series' key and owner. */
interface Ids {
  readonly kid: number;
  readonly rid: number;
}

/**
 * The numbers of the series that callers append to, found again by the object that addresses them: a
 * writer passes the same hundreds of them with each batch. Entries hold committed numbers of valid
 * addresses only, and no longer count when somebody has changed the object.
 */
export class SeriesIds {
  readonly #known = new WeakMap<SeriesKey, SeriesKey & Ids>();

  /** Whether the address was appended to before, and is what it was. */
  has(key: SeriesKey): boolean {
    return this.#find(key) !== undefined;
  }

  /** The numbers, allotted if need be. Only inside a write. */
  get(database: SqliteDatabase, key: SeriesKey): Ids {
    const known = this.#find(key);
    if (known !== undefined) return known;
    const { workspace, owner } = key;
    const ids = {
      kid: kidOf(database, { ...metricDict, workspace, key: key.key }),
      rid: ridOf(database, workspace, owner),
    };
    const entry = { workspace, owner, key: key.key, ...ids };
    database.afterCommit(() => this.#known.set(key, entry));
    return ids;
  }

  #find(key: SeriesKey): (SeriesKey & Ids) | undefined {
    const known = this.#known.get(key);
    return known?.key === key.key && known.owner === key.owner && known.workspace === key.workspace
      ? known
      : undefined;
  }
}

/** Stores a valid batch as segments, inside a write; does nothing when its number was stored before. */
export function appendSegments(
  database: SqliteDatabase,
  batch: PointBatch,
  seriesIds: SeriesIds,
): void {
  const wid = widOf(database, batch.writer);
  if (!takeSequence(database, wid, pointStream, batch.sequence)) return;
  const ids = batch.series.map((key) => seriesIds.get(database, key));
  const count = batch.steps.length;
  for (let from = 0; from < count; from += segmentPoints) {
    const to = Math.min(from + segmentPoints, count);
    const data = encodeSegment({
      ...tableOf(batch, ids, from, to),
      steps: positiveZero(batch.steps.subarray(from, to)),
      timestamps: positiveZero(batch.timestamps.subarray(from, to)),
      values: batch.values.subarray(from, to),
    });
    database
      .prepare('INSERT INTO segment(wid, n, data) VALUES (?, ?, ?)')
      .run(wid, to - from, data);
  }
}

// The series that the points use, in order of their first point: a batch may name many more.
function tableOf(
  batch: PointBatch,
  ids: readonly { readonly kid: number; readonly rid: number }[],
  from: number,
  to: number,
): { keyIds: Float64Array; ownerIds: Float64Array; index: Uint32Array } {
  const places = new Int32Array(ids.length).fill(-1);
  const used: number[] = [];
  const index = new Uint32Array(to - from);
  for (let i = from; i < to; i++) {
    const series = batch.seriesIndex[i] as number;
    let place = places[series] as number;
    if (place < 0) {
      place = used.length;
      places[series] = place;
      used.push(series);
    }
    index[i - from] = place;
  }
  return {
    keyIds: Float64Array.from(used, (series) => ids[series]?.kid as number),
    ownerIds: Float64Array.from(used, (series) => ids[series]?.rid as number),
    index,
  };
}

// Steps and times have no −0: packed integers could not keep it, and it means nothing there.
function positiveZero(column: Float64Array): Float64Array {
  for (let i = 0; i < column.length; i++) {
    if (Object.is(column[i], -0)) return column.map((value) => value + 0);
  }
  return column;
}
