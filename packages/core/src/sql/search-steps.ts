import type { Order, Predicate } from '../contracts/query.ts';
import type { SqlRow, SqlStatement, SqlValue } from './dialect.ts';
import type { PagePosition } from './page-cursor.ts';
import type { RowNames } from './search-context.ts';
import type { SortKey } from './sort-keys.ts';
import type { SqlBuilder } from './sql-builder.ts';

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

/** What a row of a page is selected as: its number, its id, and the values of its sort keys. */
export function selectEntry(keys: readonly SortKey[], names: RowNames): string {
  const values = keys.map((key, i) => `, ${key.expression} AS k${i}`);
  return `SELECT ${names.rid} AS rid, ${names.record}.id AS id${values.join('')}`;
}

/** The entries of rows that {@link selectEntry} selected. */
export function entriesOf(keys: readonly SortKey[], rows: readonly SqlRow[]): readonly PageEntry[] {
  return rows.map((row) => ({
    rid: Number(row['rid']),
    id: String(row['id']),
    values: keys.map((_, i) => row[`k${i}`] as SqlValue),
  }));
}
