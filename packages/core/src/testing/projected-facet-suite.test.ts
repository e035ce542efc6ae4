import { describe, expect, test } from 'vitest';
import { brokenProjections } from '../../test/broken/broken-projections.ts';
import { ReferenceProjectionHarness } from '../../test/reference-projection.ts';
import { SqliteProjectionHarness } from '../../test/sqlite-projection-harness.ts';
import { projectedFacetSuite } from './projected-facet-suite.ts';
import { runCase, runSuite } from './suite.ts';

const { cases } = projectedFacetSuite;

describe('projectedFacetSuite', () => {
  describe('the reference store keeps its promises', () => {
    for (const one of cases) {
      test(one.name, () => runCase(one, () => new ReferenceProjectionHarness()));
    }
  });

  describe('the embedded stores keep its promises', () => {
    for (const one of cases)
      test(one.name, () => runCase(one, () => new SqliteProjectionHarness()));
  });

  test('for each promise there is a store that breaks it', () => {
    const broken = new Set(brokenProjections.map((one) => one.breaks));
    expect(cases.map((one) => one.name).filter((name) => !broken.has(name))).toEqual([]);
  });

  describe('a broken store fails the case of its promise and no other', () => {
    test.each(brokenProjections.map((one) => [one.how, one] as const))('%s', async (_how, one) => {
      const open = () => new ReferenceProjectionHarness(one.world());
      const results = await runSuite(projectedFacetSuite, open);
      const failed = results.filter((result) => !result.passed).map((result) => result.name);
      expect(failed).toEqual([one.breaks]);
    });
  });
});
