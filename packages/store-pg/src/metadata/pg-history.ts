import { type Columns, decodeJson, type JsonObject, type RevisionEntry } from '@keelson/core';
import type { PgDatabase } from '../connection/pg-database.ts';

/** The revisions of a record that are greater than `after`, in the order in which they were made. */
export async function readHistory(
  database: PgDatabase,
  record: { readonly workspace: string; readonly kind: string; readonly id: string },
  range: { readonly after: number; readonly limit: number },
): Promise<readonly RevisionEntry[]> {
  const rows = await database.read(
    `SELECT h.rev, h.at, h.principal, h.reason, h.correlation, h.columns, h.body, h.removed
     FROM ${database.name('history')} h
     WHERE h.rid = (SELECT rid FROM ${database.name('entity')} WHERE ws = $1 AND id = $2)
       AND h.kind = $3 AND h.rev > $4 ORDER BY h.seq LIMIT $5`,
    [record.workspace, record.id, record.kind, range.after, range.limit],
  );
  return rows.map((row) => ({
    revision: Number(row['rev']),
    at: Number(row['at']),
    by: String(row['principal']),
    ...(row['reason'] === null ? {} : { reason: String(row['reason']) }),
    ...(row['correlation'] === null ? {} : { correlationId: String(row['correlation']) }),
    columns: decodeJson(String(row['columns'])) as Columns,
    body: decodeJson(String(row['body'])) as JsonObject,
    removed: row['removed'] === true,
  }));
}
