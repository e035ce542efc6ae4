import { execFileSync } from 'node:child_process';
import { chmod, chown, mkdir, readdir, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, onTestFinished, test } from 'vitest';
import { BehindCache, content, copiesIn, readAll } from '../../test/behind-cache.ts';
import { temporaryDirectory } from '../../test/open-test-platform.ts';
import type { ArtifactSpace, ArtifactStore } from '../contracts/artifact-store.ts';
import { interposed } from '../testing/faults/interposed.ts';
import { killLoop } from '../testing/faults/kill-loop.ts';
import { seedOf } from '../testing/faults/seed.ts';
import { FileArtifactStore } from './file-artifact-store.ts';

const mebibyte = 2 ** 20;
const bytes = content(5, 3 * mebibyte);
/** Long form: `KILLS=300 vitest run artifact-cache.test.ts`. */
const kills = Number(process.env['KILLS'] ?? 12);
const seed = seedOf();
const isRoot = process.getuid?.() === 0;

async function scene() {
  const dir = await temporaryDirectory();
  return { dir, behind: new BehindCache(dir) };
}

function closing(store: ArtifactStore, workspace = 'home'): ArtifactSpace {
  onTestFinished(() => store.close());
  return store.space(workspace);
}

/** A disk in memory of that size, on a directory of its own. */
async function disk(
  sizeBytes: number,
): Promise<{ readonly at: string; remount(how: string): void }> {
  const at = await temporaryDirectory();
  execFileSync('mount', ['-t', 'tmpfs', '-o', `size=${sizeBytes}`, 'tmpfs', at]);
  onTestFinished(() => void execFileSync('umount', ['-l', at]));
  return { at, remount: (how) => void execFileSync('mount', ['-o', `remount,${how}`, at]) };
}

async function expectRead(space: ArtifactSpace, sha256: string, expected = bytes): Promise<void> {
  expect((await readAll(await space.open(sha256))).equals(expected)).toBe(true);
}

/** Root may write anywhere: until the test's end this process is a user who owns `dir` and no more. */
async function becomeNobody(dir: string): Promise<void> {
  const nobody = 65_534;
  await chown(dir, nobody, nobody);
  process.seteuid?.(nobody);
  onTestFinished(() => process.seteuid?.(0));
}

function inputOutputError(syscall: string): Error {
  return Object.assign(new Error(`EIO: i/o error, ${syscall}`), { code: 'EIO', syscall });
}

describe('a cache directory that fails never fails a read', () => {
  test.skipIf(!isRoot)('full: it is passed by, once a read', async () => {
    const { behind } = await scene();
    const { at } = await disk(mebibyte);
    const space = closing(await behind.open({ dir: join(at, 'copies') }));
    const { sha256 } = await space.put(bytes);
    await expectRead(space, sha256);
    // The failed copy and the read; then nothing is tried for a while.
    expect(behind.opened.length).toBe(2);
    await expectRead(space, sha256);
    expect(behind.opened.length).toBe(3);
    expect(behind.warnings.length).toBe(1);
  });

  test.skipIf(!isRoot)(
    'a disk smaller than the bound: old copies make way for new ones',
    async () => {
      const { at } = await disk(5 * mebibyte);
      const { behind } = await scene();
      const space = closing(await behind.openOn(() => FileArtifactStore.open({ dir: at })));
      const digests: string[] = [];
      for (let n = 0; n < 9; n += 1) digests.push((await space.put(content(n))).sha256);
      for (const sha256 of digests)
        for (let i = 0; i < 2; i += 1) await readAll(await space.open(sha256));
      behind.opened.length = 0;
      await expectRead(space, digests[8] as string, content(8));
      expect(behind.opened).toEqual([]);
      await readAll(await space.open(digests[0] as string));
      expect(behind.opened).toContain(digests[0]);
    },
  );

  test.skipIf(!isRoot)(
    'read-only: what it has is read from it, the rest past it, until it can be written again',
    async () => {
      const { at, remount } = await disk(32 * mebibyte);
      const { behind } = await scene();
      const space = closing(await behind.openOn(() => FileArtifactStore.open({ dir: at })));
      const [there, absent] = [await space.put(bytes), await space.put(content(6))];
      await expectRead(space, there.sha256);
      remount('ro');
      behind.opened.length = 0;
      await expectRead(space, there.sha256);
      expect(behind.opened).toEqual([]);
      for (let i = 0; i < 2; i += 1) await expectRead(space, absent.sha256, content(6));
      expect(new Set(behind.opened)).toEqual(new Set([absent.sha256]));
      expect(behind.warnings.length).toBe(1);
      remount('rw');
      await expectRead(space, absent.sha256, content(6));
      behind.opened.length = 0;
      await expectRead(space, absent.sha256, content(6));
      expect(behind.opened).toEqual([]);
    },
  );

  test('not ours to write: it is passed by', async () => {
    const { dir, behind } = await scene();
    await mkdir(join(dir, 'locked'));
    await chmod(join(dir, 'locked'), 0o555);
    if (isRoot) await becomeNobody(dir);
    const space = closing(await behind.open({ dir: join(dir, 'locked', 'copies') }));
    const { sha256 } = await space.put(bytes);
    await expectRead(space, sha256);
  });

  test.skipIf(!isRoot)(
    'on a disk where it cannot be made: the store opens, and reads',
    async () => {
      const { at, remount } = await disk(mebibyte);
      remount('ro');
      const { behind } = await scene();
      const space = closing(await behind.open({ dir: join(at, 'copies') }));
      const { sha256 } = await space.put(bytes);
      await expectRead(space, sha256);
      expect(behind.warnings.length).toBe(1);
    },
  );

  test('a path that will never do is refused at the opening', async () => {
    const { dir, behind } = await scene();
    await writeFile(join(dir, 'file'), 'no directory');
    await expect(behind.open({ dir: join(dir, 'file', 'copies') })).rejects.toMatchObject({
      code: 'INVALID',
      message: expect.stringContaining(join(dir, 'file', 'copies')),
    });
  });

  test('removed while it is used: it is made anew', async () => {
    const { dir, behind } = await scene();
    const copies = join(dir, 'cache', 'artifacts');
    const space = closing(await behind.openOn(() => FileArtifactStore.open({ dir: copies })));
    const { sha256 } = await space.put(bytes);
    await expectRead(space, sha256);
    await rm(copies, { recursive: true });
    for (let i = 0; i < 2; i += 1) await expectRead(space, sha256);
    expect(await copiesIn(dir)).toEqual([sha256]);
    behind.broken = true;
    await expectRead(space, sha256);
  });

  test.each(['keep', 'find', 'open', 'put', 'remove', 'collectLeftovers', 'list', 'reading'])(
    'an input/output error of its %s',
    async (broken) => {
      const { dir, behind } = await scene();
      let fails = false;
      const local = async (): Promise<ArtifactStore> => {
        const store = await FileArtifactStore.open({ dir: join(dir, 'copies') });
        return failing(store, (method) => fails && method === broken);
      };
      const store = await behind.openOn(local, 7 * mebibyte);
      const space = closing(store);
      const contents = [bytes, content(6), content(7), content(8, 2 * mebibyte), content(9)];
      const digests: string[] = [];
      for (const each of contents) digests.push((await space.put(each)).sha256);
      await expectRead(space, digests[0] as string);
      fails = true;
      // Some are there, others come in, others are pushed out for them.
      for (let turn = 0; turn < 3; turn += 1) {
        for (const [i, sha256] of digests.entries()) await expectRead(space, sha256, contents[i]);
        await store.collectLeftovers(0);
      }
      fails = false;
      for (const [i, sha256] of digests.entries()) await expectRead(space, sha256, contents[i]);
    },
  );
});

describe('copies that come in', () => {
  test('once for all who ask, though who asked first stops waiting', async () => {
    const { dir, behind } = await scene();
    let asking = 0;
    const local = async (): Promise<ArtifactStore> => {
      const store = await FileArtifactStore.open({ dir: join(dir, 'cache', 'artifacts') });
      return interposed(store, async ({ method }, proceed) => {
        const answer = await proceed();
        asking += method === 'keep' ? 1 : 0;
        return answer;
      });
    };
    const space = closing(await behind.openOn(local));
    const { sha256 } = await space.put(bytes);
    const line = Promise.withResolvers<void>();
    behind.beforeOpen = () => line.promise;
    const hurried = new AbortController();
    const first = space.open(sha256, {}, hurried.signal);
    first.catch(() => undefined);
    await expect.poll(() => behind.opened.length, { interval: 1 }).toBe(1);
    const second = space.open(sha256);
    await expect.poll(() => asking, { interval: 1 }).toBe(2);
    hurried.abort();
    await expect(first).rejects.toMatchObject({ code: 'ABORTED' });
    line.resolve();
    expect((await readAll(await second)).equals(bytes)).toBe(true);
    expect(behind.opened).toEqual([sha256]);
    expect(await copiesIn(dir)).toEqual([sha256]);
  });

  test('given up when nobody waits: nothing of it stays', async () => {
    const { dir, behind } = await scene();
    const store = await behind.open();
    const space = closing(store);
    const { sha256 } = await space.put(bytes);
    const line = Promise.withResolvers<void>();
    const asked = Promise.withResolvers<void>();
    behind.beforeOpen = async () => {
      asked.resolve();
      await line.promise;
    };
    const only = new AbortController();
    const reader = space.open(sha256, {}, only.signal);
    reader.catch(() => undefined);
    await asked.promise;
    only.abort();
    await expect(reader).rejects.toMatchObject({ code: 'ABORTED' });
    line.resolve();
    await store.close();
    expect(await copiesIn(dir)).toEqual([]);
    expect(behind.warnings).toEqual([]);
  });

  test('what is wrong with the store behind is not laid on the cache', async () => {
    const { behind } = await scene();
    const space = closing(await behind.open());
    const { sha256 } = await space.put(bytes);
    behind.broken = true;
    await expect(space.open(sha256)).rejects.toMatchObject({ code: 'UNAVAILABLE' });
    behind.broken = false;
    await expectRead(space, sha256);
    behind.broken = true;
    await expectRead(space, sha256);
    expect(behind.warnings).toEqual([]);
  });
});

test(
  `processes that share a directory, killed amid copying: no wrong byte, none by halves, nothing left (KEELSON_SEED=${seed})`,
  async () => {
    const { dir, behind } = await scene();
    const maxBytes = 8 * mebibyte;
    const filler = closing(await behind.open());
    const contents = [];
    for (let n = 0; n < 8; n += 1)
      contents.push(await filler.put(content(n, (1 + (n % 3)) * mebibyte)));
    const program = new URL('../../test/children/read-through-cache.ts', import.meta.url);
    const argument = { dir, maxBytes, contents: contents.map((each) => ({ ...each })) };
    const report = await killLoop({
      ...{ program, argument, seed, processes: 3, kills, everyMs: [5, 120] },
      done: ({ kills: hit, said }) => hit === kills && said.length > 20 * kills,
      timeoutMs: 120_000 + kills * 5_000,
    });
    expect(report.kills).toBe(kills);
    const said = report.said as readonly { readonly warnings: readonly string[] }[];
    expect(said.flatMap(({ warnings }) => warnings)).toEqual([]);
    const after = closing(await behind.open({ maxBytes }));
    for (const [n, { sha256, sizeBytes }] of contents.entries()) {
      await expectRead(after, sha256, content(n, sizeBytes));
    }
    const local = await FileArtifactStore.open({ dir: join(dir, 'cache', 'artifacts') });
    const copies = await Array.fromAsync(closing(local, 'cache').list());
    expect(copies.reduce((sum, { sizeBytes }) => sum + sizeBytes, 0)).toBeLessThanOrEqual(maxBytes);
    expect(copies.length).toBeGreaterThan(0);
    // What came in first cleared up behind the killed.
    expect(await readdir(join(dir, 'cache', 'artifacts', 'incoming'))).toEqual([]);
  },
  120_000 + kills * 5_000,
);

/** The store with input/output errors: in a method, or in the middle of a stream. */
function failing(store: ArtifactStore, fails: (method: string) => boolean): ArtifactStore {
  return interposed(store, async ({ method, args }, proceed) => {
    if (fails(method)) throw inputOutputError(method);
    if (method !== 'open' || !fails('reading')) return await proceed();
    const stream = (await proceed(args)) as ReadableStream<Uint8Array>;
    const reader = stream.getReader();
    return new ReadableStream<Uint8Array>({
      async start(controller) {
        const { value } = await reader.read();
        if (value !== undefined) controller.enqueue(value);
      },
      async pull() {
        await reader.cancel();
        throw inputOutputError('read');
      },
    });
  });
}
