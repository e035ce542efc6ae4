import type { Claimed } from '@keelson/core';
import {
  type CheckedClaim,
  type ColumnInput,
  columnOutput,
  flagColumn,
  immutablePart,
  type PageEntry,
  recordColumn,
  SqlBuilder,
  takenKey,
} from '@keelson/core/sql';
import type { PgDatabase } from '../connection/pg-database.ts';
import type { PgTransaction } from '../connection/pg-server.ts';
import type { PgRow } from '../connection/pg-session.ts';
import { type ClaimContext, dueSql, isOfRow } from './claim-search.ts';
import { commitRefusal } from './commit-refusal.ts';
import { columnsJson } from './pg-commit.ts';
import { pgDialect } from './pg-dialect.ts';
import type { PgRecordTable } from './pg-record-table.ts';

/** Takes up to `limit` of the records that are still due; `tried` gets their rows. */
export async function takeClaims(
  transaction: PgTransaction,
  context: ClaimContext,
  search: CheckedClaim,
  due: readonly PageEntry[],
  tried: PgRow[],
): Promise<readonly Claimed[]> {
  const { table } = context;
  const { where, set, owner } = search;
  const rids = due.map(({ rid }) => rid);
  const builder = new SqlBuilder(pgDialect);
  const condition = await dueSql(transaction, context, search, builder);
  const locking = lockingSql(table, builder, condition, rids, search.limit);
  // A row that was changed while its lock was waited for is looked at again by itself; the rows of its
  // facets are not, so that takes a statement more.
  let source = locking;
  if (!isOfRow(where)) {
    const { text, values } = builder.statement(locking);
    const locked = (await transaction.query(text, values)).map((row) => String(row['rid']));
    if (locked.length === 0) return [];
    source = `SELECT r.* FROM ${table.name} r
      WHERE r.rid = ANY ((${builder.bind(builder.dialect.list(locked))})::bigint[]) AND ${condition}`;
  }
  const rows = await takeRows(transaction, table, search, builder, source);
  const byRid = new Map(rows.map((row) => [Number(row['rid']), row]));
  const taken = rids.map((rid) => byRid.get(rid)).filter((row) => row !== undefined);
  tried.push(...taken);
  const changed = await setColumns(transaction, table, set, taken);
  return taken.map((row) => ({
    record: table.record({ ...row, ...changed.get(Number(row['rid'])) }, []),
    owner,
    fence: Number(row['fence']),
    expiresAt: Number(row['expires_at']),
  }));
}

/** The rows that are due and that nobody else has locked, locked. */
function lockingSql(
  table: PgRecordTable,
  builder: SqlBuilder,
  condition: string,
  rids: readonly number[],
  limit: number,
): string {
  const list = builder.bind(builder.dialect.list(rids.map(String)));
  return `SELECT r.* FROM unnest((${list})::bigint[]) WITH ORDINALITY AS c (rid, n)
    JOIN ${table.name} r ON r.rid = c.rid
    WHERE ${condition} ORDER BY c.n LIMIT ${builder.bind(limit)} FOR UPDATE OF r SKIP LOCKED`;
}

/** Claims the rows, unless somebody has by now. Their locks see to it that one does at a time. */
async function takeRows(
  transaction: PgTransaction,
  table: PgRecordTable,
  { owner, leaseMs, takeFrom }: CheckedClaim,
  builder: SqlBuilder,
  source: string,
): Promise<readonly PgRow[]> {
  const dead = builder.bind(builder.dialect.list(takeFrom));
  const { text, values } = builder.statement(
    `WITH t AS MATERIALIZED (${source}), taken AS (
       INSERT INTO claim AS c (kind, rid, ws, id, owner, fence, expires_at)
       SELECT ${builder.bind(table.kind.name)}, rid, ws, id, ${builder.bind(owner)},
         nextval('claim_fence'), now_ms() + ${builder.bind(leaseMs)} FROM t
       ON CONFLICT (kind, rid) DO UPDATE
       SET owner = excluded.owner, fence = excluded.fence, expires_at = excluded.expires_at
       WHERE c.expires_at <= now_ms() OR ${builder.dialect.isAnyOf('c.owner', dead)}
       RETURNING c.rid, c.fence, c.expires_at
     )
     SELECT ${table.select([])}, taken.fence, taken.expires_at FROM taken JOIN t ON t.rid = taken.rid`,
  );
  return await transaction.query(text, values);
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
export async function takenBySet(
  database: PgDatabase,
  { table, kinds }: ClaimContext,
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
