import { describe, expect, test } from 'vitest';
import { childFile } from '../../test/child-program.ts';
import { registryCrashes } from '../../test/registry-crashes.ts';
import { SqliteMetadataHarness } from '../../test/sqlite-metadata-harness.ts';
import { runEveryCrash } from '../testing/faults/every-crash.ts';
import { BrokenInvariants } from '../testing/faults/invariants.ts';
import { mutants } from '../testing/faults/mutants.ts';

const open = (): SqliteMetadataHarness => new SqliteMetadataHarness();
const long = process.env['KEELSON_FAULTS'] === 'long';

describe('registrations and promotions that are crashed everywhere', () => {
  test.each(long ? [false, true] : [false])(
    'end as undisturbed ones (refused: %s)',
    async (refused) => {
      const scenario = registryCrashes(open, { refused });
      const { byKind } = await runEveryCrash({ ...scenario, hits: long ? 3 : 1 });
      expect(Math.min(byKind.throw, byKind.unknown, byKind.stall)).toBeGreaterThan(12);
    },
    600_000,
  );

  test.each([
    ['outbox outside the commit: events are written after it', 'unknown'],
    ['outbox outside the commit: events are written before it', 'throw'],
  ] as const)(
    'are noticed on a store with %s',
    async (name, kind) => {
      const mutant = mutants.find((each) => each.name === name);
      const scenario = registryCrashes(open, { refused: true, ...mutant });
      await expect(runEveryCrash({ ...scenario, kinds: [kind] })).rejects.toBeInstanceOf(
        BrokenInvariants,
      );
    },
    600_000,
  );

  test('killed, a promotion that is refused ends undone', async () => {
    const scenario = registryCrashes(open, {
      refused: true,
      process: {
        program: childFile('promote-once'),
        argument: ({ path, now }, input) => ({ path, now, input: { ...input } }),
      },
    });
    const { byKind } = await runEveryCrash({ ...scenario, kinds: ['exit'], hits: long ? 3 : 1 });
    expect(byKind.exit).toBeGreaterThan(12);
  }, 600_000);
});
