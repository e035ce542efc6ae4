import { execFileSync } from 'node:child_process';
import { mkdtemp, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, onTestFinished, test } from 'vitest';
import { flipByte } from '../../test/file-artifact-harness.ts';
import { temporaryDirectory } from '../../test/open-test-platform.ts';
import type { ArtifactSpace, ArtifactStore } from '../contracts/artifact-store.ts';
import type { ArtifactBackend } from '../contracts/backend.ts';
import { KeelsonError } from '../errors.ts';
import { type ArtifactStoreHarness, artifactStoreSuite } from '../testing/artifact-store-suite.ts';
import { runCase } from '../testing/suite.ts';
import { type CacheOptions, cachedArtifacts } from './cached-artifacts.ts';
import { FileArtifactStore } from './file-artifact-store.ts';

const silent = (): void => undefined;
const logger = { debug: silent, info: silent, warn: silent, error: silent };
const mebibyte = 2 ** 20;

/** A store on files behind a cache, which counts the bytes that are read from it. */
function behindCache(dir: string): {
  open(options?: CacheOptions): Promise<ArtifactStore>;
  readonly opened: string[];
  broken: boolean;
} {
  const state = { opened: [] as string[], broken: false };
  const backend: ArtifactBackend = {
    async openArtifacts() {
      const store = await FileArtifactStore.open({ dir: join(dir, 'behind') });
      return new Proxy(store, {
        get(target, name) {
          if (name !== 'space') return bound(target, name);
          return (workspace: string) => {
            const space = target.space(workspace);
            return new Proxy(space, {
              get(own, verb) {
                if (verb !== 'open') return bound(own, verb);
                return (...args: Parameters<ArtifactSpace['open']>) => {
                  state.opened.push(args[0]);
                  if (state.broken) throw new KeelsonError('UNAVAILABLE', 'The line is cut.');
                  return own.open(...args);
                };
              },
            });
          };
        },
      });
    },
  };
  const open = async (options: CacheOptions = {}): Promise<ArtifactStore> =>
    cachedArtifacts(backend, options).openArtifacts({ logger, cacheDir: join(dir, 'cache') });
  return Object.assign(state, { open });
}

function bound(target: object, name: string | symbol): unknown {
  const value: unknown = Reflect.get(target, name, target);
  return typeof value === 'function' ? value.bind(target) : value;
}

async function readAll(stream: ReadableStream<Uint8Array>): Promise<Buffer> {
  const pieces: Buffer[] = [];
  for await (const piece of stream) pieces.push(Buffer.from(piece));
  return Buffer.concat(pieces);
}

async function copies(dir: string): Promise<string[]> {
  const below = await readdir(join(dir, 'cache', 'artifacts', 'spaces'), { recursive: true });
  return below
    .map((path) => path.split('/').at(-1) ?? '')
    .filter((name) => /^[0-9a-f]{64}$/.test(name));
}

const content = (n: number, bytes = mebibyte): Uint8Array => new Uint8Array(bytes).fill(n);

describe('keeps the promises of ArtifactStore', () => {
  for (const one of artifactStoreSuite.cases) {
    test(one.name, () =>
      runCase(one, async (): Promise<ArtifactStoreHarness> => {
        const dir = await mkdtemp(join(tmpdir(), 'keelson-cache-'));
        const { open } = behindCache(dir);
        const handles: ArtifactStore[] = [];
        const another = async (): Promise<ArtifactStore> => {
          const store = await open();
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
    const behind = behindCache(dir);
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
    const kept = await copies(dir);
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
    expect((await copies(dir)).length).toBeLessThanOrEqual(2);
  });

  test('a copy that was damaged is healed: the rest comes from behind, the next is brought anew', async () => {
    const { dir, behind, space } = await opened();
    const bytes = content(3, 3 * mebibyte);
    const { sha256 } = await space.put(bytes);
    await readAll(await space.open(sha256));
    const copy = join(dir, 'cache', 'artifacts', 'spaces', 'cache', sha256.slice(0, 2), sha256);
    await flipByte(copy, 2 * mebibyte + 7);
    for (let i = 0; i < 2; i += 1) {
      expect((await readAll(await space.open(sha256))).equals(bytes)).toBe(true);
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

  test.skipIf(process.getuid?.() !== 0)('a full disk: it is passed by', async () => {
    const mount = await temporaryDirectory();
    execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=1m', 'tmpfs', mount]);
    onTestFinished(() => void execFileSync('umount', ['-l', mount]));
    const { behind, space } = await opened({ dir: join(mount, 'copies') });
    const bytes = content(5, 2 * mebibyte);
    const { sha256 } = await space.put(bytes);
    for (let i = 0; i < 2; i += 1) {
      expect((await readAll(await space.open(sha256))).equals(bytes)).toBe(true);
    }
    expect(behind.opened.length).toBeGreaterThanOrEqual(2);
  });

  test.each([0, -1, 1.5, Number.NaN])('maxBytes of %d is refused', (maxBytes) => {
    expect(() => cachedArtifacts({} as ArtifactBackend, { maxBytes })).toThrow('maxBytes');
  });
});
