import { type CrashKind, runEveryCrash, workCrashes } from '@keelson/core/testing';
import { expect, test } from 'vitest';
import { sagaCrashes } from '../../core/test/saga-crashes.ts';
import { PgMetadataHarness } from './pg-metadata-harness.ts';
import { describeOnPg } from './server/test-database.ts';

const long = process.env['KEELSON_FAULTS'] === 'long';

await describeOnPg('crashed everywhere, on PostgreSQL', (database) => {
  const open = (): PgMetadataHarness => new PgMetadataHarness(database);

  test.each(workCrashes(open).map((one) => [one.name, one] as const))(
    '%s',
    async (_name, one) => {
      const { crashes } = await runEveryCrash({ ...one, ...extent(one.kinds) });
      expect(crashes.length).toBeGreaterThan(3);
    },
    200_000,
  );

  test.each(long ? [false, true] : [true])(
    'a saga ends wholly done or undone (refused: %s)',
    async (refused) => {
      const { crashes } = await runEveryCrash({ ...sagaCrashes(open, { refused }), ...extent() });
      expect(crashes.length).toBeGreaterThan(12);
    },
    200_000,
  );
});

/** A schema is made for each crash, which takes longer than the crash: the short form leaves some out. */
function extent(kinds: readonly CrashKind[] = ['unknown', 'stall']): object {
  return long ? {} : { kinds, hits: 1 };
}
