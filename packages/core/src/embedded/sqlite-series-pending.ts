import {
  gatherSeries,
  type PendingSegment,
  type SeriesFilter,
  type SeriesPoints,
} from '../sql/series-pending.ts';
import type { SqliteDatabase } from './sqlite-database.ts';

/** Which unfolded points to gather; all of them when left empty. */
export interface PendingFilter extends SeriesFilter {
  /** The last segment. */
  readonly upto?: number;
}

/** The points that were appended and not yet folded, as {@link gatherSeries} gives them. */
export function pendingSeries(
  database: SqliteDatabase,
  filter: PendingFilter = {},
): readonly SeriesPoints[] {
  const rows = database
    .prepare('SELECT wid, data FROM segment WHERE no <= ? ORDER BY no')
    .all(filter.upto ?? Number.MAX_SAFE_INTEGER) as unknown as readonly PendingSegment[];
  return gatherSeries(rows, filter);
}
