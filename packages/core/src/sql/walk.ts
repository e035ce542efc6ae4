import type { Predicate, Selector } from '../contracts/query.ts';
import type { KindDeclaration } from '../contracts/record.ts';
import type { SqlStatement, SqlValue } from './dialect.ts';
import type { PagePosition } from './page-cursor.ts';
import { type Leaf, leafSql, predicateSql } from './predicate-sql.ts';
import {
  beginningOf,
  beginningSql,
  isOneRange,
  type RowSource,
  throughIndex,
} from './record-set.ts';
import { columnOf, recordColumn, recordIndexes, recordTable } from './record-tables.ts';
import type { RowNames, SearchContext } from './search-context.ts';
import type { SortKey } from './sort-keys.ts';
import { allOf, always, SqlBuilder } from './sql-builder.ts';
import { facetSource, isProjected, keyCondition } from './value-sql.ts';

type FacetSelector = Extract<Selector, { readonly from: 'facet' }>;

/** An index whose order is that of a sort key, from where the page begins. */
export interface WalkRange {
  /** The records' own rows, or rows of another table. */
  readonly alias: 'r' | 'w';
  /** What it is ordered by, and how. */
  readonly expression: string;
  /** What the index holds of it, where that is a beginning of it only: ordered by this first. */
  readonly beginning: string | undefined;
  readonly direction: 'asc' | 'desc';
  /** The facet key whose rows they are. */
  readonly of: { readonly facet: string; readonly key: string } | undefined;
  /** It is ordered by id: nothing is left to settle. */
  readonly byId: boolean;
  /** Parts of the predicate that its rows fulfil already. */
  readonly covered: readonly Predicate[];
  rows(builder: SqlBuilder): RowSource;
}

/**
 * The range to walk for one phase: for the key `keys[phase]`, or by id behind the last key. 'nothing'
 * where no record has the key; undefined where no index has its order.
 */
export function walkRange(
  context: SearchContext,
  keys: readonly SortKey[],
  phase: number,
  conjuncts: readonly Predicate[],
  seek: PagePosition | undefined,
): WalkRange | 'nothing' | undefined {
  const key = keys[phase];
  if (key === undefined) {
    // Behind the last key, ids alone decide; a position there has its id to go on from.
    const from = seek === undefined ? undefined : seek.id;
    return columnRange(context, 'id', 'asc', conjuncts, from);
  }
  const from = seek?.values[phase] ?? undefined;
  if (key.index === undefined) return undefined;
  if (key.index.of === 'column') {
    return columnRange(context, key.index.name, key.direction, conjuncts, from);
  }
  return facetRange(context, key, key.index, conjuncts, from);
}

/** The value of the sort key at the end of the budget: the statement's only row, `v`, if there is one. */
export function edgeStatement(
  context: SearchContext,
  range: WalkRange,
  budget: number,
): SqlStatement {
  const builder = new SqlBuilder(context.dialect);
  const { from, conditions } = range.rows(builder);
  const ordered = range.beginning ?? range.expression;
  return builder.statement(
    `SELECT ${ordered} AS v FROM ${from} WHERE ${allOf(conditions)}
     ORDER BY ${ordered} ${range.direction} LIMIT 1 OFFSET ${builder.bind(budget)}`,
  );
}

/** The range before `edge`, with the records' rows as `r`. */
export function rowsBefore(
  context: SearchContext,
  builder: SqlBuilder,
  range: WalkRange,
  edge: SqlValue | undefined,
): RowSource & { readonly names: RowNames } {
  const { from, conditions } = range.rows(builder);
  // Those that share the value at the edge are left out: not all of them are within the budget.
  const before =
    edge === undefined
      ? always
      : `${range.beginning ?? range.expression} ${range.direction === 'asc' ? '<' : '>'} ${builder.bind(edge)}`;
  if (range.alias === 'r') {
    return {
      from,
      conditions: [...conditions, before],
      names: { record: 'r', rid: 'r.rid' },
    };
  }
  const table = recordTable(context.kind.name);
  return {
    from: `${from} ${context.dialect.lookUp('inner', table, 'r', 'r.rid = w.rid')}`,
    conditions: [...conditions, before],
    names: { record: 'r', rid: 'w.rid' },
  };
}

function columnRange(
  context: SearchContext,
  name: string,
  direction: 'asc' | 'desc',
  conjuncts: readonly Predicate[],
  from: SqlValue | undefined,
): WalkRange | undefined {
  const { workspace, kind, dialect } = context;
  if (workspace === undefined) return undefined;
  const fixed = fixedColumns(kind, conjuncts);
  const best = recordIndexes(kind)
    .map((index) => ({ index, at: index.columns.indexOf(name) }))
    .filter(({ index, at }) => at >= 0 && index.columns.slice(0, at).every((c) => fixed.has(c)))
    .toSorted((a, b) => b.at - a.at)[0];
  if (best === undefined) return undefined;
  const { index, at } = best;
  const prefix = index.columns.slice(0, at);
  const expression = `r.${recordColumn(name)}`;
  const beginning = beginningOf(dialect, kind, name, 'r');
  const type = columnOf(kind, name)?.type ?? 'text';
  const covered = conjuncts.filter(
    (part): part is Leaf =>
      isLeaf(part) &&
      part.left.from === 'column' &&
      part.left.name === name &&
      isOneRange(part, type),
  );
  return {
    alias: 'r',
    of: undefined,
    expression,
    beginning,
    direction,
    byId: name === 'id',
    covered,
    rows: (builder) =>
      throughIndex(dialect, recordTable(kind.name), 'r', index.name, [
        `r.ws = ${builder.bind(workspace)}`,
        ...prefix.flatMap((c) => fixedSql(context, builder, c, fixed.get(c) ?? null)),
        `${beginning ?? expression} IS NOT NULL`,
        ...covered.flatMap((part) => [
          ...beginningSql(context, builder, part, name),
          predicateSql(context, builder, recordNames, part),
        ]),
        ...(beginning === undefined || typeof from !== 'string'
          ? seekCondition(builder, expression, direction, from)
          : seekCondition(builder, beginning, direction, dialect.beginnings?.of(from))),
      ]),
  };
}

/** A column of the index that is fixed to a value. */
function fixedSql(
  context: SearchContext,
  builder: SqlBuilder,
  name: string,
  value: SqlValue,
): readonly string[] {
  const same = `r.${recordColumn(name)} = ${builder.bind(value)}`;
  const beginning = beginningOf(context.dialect, context.kind, name, 'r');
  if (beginning === undefined || typeof value !== 'string') return [same];
  const text = context.dialect.beginnings?.of(value) ?? value;
  return [`${beginning} = ${builder.bind(text)}`, same];
}

const recordNames: RowNames = { record: 'r', rid: 'r.rid' };

function isLeaf(part: Predicate): part is Leaf {
  return part.op !== 'and' && part.op !== 'or' && part.op !== 'not';
}

function isSameFacet(a: Selector, b: FacetSelector): boolean {
  const figure = (of: FacetSelector): string => of.figure ?? 'last';
  return a.from === 'facet' && a.facet === b.facet && a.key === b.key && figure(a) === figure(b);
}

/** Columns that the predicate fixes to one value of their own type. */
function fixedColumns(
  kind: KindDeclaration,
  conjuncts: readonly Predicate[],
): ReadonlyMap<string, SqlValue> {
  const fixed = new Map<string, SqlValue>();
  for (const part of conjuncts) {
    if (part.op !== 'compare' || part.cmp !== '=' || part.left.from !== 'column') continue;
    const type = columnOf(kind, part.left.name)?.type;
    const { value } = part;
    if (type === 'text' && typeof value === 'string') fixed.set(part.left.name, value);
    if (type === 'boolean' && typeof value === 'boolean') fixed.set(part.left.name, value ? 1 : 0);
    const numeric = type === 'integer' || type === 'real';
    if (numeric && typeof value === 'number' && !Number.isNaN(value)) {
      fixed.set(part.left.name, value);
    }
  }
  return fixed;
}

function facetRange(
  context: SearchContext,
  key: SortKey,
  index: Extract<SortKey['index'], { of: 'facet' }>,
  conjuncts: readonly Predicate[],
  from: SqlValue | undefined,
): WalkRange | 'nothing' | undefined {
  const { order, part } = index;
  const kids = context.keyNumbers(order.facet, order.key);
  if (kids.length === 0) return 'nothing';
  const source = facetIndex(context, order, part);
  if (kids.length > 1 || source === undefined) return undefined;
  const expression = `w.${source.column}`;
  // Ranges of the key that is walked are asked of its own rows.
  const { value } = facetSource(context, order, 'w');
  const leaves = conjuncts.filter(
    (leaf) =>
      isLeaf(leaf) &&
      part === 'number' &&
      isSameFacet(leaf.left, order) &&
      isOneRange(leaf, 'number'),
  ) as readonly Leaf[];
  return {
    alias: 'w',
    of: order,
    expression,
    beginning: undefined,
    direction: key.direction,
    byId: false,
    covered: leaves,
    rows: (builder) =>
      throughIndex(context.dialect, source.table, 'w', source.index, [
        keyCondition(context, builder, 'w', order),
        `${expression} IS NOT NULL`,
        ...source.conditions,
        ...leaves.map((leaf) => leafSql(builder, value, leaf)),
        ...seekCondition(builder, expression, key.direction, from),
      ]),
  };
}

function facetIndex(
  context: SearchContext,
  selector: FacetSelector,
  part: 'number' | 'text',
):
  | {
      readonly table: string;
      readonly index: string;
      readonly column: string;
      readonly conditions: string[];
    }
  | undefined {
  if (isProjected(context, selector)) {
    const figure = selector.figure ?? 'last';
    const index = context.summary.index(figure);
    if (index === undefined) return undefined;
    const { table } = context.summary;
    return { table, index, column: context.summary.column(figure), conditions: [] };
  }
  return part === 'number'
    ? { table: 'facet', index: 'facet_num', column: 'num', conditions: [] }
    : {
        table: 'facet',
        index: 'facet_str',
        column: 'str',
        conditions: ['w.num IS NULL', 'w.nan IS NULL'],
      };
}

function seekCondition(
  builder: SqlBuilder,
  expression: string,
  direction: 'asc' | 'desc',
  from: SqlValue | undefined,
): string[] {
  if (from === undefined || from === null) return [];
  return [`${expression} ${direction === 'asc' ? '>=' : '<='} ${builder.bind(from)}`];
}
