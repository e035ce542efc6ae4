import type { Literal, Order, Predicate, Selector } from '../contracts/query.ts';
import type { KindDeclaration } from '../contracts/record.ts';
import { KeelsonError } from '../errors.ts';
import { assertText } from '../json.ts';
import { builtInColumns } from './select-value.ts';

/** The bounds on predicates that every store and the parser keep. */
export const predicateBounds = {
  /** Levels of nesting; a single comparison has one. */
  depth: 100,
  comparisons: 500,
  /** Values in all `in` lists together. */
  listValues: 10_000,
  patternLength: 1_000,
} as const;

const figures: readonly string[] = ['last', 'min', 'max', 'mean', 'first', 'count'];
const comparisons: readonly string[] = ['=', '!=', '>', '>=', '<', '<='];

/**
 * Refuses, as INVALID and naming the place, a predicate that is not well-formed, passes the bounds, or
 * reads what the kind does not declare. For stores, before they translate or evaluate it.
 */
export function checkPredicate(kind: KindDeclaration, predicate: Predicate): void {
  const used = { comparisons: 0, listValues: 0 };
  visit(predicate, 1);

  function visit(part: Predicate, depth: number): void {
    if (depth > predicateBounds.depth) {
      throw invalid(`A predicate may be nested at most ${predicateBounds.depth} levels deep.`);
    }
    switch (part.op) {
      case 'and':
      case 'or':
        for (const inner of part.of) visit(inner, depth + 1);
        return;
      case 'not':
        visit(part.of, depth + 1);
        return;
      default:
        used.comparisons += 1;
        if (used.comparisons > predicateBounds.comparisons) {
          throw invalid(`A predicate may have at most ${predicateBounds.comparisons} comparisons.`);
        }
        checkSelector(kind, part.left);
        checkLeaf(part, used);
    }
  }
}

/** Refuses, as INVALID, an order by what the kind does not declare. */
export function checkOrder(kind: KindDeclaration, orderBy: readonly Order[]): void {
  for (const { by, direction } of orderBy) {
    checkSelector(kind, by);
    if (direction !== 'asc' && direction !== 'desc') {
      throw invalid(`A direction to sort in is asc or desc, not ${String(direction)}.`);
    }
  }
}

type Leaf = Exclude<Predicate, { readonly op: 'and' | 'or' | 'not' }>;

function checkLeaf(leaf: Leaf, used: { listValues: number }): void {
  switch (leaf.op) {
    case 'present':
      return;
    case 'compare':
      if (!comparisons.includes(leaf.cmp))
        throw invalid(`There is no comparison ${String(leaf.cmp)}.`);
      checkLiteral(leaf.value);
      return;
    case 'between':
      checkLiteral(leaf.low);
      checkLiteral(leaf.high);
      return;
    case 'in':
      used.listValues += leaf.values.length;
      if (used.listValues > predicateBounds.listValues) {
        throw invalid(`A predicate may list at most ${predicateBounds.listValues} values.`);
      }
      for (const value of leaf.values) checkLiteral(value);
      return;
    case 'like':
      assertText(leaf.pattern, 'A pattern', predicateBounds.patternLength);
      return;
    default:
      throw invalid(`There is no predicate ${String((leaf as { op: unknown }).op)}.`);
  }
}

function checkLiteral(value: Literal): void {
  if (typeof value === 'string') assertText(value, 'A value in a predicate');
  else if (typeof value !== 'number' && typeof value !== 'boolean') {
    throw invalid('A value in a predicate must be text, a number or a boolean.');
  }
}

function checkSelector(kind: KindDeclaration, selector: Selector): void {
  switch (selector.from) {
    case 'column':
      if (builtInColumns.some((name) => name === selector.name)) return;
      if (Object.hasOwn(kind.columns, selector.name)) return;
      throw invalid(`The kind ${kind.name} has no column ${selector.name}.`);
    case 'facet': {
      const facets = kind.facets ?? {};
      const facet = Object.hasOwn(facets, selector.facet) ? facets[selector.facet] : undefined;
      if (facet === undefined)
        throw invalid(`The kind ${kind.name} has no facet ${selector.facet}.`);
      assertText(selector.key, `A key of ${selector.facet}`);
      if (selector.figure === undefined) return;
      if (facet.source === 'projected' && figures.includes(selector.figure)) return;
      throw invalid(`The facet ${selector.facet} has no figure ${selector.figure}.`);
    }
    case 'body':
      for (const key of selector.path) assertText(key, 'A key of a body path');
      return;
    default:
      throw invalid('A selector points to a column, a facet or the body.');
  }
}

function invalid(message: string): KeelsonError {
  return new KeelsonError('INVALID', message);
}
