import { orAborted } from '../content/or-aborted.ts';
import type {
  ArtifactSpace,
  ArtifactStore,
  ByteRange,
  ContentInfo,
} from '../contracts/artifact-store.ts';
import type { Logger } from '../contracts/ports.ts';
import { isKeelsonError } from '../errors.ts';
import { piecesOf } from './stream-pieces.ts';

/** What an {@link ArtifactCache} is made of. */
export interface ArtifactCacheParts {
  /** Opens the directory of the copies: at once, and again when it could not be used. */
  open(): Promise<ArtifactStore>;
  readonly maxBytes: number;
  readonly logger: Logger;
  /** How long a directory that fails is left alone; 10 seconds when left out. */
  readonly restMs?: number;
}

/** Gives the bytes of a content out of the store behind. */
export type OpenBehind = (signal: AbortSignal) => Promise<ReadableStream<Uint8Array>>;

/** A content larger than this share of the cache would push out most of it: it is read past the cache. */
const largestShare = 0.5;
/** All workspaces share their copies: whether a workspace has a content, the store behind is asked. */
const sharedSpace = 'cache';
const usualRestMs = 10_000;

/** A copy that is coming in. */
interface Coming {
  readonly done: Promise<boolean>;
  readonly stop: AbortController;
  /** How many wait for it; nobody: it is given up. */
  waiting: number;
}

/**
 * Copies of contents in a local directory, which several processes may share: those that were used last
 * are kept. Whatever the directory does (full, read-only, removed, failing), no method rejects for it: there
 * is no copy then. It is said once in the log, and tried again a little later.
 */
export class ArtifactCache {
  readonly #parts: ArtifactCacheParts;
  readonly #restMs: number;
  readonly #coming = new Map<string, Coming>();
  #store: ArtifactStore | undefined;
  #opening: Promise<void> | undefined;
  /** What failed last, and when; until a copy comes in. */
  #trouble: { readonly error: unknown; readonly at: number } | undefined;
  #swept = false;

  private constructor(parts: ArtifactCacheParts) {
    this.#parts = parts;
    this.#restMs = parts.restMs ?? usualRestMs;
  }

  /** Rejects with INVALID only: for a path that will never do. */
  static async open(parts: ArtifactCacheParts): Promise<ArtifactCache> {
    const cache = new ArtifactCache(parts);
    await cache.#open();
    const fault = cache.#trouble?.error;
    if (isKeelsonError(fault, 'INVALID')) throw fault;
    return cache;
  }

  /**
   * Whether there is a copy now: made if need be, once for all who ask at the same time. Rejects with the
   * reason of `signal` only; the copy is given up when nobody waits for it any more.
   */
  async have(content: ContentInfo, behind: OpenBehind, signal: AbortSignal): Promise<boolean> {
    if (content.sizeBytes > this.#parts.maxBytes * largestShare) return false;
    const space = await this.#space();
    if (space === undefined) return false;
    if (await this.#isThere(space, content.sha256)) return true;
    if (this.#isResting()) return false;
    const coming = this.#comingOf(space, content, behind);
    coming.waiting += 1;
    try {
      return await orAborted(coming.done, signal);
    } finally {
      coming.waiting -= 1;
      if (coming.waiting === 0) coming.stop.abort();
    }
  }

  /** The bytes of a copy; undefined where they cannot be had. Rejects with the reason of `signal` only. */
  async read(
    sha256: string,
    range: ByteRange,
    signal: AbortSignal,
  ): Promise<ReadableStream<Uint8Array> | undefined> {
    try {
      return await (await this.#space())?.open(sha256, range, signal);
    } catch (error) {
      if (signal.aborted) throw error;
      await this.drop(sha256, error);
      return undefined;
    }
  }

  /** Removes a copy whose reading failed, so that the next one is brought in anew. */
  async drop(sha256: string, error: unknown): Promise<void> {
    // Pushed out by others, or the whole store was opened anew.
    if (isKeelsonError(error, 'NOT_FOUND', 'CLOSED')) return;
    if (isKeelsonError(error, 'CORRUPT')) {
      const fields = { err: error, sha256 };
      this.#parts.logger.warn(
        fields,
        'A cached artifact was damaged; it is removed from the cache.',
      );
    } else this.#note(error);
    try {
      await (await this.#space())?.remove(sha256);
    } catch (fault) {
      this.#note(fault);
    }
  }

  async collectLeftovers(olderThanMs: number): Promise<void> {
    try {
      await this.#store?.collectLeftovers(olderThanMs);
    } catch (error) {
      this.#note(error);
    }
  }

  async close(): Promise<void> {
    await this.#opening;
    await this.#store?.close();
  }

  #comingOf(space: ArtifactSpace, content: ContentInfo, behind: OpenBehind): Coming {
    const { sha256 } = content;
    const there = this.#coming.get(sha256);
    if (there !== undefined) return there;
    const stop = new AbortController();
    const done = this.#bring(space, content, () => behind(stop.signal), stop.signal).finally(() =>
      this.#coming.delete(sha256),
    );
    const coming = { done, stop, waiting: 0 };
    this.#coming.set(sha256, coming);
    return coming;
  }

  /** Used now: what was used last is kept longest. What cannot be written may still be read. */
  async #isThere(space: ArtifactSpace, sha256: string): Promise<boolean> {
    try {
      return await space.keep(sha256);
    } catch (error) {
      this.#note(error);
    }
    try {
      return (await space.find(sha256)) !== undefined;
    } catch {
      // Said already.
      return false;
    }
  }

  async #bring(
    space: ArtifactSpace,
    { sha256, sizeBytes }: ContentInfo,
    behind: () => Promise<ReadableStream<Uint8Array>>,
    signal: AbortSignal,
  ): Promise<boolean> {
    const source = new Watched(behind);
    try {
      await this.#sweep();
      await makeRoom(space, this.#parts.maxBytes - sizeBytes);
      await space.put(source, { sha256, signal });
      // What others brought in at the same time was not there to be counted.
      await makeRoom(space, this.#parts.maxBytes);
      this.#recovered();
      return true;
    } catch (error) {
      // What is wrong with the store behind, reading past the cache says better.
      if (signal.aborted || source.failed || isKeelsonError(error, 'CLOSED')) return false;
      this.#note(error);
      // The disk holds less than it was said to: what was used longest ago makes way for the next.
      if (isFull(error)) await this.#shrink(space, sizeBytes);
      return false;
    }
  }

  /** What processes that died while they brought something in have left. */
  async #sweep(): Promise<void> {
    if (this.#swept) return;
    this.#swept = true;
    await this.#store?.collectLeftovers(0);
  }

  async #shrink(space: ArtifactSpace, bytes: number): Promise<void> {
    try {
      let total = 0;
      for await (const { sizeBytes } of space.list()) total += sizeBytes;
      await makeRoom(space, total - bytes);
    } catch (error) {
      this.#note(error);
    }
  }

  async #space(): Promise<ArtifactSpace | undefined> {
    if ((this.#store === undefined || this.#trouble !== undefined) && !this.#isResting()) {
      this.#opening ??= this.#open().finally(() => {
        this.#opening = undefined;
      });
      await this.#opening;
    }
    return this.#store?.space(sharedSpace);
  }

  /** Opening makes directories that were removed from outside, too. */
  async #open(): Promise<void> {
    try {
      const store = await this.#parts.open();
      if (this.#store === undefined) this.#store = store;
      else await store.close();
    } catch (error) {
      this.#note(error);
    }
  }

  #isResting(): boolean {
    return this.#trouble !== undefined && performance.now() - this.#trouble.at < this.#restMs;
  }

  #note(error: unknown): void {
    if (isKeelsonError(error, 'CLOSED')) return;
    if (this.#trouble === undefined) {
      this.#parts.logger.warn(
        { err: error },
        'The artifact cache fails; artifacts are read from the store behind it meanwhile.',
      );
    }
    this.#trouble = { error, at: performance.now() };
  }

  #recovered(): void {
    if (this.#trouble === undefined) return;
    this.#trouble = undefined;
    this.#parts.logger.info({}, 'The artifact cache works again.');
  }
}

function isFull(error: unknown): boolean {
  if (!isKeelsonError(error, 'EXHAUSTED')) return false;
  return error.details['system'] === 'ENOSPC' || error.details['system'] === 'EDQUOT';
}

/** Bytes of the store behind, and whether it was that which failed. */
class Watched implements AsyncIterable<Uint8Array> {
  readonly #open: () => Promise<ReadableStream<Uint8Array>>;
  failed = false;

  constructor(open: () => Promise<ReadableStream<Uint8Array>>) {
    this.#open = open;
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<Uint8Array, void, undefined> {
    try {
      yield* piecesOf(await this.#open());
    } catch (error) {
      this.failed = true;
      throw error;
    }
  }
}

/**
 * Removes what was used longest ago until the rest fits. Others may do so too: what is gone already
 * counts as well.
 */
async function makeRoom(space: ArtifactSpace, bytes: number): Promise<void> {
  const entries = await Array.fromAsync(space.list());
  let total = entries.reduce((sum, { sizeBytes }) => sum + sizeBytes, 0);
  for (const { sha256, sizeBytes, storedAt } of entries.sort((a, b) => a.storedAt - b.storedAt)) {
    if (total <= bytes) return;
    // One that was used since stays.
    await space.remove(sha256, { storedBefore: storedAt + 1 });
    total -= sizeBytes;
  }
}
