import { describe, expect, test } from 'vitest';
import { brokenRuntimes, plainHarness } from '../../test/broken/broken-runtimes.ts';
import { modelRuntimeSuite } from './model-runtime-suite.ts';
import { runCase, runSuite } from './suite.ts';

describe('a runtime that keeps the promises of ModelRuntime passes', () => {
  for (const suiteCase of modelRuntimeSuite.cases) {
    test(suiteCase.name, () => runCase(suiteCase, () => plainHarness()));
  }
});

describe('the suite notices a runtime that', () => {
  for (const [lack, { fails, faults }] of Object.entries(brokenRuntimes)) {
    test(lack, async () => {
      const results = await runSuite(modelRuntimeSuite, () => plainHarness(faults()));
      expect(results.filter(({ passed }) => !passed).map(({ name }) => name)).toEqual(fails);
    });
  }

  test('breaks any of its promises', () => {
    const broken = new Set(Object.values(brokenRuntimes).flatMap(({ fails }) => fails));
    expect([...broken].sort()).toEqual(modelRuntimeSuite.cases.map(({ name }) => name).sort());
  });
});
