import type { KindDeclaration, Order, Predicate } from '@keelson/core';
import {
  facetKeys,
  figureColumn,
  figurePresent,
  type SearchContext,
  type SearchSteps,
  type SqlRow,
  type SummaryTable,
  searchBudgets,
} from '@keelson/core/sql';
import type { PgTransaction } from '../connection/pg-server.ts';
import type { KeyNumbers } from './key-numbers.ts';
import { pgDialect } from './pg-dialect.ts';

const summary: SummaryTable = {
  table: 'summary',
  column: (figure) => figureColumn[figure],
  present: figurePresent,
  index: (figure) => (figure === 'last' ? 'summary_last' : undefined),
};

/** A walk that fails costs PostgreSQL more than it costs SQLite: it is given up sooner. */
const budgets = { ...searchBudgets, walk: 2_000 };

/** What translating a query into PostgreSQL's words needs; reads the numbers of the keys it names. */
export async function searchContext(
  transaction: PgTransaction,
  numbers: KeyNumbers,
  kind: KindDeclaration,
  workspace: string | undefined,
  query: { readonly where: Predicate | undefined; readonly orderBy: readonly Order[] },
): Promise<SearchContext> {
  const keys = facetKeys(query.where, query.orderBy);
  const keyNumbers =
    keys.length === 0 ? () => [] : await numbers.read(transaction, workspace, kind, keys);
  return { dialect: pgDialect, kind, workspace, summary, budgets, keyNumbers };
}

/** Runs a search's statements one after another, inside one snapshot. */
export async function runSearch<T>(transaction: PgTransaction, steps: SearchSteps<T>): Promise<T> {
  let rows: readonly SqlRow[] | undefined;
  for (;;) {
    const step = rows === undefined ? steps.next() : steps.next(rows);
    if (step.done === true) return step.value;
    rows = await transaction.query(step.value.text, step.value.values);
  }
}
