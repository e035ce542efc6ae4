import type { Order, Predicate } from '../contracts/query.ts';
import type { SqlRow, SqlStatement, SqlValue } from './dialect.ts';
import type { PagePosition } from './page-cursor.ts';
import { predicateSql } from './predicate-sql.ts';
import { recordTable } from './record-tables.ts';
import type { RowNames, SearchContext } from './search-context.ts';
import { afterSql, orderBySql, type Sorting, sortingSql } from './sort-keys.ts';
import { allOf, always, SqlBuilder } from './sql-builder.ts';

/** A step of a search: a statement to run in the search's read transaction, answered by its rows. */
export type SearchSteps<T> = Generator<SqlStatement, T, readonly SqlRow[]>;

/** What to search for. */
export interface PageRequest {
  readonly where: Predicate | undefined;
  readonly orderBy: readonly Order[];
  readonly limit: number;
  readonly after: PagePosition | undefined;
  /** One more condition, such as that no claim holds the record. */
  readonly also?: (builder: SqlBuilder, names: RowNames) => string;
}

/** A record found: its number, and where a page that ends with it ends. */
export interface PageEntry extends PagePosition {
  readonly rid: number;
}

/** Finds the records of a page, in order. */
export function* searchPage(
  context: SearchContext,
  request: PageRequest,
): SearchSteps<readonly PageEntry[]> {
  const builder = new SqlBuilder(context.dialect);
  const names: RowNames = { record: 'r', rid: 'r.rid' };
  const sorting = sortingSql(context, builder, names, request.orderBy);
  const conditions = [
    inWorkspace(context, builder, names),
    request.where === undefined ? always : predicateSql(context, builder, names, request.where),
    request.also?.(builder, names) ?? always,
    request.after === undefined ? always : afterSql(builder, names, sorting.keys, request.after),
  ];
  const text = `${selectKeys(sorting, names)} FROM ${recordTable(context.kind.name)} r ${
    sorting.joins
  } WHERE ${allOf(conditions)} ORDER BY ${orderBySql(sorting.keys, names)} LIMIT ${builder.bind(
    request.limit,
  )}`;
  return entries(sorting, yield builder.statement(text));
}

/** Counts the records that match. */
export function* countMatches(
  context: SearchContext,
  where: Predicate | undefined,
): SearchSteps<number> {
  const builder = new SqlBuilder(context.dialect);
  const names: RowNames = { record: 'r', rid: 'r.rid' };
  const conditions = [
    inWorkspace(context, builder, names),
    where === undefined ? always : predicateSql(context, builder, names, where),
  ];
  const text = `SELECT count(*) AS n FROM ${recordTable(context.kind.name)} r WHERE ${allOf(conditions)}`;
  const rows = yield builder.statement(text);
  return Number(rows[0]?.['n']);
}

function inWorkspace(context: SearchContext, builder: SqlBuilder, names: RowNames): string {
  if (context.workspace === undefined) return always;
  return `${names.record}.ws = ${builder.bind(context.workspace)}`;
}

function selectKeys(sorting: Sorting, names: RowNames): string {
  const keys = sorting.keys.map((key, i) => `, ${key.expression} AS k${i}`);
  return `SELECT ${names.rid} AS rid, ${names.record}.id AS id${keys.join('')}`;
}

function entries(sorting: Sorting, rows: readonly SqlRow[]): readonly PageEntry[] {
  return rows.map((row) => ({
    rid: Number(row['rid']),
    id: String(row['id']),
    values: sorting.keys.map((_, i) => row[`k${i}`] as SqlValue),
  }));
}
