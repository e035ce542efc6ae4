import { createHash } from 'node:crypto';
import { type FileHandle, open, rename, rm } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import type { ByteReader } from '../content/byte-reader.ts';
import { type ChunkManifest, chunkBytes, encodeManifest } from '../content/chunk-manifest.ts';
import { throttled } from '../content/progress.ts';
import type { ContentInfo } from '../contracts/artifact-store.ts';
import { KeelsonError } from '../errors.ts';
import { uploadName } from '../upload-name.ts';
import { type ArtifactLayout, contentPath, manifestPath } from './artifact-layout.ts';
import { type DurableDirectories, syncPath } from './durable-file.ts';

/** How one content is written. */
export interface ContentWrite {
  readonly layout: ArtifactLayout;
  readonly directories: DurableDirectories;
  /** The directory of the workspace. */
  readonly space: string;
  readonly reader: ByteReader;
  /** The digest that is expected. */
  readonly sha256: string | undefined;
  readonly signal: AbortSignal;
  readonly onProgress: ((bytes: number) => void) | undefined;
  /** How many chunks may be on their way to the disk. */
  readonly depth: number;
}

// The kernel is asked to write behind us this often, so that the last sync finds little left to do.
const writeBehindBytes = 64 * chunkBytes;

/**
 * Writes what the reader gives aside, syncs it, and renames it into its place, its manifest first: a
 * content is there from the moment its own file is. Nothing stays when it fails.
 */
export async function writeContent(write: ContentWrite): Promise<ContentInfo> {
  const aside = join(write.layout.incoming, uploadName());
  try {
    // Read-only for everybody: what is known by its digest never changes.
    const handle = await open(aside, 'wx', 0o444);
    let manifest: ChunkManifest;
    try {
      manifest = await pour(handle, write);
      await handle.datasync();
    } finally {
      await handle.close();
    }
    write.signal.throwIfAborted();
    await publish(write, aside, manifest);
    return { sha256: manifest.sha256, sizeBytes: manifest.sizeBytes };
  } catch (error) {
    await rm(aside, { force: true });
    throw error;
  }
}

/** Writes a manifest beside its content. */
export async function writeManifest(
  layout: ArtifactLayout,
  space: string,
  manifest: ChunkManifest,
): Promise<void> {
  const aside = join(layout.incoming, uploadName());
  try {
    const handle = await open(aside, 'wx', 0o444);
    try {
      await handle.writeFile(encodeManifest(manifest));
      await handle.datasync();
    } finally {
      await handle.close();
    }
    await rename(aside, manifestPath(space, manifest.sha256));
  } catch (error) {
    await rm(aside, { force: true });
    throw error;
  }
}

async function publish(write: ContentWrite, aside: string, manifest: ChunkManifest): Promise<void> {
  const path = contentPath(write.space, manifest.sha256);
  const shard = dirname(path);
  await write.directories.make(shard);
  if (manifest.sizeBytes > chunkBytes) await writeManifest(write.layout, write.space, manifest);
  // Over what is there, if anything: that heals a damaged content, and cannot hurt a sound one.
  await rename(aside, path);
  await syncPath(shard);
}

/** Reads, hashes and writes chunk by chunk; while one is being hashed, others are on their way. */
async function pour(handle: FileHandle, write: ContentWrite): Promise<ChunkManifest> {
  const whole = createHash('sha256');
  const digests: Promise<ArrayBuffer>[] = [];
  const flight = new ChunkFlight(write.reader.sizeBytes, write.depth);
  const tell = throttled(write.onProgress);
  let sizeBytes = 0;
  let flushedBytes = 0;
  try {
    for (;;) {
      const buffer = await flight.takeBuffer();
      write.signal.throwIfAborted();
      const length = await write.reader.fill(buffer);
      const chunk = buffer.subarray(0, length);
      const at = sizeBytes;
      sizeBytes += length;
      if (length > 0) {
        const written = writeAll(handle, chunk, at);
        // A content of one chunk has its own digest and needs no other.
        const only = at === 0 && length < buffer.length;
        const digest = only ? undefined : crypto.subtle.digest('SHA-256', chunk);
        if (digest !== undefined) digests.push(digest);
        flight.add(buffer, Promise.all([digest, written]));
        whole.update(chunk);
        tell(sizeBytes);
      }
      if (length < buffer.length) break;
      if (sizeBytes - flushedBytes >= writeBehindBytes) {
        flushedBytes = sizeBytes;
        flight.flush(() => handle.datasync());
      }
    }
    await flight.land();
  } catch (error) {
    await flight.settle();
    throw error;
  }
  const sha256 = whole.digest('hex');
  if (write.sha256 !== undefined && write.sha256 !== sha256) {
    throw new KeelsonError(
      'CORRUPT',
      `The bytes to store have the digest ${sha256}, not ${write.sha256} as expected; nothing was stored. They were changed or cut short on their way: fetch them again.`,
      { details: { expected: write.sha256, actual: sha256, sizeBytes } },
    );
  }
  write.onProgress?.(sizeBytes);
  return { sha256, sizeBytes, digests: await join32(digests) };
}

async function join32(digests: readonly Promise<ArrayBuffer>[]): Promise<Uint8Array> {
  const out = new Uint8Array(digests.length * 32);
  for (const [i, digest] of digests.entries()) out.set(new Uint8Array(await digest), i * 32);
  return out;
}

async function writeAll(handle: FileHandle, chunk: Uint8Array, at: number): Promise<void> {
  for (let done = 0; done < chunk.length; ) {
    const { bytesWritten } = await handle.write(chunk, done, chunk.length - done, at + done);
    done += bytesWritten;
  }
}

/** The chunks on their way to the disk, and the buffers that they leave free. */
class ChunkFlight {
  readonly #depth: number;
  readonly #bufferBytes: number;
  readonly #flying: {
    readonly buffer: Uint8Array<ArrayBuffer>;
    readonly landed: Promise<unknown>;
  }[] = [];
  #flush: Promise<void> | undefined;

  constructor(sizeBytes: number | undefined, depth: number) {
    this.#depth = depth;
    // One byte more than a small source has, so that it shows its end in the first piece.
    this.#bufferBytes = Math.min(chunkBytes, (sizeBytes ?? chunkBytes) + 1);
  }

  /** A new buffer, or the oldest one once it has landed. */
  async takeBuffer(): Promise<Uint8Array<ArrayBuffer>> {
    if (this.#flying.length < this.#depth) return Buffer.allocUnsafeSlow(this.#bufferBytes);
    const oldest = this.#flying.shift();
    await oldest?.landed;
    return oldest?.buffer ?? Buffer.allocUnsafeSlow(this.#bufferBytes);
  }

  add(buffer: Uint8Array<ArrayBuffer>, landed: Promise<unknown>): void {
    // Awaited later, in order; a failure must not count as unhandled until then.
    landed.catch(() => undefined);
    this.#flying.push({ buffer, landed });
  }

  /** Starts a flush unless the one before is still going on. */
  flush(start: () => Promise<void>): void {
    if (this.#flush !== undefined) return;
    const flush = start();
    flush.then(
      () => {
        this.#flush = undefined;
      },
      () => undefined,
    );
    this.#flush = flush;
  }

  /** Waits for all; rejects with the first failure. */
  async land(): Promise<void> {
    await Promise.all([...this.#flying.map((chunk) => chunk.landed), this.#flush]);
  }

  /** Waits until nothing uses a buffer or the file any more, whatever became of it. */
  async settle(): Promise<void> {
    await Promise.allSettled([...this.#flying.map((chunk) => chunk.landed), this.#flush]);
  }
}
