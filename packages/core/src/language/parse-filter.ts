import type { Comparison, Literal, Order, Predicate, Selector } from '../contracts/query.ts';
import { KeelsonError } from '../errors.ts';
import { predicateBounds } from './check-predicate.ts';
import { FilterScanner, syntaxError } from './filter-scanner.ts';
import type { FilterVocabulary } from './filter-vocabulary.ts';
import { type NamedPlace, readLiteral, resolveName } from './resolve-name.ts';

/** The longest filter that is read, in characters. */
const longestFilter = 100_000;

const comparisons: readonly string[] = ['=', '!=', '>', '>=', '<', '<='];
const operators =
  '=, !=, >, >=, <, <=, [NOT] LIKE, [NOT] ILIKE, [NOT] IN, [NOT] BETWEEN or IS [NOT] NULL';

/**
 * The predicate of a filter text, such as
 * `metrics.acc > 0.9 AND (tags.team = 'vision' OR status IN ('COMPLETED', 'FAILED'))`; undefined for a
 * blank text, which restricts nothing. A superset of MLflow's search syntax: `OR` binds weaker than
 * `AND`, `AND` weaker than `NOT`; keywords in any case; keys with other characters in double quotes or
 * backticks; text in single or double quotes, a doubled quote standing for one.
 *
 * `NOT IN`, `NOT LIKE` and `NOT BETWEEN` are comparisons, false where the value is missing, as `!=` is;
 * `NOT x = 1` holds there.
 *
 * SYNTAX, with `details: { position, expected, found }` and a message that shows the place, for anything
 * else; within 100,000 characters, 100 levels of nesting and the bounds of `contracts/query.ts`.
 */
export function parseFilter(text: string, vocabulary: FilterVocabulary): Predicate | undefined {
  const scanner = scannerOf(text);
  if (scanner.atEnd) return undefined;
  return new FilterParser(scanner, vocabulary).parse();
}

/**
 * One key to sort by: `metrics.loss DESC`, `start_time`, `params."learning rate" ASC`; ascending when
 * no direction is named. SYNTAX as {@link parseFilter}.
 */
export function parseOrder(text: string, vocabulary: FilterVocabulary): Order {
  const scanner = scannerOf(text);
  const { at } = scanner;
  const place = resolveName(scanner.takeName('a name to sort by'), vocabulary, scanner);
  if (place.keysOf !== undefined) scanner.fail('a name to sort by, with one value', at);
  const descending = scanner.takeKeyword('DESC');
  if (!descending) scanner.takeKeyword('ASC');
  if (!scanner.atEnd) scanner.fail(descending ? 'the end' : 'ASC, DESC or the end');
  return { by: orderedBy(place), direction: descending ? 'desc' : 'asc' };
}

function scannerOf(text: string): FilterScanner {
  if (typeof text !== 'string') {
    throw new KeelsonError('INVALID', `A filter must be text, not a ${typeof text}.`);
  }
  if (text.length > longestFilter) {
    const expected = `the end within ${longestFilter} characters`;
    throw syntaxError(text, longestFilter, expected, `a filter of ${text.length}`);
  }
  const unfit = unfitCharacter(text);
  if (unfit >= 0) throw syntaxError(text, unfit, 'Unicode text without U+0000', 'something else');
  return new FilterScanner(text);
}

function unfitCharacter(text: string): number {
  const nul = text.indexOf('\u0000');
  return nul >= 0 ? nul : text.search(/\p{Cs}/u);
}

class FilterParser {
  readonly #scanner: FilterScanner;
  readonly #vocabulary: FilterVocabulary;
  #level = 0;
  #deepest = { level: 0, at: 0 };
  #comparisons = 0;
  #listValues = 0;

  constructor(scanner: FilterScanner, vocabulary: FilterVocabulary) {
    this.#scanner = scanner;
    this.#vocabulary = vocabulary;
  }

  parse(): Predicate {
    const predicate = this.#alternatives();
    if (!this.#scanner.atEnd) this.#scanner.fail('AND, OR or the end');
    if (depthOf(predicate) > predicateBounds.depth) this.#refuseDepth(this.#deepest.at);
    return predicate;
  }

  #alternatives(): Predicate {
    const first = this.#conjunction();
    if (!this.#scanner.takeKeyword('OR')) return first;
    const of = [first];
    do of.push(this.#conjunction());
    while (this.#scanner.takeKeyword('OR'));
    return { op: 'or', of };
  }

  #conjunction(): Predicate {
    const first = this.#negation();
    if (!this.#scanner.takeKeyword('AND')) return first;
    const of = [first];
    do of.push(this.#negation());
    while (this.#scanner.takeKeyword('AND'));
    return { op: 'and', of };
  }

  #negation(): Predicate {
    const at = this.#scanner.at;
    if (this.#scanner.takeKeyword('NOT')) {
      return this.#nested(at, () => ({ op: 'not', of: this.#negation() }));
    }
    if (!this.#scanner.take('(')) return this.#comparison();
    return this.#nested(at, () => {
      const inner = this.#alternatives();
      if (!this.#scanner.take(')')) this.#scanner.fail('AND, OR or )');
      return inner;
    });
  }

  #nested(at: number, parse: () => Predicate): Predicate {
    this.#level += 1;
    if (this.#level > predicateBounds.depth) this.#refuseDepth(at);
    if (this.#level > this.#deepest.level) this.#deepest = { level: this.#level, at };
    const predicate = parse();
    this.#level -= 1;
    return predicate;
  }

  #refuseDepth(at: number): never {
    return this.#scanner.fail(`at most ${predicateBounds.depth} levels of nesting`, at);
  }

  #comparison(): Predicate {
    const scanner = this.#scanner;
    const at = scanner.at;
    const name = scanner.takeName('a name, NOT or (');
    const place = resolveName(name, this.#vocabulary, scanner);
    this.#countComparison(at);
    if (place.keysOf !== undefined) return this.#key(place, place.keysOf);
    if (scanner.takeKeyword('IS')) return this.#presence(place);
    const negated = scanner.takeKeyword('NOT');
    const worded = this.#wordedComparison(place);
    if (worded !== undefined) {
      if (!negated) return worded;
      this.#countComparison(at);
      const present: Predicate = { op: 'present', left: place.selector };
      return { op: 'and', of: [present, { op: 'not', of: worded }] };
    }
    if (negated) return scanner.fail('IN, LIKE, ILIKE or BETWEEN');
    return this.#signedComparison(place);
  }

  #countComparison(at: number): void {
    this.#comparisons += 1;
    if (this.#comparisons <= predicateBounds.comparisons) return;
    this.#scanner.fail(`at most ${predicateBounds.comparisons} comparisons`, at);
  }

  #presence(place: NamedPlace): Predicate {
    const negated = this.#scanner.takeKeyword('NOT');
    if (!this.#scanner.takeKeyword('NULL'))
      this.#scanner.fail(negated ? 'NULL' : 'NULL or NOT NULL');
    const present: Predicate = { op: 'present', left: place.selector };
    return negated ? present : { op: 'not', of: present };
  }

  #wordedComparison(place: NamedPlace): Predicate | undefined {
    const scanner = this.#scanner;
    if (scanner.takeKeyword('LIKE')) return this.#like(place, true);
    if (scanner.takeKeyword('ILIKE')) return this.#like(place, false);
    if (scanner.takeKeyword('IN')) return this.#membership(place);
    if (!scanner.takeKeyword('BETWEEN')) return undefined;
    const low = readLiteral(scanner, place, 'order');
    if (!scanner.takeKeyword('AND')) scanner.fail('AND and the upper end of BETWEEN');
    return {
      op: 'between',
      left: orderedBy(place),
      low,
      high: readLiteral(scanner, place, 'order'),
    };
  }

  #like(place: NamedPlace, caseSensitive: boolean): Predicate {
    const expected = `a pattern in quotes, of at most ${predicateBounds.patternLength} characters`;
    const { value, at } = this.#scanner.takeValue(expected);
    if (typeof value !== 'string' || value.length > predicateBounds.patternLength) {
      return this.#scanner.fail(expected, at);
    }
    return { op: 'like', left: place.selector, pattern: value, caseSensitive };
  }

  #membership(place: NamedPlace): Extract<Predicate, { readonly op: 'in' }> {
    const scanner = this.#scanner;
    if (!scanner.take('(')) scanner.fail('( and a list of values');
    const values: Literal[] = [];
    do {
      this.#listValues += 1;
      if (this.#listValues > predicateBounds.listValues) {
        scanner.fail(`at most ${predicateBounds.listValues} values in lists`);
      }
      values.push(readLiteral(scanner, place, 'equality'));
    } while (scanner.take(','));
    if (!scanner.take(')')) scanner.fail(', or )');
    return { op: 'in', left: place.selector, values };
  }

  #signedComparison(place: NamedPlace): Predicate {
    const at = this.#scanner.at;
    const sign = this.#scanner.takeOperator();
    if (sign === undefined || !comparisons.includes(sign)) return this.#scanner.fail(operators, at);
    const cmp = sign as Comparison;
    const use = cmp === '=' || cmp === '!=' ? 'equality' : 'order';
    const value = readLiteral(this.#scanner, place, use);
    const left = use === 'order' ? orderedBy(place) : place.selector;
    return { op: 'compare', left, cmp, value };
  }

  /** Whether the facet has the key, or one of several. */
  #key(place: NamedPlace, facet: string): Predicate {
    const scanner = this.#scanner;
    const { at } = scanner;
    const has = (value: Literal): Predicate => ({
      op: 'present',
      left: { from: 'facet', facet, key: String(value) },
    });
    if (!scanner.takeKeyword('IN')) {
      if (scanner.takeOperator() !== '=') return scanner.fail('= or IN', at);
      return has(readLiteral(scanner, place, 'equality'));
    }
    const { values } = this.#membership(place);
    for (const _ of values) this.#countComparison(at);
    return { op: 'or', of: values.map(has) };
  }
}

function orderedBy({ order, selector }: NamedPlace): Selector {
  return order?.selector ?? selector;
}

function depthOf(predicate: Predicate): number {
  if (predicate.op === 'not') return 1 + depthOf(predicate.of);
  if (predicate.op !== 'and' && predicate.op !== 'or') return 1;
  return 1 + predicate.of.reduce((deepest, part) => Math.max(deepest, depthOf(part)), 0);
}
