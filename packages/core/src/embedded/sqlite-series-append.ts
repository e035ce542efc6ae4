import type { PointBatch, SeriesKey } from '../contracts/series-store.ts';
import { segmentsOf } from '../sql/series-flush.ts';
import { metricDict } from '../sql/summary-row.ts';
import type { SqliteDatabase } from './sqlite-database.ts';
import { kidOf, ridOf } from './sqlite-schema.ts';
import { pointStream, takeSequence, widOf } from './sqlite-writers.ts';

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
  const insert = database.prepare('INSERT INTO segment(wid, n, data) VALUES (?, ?, ?)');
  for (const { count, data } of segmentsOf(batch, ids)) insert.run(wid, count, data);
}
