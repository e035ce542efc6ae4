import { execFileSync } from 'node:child_process';
import { createHash, randomBytes } from 'node:crypto';
import {
  appendFile,
  chmod,
  mkdir,
  mkdtemp,
  open,
  readdir,
  readFile,
  rename,
  rm,
  stat,
  truncate,
  utimes,
  writeFile,
} from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, onTestFinished, test } from 'vitest';
import { ChildProgram, childFile } from '../../test/child-program.ts';
import { temporaryDirectory, until } from '../../test/open-test-platform.ts';
import type { ContentInfo } from '../contracts/artifact-store.ts';
import type { PlaceOptions } from '../contracts/download-cache.ts';
import { type ErrorCode, isKeelsonError, KeelsonError } from '../errors.ts';
import { FileDownloadCache } from './download-cache.ts';
import { FileArtifactStore } from './file-artifact-store.ts';

/** A cache in front of a real store, and what was asked of that. */
class Bed {
  readonly dir: string;
  readonly store: FileArtifactStore;
  /** Where each fetch began. */
  readonly fetches: number[] = [];
  readonly warnings: string[] = [];
  /** Stands before each fetch. */
  beforeFetch: () => Promise<void> = async () => undefined;
  #targets = 0;

  private constructor(dir: string, store: FileArtifactStore) {
    this.dir = dir;
    this.store = store;
  }

  static async open(): Promise<Bed> {
    const dir = await temporaryDirectory();
    const store = await FileArtifactStore.open({ dir: join(dir, 'store') });
    onTestFinished(() => store.close());
    return new Bed(dir, store);
  }

  cache(maxBytes = 2 ** 40, dir = join(this.dir, 'cache'), stallMs = 60_000): FileDownloadCache {
    const silent = (): void => undefined;
    const warn = (_: object, message: string): void => void this.warnings.push(message);
    const logger = { debug: silent, info: silent, warn, error: silent };
    return new FileDownloadCache({ dir, maxBytes, logger, stallMs });
  }

  async put(bytes: Uint8Array): Promise<ContentInfo> {
    return await this.store.space('home').put(bytes);
  }

  /** The file that the content was placed in. */
  async place(
    cache: FileDownloadCache,
    content: ContentInfo,
    options: Partial<PlaceOptions> = {},
  ): Promise<string> {
    this.#targets += 1;
    const target = join(this.dir, `target-${this.#targets}`);
    await cache.place(content, target, {
      open: async (start) => {
        this.fetches.push(start);
        await this.beforeFetch();
        return await this.store.space('home').open(content.sha256, { start }, options.signal);
      },
      copy: false,
      ...options,
    });
    return target;
  }

  entry({ sha256 }: ContentInfo): string {
    return join(this.dir, 'cache', 'entries', sha256.slice(0, 2), sha256);
  }

  async copies(): Promise<string[]> {
    const entries = join(this.dir, 'cache', 'entries');
    const names = await readdir(entries, { recursive: true }).catch(() => []);
    return names.map((name) => name.split('/').at(-1) ?? '').filter((name) => name.length === 64);
  }
}

const large = randomBytes(17 * 2 ** 20 + 5);
const small = Buffer.from('{"a":1}');

async function same(path: string, bytes: Uint8Array): Promise<void> {
  // Not toEqual: it would print megabytes.
  expect((await readFile(path)).equals(bytes), `${path} has the bytes`).toBe(true);
}

async function code(work: Promise<unknown>): Promise<ErrorCode> {
  try {
    await work;
  } catch (error) {
    if (isKeelsonError(error)) return error.code;
    throw error;
  }
  throw new Error('It was not refused.');
}

describe('a content is fetched once', () => {
  test.each([
    ['large', large],
    ['small', small],
    ['empty', Buffer.alloc(0)],
    ['of whole chunks', large.subarray(0, 2 ** 21)],
  ])('%s: the second comes from the copy, read only', async (_, bytes) => {
    const bed = await Bed.open();
    const content = await bed.put(bytes);
    for (let i = 0; i < 3; i += 1) {
      const told: number[] = [];
      const target = await bed.place(bed.cache(), content, {
        onBytes: (now) => void told.push(now),
      });
      await same(target, bytes);
      expect((await stat(target)).mode & 0o222).toBe(0);
      expect(told.at(-1)).toBe(bytes.length);
    }
    expect(bed.fetches).toEqual([0]);
  });

  test('large ones share their bytes; copies of one’s own, and small ones, do not', async () => {
    const bed = await Bed.open();
    const cache = bed.cache();
    const content = await bed.put(large);
    const inode = async (path: string): Promise<number> => (await stat(path)).ino;
    const [one, two] = [await bed.place(cache, content), await bed.place(cache, content)];
    // Where the file system clones, they share their blocks.
    const shared = (await inode(one)) === (await inode(two));
    const freeBlocks = (await stat(one)).blocks === 0;
    expect(shared || freeBlocks || process.platform !== 'linux').toBe(true);
    const own = await bed.place(cache, content, { copy: true });
    expect(await inode(own)).not.toBe(await inode(one));
    await appendFile(own, 'mine');
    await same(one, large);
    const tiny = await bed.put(small);
    expect(await inode(await bed.place(cache, tiny))).not.toBe(await inode(bed.entry(tiny)));
    // The store's own file is never in anybody's hands.
    const stored = (await readdir(join(bed.dir, 'store'), { recursive: true })).find((name) =>
      name.endsWith(content.sha256),
    );
    expect((await stat(join(bed.dir, 'store', stored ?? ''))).nlink).toBe(1);
  });

  test('two at once in one process, and three processes', async () => {
    const bed = await Bed.open();
    const content = await bed.put(large);
    const cache = bed.cache();
    const targets = await Promise.all([bed.place(cache, content), bed.place(bed.cache(), content)]);
    for (const target of targets) await same(target, large);
    expect(bed.fetches).toEqual([0]);
    const other = await bed.put(randomBytes(48 * 2 ** 20));
    const children = [1, 2, 3].map(
      () =>
        new ChildProgram(childFile('download-through-cache'), [
          ...[bed.dir, other.sha256, String(other.sizeBytes), '2'],
        ]),
    );
    for (const child of children) expect((await child.end()).code, child.errors).toBe(0);
    expect(children.flatMap(({ lines }) => lines).sort()).toEqual([
      ...['done', 'done', 'done', 'fetch 0'],
    ]);
  });

  test('whoever dies in the middle leaves what it has to the next', async () => {
    const bed = await Bed.open();
    const content = await bed.put(large);
    const part = join(bed.dir, 'cache', 'incoming', `${content.sha256}.part`);
    const stop = new AbortController();
    const aborted = bed.place(bed.cache(), content, {
      signal: stop.signal,
      onBytes: (bytes) => {
        if (bytes >= 5 * 2 ** 20) stop.abort();
      },
    });
    expect(await code(aborted)).toBe('ABORTED');
    expect(await bed.copies()).toEqual([]);
    const { size } = await stat(part);
    expect(size).toBeGreaterThanOrEqual(5 * 2 ** 20);
    await same(await bed.place(bed.cache(), content), large);
    expect(bed.fetches).toEqual([0, size - (size % 2 ** 20)]);
  });

  test('what was left is damaged: it is fetched from the start, once', async () => {
    const bed = await Bed.open();
    const content = await bed.put(large);
    await mkdir(join(bed.dir, 'cache', 'incoming'), { recursive: true });
    const part = join(bed.dir, 'cache', 'incoming', `${content.sha256}.part`);
    await writeFile(part, randomBytes(3 * 2 ** 20 + 1));
    await same(await bed.place(bed.cache(), content), large);
    expect(bed.fetches).toEqual([3 * 2 ** 20, 0]);
  });

  test('killed while it fetches: the next goes on, and nobody sees a half file', async () => {
    const bed = await Bed.open();
    const bytes = randomBytes(64 * 2 ** 20);
    const content = await bed.put(bytes);
    const part = join(bed.dir, 'cache', 'incoming', `${content.sha256}.part`);
    for (let kill = 0; kill < 3; kill += 1) {
      const before = await sizeOf(part);
      const child = new ChildProgram(childFile('download-through-cache'), [
        ...[bed.dir, content.sha256, String(content.sizeBytes)],
      ]);
      await until('it has fetched something more', async () => {
        return (await sizeOf(part)) > before + 2 ** 20 || (await bed.copies()).length > 0;
      });
      await child.kill();
    }
    await same(await bed.place(bed.cache(), content), bytes);
    expect(await readdir(join(bed.dir, 'cache', 'incoming'))).toEqual([]);
  });

  test('whoever fetches and has stopped is not waited for', async () => {
    const bed = await Bed.open();
    const content = await bed.put(large);
    const go = Promise.withResolvers<void>();
    bed.beforeFetch = async () => {
      if (bed.fetches.length === 1) await go.promise;
    };
    const first = bed.place(bed.cache(), content);
    await until('the first fetches', () => bed.fetches.length === 1);
    await same(await bed.place(bed.cache(2 ** 40, undefined, 50), content), large);
    go.resolve();
    await same(await first, large);
    expect(await bed.copies()).toEqual([content.sha256]);
  });
});

async function sizeOf(path: string): Promise<number> {
  return (await stat(path).catch(() => undefined))?.size ?? 0;
}

describe('what somebody does to a file that was handed out', () => {
  const edits: Record<string, (path: string) => Promise<void>> = {
    'a byte at the start': (path) => overwrite(path, 0),
    'a byte in the middle': (path) => overwrite(path, 9 * 2 ** 20),
    'the last byte': (path) => overwrite(path, large.length - 1),
    'cut short': (path) => truncate(path, 100),
    longer: (path) => appendFile(path, 'x'),
  };
  test.each(Object.entries(edits))('%s: others get what was registered', async (_, edit) => {
    const bed = await Bed.open();
    const content = await bed.put(large);
    const target = await bed.place(bed.cache(), content);
    await chmod(target, 0o644);
    await edit(target);
    await same(await bed.place(bed.cache(), content), large);
    await same(await bed.place(bed.cache(), content, { copy: true }), large);
  });

  test('touched only: the copy is read as a whole once, and stays', async () => {
    const bed = await Bed.open();
    const content = await bed.put(large);
    const target = await bed.place(bed.cache(), content);
    await utimes(target, new Date(), new Date());
    await same(await bed.place(bed.cache(), content), large);
    const seen = await readFile(`${bed.entry(content)}.seen`, 'utf8');
    const { dev, ino, size, mtimeNs } = await stat(bed.entry(content), { bigint: true });
    expect(seen).toBe([dev, ino, size, mtimeNs].join(':'));
    expect(bed.fetches).toEqual([0]);
  });
});

async function overwrite(path: string, at: number): Promise<void> {
  await using handle = await open(path, 'r+');
  const byte = Buffer.alloc(1);
  await handle.read(byte, 0, 1, at);
  await handle.write(Buffer.from([(byte[0] ?? 0) ^ 0xff]), 0, 1, at);
}

describe('a copy that rots', () => {
  test('with the same size and time: sampling finds it where it is read', async () => {
    const bed = await Bed.open();
    const content = await bed.put(large);
    await bed.place(bed.cache(), content);
    const { atime, mtime } = await stat(bed.entry(content));
    await chmod(bed.entry(content), 0o644);
    // The last byte is in a chunk that is always looked at.
    await overwrite(bed.entry(content), large.length - 1);
    await utimes(bed.entry(content), atime, mtime);
    await sameLook(bed, content);
    await same(await bed.place(bed.cache(), content), large);
    expect(bed.fetches).toEqual([0, 0]);
  });

  /** Node's times have no nanoseconds: what was seen is written as it looks now. */
  async function sameLook(bed: Bed, content: ContentInfo): Promise<void> {
    const { dev, ino, size, mtimeNs } = await stat(bed.entry(content), { bigint: true });
    await writeFile(`${bed.entry(content)}.seen`, [dev, ino, size, mtimeNs].join(':'));
  }

  test('a file or a copy of one’s own is verified as a whole', async () => {
    const bed = await Bed.open();
    const content = await bed.put(large);
    await bed.place(bed.cache(), content);
    await chmod(bed.entry(content), 0o644);
    for (let chunk = 1; chunk < 16; chunk += 1)
      await overwrite(bed.entry(content), chunk * 2 ** 20);
    await sameLook(bed, content);
    await same(await bed.place(bed.cache(), content, { copy: true }), large);
    expect(bed.fetches).toEqual([0, 0]);
  });

  test.each(['.seen', '.chunks'])('without its %s it is verified as a whole', async (suffix) => {
    const bed = await Bed.open();
    const content = await bed.put(large);
    await bed.place(bed.cache(), content);
    await writeFile(`${bed.entry(content)}${suffix}`, 'damaged');
    await same(await bed.place(bed.cache(), content), large);
    expect(bed.fetches).toEqual([0]);
  });

  test('swapped copies of two contents', async () => {
    const bed = await Bed.open();
    const [one, other] = [await bed.put(large), await bed.put(large.subarray(1))];
    await bed.place(bed.cache(), one);
    await bed.place(bed.cache(), other);
    await rename(bed.entry(one), join(bed.dir, 'aside'));
    await rename(bed.entry(other), bed.entry(one));
    await rename(join(bed.dir, 'aside'), bed.entry(other));
    await same(await bed.place(bed.cache(), one), large);
    await same(await bed.place(bed.cache(), other), large.subarray(1));
  });
});

describe('room', () => {
  test('what was used longest ago goes; what is larger than all of it goes past it', async () => {
    const bed = await Bed.open();
    const cache = bed.cache(3 * 2 ** 20);
    const contents = [];
    for (let i = 0; i < 3; i += 1) contents.push(await bed.put(randomBytes(2 ** 20)));
    const [first, second, third] = contents as [ContentInfo, ContentInfo, ContentInfo];
    for (const content of contents) {
      await bed.place(cache, content);
      await age(bed, content);
    }
    await bed.place(cache, first);
    const fourth = await bed.put(randomBytes(2 ** 20));
    await bed.place(cache, fourth);
    expect((await bed.copies()).sort()).toEqual(
      [first, third, fourth].map(({ sha256 }) => sha256).sort(),
    );
    expect(bed.fetches).toHaveLength(4);
    const whole = await bed.put(randomBytes(3 * 2 ** 20 + 1));
    await bed.place(cache, whole);
    expect(await bed.copies()).toHaveLength(3);
    await bed.place(cache, second);
    expect(bed.fetches).toHaveLength(6);
  });

  /** So that what is used later is later, however coarse the clock. */
  async function age(bed: Bed, content: ContentInfo): Promise<void> {
    const seen = `${bed.entry(content)}.seen`;
    const then = new Date((await stat(seen)).mtimeMs - 60_000 + bed.fetches.length * 1000);
    await utimes(seen, then, then);
  }
});

describe('faults', () => {
  test('a cache that cannot be written is passed by, and told of once', async () => {
    const bed = await Bed.open();
    const content = await bed.put(large);
    await writeFile(join(bed.dir, 'file'), 'in the way');
    const cache = bed.cache(2 ** 40, join(bed.dir, 'file'));
    await same(await bed.place(cache, content), large);
    await same(await bed.place(cache, content), large);
    expect(bed.warnings).toEqual([expect.stringContaining('cache of downloads fails')]);
  });

  test('a full disk under the cache', async (context) => {
    const bed = await Bed.open();
    const full = join(bed.dir, 'full');
    await mkdir(full);
    try {
      execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=4m', 'tmpfs', full], { stdio: 'pipe' });
    } catch {
      return context.skip('No file system can be mounted here.');
    }
    onTestFinished(() => void execFileSync('umount', ['-l', full]));
    const content = await bed.put(large);
    const cache = bed.cache(2 ** 40, full);
    await same(await bed.place(cache, content), large);
    expect(bed.warnings).toHaveLength(1);
    expect(await readdir(join(full, 'incoming'))).toEqual([]);
  });

  test('another file system: copied, and verified', async (context) => {
    const other = '/var/tmp';
    const bed = await Bed.open();
    const here = (await stat(bed.dir)).dev;
    if ((await stat(other)).dev === here) return context.skip('There is one file system only.');
    const dir = await mkdtemp(join(other, 'keelson-test-'));
    onTestFinished(() => rm(dir, { recursive: true, force: true }));
    const content = await bed.put(large);
    await same(await bed.place(bed.cache(2 ** 40, dir), content), large);
    await same(await bed.place(bed.cache(2 ** 40, dir), content), large);
    expect(bed.fetches).toEqual([0]);
  });

  test('damage in the store: CORRUPT, no file, no copy', async () => {
    const bed = await Bed.open();
    const content = await bed.put(large);
    const path = new URL(bed.store.uri('home', content.sha256));
    await chmod(path, 0o644);
    await overwrite(path.pathname, 12 * 2 ** 20);
    expect(await code(bed.place(bed.cache(), content))).toBe('CORRUPT');
    expect(await bed.copies()).toEqual([]);
    expect(await readdir(join(bed.dir, 'cache', 'incoming'))).toEqual([]);
    expect((await readdir(bed.dir)).sort()).toEqual(['cache', 'store']);
  });

  test('a store that gives other bytes without noticing', async () => {
    const bed = await Bed.open();
    const content = await bed.put(large);
    const lying = async (): Promise<ReadableStream<Uint8Array>> =>
      new Blob([new Uint8Array(large.length)]).stream();
    expect(await code(bed.place(bed.cache(), content, { open: lying }))).toBe('CORRUPT');
    const longer = async (): Promise<ReadableStream<Uint8Array>> =>
      new Blob([large, 'more']).stream() as ReadableStream<Uint8Array>;
    expect(await code(bed.place(bed.cache(), content, { open: longer }))).toBe('CORRUPT');
    expect(await bed.copies()).toEqual([]);
    await same(await bed.place(bed.cache(), content), large);
  });

  test('what the store says is passed through', async () => {
    const bed = await Bed.open();
    const sha256 = createHash('sha256').update('nowhere').digest('hex');
    expect(await code(bed.place(bed.cache(), { sha256, sizeBytes: 7 }))).toBe('NOT_FOUND');
    bed.beforeFetch = async () => {
      throw new KeelsonError('UNAVAILABLE', 'The line is cut.');
    };
    expect(await code(bed.place(bed.cache(), await bed.put(large)))).toBe('UNAVAILABLE');
    expect(bed.warnings).toEqual([]);
  });
});
