import type { Columns, KindDeclaration, RevisionEntry } from '../contracts/record.ts';
import { KeelsonError } from '../errors.ts';
import { decodeJson, type JsonObject } from '../json.ts';
import type { CheckedRevision } from '../sql/index.ts';
import type { CommitContext } from './sqlite-commit.ts';
import type { SqliteDatabase } from './sqlite-database.ts';
import { encodeColumns } from './sqlite-record-table.ts';

/** Keeps a revision, if the kind keeps any. The removal of a record is one more revision. */
export function appendHistory(
  context: CommitContext,
  kind: KindDeclaration,
  record: {
    readonly rid: number;
    readonly revision: number;
    readonly columns: Columns;
    readonly body: string;
  },
  removed: boolean,
): void {
  if (kind.history !== 'kept') return;
  const { principal, reason, correlationId } = context.commit;
  const entry = {
    revision: record.revision,
    at: context.at,
    by: principal,
    reason,
    correlationId,
    columns: encodeColumns(record.columns),
    body: record.body,
  };
  insertRevision(context.db, { kind: kind.name, rid: record.rid }, entry, removed);
}

/** Keeps revisions that were made elsewhere, as they were made there. */
export function restoreHistory(
  db: SqliteDatabase,
  record: { readonly kind: string; readonly rid: number },
  entries: readonly CheckedRevision[],
): void {
  for (const entry of entries) insertRevision(db, record, entry, false);
}

function insertRevision(
  db: SqliteDatabase,
  { kind, rid }: { readonly kind: string; readonly rid: number },
  entry: CheckedRevision,
  removed: boolean,
): void {
  db.prepare(
    `INSERT INTO history
     (kind, rid, rev, at, principal, reason, correlation, columns, body, removed)
     VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`,
  ).run(
    kind,
    rid,
    entry.revision,
    entry.at,
    entry.by,
    entry.reason ?? null,
    entry.correlationId ?? null,
    entry.columns,
    entry.body,
    removed ? 1 : 0,
  );
}

/** The revisions of a record that are greater than `after`, in the order in which they were made. */
export function readHistory(
  db: SqliteDatabase,
  kind: string,
  rid: number,
  range: { readonly after: number; readonly limit: number },
): readonly RevisionEntry[] {
  return db
    .prepare(
      `SELECT rev, at, principal, reason, correlation, columns, body, removed
       FROM history INDEXED BY history_record
       WHERE rid = ? AND kind = ? AND rev > ? ORDER BY seq LIMIT ?`,
    )
    .all(rid, kind, range.after, range.limit)
    .map((row) => ({
      revision: Number(row['rev']),
      at: Number(row['at']),
      by: String(row['principal']),
      ...(row['reason'] === null ? {} : { reason: String(row['reason']) }),
      ...(row['correlation'] === null ? {} : { correlationId: String(row['correlation']) }),
      columns: decodeJson(String(row['columns'])) as Columns,
      body: decodeJson(String(row['body'])) as JsonObject,
      removed: isRemoved(row['removed']),
    }));
}

function isRemoved(stored: unknown): boolean {
  if (stored === 0 || stored === 1) return stored === 1;
  throw new KeelsonError('CORRUPT', `A stored revision says ${String(stored)} of its removal.`);
}
