import type { Predicate } from '../contracts/query.ts';
import { leastSet, smallestSet, split } from './choose-set.ts';
import { predicateSql } from './predicate-sql.ts';
import { type Conjunct, frameOf } from './read-set.ts';
import type { RecordSet } from './record-set.ts';
import { recordTable } from './record-tables.ts';
import type { SearchContext } from './search-context.ts';
import type { SearchSteps } from './search-steps.ts';
import { allOf, never, SqlBuilder } from './sql-builder.ts';

/** How many records match. */
export interface MatchCount {
  readonly count: number;
  readonly exact: boolean;
}

/**
 * Counts the records that match: exactly, or, where more than `upTo` do, estimated from how far in the
 * order of record numbers that many reach.
 */
export function* countMatches(
  context: SearchContext,
  where: Predicate | undefined,
  upTo: number | undefined,
): SearchSteps<MatchCount> {
  const conjuncts = split(context, where);
  const small = yield* smallestSet(conjuncts, context, context.budgets.drive);
  if (small === 'empty') return { count: 0, exact: true };
  const { set, how } =
    small === undefined
      ? yield* leastSet(conjuncts, context)
      : { set: small, how: 'rows' as const };
  if (small === undefined && upTo !== undefined && context.dialect.fence !== undefined) {
    const estimate = yield* sampleMatches(context, conjuncts, set);
    if (estimate !== undefined) return { count: estimate, exact: false };
  }
  const large = small === undefined;
  const builder = new SqlBuilder(context.dialect);
  // What is left of a small set is counted whole; an estimate needs the order of record numbers.
  const bound = large ? upTo : undefined;
  const driver = { set, how: bound === undefined ? how : ('inOrder' as const), large };
  const framing = bound === undefined ? withoutFences(context) : context;
  const frame = frameOf(framing, builder, conjuncts, driver);
  const fences = frame.fences.length === 0 ? '' : `WITH ${frame.fences.join(', ')} `;
  const condition = allOf(frame.conditions);
  if (condition === never) return { count: 0, exact: true };
  const matches = `FROM ${frame.from} WHERE ${condition}`;
  if (bound === undefined) {
    const rows = yield builder.statement(`SELECT count(*) AS n ${matches}`);
    return { count: Number(rows[0]?.['n']), exact: true };
  }
  const { rid } = frame.names;
  const reached = `SELECT ${rid} AS rid ${matches} ORDER BY ${rid} LIMIT ${builder.bind(bound + 1)}`;
  const table = recordTable(context.kind.name);
  const [row] = yield builder.statement(
    `SELECT count(*) AS n, max(rid) AS last, (SELECT min(rid) FROM ${table}) AS low,
     (SELECT max(rid) FROM ${table}) AS high FROM (${fences}${reached}) m`,
  );
  const count = Number(row?.['n']);
  if (count <= bound) return { count, exact: true };
  const [low, high, last] = [row?.['low'], row?.['high'], row?.['last']].map(Number);
  const share = (Number(last) - Number(low) + 1) / (Number(high) - Number(low) + 1);
  return { count: Math.max(count, Math.round(count / share)), exact: false };
}

/** Counting everything has neither order nor limit that could mislead. */
function withoutFences(context: SearchContext): SearchContext {
  const { fence: _, ...dialect } = context.dialect;
  return { ...context, dialect };
}

/** So many candidates are looked at in each of so many places, evenly apart in the order of numbers. */
const sample = { places: 4, candidates: 500, leastMatches: 200 } as const;

/**
 * An estimate from some of the candidates, for databases where looking at thousands of them takes long;
 * undefined where hardly any matches. The same as long as nothing changes.
 */
function* sampleMatches(
  context: SearchContext,
  conjuncts: readonly Conjunct[],
  set: RecordSet | undefined,
): SearchSteps<number | undefined> {
  const table = recordTable(context.kind.name);
  const [range] = yield new SqlBuilder(context.dialect).statement(
    `SELECT min(rid) AS low, max(rid) AS high FROM ${table}`,
  );
  const [low, high] = [Number(range?.['low']), Number(range?.['high'])];
  const starts = Array.from({ length: sample.places }, (_, i) =>
    Math.floor(low + ((high - low) * i) / sample.places),
  );
  const builder = new SqlBuilder(context.dialect);
  const parts = starts.map((start, i) => samplePart(context, builder, conjuncts, set, start, i));
  const fences = parts.map(({ fence }) => fence);
  const selects = parts.map(({ select }) => select);
  const rows = yield builder.statement(`WITH ${fences.join(', ')} ${selects.join(' UNION ALL ')}`);
  let matches = 0;
  let looked = 0;
  for (const row of rows) {
    const start = starts[Number(row['place'])] ?? low;
    const last = Number(row['seen']) < sample.candidates ? high : Number(row['last']);
    matches += Number(row['n']);
    looked += last - start + 1;
  }
  if (matches < sample.leastMatches) return undefined;
  return Math.round((matches / looked) * (high - low + 1));
}

function samplePart(
  context: SearchContext,
  builder: SqlBuilder,
  conjuncts: readonly Conjunct[],
  set: RecordSet | undefined,
  start: number,
  place: number,
): { readonly fence: string; readonly select: string } {
  const { dialect, workspace, kind } = context;
  const table = recordTable(kind.name);
  const alias = set?.alias ?? 'r';
  const { from, conditions } = set?.inOrder(builder) ?? { from: `${table} r`, conditions: [] };
  const candidates = `SELECT ${alias}.rid AS rid FROM ${from}
    WHERE ${allOf([...conditions, `${alias}.rid >= ${builder.bind(start)}`])}
    ORDER BY ${alias}.rid LIMIT ${builder.bind(sample.candidates)}`;
  const name = `part${place}`;
  const names = { record: 'r', rid: 'd.rid' };
  const where = allOf([
    ...(workspace === undefined ? [] : [`r.ws = ${builder.bind(workspace)}`]),
    ...conjuncts.map(({ predicate }) => predicateSql(context, builder, names, predicate)),
  ]);
  const matching = `SELECT count(*) FROM ${name} d
    ${dialect.lookUp('inner', table, 'r', 'r.rid = d.rid')} WHERE ${where}`;
  return {
    fence: dialect.fence?.(name, candidates) ?? '',
    select: `SELECT ${place} AS place, (SELECT count(*) FROM ${name}) AS seen,
      (SELECT max(rid) FROM ${name}) AS last, (${matching}) AS n`,
  };
}
