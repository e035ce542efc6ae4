import type { Predicate } from '../contracts/query.ts';
import { predicateSql } from './predicate-sql.ts';
import type { RecordSet, RowSource } from './record-set.ts';
import { recordTable } from './record-tables.ts';
import type { RowNames, SearchContext } from './search-context.ts';
import {
  entriesOf,
  type PageEntry,
  type PageRequest,
  type SearchSteps,
  selectEntry,
} from './search-steps.ts';
import { afterSql, heldColumns, orderBySql, sortingSql } from './sort-keys.ts';
import { allOf, always, never, SqlBuilder } from './sql-builder.ts';

/** A part of the predicate that must hold by itself, and the set of records it selects. */
export interface Conjunct {
  readonly predicate: Predicate;
  readonly set: RecordSet | undefined;
}

/** The set that is read, all records where there is none, and how. */
export interface Driver {
  readonly set: RecordSet | undefined;
  readonly how: 'rows' | 'inOrder';
  /** Not known to be small. */
  readonly large: boolean;
}

/** What follows FROM, the record's row being `r`. */
export interface Frame extends RowSource {
  readonly names: RowNames;
  /** Parts of the statement that stand before it. */
  readonly fences: readonly string[];
}

/** Reads a set (or all records), drops what does not match, sorts. */
export function* readSet(
  context: SearchContext,
  request: PageRequest,
  conjuncts: readonly Conjunct[],
  driver: Driver,
): SearchSteps<readonly PageEntry[]> {
  const builder = new SqlBuilder(context.dialect);
  const of = driver.set?.of;
  const held = of === undefined ? undefined : { alias: 'd', ...of };
  const columns = heldColumns(context, request.orderBy, held);
  const frame = frameOf(context, builder, conjuncts, driver, columns);
  const { names } = frame;
  // Behind a fence what is left is small, whatever it was made of.
  const sorted = frame.fences.length > 0 || !driver.large ? context : forLargeSets(context);
  const { keys, joins } = sortingSql(sorted, builder, names, request.orderBy, held);
  const where = allOf([
    ...frame.conditions,
    request.also?.(builder, names) ?? always,
    request.after === undefined ? always : afterSql(builder, names, keys, request.after),
  ]);
  if (where === never) return [];
  const found = `${selectEntry(keys, names)} FROM ${frame.from} ${joins} WHERE ${where}`;
  const limit = builder.bind(request.limit);
  const { fence } = context.dialect;
  if (fence === undefined) {
    const text = `${found} ORDER BY ${orderBySql(keys, names)} LIMIT ${limit}`;
    return entriesOf(keys, yield builder.statement(text));
  }
  const fences = [...frame.fences, fence('found', found)].join(', ');
  const outer = keys.map((key, i) => ({ ...key, expression: `found.k${i}` }));
  const order = orderBySql(outer, { record: 'found', rid: 'found.rid' });
  const text = `WITH ${fences} SELECT * FROM found ORDER BY ${order} LIMIT ${limit}`;
  return entriesOf(keys, yield builder.statement(text));
}

/**
 * The rows of a set with their records, and the conditions that the set does not see to by itself. `columns`
 * are those of the set's rows that are needed besides their numbers.
 */
export function frameOf(
  context: SearchContext,
  builder: SqlBuilder,
  conjuncts: readonly Conjunct[],
  driver: Driver,
  columns: readonly string[] = [],
): Frame {
  const { set, how, large } = driver;
  const table = recordTable(context.kind.name);
  const own =
    context.workspace === undefined ? always : `r.ws = ${builder.bind(context.workspace)}`;
  const reading = large ? forLargeSets(context) : context;
  const rest = conjuncts.filter((one) => one.set === undefined || one.set !== set || !set.exact);
  const probe = (names: RowNames, some: readonly Conjunct[], by: SearchContext): string[] =>
    some.map(({ predicate }) => predicateSql(by, builder, names, predicate));
  if (set === undefined || set.alias === 'r') {
    const names = { record: 'r', rid: 'r.rid' };
    const { from, conditions } = set?.[how](builder) ?? { from: `${table} r`, conditions: [] };
    return {
      from,
      conditions: [...conditions, own, ...probe(names, rest, reading)],
      names,
      fences: [],
    };
  }
  const names = { record: 'r', rid: 'd.rid' };
  const { from, conditions } = set[how](builder);
  const { fence, lookUp } = context.dialect;
  if (!large || fence === undefined) {
    return {
      from: `${from} ${reading.dialect.lookUp('inner', table, 'r', 'r.rid = d.rid')}`,
      conditions: [...conditions, own, ...probe(names, rest, reading)],
      names,
      fences: [],
    };
  }
  // What facets alone decide is decided first: of three wide sets hardly anything may be left.
  const inside = rest.filter(({ predicate }) => isOfFacets(predicate));
  const outside = rest.filter(({ predicate }) => !isOfFacets(predicate));
  const where = allOf([...conditions, ...probe(names, inside, reading)]);
  return {
    // No column more: an index may have all of these, and the table is many times as large.
    fences: [
      fence(
        'matched',
        `SELECT ${['rid', ...columns].map((name) => `d.${name}`).join(', ')} FROM ${from} WHERE ${where}`,
      ),
    ],
    // In the order of their numbers, whatever is cut after so many has looked up no more than that.
    from: `(SELECT * FROM matched ORDER BY rid) d ${lookUp('inner', table, 'r', 'r.rid = d.rid')}`,
    conditions: [own, ...probe(names, outside, context)],
    names,
  };
}

/** The same context, with the words for large sets. */
function forLargeSets(context: SearchContext): SearchContext {
  return { ...context, dialect: context.dialect.forLargeSets ?? context.dialect };
}

function isOfFacets(predicate: Predicate): boolean {
  switch (predicate.op) {
    case 'and':
    case 'or':
      return predicate.of.every(isOfFacets);
    case 'not':
      return isOfFacets(predicate.of);
    default:
      return predicate.left.from === 'facet';
  }
}
