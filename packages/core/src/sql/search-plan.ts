import type { Predicate } from '../contracts/query.ts';
import { leastSet, smallestSet, split } from './choose-set.ts';
import type { SqlValue } from './dialect.ts';
import type { PagePosition } from './page-cursor.ts';
import { predicateSql } from './predicate-sql.ts';
import { type Conjunct, readSet } from './read-set.ts';
import type { SearchContext } from './search-context.ts';
import {
  entriesOf,
  type PageEntry,
  type PageRequest,
  type SearchSteps,
  selectEntry,
} from './search-steps.ts';
import { afterSql, orderBySql, type SortKey, sortingSql } from './sort-keys.ts';
import { allOf, always, never, SqlBuilder } from './sql-builder.ts';
import { edgeStatement, rowsBefore, type WalkRange, walkRange } from './walk.ts';

/**
 * Finds the records of a page, in order. Databases choose badly here (their statistics know nothing of
 * a single key's values), so this decides, by what counting up to a bound costs next to nothing:
 *
 * 1. walk the order's own index for a few candidates: done if the page fills;
 * 2. otherwise the smallest set that a part of the predicate selects, if it is small: read it, sort it;
 * 3. otherwise walk on for a bounded number of candidates;
 * 4. otherwise read the smallest set in the order of record numbers, and sort what is left of it.
 */
export function* searchPage(
  context: SearchContext,
  request: PageRequest,
): SearchSteps<readonly PageEntry[]> {
  const conjuncts = split(context, request.where);
  const { budgets } = context;
  const seen = yield* walk(context, request, conjuncts, budgets.glance);
  if (seen !== undefined) return seen;
  const small = yield* smallestSet(conjuncts, context, budgets.drive);
  if (small === 'empty') return [];
  if (small !== undefined) {
    return yield* readSet(context, request, conjuncts, { set: small, how: 'rows', large: false });
  }
  const walked = yield* walk(context, request, conjuncts, budgets.walk);
  if (walked !== undefined) return walked;
  const least = yield* leastSet(conjuncts, context);
  return yield* readSet(context, request, conjuncts, { ...least, large: true });
}

/**
 * Walks the indexes of the sort keys, one after another: the records that have the first key, then
 * those that miss it but have the second, and at last, by id, those that miss all. Undefined when a
 * key has no index, or when the budget ends before the page is full.
 */
function* walk(
  context: SearchContext,
  request: PageRequest,
  conjuncts: readonly Conjunct[],
  budget: number,
): SearchSteps<readonly PageEntry[] | undefined> {
  const found: PageEntry[] = [];
  const predicates = conjuncts.map(({ predicate }) => predicate);
  const filtered = predicates.length > 0 || request.also !== undefined;
  const { keys } = sortingSql(
    context,
    new SqlBuilder(context.dialect),
    { record: 'r', rid: 'r.rid' },
    request.orderBy,
  );
  const first = firstPhase(keys, request.after);
  for (let phase = first; phase <= keys.length; phase += 1) {
    if (keys[phase]?.absentWithPrevious === true) continue;
    const seek = phase === first ? request.after : undefined;
    const range = walkRange(context, keys, phase, predicates, seek);
    if (range === undefined) return undefined;
    if (range === 'nothing') continue;
    let edge: SqlValue | undefined;
    if (filtered || phase > 0) {
      const [row] = yield edgeStatement(context, range, budget);
      edge = row === undefined ? undefined : (row['v'] as SqlValue);
    }
    const page = { ...request, limit: request.limit - found.length };
    found.push(...(yield* walkPage(context, page, predicates, phase, range, edge)));
    if (found.length >= request.limit || keys[phase]?.required === true) {
      return edge === undefined || found.length >= request.limit ? found : undefined;
    }
    if (edge !== undefined) return undefined;
  }
  return found;
}

/** The phase in which a position lies: that of the first sort key that it does not miss. */
function firstPhase(keys: readonly SortKey[], after: PagePosition | undefined): number {
  if (after === undefined) return 0;
  const present = after.values.findIndex((value) => value !== null);
  return present === -1 ? keys.length : present;
}

function* walkPage(
  context: SearchContext,
  request: PageRequest,
  predicates: readonly Predicate[],
  phase: number,
  range: WalkRange,
  edge: SqlValue | undefined,
): SearchSteps<readonly PageEntry[]> {
  const builder = new SqlBuilder(context.dialect);
  const { from, conditions, names } = rowsBefore(context, builder, range, edge);
  const held = range.of === undefined ? undefined : { alias: range.alias, ...range.of };
  const sorting = sortingSql(context, builder, names, request.orderBy, held);
  const keys = sorting.keys.map((key, i) =>
    i === phase ? { ...key, expression: range.expression, required: true } : key,
  );
  const where = allOf([
    ...conditions,
    context.workspace === undefined ? always : `r.ws = ${builder.bind(context.workspace)}`,
    ...keys.slice(0, phase).map((key) => `${key.expression} IS NULL`),
    ...predicates
      .filter((predicate) => !range.covered.includes(predicate))
      .map((predicate) => predicateSql(context, builder, names, predicate)),
    request.also?.(builder, names) ?? always,
    request.after === undefined ? always : afterSql(builder, names, keys, request.after),
  ]);
  if (where === never) return [];
  const keyed = range.byId
    ? `${range.expression} ${range.direction}`
    : orderBySql(keys.slice(phase), names);
  const order =
    range.beginning === undefined ? keyed : `${range.beginning} ${range.direction}, ${keyed}`;
  const text = `${selectEntry(keys, names)} FROM ${from} ${sorting.joins}
    WHERE ${where} ORDER BY ${order} LIMIT ${builder.bind(request.limit)}`;
  return entriesOf(keys, yield builder.statement(text));
}
