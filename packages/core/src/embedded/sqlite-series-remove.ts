import { decodeSegment, encodeSegment, withoutOwner } from '../sql/series-segment.ts';
import type { SqliteDatabase } from './sqlite-database.ts';

/** Removes all series of a run, folded or not, inside a write. Writers' numbers stay taken. */
export function removeOwner(database: SqliteDatabase, rid: number): void {
  database
    .prepare(
      `DELETE FROM chunk WHERE id IN (
         SELECT chunk.id FROM summary JOIN chunk ON chunk.kid = summary.kid AND chunk.rid = summary.rid
         WHERE summary.rid = ?
       )`,
    )
    .run(rid);
  database.prepare('DELETE FROM summary WHERE rid = ?').run(rid);
  // What came in since the last fold may hold points of the run among those of others.
  const rows = database.prepare('SELECT no, data FROM segment').all() as unknown as readonly {
    no: number;
    data: Uint8Array;
  }[];
  for (const row of rows) {
    const segment = decodeSegment(row.data);
    if (!segment.ownerIds.includes(rid)) continue;
    const kept = withoutOwner(segment, rid);
    if (kept.steps.length === 0) database.prepare('DELETE FROM segment WHERE no = ?').run(row.no);
    else {
      database
        .prepare('UPDATE segment SET n = ?, data = ? WHERE no = ?')
        .run(kept.steps.length, encodeSegment(kept), row.no);
    }
  }
}
