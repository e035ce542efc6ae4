import { storyOps, tellStories } from '@keelson/core/testing/model';
import { expect, test } from 'vitest';
import { PgMetadataHarness } from './pg-metadata-harness.ts';
import { describeOnPg } from './server/test-database.ts';

const seed = Number(process.env['KEELSON_SEED'] ?? Date.now() % 2 ** 31);
/** `KEELSON_RUNS=1000` is the long form. */
const runs = Number(process.env['KEELSON_RUNS'] ?? 40);

await describeOnPg('random stories', (database) => {
  test(
    `PgMetadataStore does as the reference store does (KEELSON_SEED=${seed})`,
    async () => {
      const passed = await tellStories(() => new PgMetadataHarness(database), { seed, runs });
      for (const op of storyOps) {
        expect(passed.get(op) ?? 0, `commits with ${op} that passed`).toBeGreaterThan(runs / 20);
      }
    },
    60_000 + 3_000 * runs,
  );
});
