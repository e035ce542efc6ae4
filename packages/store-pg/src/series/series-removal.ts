import { decodeSegment, encodeSegment, withoutOwner } from '@keelson/core/sql';
import type { PgTransaction } from '../connection/pg-server.ts';

/** Removes all series of runs, folded or not. Writers' numbers stay taken. */
export async function removeRids(
  transaction: PgTransaction,
  rids: readonly number[],
): Promise<void> {
  await transaction.query(
    `SELECT pg_advisory_xact_lock(hashtextextended('keelson fold ' || current_schema(), 0))`,
  );
  const removed = await transaction.query(
    'DELETE FROM summary WHERE rid = ANY ($1::bigint[]) RETURNING kid, rid',
    [rids],
  );
  // By list: joined with the summaries, the chunks of all runs would be read.
  await transaction.query(
    `DELETE FROM chunk c USING unnest($1::integer[], $2::bigint[]) AS w (kid, rid)
     WHERE c.kid = w.kid AND c.rid = w.rid`,
    [removed.map((row) => row['kid']), removed.map((row) => row['rid'])],
  );
  // What came in since the last fold may hold points of the runs among those of others.
  for (const { numbers, data } of await transaction.blobs(
    'SELECT no, data FROM segment ORDER BY no FOR UPDATE',
  )) {
    const segment = decodeSegment(data);
    if (!rids.some((rid) => segment.ownerIds.includes(rid))) continue;
    const kept = rids.reduce(withoutOwner, segment);
    if (kept.steps.length === 0) {
      await transaction.query('DELETE FROM segment WHERE no = $1', numbers);
    } else {
      await transaction.query('UPDATE segment SET n = $2, data = $3 WHERE no = $1', [
        ...numbers,
        kept.steps.length,
        Buffer.from(encodeSegment(kept)),
      ]);
    }
  }
}
