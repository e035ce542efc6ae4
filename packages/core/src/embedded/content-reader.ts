import { createHash, hash } from 'node:crypto';
import { type FileHandle, open, readFile } from 'node:fs/promises';
import {
  type ChunkManifest,
  chunkBytes,
  chunkCount,
  chunkDigest,
  decodeManifest,
} from '../content/chunk-manifest.ts';
import { fromFileError, isMissing } from '../content/file-fault.ts';
import { isKeelsonError, KeelsonError } from '../errors.ts';
import { type ArtifactLayout, contentPath, manifestPath } from './artifact-layout.ts';
import { writeManifest } from './content-writer.ts';

// Chunks that are read and checked ahead while the reader works on the one before.
const readAhead = 2;
const emptyDigest = hash('sha256', '');

/** A content that is open for reading: the file that was in place at that moment, whatever comes after. */
export interface OpenContent {
  readonly path: string;
  readonly handle: FileHandle;
  readonly manifest: ChunkManifest;
  /** Buffers of chunks that are no longer needed, to be used again: a long read leaves no garbage. */
  readonly spare: Buffer<ArrayBuffer>[];
}

/**
 * Opens a content. Undefined when it is not there. CORRUPT when its size shows already that it is
 * damaged, or when it has no sound manifest and its bytes do not have its digest; a sound content
 * without a sound manifest gets a new one.
 */
export async function openContent(
  layout: ArtifactLayout,
  space: string,
  sha256: string,
  signal: AbortSignal,
): Promise<OpenContent | undefined> {
  const path = contentPath(space, sha256);
  const handle = await openFile(path);
  if (handle === undefined) return undefined;
  try {
    const { size } = await handle.stat();
    const manifest = await manifestOf(layout, space, { path, handle, sha256, size }, signal);
    return { path, handle, manifest, spare: [] };
  } catch (error) {
    await handle.close();
    throw error;
  }
}

/**
 * The bytes from `start` to `end` (excluded), a chunk at a time, each verified before it is handed over;
 * when that is all of them, the last one only after the digest of the whole was right too. Each piece is
 * the consumer's; one that gives it back with {@link giveBack} spares a new buffer for the next.
 */
export async function* readVerified(
  content: OpenContent,
  start: number,
  end: number,
  signal: AbortSignal,
): AsyncGenerator<Uint8Array<ArrayBuffer>, void, undefined> {
  const { manifest } = content;
  if (start === end) return;
  const last = chunkCount(end) - 1;
  const all = start === 0 && end === manifest.sizeBytes && manifest.sizeBytes > chunkBytes;
  const whole = all ? createHash('sha256') : undefined;
  const ahead: Promise<Uint8Array<ArrayBuffer>>[] = [];
  let next = Math.floor(start / chunkBytes);
  try {
    for (let index = next; index <= last; index += 1) {
      while (next <= last && next <= index + readAhead) {
        const chunk = readChunk(content, next);
        // Awaited later, in order; a failure must not count as unhandled until then.
        chunk.catch(() => undefined);
        ahead.push(chunk);
        next += 1;
      }
      signal.throwIfAborted();
      const chunk = await ahead.shift();
      if (chunk === undefined) throw new KeelsonError('INTERNAL', 'No chunk was being read.');
      whole?.update(chunk);
      if (index === last && whole !== undefined && whole.digest('hex') !== manifest.sha256) {
        throw damaged(content.path, manifest.sha256, 0, manifest.sizeBytes);
      }
      const base = index * chunkBytes;
      yield chunk.subarray(Math.max(start - base, 0), Math.min(end - base, chunk.length));
    }
  } finally {
    await Promise.allSettled(ahead);
  }
}

/** Gives a piece of {@link readVerified} back, which must not be used any more. */
export function giveBack(content: OpenContent, piece: Uint8Array<ArrayBuffer>): void {
  if (piece.buffer.byteLength === chunkBytes) content.spare.push(Buffer.from(piece.buffer));
}

async function openFile(path: string): Promise<FileHandle | undefined> {
  try {
    return await open(path, 'r');
  } catch (error) {
    if (isMissing(error)) return undefined;
    throw error;
  }
}

interface Found {
  readonly path: string;
  readonly handle: FileHandle;
  readonly sha256: string;
  readonly size: number;
}

async function manifestOf(
  layout: ArtifactLayout,
  space: string,
  found: Found,
  signal: AbortSignal,
): Promise<ChunkManifest> {
  const { sha256, size, path } = found;
  // No chunk of it will ever be verified: a file that a crash of the system has emptied.
  if (size === 0 && sha256 !== emptyDigest) throw damaged(path, sha256, 0, 0);
  if (size <= chunkBytes) {
    return { sha256, sizeBytes: size, digests: Buffer.from(sha256, 'hex') };
  }
  const kept = await readManifest(space, sha256);
  if (kept !== undefined) {
    if (kept.sizeBytes !== size) throw damaged(path, sha256, Math.min(size, kept.sizeBytes), size);
    return kept;
  }
  const manifest = await makeManifest(found, signal);
  try {
    await writeManifest(layout, space, manifest);
  } catch (error) {
    // On a full or read-only disk this reader goes on with what it has computed.
    const fault = fromFileError(error, 'mending the manifest of an artifact', path);
    if (!isKeelsonError(fault, 'EXHAUSTED', 'UNAVAILABLE')) throw fault;
  }
  return manifest;
}

async function readManifest(space: string, sha256: string): Promise<ChunkManifest | undefined> {
  try {
    return decodeManifest(await readFile(manifestPath(space, sha256)), sha256);
  } catch (error) {
    if (isMissing(error)) return undefined;
    throw error;
  }
}

async function makeManifest(found: Found, signal: AbortSignal): Promise<ChunkManifest> {
  const { handle, sha256, size, path } = found;
  const whole = createHash('sha256');
  const digests = Buffer.alloc(chunkCount(size) * 32);
  const buffer = Buffer.allocUnsafeSlow(chunkBytes);
  for (let at = 0; at < size; at += chunkBytes) {
    signal.throwIfAborted();
    const chunk = buffer.subarray(0, await readFully(handle, buffer, at));
    whole.update(chunk);
    digests.set(hash('sha256', chunk, 'buffer'), (at / chunkBytes) * 32);
  }
  if (whole.digest('hex') !== sha256) throw damaged(path, sha256, 0, size);
  return { sha256, sizeBytes: size, digests };
}

async function readChunk(content: OpenContent, index: number): Promise<Uint8Array<ArrayBuffer>> {
  const { manifest, path } = content;
  const start = index * chunkBytes;
  const length = Math.min(chunkBytes, manifest.sizeBytes - start);
  const buffer = content.spare.pop() ?? Buffer.allocUnsafeSlow(bufferBytes(manifest));
  const chunk = buffer.subarray(0, length);
  const read = await readFully(content.handle, chunk, start);
  const digest = new Uint8Array(await crypto.subtle.digest('SHA-256', chunk.subarray(0, read)));
  if (read < length || Buffer.compare(digest, chunkDigest(manifest, index)) !== 0) {
    throw damaged(path, manifest.sha256, start, start + length);
  }
  return chunk;
}

function bufferBytes(manifest: ChunkManifest): number {
  return Math.min(chunkBytes, manifest.sizeBytes);
}

/** Reads until `into` is full or the file ends; answers how many bytes. */
export async function readFully(
  handle: FileHandle,
  into: Uint8Array,
  position: number,
): Promise<number> {
  let filled = 0;
  while (filled < into.length) {
    const part = await handle.read(into, filled, into.length - filled, position + filled);
    if (part.bytesRead === 0) break;
    filled += part.bytesRead;
  }
  return filled;
}

function damaged(path: string, sha256: string, start: number, end: number): KeelsonError {
  return new KeelsonError(
    'CORRUPT',
    `Content ${sha256} is damaged between byte ${start} and ${end} (${path}). Store the same bytes again, which mends it, or put the file back from a backup.`,
    { details: { path, sha256, start, end } },
  );
}
