import { expect, test } from 'vitest';
import { storyOps, tellStories } from '../src/testing/model/stories.ts';
import { SqliteMetadataHarness } from './sqlite-metadata-harness.ts';

const seed = Number(process.env['KEELSON_SEED'] ?? Date.now() % 2 ** 31);
/** `KEELSON_RUNS=3000` is the long form. */
const runs = Number(process.env['KEELSON_RUNS'] ?? 60);

test(
  `the embedded store does as the reference store does (KEELSON_SEED=${seed})`,
  async () => {
    const passed = await tellStories(() => new SqliteMetadataHarness(), { seed, runs });
    for (const op of storyOps) {
      expect(passed.get(op) ?? 0, `commits with ${op} that passed`).toBeGreaterThan(runs / 20);
    }
  },
  30_000 + 1_000 * runs,
);
