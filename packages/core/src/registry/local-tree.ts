import type { Stats } from 'node:fs';
import { constants } from 'node:fs';
import { lstat, open, readdir, realpath, stat } from 'node:fs/promises';
import { basename, join, sep } from 'node:path';
import { KeelsonError } from '../errors.ts';
import { asKeelsonError } from '../tracking/local-files.ts';

/** A file of this machine, as it was when it was found. */
export interface LocalFile {
  /** Inside what is registered, with `/` between its parts. */
  readonly path: string;
  /** Where it lies, all links resolved. */
  readonly file: string;
  readonly sizeBytes: number;
  /** What changes with the file. */
  readonly identity: string;
}

const pieceBytes = 2 ** 20;
// A pipe that nobody writes to would keep the opening waiting for ever.
const readFlags = constants.O_RDONLY | (constants.O_NONBLOCK ?? 0) | (constants.O_NOFOLLOW ?? 0);

/** One local file. NOT_FOUND when it is not there, INVALID for what is no file. */
export async function localFile(file: string, path?: string): Promise<LocalFile> {
  try {
    const real = await realpath(file);
    return found(path ?? basename(file), real, await stat(real));
  } catch (error) {
    throw asKeelsonError(error, `The file ${file} cannot be read`);
  }
}

/**
 * All files below a directory, by path ascending. Links are followed as long as they stay inside it; INVALID,
 * by name, for those that lead out of it, nowhere or in a circle, and for sockets, pipes and devices.
 */
export async function localTree(directory: string): Promise<readonly LocalFile[]> {
  try {
    const root = await realpath(directory);
    const files: LocalFile[] = [];
    await walk({ root, files }, root, '', [root]);
    return files.sort((a, b) => (a.path < b.path ? -1 : 1));
  } catch (error) {
    throw asKeelsonError(error, `The directory ${directory} cannot be read`);
  }
}

interface Walk {
  readonly root: string;
  readonly files: LocalFile[];
}

/** `above` are the directories on the way, in which a link must not lead again. */
async function walk(
  to: Walk,
  directory: string,
  prefix: string,
  above: readonly string[],
): Promise<void> {
  for (const name of await readdir(directory)) {
    const path = prefix === '' ? name : `${prefix}/${name}`;
    const here = join(directory, name);
    const isLink = (await lstat(here)).isSymbolicLink();
    const real = isLink ? await followed(to.root, here, path) : here;
    const stats = await lstat(real);
    if (!stats.isDirectory()) {
      to.files.push(found(path, real, stats));
    } else if (above.includes(real)) {
      throw refused(path, 'is a link to a directory that it lies in itself');
    } else {
      await walk(to, real, path, [...above, real]);
    }
  }
}

async function followed(root: string, link: string, path: string): Promise<string> {
  let real: string;
  try {
    real = await realpath(link);
  } catch (cause) {
    throw refused(path, `is a link that leads nowhere (${(cause as Error).message})`);
  }
  if (real.startsWith(root.endsWith(sep) ? root : `${root}${sep}`)) return real;
  if (real === root) return real;
  throw refused(
    path,
    `is a link to ${real}, outside of the directory; copy what it names in its place (cp -rL)`,
  );
}

function found(path: string, file: string, stats: Stats): LocalFile {
  if (!stats.isFile()) throw refused(path, `is ${kindOf(stats)}, and no file`);
  return { path, file, sizeBytes: stats.size, identity: identityOf(stats) };
}

function identityOf({ dev, ino, size, mtimeMs }: Stats): string {
  return [dev, ino, size, mtimeMs].join(':');
}

function kindOf(stats: Stats): string {
  if (stats.isDirectory()) return 'a directory';
  if (stats.isSocket()) return 'a socket';
  if (stats.isFIFO()) return 'a pipe';
  return 'a device';
}

function refused(path: string, why: string): KeelsonError {
  return new KeelsonError('INVALID', `${path} ${why}; it cannot be registered.`, {
    details: { path },
  });
}

/**
 * The bytes of the file; CONFLICT instead of their end when it is another file than was found, or was written
 * to. The memory of a piece is used again for the next.
 */
export async function* readWatched(local: LocalFile): AsyncGenerator<Uint8Array, void, undefined> {
  try {
    await using handle = await open(local.file, readFlags);
    const assertSame = async (): Promise<void> => {
      if (identityOf(await handle.stat()) !== local.identity) throw changed([local.path]);
    };
    await assertSame();
    const buffer = Buffer.allocUnsafe(Math.min(pieceBytes, local.sizeBytes + 1));
    for (let at = 0; ; ) {
      const { bytesRead } = await handle.read(buffer, 0, buffer.length, at);
      if (bytesRead === 0) break;
      at += bytesRead;
      if (at > local.sizeBytes) throw changed([local.path]);
      yield buffer.subarray(0, bytesRead);
    }
    await assertSame();
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') throw changed([local.path]);
    throw asKeelsonError(error, `${local.file} cannot be read`);
  }
}

/** CONFLICT, by name, when the files that are there now are not those that were found before. */
export function assertUnchanged(before: readonly LocalFile[], now: readonly LocalFile[]): void {
  const then = new Map(before.map(({ path, identity }) => [path, identity]));
  const names = now.filter(({ path, identity }) => then.get(path) !== identity);
  const there = new Set(now.map(({ path }) => path));
  const gone = before.filter(({ path }) => !there.has(path));
  if (names.length + gone.length === 0) return;
  throw changed([...names, ...gone].map(({ path }) => path));
}

function changed(paths: readonly string[]): KeelsonError {
  const more = paths.length > 3 ? ` and ${paths.length - 3} more` : '';
  const names = `${paths.slice(0, 3).join(', ')}${more}`;
  return new KeelsonError(
    'CONFLICT',
    `${names} changed while being registered; no version was made. Register again once nobody writes there.`,
    { details: { expected: true, paths: paths.slice(0, 100) } },
  );
}
