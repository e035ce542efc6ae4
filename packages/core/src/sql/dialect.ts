/** What a statement may bind. Booleans go as 1 and 0. NaN is never bound: no comparison holds for it. */
export type SqlValue = string | number | null;

/** A statement and the values of its placeholders, in order. */
export interface SqlStatement {
  readonly text: string;
  readonly values: readonly SqlValue[];
}

/** A row of an answer: column → value. */
export type SqlRow = Readonly<Record<string, unknown>>;

/**
 * What differs between databases in the statements of this room. Everything else in them is SQL that
 * SQLite (3.50) and PostgreSQL (15) understand alike; text compares by code points in both
 * (`COLLATE "C"` in PostgreSQL).
 */
export interface SqlDialect {
  /** The placeholder of the `n`-th value, from 1; the value tells its type where that must be said. */
  placeholder(n: number, value: SqlValue): string;
  /** A condition: the text `expression` is one of the texts that `placeholder` (of {@link list}) binds. */
  isAnyOf(expression: string, placeholder: string): string;
  /** A list of texts as one bound value. */
  list(texts: readonly string[]): SqlValue;
  /** A condition: the text matches what `placeholder` binds: {@link likeValue} of a `like` pattern. */
  like(expression: string, placeholder: string, caseSensitive: boolean): string;
  /** A `like` pattern of the query language (`%` and `_`, no escape) as the database takes it. */
  likeValue(pattern: string, caseSensitive: boolean): SqlValue;
  /** The number that a text reads as (`readNumber` in `language/`), NULL where it reads as none. */
  numberOfText(expression: string): string;
  /** The shortest decimal text of a number, as JavaScript writes it. */
  textOfNumber(expression: string): string;
  /** The text of an integer. */
  textOfInteger(expression: string): string;
  /** What lies at a path of a JSON body, `path` being a placeholder of `JSON.stringify(keys)`. */
  readonly body: {
    /** The number carried, NULL for none and for NaN. */
    number(body: string, path: string): string;
    /** The text carried, NULL for none. */
    text(body: string, path: string): string;
    /** Text that is neither read as a number nor written of NaN, NULL otherwise: what sorts as text. */
    sortText(body: string, path: string): string;
    /** A condition: something is there, if only null. */
    present(body: string, path: string): string;
  };
  /** A condition: the select has a row; evaluated as it stands, for each row that asks. */
  exists(select: string): string;
  /** A table with its alias, to be read by its primary key, in the key's order. */
  clustered(table: string, alias: string): string;
  /** A table with its alias, to be read through the index named where the database takes such words. */
  through(table: string, alias: string, index: string): string;
  /**
   * Joins, for each row so far, the row of `table` (at most one) that fulfils `condition`, found through
   * its primary key: the order in which tables are written is kept. Without such a row, `inner` drops
   * what there was, `left` keeps it.
   */
  lookUp(how: 'inner' | 'left', table: string, alias: string, condition: string): string;
  /**
   * How declared text columns are indexed where an index does not take long texts: by a beginning. Texts
   * sort by their beginnings as they do by themselves; those of one beginning are told apart by the column.
   */
  readonly beginnings?: {
    /** What the index holds of a column. */
    expression(column: string): string;
    /** The same of a text that a column is compared with. */
    of(text: string): string;
  };
  /**
   * A named part of a statement that is made as a whole before anything else: so that neither the order
   * nor the limit that follows decides how it is found. Left out where that cannot happen.
   */
  fence?(name: string, select: string): string;
  /**
   * The words for statements that read large sets, where the database chooses better by itself; the same
   * ones when left out.
   */
  readonly forLargeSets?: SqlDialect;
}
