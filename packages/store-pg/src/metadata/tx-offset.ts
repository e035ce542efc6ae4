import type { PgDatabase } from '../connection/pg-database.ts';
import type { PgTransaction } from '../connection/pg-server.ts';

/**
 * Whether new events would come after those that are stored. Not so where a dump was put back into a
 * server whose transactions have smaller numbers than those the events came with.
 */
export async function eventsGoOn(database: PgDatabase): Promise<boolean> {
  const [row] = await database.read(
    `SELECT pg_snapshot_xmax(pg_current_snapshot())::text::bigint + ${database.name('tx_offset()')}
       > coalesce((SELECT max(tx) FROM ${database.name('event')}), 0) AS ahead`,
  );
  return row?.['ahead'] === true;
}

/** Adds so much to the server's numbers that new events come after those stored. Under the schema's lock. */
export async function letEventsGoOn(transaction: PgTransaction): Promise<void> {
  // Whoever emits waits until the function has been replaced.
  await transaction.query('LOCK TABLE event IN EXCLUSIVE MODE');
  const [row] = await transaction.query(
    `SELECT coalesce((SELECT max(tx) FROM event), 0) + 1
       - pg_snapshot_xmax(pg_current_snapshot())::text::bigint AS needed, tx_offset() AS offset`,
  );
  const needed = Number(row?.['needed']);
  if (needed <= Number(row?.['offset'])) return;
  await transaction.query(
    `CREATE OR REPLACE FUNCTION tx_offset() RETURNS bigint LANGUAGE sql IMMUTABLE PARALLEL SAFE
     AS 'SELECT ${needed}::bigint'`,
  );
}
