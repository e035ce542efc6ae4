import fc from 'fast-check';
import { expect, test } from 'vitest';
import { isKeelsonError } from './errors.ts';
import { compileLinearPattern } from './linear-pattern.ts';

/** Few characters, so that patterns and texts meet: letters, digits, spaces, one beyond 16 bits, a lone surrogate. */
const letters = ['a', 'b', '7', ' ', '\n', '\u00a0', 'é', '😀', '\ud83d', '_', '-'];
const text = fc.array(fc.constantFrom(...letters), { maxLength: 10 }).map((all) => all.join(''));

const { pattern } = fc.letrec<{ readonly pattern: string }>((tie) => ({
  pattern: fc.oneof(
    { maxDepth: 4, withCrossShrink: true },
    fc.constantFrom(
      ...[
        'a',
        'b',
        '7',
        '.',
        '\\d',
        '\\w',
        '\\W',
        '\\s',
        '\\S',
        '[ab]',
        '[^a]',
        '[^]',
        '[]',
        '[\\]a-]',
      ],
      ...[
        '^',
        '$',
        '\\b',
        '\\B',
        '😀',
        '\\u{1F600}',
        '\\ud83d\\ude00',
        '\\u00e9',
        '\\xe9',
        '\\p{L}',
      ],
      ...['\\P{Lu}', '\\n', '\\-', '[\\w\\-]', ''].filter((each) => each !== '\\-'),
    ),
    fc.array(tie('pattern'), { minLength: 1, maxLength: 3 }).map((all) => all.join('')),
    fc.tuple(tie('pattern'), tie('pattern')).map(([a, b]) => `(?:${a}|${b})`),
    fc
      .tuple(
        tie('pattern'),
        fc.constantFrom(
          '*',
          '+',
          '?',
          '{2}',
          '{0}',
          '{1,}',
          '{0,2}',
          '{1,3}',
          '*?',
          '+?',
          '{1,2}?',
        ),
        fc.constantFrom('(', '(?:', '(?<n>'),
      )
      .map(([of, times, group]) => `${group}${of})${times}`),
  ),
}));

test('what matches is what ECMAScript says', () => {
  let matched = 0;
  fc.assert(
    fc.property(pattern, fc.array(text, { minLength: 5, maxLength: 5 }), (source, texts) => {
      let native: RegExp;
      try {
        native = new RegExp(source, 'u');
      } catch {
        // A name of a group that is there twice.
        return;
      }
      const linear = compileLinearPattern(source);
      for (const each of texts) {
        // V8 looks for \B in the middle of a pair of surrogates too, where ECMAScript does not.
        if (source.includes('\\B') && /[\ud800-\udfff]/.test(each)) continue;
        const expected = native.test(each);
        if (expected) matched += 1;
        expect(linear.test(each), `${source} on ${JSON.stringify(each)}`).toBe(expected);
      }
    }),
    { numRuns: 1000 },
  );
  expect(matched).toBeGreaterThan(1000);
});

test.each([
  ['^(a+)+$', 'a'.repeat(40)],
  ['^(a|a)*$', 'a'.repeat(40)],
  ['^(\\w+\\s?)*$', 'word '.repeat(40)],
  ['(x+x+)+y', 'x'.repeat(100_000)],
  ['^(.*),(.*),(.*),(.*),(.*)$', ',a'.repeat(3)],
])('%s is tried on its worst text in less than 50 ms', (source, start) => {
  const linear = compileLinearPattern(source);
  linear.test('warm');
  const startedAt = performance.now();
  expect(linear.test(`${start}!`)).toBe(false);
  expect(performance.now() - startedAt).toBeLessThan(50);
});

test('what takes too many steps on a long text is refused, and does not keep the thread', () => {
  const grows = compileLinearPattern('(a|b)*a(a|b){20}$');
  expect(grows.test('ba'.repeat(50_000))).toBe(true);
  let state = 1;
  const random = Array.from({ length: 200_000 }, () => {
    state = (state * 48_271) % 2_147_483_647;
    return state % 2 === 0 ? 'a' : 'b';
  }).join('');
  const startedAt = performance.now();
  expect(() => grows.test(random)).toThrow(/takes too long on a text as long as this/);
  expect(performance.now() - startedAt).toBeLessThan(3000);
});

test('what is no pattern, or takes no bounded time, is refused with the pattern', () => {
  for (const [source, why] of [
    ['(', /is not taken: Invalid regular expression/],
    ['(a)\\1', /references back/],
    ['(?<x>a)\\k<x>', /references back/],
    ['a(?=b)', /looking ahead and behind/],
    ['a(?!b)', /looking ahead and behind/],
    ['(?<=a)b', /looking ahead and behind/],
    ['(?<!a)b', /looking ahead and behind/],
    ['(a{1,100}){1,100}', /larger than 5000 steps/],
    [`${'('.repeat(300)}a${')'.repeat(300)}`, /nested too deeply/],
    ['a'.repeat(10_001), /more than 10000 characters/],
  ] as const) {
    let refused: unknown;
    try {
      compileLinearPattern(source);
    } catch (error) {
      refused = error;
    }
    expect(isKeelsonError(refused, 'INVALID')).toBe(true);
    expect((refused as Error).message).toMatch(why);
    expect((refused as Error).message).toContain(JSON.stringify(source.slice(0, 20)).slice(0, -1));
  }
});
