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
import type { ArtifactCache } from './artifact-cache.ts';
import { piecesOf } from './stream-pieces.ts';

/** A store whose contents are read from copies where there are any; both are closed with it. */
export class CachedArtifactStore implements ArtifactStore {
  readonly #behind: ArtifactStore;
  readonly #cache: ArtifactCache;
  readonly #work = new OngoingWork('The artifact store has been closed.');

  constructor(behind: ArtifactStore, cache: ArtifactCache) {
    this.#behind = behind;
    this.#cache = cache;
  }

  space(workspace: string): ArtifactSpace {
    return new CachedArtifactSpace(this.#behind.space(workspace), this.#cache, this.#work);
  }

  async collectLeftovers(olderThanMs: number): Promise<number> {
    const removed = await this.#behind.collectLeftovers(olderThanMs);
    await this.#cache.collectLeftovers(olderThanMs);
    return removed;
  }

  uri(workspace: string, sha256: string): string {
    return this.#behind.uri(workspace, sha256);
  }

  async close(): Promise<void> {
    await this.#work.close();
    await this.#cache.close();
    await this.#behind.close();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }
}

class CachedArtifactSpace implements ArtifactSpace {
  readonly #behind: ArtifactSpace;
  readonly #cache: ArtifactCache;
  readonly #work: OngoingWork;
  readonly signedUrl?: NonNullable<ArtifactSpace['signedUrl']>;

  constructor(behind: ArtifactSpace, cache: ArtifactCache, work: OngoingWork) {
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
    const { start = 0, end = content?.sizeBytes ?? 0 } = range;
    // It refuses a range that is none, too.
    if (content === undefined || !(start >= 0 && start <= end && end <= content.sizeBytes)) {
      return await this.#behind.open(sha256, range, signal);
    }
    const { promise, resolve } = Promise.withResolvers<void>();
    const own = this.#work.begin(signal, promise);
    const close = async (): Promise<void> => {
      own.end();
      resolve();
    };
    try {
      own.signal.throwIfAborted();
      const first = await this.#copyOf(content, { start, end }, own.signal);
      if (first !== undefined) {
        const pieces = this.#pieces(sha256, { start, end }, first, own.signal);
        return verifiedStream(pieces, { signal: own.signal, close, fault: (error) => error });
      }
    } catch (error) {
      await close();
      throw error;
    }
    await close();
    return await this.#behind.open(sha256, range, signal);
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

  async #copyOf(
    content: ContentInfo,
    range: Required<ByteRange>,
    signal: AbortSignal,
  ): Promise<ReadableStream<Uint8Array> | undefined> {
    const behind = (own: AbortSignal) => this.#behind.open(content.sha256, {}, own);
    if (!(await this.#cache.have(content, behind, signal))) return undefined;
    return await this.#cache.read(content.sha256, range, signal);
  }

  /** The range, out of the copy as far as that can be read, and the rest out of the store behind. */
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
      if (signal.aborted) throw error;
      await this.#cache.drop(sha256, error);
      yield* piecesOf(await this.#behind.open(sha256, { ...range, start: at }, signal));
    }
  }
}
