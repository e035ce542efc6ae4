import { setTimeout as wait } from 'node:timers/promises';
import { type Claimed, type ClaimKey, isKeelsonError } from '@keelson/core';
import {
  allOf,
  always,
  type CheckedClaim,
  type ColumnInput,
  columnOutput,
  flagColumn,
  immutablePart,
  type Kinds,
  mergePages,
  type PageEntry,
  predicateSql,
  type RowNames,
  recordColumn,
  SqlBuilder,
  searchPage,
  takenKey,
} from '@keelson/core/sql';
import type { PgDatabase } from '../connection/pg-database.ts';
import { isTakenKey } from '../connection/pg-error.ts';
import type { PgTransaction } from '../connection/pg-server.ts';
import type { PgRow } from '../connection/pg-session.ts';
import { commitRefusal } from './commit-refusal.ts';
import type { KeyNumbers } from './key-numbers.ts';
import { columnsJson } from './pg-commit.ts';
import { pgDialect } from './pg-dialect.ts';
import type { PgRecordTable } from './pg-record-table.ts';
import { runSearch, searchContext } from './pg-search.ts';

/** What claiming needs. */
export interface ClaimContext {
  readonly database: PgDatabase;
  readonly numbers: KeyNumbers;
  readonly table: PgRecordTable;
  readonly kinds: Kinds;
}

/** So often what others were about to take is looked at again before less than `limit` is answered. */
const maxRounds = 8;

/** More workspaces than this are searched as one: slower than one by one, but in one go. */
const maxWorkspaces = 20;

/**
 * Looks for what may be claimed, then takes it: records that another transaction has locked are passed
 * over, and what was found is looked at again once it is locked. Most calls find nothing due, and write
 * nothing.
 */
export async function claimRecords(
  context: ClaimContext,
  search: CheckedClaim,
): Promise<readonly Claimed[]> {
  const taken: Claimed[] = [];
  for (let round = 0; round < maxRounds; round += 1) {
    const wanted = search.limit - taken.length;
    // Others look for the same at the same time: some more, for what they take.
    const limit = wanted + Math.min(100, wanted + 10);
    const due = await findUnclaimed(context, { ...search, limit });
    if (due.length === 0) break;
    const got = await takeClaims(context, { ...search, limit: wanted }, due);
    taken.push(...got);
    if (taken.length >= search.limit || (got.length === due.length && due.length < limit)) break;
    if (got.length === 0) await wait(Math.random() * 2 * (round + 1));
  }
  return taken;
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

/** The records that may be claimed now, in order. */
async function findUnclaimed(
  { database, numbers, table }: ClaimContext,
  search: CheckedClaim,
): Promise<readonly PageEntry[]> {
  const { workspace, where, orderBy, limit } = search;
  const { kind } = table;
  const also = unclaimed(kind.name, search.takeFrom);
  return await database.snapshot(async (transaction) => {
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
  });
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

/** Takes those of the records that are still due, in one transaction. */
async function takeClaims(
  context: ClaimContext,
  search: CheckedClaim,
  due: readonly PageEntry[],
): Promise<readonly Claimed[]> {
  const { database, table } = context;
  const tried: PgRow[] = [];
  try {
    return await database.transaction(async (transaction) => {
      tried.length = 0;
      const rids = due.map(({ rid }) => rid);
      const locked = await lockDue(transaction, context, search, rids);
      if (locked.length === 0) return [];
      const rows = await takeLocked(transaction, context, search, locked);
      tried.push(...rows);
      const changed = await setColumns(transaction, table, search.set, rows);
      return rows.map((row) => ({
        record: table.record({ ...row, ...changed.get(Number(row['rid'])) }, []),
        owner: search.owner,
        fence: Number(row['fence']),
        expiresAt: Number(row['expires_at']),
      }));
    });
  } catch (error) {
    const cause = isKeelsonError(error) ? error.cause : error;
    if (!isTakenKey(cause)) throw error;
    throw await takenBySet(context, search.set, tried, cause);
  }
}

/** The condition that a record, named `r`, is due. */
async function dueSql(
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

async function lockDue(
  transaction: PgTransaction,
  context: ClaimContext,
  search: CheckedClaim,
  rids: readonly number[],
): Promise<readonly number[]> {
  const builder = new SqlBuilder(pgDialect);
  const due = await dueSql(transaction, context, search, builder);
  const list = builder.bind(builder.dialect.list(rids.map(String)));
  const { text, values } = builder.statement(
    `SELECT r.rid AS rid
     FROM unnest((${list})::bigint[]) WITH ORDINALITY AS c (rid, n)
     JOIN ${context.table.name} r ON r.rid = c.rid
     WHERE ${due} ORDER BY c.n LIMIT ${builder.bind(search.limit)} FOR UPDATE OF r SKIP LOCKED`,
  );
  const rows = await transaction.query(text, values);
  return rows.map((row) => Number(row['rid']));
}

/**
 * Takes the records that are due also now that nobody else can change them: between the look of
 * {@link lockDue} and its lock another may have claimed one and let it go.
 */
async function takeLocked(
  transaction: PgTransaction,
  context: ClaimContext,
  search: CheckedClaim,
  rids: readonly number[],
): Promise<readonly PgRow[]> {
  const { table } = context;
  const builder = new SqlBuilder(pgDialect);
  const due = await dueSql(transaction, context, search, builder);
  const list = builder.bind(builder.dialect.list(rids.map(String)));
  const dead = builder.bind(builder.dialect.list(search.takeFrom));
  const { text, values } = builder.statement(
    `WITH due AS MATERIALIZED (
       SELECT r.rid, r.ws, r.id FROM ${table.name} r
       WHERE r.rid = ANY ((${list})::bigint[]) AND ${due}
     ), taken AS (
       INSERT INTO claim AS c (kind, rid, ws, id, owner, fence, expires_at)
       SELECT ${builder.bind(table.kind.name)}, rid, ws, id, ${builder.bind(search.owner)},
         nextval('claim_fence'), now_ms() + ${builder.bind(search.leaseMs)} FROM due
       ON CONFLICT (kind, rid) DO UPDATE
       SET owner = excluded.owner, fence = excluded.fence, expires_at = excluded.expires_at
       WHERE c.expires_at <= now_ms() OR ${builder.dialect.isAnyOf('c.owner', dead)}
       RETURNING c.rid, c.fence, c.expires_at
     )
     SELECT ${table.select([])}, taken.fence, taken.expires_at
     FROM taken JOIN ${table.name} t ON t.rid = taken.rid`,
  );
  const rows = new Map(
    (await transaction.query(text, values)).map((row) => [Number(row['rid']), row]),
  );
  return rids.map((rid) => rows.get(rid)).filter((row) => row !== undefined);
}

/** Sets columns of the rows; answers the rows as they are then. */
async function setColumns(
  transaction: PgTransaction,
  table: PgRecordTable,
  set: readonly ColumnInput[],
  rows: readonly PgRow[],
): Promise<ReadonlyMap<number, PgRow>> {
  if (set.length === 0 || rows.length === 0) return new Map();
  for (const row of rows) assertImmutable(table, set, row);
  const values: unknown[] = [rows.map((row) => Number(row['rid']))];
  const sets = set.flatMap(({ name, declaration, value, flag }) => {
    const own = `${recordColumn(name)} = $${values.push(value)}`;
    if (declaration.type !== 'real') return [own];
    return [own, `${flagColumn(name)} = $${values.push(flag)}`];
  });
  const changed = await transaction.query(
    `UPDATE ${table.name} t SET ${sets.join(', ')} WHERE t.rid = ANY ($1::bigint[])
     RETURNING ${table.select([])}`,
    values,
  );
  return new Map(changed.map((row) => [Number(row['rid']), row]));
}

/** Refuses changes of immutable columns; setting what is there already is no change. */
function assertImmutable(table: PgRecordTable, set: readonly ColumnInput[], row: PgRow): void {
  const { id, columns } = table.record(row, []);
  const kind = table.kind.name;
  for (const { name, declaration, value, flag } of set) {
    if (declaration.immutable !== true) continue;
    if (!Object.is(columns[name], columnOutput(declaration, value, flag))) {
      throw immutablePart({ kind, id }, name);
    }
  }
}

/** Which unique key the columns set would have taken from whom. */
async function takenBySet(
  { database, table, kinds }: ClaimContext,
  set: readonly ColumnInput[],
  rows: readonly PgRow[],
  cause: unknown,
): Promise<unknown> {
  const columns = JSON.stringify(columnsJson(set));
  const kind = table.kind.name;
  const ids = rows.map((row) => String(row['id']));
  for (const row of rows) {
    try {
      await database.transaction((transaction) =>
        transaction.query(`SELECT taken_${kind}($1, $2, $3, $4, 0, false)`, [
          ...[row['ws'], row['rid'], row['id'], columns],
        ]),
      );
    } catch (error) {
      const refusal = commitRefusal(error, kinds);
      if (refusal !== undefined) return refusal;
    }
  }
  // Several records would have got the same key.
  const key = table.kind.unique?.find((one) => set.some(({ name }) => one.columns.includes(name)));
  return takenKey({ kind, id: ids[0] ?? '' }, key, ids[1] ?? ids[0], cause);
}

/** Extends the claims that are still held; answers which those were. */
export async function renewClaims(
  database: PgDatabase,
  claims: readonly ClaimKey[],
  leaseMs: number,
): Promise<readonly ClaimKey[]> {
  const rows = await database.write(
    `UPDATE ${database.name('claim')} c SET expires_at = ${database.name('now_ms()')} + $6::bigint
     FROM unnest($1::bigint[], $2::text[], $3::text[], $4::text[], $5::text[])
       AS k (fence, kind, ws, id, owner)
     WHERE ${sameClaim} AND c.expires_at > ${database.name('now_ms()')}
     RETURNING c.fence, c.kind, c.ws, c.id, c.owner`,
    [...claimColumns(claims), leaseMs],
  );
  const key = (...parts: readonly unknown[]): string => JSON.stringify(parts);
  const held = new Set(
    rows.map((row) => key(row['fence'], row['kind'], row['ws'], row['id'], row['owner'])),
  );
  return claims.filter(({ fence, kind, workspace, id, owner }) =>
    held.has(key(fence, kind, workspace, id, owner)),
  );
}

/** Ends the claims; a fence that is no longer in force ends nothing. */
export async function releaseClaims(
  database: PgDatabase,
  claims: readonly ClaimKey[],
): Promise<void> {
  await database.write(
    `DELETE FROM ${database.name('claim')} c
     USING unnest($1::bigint[], $2::text[], $3::text[], $4::text[], $5::text[])
       AS k (fence, kind, ws, id, owner)
     WHERE ${sameClaim}`,
    claimColumns(claims),
  );
}

const sameClaim =
  'c.fence = k.fence AND c.kind = k.kind AND c.ws = k.ws AND c.id = k.id AND c.owner = k.owner';

function claimColumns(claims: readonly ClaimKey[]): unknown[] {
  return [
    claims.map(({ fence }) => fence),
    claims.map(({ kind }) => kind),
    claims.map(({ workspace }) => workspace),
    claims.map(({ id }) => id),
    claims.map(({ owner }) => owner),
  ];
}

/** The owners of unexpired claims. */
export async function readClaimOwners(
  database: PgDatabase,
  kind: string,
  workspace: string | undefined,
): Promise<readonly string[]> {
  const rows = await database.read(
    `SELECT DISTINCT owner FROM ${database.name('claim')}
     WHERE kind = $1 AND expires_at > ${database.name('now_ms()')} AND ($2::text IS NULL OR ws = $2)
     ORDER BY owner`,
    [kind, workspace ?? null],
  );
  return rows.map((row) => String(row['owner']));
}
