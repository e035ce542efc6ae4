/**
 * The query language: predicates over columns, facets and body paths. Run search, registry search,
 * dashboards and claims all speak it; text is parsed into it by `language/`.
 *
 * Meaning (two-valued; every store must agree with the reference evaluator in `language/`):
 * - A comparison with a missing value is false, also `!=`. `not` inverts: `not (x = 1)` holds where x
 *   is missing.
 * - A number literal compares with the number that the stored value carries: numbers, and text that
 *   reads as a decimal number (`readNumber` in `language/`). Where it carries none the comparison is
 *   false. NaN equals nothing and is ordered against nothing: no comparison with a number holds for it,
 *   `!=` included. −0 equals 0; infinities are ordered as usual.
 * - A text literal compares by Unicode code points with the stored text; a stored number has its
 *   shortest decimal text (`String(n)`), a stored boolean `true` or `false`.
 * - A boolean literal equals a stored boolean, or the texts `true` and `false`; where the value carries
 *   no boolean `!=` is false too. Booleans are not ordered: `<` and the like are false.
 * - A stored null, array or object is present, and carries neither number, text nor boolean: every
 *   comparison and `like` is false.
 * - `between` is `left >= low and left <= high`; `in` is equality with any of the values (false for
 *   none); `and` of nothing is true, `or` of nothing false.
 * - `like` has `%` (any run of characters) and `_` (any one character), no escape; it sees the stored
 *   text; `caseSensitive: false` folds ASCII letters only.
 *
 * INVALID, in every store: unknown columns and facets, more than 100 levels of nesting, more than 500
 * comparisons, more than 10,000 values in `in` lists, patterns of more than 1,000 characters.
 */
export type Predicate =
  | { readonly op: 'and'; readonly of: readonly Predicate[] }
  | { readonly op: 'or'; readonly of: readonly Predicate[] }
  | { readonly op: 'not'; readonly of: Predicate }
  | {
      readonly op: 'compare';
      readonly left: Selector;
      readonly cmp: Comparison;
      readonly value: Literal;
    }
  | {
      readonly op: 'between';
      readonly left: Selector;
      readonly low: Literal;
      readonly high: Literal;
    }
  | {
      readonly op: 'in';
      readonly left: Selector;
      readonly values: readonly Literal[];
    }
  | {
      readonly op: 'like';
      readonly left: Selector;
      readonly pattern: string;
      readonly caseSensitive: boolean;
    }
  | { readonly op: 'present'; readonly left: Selector };

/** How two values compare. */
export type Comparison = '=' | '!=' | '>' | '>=' | '<' | '<=';

/** A value written in a query; it reaches a store only as a bound parameter. */
export type Literal = string | number | boolean;

/**
 * Where a value lies in a record. Besides the declared columns, every kind has `id`, `revision`,
 * `createdAt` and `updatedAt`. A body path walks the keys of objects; it does not enter arrays.
 */
export type Selector =
  | { readonly from: 'column'; readonly name: string }
  | {
      readonly from: 'facet';
      readonly facet: string;
      readonly key: string;
      /** Only for projected metric facets: which figure of the summary; `last` when left out. */
      readonly figure?: SummaryFigure;
    }
  | { readonly from: 'body'; readonly path: readonly string[] };

/** The figures that a metric summary keeps. */
export type SummaryFigure = 'last' | 'min' | 'max' | 'mean' | 'first' | 'count';

/**
 * One key to sort by. Missing values (and NaN, null, arrays, objects) come last in both directions.
 * Columns sort by their type: text by code points, false before true. Facets and body paths sort, in
 * both directions, values that carry a number first, by that number, then those that carry only text,
 * by code points.
 */
export interface Order {
  readonly by: Selector;
  readonly direction: 'asc' | 'desc';
}

/** What to read of one kind, in one workspace. */
export interface Query {
  readonly where?: Predicate;
  /** Ties, and the lack of an order, are settled by id ascending, so that pages are stable. */
  readonly orderBy?: readonly Order[];
  /** 1 to 1,000; 50 when left out. */
  readonly limit?: number;
  /** The `cursor` of the page before. Opaque; INVALID with another query's cursor. */
  readonly cursor?: string;
  /** Which facets come with the records; none when left out. Projected facets may be named too. */
  readonly facets?: readonly string[];
  /** False: records come with an empty body, which is not read. For looking through many. */
  readonly body?: boolean;
}
