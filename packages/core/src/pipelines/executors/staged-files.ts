import { createWriteStream } from 'node:fs';
import { chmod, copyFile, link, mkdir, rm } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import type { ArtifactSpace, ContentInfo } from '../../contracts/artifact-store.ts';
import type { DownloadCache } from '../../contracts/download-cache.ts';

/** Where the contents of staged files come from. */
export interface StagingSource {
  readonly artifacts: ArtifactSpace;
  /** Copies of this machine; contents come out of the store each time when left out. */
  readonly downloads?: DownloadCache;
}

/**
 * The files of one staging, in a new directory of their own: read only, verified as they come in, and there until
 * the directory goes, whatever becomes of the cache. A content that is asked for twice is there once.
 */
export class StagedFiles {
  readonly dir: string;
  readonly #source: StagingSource;
  readonly #signal: AbortSignal;
  readonly #contents = new Map<string, Promise<string>>();

  /** `dir` must not exist. */
  constructor(dir: string, source: StagingSource, signal: AbortSignal) {
    this.dir = dir;
    this.#source = source;
    this.#signal = signal;
  }

  /** The file with this content. CORRUPT or NOT_FOUND as the store says. */
  file(content: ContentInfo): Promise<string> {
    let placed = this.#contents.get(content.sha256);
    if (placed === undefined) {
      placed = this.#place(content);
      this.#contents.set(content.sha256, placed);
    }
    return placed;
  }

  /** The same under a name of its own, in directories that are made for it. */
  async fileAt(content: ContentInfo, path: string): Promise<void> {
    await mkdir(dirname(path), { recursive: true });
    const from = await this.file(content);
    try {
      await link(from, path);
    } catch (error) {
      const { code } = error as NodeJS.ErrnoException;
      if (code !== 'EMLINK' && code !== 'EPERM' && code !== 'ENOTSUP') throw error;
      await copyFile(from, path);
    }
  }

  async #place({ sha256, sizeBytes }: ContentInfo): Promise<string> {
    const { artifacts, downloads } = this.#source;
    const signal = this.#signal;
    const path = join(this.dir, '.contents', sha256);
    await mkdir(dirname(path), { recursive: true });
    const open = (start: number) => artifacts.open(sha256, { start }, signal);
    if (downloads !== undefined) {
      await downloads.place({ sha256, sizeBytes }, path, { open, copy: false, signal });
      return path;
    }
    try {
      const bytes = Readable.fromWeb((await open(0)) as never);
      await pipeline(bytes, createWriteStream(path, { flags: 'wx' }), { signal });
      await chmod(path, 0o444);
    } catch (error) {
      await rm(path, { force: true });
      throw error;
    }
    return path;
  }
}
