import type { Literal, Selector, SummaryFigure } from '../contracts/query.ts';
import type { FilterScanner, NamePart } from './filter-scanner.ts';
import { syntaxError } from './filter-scanner.ts';
import type { FilterOrder, FilterVocabulary, ValueType } from './filter-vocabulary.ts';
import { readNumber } from './stored-value.ts';

/** What a name in a filter stands for. */
export interface NamedPlace {
  readonly selector: Selector;
  readonly holds: ValueType;
  readonly aliases: Readonly<Record<string, Literal>>;
  readonly order?: FilterOrder;
  readonly keysOf?: string;
}

/** The figures that may end the name of a metric. */
export const figureNames: readonly SummaryFigure[] = [
  'last',
  'min',
  'max',
  'mean',
  'first',
  'count',
];

/** Finds what a name stands for; SYNTAX, at the part that has no meaning, when it stands for nothing. */
export function resolveName(
  name: readonly [NamePart, ...NamePart[]],
  vocabulary: FilterVocabulary,
  scanner: FilterScanner,
): NamedPlace {
  const [head, ...rest] = name;
  if (rest.length === 0) return attributeOf(head, vocabulary, scanner);
  const scope = own(vocabulary.scopes, head.text);
  if (scope === undefined || head.quoted) {
    const scopes = Object.keys(vocabulary.scopes).map((word) => `${word}.`);
    return unknownWord(scanner, head, 'an attribute, or a name that starts with', scopes);
  }
  switch (scope.in) {
    case 'attributes':
      return attributeOf(joined(rest), vocabulary, scanner);
    case 'body': {
      const path = [...scope.path, ...rest.map((part) => part.text)];
      return { selector: { from: 'body', path }, holds: 'any', aliases: {} };
    }
    case 'facet': {
      const { facet, holds } = scope;
      const figure = scope.figures === true ? figureOf(rest) : undefined;
      const named = joined(figure === undefined ? rest : rest.slice(0, -1));
      const { text: key } = named;
      if (scope.keys?.includes(key) === false) {
        return unknownWord(scanner, named, `one of the ${head.text}`, scope.keys);
      }
      const where = { from: 'facet', facet, key } as const;
      return { selector: figure === undefined ? where : { ...where, figure }, holds, aliases: {} };
    }
  }
}

/** Reads the value that a place is compared with, as {@link ValueType} says. */
export function readLiteral(
  scanner: FilterScanner,
  place: NamedPlace,
  use: 'equality' | 'order',
): Literal {
  const { order } = place;
  const ordered = use === 'order' && order !== undefined;
  const expected = ordered ? order.expected : expectedValue[place.holds];
  const { value, at } = scanner.takeValue(expected);
  if (ordered) {
    const key = typeof value === 'string' ? order.key(value) : undefined;
    return key ?? scanner.fail(expected, at);
  }
  if (use === 'equality') {
    const alias = own(place.aliases, String(value));
    if (alias !== undefined) return alias;
  }
  if (place.holds === 'text' || (place.holds === 'any' && use === 'equality')) return value;
  if (typeof value === 'number') return value;
  const number = typeof value === 'string' ? readNumber(value) : undefined;
  if (number !== undefined) return number;
  if (place.holds === 'any') return value;
  const time = place.holds === 'time' && typeof value === 'string' ? readTime(value) : undefined;
  return time ?? scanner.fail(expected, at);
}

const expectedValue: Readonly<Record<ValueType, string>> = {
  text: 'a value (a text in quotes, a number, TRUE or FALSE)',
  any: 'a value (a text in quotes, a number, TRUE or FALSE)',
  number: 'a number',
  time: "a time (epoch ms, or such as '2026-11-23T14:30:00Z')",
};

function attributeOf(
  name: NamePart,
  vocabulary: FilterVocabulary,
  scanner: FilterScanner,
): NamedPlace {
  const attribute = own(vocabulary.attributes, name.text);
  if (attribute === undefined) {
    return unknownWord(scanner, name, 'one of the attributes', Object.keys(vocabulary.attributes));
  }
  return { aliases: {}, ...attribute };
}

function joined(parts: readonly NamePart[]): NamePart {
  const text = parts.map((part) => part.text).join('.');
  return { text, quoted: parts.some((part) => part.quoted), at: parts[0]?.at ?? 0 };
}

// `metrics.min` is a metric called min; `metrics."loss.min"` one called loss.min.
function figureOf(parts: readonly NamePart[]): SummaryFigure | undefined {
  const last = parts.at(-1);
  if (parts.length < 2 || last === undefined || last.quoted) return undefined;
  return figureNames.find((figure) => figure === last.text);
}

function unknownWord(
  scanner: FilterScanner,
  part: NamePart,
  what: string,
  words: readonly string[],
): never {
  const found = `"${part.text.length > 60 ? `${part.text.slice(0, 60)}…` : part.text}"`;
  throw syntaxError(scanner.text, part.at, `${what} (${words.join(', ')})`, found);
}

const isoTime =
  /^[0-9]{4}-[0-9]{2}-[0-9]{2}(?:[T ][0-9]{2}:[0-9]{2}(?::[0-9]{2}(?:\.[0-9]{1,9})?)?(Z|[+-][0-9]{2}:[0-9]{2})?)?$/;

function readTime(text: string): number | undefined {
  const match = isoTime.exec(text);
  if (match === null) return undefined;
  const zoned = text.length === 10 || match[1] !== undefined ? text : `${text}Z`;
  const time = Date.parse(zoned.replace(' ', 'T'));
  return Number.isNaN(time) ? undefined : time;
}

function own<T>(map: Readonly<Record<string, T>>, key: string): T | undefined {
  return Object.hasOwn(map, key) ? map[key] : undefined;
}
