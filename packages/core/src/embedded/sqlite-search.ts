import type { KindDeclaration } from '../contracts/record.ts';
import {
  figureColumn,
  figurePresent,
  metricDict,
  type SearchContext,
  type SearchSteps,
  type SqlRow,
  type SummaryTable,
  searchBudgets,
} from '../sql/index.ts';
import type { SqliteDatabase } from './sqlite-database.ts';
import { sqliteDialect } from './sqlite-dialect.ts';
import { findKid } from './sqlite-schema.ts';

const summary: SummaryTable = {
  table: 'summary',
  column: (figure) => figureColumn[figure],
  present: figurePresent,
  index: (figure) => (figure === 'last' ? 'summary_last' : undefined),
};

/** What translating a query into SQLite's words needs. */
export function searchContext(
  db: SqliteDatabase,
  kind: KindDeclaration,
  workspace: string | undefined,
): SearchContext {
  return {
    dialect: sqliteDialect,
    kind,
    workspace,
    summary,
    budgets: searchBudgets,
    keyNumbers(facet, key) {
      const projected = kind.facets?.[facet]?.source === 'projected';
      const name = projected ? metricDict : { kind: kind.name, facet };
      if (workspace !== undefined) {
        const kid = findKid(db, { workspace, ...name, key });
        return kid === undefined ? [] : [kid];
      }
      return db
        .prepare('SELECT kid FROM dict WHERE kind = ? AND facet = ? AND key = ?')
        .all(name.kind, name.facet, key)
        .map((row) => Number(row['kid']));
    },
  };
}

/** Runs a search's statements one after another, inside one transaction. */
export function runSearch<T>(db: SqliteDatabase, steps: SearchSteps<T>): T {
  let rows: readonly SqlRow[] | undefined;
  for (;;) {
    const step = rows === undefined ? steps.next() : steps.next(rows);
    if (step.done === true) return step.value;
    rows = db.prepare(step.value.text).all(...step.value.values);
  }
}
