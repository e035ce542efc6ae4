import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import type { ArtifactStore } from '../src/contracts/artifact-store.ts';
import type { Logger } from '../src/contracts/ports.ts';
import { ArtifactCache } from '../src/embedded/artifact-cache.ts';
import { CachedArtifactStore } from '../src/embedded/cached-artifact-store.ts';
import { type CacheOptions, cachedArtifacts } from '../src/embedded/cached-artifacts.ts';
import { FileArtifactStore } from '../src/embedded/file-artifact-store.ts';
import { KeelsonError } from '../src/errors.ts';
import { interposed } from '../src/testing/faults/interposed.ts';

/** A store on files that lies behind caches, and tells which contents are read from it. */
export class BehindCache {
  readonly #dir: string;
  /** The digests of what was opened, in order. */
  readonly opened: string[] = [];
  /** What was logged as a warning. */
  readonly warnings: string[] = [];
  /** Whether nothing can be read from it. */
  broken = false;
  /** Stands between the cache and an opening. */
  beforeOpen: () => Promise<void> = async () => undefined;

  constructor(dir: string) {
    this.#dir = dir;
  }

  /** As users put a cache in front of it. */
  async open(options: CacheOptions = {}): Promise<ArtifactStore> {
    const backend = { openArtifacts: () => this.#store() };
    const cacheDir = join(this.#dir, 'cache');
    return await cachedArtifacts(backend, options).openArtifacts({
      logger: this.#logger,
      cacheDir,
    });
  }

  /** Behind a cache whose copies lie in any store, and which tries again at once what has failed. */
  async openOn(local: () => Promise<ArtifactStore>, maxBytes = 2 ** 30): Promise<ArtifactStore> {
    const parts = { open: local, maxBytes, logger: this.#logger, restMs: 0 };
    return new CachedArtifactStore(await this.#store(), await ArtifactCache.open(parts));
  }

  async #store(): Promise<ArtifactStore> {
    const store: ArtifactStore = await FileArtifactStore.open({ dir: join(this.#dir, 'behind') });
    return interposed(store, async ({ method, args }, proceed) => {
      if (method !== 'open') return await proceed();
      this.opened.push(String(args[0]));
      await this.beforeOpen();
      if (this.broken) throw new KeelsonError('UNAVAILABLE', 'The line is cut.');
      return await proceed();
    });
  }

  get #logger(): Logger {
    const silent = (): void => undefined;
    const warn = (_: object, message: string): void => void this.warnings.push(message);
    return { debug: silent, info: silent, warn, error: silent };
  }
}

/** All bytes of a stream. */
export async function readAll(stream: ReadableStream<Uint8Array>): Promise<Buffer> {
  return Buffer.concat(await Array.fromAsync(stream));
}

/** So many equal bytes. */
export function content(n: number, bytes: number = 2 ** 20): Uint8Array {
  return new Uint8Array(bytes).fill(n);
}

/** The file of a copy. */
export function copyIn(dir: string, sha256: string): string {
  return join(dir, 'cache', 'artifacts', 'spaces', 'cache', sha256.slice(0, 2), sha256);
}

/** The digests of all copies. */
export async function copiesIn(dir: string): Promise<readonly string[]> {
  const below = await readdir(join(dir, 'cache', 'artifacts', 'spaces'), { recursive: true });
  return below
    .map((path) => path.split('/').at(-1) ?? '')
    .filter((name) => /^[0-9a-f]{64}$/.test(name));
}
