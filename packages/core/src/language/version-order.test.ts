import fc from 'fast-check';
import semver from 'semver';
import { describe, expect, test } from 'vitest';
import { evaluatePredicate } from './evaluate-predicate.ts';
import { versionKey, versionRange } from './version-order.ts';

const part = fc.oneof(fc.nat(3), fc.nat(120), fc.constant(Number.MAX_SAFE_INTEGER));
const word = fc.oneof(
  part.map(String),
  fc.stringMatching(/^[0-9A-Za-z-]{0,3}[A-Za-z-][0-9A-Za-z-]{0,3}$/),
  fc.constantFrom('alpha', 'beta', 'rc', '0', '1', 'a', '-', '9'.repeat(24), '1'.repeat(26)),
);
const version = fc
  .tuple(part, part, part, fc.array(word, { maxLength: 3 }))
  .map(([a, b, c, pre]) => `${a}.${b}.${c}${pre.length === 0 ? '' : `-${pre.join('.')}`}`)
  .filter((text) => semver.valid(text) !== null);

// Near each other, so that bounds are met.
const near = fc
  .tuple(fc.nat(2), fc.nat(2), fc.nat(2), fc.constantFrom('', '-alpha', '-alpha.1', '-beta', '-0'))
  .map(([a, b, c, pre]) => `${a}.${b}.${c}${pre}`);
const comparator = fc.oneof(
  fc
    .tuple(fc.constantFrom('^', '~', '>', '>=', '<', '<=', '=', ''), near)
    .map((two) => two.join('')),
  fc.constantFrom('*', '1', '1.x', '~1', '^0', '^0.0.1', '>1', '<=2', '1.2.x', 'x'),
  fc.tuple(near, near).map(([a, b]) => `${a} - ${b}`),
);
const range = fc
  .array(fc.array(comparator, { minLength: 1, maxLength: 2 }), { minLength: 1, maxLength: 3 })
  .map((sets) => sets.map((set) => set.join(' ')).join(' || '))
  .filter((text) => semver.validRange(text) !== null);

const key = { from: 'column', name: 'versionKey' } as const;

function includes(text: string, one: string): boolean {
  const columns = { versionKey: versionKey(one) };
  return evaluatePredicate(versionRange(text, key), { columns, body: {}, facets: {} });
}

describe('versions', () => {
  test('are in the order of their keys', () => {
    fc.assert(
      fc.property(version, version, (a, b) => {
        const [left, right] = [versionKey(a) ?? '', versionKey(b) ?? ''];
        expect(Math.sign(semver.compare(a, b))).toBe(left < right ? -1 : left > right ? 1 : 0);
      }),
      { numRuns: 2_000 },
    );
  });

  test.each(['', '1', '1.0', 'v1', '01.0.0', 'latest', '1.0.0.0'])('%j has no key', (text) => {
    expect(versionKey(text)).toBeUndefined();
  });

  test('are in a range where semver has them in it', () => {
    fc.assert(
      fc.property(range, near, (text, one) => {
        expect(includes(text, one)).toBe(semver.satisfies(one, text));
      }),
      { numRuns: 3_000 },
    );
  });

  test.each(['not a range', '>>1', '1.2.3.4', 'x'.repeat(300), 7])('%j is no range', (text) => {
    expect(() => versionRange(text as string, key)).toThrow(/like \^1\.2/);
  });
});
