import { createHash } from 'node:crypto';
import { lstat, mkdir, open, readdir, rename, rm } from 'node:fs/promises';
import { dirname, join, resolve } from 'node:path';
import { KeelsonError } from '../errors.ts';
import { asKeelsonError } from '../tracking/local-files.ts';
import { uploaderState, uploadName } from '../upload-name.ts';
import type { ModelFile } from './model-version.ts';

const asidePrefix = '.keelson-';
const asideSuffix = '.part';

/**
 * Where a version is downloaded to. Its files come together aside; only once all are there, verified, do they
 * get their names: as one directory where there was none, one by one where there was.
 */
export class DownloadTarget implements AsyncDisposable {
  readonly #directory: string;
  readonly #aside: string;
  readonly #overwrite: boolean;

  private constructor(directory: string, aside: string, overwrite: boolean) {
    this.#directory = directory;
    this.#aside = aside;
    this.#overwrite = overwrite;
  }

  /**
   * INVALID when the directory is a file. CONFLICT for a name that is taken by anything but the same content,
   * unless that may be overwritten; answers which files are there already.
   */
  static async open(
    directory: string,
    files: readonly ModelFile[],
    overwrite: boolean,
  ): Promise<{ readonly target: DownloadTarget; readonly there: ReadonlySet<string> }> {
    const path = resolve(directory);
    try {
      const isThere = await isDirectory(path);
      const there = isThere ? await namesTaken(path, files, overwrite) : new Set<string>();
      const outside = isThere ? path : dirname(path);
      await mkdir(outside, { recursive: true });
      await removeLeftovers(outside);
      const aside = join(outside, `${asidePrefix}${uploadName()}${asideSuffix}`);
      await mkdir(aside);
      return { target: new DownloadTarget(path, aside, overwrite), there };
    } catch (error) {
      throw asKeelsonError(error, `${path} cannot be downloaded to`);
    }
  }

  /** Where to put a file; its directory is there. */
  async place(file: ModelFile): Promise<string> {
    const path = join(this.#aside, file.path);
    await mkdir(dirname(path), { recursive: true });
    return path;
  }

  /** Gives the files their names. */
  async finish(files: readonly ModelFile[]): Promise<void> {
    try {
      if (!(await isDirectory(this.#directory)) && (await this.#renameWhole())) return;
      // It was there, or has come meanwhile, perhaps by a download of the same version.
      const there = await namesTaken(this.#directory, files, this.#overwrite);
      await this.#renameEach(files.filter(({ path }) => !there.has(path)));
    } catch (error) {
      throw asKeelsonError(error, `${this.#directory} cannot be downloaded to`);
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await rm(this.#aside, { recursive: true, force: true });
  }

  async #renameWhole(): Promise<boolean> {
    try {
      await rename(this.#aside, this.#directory);
      return true;
    } catch (error) {
      const { code } = error as NodeJS.ErrnoException;
      if (code === 'ENOTEMPTY' || code === 'EEXIST' || code === 'EPERM') return false;
      throw error;
    }
  }

  /** When one cannot be renamed, those that were not there before go again. */
  async #renameEach(files: readonly ModelFile[]): Promise<void> {
    for (const { path } of files) {
      await mkdir(dirname(join(this.#directory, path)), { recursive: true });
    }
    const fresh: string[] = [];
    try {
      for (const { path } of files) {
        const name = join(this.#directory, path);
        const isFresh = (await lstatOptional(name)) === undefined;
        await rename(join(this.#aside, path), name);
        if (isFresh) fresh.push(name);
      }
    } catch (error) {
      for (const name of fresh) await rm(name, { force: true });
      throw error;
    }
  }
}

/** The files that are there already, with the same bytes. */
async function namesTaken(
  directory: string,
  files: readonly ModelFile[],
  overwrite: boolean,
): Promise<ReadonlySet<string>> {
  const there = new Set<string>();
  for (const file of files) {
    await assertInside(directory, file.path);
    const name = join(directory, file.path);
    const found = await lstatOptional(name);
    if (found === undefined) continue;
    if (found.isFile() && found.size === file.sizeBytes && (await digestOf(name)) === file.sha256) {
      there.add(file.path);
    } else if (!overwrite || found.isDirectory()) {
      throw new KeelsonError(
        'CONFLICT',
        `${name} is there already, and is ${found.isDirectory() ? 'a directory' : 'not that file of the version'}. Name a new directory${found.isDirectory() ? '' : ', or pass overwrite: true'}.`,
        { details: { path: name } },
      );
    }
  }
  return there;
}

/** A directory on the way that is a link could lead anywhere. */
async function assertInside(directory: string, path: string): Promise<void> {
  for (let slash = path.indexOf('/'); slash > 0; slash = path.indexOf('/', slash + 1)) {
    const above = join(directory, path.slice(0, slash));
    const found = await lstatOptional(above);
    if (found === undefined) return;
    if (found.isDirectory()) continue;
    const what = found.isSymbolicLink() ? 'a link' : 'no directory';
    throw new KeelsonError(
      'CONFLICT',
      `${above} is ${what}; ${path} cannot be put there. Name a new directory.`,
      { details: { path: above } },
    );
  }
}

/** What downloads left there whose processes died. */
async function removeLeftovers(directory: string): Promise<void> {
  for (const name of await readdir(directory)) {
    if (!name.startsWith(asidePrefix) || !name.endsWith(asideSuffix)) continue;
    const owner = name.slice(asidePrefix.length, -asideSuffix.length);
    if (uploaderState(owner) !== 'dead') continue;
    await rm(join(directory, name), { recursive: true, force: true });
  }
}

async function isDirectory(path: string): Promise<boolean> {
  const found = await lstatOptional(path);
  if (found === undefined) return false;
  if (found.isDirectory()) return true;
  // A link to a directory is as good.
  const names = found.isSymbolicLink() ? await readdir(path) : undefined;
  if (names !== undefined) return true;
  throw new KeelsonError('INVALID', `${path} is no directory; name another one.`, {
    details: { path },
  });
}

async function lstatOptional(path: string): Promise<Awaited<ReturnType<typeof lstat>> | undefined> {
  try {
    return await lstat(path);
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === 'ENOENT' || code === 'ENOTDIR') return undefined;
    throw error;
  }
}

async function digestOf(path: string): Promise<string> {
  await using handle = await open(path, 'r');
  const hash = createHash('sha256');
  const buffer = Buffer.allocUnsafe(2 ** 20);
  for (;;) {
    const { bytesRead } = await handle.read(buffer, 0, buffer.length, null);
    if (bytesRead === 0) return hash.digest('hex');
    hash.update(buffer.subarray(0, bytesRead));
  }
}
