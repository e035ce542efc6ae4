import { createHash, hash, randomInt } from 'node:crypto';
import { type FileHandle, lstat, open, readFile, rename, rm, stat, utimes } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import {
  type ChunkManifest,
  chunkBytes,
  chunkCount,
  chunkDigest,
  decodeManifest,
  encodeManifest,
} from '../content/chunk-manifest.ts';
import { isMissing } from '../content/file-fault.ts';
import { uploadName } from '../upload-name.ts';
import { readFully } from './content-reader.ts';

/** How many chunks of a copy are read before it is handed out again. */
const sampledChunks = 16;

/**
 * One copy in a download cache: `<sha256>` are its bytes, `<sha256>.chunks` the digests of its chunks, and
 * `<sha256>.seen` what its file looked like when all of it was verified last; the time of that one is when the copy
 * was used last. The copy is there from the moment its bytes are.
 */
export class CachedFile {
  readonly path: string;
  readonly #sha256: string;

  constructor(entries: string, sha256: string) {
    this.path = join(entries, sha256.slice(0, 2), sha256);
    this.#sha256 = sha256;
  }

  get #chunksPath(): string {
    return `${this.path}.chunks`;
  }

  get #seenPath(): string {
    return `${this.path}.seen`;
  }

  /**
   * What to compare with {@link identityAt} once it was handed out; undefined when there is no copy, or when it
   * was damaged and so removed.
   */
  async check(): Promise<string | undefined> {
    let handle: FileHandle;
    try {
      handle = await open(this.path, 'r');
    } catch (error) {
      if (isMissing(error)) return undefined;
      throw error;
    }
    try {
      const identity = identityOf(await handle.stat({ bigint: true }));
      const [seen, manifest] = await Promise.all([this.#seen(), this.#manifest()]);
      const known = seen === identity && manifest !== undefined;
      const sound = known ? await sampled(handle, manifest) : await this.#verified(handle);
      if (!sound) {
        await this.remove();
        return undefined;
      }
      if (known) await this.#used();
      return identity;
    } finally {
      await handle.close();
    }
  }

  /** Takes a verified file over as the copy. */
  async admit(file: string, manifest: ChunkManifest): Promise<void> {
    await this.#note(await stat(file, { bigint: true }), manifest);
    await rename(file, this.path);
  }

  /** What was noted of it may go before it: then it is verified again. */
  async remove(): Promise<void> {
    for (const path of [this.path, this.#seenPath, this.#chunksPath]) {
      await rm(path, { force: true });
    }
  }

  async #used(): Promise<void> {
    const now = new Date();
    try {
      await utimes(this.#seenPath, now, now);
    } catch (error) {
      // Somebody else has just removed it, or it is another user's: only its place in the queue suffers.
      if (!isMissing(error) && (error as NodeJS.ErrnoException).code !== 'EPERM') throw error;
    }
  }

  async #seen(): Promise<string | undefined> {
    return (await readOptional(this.#seenPath))?.toString('utf8');
  }

  async #manifest(): Promise<ChunkManifest | undefined> {
    const bytes = await readOptional(this.#chunksPath);
    return bytes && decodeManifest(bytes, this.#sha256);
  }

  /** All of it, where something is not as it was; notes what it looks like when it is sound. */
  async #verified(handle: FileHandle): Promise<boolean> {
    const before = await handle.stat({ bigint: true });
    const manifest = await readWhole(handle, Number(before.size));
    if (manifest.sha256 !== this.#sha256) return false;
    await this.#note(before, manifest);
    return true;
  }

  async #note(stats: BigStats, manifest: ChunkManifest): Promise<void> {
    await writeWhole(this.#chunksPath, encodeManifest(manifest));
    await writeWhole(this.#seenPath, Buffer.from(identityOf(stats)));
  }
}

/** What a file looks like; undefined when it is not there. */
export async function identityAt(path: string): Promise<string | undefined> {
  try {
    return identityOf(await lstat(path, { bigint: true }));
  } catch (error) {
    if (isMissing(error)) return undefined;
    throw error;
  }
}

interface BigStats {
  readonly dev: bigint;
  readonly ino: bigint;
  readonly size: bigint;
  readonly mtimeNs: bigint;
}

function identityOf({ dev, ino, size, mtimeNs }: BigStats): string {
  return [dev, ino, size, mtimeNs].join(':');
}

async function sampled(handle: FileHandle, manifest: ChunkManifest): Promise<boolean> {
  const count = chunkCount(manifest.sizeBytes);
  const indexes =
    count <= sampledChunks
      ? Array.from({ length: count }, (_, index) => index)
      : [0, count - 1, ...Array.from({ length: sampledChunks - 2 }, () => randomInt(count))];
  const buffer = Buffer.allocUnsafe(Math.min(chunkBytes, manifest.sizeBytes));
  for (const index of indexes) {
    const length = await readFully(handle, buffer, index * chunkBytes);
    const digest = hash('sha256', buffer.subarray(0, length), 'buffer');
    if (digest.compare(chunkDigest(manifest, index)) !== 0) return false;
  }
  return true;
}

async function readWhole(handle: FileHandle, sizeBytes: number): Promise<ChunkManifest> {
  const whole = createHash('sha256');
  const digests = new Uint8Array(chunkCount(sizeBytes) * 32);
  const buffer = Buffer.allocUnsafe(chunkBytes);
  for (let index = 0; index < chunkCount(sizeBytes); index += 1) {
    const chunk = buffer.subarray(0, await readFully(handle, buffer, index * chunkBytes));
    whole.update(chunk);
    digests.set(hash('sha256', chunk, 'buffer'), index * 32);
  }
  return { sha256: whole.digest('hex'), sizeBytes, digests };
}

async function readOptional(path: string): Promise<Buffer | undefined> {
  try {
    return await readFile(path);
  } catch (error) {
    if (isMissing(error)) return undefined;
    throw error;
  }
}

async function writeWhole(path: string, bytes: Uint8Array): Promise<void> {
  const aside = join(dirname(path), `.${uploadName()}.tmp`);
  const handle = await open(aside, 'wx');
  try {
    await handle.writeFile(bytes);
  } finally {
    await handle.close();
  }
  await rename(aside, path);
}
