import { join } from 'node:path';
import { expect, test } from 'vitest';
import { ChildProgram, childFile } from '../../../test/child-program.ts';
import { largeModel } from '../../../test/moving/large-model.ts';
import { digestsOf } from '../../../test/moving/whole-registry.ts';
import { openTestPlatform, temporaryDirectory } from '../../../test/open-test-platform.ts';
import { rest } from '../../rest.ts';

const never = new AbortController().signal;
const models = ['one', 'two'];

test('an import that is killed anywhere is completed by another; no model is ever there in part', async () => {
  const { platform: from } = await openTestPlatform();
  for (const name of models) await largeModel(from, name, 125);
  const dir = await temporaryDirectory();
  await from.registry.exportModels({ to: join(dir, 'whole') });
  const whole = await digestsOf(join(dir, 'whole'));
  const path = join(dir, 'x.tar');
  await from.registry.exportModels({ to: path });
  // How long a whole one takes here, so that the kills fall into it.
  const first = new ChildProgram(childFile('import-models'), [join(dir, 'other'), path]);
  await first.line(/^begins$/);
  const begun = performance.now();
  await first.line(/^imported/);
  const ms = performance.now() - begun;
  let partly = 0;
  let homes = 0;
  for (let attempt = 0; attempt < 6 || (partly === 0 && attempt < 40); attempt += 1) {
    // Now into an empty place, now into what the last one left.
    if (attempt % 2 === 0) homes += 1;
    const home = join(dir, `home-${homes}`);
    const child = new ChildProgram(childFile('import-models'), [home, path]);
    await child.line(/^begins$/);
    // At any time, or among the commits of a model.
    if (attempt % 3 === 0) await rest(Math.random() * ms, never);
    // The one before may have left little or nothing to do.
    else await child.line(new RegExp(`^(records ${1 + (attempt % 4)}$|imported)`));
    await child.kill();
    expect(child.errors).toBe('');
    const { platform } = await openTestPlatform({ dir: home });
    const there = await platform.registry.listModels();
    for (const { name } of there) {
      expect(await platform.registry.listVersions(name)).toHaveLength(125);
    }
    const { problems, coming } = await platform.operations.audit.verify();
    expect(problems).toEqual([]);
    if (coming.length > 0) partly += 1;
    await platform.close();
  }
  for (let n = 1; n <= homes; n += 1) {
    const { platform } = await openTestPlatform({ dir: join(dir, `home-${n}`) });
    const { added, skipped } = await platform.registry.importModels({ from: path });
    expect(added.models + skipped.models).toBe(models.length);
    await platform.registry.exportModels({ to: join(dir, `again-${n}`) });
    expect(await digestsOf(join(dir, `again-${n}`))).toEqual(whole);
    const verified = await platform.operations.audit.verify();
    expect(verified).toMatchObject({ problems: [], coming: [], imported: 250 });
    await platform.close();
  }
  expect(partly, 'kills that fell among the commits of a model').toBeGreaterThan(0);
}, 600_000);
