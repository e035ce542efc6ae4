import { createWriteStream } from 'node:fs';
import { chmod, mkdir, rename, rm, stat, utimes } from 'node:fs/promises';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import type { ArtifactSpace } from '../../contracts/artifact-store.ts';
import { uuidV7 } from '../../uuid.ts';
import type { ArtifactFacts } from '../step-artifact.ts';

/**
 * Contents as read-only files of this machine, by their digests, for tasks that take files. Each is verified
 * as it is fetched; one whose size or time has changed since is fetched again.
 */
export class InputCache {
  readonly #dir: string;
  readonly #space: ArtifactSpace;
  readonly #fetching = new Map<string, Promise<string>>();
  readonly #known = new Map<string, string>();

  constructor(dir: string, space: ArtifactSpace) {
    this.#dir = dir;
    this.#space = space;
  }

  /** The file with this content. CORRUPT or NOT_FOUND as the store says. */
  async file(artifact: Pick<ArtifactFacts, 'sha256' | 'sizeBytes'>): Promise<string> {
    let fetching = this.#fetching.get(artifact.sha256);
    if (fetching === undefined) {
      fetching = this.#fetch(artifact);
      this.#fetching.set(artifact.sha256, fetching);
      const done = (): boolean => this.#fetching.delete(artifact.sha256);
      fetching.then(done, done);
    }
    return fetching;
  }

  async #fetch({ sha256 }: Pick<ArtifactFacts, 'sha256' | 'sizeBytes'>): Promise<string> {
    const dir = join(this.#dir, sha256.slice(0, 2));
    const path = join(dir, sha256);
    const identity = await identityOf(path);
    if (identity !== undefined && this.#known.get(sha256) === identity) {
      const now = new Date();
      await utimes(path, now, new Date(Number(identity.split(':')[1])));
      return path;
    }
    await mkdir(dir, { recursive: true });
    const aside = join(dir, `.${uuidV7()}.tmp`);
    try {
      const stream = await this.#space.open(sha256);
      await pipeline(Readable.fromWeb(stream as never), createWriteStream(aside, { flags: 'wx' }));
      await chmod(aside, 0o444);
      await rename(aside, path);
    } catch (error) {
      await rm(aside, { force: true });
      throw error;
    }
    const made = await identityOf(path);
    if (made !== undefined) this.#known.set(sha256, made);
    return path;
  }
}

async function identityOf(path: string): Promise<string | undefined> {
  try {
    const { size, mtimeMs, ino } = await stat(path);
    return `${size}:${Math.round(mtimeMs)}:${ino}`;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw error;
  }
}
