import type { Predicate } from '@keelson/core';
import {
  allOf,
  always,
  type CheckedClaim,
  facetKeys,
  type Kinds,
  mergePages,
  type PageEntry,
  predicateSql,
  type RowNames,
  type SqlBuilder,
  searchPage,
} from '@keelson/core/sql';
import type { PgTransaction } from '../connection/pg-server.ts';
import type { KeyNumbers } from './key-numbers.ts';
import type { PgRecordTable } from './pg-record-table.ts';
import { runSearch, searchContext } from './pg-search.ts';

/** What claiming needs. */
export interface ClaimContext {
  readonly numbers: KeyNumbers;
  readonly table: PgRecordTable;
  readonly kinds: Kinds;
}

/** More workspaces than this are searched as one: slower than one by one, but in one go. */
const maxWorkspaces = 20;

/** The records that may be claimed now, in order. */
export async function findUnclaimed(
  transaction: PgTransaction,
  { numbers, table }: ClaimContext,
  search: CheckedClaim,
): Promise<readonly PageEntry[]> {
  const { workspace, where, orderBy, limit } = search;
  const { kind } = table;
  const also = unclaimed(kind.name, search.takeFrom);
  const all = workspace === undefined ? await workspacesOf(transaction, table) : [workspace];
  // Indexes begin with the workspace: an order over all of them has none to walk.
  const each = all.length > maxWorkspaces ? [undefined] : all;
  const pages: (readonly PageEntry[])[] = [];
  const page = { where, orderBy, limit, after: undefined, also };
  for (const one of each) {
    const context = await searchContext(transaction, numbers, kind, one, { where, orderBy });
    pages.push(await runSearch(transaction, searchPage(context, page)));
  }
  const whole = await searchContext(transaction, numbers, kind, workspace, { where, orderBy });
  return mergePages(whole, orderBy, pages, limit);
}

/** The workspaces that have records of a kind: a step through the index for each. */
async function workspacesOf(
  transaction: PgTransaction,
  { name }: PgRecordTable,
): Promise<readonly string[]> {
  const rows = await transaction.query(
    `WITH RECURSIVE w (ws) AS (
       SELECT (SELECT min(t.ws) FROM ${name} t)
       UNION ALL
       SELECT (SELECT min(t.ws) FROM ${name} t WHERE t.ws > w.ws) FROM w WHERE w.ws IS NOT NULL
     )
     SELECT ws FROM w WHERE ws IS NOT NULL LIMIT ${maxWorkspaces + 1}`,
  );
  return rows.map((row) => String(row['ws']));
}

/** A condition: no claim that counts holds the record. */
function unclaimed(
  kind: string,
  takeFrom: readonly string[],
): (builder: SqlBuilder, names: RowNames) => string {
  return (builder, names) => {
    const held = [
      `held.kind = ${builder.bind(kind)}`,
      `held.rid = ${names.rid}`,
      'held.expires_at > now_ms()',
    ];
    if (takeFrom.length > 0) {
      const dead = builder.bind(builder.dialect.list(takeFrom));
      held.push(`NOT ${builder.dialect.isAnyOf('held.owner', dead)}`);
    }
    return `NOT EXISTS (SELECT 1 FROM claim held WHERE ${held.join(' AND ')} OFFSET 0)`;
  };
}

/** The condition that a record, named `r`, is due. */
export async function dueSql(
  transaction: PgTransaction,
  { numbers, table }: ClaimContext,
  search: CheckedClaim,
  builder: SqlBuilder,
): Promise<string> {
  const { workspace, where } = search;
  const { kind } = table;
  const query = { where, orderBy: [] };
  const searching = await searchContext(transaction, numbers, kind, workspace, query);
  const names = { record: 'r', rid: 'r.rid' };
  return allOf([
    where === undefined ? always : predicateSql(searching, builder, names, where),
    unclaimed(kind.name, search.takeFrom)(builder, names),
  ]);
}

/** Whether a predicate looks at nothing but the record's own row. */
export function isOfRow(where: Predicate | undefined): boolean {
  return facetKeys(where, []).length === 0;
}
