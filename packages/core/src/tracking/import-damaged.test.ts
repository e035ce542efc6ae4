import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { readMembers, writeMembers } from '../../test/moving/tampered-export.ts';
import { sharePlatform, temporaryDirectory } from '../../test/open-test-platform.ts';
import { isKeelsonError } from '../errors.ts';
import type { Services } from '../open-platform.ts';

const shared = sharePlatform();
const seed = Number(process.env['KEELSON_SEED'] ?? Date.now() % 2 ** 31);
/** Every so-many-th byte; `KEELSON_STRIDE=1` flips each, which takes minutes. */
const stride = Number(process.env['KEELSON_STRIDE'] ?? 23);

/** A small export of each sort of member. */
async function exported(): Promise<{ readonly dir: string; readonly path: string }> {
  const { platform } = shared.fresh();
  await platform.tracking.defineMetric({ name: 'loss' });
  await platform.tracking.withRun(
    { experiment: 'e', params: { a: 1 }, environment: false },
    async (run) => {
      run.logMetric('loss', 0.5);
      await run.logArtifact('a.txt', Buffer.from('content'));
      await run.logDataset({ name: 'd', digest: '1', role: 'train' });
    },
  );
  const dir = await temporaryDirectory();
  await platform.tracking.exportExperiments({ to: join(dir, 'x') });
  await platform.tracking.exportExperiments({ to: join(dir, 'x.tar') });
  return { dir, path: join(dir, 'x') };
}

/** What an import says of a damaged export; nothing of it may be here afterwards. */
async function saidOf(platform: Services, from: string): Promise<string> {
  try {
    await platform.tracking.importExperiments({ from });
  } catch (error) {
    if (!isKeelsonError(error, 'CORRUPT', 'INVALID', 'INCOMPATIBLE')) throw error;
    const { experiments } = await platform.tracking.listExperiments();
    expect(experiments).toEqual([]);
    return error.message;
  }
  throw new Error('It was taken.');
}

describe(`a flipped bit is found and named (KEELSON_SEED=${seed})`, () => {
  test('in each file of a directory', async () => {
    const { path } = await exported();
    const { platform } = shared.fresh();
    let flips = 0;
    for (const [member, bytes] of await readMembers(path)) {
      for (
        let at = (seed + flips) % Math.min(stride, bytes.length);
        at < bytes.length;
        at += stride
      ) {
        const damaged = Buffer.from(bytes);
        damaged[at] = (damaged[at] ?? 0) ^ (1 << ((seed + at) % 8));
        await writeFile(join(path, member), damaged);
        const said = await saidOf(platform, path);
        // A manifest that is damaged may still name a member of a size that is none.
        expect(said, `byte ${at} of ${member}`).toContain(member);
        flips += 1;
      }
      await writeFile(join(path, member), bytes);
    }
    expect(flips).toBeGreaterThan(100);
    expect((await platform.tracking.importExperiments({ from: path })).added.runs).toBe(1);
  }, 300_000);

  test('in a tar, headers and fillings included', async () => {
    const { dir } = await exported();
    const { platform } = shared.fresh();
    const path = join(dir, 'x.tar');
    const tar = await readFile(path);
    for (let at = seed % stride; at < tar.length; at += stride) {
      const damaged = Buffer.from(tar);
      damaged[at] = (damaged[at] ?? 0) ^ (1 << ((seed + at) % 8));
      await writeFile(path, damaged);
      expect(await saidOf(platform, path), `byte ${at}`).toContain(path);
    }
    await writeFile(path, tar);
    expect((await platform.tracking.importExperiments({ from: path })).added.runs).toBe(1);
  }, 300_000);

  test('in a store: an export of damaged content fails, and leaves nothing', async () => {
    const { dir, path } = await exported();
    const members = await readMembers(path);
    await writeMembers(join(dir, 'copy'), members);
    const { platform } = shared.fresh();
    await platform.tracking.importExperiments({ from: join(dir, 'copy') });
    const digest = [...members.keys()].find((one) => one.startsWith('content/'))?.slice(-64) ?? '';
    const { artifacts } = await platform.tracking.listArtifacts(
      (await platform.tracking.searchRuns()).runs[0]?.id ?? '',
    );
    const stored = new URL(artifacts.find((one) => one.sha256 === digest)?.uri ?? '');
    await writeFile(stored, 'Content');
    const to = join(dir, 'again.tar');
    await expect(platform.tracking.exportExperiments({ to })).rejects.toMatchObject({
      code: 'CORRUPT',
      message: expect.stringContaining(digest),
    });
    await expect(readFile(to)).rejects.toMatchObject({ code: 'ENOENT' });
  });
});
