import type { Comparison, Literal, Predicate } from '../contracts/query.ts';
import type { Json } from '../json.ts';
import { matchesLike } from './like-pattern.ts';
import { type Evaluable, selectValue } from './select-value.ts';
import { booleanOf, compareText, numberOf, textOf } from './stored-value.ts';

/**
 * Whether a predicate holds for a record: the reference for every store, word for word the meaning in
 * `contracts/query.ts`. Total: never throws for a well-formed predicate.
 */
export function evaluatePredicate(predicate: Predicate, record: Evaluable): boolean {
  switch (predicate.op) {
    case 'and':
      return predicate.of.every((part) => evaluatePredicate(part, record));
    case 'or':
      return predicate.of.some((part) => evaluatePredicate(part, record));
    case 'not':
      return !evaluatePredicate(predicate.of, record);
    case 'present':
      return selectValue(record, predicate.left) !== undefined;
    case 'compare':
      return compare(selectValue(record, predicate.left), predicate.cmp, predicate.value);
    case 'between': {
      const value = selectValue(record, predicate.left);
      return compare(value, '>=', predicate.low) && compare(value, '<=', predicate.high);
    }
    case 'in': {
      const value = selectValue(record, predicate.left);
      return predicate.values.some((candidate) => compare(value, '=', candidate));
    }
    case 'like': {
      const text = textOf(selectValue(record, predicate.left));
      return text !== undefined && matchesLike(text, predicate.pattern, predicate.caseSensitive);
    }
  }
}

function compare(value: Json | undefined, cmp: Comparison, literal: Literal): boolean {
  switch (typeof literal) {
    case 'number': {
      const number = numberOf(value);
      if (number === undefined || Number.isNaN(number) || Number.isNaN(literal)) return false;
      return accepts(cmp, number < literal ? -1 : number > literal ? 1 : 0);
    }
    case 'string': {
      const text = textOf(value);
      return text !== undefined && accepts(cmp, compareText(text, literal));
    }
    case 'boolean': {
      const boolean = booleanOf(value);
      if (boolean === undefined || (cmp !== '=' && cmp !== '!=')) return false;
      return (boolean === literal) === (cmp === '=');
    }
  }
}

function accepts(cmp: Comparison, sign: number): boolean {
  switch (cmp) {
    case '=':
      return sign === 0;
    case '!=':
      return sign !== 0;
    case '<':
      return sign < 0;
    case '<=':
      return sign <= 0;
    case '>':
      return sign > 0;
    case '>=':
      return sign >= 0;
  }
}
