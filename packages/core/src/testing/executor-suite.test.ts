import { describe, expect, test } from 'vitest';
import { brokenExecutors } from '../../test/broken/broken-executors.ts';
import { processHarness } from '../../test/process-executor-harness.ts';
import { BrokenPromise } from './assertions.ts';
import { executorSuite } from './executor-suite.ts';
import { runCase } from './suite.ts';

describe('each promise of the suite notices an executor that breaks it', () => {
  const byName = new Map(executorSuite.cases.map((each) => [each.name, each]));

  for (const { breaks, wrap } of brokenExecutors) {
    test(breaks, async () => {
      const suiteCase = byName.get(breaks);
      if (suiteCase === undefined) throw new Error(`There is no case ${breaks}.`);
      const broken = async () => {
        const harness = await processHarness();
        return { ...harness, executor: wrap(harness.executor) };
      };
      await expect(runCase(suiteCase, broken, { timeoutMs: 20_000 })).rejects.toThrow();
    }, 30_000);
  }

  test('what fails says what was expected', async () => {
    const [first] = brokenExecutors;
    const suiteCase = byName.get(first?.breaks ?? '');
    const broken = async () => {
      const harness = await processHarness();
      return { ...harness, executor: first?.wrap(harness.executor) ?? harness.executor };
    };
    await expect(suiteCase && runCase(suiteCase, broken)).rejects.toBeInstanceOf(BrokenPromise);
  });
});
