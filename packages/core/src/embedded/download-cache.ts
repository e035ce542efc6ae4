import { chmod, mkdir, readdir, rm, stat } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { fromFileError, isMissing, systemCode } from '../content/file-fault.ts';
import type { ContentInfo } from '../contracts/artifact-store.ts';
import type { DownloadCache, PlaceOptions } from '../contracts/download-cache.ts';
import type { Logger } from '../contracts/ports.ts';
import { isKeelsonError } from '../errors.ts';
import { uploadName } from '../upload-name.ts';
import { CachedFile } from './cached-file.ts';
import { lockFetch } from './fetch-lock.ts';
import { fetchInto } from './fetched-file.ts';
import { handOut } from './handed-out-file.ts';

/** Where copies of downloaded contents are kept, and how many. */
export interface DownloadCacheOptions {
  /** Made when it is used. */
  readonly dir: string;
  /** Bytes at most, over all that share the directory; larger contents go past it. */
  readonly maxBytes: number;
  readonly logger: Logger;
  /** For how long another process may be silent while it fetches; 10,000 when left out. */
  readonly stallMs?: number;
}

const attempts = 4;
/** What is left of a fetch that was broken off is gone on with for so long. */
const partAgeMs = 86_400_000;

/**
 * A {@link DownloadCache} in a directory: `entries/<2 digits>/<sha256>` are the copies, read only; what is being
 * fetched lies in `incoming`, and is gone on with by the next who wants it. Two processes that want the same
 * content at once fetch it once. Copies that were used longest ago make room.
 */
export class FileDownloadCache implements DownloadCache {
  readonly #options: DownloadCacheOptions;
  readonly #entries: string;
  readonly #incoming: string;
  #troubled = false;

  constructor(options: DownloadCacheOptions) {
    this.#options = options;
    this.#entries = join(options.dir, 'entries');
    this.#incoming = join(options.dir, 'incoming');
  }

  async place(content: ContentInfo, target: string, options: PlaceOptions): Promise<void> {
    for (let attempt = 1; attempt <= attempts; attempt += 1) {
      const cached = await this.#have(content, options);
      if (cached === undefined) break;
      if (await handOut(cached.file, cached.identity, content, target, options)) {
        options.onBytes?.(content.sizeBytes);
        return;
      }
    }
    await fetchPast(content, target, options);
  }

  /** A copy that was checked just now; undefined where there can be none. */
  async #have(
    content: ContentInfo,
    options: PlaceOptions,
  ): Promise<{ readonly file: CachedFile; readonly identity: string } | undefined> {
    if (content.sizeBytes > this.#options.maxBytes) return undefined;
    try {
      const file = new CachedFile(this.#entries, content.sha256);
      for (let attempt = 1; attempt <= attempts; attempt += 1) {
        const identity = await file.check();
        if (identity !== undefined) return { file, identity };
        await this.#bring(file, content, options);
      }
    } catch (error) {
      // Other faults are those of the store behind: without the cache it would say the same.
      if (systemCode(error) === undefined) throw error;
      this.#passBy(error);
    }
    return undefined;
  }

  /** Fetches the copy, unless another does: then it is there once this ends well. */
  async #bring(file: CachedFile, content: ContentInfo, options: PlaceOptions): Promise<void> {
    await mkdir(dirname(file.path), { recursive: true });
    await mkdir(this.#incoming, { recursive: true });
    const partPath = join(this.#incoming, `${content.sha256}.part`);
    const lock = await lockFetch({
      lockPath: join(this.#incoming, `${content.sha256}.lock`),
      partPath,
      arrived: async () => (await sizeOf(file.path)) !== undefined,
      signal: options.signal,
      stallMs: this.#options.stallMs ?? 10_000,
    });
    if (lock === 'arrived') return;
    if (lock === 'besides') {
      const part = join(this.#incoming, `${uploadName()}.part`);
      return await this.#fetch(file, content, part, options).finally(() =>
        rm(part, { force: true }),
      );
    }
    try {
      await this.#fetch(file, content, partPath, options);
    } finally {
      await lock.release();
    }
  }

  async #fetch(
    file: CachedFile,
    content: ContentInfo,
    part: string,
    options: PlaceOptions,
  ): Promise<void> {
    await this.#makeRoom(content.sizeBytes);
    try {
      // What an earlier attempt left may be damaged: from the start, once.
      const manifest =
        (await fetchInto(part, content, options)) ?? (await fetchInto(part, content, options));
      if (manifest === undefined) return;
      await chmod(part, 0o444);
      await file.admit(part, manifest);
    } catch (error) {
      // Nothing goes on from what is wrong, nor where there is no room.
      const useless =
        systemCode(error) !== undefined || isKeelsonError(error, 'CORRUPT', 'NOT_FOUND');
      if (useless) await rm(part, { force: true });
      throw error;
    }
    // What others brought in at the same time was not there to be counted.
    await this.#makeRoom(0);
    this.#troubled = false;
  }

  /** Removes what was used longest ago; others may do so too. */
  async #makeRoom(bytes: number): Promise<void> {
    await this.#removeOldParts();
    const copies = await this.#copies();
    let total = copies.reduce((sum, { sizeBytes }) => sum + sizeBytes, bytes);
    for (const { sha256, sizeBytes } of copies.sort((a, b) => a.usedAt - b.usedAt)) {
      if (total <= this.#options.maxBytes) return;
      await new CachedFile(this.#entries, sha256).remove();
      total -= sizeBytes;
    }
  }

  async #copies(): Promise<{ sha256: string; sizeBytes: number; usedAt: number }[]> {
    const copies = [];
    for (const shard of await namesIn(this.#entries)) {
      for (const name of await namesIn(join(this.#entries, shard))) {
        if (!/^[0-9a-f]{64}$/.test(name)) continue;
        const path = join(this.#entries, shard, name);
        const sizeBytes = await sizeOf(path);
        if (sizeBytes === undefined) continue;
        const seen = await stat(`${path}.seen`).catch(() => undefined);
        copies.push({ sha256: name, sizeBytes, usedAt: seen?.mtimeMs ?? 0 });
      }
    }
    return copies;
  }

  async #removeOldParts(): Promise<void> {
    for (const name of await namesIn(this.#incoming)) {
      const path = join(this.#incoming, name);
      const found = await stat(path).catch(() => undefined);
      if (found === undefined || Date.now() - found.mtimeMs < partAgeMs) continue;
      await rm(path, { force: true });
    }
  }

  /** Told once, until it works again. */
  #passBy(error: unknown): void {
    if (this.#troubled) return;
    this.#troubled = true;
    const { dir, logger } = this.#options;
    const fields = {
      component: 'downloads',
      error: fromFileError(error, 'caching a download', dir),
    };
    logger.warn(fields, 'The cache of downloads fails; models are fetched past it meanwhile.');
  }
}

async function fetchPast(
  content: ContentInfo,
  target: string,
  options: PlaceOptions,
): Promise<void> {
  try {
    await fetchInto(target, content, options);
    if (!options.copy) await chmod(target, 0o444);
  } catch (error) {
    await rm(target, { force: true });
    throw fromFileError(error, 'writing a downloaded file', target);
  }
}

async function namesIn(directory: string): Promise<readonly string[]> {
  try {
    return await readdir(directory);
  } catch (error) {
    if (isMissing(error)) return [];
    throw error;
  }
}

async function sizeOf(path: string): Promise<number | undefined> {
  try {
    return (await stat(path)).size;
  } catch (error) {
    if (isMissing(error)) return undefined;
    throw error;
  }
}
