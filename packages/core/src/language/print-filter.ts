import type { Literal, Predicate, Selector } from '../contracts/query.ts';
import { KeelsonError } from '../errors.ts';
import type { FilterVocabulary, ValueType } from './filter-vocabulary.ts';
import { figureNames } from './resolve-name.ts';
import { readNumber } from './stored-value.ts';

/**
 * A filter text that `parseFilter` reads, with the same vocabulary, into an equal predicate. INVALID for
 * what the language has no words for: places that the vocabulary does not name, NaN, `and`, `or` and
 * lists of fewer than one (two) members, a text that reads as a number where the language would compare
 * it as that number.
 */
export function printFilter(predicate: Predicate, vocabulary: FilterVocabulary): string {
  return new FilterPrinter(vocabulary).print(predicate, 0);
}

// How tightly a form binds; what binds looser than its surroundings goes into parentheses.
const binding = { or: 1, and: 2, not: 3 } as const;

class FilterPrinter {
  readonly #vocabulary: FilterVocabulary;

  constructor(vocabulary: FilterVocabulary) {
    this.#vocabulary = vocabulary;
  }

  print(predicate: Predicate, surrounding: number): string {
    switch (predicate.op) {
      case 'and':
      case 'or': {
        if (predicate.of.length < 2)
          throw noWords(`"${predicate.op}" of fewer than two predicates`);
        const own = binding[predicate.op];
        const text = predicate.of
          .map((part) => this.print(part, own))
          .join(predicate.op === 'and' ? ' AND ' : ' OR ');
        return surrounding >= own ? `(${text})` : text;
      }
      case 'not': {
        if (predicate.of.op === 'present') return `${this.#place(predicate.of.left).name} IS NULL`;
        return `NOT ${this.print(predicate.of, binding.not)}`;
      }
      default:
        return this.#comparison(predicate);
    }
  }

  #comparison(leaf: Exclude<Predicate, { readonly op: 'and' | 'or' | 'not' }>): string {
    const { name, holds } = this.#place(leaf.left);
    switch (leaf.op) {
      case 'present':
        return `${name} IS NOT NULL`;
      case 'compare': {
        const ordered = leaf.cmp !== '=' && leaf.cmp !== '!=';
        return `${name} ${leaf.cmp} ${printLiteral(leaf.value, holds, ordered)}`;
      }
      case 'between': {
        const low = printLiteral(leaf.low, holds, true);
        return `${name} BETWEEN ${low} AND ${printLiteral(leaf.high, holds, true)}`;
      }
      case 'in': {
        if (leaf.values.length === 0) throw noWords('an empty list');
        return `${name} IN (${leaf.values.map((v) => printLiteral(v, holds, false)).join(', ')})`;
      }
      case 'like':
        return `${name} ${leaf.caseSensitive ? 'LIKE' : 'ILIKE'} ${quoteText(leaf.pattern)}`;
    }
  }

  #place(selector: Selector): { readonly name: string; readonly holds: ValueType } {
    if (selector.from === 'facet') {
      for (const [word, scope] of Object.entries(this.#vocabulary.scopes)) {
        if (scope.in !== 'facet' || scope.facet !== selector.facet) continue;
        const key = printKey(selector.key, scope.figures === true);
        const figure = selector.figure === undefined ? '' : `.${selector.figure}`;
        if (figure !== '' && scope.figures !== true) continue;
        return { name: `${word}.${key}${figure}`, holds: scope.holds };
      }
    }
    for (const [word, attribute] of Object.entries(this.#vocabulary.attributes)) {
      if (!samePlace(attribute.selector, selector)) continue;
      return { name: quoteKey(word), holds: attribute.holds };
    }
    if (selector.from === 'body') {
      for (const [word, scope] of Object.entries(this.#vocabulary.scopes)) {
        if (scope.in !== 'body' || selector.path.length <= scope.path.length) continue;
        if (!scope.path.every((part, i) => part === selector.path[i])) continue;
        const rest = selector.path.slice(scope.path.length).map(quoteKey);
        return { name: `${word}.${rest.join('.')}`, holds: 'any' };
      }
    }
    throw noWords(`the place ${JSON.stringify(selector)}`);
  }
}

function samePlace(a: Selector, b: Selector): boolean {
  if (a.from === 'column') return b.from === 'column' && a.name === b.name;
  if (a.from === 'facet') {
    return b.from === 'facet' && a.facet === b.facet && a.key === b.key && a.figure === b.figure;
  }
  return (
    b.from === 'body' &&
    a.path.length === b.path.length &&
    a.path.every((part, i) => part === b.path[i])
  );
}

const plainKey = /^[\p{L}_][\p{L}\p{M}\p{N}_]*(?:\.[\p{L}\p{M}\p{N}_]+)*$/u;

function printKey(key: string, figures: boolean): string {
  const endsAsFigure = figures && figureNames.some((figure) => key.endsWith(`.${figure}`));
  return plainKey.test(key) && !endsAsFigure ? key : quoteWith(key, '`');
}

function quoteKey(key: string): string {
  // Quoted, a keyword is a name like any other.
  return /^[a-z][A-Za-z0-9]*_[A-Za-z0-9_]*$/.test(key) ? key : quoteWith(key, '`');
}

function printLiteral(value: Literal, holds: ValueType, ordered: boolean): string {
  if (typeof value === 'boolean') return value ? 'TRUE' : 'FALSE';
  if (typeof value === 'number') {
    if (Number.isNaN(value)) throw noWords('NaN, with which nothing compares');
    return Object.is(value, -0) ? '-0' : String(value);
  }
  const readsAsNumber = readNumber(value) !== undefined;
  if (holds === 'number' || holds === 'time' || (holds === 'any' && ordered && readsAsNumber)) {
    throw noWords(`the text ${JSON.stringify(value)} where a number is meant`);
  }
  return quoteText(value);
}

function quoteText(text: string): string {
  return quoteWith(text, "'");
}

function quoteWith(text: string, quote: string): string {
  return quote + text.replaceAll(quote, quote + quote) + quote;
}

function noWords(what: string): KeelsonError {
  return new KeelsonError('INVALID', `The filter language has no words for ${what}.`);
}
