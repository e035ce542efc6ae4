import { describe, expect, test } from 'vitest';
import { ReferenceHarness } from '../../test/reference-harness.ts';
import { metadataStoreSuite } from './metadata-store-suite.ts';
import { runCase } from './suite.ts';

const { cases } = metadataStoreSuite;

describe('metadataStoreSuite', () => {
  test('names each case once', () => {
    expect(new Set(cases.map((one) => one.name)).size).toBe(cases.length);
  });

  describe('the reference store', () => {
    for (const one of cases) test(one.name, () => runCase(one, () => new ReferenceHarness()));
  });
});
