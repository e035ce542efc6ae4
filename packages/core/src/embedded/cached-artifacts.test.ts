import { appendFile, chmod, copyFile, mkdtemp, rm, stat, truncate, utimes } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, onTestFinished, test } from 'vitest';
import { BehindCache, content, copiesIn, copyIn, readAll } from '../../test/behind-cache.ts';
import { flipByte } from '../../test/file-artifact-harness.ts';
import { temporaryDirectory } from '../../test/open-test-platform.ts';
import type { ArtifactStore } from '../contracts/artifact-store.ts';
import type { ArtifactBackend } from '../contracts/backend.ts';
import { type ArtifactStoreHarness, artifactStoreSuite } from '../testing/artifact-store-suite.ts';
import { runCase } from '../testing/suite.ts';
import { type CacheOptions, cachedArtifacts } from './cached-artifacts.ts';

const mebibyte = 2 ** 20;

describe('keeps the promises of ArtifactStore', () => {
  for (const one of artifactStoreSuite.cases) {
    test(one.name, () =>
      runCase(one, async (): Promise<ArtifactStoreHarness> => {
        const dir = await mkdtemp(join(tmpdir(), 'keelson-cache-'));
        const behind = new BehindCache(dir);
        const handles: ArtifactStore[] = [];
        const another = async (): Promise<ArtifactStore> => {
          const store = await behind.open();
          handles.push(store);
          return store;
        };
        const store = await another();
        return {
          store,
          reopen: another,
          async damage(workspace, sha256, offset) {
            await flipByte(fileURLToPath(store.uri(workspace, sha256)), offset);
            // What was read before is a good copy: the promise is about what is stored.
            await rm(join(dir, 'cache', 'artifacts', 'spaces'), { recursive: true, force: true });
          },
          async [Symbol.asyncDispose]() {
            for (const handle of handles) await handle.close();
            await rm(dir, { recursive: true, force: true });
          },
        };
      }),
    );
  }
});

describe('the cache', () => {
  async function opened(options?: CacheOptions) {
    const dir = await temporaryDirectory();
    const behind = new BehindCache(dir);
    const store = await behind.open(options);
    onTestFinished(() => store.close());
    return { dir, behind, store, space: store.space('home') };
  }

  test('what was read once is read again without the store behind, ranges too', async () => {
    const { behind, space } = await opened();
    const bytes = content(1, 3 * mebibyte);
    const { sha256 } = await space.put(bytes);
    const all = await Promise.all([1, 2, 3].map(async () => readAll(await space.open(sha256))));
    expect(all.every((each) => each.equals(bytes))).toBe(true);
    const part = await readAll(await space.open(sha256, { start: 5, end: mebibyte + 9 }));
    expect(part.length).toBe(mebibyte + 4);
    expect(behind.opened).toEqual([sha256]);
  });

  test('a copy does not let another workspace read, nor outlive a removal', async () => {
    const { store, space } = await opened();
    const { sha256 } = await space.put(content(1));
    await readAll(await space.open(sha256));
    const missing = { code: 'NOT_FOUND' };
    await expect(store.space('other').open(sha256)).rejects.toMatchObject(missing);
    await space.remove(sha256);
    await expect(space.open(sha256)).rejects.toMatchObject(missing);
  });

  test('the copies that were used last are kept, within the bound; large contents pass by', async () => {
    const { dir, behind, space } = await opened({ maxBytes: 4 * mebibyte });
    const digests: string[] = [];
    for (let n = 0; n < 6; n += 1) digests.push((await space.put(content(n))).sha256);
    for (const sha256 of digests.slice(0, 4)) await readAll(await space.open(sha256));
    await new Promise((resolve) => setTimeout(resolve, 5));
    await readAll(await space.open(digests[0] as string));
    for (const sha256 of digests.slice(4)) await readAll(await space.open(sha256));
    const kept = await copiesIn(dir);
    expect(kept.length).toBe(4);
    expect(kept).toContain(digests[0]);
    expect(kept).not.toContain(digests[1]);
    const { sha256: large } = await space.put(content(9, 3 * mebibyte));
    behind.opened.length = 0;
    for (let i = 0; i < 2; i += 1) await readAll(await space.open(large));
    expect(behind.opened).toEqual([large, large]);
  });

  test('the bound holds after contents that were read at the same time', async () => {
    const { dir, space } = await opened({ maxBytes: 2 * mebibyte });
    const digests: string[] = [];
    for (let n = 0; n < 6; n += 1) digests.push((await space.put(content(n))).sha256);
    await Promise.all(digests.map(async (sha256) => readAll(await space.open(sha256))));
    expect((await copiesIn(dir)).length).toBeLessThanOrEqual(2);
  });

  test('a copy that was damaged is healed: the rest comes from behind, the next is brought anew', async () => {
    const { dir, behind, space } = await opened();
    const bytes = content(3, 3 * mebibyte);
    const { sha256 } = await space.put(bytes);
    await readAll(await space.open(sha256));
    await flipByte(copyIn(dir, sha256), 2 * mebibyte + 7);
    for (let i = 0; i < 2; i += 1) {
      expect((await readAll(await space.open(sha256))).equals(bytes)).toBe(true);
    }
    behind.broken = true;
    expect((await readAll(await space.open(sha256))).equals(bytes)).toBe(true);
  });

  test.each<[string, (copy: string, other: string) => Promise<void>]>([
    ['cut short', (copy) => truncate(copy, mebibyte + 3)],
    ['emptied', (copy) => truncate(copy, 0)],
    ['grown', (copy) => appendFile(copy, 'more')],
    ['flipped, its times as they were', flipInSilence],
    ['put in the place of another', (copy, other) => copyFile(other, copy)],
    ['without its digests', (copy) => rm(`${copy}.chunks`)],
    ['with the digests of another', (copy, other) => copyFile(`${other}.chunks`, `${copy}.chunks`)],
    ['with digests that were damaged', (copy) => flipByte(`${copy}.chunks`, 70)],
    [
      'flipped and without its digests',
      (copy) => flipByte(copy, 9).then(() => rm(`${copy}.chunks`)),
    ],
  ])('a copy that is %s gives no wrong byte, and is sound the next time', async (_, harm) => {
    const { dir, behind, space } = await opened();
    const bytes = content(3, 3 * mebibyte);
    const { sha256 } = await space.put(bytes);
    const { sha256: other } = await space.put(content(4, 3 * mebibyte));
    for (const digest of [sha256, other]) await readAll(await space.open(digest));
    await chmod(copyIn(dir, sha256), 0o644);
    await chmod(`${copyIn(dir, sha256)}.chunks`, 0o644);
    await harm(copyIn(dir, sha256), copyIn(dir, other));
    for (let i = 0; i < 2; i += 1) {
      const range = { start: i, end: bytes.length - i };
      expect(
        (await readAll(await space.open(sha256, range))).equals(bytes.subarray(i, -i || undefined)),
      ).toBe(true);
    }
    behind.broken = true;
    expect((await readAll(await space.open(sha256))).equals(bytes)).toBe(true);
  });

  test('two handles on one directory share it, though one pushes out what the other reads', async () => {
    const { behind, space } = await opened({ maxBytes: 2 * mebibyte });
    const other = await behind.open({ maxBytes: 2 * mebibyte });
    onTestFinished(() => other.close());
    const digests: string[] = [];
    for (let n = 0; n < 5; n += 1) digests.push((await space.put(content(n))).sha256);
    const reads = Array.from({ length: 40 }, async (_, i) => {
      const n = i % 5;
      const from = i % 2 === 0 ? space : other.space('home');
      const bytes = await readAll(await from.open(digests[n] as string));
      expect(bytes.equals(content(n))).toBe(true);
    });
    await Promise.all(reads);
  });

  test.each([0, -1, 1.5, Number.NaN])('maxBytes of %d is refused', (maxBytes) => {
    expect(() => cachedArtifacts({} as ArtifactBackend, { maxBytes })).toThrow('maxBytes');
  });
});

/** As a bad sector does: nothing but the byte tells. */
async function flipInSilence(path: string): Promise<void> {
  const { atime, mtime } = await stat(path);
  await flipByte(path, 2 * mebibyte + 7);
  await utimes(path, atime, mtime);
}
