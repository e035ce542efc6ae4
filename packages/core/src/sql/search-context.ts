import type { SummaryFigure } from '../contracts/query.ts';
import type { KindDeclaration } from '../contracts/record.ts';
import type { SqlDialect } from './dialect.ts';

/** What translating a query needs to know besides the query. */
export interface SearchContext {
  readonly dialect: SqlDialect;
  readonly kind: KindDeclaration;
  /** Undefined: all workspaces (for claims only). */
  readonly workspace: string | undefined;
  /**
   * The numbers of a facet key in `dict`: one for a workspace, possibly several for all of them, none
   * where no record has ever had the key.
   */
  keyNumbers(facet: string, key: string): readonly number[];
  readonly summary: SummaryTable;
  readonly budgets: SearchBudgets;
}

/** What a search may spend on finding out how to search. */
export interface SearchBudgets {
  /** So many candidates are looked at, in the order asked for, before anything is counted. */
  readonly glance: number;
  /** A set of up to so many records is read whole. */
  readonly drive: number;
  /** So many candidates are looked at, in the order asked for, before the whole is sorted. */
  readonly walk: number;
  /**
   * Larger sets are counted up to this when the smallest is looked for. One beyond it is not read
   * through its index but in the order of record numbers.
   */
  readonly compare: number;
}

/** Measured on 100,000 runs with 20 params and 20 metrics each. */
export const searchBudgets: SearchBudgets = {
  glance: 200,
  drive: 3_000,
  walk: 4_000,
  compare: 20_000,
};

/** Where the figures of projected facets lie: a table with `kid` and `rid`, clustered by them. */
export interface SummaryTable {
  readonly table: string;
  /** The column of a figure; NULL where it is missing or NaN. */
  column(figure: SummaryFigure): string;
  /** A condition over a row: the figure is there, if only as NaN. */
  present(alias: string, figure: SummaryFigure): string;
  /** The index over (kid, figure, rid) of rows where the figure is not NULL, if there is one. */
  index(figure: SummaryFigure): string | undefined;
}

/** The names, in a statement, of what conditions refer to. */
export interface RowNames {
  /** The alias of the record's row. */
  readonly record: string;
  /** An expression for the record's number; known before the record's row is where a set drives. */
  readonly rid: string;
}
