import { describe, expect, test } from 'vitest';
import { SqliteMetadataHarness } from '../../../test/sqlite-metadata-harness.ts';
import { runEveryCrash } from './every-crash.ts';
import { BrokenInvariants } from './invariants.ts';
import { mutants } from './mutants.ts';
import { workCrashes } from './work-crashes.ts';

describe('work that is crashed everywhere', () => {
  test.each(workCrashes(() => new SqliteMetadataHarness()).map((one) => [one.name, one] as const))(
    '%s',
    async (_name, scenario) => {
      const { crashes } = await runEveryCrash(scenario);
      expect(crashes.length).toBeGreaterThan(20);
    },
  );

  test.each(mutants.map((mutant) => [mutant.name, mutant] as const))(
    'is not done right on a store with %s',
    async (_name, mutant) => {
      const scenarios = workCrashes(() => new SqliteMetadataHarness(), mutant.wrap).toReversed();
      const run = async (): Promise<void> => {
        for (const scenario of scenarios) await runEveryCrash(scenario);
      };
      await expect(run()).rejects.toBeInstanceOf(BrokenInvariants);
    },
  );
});
