import { createHash } from 'node:crypto';
import { type FileHandle, mkdir, mkdtemp, open, readdir, rename, rm, stat } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { basename, dirname, join, resolve } from 'node:path';
import { fromFileError, isMissing } from '../content/file-fault.ts';
import { KeelsonError } from '../errors.ts';
import { uploaderState, uploadName } from '../upload-name.ts';
import { type ArchiveMember, manifestPath, renderManifest } from './manifest.ts';
import { assertMemberPath } from './member-path.ts';
import { type PackedMember, tarGzipInto, tarInto, writeAll } from './tar-writer.ts';

/** Where an archive goes: a directory, a `.tar` or `.tar.gz` file, or a stream that gets a tar. */
export type ArchiveTarget = string | WritableStream<Uint8Array>;

/** A member that is being written. */
export interface MemberSink {
  /** Durable only when the archive is. */
  write(bytes: Uint8Array): Promise<void>;
  close(): Promise<void>;
}

/** What was written. */
export interface WrittenArchive {
  readonly members: number;
  /** Of all members together. */
  readonly sizeBytes: number;
}

type Shape = 'directory' | 'tar' | 'tar.gz' | 'stream';

/**
 * Writes an archive: first its members aside, then all of it at once, so that it is there as a whole or
 * not at all. Equal members give equal bytes. Dispose it in any case: that removes what is aside.
 */
export class ArchiveWriter implements AsyncDisposable {
  readonly #target: ArchiveTarget;
  readonly #shape: Shape;
  readonly #holds: string;
  /** Holds the members that were written here, under their paths. */
  readonly #aside: string;
  readonly #written: ArchiveMember[] = [];
  readonly #contents = new Map<string, PackedMember>();
  /** Members that are being written. */
  readonly #open = new Set<FileHandle>();

  private constructor(target: ArchiveTarget, shape: Shape, holds: string, aside: string) {
    this.#target = target;
    this.#shape = shape;
    this.#holds = holds;
    this.#aside = aside;
  }

  /** CONFLICT when there is something at the target already; UNSUPPORTED for a zip. */
  static async begin(target: ArchiveTarget, holds: string): Promise<ArchiveWriter> {
    const shape = shapeOf(target);
    if (typeof target !== 'string') {
      const aside = await mkdtemp(join(tmpdir(), 'keelson-export-'));
      return new ArchiveWriter(target, shape, holds, aside);
    }
    const path = resolve(target);
    await orFault(path, assertFree(path, shape));
    await orFault(path, mkdir(dirname(path), { recursive: true }));
    await orFault(path, removeLeftovers(dirname(path)));
    const aside = join(dirname(path), `.${basename(path)}${partMark}${uploadName()}`);
    await orFault(path, mkdir(aside));
    return new ArchiveWriter(path, shape, holds, aside);
  }

  /** A member whose bytes come from the caller, piece by piece. */
  async member(path: string): Promise<MemberSink> {
    const file = join(this.#aside, assertMemberPath(path, 'An export'));
    await orFault(file, mkdir(dirname(file), { recursive: true }));
    const handle = await orFault(file, open(file, 'wx'));
    this.#open.add(handle);
    const hash = createHash('sha256');
    let sizeBytes = 0;
    return {
      write: async (bytes) => {
        hash.update(bytes);
        sizeBytes += bytes.length;
        await orFault(file, writeAll(handle, bytes));
      },
      close: async () => {
        this.#open.delete(handle);
        await orFault(file, synced(handle));
        this.#written.push({ path, sizeBytes, sha256: hash.digest('hex') });
      },
    };
  }

  /** A member whose bytes lie elsewhere, known by their digest; opened when their turn comes. */
  content(member: PackedMember): void {
    assertMemberPath(member.path, 'An export');
    this.#contents.set(member.path, member);
  }

  /** Puts everything in its place. */
  async finish(
    signal: AbortSignal,
    onProgress: (doneBytes: number, totalBytes: number) => void,
  ): Promise<WrittenArchive> {
    const own = this.#written.map((member): PackedMember => {
      const file = join(this.#aside, member.path);
      return { ...member, open: () => readWhole(file) };
    });
    const members = [...own, ...this.#contents.values()].toSorted((a, b) =>
      a.path < b.path ? -1 : 1,
    );
    const sizeBytes = members.reduce((sum, member) => sum + member.sizeBytes, 0);
    const manifest = Buffer.from(renderManifest({ holds: this.#holds, members }));
    // A tar begins with the manifest, which is no member of itself.
    let done = this.#shape === 'directory' ? 0 : -manifest.length;
    const how = {
      signal,
      onBytes: (bytes: number) => {
        done += bytes;
        onProgress(Math.max(0, done), sizeBytes);
      },
    };
    if (this.#shape === 'directory') await this.#intoDirectory(manifest, own, how);
    else await this.#intoTar(manifest, members, how);
    return { members: members.length, sizeBytes };
  }

  async #intoDirectory(
    manifest: Buffer,
    own: readonly ArchiveMember[],
    how: { readonly signal: AbortSignal; onBytes(bytes: number): void },
  ): Promise<void> {
    const target = String(this.#target);
    for (const { sizeBytes } of own) how.onBytes(sizeBytes);
    for (const { path, open: openMember } of this.#contents.values()) {
      how.signal.throwIfAborted();
      const sink = await this.member(path);
      for await (const piece of openMember(how.signal)) {
        await sink.write(piece);
        how.onBytes(piece.length);
      }
      await sink.close();
    }
    const sink = await this.member(manifestPath);
    await sink.write(manifest);
    await sink.close();
    await orFault(target, syncTree(this.#aside));
    how.signal.throwIfAborted();
    await this.#place(this.#aside, target);
  }

  async #intoTar(
    manifest: Buffer,
    members: readonly PackedMember[],
    how: { readonly signal: AbortSignal; onBytes(bytes: number): void },
  ): Promise<void> {
    const first: PackedMember = {
      path: manifestPath,
      sizeBytes: manifest.length,
      sha256: '',
      open: () => [manifest],
    };
    const all = [first, ...members];
    if (typeof this.#target !== 'string') {
      const writer = this.#target.getWriter();
      try {
        await tarInto((bytes) => writer.write(Uint8Array.from(bytes)), all, how);
        await writer.close();
      } catch (error) {
        await writer.abort(error).catch(() => undefined);
        throw error;
      }
      return;
    }
    const file = join(this.#aside, 'archive');
    const handle = await orFault(file, open(file, 'wx'));
    try {
      const write = (bytes: Uint8Array): Promise<void> => orFault(file, writeAll(handle, bytes));
      if (this.#shape === 'tar.gz') await tarGzipInto(write, all, how);
      else await tarInto(write, all, how);
    } finally {
      await orFault(file, synced(handle));
    }
    how.signal.throwIfAborted();
    await this.#place(file, this.#target);
  }

  async #place(from: string, target: string): Promise<void> {
    await orFault(target, assertFree(target, this.#shape));
    await orFault(target, rename(from, target));
    await orFault(target, syncDirectory(dirname(target)));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const handle of this.#open) await handle.close();
    await rm(this.#aside, { recursive: true, force: true });
  }
}

function shapeOf(target: ArchiveTarget): Shape {
  if (typeof target !== 'string') return 'stream';
  if (/\.(tar\.gz|tgz)$/i.test(target)) return 'tar.gz';
  if (/\.tar$/i.test(target)) return 'tar';
  if (!/\.zip$/i.test(target)) return 'directory';
  throw new KeelsonError(
    'UNSUPPORTED',
    `${target} would be a zip file; export to a directory, a .tar or a .tar.gz.`,
  );
}

/** An empty directory may become an export. */
async function assertFree(path: string, shape: Shape): Promise<void> {
  try {
    const stats = await stat(path);
    const empty = stats.isDirectory() && (await readdir(path)).length === 0;
    if (empty && shape === 'directory') return;
  } catch (error) {
    if (isMissing(error)) return;
    throw error;
  }
  throw new KeelsonError(
    'CONFLICT',
    `There is something at ${path} already; remove it, or export to another place.`,
    { details: { path } },
  );
}

const partMark = '.part-';

/** What exports into the same directory left aside when they were killed. */
async function removeLeftovers(directory: string): Promise<void> {
  for (const name of await readdir(directory)) {
    const mark = name.lastIndexOf(partMark);
    if (!name.startsWith('.') || mark < 0) continue;
    // Only what is certain to be of an export that is over.
    if (uploaderState(name.slice(mark + partMark.length)) !== 'dead') continue;
    await rm(join(directory, name), { recursive: true, force: true });
  }
}

async function* readWhole(file: string): AsyncGenerator<Uint8Array, void, undefined> {
  const handle = await orFault(file, open(file, 'r'));
  try {
    const buffer = Buffer.allocUnsafe(1024 * 1024);
    for (;;) {
      const { bytesRead } = await orFault(file, handle.read(buffer, 0, buffer.length, null));
      if (bytesRead === 0) return;
      yield buffer.subarray(0, bytesRead);
    }
  } finally {
    await handle.close();
  }
}

async function synced(handle: FileHandle): Promise<void> {
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
}

async function syncTree(directory: string): Promise<void> {
  for (const entry of await readdir(directory, { withFileTypes: true })) {
    if (entry.isDirectory()) await syncTree(join(directory, entry.name));
  }
  await syncDirectory(directory);
}

async function syncDirectory(directory: string): Promise<void> {
  // Windows cannot sync a directory, and needs not: its names are journaled.
  if (process.platform === 'win32') return;
  await synced(await open(directory, 'r'));
}

async function orFault<T>(path: string, work: Promise<T>): Promise<T> {
  try {
    return await work;
  } catch (error) {
    throw fromFileError(error, 'writing an export', path);
  }
}
