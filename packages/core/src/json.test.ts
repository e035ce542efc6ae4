import { deepStrictEqual } from 'node:assert/strict';
import { isDeepStrictEqual } from 'node:util';
import { createContext, runInContext } from 'node:vm';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import {
  asJson,
  assertText,
  canonicalJson,
  decodeJson,
  digestJson,
  encodeJson,
  isPlainObject,
  type Json,
  storableText,
} from './json.ts';

const text = fc
  .string({ unit: 'binary', maxLength: 12 })
  .filter((t) => !t.includes('\u0000') && t.isWellFormed());
const key = fc.oneof(
  text,
  fc.constantFrom(
    '__proto__',
    '$number',
    '$$number',
    '$$$number',
    'constructor',
    'toJSON',
    '0',
    '10',
    '',
  ),
);
const number = fc.oneof(
  fc.double(),
  fc.constantFrom(-0, 0, Number.NaN, Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY),
  fc.constantFrom(2 ** 53 - 1, 2 ** 53, 2 ** 53 + 2, -(2 ** 53), 5e-324, 1.7976931348623157e308),
);
const { json } = fc.letrec<{ json: Json }>((tie) => ({
  json: fc.oneof(
    { maxDepth: 5 },
    fc.constant(null),
    fc.boolean(),
    number,
    text,
    fc.array(tie('json'), { maxLength: 5 }),
    fc.array(fc.tuple(key, tie('json')), { maxLength: 5 }).map((all) => Object.fromEntries(all)),
    // What looks like an escape.
    fc.tuple(fc.constantFrom('$number', '$$number'), tie('json')).map(([k, v]) => ({ [k]: v })),
  ),
}));

/** The same value, the keys of every object in another order. */
function shuffled(value: Json): Json {
  if (Array.isArray(value)) return value.map(shuffled);
  if (typeof value !== 'object' || value === null) return value;
  const entries = Object.entries(value).map(([k, v]) => [k, shuffled(v)] as const);
  return Object.fromEntries(entries.reverse());
}

describe('encodeJson and decodeJson', () => {
  test('give back an equal value: NaN, infinities, −0, any text, any key', () => {
    fc.assert(
      fc.property(json, (value) => {
        // Told apart as Object.is does, and also where a key is called `constructor`.
        deepStrictEqual(decodeJson(encodeJson(value)), value);
        deepStrictEqual(asJson(value), value);
      }),
      { numRuns: 1000, verbose: 1 },
    );
  });

  test('a text is JSON that other programs can read', () => {
    expect(encodeJson({ a: [Number.NaN, -0, 1], $number: 'x' })).toBe(
      '{"a":[{"$number":"NaN"},{"$number":"-0"},1],"$$number":"x"}',
    );
  });

  test('__proto__ is a key like any other', () => {
    const value = JSON.parse('{"__proto__":{"polluted":true},"a":{"__proto__":1}}') as Json;
    const back = decodeJson(encodeJson(value));
    expect(JSON.stringify(back)).toBe('{"__proto__":{"polluted":true},"a":{"__proto__":1}}');
    expect((back as Record<string, unknown>)['polluted']).toBeUndefined();
    expect(({} as Record<string, unknown>)['polluted']).toBeUndefined();
    expect(decodeJson(canonicalJson(value))).toStrictEqual(value);
  });

  test('undefined properties are left out, and a key of 1 MB is kept', () => {
    expect(encodeJson({ a: undefined, b: 1 })).toBe('{"b":1}');
    const long = { ['k'.repeat(1_000_000)]: 'v'.repeat(1_000_000) };
    expect(decodeJson(encodeJson(long))).toStrictEqual(long);
  });

  test('objects of another realm and without a prototype are plain', () => {
    const foreign: unknown = runInContext('({ a: [1, { b: 2 }] })', createContext({}));
    expect(decodeJson(encodeJson(foreign))).toStrictEqual({ a: [1, { b: 2 }] });
    const bare = Object.assign(Object.create(null) as object, { a: 1 });
    expect(encodeJson(bare)).toBe('{"a":1}');
    expect(isPlainObject(foreign)).toBe(true);
    expect(isPlainObject(Object.create({ inherited: 1 }))).toBe(false);
    expect(isPlainObject(new Map())).toBe(false);
    expect(isPlainObject([])).toBe(false);
    expect(isPlainObject(null)).toBe(false);
  });

  const cycle: Record<string, unknown> = {};
  cycle['self'] = cycle;
  const deep = (levels: number): Json => (levels === 0 ? 1 : [deep(levels - 1)]);
  class Config {}

  test.each<[string, unknown, string | RegExp]>([
    ['undefined', undefined, 'value is undefined'],
    ['undefined in an array', [1, undefined], 'value[1] is undefined'],
    ['a hole in an array', new Array(1), 'value[0] is undefined'],
    ['a function', { a: () => 1 }, 'value.a is a function'],
    ['a symbol', { a: Symbol('x') }, 'value.a is a symbol'],
    ['a bigint', { a: 1n }, 'value.a is a bigint'],
    ['a Date', { at: new Date(0) }, 'value.at is an instance of Date'],
    ['a Map', new Map(), 'value is an instance of Map'],
    ['a class instance', { c: new Config() }, 'value.c is an instance of Config'],
    ['typed arrays', { a: { b: new Float64Array(1) } }, 'value.a.b is an instance of Float64Array'],
    ['a boxed number', Object(1), 'an instance of Number'],
    ['a cycle', cycle, 'refers to itself'],
    ['201 levels', deep(201), 'more than 200 levels'],
    ['a long way down', cycle, /^.{80}… is nested more than/],
    ['NUL in text', { a: 'x\u0000' }, 'value.a contains U+0000'],
    ['NUL in a key', { 'x\u0000': 1 }, 'a key of value contains U+0000'],
    ['a lone surrogate', ['\ud800'], 'value[0] contains a lone surrogate'],
    ['a lone surrogate in a key', { '\udc00': 1 }, 'a key of value contains a lone surrogate'],
  ])('%s is refused by name', (_, value, message) => {
    for (const call of [() => encodeJson(value), () => canonicalJson(value), () => asJson(value)]) {
      expect(call).toThrow(expect.objectContaining({ code: 'INVALID' }));
      expect(call).toThrow(message);
    }
  });

  test('200 levels are kept', () => {
    expect(decodeJson(encodeJson(deep(200)))).toStrictEqual(deep(200));
  });

  test.each(['', '{', 'NaN', '{"$number":"many"}', '{"a":{"$number":1}}', '{"\\u0024number":"x"}'])(
    'a text that nobody encoded is CORRUPT: %s',
    (broken) => {
      expect(() => decodeJson(broken)).toThrow(expect.objectContaining({ code: 'CORRUPT' }));
    },
  );

  test('a tag that a store has written anew with escapes is still a tag', () => {
    expect(decodeJson('{"a":{"\\u0024number":"-Infinity"}}')).toStrictEqual({
      a: Number.NEGATIVE_INFINITY,
    });
  });
});

describe('canonicalJson and digestJson', () => {
  test('equal values have one text and one digest, whatever the order of their keys', () => {
    fc.assert(
      fc.property(json, (value) => {
        const other = shuffled(value);
        expect(canonicalJson(other)).toBe(canonicalJson(value));
        expect(digestJson(other)).toBe(digestJson(value));
        deepStrictEqual(decodeJson(canonicalJson(value)), value);
        // Canonical is a fixed point.
        expect(canonicalJson(decodeJson(canonicalJson(value)))).toBe(canonicalJson(value));
      }),
      { numRuns: 500, verbose: 1 },
    );
  });

  test('different values have different texts', () => {
    fc.assert(
      fc.property(json, json, (a, b) => {
        expect(canonicalJson(a) === canonicalJson(b)).toBe(isDeepStrictEqual(a, b));
      }),
      { numRuns: 500, verbose: 1 },
    );
    expect(canonicalJson(0)).not.toBe(canonicalJson(-0));
    expect(canonicalJson({ $number: 'NaN' })).not.toBe(canonicalJson(Number.NaN));
  });

  test('a digest stays what it was: it is stored', () => {
    expect(digestJson({ b: [1, 'x', null], a: { $number: -0 } })).toBe(
      '9b5e62dfc0526cea364243123b763d53a7380fae8cb1aed86f9379a643cf60cc',
    );
  });
});

describe('assertText and storableText', () => {
  test.each<[unknown, string]>([
    [1, 'must be text, not a number'],
    [undefined, 'must be text, not undefined'],
    [['a'], 'must be text, not an array'],
    ['a\u0000', 'U+0000'],
    ['\udfff', 'lone surrogate'],
    ['four', 'has 4 characters; at most 3'],
  ])('%j is refused', (value, message) => {
    expect(() => assertText(value, 'A name', 3)).toThrow(`A name`);
    expect(() => assertText(value, 'A name', 3)).toThrow(message);
  });

  test('whatever the message of a failure holds, it can be stored', () => {
    fc.assert(
      fc.property(
        fc.string({ unit: 'binary', maxLength: 40 }),
        fc.integer({ min: 2, max: 20 }),
        (t, max) => {
          const stored = storableText(t, max);
          expect(assertText(stored, 'A message', max)).toBe(stored);
          if (t.length <= max && t.isWellFormed() && !t.includes('\u0000')) expect(stored).toBe(t);
        },
      ),
      { numRuns: 1000, verbose: 1 },
    );
    expect(storableText('a😀b', 3)).toBe('a…');
    expect(storableText('x\u0000\ud800', 10)).toBe('x\ufffd\ufffd');
  });
});
