import { describe, expect, test } from 'vitest';
import { childFile } from '../../test/child-program.ts';
import { rollOut, rolloutCrashes, rolloutInvariants } from '../../test/rollout-crashes.ts';
import { SqliteMetadataHarness } from '../../test/sqlite-metadata-harness.ts';
import { CrashPoints } from '../testing/faults/crash-points.ts';
import { runEveryCrash } from '../testing/faults/every-crash.ts';
import { BrokenInvariants, checkInvariants } from '../testing/faults/invariants.ts';
import { mutants } from '../testing/faults/mutants.ts';

const open = (): SqliteMetadataHarness => new SqliteMetadataHarness();
const long = process.env['KEELSON_FAULTS'] === 'long';

describe('a rollout that is crashed everywhere', () => {
  test.each([
    { bad: false, promoted: false },
    { bad: true, promoted: true },
  ])(
    'ends as an undisturbed one (turned back: $bad, with its promotion: $promoted)',
    async (how) => {
      const scenario = rolloutCrashes(open, how);
      const { byKind } = await runEveryCrash({ ...scenario, hits: long ? 8 : 1 });
      expect(Math.min(byKind.throw, byKind.unknown, byKind.stall)).toBeGreaterThan(5);
    },
    600_000,
  );

  test('killed, goes on at its step', async () => {
    const scenario = rolloutCrashes(open, {
      bad: true,
      process: {
        program: childFile('roll-out-once'),
        argument: ({ path, now }, input) => ({ path, now, input: { ...input } }),
      },
    });
    const { byKind } = await runEveryCrash({ ...scenario, kinds: ['exit'], hits: long ? 8 : 1 });
    expect(byKind.exit).toBeGreaterThan(5);
  }, 600_000);

  test('is noticed on a store whose events are written after the commit', async () => {
    const name = 'outbox outside the commit: events are written after it';
    const mutant = mutants.find((each) => each.name === name);
    const scenario = rolloutCrashes(open, { bad: true, ...mutant });
    await expect(runEveryCrash({ ...scenario, kinds: ['unknown'] })).rejects.toBeInstanceOf(
      BrokenInvariants,
    );
  }, 600_000);
});

describe('several controllers at once', () => {
  test.each([{ bad: false }, { bad: true }, { bad: true, promoted: true }])(
    'decide each step once (turned back: $bad, with its promotion: $promoted)',
    async (how) => {
      await using world = await rolloutCrashes(open, how).open();
      const controllers = Array.from({ length: 4 }, async () => {
        await using store = await world.harness.openSecond();
        await rollOut(store, world.input, new CrashPoints());
      });
      await Promise.all(controllers);
      await checkInvariants(world, rolloutInvariants, 'four controllers');
    },
    120_000,
  );
});
