import type { Predicate } from '../contracts/query.ts';
import type { Conjunct } from './read-set.ts';
import { type RecordSet, recordSet } from './record-set.ts';
import type { SearchContext } from './search-context.ts';
import type { SearchSteps } from './search-steps.ts';
import { allOf, SqlBuilder } from './sql-builder.ts';

/** The parts of the predicate that must hold each by itself. */
export function split(context: SearchContext, where: Predicate | undefined): readonly Conjunct[] {
  if (where === undefined) return [];
  if (where.op === 'and') return where.of.flatMap((part) => split(context, part));
  return [{ predicate: where, set: recordSet(context, where) }];
}

/** Sets up to this many take part in the counting. */
const maxCounted = 20;

/** A set that is as small as this is read without counting the others any further. */
const fewRecords = 100;

/** The smallest set of at most `bound` records, or one that is small enough; 'empty' when one of them has none. */
export function* smallestSet(
  conjuncts: readonly Conjunct[],
  context: SearchContext,
  bound: number,
): SearchSteps<RecordSet | 'empty' | undefined> {
  const sets = conjuncts.flatMap(({ set }) => (set?.ranged ? [set] : [])).slice(0, maxCounted);
  const few = sets.find(({ atMost = Infinity }) => atMost <= Math.min(fewRecords, bound));
  if (few !== undefined) return few;
  // To know that a set is large takes as long as reading so much of it: whether one is small is asked first.
  for (const most of bound > fewRecords ? [fewRecords, bound] : [bound]) {
    const counted = yield* countSets(context, sets, most + 1);
    const [least] = counted.toSorted((a, b) => a.size - b.size);
    if (least === undefined) return undefined;
    if (least.size <= most) return least.size === 0 ? 'empty' : least.set;
  }
  return undefined;
}

/** The set to read when all are large, and how: the smallest as far as counting is cheap. */
export function* leastSet(
  conjuncts: readonly Conjunct[],
  context: SearchContext,
): SearchSteps<{ readonly set: RecordSet | undefined; readonly how: 'rows' | 'inOrder' }> {
  const sets = conjuncts.flatMap(({ set }) => (set === undefined ? [] : [set]));
  const ranged = sets.filter((set) => set.ranged).slice(0, maxCounted);
  const { compare } = context.budgets;
  const counted = yield* countSets(context, ranged, compare);
  const [least] = counted.toSorted((a, b) => a.size - b.size);
  if (least === undefined) return { set: sets[0], how: 'inOrder' };
  return { set: least.set, how: least.size < compare ? 'rows' : 'inOrder' };
}

function* countSets(
  context: SearchContext,
  sets: readonly RecordSet[],
  bound: number,
): SearchSteps<readonly { readonly set: RecordSet; readonly size: number }[]> {
  if (sets.length === 0) return [];
  const builder = new SqlBuilder(context.dialect);
  const counts = sets.map((set, i) => {
    const { from, conditions } = set.atLeast(builder);
    const some = `SELECT 1 FROM ${from} WHERE ${allOf(conditions)} LIMIT ${builder.bind(bound)}`;
    return `(SELECT count(*) FROM (${some}) s) AS n${i}`;
  });
  const [row] = yield builder.statement(`SELECT ${counts.join(', ')}`);
  return sets.map((set, i) => ({ set, size: Number(row?.[`n${i}`]) }));
}
