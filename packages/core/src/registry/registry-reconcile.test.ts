import { expect, test } from 'vitest';
import { openTestScope } from '../../test/open-test-scope.ts';
import { openRegistryWorld } from '../../test/registry-world.ts';
import { commitChanges } from '../operations/decide-and-commit.ts';
import { platformKinds } from '../platform-kinds.ts';

test('versions that were made before there were keys are found by ranges once they are reconciled', async () => {
  await using world = await openRegistryWorld();
  for (const version of ['1.10.0', '1.9.0']) {
    const { id, revision: expect } = await world.register(version, { version });
    await using before = await openTestScope({ kinds: platformKinds, dir: world.dir });
    const columns = { versionKey: undefined };
    await commitChanges(before.scope, [
      { op: 'replace', kind: 'model_version', id, expect, columns },
    ]);
  }
  await world.register('2.0.0', { version: '2.0.0' });
  const { registry, operations } = world.platform;
  const { findings } = await operations.reconcile({ mend: true });
  expect(findings.map(({ mended }) => mended)).toEqual([true, true]);
  const found = await registry.searchVersions({ versionRange: '^1.9', orderBy: ['version DESC'] });
  expect(found.versions.map(({ version }) => version)).toEqual(['1.10.0', '1.9.0']);
});
