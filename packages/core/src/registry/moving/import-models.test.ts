import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { filledModels, filledRegistry } from '../../../test/moving/filled-registry.ts';
import { largeModel } from '../../../test/moving/large-model.ts';
import { readMembers } from '../../../test/moving/tampered-export.ts';
import { digestsOf, wholeRegistry } from '../../../test/moving/whole-registry.ts';
import { sharePlatform, temporaryDirectory } from '../../../test/open-test-platform.ts';
import { isKeelsonError } from '../../errors.ts';
import type { Services } from '../../open-platform.ts';

const shared = sharePlatform();
const seed = Number(process.env['KEELSON_SEED'] ?? Date.now() % 2 ** 31);
/** Every so-many-th byte; `KEELSON_STRIDE=1` flips each, which takes minutes. */
const stride = Number(process.env['KEELSON_STRIDE'] ?? 211);

/** An export of the filled registry, as a directory and as a tar, and where it came from. */
async function exported(): Promise<{ readonly from: Services; readonly dir: string }> {
  const { platform: from, by } = shared.fresh();
  await filledRegistry(from, (id) => by(id).registry);
  const dir = await temporaryDirectory();
  await from.registry.exportModels({ to: join(dir, 'all') });
  await from.registry.exportModels({ to: join(dir, 'all.tar') });
  return { from, dir };
}

async function names({ registry }: Services): Promise<readonly string[]> {
  return (await registry.listModels()).map(({ name }) => name);
}

/** What an import of a damaged archive says; no model may be here afterwards. */
async function saidOf(platform: Services, from: string): Promise<string> {
  try {
    await platform.registry.importModels({ from });
  } catch (error) {
    if (!isKeelsonError(error, 'CORRUPT', 'INVALID', 'INCOMPATIBLE')) throw error;
    expect(await names(platform)).toEqual([]);
    return error.message;
  }
  throw new Error('It was taken.');
}

describe(`a flipped bit is found and named (KEELSON_SEED=${seed})`, () => {
  test('in each file of a directory', async () => {
    const { dir } = await exported();
    const { platform } = shared.fresh();
    let flips = 0;
    for (const [member, bytes] of await readMembers(join(dir, 'all'))) {
      const file = join(dir, 'all', member);
      for (
        let at = (seed + flips) % Math.min(stride, bytes.length);
        at < bytes.length;
        at += member.startsWith('content') ? stride * 50 : stride
      ) {
        const damaged = Buffer.from(bytes);
        damaged[at] = (damaged[at] ?? 0) ^ (1 << ((seed + at) % 8));
        await writeFile(file, damaged);
        expect(await saidOf(platform, join(dir, 'all')), `byte ${at} of ${member}`).toContain(
          member,
        );
        flips += 1;
      }
      await writeFile(file, bytes);
    }
    expect(flips).toBeGreaterThan(50);
    expect((await platform.registry.importModels({ from: join(dir, 'all') })).added.models).toBe(2);
  }, 300_000);

  test('in a tar', async () => {
    const { dir } = await exported();
    const { platform } = shared.fresh();
    const path = join(dir, 'all.tar');
    const tar = await readFile(path);
    for (let at = seed % stride; at < tar.length; at += stride * 7) {
      const damaged = Buffer.from(tar);
      damaged[at] = (damaged[at] ?? 0) ^ (1 << ((seed + at) % 8));
      await writeFile(path, damaged);
      expect(await saidOf(platform, path), `byte ${at}`).toContain(path);
    }
  }, 300_000);
});

describe('what is here already', () => {
  test('is passed over where it is the same, and refused where that is asked for', async () => {
    const { from, dir } = await exported();
    const { platform } = shared.fresh();
    const path = join(dir, 'all.tar');
    const { added } = await platform.registry.importModels({ from: path });
    const again = await platform.registry.importModels({ from: path });
    expect(again.skipped).toEqual(added);
    expect(Object.values(again.added).every((count) => count === 0)).toBe(true);
    await expect(
      platform.registry.importModels({ from: path, ifExists: 'refuse' }),
    ).rejects.toMatchObject({
      code: 'CONFLICT',
      message: expect.stringContaining('is here already'),
    });
    // Also where it was made: nothing is added to its audit.
    const before = await from.operations.audit.verify();
    await from.registry.importModels({ from: path });
    expect((await from.operations.audit.verify()).entries).toBe(before.entries);
  });

  test('is refused where it is another, by name, and nothing is brought', async () => {
    const { from, dir } = await exported();
    const path = join(dir, 'all.tar');
    const { platform } = shared.fresh();
    await platform.registry.register({
      ...{ model: 'churn', from: { files: { a: Buffer.from('other') } }, format: 'CUSTOM' },
    });
    await expect(platform.registry.importModels({ from: path })).rejects.toMatchObject({
      code: 'CONFLICT',
      message: expect.stringContaining('another model "churn"'),
    });
    expect(await names(platform)).toEqual(['churn']);
    await from.registry.setAlias('fraud', 'champion', '1.0.0');
    await expect(from.registry.importModels({ from: path })).rejects.toMatchObject({
      code: 'CONFLICT',
      details: { kind: 'model' },
    });
  });

  test('a dry run says what would come, and leaves nothing', async () => {
    const { dir } = await exported();
    const { platform } = shared.fresh();
    const path = join(dir, 'all');
    const tried = await platform.registry.importModels({ from: path, dryRun: true });
    expect(await names(platform)).toEqual([]);
    expect((await platform.operations.audit.verify()).entries).toBe(0);
    const done = await platform.registry.importModels({ from: path });
    expect(done).toEqual(tried);
  });
});

describe('a model that no commit holds', () => {
  test('is seen when it is whole, and its name is taken from the first commit on', async () => {
    const { platform: from } = shared.fresh();
    await largeModel(from, 'large', 130);
    const dir = await temporaryDirectory();
    await from.registry.exportModels({ to: join(dir, 'large.tar') });
    const { platform } = shared.fresh();
    let raced: Promise<unknown> | undefined;
    const importing = platform.registry.importModels({
      from: join(dir, 'large.tar'),
      onProgress: ({ phase }) => {
        if (phase !== 'records' || raced !== undefined) return;
        raced = platform.registry
          .register({
            ...{ model: 'large', from: { files: { a: Buffer.from('x') } }, format: 'CUSTOM' },
          })
          .catch((error: unknown) => error);
      },
    });
    const [done] = await Promise.allSettled([importing]);
    const answer = await raced;
    if (done.status === 'rejected') {
      // It came before the first commit of the import, which found its name taken.
      expect(answer).toMatchObject({ number: 1 });
      expect(done.reason).toMatchObject({ code: 'CONFLICT' });
      return;
    }
    const { added } = done.value;
    expect(added).toMatchObject({ models: 1, versions: 130, contents: 131, auditEntries: 130 });
    // Either it was told that the model is coming, or it came after the import and is version 131.
    if (isKeelsonError(answer, 'CONFLICT')) expect(answer.message).toContain('is being imported');
    else expect(answer).toMatchObject({ number: 131 });
    expect((await platform.operations.audit.verify()).problems).toEqual([]);
  }, 60_000);

  test('two imports of it at once bring it once', async () => {
    const { platform: from } = shared.fresh();
    await largeModel(from, 'large', 120);
    const dir = await temporaryDirectory();
    const path = join(dir, 'large.tar');
    await from.registry.exportModels({ to: path });
    const { platform } = shared.fresh();
    const both = await Promise.all([
      platform.registry.importModels({ from: path }),
      platform.registry.importModels({ from: path }),
    ]);
    expect(both.map(({ added }) => added.models).toSorted()).toEqual([0, 1]);
    expect(await wholeRegistry(platform, ['large'])).toEqual(await wholeRegistry(from, ['large']));
    expect((await platform.operations.audit.verify()).problems).toEqual([]);
  }, 60_000);

  test('is completed by the same import after it was ended in the middle', async () => {
    const { platform: from } = shared.fresh();
    await largeModel(from, 'large', 130);
    const dir = await temporaryDirectory();
    const path = join(dir, 'large.tar');
    await from.registry.exportModels({ to: path });
    const { platform } = shared.fresh();
    const ended = new AbortController();
    let commits = -1;
    const half = platform.registry.importModels({
      from: path,
      signal: ended.signal,
      onProgress: ({ phase }) => {
        if (phase === 'records') commits += 1;
        // The first commit has the chain, and some of the versions.
        if (commits === 1) ended.abort();
      },
    });
    await expect(half).rejects.toMatchObject({ code: 'ABORTED' });
    expect(await names(platform)).toEqual([]);
    const meanwhile = await platform.operations.audit.verify();
    expect(meanwhile.problems).toEqual([]);
    expect(meanwhile.coming).toEqual(['model:large']);
    expect((await platform.registry.searchVersions({})).versions).toEqual([]);
    expect((await platform.registry.searchVersions({ includeDeleted: true })).versions).toEqual([]);
    await expect(
      platform.registry.register({
        ...{ model: 'large', from: { files: { a: Buffer.from('x') } }, format: 'CUSTOM' },
      }),
    ).rejects.toMatchObject({
      code: 'CONFLICT',
      message: expect.stringContaining('is being imported'),
    });
    const { added, skipped } = await platform.registry.importModels({ from: path });
    expect(skipped.auditEntries).toBeGreaterThan(0);
    expect(added.versions + skipped.versions).toBe(130);
    expect(await wholeRegistry(platform, ['large'])).toEqual(await wholeRegistry(from, ['large']));
    const verified = await platform.operations.audit.verify();
    expect(verified).toMatchObject({ problems: [], coming: [], imported: 130 });
  }, 60_000);
});

describe('an export while versions are registered', () => {
  test('has each model as of one moment, and is taken', async () => {
    const { platform: from, by } = shared.fresh();
    await largeModel(from, 'busy', 30);
    const dir = await temporaryDirectory();
    const stop = new AbortController();
    const busy = (async () => {
      for (let i = 0; !stop.signal.aborted; i += 1) {
        const { version } = await from.registry.register({
          ...{ model: 'busy', from: { files: { a: Buffer.from(`busy ${i}`) } } },
          ...{ format: 'CUSTOM', bump: 'patch' },
        });
        const versions = await from.registry.listVersions('busy');
        await from.registry.setAlias('busy', 'champion', versions[i % 7]?.version ?? version);
        await by('user:ana').registry.setCard(versions[i % 5]?.id ?? '', { team: `team ${i}` });
      }
    })();
    const counts: number[] = [];
    try {
      for (let round = 0; round < 5; round += 1) {
        const { versions } = await from.registry.exportModels({ to: join(dir, `${round}.tar`) });
        counts.push(versions);
      }
    } finally {
      stop.abort();
      await busy;
    }
    expect(counts.at(-1)).toBeGreaterThan(counts[0] ?? 0);
    for (const [round, versions] of counts.entries()) {
      const { platform } = shared.fresh();
      await platform.registry.importModels({ from: join(dir, `${round}.tar`) });
      expect(await platform.registry.listVersions('busy')).toHaveLength(versions);
      expect((await platform.operations.audit.verify()).problems).toEqual([]);
    }
  }, 120_000);
});

describe('what was damaged', () => {
  test('fails an export where a version is READY; of one that is FAILED the rest moves', async () => {
    const { platform: from } = shared.fresh();
    const version = await from.registry.register({
      ...{ model: 'm', from: { files: { a: Buffer.from('aaa'), b: Buffer.from('bbb') } } },
      format: 'CUSTOM',
    });
    const dir = await temporaryDirectory();
    expect(version.files).toHaveLength(2);
    await from.registry.exportModels({ to: join(dir, 'good') });
    expect((await digestsOf(join(dir, 'good', 'content'))).length).toBe(2);
    await from.registry.deleteVersion('m', version.version, { reason: 'no more' });
    await from.registry.deleteModel('m', { reason: 'no more' });
    await from.registry.exportModels({ to: join(dir, 'deleted') });
    const { platform } = shared.fresh();
    await platform.registry.importModels({ from: join(dir, 'deleted') });
    expect(await names(platform)).toEqual([]);
    await platform.registry.restoreModel('m');
    await platform.registry.restoreVersion('m', version.version);
    expect(await platform.registry.listVersions('m')).toHaveLength(1);
    expect((await platform.operations.audit.verify()).problems).toEqual([]);
  });
});

test('what was erased stays erased, and the chain stands', async () => {
  const { platform: from, by } = shared.fresh();
  await filledRegistry(from, (id) => by(id).registry);
  const found: string[] = [];
  for await (const { id } of from.events.each({ types: ['promotion.rejected'] })) found.push(id);
  await from.operations.audit.erase({ events: found, reason: 'asked for' });
  const dir = await temporaryDirectory();
  await from.registry.exportModels({ to: join(dir, 'all') });
  const { platform } = shared.fresh();
  await platform.registry.importModels({ from: join(dir, 'all') });
  expect(await platform.operations.audit.verify()).toMatchObject({ problems: [], erased: 1 });
  // And what came can be erased here too.
  const { events } = await platform.operations.audit.findContent('to PRODUCTION');
  const some = await platform.operations.audit.findContent('user:ana');
  expect(some.events.length).toBeGreaterThan(0);
  await platform.operations.audit.erase({ events: some.events, reason: 'asked for' });
  expect((await platform.operations.audit.findContent('user:ana')).events).toEqual([]);
  expect(await platform.operations.audit.verify()).toMatchObject({
    problems: [],
    erased: 1 + some.events.length,
  });
  expect(events).toEqual([]);
  expect(filledModels).toHaveLength(2);
});
