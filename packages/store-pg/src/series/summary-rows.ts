import { type SummaryRow, stateColumns } from '@keelson/core/sql';
import type { PgRow } from '../connection/pg-session.ts';

const integers: ReadonlySet<string> = new Set([
  ...['count', 'nan_count', 'last_step', 'first_step', 'min_step', 'max_step'],
]);
const small: ReadonlySet<string> = new Set(['tiers', 'flags', 'last_wid', 'first_wid']);

/** The type of a column of `summary`, for arrays of it. */
export function typeOf(column: string): string {
  if (integers.has(column)) return 'bigint[]';
  return small.has(column) ? 'integer[]' : 'float8[]';
}

/** A row of `summary` as it was read. */
export function summaryRow(row: PgRow): SummaryRow {
  const read = ['kid', 'rid', ...stateColumns].map((name) => [name, numberOf(row[name])]);
  return Object.fromEntries(read) as unknown as SummaryRow;
}

function numberOf(value: unknown): number | null {
  return value === null || value === undefined ? null : Number(value);
}
