import fc from 'fast-check';
import type { Comparison, Literal } from '../src/contracts/query.ts';
import type { Json } from '../src/json.ts';
import type { FilterVocabulary } from '../src/language/filter-vocabulary.ts';
import type { Evaluable } from '../src/language/select-value.ts';
import { numbers, texts } from '../src/testing/model/story-values.ts';

export { numbers, texts };

/** A filter text with what it should mean, built up together by the generator. */
export interface MeantFilter {
  readonly text: string;
  readonly holds: (record: Evaluable) => boolean;
}

/** The vocabulary of the generated filters. */
export const testVocabulary: FilterVocabulary = {
  scopes: {
    metrics: { in: 'facet', facet: 'metrics', holds: 'number', figures: true },
    params: { in: 'facet', facet: 'params', holds: 'any' },
    not: { in: 'facet', facet: 'params', holds: 'any' },
    body: { in: 'body', path: [] },
    attributes: { in: 'attributes' },
  },
  attributes: {
    id: { selector: { from: 'column', name: 'id' }, holds: 'text' },
    name: { selector: { from: 'column', name: 'name' }, holds: 'text' },
    size: { selector: { from: 'column', name: 'size' }, holds: 'number' },
    live: { selector: { from: 'column', name: 'live' }, holds: 'text', aliases: { yes: true } },
    start_time: { selector: { from: 'column', name: 'at' }, holds: 'time' },
  },
};

/** Keys that collide often, some of them hostile. */
export const keys: readonly string[] = [
  'a',
  'b.c',
  'loss',
  'loss.min',
  'min',
  '__proto__',
  'constructor',
  'a b',
  '`',
  '"',
  "'",
  'ключ',
  '😀',
  'not',
  'IN',
  '0',
];

const scalar: fc.Arbitrary<Json> = fc.oneof(
  { weight: 5, arbitrary: fc.constantFrom(...texts) },
  { weight: 5, arbitrary: fc.constantFrom(...numbers, Number.NaN) },
  { weight: 2, arbitrary: fc.boolean() },
  { weight: 1, arbitrary: fc.constant(null) },
  { weight: 1, arbitrary: fc.constantFrom<Json>([1], { a: 1 }, []) },
);

const map = <T>(value: fc.Arbitrary<T>): fc.Arbitrary<Record<string, T>> =>
  fc
    .array(fc.tuple(fc.constantFrom(...keys), value), { maxLength: 8 })
    .map((entries) => Object.fromEntries(entries));

const metricValue = fc.constantFrom(...numbers, Number.NaN);

/** Records over the places of {@link testVocabulary}. */
export const anyRecord: fc.Arbitrary<Evaluable> = fc
  .record({
    id: fc.constantFrom('r1', 'r2'),
    name: fc.option(fc.constantFrom(...texts), { nil: undefined }),
    size: fc.option(metricValue, { nil: undefined }),
    live: fc.option(fc.boolean(), { nil: undefined }),
    at: fc.option(fc.constantFrom(0, 1_700_000_000_000), { nil: undefined }),
    params: map(scalar),
    metrics: map(metricValue),
    figures: map(fc.record({ min: metricValue, max: metricValue }, { requiredKeys: [] })),
    body: map(scalar),
  })
  .map(({ id, name, size, live, at, params, metrics, figures, body }) => ({
    id,
    columns: { name, size, live, at },
    body,
    facets: { params, metrics },
    figures: { metrics: figures },
  }));

type Get = (record: Evaluable) => unknown;

interface Place {
  readonly text: string;
  readonly get: Get;
  readonly holds: 'text' | 'any' | 'number';
}

const quoteKey = (key: string): fc.Arbitrary<string> =>
  fc.constantFrom(`"${key.replaceAll('"', '""')}"`, `\`${key.replaceAll('`', '``')}\``);

const place: fc.Arbitrary<Place> = fc.oneof(
  fc.constantFrom<Place>(
    { text: 'id', get: (r) => r.id, holds: 'text' },
    { text: 'name', get: (r) => r.columns['name'], holds: 'text' },
    { text: 'attributes.name', get: (r) => r.columns['name'], holds: 'text' },
    { text: 'attributes."name"', get: (r) => r.columns['name'], holds: 'text' },
    { text: 'size', get: (r) => r.columns['size'], holds: 'number' },
    { text: 'live', get: (r) => r.columns['live'], holds: 'text' },
    { text: 'metrics.loss', get: (r) => get(r.facets['metrics'], 'loss'), holds: 'number' },
    { text: 'params.b.c', get: (r) => get(r.facets['params'], 'b.c'), holds: 'any' },
    { text: 'body.a', get: (r) => get(r.body, 'a'), holds: 'any' },
    {
      text: 'metrics.loss.min',
      get: (r) => get(get(r.figures?.['metrics'], 'loss'), 'min'),
      holds: 'number',
    },
    {
      text: 'metrics."loss.min".max',
      get: (r) => get(get(r.figures?.['metrics'], 'loss.min'), 'max'),
      holds: 'number',
    },
  ),
  fc
    .constantFrom(...keys)
    .chain((key) =>
      quoteKey(key).chain((quoted) =>
        fc.constantFrom<Place>(
          { text: `params.${quoted}`, get: (r) => get(r.facets['params'], key), holds: 'any' },
          { text: `metrics.${quoted}`, get: (r) => get(r.facets['metrics'], key), holds: 'number' },
          { text: `body.${quoted}`, get: (r) => get(r.body, key), holds: 'any' },
        ),
      ),
    ),
);

function get(map: unknown, key: string): unknown {
  return map === undefined ? undefined : Object.getOwnPropertyDescriptor(map, key)?.value;
}

interface WrittenLiteral {
  readonly text: string;
  readonly value: Literal;
}

function literalFor(holds: Place['holds'], ordered: boolean): fc.Arbitrary<WrittenLiteral> {
  const number = fc
    .constantFrom(...numbers)
    .map((value) => ({ text: Object.is(value, -0) ? '-0' : String(value), value }));
  const quoted = fc
    .tuple(fc.constantFrom(...texts), fc.constantFrom("'", '"'))
    .map(([value, q]) => ({ text: q + value.replaceAll(q, q + q) + q, value }));
  const boolean = fc.constantFrom({ text: 'TRUE', value: true }, { text: 'false', value: false });
  const asNumber = quoted
    .filter(({ value }) => plainNumber(value) !== undefined)
    .map(({ text, value }) => ({ text, value: plainNumber(value) ?? 0 }));
  if (holds === 'number') return fc.oneof(number, asNumber);
  if (holds === 'text' || !ordered) return fc.oneof(number, quoted, boolean);
  return fc.oneof(
    number,
    boolean,
    quoted.map(({ text, value }) => ({ text, value: plainNumber(value) ?? value })),
  );
}

const spaces = fc.constantFrom(' ', '  ', '\n', '\t ');
const cased = (keyword: string): fc.Arbitrary<string> =>
  fc.constantFrom(keyword, keyword.toLowerCase(), keyword[0] + keyword.slice(1).toLowerCase());

const comparison: fc.Arbitrary<MeantFilter> = place.chain((at) =>
  fc.oneof(
    fc.constantFrom<Comparison>('=', '!=', '<', '<=', '>', '>=').chain((cmp) =>
      literalFor(at.holds, cmp !== '=' && cmp !== '!=').map(({ text, value }) => ({
        text: `${at.text}${cmp}${text}`,
        holds: (r: Evaluable) => oracle(at.get(r), cmp, value),
      })),
    ),
    fc
      .tuple(literalFor(at.holds, true), literalFor(at.holds, true), fc.boolean())
      .map(([low, high, not]) => ({
        text: `${at.text} ${not ? 'NOT ' : ''}between ${low.text} AND ${high.text}`,
        holds: (r: Evaluable) =>
          at.get(r) !== undefined &&
          (oracle(at.get(r), '>=', low.value) && oracle(at.get(r), '<=', high.value)) !== not,
      })),
    fc
      .tuple(fc.array(literalFor(at.holds, false), { minLength: 1, maxLength: 4 }), fc.boolean())
      .map(([list, not]) => ({
        text: `${at.text} ${not ? 'not ' : ''}IN(${list.map((item) => item.text).join(' ,')})`,
        holds: (r: Evaluable) =>
          at.get(r) !== undefined &&
          list.some((item) => oracle(at.get(r), '=', item.value)) !== not,
      })),
    fc.tuple(pattern(), fc.boolean(), fc.boolean()).map(([like, exact, not]) => ({
      text: `${at.text} ${not ? 'NOT ' : ''}${exact ? 'LIKE' : 'ILIKE'} '${like.replaceAll("'", "''")}'`,
      holds: (r: Evaluable) =>
        at.get(r) !== undefined && oracleLike(at.get(r), like, exact) !== not,
    })),
    fc.boolean().map((not) => ({
      text: `${at.text} is ${not ? 'not ' : ''}null`,
      holds: (r: Evaluable) => (at.get(r) !== undefined) === not,
    })),
  ),
);

function pattern(): fc.Arbitrary<string> {
  return fc
    .array(fc.constantFrom('%', '_', 'a', 'A', 'b', '1', '0', '.', '😀', "'", 'true', '*'), {
      maxLength: 6,
    })
    .map((parts) => parts.join(''));
}

/** Filters, each with an oracle that shares no code with the parser and the evaluator. */
export const meantFilter: fc.Arbitrary<MeantFilter> = fc.letrec<{ filter: MeantFilter }>((tie) => ({
  filter: fc.oneof(
    { depthSize: 'small', withCrossShrink: true },
    comparison,
    fc.tuple(tie('filter'), cased('NOT'), spaces).map(([inner, not, gap]) => ({
      text: `${not}${gap}(${inner.text})`,
      holds: (r: Evaluable) => !inner.holds(r),
    })),
    fc.tuple(comparison, cased('NOT')).map(([inner, not]) => ({
      text: `${not} ${inner.text}`,
      holds: (r: Evaluable) => !inner.holds(r),
    })),
    // No parentheses in the middle: AND must bind tighter than OR.
    fc
      .tuple(tie('filter'), comparison, comparison, tie('filter'), cased('AND'), cased('OR'))
      .map(([a, b, c, d, and, or]) => ({
        text: `(${a.text})${and} ${b.text} ${or}\n${c.text} ${and}(${d.text})`,
        holds: (r: Evaluable) => (a.holds(r) && b.holds(r)) || (c.holds(r) && d.holds(r)),
      })),
  ),
})).filter;

// ——— the oracle: written from contracts/query.ts, slowly and plainly ———

function plainNumber(text: string): number | undefined {
  if (text === '' || text.trim() !== text || /[^0-9.eE+-]/.test(text)) return undefined;
  const value = Number(text);
  return Number.isFinite(value) ? value : undefined;
}

/** What a comparison of a stored value with a literal should say. */
export function oracle(stored: unknown, cmp: Comparison, literal: Literal): boolean {
  if (stored === undefined || stored === null || typeof stored === 'object') return false;
  if (typeof literal === 'boolean') {
    if (cmp !== '=' && cmp !== '!=') return false;
    const said = String(stored);
    if (said !== 'true' && said !== 'false') return false;
    return cmp === '=' ? said === String(literal) : said !== String(literal);
  }
  if (typeof literal === 'number') {
    const carried =
      typeof stored === 'number'
        ? stored
        : typeof stored === 'string'
          ? plainNumber(stored)
          : undefined;
    if (carried === undefined || Number.isNaN(carried)) return false;
    return {
      '=': carried === literal,
      '!=': carried !== literal,
      '<': carried < literal,
      '<=': carried <= literal,
      '>': carried > literal,
      '>=': carried >= literal,
    }[cmp];
  }
  const left = [...String(stored)].map((c) => c.codePointAt(0) ?? 0);
  const right = [...literal].map((c) => c.codePointAt(0) ?? 0);
  let i = 0;
  while (i < left.length && i < right.length && left[i] === right[i]) i += 1;
  const order = (left[i] ?? -1) - (right[i] ?? -1);
  return {
    '=': order === 0,
    '!=': order !== 0,
    '<': order < 0,
    '<=': order <= 0,
    '>': order > 0,
    '>=': order >= 0,
  }[cmp];
}

/** What `like` should say, by a regular expression. */
export function oracleLike(stored: unknown, like: string, caseSensitive: boolean): boolean {
  if (stored === undefined || stored === null || typeof stored === 'object') return false;
  const source = [...like]
    .map((c) => {
      if (c === '%') return '.*';
      if (c === '_') return '.';
      if (!caseSensitive && /[a-zA-Z]/.test(c)) return `[${c.toLowerCase()}${c.toUpperCase()}]`;
      return `\\u{${(c.codePointAt(0) ?? 0).toString(16)}}`;
    })
    .join('');
  return new RegExp(`^${source}$`, 'su').test(String(stored));
}
