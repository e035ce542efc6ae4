import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { numbers, oracleLike, texts } from '../../test/filter-arbitraries.ts';
import type { Order, Predicate } from '../contracts/query.ts';
import type { KindDeclaration } from '../contracts/record.ts';
import { checkOrder, checkPredicate } from './check-predicate.ts';
import { compareRecords } from './compare-records.ts';
import { evaluatePredicate } from './evaluate-predicate.ts';
import { matchesLike } from './like-pattern.ts';
import type { Evaluable } from './select-value.ts';
import { compareText, readNumber } from './stored-value.ts';

const record = (params: Record<string, unknown>, more: Partial<Evaluable> = {}): Evaluable =>
  ({ columns: {}, body: {}, facets: { params }, ...more }) as Evaluable;

const param = (key: string) => ({ from: 'facet', facet: 'params', key }) as const;

describe('evaluatePredicate', () => {
  // The rows are contracts/query.ts, sentence by sentence.
  test.each<[string, unknown, Predicate, boolean]>([
    [
      'missing is not equal',
      undefined,
      { op: 'compare', left: param('x'), cmp: '=', value: 1 },
      false,
    ],
    ['nor unequal', undefined, { op: 'compare', left: param('x'), cmp: '!=', value: 1 }, false],
    [
      'not inverts',
      undefined,
      { op: 'not', of: { op: 'compare', left: param('x'), cmp: '=', value: 1 } },
      true,
    ],
    [
      'text that reads as a number',
      '0.10',
      { op: 'compare', left: param('x'), cmp: '=', value: 0.1 },
      true,
    ],
    ['text that does not', 'adam', { op: 'compare', left: param('x'), cmp: '!=', value: 1 }, false],
    [
      'a boolean carries no number',
      true,
      { op: 'compare', left: param('x'), cmp: '=', value: 1 },
      false,
    ],
    [
      'NaN equals nothing',
      Number.NaN,
      { op: 'compare', left: param('x'), cmp: '=', value: Number.NaN },
      false,
    ],
    [
      'NaN differs from nothing',
      Number.NaN,
      { op: 'compare', left: param('x'), cmp: '!=', value: 1 },
      false,
    ],
    [
      'NaN has a text',
      Number.NaN,
      { op: 'compare', left: param('x'), cmp: '=', value: 'NaN' },
      true,
    ],
    ['−0 equals 0', -0, { op: 'compare', left: param('x'), cmp: '=', value: 0 }, true],
    ['−0 has the text 0', -0, { op: 'compare', left: param('x'), cmp: '=', value: '0' }, true],
    [
      'infinity is above',
      Number.POSITIVE_INFINITY,
      { op: 'compare', left: param('x'), cmp: '>', value: 1e308 },
      true,
    ],
    [
      'a number has its shortest text',
      1e21,
      { op: 'compare', left: param('x'), cmp: '=', value: '1e+21' },
      true,
    ],
    [
      'text by code points',
      '😀',
      { op: 'compare', left: param('x'), cmp: '>', value: '\uffff' },
      true,
    ],
    [
      'a boolean has a text',
      true,
      { op: 'like', left: param('x'), pattern: 'tr%', caseSensitive: true },
      true,
    ],
    ['true is true', 'true', { op: 'compare', left: param('x'), cmp: '=', value: true }, true],
    [
      'other texts are no booleans',
      'yes',
      { op: 'compare', left: param('x'), cmp: '!=', value: true },
      false,
    ],
    [
      'booleans are not ordered',
      false,
      { op: 'compare', left: param('x'), cmp: '<', value: true },
      false,
    ],
    ['null is present', null, { op: 'present', left: param('x') }, true],
    [
      'null compares with nothing',
      null,
      { op: 'compare', left: param('x'), cmp: '!=', value: 'a' },
      false,
    ],
    [
      'an array matches nothing',
      [1],
      { op: 'like', left: param('x'), pattern: '%', caseSensitive: true },
      false,
    ],
    ['in nothing', 1, { op: 'in', left: param('x'), values: [] }, false],
    ['and of nothing', 1, { op: 'and', of: [] }, true],
    ['or of nothing', 1, { op: 'or', of: [] }, false],
  ])('%s', (_name, value, predicate, expected) => {
    expect(evaluatePredicate(predicate, record(value === undefined ? {} : { x: value }))).toBe(
      expected,
    );
  });

  test('a body path walks objects, not arrays and not prototypes', () => {
    const body = { a: { b: { c: 1 } }, list: [7], text: 'abc' };
    const present = (...path: string[]) =>
      evaluatePredicate({ op: 'present', left: { from: 'body', path } }, record({}, { body }));
    expect(present('a', 'b', 'c')).toBe(true);
    expect(present('list', '0')).toBe(false);
    expect(present('text', 'length')).toBe(false);
    expect(present('__proto__')).toBe(false);
    expect(present('a', 'constructor')).toBe(false);
  });

  test('built-in columns come before declared ones of the same name', () => {
    const one = record({}, { id: 'r1', revision: 3, columns: { id: 'other', size: 2 } });
    const is = (name: string, value: string | number) =>
      evaluatePredicate({ op: 'compare', left: { from: 'column', name }, cmp: '=', value }, one);
    expect(is('id', 'r1') && is('revision', 3) && is('size', 2)).toBe(true);
    expect(is('createdAt', 0)).toBe(false);
  });
});

describe('matchesLike', () => {
  test('as a regular expression would', () => {
    const piece = fc.constantFrom('%', '_', 'a', 'A', 'b', '😀', 'é', 'É', '\n', '.', '*');
    const words = fc.array(piece, { maxLength: 9 }).map((parts) => parts.join(''));
    fc.assert(
      fc.property(words, words, fc.boolean(), (text, pattern, exact) => {
        expect(matchesLike(text, pattern, exact)).toBe(oracleLike(text, pattern, exact));
      }),
      { numRuns: 20_000 },
    );
  });

  test('a hostile pattern on a long text takes no exponential time', () => {
    // With backtracking this would not end before the test's time is up.
    expect(matchesLike('a'.repeat(100_000), `${'%a'.repeat(400)}b`, true)).toBe(false);
    expect(matchesLike('a'.repeat(100_000), `%${'_a'.repeat(100)}b%`, false)).toBe(false);
  });
});

describe('readNumber', () => {
  test('decimal numbers and nothing else', () => {
    for (const value of numbers.filter(Number.isFinite)) {
      expect(readNumber(String(value))).toBe(Object.is(value, -0) ? 0 : value);
    }
    for (const text of ['5.', '.5', '+1', '-1e-3', '00'])
      expect(readNumber(text)).toBe(Number(text));
    for (const text of [
      '',
      '.',
      'e1',
      '1e',
      '1_0',
      '0x1',
      '１',
      ' 1',
      '1 ',
      '1n',
      '--1',
      'NaN',
      'inf',
      '1e999',
      `0.${'1'.repeat(399)}`,
    ]) {
      expect(readNumber(text)).toBeUndefined();
    }
  });

  test('the text of any double reads as that double', () => {
    fc.assert(
      fc.property(fc.double({ noNaN: true, noDefaultInfinity: true }), (value) => {
        expect(readNumber(String(value))).toBe(value === 0 ? 0 : value);
      }),
    );
  });
});

describe('compareText', () => {
  test('orders as UTF-8 bytes do', () => {
    const text = fc.string({
      unit: fc.constantFrom('a', 'b', '\uffff', '\ue000', '😀', '😁', '\ud7ff', 'é'),
    });
    fc.assert(
      fc.property(text, text, (a, b) => {
        expect(Math.sign(compareText(a, b))).toBe(Buffer.compare(Buffer.from(a), Buffer.from(b)));
      }),
      { numRuns: 5_000 },
    );
  });
});

describe('compareRecords', () => {
  const sorted = (values: readonly unknown[], direction: Order['direction']): unknown[] =>
    values
      .map((value, i) => record(value === undefined ? {} : { x: value }, { id: String(i) }))
      .toSorted(compareRecords([{ by: param('x'), direction }]))
      .map((one) => one.facets['params']?.['x']);

  test('numbers, then text, then what is missing, in both directions', () => {
    const values = [
      'b',
      undefined,
      10,
      Number.NaN,
      '9',
      'a',
      null,
      -1,
      true,
      [1],
      Number.POSITIVE_INFINITY,
    ];
    expect(sorted(values, 'asc')).toEqual([
      -1,
      '9',
      10,
      Number.POSITIVE_INFINITY,
      'a',
      'b',
      true,
      undefined,
      Number.NaN,
      null,
      [1],
    ]);
    expect(sorted(values, 'desc')).toEqual([
      Number.POSITIVE_INFINITY,
      10,
      '9',
      -1,
      true,
      'b',
      'a',
      undefined,
      Number.NaN,
      null,
      [1],
    ]);
  });

  test('a text column sorts as text; ties go by id in both directions', () => {
    const rows = [
      ['c', '9'],
      ['b', '10'],
      ['a', '10'],
      ['d', undefined],
    ].map(([id, name]) => record({}, { id: id ?? '', columns: { name } }));
    const ids = (direction: Order['direction']) =>
      rows
        .toSorted(compareRecords([{ by: { from: 'column', name: 'name' }, direction }]))
        .map((one) => one.id);
    expect(ids('asc')).toEqual(['a', 'b', 'c', 'd']);
    expect(ids('desc')).toEqual(['c', 'a', 'b', 'd']);
  });

  test('is an order', () => {
    const value = fc.constantFrom<unknown>(
      ...texts,
      ...numbers,
      Number.NaN,
      null,
      true,
      false,
      undefined,
    );
    const compare = compareRecords([{ by: param('x'), direction: 'asc' }]);
    const one = (x: unknown): Evaluable => record(x === undefined ? {} : { x });
    fc.assert(
      fc.property(value, value, value, (a, b, c) => {
        expect(Math.sign(compare(one(a), one(b)))).toBe(0 - Math.sign(compare(one(b), one(a))));
        if (compare(one(a), one(b)) <= 0 && compare(one(b), one(c)) <= 0) {
          expect(compare(one(a), one(c))).toBeLessThanOrEqual(0);
        }
      }),
      { numRuns: 5_000 },
    );
  });
});

describe('checkPredicate', () => {
  const kind: KindDeclaration = {
    name: 'thing',
    columns: { name: { type: 'text' } },
    facets: { params: { source: 'merged' }, metrics: { source: 'projected' } },
    history: 'none',
  };
  const leaf: Predicate = { op: 'present', left: { from: 'column', name: 'name' } };
  const nest = (levels: number): Predicate =>
    levels === 1 ? leaf : { op: 'not', of: nest(levels - 1) };
  const bad = (value: unknown): Predicate => value as Predicate;

  test.each<[string, Predicate]>([
    ['has no column size', { op: 'present', left: { from: 'column', name: 'size' } }],
    ['has no column __proto__', { op: 'present', left: { from: 'column', name: '__proto__' } }],
    ['has no facet tags', { op: 'present', left: { from: 'facet', facet: 'tags', key: 'a' } }],
    [
      'has no facet constructor',
      { op: 'present', left: { from: 'facet', facet: 'constructor', key: 'a' } },
    ],
    [
      'has no figure min',
      { op: 'present', left: { from: 'facet', facet: 'params', key: 'a', figure: 'min' } },
    ],
    [
      'has no figure median',
      bad({ op: 'present', left: { from: 'facet', facet: 'metrics', key: 'a', figure: 'median' } }),
    ],
    ['U+0000', { op: 'present', left: { from: 'facet', facet: 'params', key: '\u0000' } }],
    [
      'U+0000',
      {
        op: 'compare',
        left: leaf.op === 'present' ? leaf.left : param('x'),
        cmp: '=',
        value: '\u0000',
      },
    ],
    [
      'no comparison ~',
      bad({ op: 'compare', left: { from: 'column', name: 'name' }, cmp: '~', value: 1 }),
    ],
    ['no predicate xor', bad({ op: 'xor', left: { from: 'column', name: 'name' } })],
    [
      'text, a number or a boolean',
      bad({ op: 'in', left: { from: 'column', name: 'name' }, values: [null] }),
    ],
    [
      'at most 1000',
      {
        op: 'like',
        left: { from: 'column', name: 'name' },
        pattern: 'a'.repeat(1001),
        caseSensitive: true,
      },
    ],
    ['100 levels', nest(101)],
    ['500 comparisons', { op: 'and', of: Array.from({ length: 501 }, () => leaf) }],
    [
      '10000 values',
      {
        op: 'in',
        left: { from: 'column', name: 'name' },
        values: Array.from({ length: 10_001 }, () => 1),
      },
    ],
  ])('%s', (message, predicate) => {
    expect(() => checkPredicate(kind, predicate)).toThrow(
      expect.objectContaining({ code: 'INVALID' }),
    );
    expect(() => checkPredicate(kind, predicate)).toThrow(message);
  });

  test('what is within the bounds passes', () => {
    checkPredicate(kind, nest(100));
    checkPredicate(kind, { op: 'present', left: { from: 'column', name: 'updatedAt' } });
    checkPredicate(kind, {
      op: 'present',
      left: { from: 'facet', facet: 'metrics', key: 'a', figure: 'min' },
    });
    checkOrder(kind, [{ by: { from: 'column', name: 'id' }, direction: 'desc' }]);
    expect(() => checkOrder(kind, [{ by: param('x'), direction: 'up' as 'asc' }])).toThrow(
      'asc or desc',
    );
  });
});
