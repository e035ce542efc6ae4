import type { Claimed, ClaimKey } from '../contracts/metadata-store.ts';
import type { KindDeclaration } from '../contracts/record.ts';
import { KeelsonError } from '../errors.ts';
import {
  type CheckedClaim,
  mergePages,
  type PageEntry,
  type RowNames,
  recordTable,
  type SqlBuilder,
  searchPage,
} from '../sql/index.ts';

import { assertImmutable, keepUnique } from './sqlite-commit.ts';
import type { SqliteDatabase } from './sqlite-database.ts';
import { mergedColumns, type SqliteRecordTable } from './sqlite-record-table.ts';
import { runSearch, searchContext } from './sqlite-search.ts';

/** A condition: no claim that counts holds the record. */
function unclaimed(
  kind: string,
  now: number,
  takeFrom: readonly string[],
): (builder: SqlBuilder, names: RowNames) => string {
  return (builder, names) => {
    const held = [
      `held.kind = ${builder.bind(kind)}`,
      `held.rid = ${names.rid}`,
      `held.expires_at > ${builder.bind(now)}`,
    ];
    if (takeFrom.length > 0) {
      const dead = builder.bind(builder.dialect.list(takeFrom));
      held.push(`NOT ${builder.dialect.isAnyOf('held.owner', dead)}`);
    }
    return `NOT EXISTS (SELECT 1 FROM claim held WHERE ${held.join(' AND ')})`;
  };
}

/** More workspaces than this are searched as one: slower than one by one, but in one go. */
const maxWorkspaces = 20;

/** The records that may be claimed now, in order. */
export function findUnclaimed(
  db: SqliteDatabase,
  kind: KindDeclaration,
  search: CheckedClaim,
  now: number,
): readonly PageEntry[] {
  const { workspace, where, orderBy, limit } = search;
  const also = unclaimed(kind.name, now, search.takeFrom);
  const page = { where, orderBy, limit, after: undefined, also };
  const all = workspace === undefined ? workspacesOf(db, kind) : [workspace];
  // Indexes begin with the workspace: an order over all of them has none to walk.
  const each = all.length > maxWorkspaces ? [undefined] : all;
  const pages = each.map((one) => runSearch(db, searchPage(searchContext(db, kind, one), page)));
  return mergePages(searchContext(db, kind, workspace), orderBy, pages, limit);
}

/** The workspaces that have records of a kind: a step through the index for each. */
function workspacesOf(db: SqliteDatabase, kind: KindDeclaration): readonly string[] {
  const table = recordTable(kind.name);
  return db
    .prepare(
      `WITH RECURSIVE w (ws) AS (
         SELECT min(ws) FROM ${table}
         UNION ALL
         SELECT (SELECT min(t.ws) FROM ${table} t WHERE t.ws > w.ws) FROM w WHERE w.ws IS NOT NULL
       )
       SELECT ws FROM w WHERE ws IS NOT NULL LIMIT ?`,
    )
    .all(maxWorkspaces + 1)
    .map((row) => String(row['ws']));
}

/** Takes a record that was found unclaimed, inside the same write. */
export function takeClaim(
  db: SqliteDatabase,
  table: SqliteRecordTable,
  rid: number,
  { owner, leaseMs, set }: CheckedClaim,
  now: number,
): Claimed {
  const row = table.get(rid);
  if (row === undefined) throw new KeelsonError('INTERNAL', 'A record vanished inside a write.');
  const { id, workspace } = row;
  if (set.length > 0) {
    assertImmutable(table.kind, id, row.columns, set);
    const columns = mergedColumns(row.columns, set);
    const context = { db, table: () => table, commit: { workspace } };
    keepUnique(context, table.kind, { id, rid, columns }, () =>
      table.update(rid, { columns: set }),
    );
  }
  const expiresAt = now + leaseMs;
  db.prepare('DELETE FROM claim WHERE kind = ? AND rid = ?').run(table.kind.name, rid);
  const { lastInsertRowid } = db
    .prepare('INSERT INTO claim (kind, rid, ws, id, owner, expires_at) VALUES (?, ?, ?, ?, ?, ?)')
    .run(table.kind.name, rid, workspace, id, owner, expiresAt);
  const taken = set.length === 0 ? row : table.get(rid);
  const record = table.record(taken ?? row, {});
  return { record, owner, fence: Number(lastInsertRowid), expiresAt };
}

/** Extends the claims that are still held; answers which those were. */
export function renewClaims(
  db: SqliteDatabase,
  claims: readonly ClaimKey[],
  leaseMs: number,
  now: number,
): readonly ClaimKey[] {
  const extend = db.prepare(
    `UPDATE claim SET expires_at = ?
     WHERE fence = ? AND kind = ? AND ws = ? AND id = ? AND owner = ? AND expires_at > ?`,
  );
  return claims.filter(
    ({ fence, kind, workspace, id, owner }) =>
      extend.run(now + leaseMs, fence, kind, workspace, id, owner, now).changes === 1,
  );
}

/** Ends the claims; a fence that is no longer in force ends nothing. */
export function releaseClaims(db: SqliteDatabase, claims: readonly ClaimKey[]): void {
  const end = db.prepare(
    'DELETE FROM claim WHERE fence = ? AND kind = ? AND ws = ? AND id = ? AND owner = ?',
  );
  for (const { fence, kind, workspace, id, owner } of claims) {
    end.run(fence, kind, workspace, id, owner);
  }
}

/** The owners of unexpired claims. */
export function readClaimOwners(
  db: SqliteDatabase,
  kind: string,
  workspace: string | undefined,
  now: number,
): readonly string[] {
  return db
    .prepare(
      `SELECT DISTINCT owner FROM claim
       WHERE kind = ?1 AND expires_at > ?2 AND (?3 IS NULL OR ws = ?3) ORDER BY owner`,
    )
    .all(kind, now, workspace ?? null)
    .map((row) => String(row['owner']));
}
