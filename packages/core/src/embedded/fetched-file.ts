import { createHash, type Hash } from 'node:crypto';
import { constants } from 'node:fs';
import { type FileHandle, open } from 'node:fs/promises';
import { type ChunkManifest, chunkBytes } from '../content/chunk-manifest.ts';
import type { ContentInfo } from '../contracts/artifact-store.ts';
import type { PlaceOptions } from '../contracts/download-cache.ts';
import { KeelsonError } from '../errors.ts';

// A link that somebody laid there leads nowhere.
const flags = constants.O_RDWR | constants.O_CREAT | (constants.O_NOFOLLOW ?? 0);

/**
 * Fills a file with a content and makes it durable, going on behind what an earlier attempt left in it; answers
 * the digests of its chunks. Undefined, and the file cut to nothing, when the bytes are not that content though
 * some were there before: then it is worth another attempt. CORRUPT when all came from the store.
 */
export async function fetchInto(
  path: string,
  content: ContentInfo,
  options: PlaceOptions,
): Promise<ChunkManifest | undefined> {
  await using handle = await open(path, flags, 0o644);
  const filling = new Filling(handle, content, options);
  const start = await filling.takeOver();
  await filling.fetch(start);
  const manifest = await filling.finish();
  if (manifest !== undefined) return manifest;
  await handle.truncate(0);
  if (start > 0) return undefined;
  throw new KeelsonError(
    'CORRUPT',
    `The artifact store gave other bytes than those of the content ${content.sha256}.`,
    { details: { sha256: content.sha256 } },
  );
}

/** One file on its way to hold one content. */
class Filling {
  readonly #handle: FileHandle;
  readonly #content: ContentInfo;
  readonly #options: PlaceOptions;
  readonly #whole: Hash = createHash('sha256');
  readonly #digests: Uint8Array;
  #at = 0;
  #tooLong = false;
  /** The chunk before, still being written and hashed. */
  #landing: Promise<unknown> = Promise.resolve();

  constructor(handle: FileHandle, content: ContentInfo, options: PlaceOptions) {
    this.#handle = handle;
    this.#content = content;
    this.#options = options;
    this.#digests = new Uint8Array(Math.ceil(content.sizeBytes / chunkBytes) * 32);
  }

  /** Hashes the whole chunks that are there; answers where they end. */
  async takeOver(): Promise<number> {
    const { size } = await this.#handle.stat();
    const there = size > this.#content.sizeBytes ? 0 : size - (size % chunkBytes);
    const buffer = new Uint8Array(there > 0 ? chunkBytes : 0);
    while (this.#at < there) {
      assertGoingOn(this.#options.signal);
      const { bytesRead } = await this.#handle.read(buffer, 0, chunkBytes, this.#at);
      if (bytesRead < chunkBytes) break;
      await this.#digest(buffer);
    }
    await this.#handle.truncate(this.#at);
    this.#options.onBytes?.(this.#at);
    return this.#at;
  }

  async fetch(start: number): Promise<void> {
    // A store may refuse to open nothing at the end of a content.
    if (start > 0 && start === this.#content.sizeBytes) return;
    const stream = await this.#options.open(start);
    try {
      for await (const chunk of chunksOf(stream)) {
        // The buffer of the chunk before is the next one to be filled.
        await this.#landing;
        assertGoingOn(this.#options.signal);
        this.#tooLong = this.#at + chunk.length > this.#content.sizeBytes;
        if (this.#tooLong) return;
        this.#landing = this.#land(chunk, this.#at);
        this.#landing.catch(() => undefined);
        this.#at += chunk.length;
        this.#options.onBytes?.(this.#at);
      }
      await this.#landing;
    } finally {
      await Promise.allSettled([this.#landing]);
      await stream.cancel().catch(() => undefined);
    }
  }

  /** The digests, when it is the content. */
  async finish(): Promise<ChunkManifest | undefined> {
    const { sha256, sizeBytes } = this.#content;
    if (this.#tooLong || this.#at !== sizeBytes || this.#whole.digest('hex') !== sha256)
      return undefined;
    await this.#handle.datasync();
    return { sha256, sizeBytes, digests: this.#digests };
  }

  async #land(chunk: Uint8Array<ArrayBuffer>, at: number): Promise<void> {
    await Promise.all([this.#write(chunk, at), this.#hash(chunk, at)]);
  }

  async #digest(chunk: Uint8Array<ArrayBuffer>): Promise<void> {
    await this.#hash(chunk, this.#at);
    this.#at += chunk.length;
  }

  async #hash(chunk: Uint8Array<ArrayBuffer>, at: number): Promise<void> {
    const digest = crypto.subtle.digest('SHA-256', chunk);
    this.#whole.update(chunk);
    this.#digests.set(new Uint8Array(await digest), (at / chunkBytes) * 32);
  }

  async #write(chunk: Uint8Array, at: number): Promise<void> {
    for (let done = 0; done < chunk.length; ) {
      const { bytesWritten } = await this.#handle.write(
        chunk,
        done,
        chunk.length - done,
        at + done,
      );
      done += bytesWritten;
    }
  }
}

/**
 * The stream in whole chunks (the last may be shorter), in two buffers that take turns: a chunk is good until the
 * next but one is asked for. Thousands of buffers of a megabyte each would be collected late.
 */
async function* chunksOf(
  stream: ReadableStream<Uint8Array>,
): AsyncGenerator<Uint8Array<ArrayBuffer>, void, undefined> {
  const pieces = pieceReader(stream);
  const buffers = [new Uint8Array(chunkBytes), new Uint8Array(chunkBytes)] as const;
  try {
    for (let turn = 0, ended = false; !ended; turn = 1 - turn) {
      const buffer = buffers[turn] as Uint8Array<ArrayBuffer>;
      let filled = 0;
      while (filled < chunkBytes && !ended) {
        const piece = await pieces.next(chunkBytes - filled);
        if (piece === undefined) ended = true;
        else {
          buffer.set(piece, filled);
          filled += piece.length;
        }
      }
      if (filled > 0) yield buffer.subarray(0, filled);
    }
  } finally {
    pieces.release();
  }
}

interface PieceReader {
  /** At most so many bytes; undefined at the end. Good until the next call. */
  next(most: number): Promise<Uint8Array | undefined>;
  release(): void;
}

const pieceBytes = 256 * 1024;

function pieceReader(stream: ReadableStream<Uint8Array>): PieceReader {
  const bytes = byteReaderOf(stream);
  if (bytes === undefined) return plainReader(stream);
  let spare = new ArrayBuffer(pieceBytes);
  return {
    async next(most) {
      const { done, value } = await bytes.read(
        new Uint8Array(spare, 0, Math.min(most, pieceBytes)),
      );
      if (value !== undefined) spare = value.buffer;
      return done ? undefined : value;
    },
    release: () => bytes.releaseLock(),
  };
}

function plainReader(stream: ReadableStream<Uint8Array>): PieceReader {
  const reader = stream.getReader();
  let rest: Uint8Array | undefined;
  return {
    async next(most) {
      rest = rest === undefined || rest.length === 0 ? (await reader.read()).value : rest;
      const piece = rest?.subarray(0, most);
      rest = rest?.subarray(most);
      return piece;
    },
    release: () => reader.releaseLock(),
  };
}

/** Undefined for a stream of a store's own that is no stream of bytes. */
function byteReaderOf(stream: ReadableStream<Uint8Array>): ReadableStreamBYOBReader | undefined {
  try {
    return (stream as ReadableStream<Uint8Array<ArrayBuffer>>).getReader({ mode: 'byob' });
  } catch (error) {
    if (error instanceof TypeError) return undefined;
    throw error;
  }
}

/** ABORTED once the signal is. */
export function assertGoingOn(signal: AbortSignal | undefined): void {
  if (signal?.aborted !== true) return;
  throw new KeelsonError('ABORTED', 'The download was aborted by its caller.', {
    cause: signal.reason,
  });
}
