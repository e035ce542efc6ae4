import type { TestDatabase } from './server/test-database.ts';

const sessions = `SELECT 1 FROM pg_stat_activity
  WHERE application_name = 'keelson' AND datname = current_database()`;

/**
 * The large tables of a schema (from 100 pages on) that were read from one end to the other, and how often,
 * so far. Waits until no store is connected: a server's process tells what it has read at its end.
 */
export async function wholeReads(
  query: TestDatabase['query'],
  schema: string,
): Promise<Readonly<Record<string, number>>> {
  while ((await query(sessions)).length > 0);
  const rows = await query(
    `SELECT s.relname AS name, s.seq_scan::int AS n
     FROM pg_stat_user_tables s JOIN pg_class c ON c.oid = s.relid
     WHERE s.schemaname = $1 AND pg_relation_size(c.oid) >= 100 * 8192 ORDER BY 1`,
    [schema],
  );
  return Object.fromEntries(rows.map((row) => [String(row['name']), Number(row['n'])]));
}

/**
 * As {@link wholeReads}, in rows: how many were read one after another, and how many there are. A planner's look
 * at the first of many rows is no reading of the whole.
 */
export async function rowsRead(
  query: TestDatabase['query'],
  schema: string,
): Promise<ReadonlyMap<string, { readonly read: number; readonly rows: number }>> {
  while ((await query(sessions)).length > 0);
  const rows = await query(
    `SELECT s.relname AS name, s.seq_tup_read::float8 AS read, c.reltuples::float8 AS rows
     FROM pg_stat_user_tables s JOIN pg_class c ON c.oid = s.relid
     WHERE s.schemaname = $1 AND pg_relation_size(c.oid) >= 100 * 8192 ORDER BY 1`,
    [schema],
  );
  return new Map(
    rows.map(({ name, read, rows: all }) => [
      String(name),
      { read: Number(read), rows: Number(all) },
    ]),
  );
}
