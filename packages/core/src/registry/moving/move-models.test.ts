import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { filledModels, filledRegistry } from '../../../test/moving/filled-registry.ts';
import { digestsOf, wholeRegistry } from '../../../test/moving/whole-registry.ts';
import {
  openTestPlatform,
  sharePlatform,
  temporaryDirectory,
} from '../../../test/open-test-platform.ts';
import type { Services } from '../../open-platform.ts';

const shared = sharePlatform();

/** Moves runs and models, so that lineages are equal to their last label. */
async function moveAll(from: Services, to: Services, dir: string) {
  await from.tracking.exportExperiments({ to: join(dir, 'runs') });
  await to.tracking.importExperiments({ from: join(dir, 'runs') });
  const exported = await from.registry.exportModels({ to: join(dir, 'models') });
  return { exported, report: await to.registry.importModels({ from: join(dir, 'models') }) };
}

describe('models move', () => {
  test('into another store under the same workspace: everything is equal, the audit too', async () => {
    const { platform: from } = await openTestPlatform();
    await filledRegistry(from, (id) => from.as({ principal: { id, roles: [] } }).registry);
    const dir = await temporaryDirectory();
    const { platform } = await openTestPlatform();
    const { exported, report } = await moveAll(from, platform, dir);
    const { sizeBytes: _, outside, damaged, ...counts } = exported;
    expect(damaged).toEqual([]);
    expect(report.added).toEqual({ ...counts, contents: counts.contents - 2 });
    expect(report.skipped.contents).toBe(2);
    expect(counts).toMatchObject({ models: 2, versions: 4, transitions: 6, datasets: 1 });
    expect(await wholeRegistry(platform, filledModels)).toEqual(
      await wholeRegistry(from, filledModels),
    );
    const verified = await platform.operations.audit.verify();
    expect(verified.problems).toEqual([]);
    expect(verified.imported).toBe(counts.auditEntries);
    expect(verified.coming).toEqual([]);
    // Only the commit and what the run itself came of is nowhere here.
    expect(outside.count).toBeGreaterThan(report.outside.count);
    await platform.registry.exportModels({ to: join(dir, 'again') });
    expect(await digestsOf(join(dir, 'again'))).toEqual(await digestsOf(join(dir, 'models')));
  });

  test('into a workspace of another name, and on: chains verify under the names they were made under', async () => {
    const { platform: from, by } = shared.fresh();
    await filledRegistry(from, (id) => by(id).registry);
    const dir = await temporaryDirectory();
    const { platform } = shared.fresh();
    await moveAll(from, platform, join(dir, 'one'));
    expect(await wholeRegistry(platform, filledModels)).toEqual(
      await wholeRegistry(from, filledModels),
    );
    expect((await platform.operations.audit.verify()).problems).toEqual([]);
    expect(await platform.operations.audit.seal()).toBe(1);
    // Life goes on, and the chain of the model with it.
    const [version] = await platform.registry.listVersions('fraud');
    await platform.registry.requestTransition({
      ...{ model: 'fraud', version: version?.version ?? '', to: 'ARCHIVED', reason: 'old' },
      confirm: true,
    });
    expect((await platform.operations.audit.verify()).problems).toEqual([]);
    const { platform: third } = shared.fresh();
    await moveAll(platform, third, join(dir, 'two'));
    expect((await third.operations.audit.verify()).problems).toEqual([]);
    expect(await wholeRegistry(third, filledModels)).toEqual(
      await wholeRegistry(platform, filledModels),
    );
  });
});
