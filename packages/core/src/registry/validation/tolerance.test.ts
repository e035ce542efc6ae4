import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import type { Json } from '../../json.ts';
import { findDifference, isNear } from './tolerance.ts';

const anyNumber = fc.oneof(fc.double(), fc.integer({ min: -5, max: 5 }), fc.constant(-0));
const amount = fc.oneof(fc.constant(0), fc.double({ min: 0, max: 10, noNaN: true }));
const json = fc.letrec<{ json: Json }>((tie) => ({
  json: fc.oneof(
    { depthSize: 'small' },
    ...[fc.string(), fc.boolean(), fc.constant(null), anyNumber],
    fc.array(tie('json'), { maxLength: 4 }),
    fc.dictionary(fc.string(), tie('json'), { maxKeys: 4 }),
  ),
})).json;

/** What numpy.isclose(actual, expected, equal_nan=True) says. */
function naive(expected: number, actual: number, absolute: number, relative: number): boolean {
  if (Number.isNaN(expected) || Number.isNaN(actual)) {
    return Number.isNaN(expected) && Number.isNaN(actual);
  }
  if (expected === actual) return true;
  if (Math.abs(expected) === Infinity || Math.abs(actual) === Infinity) return false;
  return Math.abs(actual - expected) <= absolute + relative * Math.abs(expected);
}

describe('isNear', () => {
  test('is as numpy.isclose with equal NaN', () => {
    fc.assert(
      fc.property(anyNumber, anyNumber, amount, amount, (expected, actual, absolute, relative) => {
        expect(isNear(expected, actual, { absolute, relative })).toBe(
          naive(expected, actual, absolute, relative),
        );
      }),
    );
  });

  test('without a tolerance is equality; −0 equals 0', () => {
    expect(isNear(0.1, 0.1, {})).toBe(true);
    expect(isNear(0.1, 0.1 + Number.EPSILON, {})).toBe(false);
    expect(isNear(0, -0, {})).toBe(true);
    expect(isNear(Infinity, -Infinity, { absolute: 1e9, relative: 1 })).toBe(false);
    expect(isNear(Infinity, 1, { relative: 1 })).toBe(false);
  });
});

describe('findDifference', () => {
  test('finds none between a value and itself, whatever it is', () => {
    fc.assert(
      fc.property(json, (value) => {
        expect(findDifference(value, structuredClone(value), {})).toBeUndefined();
      }),
    );
  });

  test('finds the one leaf that was changed, at its place', () => {
    const leaves = fc.dictionary(fc.stringMatching(/^[a-z]{1,4}$/), fc.integer(), { minKeys: 1 });
    fc.assert(
      fc.property(leaves, fc.nat(), fc.integer({ min: 1, max: 9 }), (row, pick, by) => {
        const key = Object.keys(row)[pick % Object.keys(row).length] as string;
        const other = { ...row, [key]: (row[key] as number) + by };
        expect(findDifference({ out: row }, { out: other }, {})).toEqual({
          place: `out.${key}`,
          expected: row[key],
          actual: other[key],
        });
        expect(findDifference({ out: row }, { out: other }, { absolute: by })).toBeUndefined();
      }),
    );
  });

  test('looks at the keys that are expected only, and at the length of lists', () => {
    expect(findDifference({ a: 1 }, { a: 1, b: 2 }, {})).toBeUndefined();
    expect(findDifference({ b: 1 }, { a: 1 }, {})).toMatchObject({ place: 'b', actual: null });
    expect(findDifference([1, 2], [1], {})).toMatchObject({ place: '' });
    expect(findDifference([1, 2], [1, 3], {}, 'x')).toMatchObject({ place: 'x[1]' });
    expect(findDifference({ toString: 'x' }, {}, {})).toMatchObject({ place: 'toString' });
  });

  test('text, classes and kinds are exact, however large the tolerance', () => {
    const loose = { absolute: 1e9, relative: 1 };
    expect(findDifference('cat', 'Cat', loose)).toBeDefined();
    expect(findDifference('1', 1, loose)).toBeDefined();
    expect(findDifference(1, true, loose)).toBeDefined();
    expect(findDifference(null, 0, loose)).toBeDefined();
    expect(findDifference([1], { 0: 1 }, loose)).toBeDefined();
  });
});
