import { join } from 'node:path';
import fc from 'fast-check';
import { expect, onTestFinished, test } from 'vitest';
import { happenIn, registryHistories } from '../../../test/moving/random-registry.ts';
import { digestsOf, wholeRegistry } from '../../../test/moving/whole-registry.ts';
import { openTestPlatform, temporaryDirectory } from '../../../test/open-test-platform.ts';
import { isKeelsonError } from '../../errors.ts';
import { openPlatform } from '../../open-platform.ts';

const seed = Number(process.env['KEELSON_SEED'] ?? Date.now() % 2 ** 31);
const runs = Number(process.env['KEELSON_RUNS'] ?? 12);
const models = ['fraud', 'churn/eu', 'ü "x"'];

/** What rules of the registry answer; nothing else may go wrong. */
const isRefusal = (error: unknown): boolean =>
  isKeelsonError(error, 'CONFLICT', 'NOT_FOUND', 'FORBIDDEN', 'INVALID', 'IMMUTABLE');

// Where other stores are under test, the one in the middle is still the embedded one: there and back.
test(`whatever has happened moves to another store and back (KEELSON_SEED=${seed})`, async () => {
  const { platform: first } = await openTestPlatform();
  const { platform: third } = await openTestPlatform();
  const scratch = await temporaryDirectory();
  const second = await openPlatform({ dir: join(scratch, 'embedded') });
  onTestFinished(() => second.close());
  let round = 0;
  let deeds = 0;
  await fc.assert(
    fc.asyncProperty(registryHistories, async (history) => {
      round += 1;
      const workspace = `w${round}`;
      const dir = join(scratch, workspace);
      const by = (id: string) => first.as({ workspace, principal: { id, roles: [] } });
      const from = first.as({ workspace });
      deeds += await happenIn(from.registry, (id) => by(id).registry, history, isRefusal);
      await from.registry.exportModels({ to: join(dir, 'first') });
      // On into the same name or another, and back into the first store under a third.
      const middle = second.as({ workspace: round % 2 === 0 ? workspace : `m${round}` });
      await middle.registry.importModels({ from: join(dir, 'first') });
      await middle.registry.exportModels({ to: join(dir, 'second.tar') });
      await middle.registry.exportModels({ to: join(dir, 'second') });
      const last = third.as({ workspace });
      await last.registry.importModels({ from: join(dir, 'second.tar') });
      await last.registry.exportModels({ to: join(dir, 'third') });
      const digests = await digestsOf(join(dir, 'first'));
      expect(await digestsOf(join(dir, 'second'))).toEqual(digests);
      expect(await digestsOf(join(dir, 'third'))).toEqual(digests);
      const whole = await wholeRegistry(from, models);
      expect(await wholeRegistry(middle, models)).toEqual(whole);
      expect(await wholeRegistry(last, models)).toEqual(whole);
      for (const each of [middle, last]) {
        expect((await each.operations.audit.verify()).problems).toEqual([]);
      }
      // Where it came from, all of it is there.
      const { added } = await from.registry.importModels({ from: join(dir, 'third') });
      expect(Object.values(added).every((count) => count === 0)).toBe(true);
    }),
    { seed, numRuns: runs },
  );
  expect(deeds).toBeGreaterThan(runs * 8);
}, 300_000);
