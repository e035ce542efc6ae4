import { describe, expect, test } from 'vitest';
import { SqliteMetadataHarness } from '../../test/sqlite-metadata-harness.ts';
import { subscriptionCrashes } from '../../test/subscription-crashes.ts';
import type { MetadataStore } from '../contracts/metadata-store.ts';
import { runEveryCrash } from '../testing/faults/every-crash.ts';
import { interposed } from '../testing/faults/interposed.ts';
import { BrokenInvariants } from '../testing/faults/invariants.ts';
import { mutants } from '../testing/faults/mutants.ts';

const open = (): SqliteMetadataHarness => new SqliteMetadataHarness();

function mutantOf(name: string): (store: MetadataStore) => MetadataStore {
  const mutant = mutants.find((one) => one.name.startsWith(name));
  if (mutant === undefined) throw new Error(`There is no mutant ${name}.`);
  return mutant.wrap;
}

/** What is parked is not written down: with the cursor past it, its events are lost with the process. */
const forgetful = (store: MetadataStore): MetadataStore =>
  interposed(store, async (call, proceed) => {
    if (call.method === 'query' && call.args[1] === 'parked_subject') return { records: [] };
    return await proceed();
  });

describe('a subscription that is crashed everywhere', () => {
  test('hands every event over, in order, with its effect once', async () => {
    const { byKind } = await runEveryCrash(subscriptionCrashes(open));
    expect(Math.min(byKind.throw, byKind.unknown, byKind.stall)).toBeGreaterThan(10);
  }, 120_000);

  test.each([
    ['order ignored', mutantOf('order ignored')],
    ['events lost', mutantOf('events lost')],
    ['receipt ignored', mutantOf('receipt ignored')],
    ['parked subjects forgotten', forgetful],
  ])(
    'is noticed on a store with: %s',
    async (_, wrap) => {
      await expect(runEveryCrash(subscriptionCrashes(open, wrap))).rejects.toBeInstanceOf(
        BrokenInvariants,
      );
    },
    60_000,
  );
});
