import { constants, createReadStream } from 'node:fs';
import { type FileHandle, lstat, open, opendir, realpath } from 'node:fs/promises';
import { isAbsolute, join, relative, sep } from 'node:path';
import { Readable } from 'node:stream';
import type { ImportNotes } from './import-notes.ts';

/** An entry of a directory that is a plain file or a directory. */
export interface SafeEntry {
  readonly name: string;
  readonly path: string;
  readonly isDirectory: boolean;
  readonly sizeBytes: number;
}

const deepest = 64;

/**
 * Reads a directory that others have written. Only plain files and directories are looked at; links, pipes, sockets and
 * devices are left out and told of by name, and nothing outside the directory is read.
 */
export class SafeDirectory {
  /** Real path. */
  readonly root: string;
  readonly #notes: ImportNotes;

  private constructor(root: string, notes: ImportNotes) {
    this.root = root;
    this.#notes = notes;
  }

  /** ENOENT and ENOTDIR reject, as the file system has them. */
  static async open(path: string, notes: ImportNotes): Promise<SafeDirectory> {
    const root = await realpath(path);
    const directory = await opendir(root);
    await directory.close();
    return new SafeDirectory(root, notes);
  }

  /** By name; none where the directory is not there. */
  async list(path: string): Promise<readonly SafeEntry[]> {
    const names = await namesIn(path);
    const entries: SafeEntry[] = [];
    for (const name of names.toSorted()) {
      const at = join(path, name);
      const found = await lstat(at);
      if (found.isFile() || found.isDirectory()) {
        entries.push({
          ...{ name, path: at, isDirectory: found.isDirectory(), sizeBytes: found.size },
        });
      } else {
        const what = found.isSymbolicLink() ? 'a symbolic link' : 'no plain file';
        this.#notes.skip(this.named(at), `it is ${what}: only plain files are read`);
      }
    }
    return entries;
  }

  /** All files below a directory, by path; names relative to it, joined by `/`. */
  async *files(
    path: string,
    prefix = '',
    depth = 0,
  ): AsyncGenerator<SafeEntry & { readonly relative: string }, void, undefined> {
    if (depth > deepest) {
      this.#notes.skip(this.named(path), `it is nested more than ${deepest} levels deep`);
      return;
    }
    for (const entry of await this.list(path)) {
      const below = `${prefix}${entry.name}`;
      if (entry.isDirectory) yield* this.files(entry.path, `${below}/`, depth + 1);
      else yield { ...entry, relative: below };
    }
  }

  /** The text of a small file; undefined, told of, for what is missing, no plain file or larger. */
  async text(path: string, mostBytes: number): Promise<string | undefined> {
    const handle = await this.#open(path);
    if (handle === undefined) return undefined;
    try {
      const { size } = await handle.stat();
      if (size <= mostBytes) return await handle.readFile('utf8');
      this.#notes.skip(this.named(path), `it has ${size} bytes, where at most ${mostBytes} belong`);
      return undefined;
    } finally {
      await handle.close();
    }
  }

  /** The bytes of a file. Rejects for what is no plain file any more. */
  async stream(path: string): Promise<ReadableStream<Uint8Array>> {
    const handle = await open(path, constants.O_RDONLY | noFollow);
    if (!(await handle.stat()).isFile()) {
      await handle.close();
      throw new Error(`${this.named(path)} is no plain file.`);
    }
    const bytes = createReadStream('', { fd: handle, autoClose: true, highWaterMark: 2 ** 18 });
    return Readable.toWeb(bytes) as unknown as ReadableStream<Uint8Array>;
  }

  /** Whether a path, as somebody has written it, lies within, links followed; its real path then. */
  async within(path: string): Promise<string | undefined> {
    const real = await realpath(path).catch(() => undefined);
    if (real === undefined) return undefined;
    const below = relative(this.root, real);
    const isOutside = below === '..' || below.startsWith(`..${sep}`) || isAbsolute(below);
    return isOutside ? undefined : real;
  }

  /** A path as the notes have it. */
  named(path: string): string {
    return relative(this.root, path) || '.';
  }

  async #open(path: string): Promise<FileHandle | undefined> {
    try {
      const found = await lstat(path);
      if (found.isFile()) return await open(path, constants.O_RDONLY | noFollow);
      this.#notes.skip(this.named(path), 'it is no plain file: only plain files are read');
    } catch (error) {
      if (codeOf(error) !== 'ENOENT') {
        this.#notes.skip(this.named(path), `it cannot be read: ${(error as Error).message}`);
      }
    }
    return undefined;
  }
}

// Not on Windows.
const noFollow = constants.O_NOFOLLOW ?? 0;

async function namesIn(path: string): Promise<string[]> {
  try {
    const names: string[] = [];
    for await (const { name } of await opendir(path)) names.push(name);
    return names;
  } catch (error) {
    if (codeOf(error) === 'ENOENT' || codeOf(error) === 'ENOTDIR') return [];
    throw error;
  }
}

/** The system's code of an error of the file system. */
export function codeOf(error: unknown): string | undefined {
  return error instanceof Error ? (error as NodeJS.ErrnoException).code : undefined;
}
