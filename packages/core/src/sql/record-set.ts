import type { Literal, Predicate, Selector } from '../contracts/query.ts';
import type { ColumnType, KindDeclaration } from '../contracts/record.ts';
import { readNumber } from '../language/stored-value.ts';
import type { SqlDialect } from './dialect.ts';
import { type Leaf, leafSql } from './predicate-sql.ts';
import { columnOf, recordColumn, recordIndexes, recordTable } from './record-tables.ts';
import type { SearchContext } from './search-context.ts';
import { allOf, never, type SqlBuilder } from './sql-builder.ts';
import { facetSource, isProjected, keyCondition, valueAt } from './value-sql.ts';

/** A source of rows `alias`, each of another record, whose number is `alias.rid`. */
export interface RowSource {
  /** What follows FROM. */
  readonly from: string;
  readonly conditions: readonly string[];
}

/**
 * A set of records which a database can list without looking at others: those in a range of an index,
 * or with a facet key. It holds every record for which its predicate holds, and, when `exact`, no other.
 */
export interface RecordSet {
  readonly exact: boolean;
  /** Rows of the records' own table (alias `r`), or of another one (alias `d`). */
  readonly alias: 'r' | 'd';
  /** The facet key whose rows they are, if it is one key's. */
  readonly of?: { readonly facet: string; readonly key: string };
  /** Through an index that narrows it to the predicate: fit for small sets. */
  readonly ranged: boolean;
  /** It has no more records than that, whatever there is: of ids that are named. */
  readonly atMost?: number;
  rows(builder: SqlBuilder): RowSource;
  /** Rows as many as those, or more: for counting, where repeated ones do no harm. */
  atLeast(builder: SqlBuilder): RowSource;
  /** The same rows in the order of record numbers, so that looking others up is sequential. */
  inOrder(builder: SqlBuilder): RowSource;
}

/** Rows through an index; without it where none can match, for then no index has such rows. */
export function throughIndex(
  dialect: SqlDialect,
  table: string,
  alias: string,
  index: string,
  conditions: readonly string[],
): RowSource {
  if (allOf(conditions) === never) return { from: `${table} ${alias}`, conditions: [never] };
  return { from: dialect.through(table, alias, index), conditions };
}

/** Alternatives of an `or` (or values of an `in`) up to this many are listed one by one. */
const maxBranches = 20;

/** The set of a predicate; undefined where none can be listed. */
export function recordSet(context: SearchContext, predicate: Predicate): RecordSet | undefined {
  switch (predicate.op) {
    case 'not':
      return undefined;
    case 'and': {
      const sets = predicate.of.map((part) => recordSet(context, part));
      const first = sets.find((set) => set?.ranged) ?? sets.find((set) => set !== undefined);
      return first === undefined
        ? undefined
        : { ...first, exact: first.exact && sets.length === 1 };
    }
    case 'or':
      return unionSet(predicate.of.map((part) => recordSet(context, part)));
    default:
      break;
  }
  switch (predicate.left.from) {
    case 'column':
      return columnSet(context, predicate, predicate.left.name);
    case 'facet':
      return facetSet(context, predicate, predicate.left);
    case 'body':
      return undefined;
  }
}

function unionSet(sets: readonly (RecordSet | undefined)[]): RecordSet | undefined {
  if (sets.length === 0 || sets.length > maxBranches) return undefined;
  const all = sets.filter((set) => set !== undefined);
  if (all.length < sets.length || all.some((set) => !set.ranged)) return undefined;
  const joined =
    (how: 'rows' | 'atLeast', word: string) =>
    (builder: SqlBuilder): RowSource => {
      const selects = all.map((set) => {
        const { from, conditions } = set[how](builder);
        return `SELECT ${set.alias}.rid AS rid FROM ${from} WHERE ${allOf(conditions)}`;
      });
      return { from: `(${selects.join(` ${word} `)}) d`, conditions: [] };
    };
  const rows = joined('rows', 'UNION');
  const exact = all.every((set) => set.exact);
  const atLeast = joined('atLeast', 'UNION ALL');
  return { exact, alias: 'd', ranged: true, rows, atLeast, inOrder: rows };
}

function columnSet(context: SearchContext, leaf: Leaf, name: string): RecordSet | undefined {
  const { workspace, kind, dialect } = context;
  const index = recordIndexes(kind).find(({ columns }) => columns[0] === name);
  if (index === undefined || workspace === undefined) return undefined;
  if (!comparesNatively(context, leaf, name)) return undefined;
  const names = { record: 'r', rid: 'r.rid' };
  const rows = (builder: SqlBuilder): RowSource =>
    throughIndex(dialect, recordTable(kind.name), 'r', index.name, [
      `r.ws = ${builder.bind(workspace)}`,
      ...beginningSql(context, builder, leaf, name),
      valueAt(context, builder, names, leaf.left)((value) => leafSql(builder, value, leaf)),
    ]);
  const atMost = name === 'id' ? namedIds(leaf) : undefined;
  return {
    ...{ exact: true, alias: 'r', ranged: true, rows, atLeast: rows, inOrder: rows },
    ...(atMost === undefined ? {} : { atMost }),
  };
}

/** How many ids a leaf names. */
function namedIds(leaf: Leaf): number | undefined {
  if (leaf.op === 'in') return leaf.values.length;
  return leaf.op === 'compare' && leaf.cmp === '=' ? 1 : undefined;
}

/**
 * What follows from a leaf for the beginning of its column, where that is what an index holds: enough to
 * find the rows, not to choose among them.
 */
export function beginningSql(
  { dialect, kind }: SearchContext,
  builder: SqlBuilder,
  leaf: Leaf,
  name: string,
): readonly string[] {
  const expression = beginningOf(dialect, kind, name, 'r');
  const literals = rangeLiterals(leaf)?.map(String);
  if (expression === undefined || literals === undefined) return [];
  const texts = literals.map((text) => dialect.beginnings?.of(text) ?? text);
  if (leaf.op === 'in') {
    return [dialect.isAnyOf(expression, builder.bind(dialect.list([...new Set(texts)])))];
  }
  const at = (cmp: string, text = ''): string => `${expression} ${cmp} ${builder.bind(text)}`;
  if (leaf.op === 'between') return [at('>=', texts[0]), at('<=', texts[1])];
  const cmp = leaf.op === 'compare' ? leaf.cmp : '=';
  return [at(cmp === '=' ? '=' : cmp.startsWith('>') ? '>=' : '<=', texts[0])];
}

/** What an index holds of a text column in place of the column; undefined where it holds the column. */
export function beginningOf(
  { beginnings }: SqlDialect,
  kind: KindDeclaration,
  name: string,
  alias: string,
): string | undefined {
  if (name === 'id' || columnOf(kind, name)?.type !== 'text') return undefined;
  return beginnings?.expression(`${alias}.${recordColumn(name)}`);
}

const nativeLiteral = {
  text: 'string',
  integer: 'number',
  real: 'number',
  boolean: 'boolean',
} as const;

/** Whether the leaf compares a column with literals of its own type, by something an index knows. */
function comparesNatively(context: SearchContext, leaf: Leaf, name: string): boolean {
  const type = columnOf(context.kind, name)?.type;
  if (type === undefined) return false;
  const literals = rangeLiterals(leaf);
  return literals?.every((literal) => typeof literal === nativeLiteral[type]) ?? false;
}

/** The literals of a leaf that selects ranges of an order; undefined for any other. */
function rangeLiterals(leaf: Leaf): readonly Literal[] | undefined {
  switch (leaf.op) {
    case 'compare':
      return leaf.cmp === '!=' ? undefined : [leaf.value];
    case 'between':
      return [leaf.low, leaf.high];
    case 'in':
      return leaf.values.length === 0 ? undefined : leaf.values;
    default:
      return undefined;
  }
}

/**
 * Whether the leaf asks for one range of the order of numbers (`number`) or of a column's own type: such
 * a one narrows a walk through that order from both ends.
 */
export function isOneRange(leaf: Leaf, type: ColumnType | 'number'): boolean {
  if (leaf.op === 'in') return false;
  const literal = type === 'number' ? 'number' : nativeLiteral[type];
  return rangeLiterals(leaf)?.every((value) => typeof value === literal) ?? false;
}

type FacetSelector = Extract<Selector, { readonly from: 'facet' }>;

function facetSet(
  context: SearchContext,
  leaf: Leaf,
  selector: FacetSelector,
): RecordSet | undefined {
  const range = isProjected(context, selector)
    ? projectedRange(context, leaf, selector)
    : mergedRange(leaf);
  if (range === 'branches') {
    const branches = leaf.op === 'in' ? leaf.values : [];
    const { left } = leaf;
    return unionSet(
      branches.map((value) => recordSet(context, { op: 'compare', left, cmp: '=', value })),
    );
  }
  const source = facetSource(context, selector, 'd');
  const rowsOf = (builder: SqlBuilder): string[] => [
    keyCondition(context, builder, 'd', selector),
    leafSql(builder, source.value, leaf),
  ];
  const inOrder = (builder: SqlBuilder): RowSource => ({
    from: context.dialect.clustered(source.table, 'd'),
    conditions: rowsOf(builder),
  });
  const { facet, key } = selector;
  const one = context.keyNumbers(facet, key).length === 1 ? { of: { facet, key } } : {};
  if (range === undefined) {
    const ranged = false;
    return { exact: true, alias: 'd', ...one, ranged, rows: inOrder, atLeast: inOrder, inOrder };
  }
  const rows = (builder: SqlBuilder): RowSource =>
    throughIndex(context.dialect, source.table, 'd', range.index, [
      ...range.conditions(builder),
      ...rowsOf(builder),
    ]);
  return { exact: true, alias: 'd', ...one, ranged: true, rows, atLeast: rows, inOrder };
}

/** A range of an index, by the conditions that let a database choose it. */
interface IndexRange {
  readonly index: string;
  conditions(builder: SqlBuilder): readonly string[];
}

function projectedRange(
  context: SearchContext,
  leaf: Leaf,
  selector: FacetSelector,
): IndexRange | undefined {
  const figure = selector.figure ?? 'last';
  const index = context.summary.index(figure);
  const literals = rangeLiterals(leaf);
  if (index === undefined || literals === undefined) return undefined;
  const numeric = literals.every((literal) => typeof literal === 'number');
  // A text equals a number by way of that number, but texts are ordered otherwise.
  const equal = leaf.op === 'compare' && leaf.cmp === '=' && leaf.value !== 'NaN';
  if (!numeric && !equal) return undefined;
  return { index, conditions: () => [`d.${context.summary.column(figure)} IS NOT NULL`] };
}

const numberRange = 'd.num IS NOT NULL';
const textRange = 'd.num IS NULL AND d.nan IS NULL AND d.str IS NOT NULL';

function mergedRange(leaf: Leaf): IndexRange | 'branches' | undefined {
  const literals = rangeLiterals(leaf);
  if (literals === undefined) return undefined;
  if (literals.every((literal) => typeof literal === 'number')) {
    return { index: 'facet_num', conditions: () => [numberRange] };
  }
  if (leaf.op === 'in' && literals.length <= maxBranches) return 'branches';
  if (leaf.op !== 'compare' || leaf.cmp !== '=') return undefined;
  const text = String(leaf.value);
  // A number that JavaScript writes with letters may be stored as a number or as that text.
  if (['NaN', 'Infinity', '-Infinity'].includes(text)) return undefined;
  const number = readNumber(text);
  if (number === undefined) return { index: 'facet_str', conditions: () => [textRange] };
  // Whatever has this text carries this number.
  return {
    index: 'facet_num',
    conditions: (builder) => [numberRange, `d.num = ${builder.bind(number)}`],
  };
}
