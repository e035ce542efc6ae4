import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { sharePlatform } from '../../test/open-test-platform.ts';
import type { Services } from '../open-platform.ts';
import type { ModelSearch } from './model-search.ts';
import { editDistance, nameMatcher } from './name-similarity.ts';

const shared = sharePlatform();

async function withModels(names: readonly string[]): Promise<Services> {
  const { platform } = shared.fresh();
  for (const model of names) await register(platform, model);
  return platform;
}

async function register({ registry }: Services, model: string): Promise<void> {
  const from = { files: { 'model.json': Buffer.from(model) } };
  await registry.register({ model, from, format: 'JS' });
}

const names = [
  'Fraud',
  'fraud-detection',
  'card fraud',
  'freight',
  'churn',
  'Prévision',
  'defraud',
];

describe('searchModels', () => {
  test.each<[string, ModelSearch, string]>([
    ['by name, in any case', { name: 'FRAUD' }, 'Fraud, fraud-detection, card fraud, defraud'],
    ['by a misspelt name', { name: 'frad' }, 'Fraud, card fraud, fraud-detection'],
    ['with letters swapped', { name: 'hcurn' }, 'churn'],
    ['without an accent', { name: 'prevision' }, 'Prévision'],
    ['by words in another order', { name: 'detection fruad' }, 'fraud-detection'],
    ['by the end of a word', { name: 'etection' }, 'fraud-detection'],
    ['by nothing like it', { name: 'weather' }, ''],
    ['all, by name', {}, 'Fraud, Prévision, card fraud, churn, defraud, fraud-detection, freight'],
    ['by a pattern', { filter: "name LIKE 'fr%'" }, 'fraud-detection, freight'],
    [
      'by name and filter',
      { name: 'fraud', filter: "NOT name LIKE '% %'" },
      'Fraud, fraud-detection, defraud',
    ],
    [
      'by attributes',
      { filter: "versions = 1 AND source = 'IMPORT' AND aliases.champion IS NULL AND name > 'e'" },
      'fraud-detection, freight',
    ],
    [
      'in another order',
      { filter: "name > 'd'", orderBy: ['name DESC'] },
      'freight, fraud-detection, defraud',
    ],
  ])('%s', async (_, search, expected) => {
    const { registry } = await withModels(names);
    const { models } = await registry.searchModels(search);
    expect(models.map(({ name }) => name).join(', ')).toBe(expected);
    for (const { similarity } of models) {
      if (search.name === undefined) expect(similarity).toBeUndefined();
      else expect(similarity).toBeGreaterThan(0);
    }
  });

  test('pages of a ranking are the ranking, while models are made', async () => {
    const platform = await withModels(['model', 'model-1', 'model-2', 'my model', 'modle', 'x']);
    const { registry } = platform;
    const whole = await registry.searchModels({ name: 'model' });
    expect(whole.models.map(({ name }) => name)).toEqual([
      ...['model', 'model-1', 'model-2', 'my model', 'modle'],
    ]);
    const paged: unknown[] = [];
    let cursor: string | undefined;
    do {
      const from: ModelSearch = cursor === undefined ? {} : { cursor };
      const page = await registry.searchModels({ name: 'model', limit: 2, ...from });
      paged.push(...page.models);
      cursor = page.cursor;
      // It is like the name as the first one is, and comes before the place that the pages have reached.
      if (paged.length === 2) await register(platform, 'model-0');
    } while (cursor !== undefined);
    expect(paged).toEqual(whole.models);
  });

  test.each<[object, string]>([
    [{ name: ' ' }, 'INVALID'],
    [{ name: 'a', orderBy: ['name'] }, 'INVALID'],
    [{ name: 'x'.repeat(300) }, 'INVALID'],
    [{ name: 'a', cursor: 'nonsense' }, 'INVALID'],
    [{ name: 'a', cursor: Buffer.from('["x", 1, "m"]').toString('base64url') }, 'INVALID'],
    [{ limit: 0 }, 'INVALID'],
    [{ filter: 'nonsense = 1' }, 'SYNTAX'],
    [{ filter: "tags.a = 'b' AND stage = 'A'" }, 'SYNTAX'],
  ])('%j is refused', async (search, code) => {
    const { platform } = shared.fresh();
    await expect(platform.registry.searchModels(search)).rejects.toMatchObject({ code });
  });
});

describe('the similarity of names', () => {
  const letters = fc.string({ unit: fc.constantFrom('a', 'b', 'c'), maxLength: 7 });

  test('counts letters put in, left out, changed or swapped, as a naive search does', () => {
    fc.assert(
      fc.property(letters, letters, fc.nat(4), (a, b, most) => {
        const naive = naiveDistance(a, b);
        expect(editDistance(a, b, most)).toBe(naive > most ? undefined : naive);
      }),
      { numRuns: 1_000 },
    );
  });

  test('lies between 0 and 1, and is 1 for the same name alone, case and accents apart', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'grapheme' }), fc.string({ unit: 'grapheme' }), (a, b) => {
        const similarity = nameMatcher(a)(b);
        expect(similarity).toBeGreaterThanOrEqual(0);
        expect(similarity).toBeLessThanOrEqual(1);
        expect(nameMatcher(a)(a)).toBe(1);
      }),
    );
  });

  test('finds a name of five letters or more with any one letter wrong, below those that have it within', () => {
    const word = fc.stringMatching(/^[a-z]{5,12}$/);
    fc.assert(
      fc.property(word, fc.nat(), fc.constantFrom('x', ''), (name, place, letter) => {
        const at = place % name.length;
        const typo = `${name.slice(0, at)}${letter}${name.slice(at + 1)}`;
        const like = nameMatcher(typo);
        expect(like(name)).toBeGreaterThan(0);
        if (typo !== name && !name.includes(typo))
          expect(like(name)).toBeLessThan(like(`a ${typo}`));
      }),
      { numRuns: 500 },
    );
  });
});

function naiveDistance(a: string, b: string): number {
  if (a === '' || b === '') return a.length + b.length;
  const [x, y] = [a.at(-1), b.at(-1)];
  const [restA, restB] = [a.slice(0, -1), b.slice(0, -1)];
  const ways = [
    naiveDistance(restA, restB) + (x === y ? 0 : 1),
    naiveDistance(restA, b) + 1,
    naiveDistance(a, restB) + 1,
  ];
  if (a.length > 1 && b.length > 1 && x === b.at(-2) && y === a.at(-2)) {
    ways.push(naiveDistance(a.slice(0, -2), b.slice(0, -2)) + 1);
  }
  return Math.min(...ways);
}
