import { describe, expect, test } from 'vitest';
import { childFile } from '../../test/child-program.ts';
import { sagaCrashes } from '../../test/saga-crashes.ts';
import { SqliteMetadataHarness } from '../../test/sqlite-metadata-harness.ts';
import { runEveryCrash } from '../testing/faults/every-crash.ts';
import { BrokenInvariants } from '../testing/faults/invariants.ts';
import { mutants } from '../testing/faults/mutants.ts';

const open = (): SqliteMetadataHarness => new SqliteMetadataHarness();
const long = process.env['KEELSON_FAULTS'] === 'long';

describe('a saga that is crashed everywhere', () => {
  test.each([false, true])('ends wholly done or undone (refused: %s)', async (refused) => {
    const { byKind } = await runEveryCrash(sagaCrashes(open, { refused }));
    expect(Math.min(byKind.throw, byKind.unknown, byKind.stall)).toBeGreaterThan(12);
  });

  test.each(long ? [false, true] : [true])(
    'killed, it ends wholly done or undone (refused: %s)',
    async (refused) => {
      const scenario = sagaCrashes(open, {
        refused,
        process: {
          program: childFile('order-once'),
          argument: ({ path, now }, input) => ({ path, now, input }),
        },
      });
      const { byKind } = await runEveryCrash({ ...scenario, kinds: ['exit'], hits: long ? 3 : 1 });
      expect(byKind.exit).toBeGreaterThan(10);
    },
    120_000,
  );

  test.each([
    ['fence off: every claim is held and renewed for ever', 'stall'],
    ['outbox outside the commit: events are written after it', 'unknown'],
    ['outbox outside the commit: events are written before it', 'throw'],
  ] as const)('is noticed on a store with %s', async (name, kind) => {
    const mutant = mutants.find((each) => each.name === name);
    const scenario = sagaCrashes(open, { refused: true, ...mutant });
    await expect(runEveryCrash({ ...scenario, kinds: [kind] })).rejects.toBeInstanceOf(
      BrokenInvariants,
    );
  });
});
