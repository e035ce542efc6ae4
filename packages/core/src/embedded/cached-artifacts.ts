import { join } from 'node:path';
import { OngoingWork } from '../content/ongoing-work.ts';
import { verifiedStream } from '../content/verified-stream.ts';
import type {
  ArtifactSpace,
  ArtifactStore,
  ByteRange,
  ByteSource,
  ContentInfo,
  PutOptions,
} from '../contracts/artifact-store.ts';
import type { ArtifactBackend } from '../contracts/backend.ts';
import { isKeelsonError, KeelsonError } from '../errors.ts';
import { FileArtifactStore } from './file-artifact-store.ts';

/** How contents that were read are kept. */
export interface CacheOptions {
  /**
   * Bytes at most, over all workspaces and processes that share the directory; 10 GiB when left out. More
   * lies there only while contents are brought in at the same time.
   */
  readonly maxBytes?: number;
  /** Where; in the platform's own directory when left out. */
  readonly dir?: string;
}

const defaultMaxBytes = 10 * 2 ** 30;
/** A content larger than this share of the cache would push out most of it: it is read past the cache. */
const largestShare = 0.5;
/** All workspaces share their copies: whether a workspace has a content, the store behind is asked. */
const sharedSpace = 'cache';

/**
 * Artifacts of another backend with a local cache of what is read: `cachedArtifacts(s3Backend(…))`. Contents
 * that were used last are kept; several processes may share the directory. An entry is verified as it comes in,
 * and each MiB of it again before it is handed over: one that was damaged is removed, and the rest read
 * from the store behind. Where the cache cannot be written (a full disk), it is passed by. INVALID for a
 * `maxBytes` that is no whole number above 0.
 */
export function cachedArtifacts(
  backend: ArtifactBackend,
  options: CacheOptions = {},
): ArtifactBackend {
  if (typeof options !== 'object' || options === null) {
    throw new KeelsonError('INVALID', 'cachedArtifacts takes a store and { dir, … }.');
  }
  const { maxBytes = defaultMaxBytes } = options;
  if (!Number.isSafeInteger(maxBytes) || maxBytes < 1) {
    throw new KeelsonError('INVALID', `maxBytes must be a whole number above 0, not ${maxBytes}.`);
  }
  return {
    async openArtifacts(context) {
      const behind = await backend.openArtifacts(context);
      try {
        const dir = options.dir ?? join(context.cacheDir, 'artifacts');
        const local = await FileArtifactStore.open({ dir });
        return new CachedArtifactStore(behind, local, maxBytes);
      } catch (error) {
        await behind.close();
        throw error;
      }
    },
  };
}

/** The copies, and how many bytes they may have. */
class Cache {
  readonly space: ArtifactSpace;
  readonly #maxBytes: number;
  readonly #coming = new Map<string, Promise<boolean>>();

  constructor(local: FileArtifactStore, maxBytes: number) {
    this.space = local.space(sharedSpace);
    this.#maxBytes = maxBytes;
  }

  /** Whether there is a copy now: made if need be, once for all who ask at the same time. */
  async have(
    content: ContentInfo,
    open: () => Promise<ReadableStream<Uint8Array>>,
  ): Promise<boolean> {
    if (content.sizeBytes > this.#maxBytes * largestShare) return false;
    // Used now: what was used last is kept longest.
    if (await this.space.keep(content.sha256)) return true;
    let coming = this.#coming.get(content.sha256);
    if (coming === undefined) {
      coming = this.#bring(content, open).finally(() => this.#coming.delete(content.sha256));
      this.#coming.set(content.sha256, coming);
    }
    return await coming;
  }

  async #bring(
    { sha256, sizeBytes }: ContentInfo,
    open: () => Promise<ReadableStream<Uint8Array>>,
  ): Promise<boolean> {
    try {
      await this.#makeRoom(sizeBytes);
      await this.space.put(await open(), { sha256 });
      // What others brought in at the same time was not there to be counted.
      await this.#makeRoom(0);
      return true;
    } catch (error) {
      // What is wrong with the store behind, reading past the cache says better.
      if (isKeelsonError(error, 'CLOSED')) throw error;
      return false;
    }
  }

  /** Removes what was used longest ago. Others may do so too: what is gone already counts as well. */
  async #makeRoom(bytes: number): Promise<void> {
    const entries: (ContentInfo & { readonly storedAt: number })[] = [];
    for await (const entry of this.space.list()) entries.push(entry);
    let total = entries.reduce((sum, { sizeBytes }) => sum + sizeBytes, bytes);
    for (const { sha256, sizeBytes, storedAt } of entries.sort((a, b) => a.storedAt - b.storedAt)) {
      if (total <= this.#maxBytes) return;
      // One that was used since stays.
      await this.space.remove(sha256, { storedBefore: storedAt + 1 });
      total -= sizeBytes;
    }
  }
}

class CachedArtifactStore implements ArtifactStore {
  readonly #behind: ArtifactStore;
  readonly #local: FileArtifactStore;
  readonly #cache: Cache;
  readonly #work = new OngoingWork('The artifact store has been closed.');

  constructor(behind: ArtifactStore, local: FileArtifactStore, maxBytes: number) {
    this.#behind = behind;
    this.#local = local;
    this.#cache = new Cache(local, maxBytes);
  }

  space(workspace: string): ArtifactSpace {
    return new CachedArtifactSpace(this.#behind.space(workspace), this.#cache, this.#work);
  }

  async collectLeftovers(olderThanMs: number): Promise<number> {
    const removed = await this.#behind.collectLeftovers(olderThanMs);
    await this.#local.collectLeftovers(olderThanMs);
    return removed;
  }

  uri(workspace: string, sha256: string): string {
    return this.#behind.uri(workspace, sha256);
  }

  async close(): Promise<void> {
    await this.#work.close();
    await this.#local.close();
    await this.#behind.close();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }
}

class CachedArtifactSpace implements ArtifactSpace {
  readonly #behind: ArtifactSpace;
  readonly #cache: Cache;
  readonly #work: OngoingWork;
  readonly signedUrl?: NonNullable<ArtifactSpace['signedUrl']>;

  constructor(behind: ArtifactSpace, cache: Cache, work: OngoingWork) {
    this.#behind = behind;
    this.#cache = cache;
    this.#work = work;
    if (behind.signedUrl !== undefined) this.signedUrl = behind.signedUrl.bind(behind);
  }

  async open(
    sha256: string,
    range: ByteRange = {},
    signal?: AbortSignal,
  ): Promise<ReadableStream<Uint8Array>> {
    // Whether it is still there, and of this workspace, only the store behind knows.
    const content = await this.#behind.find(sha256);
    const cached =
      content !== undefined &&
      (await this.#cache.have(content, () => this.#behind.open(sha256, {}, signal)));
    if (!cached) return await this.#behind.open(sha256, range, signal);
    const { start = 0, end = content.sizeBytes } = range;
    const { promise, resolve } = Promise.withResolvers<void>();
    const own = this.#work.begin(signal, promise);
    const close = async (): Promise<void> => {
      own.end();
      resolve();
    };
    try {
      // Refuses a range that is none, as the store behind would.
      const first = await this.#copyOf(sha256, { start, end }, own.signal);
      const pieces = this.#pieces(sha256, { start, end }, first, own.signal);
      return verifiedStream(pieces, { signal: own.signal, close, fault: (error) => error });
    } catch (error) {
      await close();
      throw error;
    }
  }

  put(source: ByteSource, options?: PutOptions): Promise<ContentInfo> {
    return this.#behind.put(source, options);
  }

  find(sha256: string): Promise<ContentInfo | undefined> {
    return this.#behind.find(sha256);
  }

  verify(sha256: string, signal?: AbortSignal): Promise<ContentInfo> {
    return this.#behind.verify(sha256, signal);
  }

  keep(sha256: string): Promise<boolean> {
    return this.#behind.keep(sha256);
  }

  remove(sha256: string, options?: { readonly storedBefore?: number }): Promise<boolean> {
    return this.#behind.remove(sha256, options);
  }

  list(options?: {
    readonly after?: string;
    readonly prefix?: string;
  }): AsyncIterable<ContentInfo & { readonly storedAt: number }> {
    return this.#behind.list(options);
  }

  /** The copy's bytes; those of the store behind where the copy was pushed out meanwhile. */
  async #copyOf(
    sha256: string,
    range: Required<ByteRange>,
    signal: AbortSignal,
  ): Promise<ReadableStream<Uint8Array>> {
    try {
      return await this.#cache.space.open(sha256, range, signal);
    } catch (error) {
      if (!isKeelsonError(error, 'NOT_FOUND', 'CORRUPT')) throw error;
      return await this.#behind.open(sha256, range, signal);
    }
  }

  /** The range, out of the copy as far as that is whole, and the rest out of the store behind. */
  async *#pieces(
    sha256: string,
    range: Required<ByteRange>,
    first: ReadableStream<Uint8Array>,
    signal: AbortSignal,
  ): AsyncGenerator<Uint8Array<ArrayBuffer>, void, undefined> {
    let at = range.start;
    try {
      for await (const piece of piecesOf(first)) {
        at += piece.length;
        yield piece;
      }
    } catch (error) {
      if (signal.aborted || !isKeelsonError(error, 'CORRUPT', 'NOT_FOUND')) throw error;
      await this.#cache.space.remove(sha256);
      yield* piecesOf(await this.#behind.open(sha256, { ...range, start: at }, signal));
    }
  }
}

/** The pieces of a stream, which is let go of however they end: what a stream that failed says of that is old. */
async function* piecesOf(
  stream: ReadableStream<Uint8Array>,
): AsyncGenerator<Uint8Array<ArrayBuffer>, void, undefined> {
  const reader = stream.getReader();
  try {
    for (let step = await reader.read(); !step.done; step = await reader.read()) {
      if (step.value.length > 0) yield step.value as Uint8Array<ArrayBuffer>;
    }
  } finally {
    await reader.cancel().catch(() => undefined);
  }
}
