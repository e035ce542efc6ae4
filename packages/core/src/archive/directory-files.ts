import { constants } from 'node:fs';
import { type FileHandle, open, readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { fromFileError } from '../content/file-fault.ts';
import { KeelsonError } from '../errors.ts';
import { type ArchiveFiles, readBytes } from './archive-files.ts';
import { assertMemberPath } from './member-path.ts';
import { corrupt } from './tar-header.ts';

// Links are not followed, and a pipe that takes a file's place does not keep us waiting.
const flags = constants.O_RDONLY | (constants.O_NOFOLLOW ?? 0) | (constants.O_NONBLOCK ?? 0);

/**
 * The members of an archive that is a directory. INVALID, by name, for links and special files in it:
 * none is followed or opened.
 */
export async function openDirectory(root: string): Promise<ArchiveFiles> {
  const sizes = new Map<string, number>();
  await walk(root, '', sizes);
  return {
    sizes,
    read: (path, signal) => readFile(root, path, sizes.get(path) ?? 0, signal),
    close: () => Promise.resolve(),
  };
}

async function walk(root: string, below: string, sizes: Map<string, number>): Promise<void> {
  const entries = await orFault(root, readdir(join(root, below), { withFileTypes: true }));
  for (const entry of entries) {
    const path = assertMemberPath(below === '' ? entry.name : `${below}/${entry.name}`, root);
    if (entry.isDirectory()) await walk(root, path, sizes);
    else if (entry.isFile()) sizes.set(path, await sizeOf(root, path));
    else throw noFile(root, path, entry.isSymbolicLink() ? 'a symbolic link' : 'a special file');
  }
}

async function sizeOf(root: string, path: string): Promise<number> {
  const handle = await openFile(root, path);
  try {
    const stats = await handle.stat();
    if (stats.isFile()) return stats.size;
    throw noFile(root, path, 'a special file');
  } finally {
    await handle.close();
  }
}

async function* readFile(
  root: string,
  path: string,
  sizeBytes: number,
  signal: AbortSignal,
): AsyncGenerator<Uint8Array, void, undefined> {
  const handle = await openFile(root, path);
  try {
    yield* readRange(handle, { where: root, path, start: 0, sizeBytes }, signal);
  } finally {
    await handle.close();
  }
}

/** The bytes of a part of a file; CORRUPT where the file ends before. */
export async function* readRange(
  handle: FileHandle,
  part: {
    readonly where: string;
    readonly path: string;
    readonly start: number;
    readonly sizeBytes: number;
  },
  signal: AbortSignal,
): AsyncGenerator<Uint8Array, void, undefined> {
  const { where, path, start, sizeBytes } = part;
  const buffer = Buffer.allocUnsafe(Math.min(sizeBytes, readBytes));
  for (let taken = 0; taken < sizeBytes; ) {
    signal.throwIfAborted();
    const wanted = Math.min(buffer.length, sizeBytes - taken);
    const { bytesRead } = await orFault(where, handle.read(buffer, 0, wanted, start + taken));
    if (bytesRead === 0) throw corrupt(where, `${path} is cut off after ${taken} bytes`, path);
    taken += bytesRead;
    yield buffer.subarray(0, bytesRead);
  }
}

function openFile(root: string, path: string): Promise<FileHandle> {
  return orFault(join(root, path), open(join(root, path), flags));
}

/** What the system refuses, as an error that says what was being done. */
export async function orFault<T>(path: string, work: Promise<T>): Promise<T> {
  try {
    return await work;
  } catch (error) {
    throw fromFileError(error, 'reading an export', path);
  }
}

function noFile(root: string, path: string, what: string): KeelsonError {
  return new KeelsonError(
    'INVALID',
    `${path} in ${root} is ${what}; an export holds plain files only. Nothing of it was taken.`,
    { details: { archive: root, member: path } },
  );
}
