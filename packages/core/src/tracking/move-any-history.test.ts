import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { happen, histories } from '../../test/moving/random-history.ts';
import { wholeOf } from '../../test/moving/whole-of.ts';
import {
  openTestPlatform,
  sharePlatform,
  temporaryDirectory,
} from '../../test/open-test-platform.ts';
import { isKeelsonError } from '../errors.ts';

const shared = sharePlatform();
const seed = Number(process.env['KEELSON_SEED'] ?? Date.now() % 2 ** 31);
/** `KEELSON_RUNS=500` is the long form. */
const runs = Number(process.env['KEELSON_RUNS'] ?? 15);

test(
  `any history comes back as it was, and moves on as the same bytes (KEELSON_SEED=${seed})`,
  async () => {
    const dir = await temporaryDirectory();
    const { platform: elsewhere } = await openTestPlatform();
    let story = 0;
    let done = 0;
    await fc.assert(
      fc.asyncProperty(histories, async (history) => {
        story += 1;
        const file = (name: string): string => join(dir, `${story}-${name}.tar`);
        const { platform: from } = shared.fresh();
        done += await happen(from, history, (error) =>
          isKeelsonError(error, 'CONFLICT', 'NOT_FOUND'),
        );
        const first = file('first');
        await from.tracking.exportExperiments({ to: first, includeDeleted: true });
        const { platform: workspace } = shared.fresh();
        const targets = [workspace, elsewhere.as({ workspace: `story-${story}` })];
        const expected = await wholeOf(from);
        for (const [i, to] of targets.entries()) {
          await to.tracking.importExperiments({ from: first });
          expect(await wholeOf(to)).toEqual(expected);
          const again = file(`again-${i}`);
          await to.tracking.exportExperiments({ to: again, includeDeleted: true });
          expect((await readFile(again)).equals(await readFile(first))).toBe(true);
          const { added } = await to.tracking.importExperiments({ from: again });
          expect(Object.values(added).every((count) => count === 0)).toBe(true);
        }
      }),
      { numRuns: runs, seed },
    );
    expect(done).toBeGreaterThan(runs * 3);
  },
  60_000 + 10_000 * runs,
);
