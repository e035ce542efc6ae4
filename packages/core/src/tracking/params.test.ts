import { deepStrictEqual } from 'node:assert/strict';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import type { Json } from '../json.ts';
import { flattenParams, unflattenParams } from './params.ts';

const part = fc.oneof(
  fc.string({ unit: 'binary', minLength: 1, maxLength: 4 }),
  fc.constantFrom('a', 'b', '__proto__', 'constructor'),
);
const key = part.filter((p) => !p.includes('.') && !p.includes('\u0000') && p.isWellFormed());
const leaf: fc.Arbitrary<Json> = fc.oneof(
  fc.double(),
  fc.constantFrom<Json>(-0, 0.001, '0.001', '', null, true, [], [1, [2]], {}, [{ a: 1 }]),
);
const { nested } = fc.letrec<{ nested: Json; branch: Json }>((tie) => ({
  branch: fc
    .array(fc.tuple(key, tie('nested')), { minLength: 1, maxLength: 4 })
    .map((all) => Object.fromEntries(all)),
  nested: fc.oneof({ maxDepth: 4 }, leaf, tie('branch')),
}));
const params = fc
  .array(fc.tuple(key, nested), { maxLength: 4 })
  .map((all): Record<string, Json> => Object.fromEntries(all));

describe('flattenParams and unflattenParams', () => {
  test('give back the same structure with the same types', () => {
    fc.assert(
      fc.property(params, (given) => {
        deepStrictEqual(unflattenParams(Object.fromEntries(flattenParams(given))), given);
      }),
      { numRuns: 1000, verbose: 1 },
    );
  });

  test('lose no value, whichever keys are dotted and in whichever order they came', () => {
    const dotted = fc.array(fc.constantFrom('a', 'b', 'c'), { minLength: 1, maxLength: 4 });
    const flat = fc
      .array(fc.tuple(dotted, fc.integer()), { maxLength: 8 })
      .map((all) => Object.fromEntries(all.map(([parts, value]) => [parts.join('.'), value])));
    fc.assert(
      fc.property(flat, (given) => {
        deepStrictEqual(Object.fromEntries(flattenParams(unflattenParams(given))), given);
      }),
      { numRuns: 1000, verbose: 1 },
    );
    // A key whose parent has a value of its own stays dotted.
    expect(unflattenParams({ 'a.b': 2, a: 1 })).toEqual({ 'a.b': 2, a: 1 });
    expect(unflattenParams({ a: 1, 'a.b.c': 2 })).toEqual({ a: 1, 'a.b.c': 2 });
  });

  test('as the specification has it', () => {
    const given = { optimizer: { name: 'adam', learning_rate: 1e-3 }, layers: [64, 32] };
    const flat = flattenParams(given);
    expect([...flat]).toEqual([
      ['optimizer.name', 'adam'],
      ['optimizer.learning_rate', 0.001],
      ['layers', [64, 32]],
    ]);
    expect(unflattenParams(Object.fromEntries(flat))).toEqual(given);
  });

  test('a key of 1 MB with 500,000 parts is kept and read back', () => {
    const long = Array.from({ length: 499_999 }, () => 'a').join('.');
    const flat = Object.fromEntries(flattenParams({ [long]: 1 }));
    expect(unflattenParams(flat)).toEqual({ [long]: 1 });
  });

  const cycle: Record<string, unknown> = {};
  cycle['self'] = cycle;

  test.each<[string, unknown, string]>([
    ['no object', 'rate=1', 'takes an object'],
    ['null', null, 'takes an object'],
    ['an array', [1], 'takes an object'],
    ['a class instance', new Map([['a', 1]]), 'takes an object'],
    ['an empty key', { '': 1 }, 'has an empty part'],
    ['an empty part', { 'a..b': 1 }, '"a..b" has an empty part'],
    ['an empty part by nesting', { a: { '': 1 } }, '"a." has an empty part'],
    ['a key given twice', { 'a.b': 1, a: { b: 2 } }, '"a.b" is given twice'],
    ['a cycle', cycle, 'refers to itself'],
    ['a function', { f: () => 1 }, 'param f is a function'],
    ['a Date', { at: new Date(0) }, 'param at is an instance of Date'],
    ['a bigint', { n: 2n ** 53n }, 'param n is a bigint'],
    ['NUL in a key', { 'a\u0000': 1 }, 'A param key contains U+0000'],
    ['a lone surrogate in a value', { a: ['\ud800'] }, 'lone surrogate'],
    ['a key beyond a million characters', { ['k'.repeat(1_000_001)]: 1 }, 'has 1000001 characters'],
  ])('%s is refused by name, in a short sentence', (_, given, message) => {
    const call = (): unknown => flattenParams(given as object);
    expect(call).toThrow(expect.objectContaining({ code: 'INVALID' }));
    expect(call).toThrow(message);
    try {
      call();
    } catch (error) {
      expect((error as Error).message.length).toBeLessThan(300);
    }
  });
});
