import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import {
  anyRecord,
  keys,
  meantFilter,
  testVocabulary,
  texts,
} from '../../test/filter-arbitraries.ts';
import { isKeelsonError } from '../errors.ts';
import { evaluatePredicate } from './evaluate-predicate.ts';
import { parseFilter, parseOrder } from './parse-filter.ts';
import { printFilter } from './print-filter.ts';

const parse = (text: string) => parseFilter(text, testVocabulary);

/** The error of a text that must not be read, with its parts. */
function refusal(text: string): {
  position: number;
  expected: string;
  found: string;
  message: string;
} {
  try {
    parse(text);
  } catch (error) {
    if (!isKeelsonError(error, 'SYNTAX')) throw error;
    const { position, expected, found } = error.details;
    return {
      position: Number(position),
      expected: String(expected),
      found: String(found),
      message: error.message,
    };
  }
  throw new Error(`was read: ${text}`);
}

describe('parseFilter', () => {
  test('binds NOT before AND before OR, and keeps chains flat', () => {
    const leaf = (value: number) => ({
      op: 'compare',
      left: { from: 'facet', facet: 'metrics', key: 'a' },
      cmp: '=',
      value,
    });
    expect(parse('metrics.a=1 OR metrics.a=2 AND NOT metrics.a=3 AND metrics.a=4')).toEqual({
      op: 'or',
      of: [leaf(1), { op: 'and', of: [leaf(2), { op: 'not', of: leaf(3) }, leaf(4)] }],
    });
  });

  test('a text that reads as a number is a number where params are ordered, a text where they are equal', () => {
    const left = { from: 'facet', facet: 'params', key: 'lr' };
    expect(parse("params.lr > '0.10'")).toEqual({ op: 'compare', left, cmp: '>', value: 0.1 });
    expect(parse("params.lr = '0.10'")).toEqual({ op: 'compare', left, cmp: '=', value: '0.10' });
    expect(parse("params.lr > 'adam'")).toEqual({ op: 'compare', left, cmp: '>', value: 'adam' });
    expect(parse("params.lr BETWEEN '1' AND '2'")).toEqual({
      op: 'between',
      left,
      low: 1,
      high: 2,
    });
    expect(parse("params.lr IN ('1', 2)")).toEqual({ op: 'in', left, values: ['1', 2] });
    expect(parse("name > '5'")).toMatchObject({ value: '5' });
  });

  test('keywords before a point, and figures in quotes, are names', () => {
    expect(parse('not.x = 1 AND NOT not.x = 2')).toMatchObject({
      of: [{ left: { facet: 'params', key: 'x' } }, { op: 'not' }],
    });
    expect(parse('metrics.a."min" = 1')).toMatchObject({ left: { key: 'a.min' } });
    expect(parse('metrics."a".min = 1')).toMatchObject({ left: { key: 'a', figure: 'min' } });
  });

  test('other words for values count where values are equal, not where they are ordered', () => {
    expect(parse("live = 'yes'")).toMatchObject({ value: true });
    expect(parse("live IN ('yes', 'x')")).toMatchObject({ values: [true, 'x'] });
    expect(parse("live > 'yes'")).toMatchObject({ value: 'yes' });
  });

  test('times are epoch ms or ISO 8601', () => {
    expect(parse('start_time >= 1700000000000')).toMatchObject({ value: 1_700_000_000_000 });
    expect(parse("start_time >= '2026-11-23'")).toMatchObject({ value: Date.UTC(2026, 10, 23) });
    expect(parse("start_time >= '2026-11-23 14:30'")).toMatchObject({
      value: Date.UTC(2026, 10, 23, 14, 30),
    });
    expect(parse("start_time >= '2026-11-23T14:30:00.5+01:00'")).toMatchObject({
      value: Date.UTC(2026, 10, 23, 13, 30, 0, 500),
    });
    expect(refusal("start_time >= '2026-13-99'").expected).toContain('a time');
    expect(refusal("start_time >= 'yesterday'").position).toBe(14);
  });

  test.each([
    ['metrics.loss', 12, 'BETWEEN', 'the end'],
    ['metrics.loss ! 3', 13, 'IS [NOT] NULL', '"!"'],
    ['metrics.loss == 3', 13, 'LIKE', '"=="'],
    ['metrics.loss <> 3', 13, 'LIKE', '"<>"'],
    ['metrics.loss > ', 15, 'a number', 'the end'],
    ['metrics.loss > x', 15, 'a number', '"x"'],
    ['metrics.loss > TRUE', 15, 'a number', '"TRUE"'],
    ['metrics.loss > NaN', 15, 'a number', '"NaN"'],
    ['metrics.loss > 1e999', 15, 'range of doubles', '"1e999"'],
    ['metrics.loss > 1x', 15, 'a number', '"1x"'],
    ['params.a = b', 11, 'a text in quotes', '"b"'],
    ["params.a = 'b", 11, "a closing '", 'the end'],
    ['params."a = 1', 7, 'a closing "', 'the end'],
    ['params.', 7, 'a part of the name', 'the end'],
    ['params..a = 1', 7, 'a part of the name', '".a"'],
    ['params . a = 1', 0, 'one of the attributes', '"params"'],
    ['nothing.a = 1', 0, 'metrics.', '"nothing"'],
    ['"params".a = 1', 0, 'metrics.', '"params"'],
    ['attributes.nothing = 1', 11, 'one of the attributes (id, name', '"nothing"'],
    ['size = 1 size = 2', 9, 'AND, OR or the end', '"size"'],
    ['size = 1 AND', 12, 'a name, NOT or (', 'the end'],
    ['size = 1 AND AND size = 2', 13, 'one of the attributes', '"AND"'],
    ['(size = 1', 9, 'AND, OR or )', 'the end'],
    ['size = 1)', 8, 'AND, OR or the end', '")"'],
    ['()', 1, 'a name, NOT or (', '")"'],
    ['NOT', 3, 'a name, NOT or (', 'the end'],
    ['size NOT = 1', 9, 'IN, LIKE, ILIKE or BETWEEN', '"="'],
    ['size IS 1', 8, 'NULL or NOT NULL', '"1"'],
    ['size IS NOT', 11, 'NULL', 'the end'],
    ['size IN 1', 8, '(', '"1"'],
    ['size IN ()', 9, 'a number', '")"'],
    ['size IN (1 2)', 11, ', or )', '"2"'],
    ['size BETWEEN 1', 14, 'AND and the upper end', 'the end'],
    ['size BETWEEN 1 OR 2', 15, 'AND and the upper end', '"OR"'],
    ['name LIKE 5', 10, 'a pattern in quotes', '"5"'],
    ['5 = 5', 0, 'one of the attributes', '"5"'],
    ['; DROP TABLE runs', 0, 'a name, NOT or (', '";"'],
    ['size = 1\u0000', 8, 'Unicode text', 'something else'],
    ['name = "\ud800"', 8, 'Unicode text', 'something else'],
  ])('%j is refused at %i', (text, position, expected, found) => {
    const error = refusal(text);
    expect(error.position).toBe(position);
    expect(error.expected).toContain(expected);
    expect(error.found).toBe(found);
    const [, shown, caret] = error.message.split('\n');
    // The caret stands below the place.
    expect(caret?.indexOf('^')).toBe(2 + position);
    expect(shown?.length).toBeLessThan(100);
  });

  test('the place is shown in a long filter too, on one line, without control characters', () => {
    const text = `${'size = 1 AND\n'.repeat(300)}name ~ \u001b[31m`;
    const { message, position } = refusal(text);
    const [, shown = '', caret = '', ...more] = message.split('\n');
    expect(more).toEqual([]);
    expect(position).toBe(text.indexOf('~'));
    expect(shown[caret.indexOf('^')]).toBe('~');
    // biome-ignore lint/suspicious/noControlCharactersInRegex: that there are none is the point.
    expect(message.replaceAll('\n', '')).not.toMatch(/[\u0000-\u001f]/);
  });

  test('bounds are named', () => {
    const deep = (levels: number) => `${'('.repeat(levels)}size = 1${')'.repeat(levels)}`;
    expect(parse(deep(100))).toMatchObject({ op: 'compare' });
    expect(refusal(deep(101))).toMatchObject({
      position: 100,
      expected: 'at most 100 levels of nesting',
    });
    expect(refusal('NOT '.repeat(5000)).expected).toBe('at most 100 levels of nesting');
    expect(parse(Array.from({ length: 200 }, () => '(size = 1)').join(' OR '))).toBeDefined();
    const mixed = (levels: number) =>
      `${'(size = 1 OR size = 2 AND '.repeat(levels)}size = 3${')'.repeat(levels)}`;
    expect(parse(mixed(49))).toMatchObject({ op: 'or' });
    expect(refusal(mixed(60)).expected).toBe('at most 100 levels of nesting');
    const wide = (count: number) => Array.from({ length: count }, () => 'size = 1').join(' OR ');
    expect(parse(wide(500))).toMatchObject({ op: 'or' });
    expect(refusal(wide(501)).expected).toBe('at most 500 comparisons');
    const list = (count: number) =>
      `size IN (${Array.from({ length: count }, () => '1').join(',')})`;
    expect(parse(list(10_000))).toMatchObject({ op: 'in' });
    expect(refusal(list(10_001)).expected).toBe('at most 10000 values in lists');
    expect(parse(`name LIKE '${'%'.repeat(1000)}'`)).toMatchObject({ op: 'like' });
    expect(refusal(`name LIKE '${'%'.repeat(1001)}'`).position).toBe(10);
    expect(parse(`params.\`${'k'.repeat(99_980)}\` = 1`)).toMatchObject({ op: 'compare' });
    expect(refusal(`params.\`${'k'.repeat(1_000_000)}\` = 1`).position).toBe(100_000);
    expect(refusal(' '.repeat(100_001)).position).toBe(100_000);
    expect(parse(' '.repeat(100_000))).toBeUndefined();
  });

  test('what is no text is INVALID', () => {
    expect(() => parse(5 as unknown as string)).toThrow('A filter must be text');
  });

  test('means what an independent oracle says', () => {
    fc.assert(
      fc.property(
        meantFilter,
        fc.array(anyRecord, { minLength: 1, maxLength: 5 }),
        (filter, records) => {
          const predicate = parse(filter.text);
          if (predicate === undefined) throw new Error('read as blank');
          for (const record of records) {
            expect(evaluatePredicate(predicate, record)).toBe(filter.holds(record));
          }
        },
      ),
      { numRuns: 3_000 },
    );
  });

  test('printed and read again, a predicate is the same', () => {
    fc.assert(
      fc.property(meantFilter, ({ text }) => {
        const predicate = parse(text);
        if (predicate === undefined) throw new Error('read as blank');
        expect(parse(printFilter(predicate, testVocabulary))).toEqual(predicate);
      }),
      { numRuns: 2_000 },
    );
  });
});

test('an integer that would be rounded is refused; exact ones and shortest forms are read', () => {
  for (const text of ['9007199254740993', '-9007199254740995', '12345678901234567890123']) {
    expect(refusal(`metrics.a = ${text}`)).toMatchObject({
      position: 12,
      expected: expect.stringContaining('in quotes'),
    });
  }
  for (const value of [2 ** 53 - 1, 2 ** 53, 2 ** 53 + 2, 2 ** 60, 1e20, 1e300]) {
    expect(parse(`metrics.a = ${value}`)).toMatchObject({ value });
    expect(parse(`metrics.a = ${BigInt(value)}`)).toMatchObject({ value });
  }
  expect(parse("params.a = '9007199254740993'")).toMatchObject({ value: '9007199254740993' });
});

// KEELSON_FILTERS=100000 is the long form.
const filters = Number(process.env['KEELSON_FILTERS'] ?? 10_000);

describe('hostile filters', () => {
  // A result or a SYNTAX error with a position inside the text; what hangs, the test's time ends.
  function read(text: string): void {
    try {
      parse(text);
    } catch (error) {
      if (!isKeelsonError(error, 'SYNTAX')) throw error;
      const { position, expected, found } = error.details;
      expect(
        Number.isInteger(position) && Number(position) >= 0 && Number(position) <= text.length,
      ).toBe(true);
      expect(expected).not.toBe('');
      expect(found).not.toBe('');
      // The caret stands under the character at the position, or behind the last one.
      const [, shown = '', caret = '', ...more] = error.message.split('\n');
      expect(more).toEqual([]);
      expect(caret.trimStart()).toBe('^');
      const under = shown[caret.length - 1];
      const meant = text[Number(position)];
      const isShown = meant !== undefined && /[\p{L}\p{N}\p{P}\p{S}]/u.test(meant);
      if (meant === undefined) expect(under).toBeUndefined();
      else if (isShown) expect(under).toBe(meant);
    }
  }

  test('random byte strings', () => {
    const bytes = fc.uint8Array({ maxLength: 60 });
    fc.assert(
      fc.property(bytes, fc.boolean(), (raw, latin) => {
        read(Buffer.from(raw).toString(latin ? 'latin1' : 'utf8'));
      }),
      { numRuns: filters },
    );
  });

  test('mutated filters', () => {
    const pieces = [
      ...keys,
      ...texts,
      "'",
      '"',
      '`',
      '(',
      ')',
      ',',
      '.',
      ' ',
      'NOT ',
      ' AND ',
      ' OR ',
      ' IN ',
      ' LIKE ',
      ' BETWEEN ',
      ' IS ',
      'NULL',
      '=',
      '<',
      '!',
      'metrics.',
      'params.',
      '\u0000',
      '\ud800',
      '1e',
      '-',
      '+',
      '.5',
      '5.',
      '--',
      '/*',
      '\\',
      '\n',
    ];
    const edit = fc.tuple(fc.nat(), fc.nat(6), fc.constantFrom(...pieces));
    // Some hundreds of filters, each mutated many times: generating them is what takes long.
    const seeds = fc.sample(meantFilter, 500).map((filter) => filter.text);
    fc.assert(
      fc.property(
        fc.constantFrom(...seeds),
        fc.array(edit, { minLength: 1, maxLength: 4 }),
        (seed, edits) => {
          let text = seed;
          for (const [where, cut, piece] of edits) {
            const at = where % (text.length + 1);
            text = text.slice(0, at) + piece + text.slice(at + cut);
          }
          read(text);
        },
      ),
      { numRuns: filters },
    );
  });

  test.each([
    ['one word', 'a'.repeat(100_000)],
    ['opening parentheses', '('.repeat(100_000)],
    ['quotes', "'".repeat(99_999)],
    ['doubled quotes', `name = '${"''".repeat(49_990)}'`],
    ['digits', `size = ${'1'.repeat(99_990)}`],
    ['points', `params${'.a'.repeat(49_990)} = 1`],
    ['operators', `size ${'<'.repeat(99_990)}`],
    ['blanks', `size${' '.repeat(99_990)}= 1`],
    ['signs', `size = ${'-'.repeat(99_990)}`],
    ['unclosed lists', `size IN (${'1,'.repeat(49_990)}`],
    ['exponents', `size = 1${'e1'.repeat(49_990)}`],
    ['combining marks', `params.a${'\u0301'.repeat(99_980)} = 1`],
  ])('%s by the hundred thousand', (_name, text) => read(text));

  test('values reach the predicate as they are', () => {
    for (const value of [
      "'; DROP TABLE runs; --",
      '$1',
      '?1',
      '%',
      '__proto__',
      'a\\',
      '\n',
      '{"$ne":null}',
    ]) {
      expect(parse(`name = '${value.replaceAll("'", "''")}'`)).toMatchObject({ value });
    }
    expect(parse('params.__proto__ = 1')).toMatchObject({ left: { key: '__proto__' } });
    expect(() => parse('__proto__ = 1')).toThrow('one of the attributes');
    expect(() => parse('constructor.a = 1')).toThrow('a name that starts with');
  });
});

describe('parseOrder', () => {
  test.each([
    ['size', 'asc'],
    ['size ASC', 'asc'],
    ['size desc', 'desc'],
    ['attributes.size\tDESC ', 'desc'],
  ])('%j', (text, direction) => {
    expect(parseOrder(text, testVocabulary)).toEqual({
      by: { from: 'column', name: 'size' },
      direction,
    });
  });

  test.each([
    ['', 0],
    ['size sideways', 5],
    ['size DESC, name', 9],
    ['nothing DESC', 0],
    ['size ASC DESC', 9],
  ])('%j is refused at %i', (text, position) => {
    expect(() => parseOrder(text, testVocabulary)).toThrow(
      expect.objectContaining({ code: 'SYNTAX', details: expect.objectContaining({ position }) }),
    );
  });
});
