import { describe, expect, test } from 'vitest';
import { BrokenHarness } from '../../test/broken/broken-store.ts';
import { brokenStores } from '../../test/broken/broken-stores.ts';
import { metadataStoreSuite } from './metadata-store-suite.ts';
import { ReferenceHarness } from './model/reference-harness.ts';
import { runCase, runSuite } from './suite.ts';

const { cases } = metadataStoreSuite;

describe('metadataStoreSuite', () => {
  test('names each case once', () => {
    expect(new Set(cases.map((one) => one.name)).size).toBe(cases.length);
  });

  describe('the reference store keeps its promises', () => {
    for (const one of cases) test(one.name, () => runCase(one, () => new ReferenceHarness()));
  });

  test('for each promise there is a store that breaks it', () => {
    const broken = new Set(brokenStores.map((one) => one.breaks));
    expect(cases.map((one) => one.name).filter((name) => !broken.has(name))).toEqual([]);
  });

  describe('a broken store fails the case of its promise and no other', () => {
    test.each(brokenStores.map((one) => [one.how, one.breaks, one] as const))(
      '%s: %s',
      async (_how, breaks, one) => {
        const results = await runSuite(metadataStoreSuite, () => new BrokenHarness(one), {
          timeoutMs: 5_000,
        });
        expect(results.filter((result) => !result.passed).map((result) => result.name)).toEqual([
          breaks,
        ]);
      },
    );
  });
});
