import { createHash, type Hash } from 'node:crypto';
import { constants } from 'node:fs';
import { type FileHandle, mkdir, open, rename, rm } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import type { ArtifactSpace, ContentInfo } from '../contracts/artifact-store.ts';
import { isKeelsonError, KeelsonError } from '../errors.ts';
import { asKeelsonError } from './local-files.ts';

/** Downloads go on at a whole one of these: what a store verifies at once. */
const chunkBytes = 2 ** 20;
const readBytes = 256 * 1024;
// A link that somebody laid there leads nowhere.
const appendHere =
  constants.O_RDWR | constants.O_CREAT | constants.O_APPEND | (constants.O_NOFOLLOW ?? 0);

/** How a content is written to a file. */
export interface DownloadOptions {
  readonly signal?: AbortSignal | undefined;
  /** Told of the bytes that there are of the file, those of an earlier attempt included. */
  readonly onBytes?: ((bytes: number) => void) | undefined;
}

/**
 * Writes a content to a file, which is there when all of it is. A download that was broken off (killed, aborted,
 * the line was cut) leaves `.<sha256>.part` beside it, and goes on there; what is in it is hashed with the
 * rest, so that a damaged part is not taken over. CORRUPT, and no file, for other bytes than those of the digest.
 */
export async function downloadFile(
  artifacts: Pick<ArtifactSpace, 'open'>,
  content: ContentInfo,
  file: string,
  options: DownloadOptions = {},
): Promise<void> {
  const aside = join(dirname(file), `.${content.sha256}.part`);
  try {
    await mkdir(dirname(file), { recursive: true });
    if (!(await fill(artifacts, content, aside, options))) {
      // What an earlier attempt left was damaged: from the start, once.
      await rm(aside, { force: true });
      if (!(await fill(artifacts, content, aside, options))) throw otherBytes(content, file);
    }
    await rename(aside, file);
  } catch (error) {
    const told = asKeelsonError(error, `${file} cannot be written`);
    // Nothing goes on from what is wrong, or where there is no room.
    const useless = isKeelsonError(told, 'CORRUPT', 'EXHAUSTED', 'INVALID', 'NOT_FOUND');
    if (useless) await rm(aside, { force: true, recursive: false }).catch(() => undefined);
    throw told;
  }
}

/** Whether the file then holds the content. */
async function fill(
  artifacts: Pick<ArtifactSpace, 'open'>,
  { sha256, sizeBytes }: ContentInfo,
  aside: string,
  { signal, onBytes }: DownloadOptions,
): Promise<boolean> {
  // Not cut to nothing: what is there may be the greater part of a large file.
  const handle = await open(aside, appendHere);
  try {
    const { size } = await handle.stat();
    const start = size > sizeBytes ? 0 : size - (size % chunkBytes);
    await handle.truncate(start);
    const hash = createHash('sha256');
    await hashFrom(handle, start, hash, signal);
    onBytes?.(start);
    let bytes = start;
    const stream = await artifacts.open(sha256, { start }, signal);
    try {
      for await (const piece of piecesOf(stream)) {
        hash.update(piece);
        await handle.writeFile(piece);
        bytes += piece.length;
        onBytes?.(bytes);
      }
    } catch (error) {
      await stream.cancel(error).catch(() => undefined);
      throw error;
    }
    return hash.digest('hex') === sha256;
  } finally {
    await handle.close();
  }
}

/**
 * The pieces of a stream, in one buffer where the stream can fill it: a piece is good until the next one is
 * asked for. Buffers of a megabyte each, thousands of them, would be collected late.
 */
async function* piecesOf(
  stream: ReadableStream<Uint8Array>,
): AsyncGenerator<Uint8Array, void, undefined> {
  const reader = byteReaderOf(stream);
  if (reader === undefined) return yield* stream;
  let buffer = new ArrayBuffer(readBytes);
  try {
    for (;;) {
      const { done, value } = await reader.read(new Uint8Array(buffer));
      if (done) return;
      yield value;
      buffer = value.buffer;
    }
  } finally {
    reader.releaseLock();
  }
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

async function hashFrom(
  handle: FileHandle,
  end: number,
  hash: Hash,
  signal: AbortSignal | undefined,
): Promise<void> {
  const buffer = Buffer.alloc(Math.min(readBytes, end));
  for (let at = 0; at < end; ) {
    signal?.throwIfAborted();
    const { bytesRead } = await handle.read(buffer, 0, Math.min(buffer.length, end - at), at);
    if (bytesRead === 0) return;
    hash.update(buffer.subarray(0, bytesRead));
    at += bytesRead;
  }
}

function otherBytes({ sha256 }: ContentInfo, file: string): KeelsonError {
  return new KeelsonError('CORRUPT', `What was read for ${file} is not the content ${sha256}.`, {
    details: { sha256, path: file },
  });
}
