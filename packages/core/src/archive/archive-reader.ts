import { createHash } from 'node:crypto';
import { open, stat } from 'node:fs/promises';
import { isMissing } from '../content/file-fault.ts';
import { KeelsonError } from '../errors.ts';
import type { ArchiveFiles } from './archive-files.ts';
import { openDirectory, orFault } from './directory-files.ts';
import {
  type ArchiveMember,
  type Manifest,
  manifestPath,
  maxManifestBytes,
  readManifest,
} from './manifest.ts';
import { fileBytes, openSpooledTar } from './spooled-tar.ts';
import { openTar } from './tar-files.ts';
import { corrupt } from './tar-header.ts';

/** Where an archive is read from: a directory, a `.tar` or `.tar.gz` file, or the bytes of one. */
export type ArchiveSource = string | ReadableStream<Uint8Array> | AsyncIterable<Uint8Array>;

/** An archive whose members are those of its manifest, of the sizes it says. */
export interface ArchiveReader extends AsyncDisposable {
  /** What it is called in messages. */
  readonly where: string;
  readonly manifest: Manifest;
  find(path: string): ArchiveMember | undefined;
  /**
   * The bytes of a member. Fails with CORRUPT, naming it, before its end when they are not those of the
   * manifest.
   */
  open(path: string, signal: AbortSignal): AsyncIterable<Uint8Array>;
  /** Reads all of a member; CORRUPT, naming it, when it is not that of the manifest. */
  verify(path: string, signal: AbortSignal): Promise<void>;
}

/**
 * Opens an archive: NOT_FOUND when there is none, INVALID for what is no export or holds what none may
 * hold, UNSUPPORTED for a zip, INCOMPATIBLE for a newer format, CORRUPT for one that is damaged. Nothing
 * is ever written but a temporary copy of what comes compressed or as a stream.
 */
export async function openArchive(
  from: ArchiveSource,
  options: { readonly holds: string; readonly signal: AbortSignal },
): Promise<ArchiveReader> {
  const where = typeof from === 'string' ? from : 'The stream';
  const files = await openFiles(from, where, options.signal);
  try {
    const manifest = await manifestOf(files, where, options.signal);
    if (manifest.holds !== options.holds) {
      throw new KeelsonError(
        'INVALID',
        `${where} is an export of ${manifest.holds}, not of ${options.holds}.`,
        { details: { archive: where, holds: manifest.holds } },
      );
    }
    return new CheckedArchive(where, files, manifest);
  } catch (error) {
    await files.close();
    throw error;
  }
}

async function openFiles(
  from: ArchiveSource,
  where: string,
  signal: AbortSignal,
): Promise<ArchiveFiles> {
  if (typeof from !== 'string') {
    const [beginning, source] = await peeked(from);
    return openSpooledTar(source, { where, gzip: isGzip(beginning), signal });
  }
  const stats = await found(from);
  if (stats.isDirectory()) return openDirectory(from);
  if (!stats.isFile()) {
    throw new KeelsonError('INVALID', `${from} is neither a directory nor a file.`, {
      details: { archive: from },
    });
  }
  const beginning = await beginningOf(from);
  if (isZip(beginning)) {
    throw new KeelsonError(
      'UNSUPPORTED',
      `${from} is a zip file; unpack it and import the directory, or export to a .tar.`,
      { details: { archive: from } },
    );
  }
  if (isGzip(beginning)) return openSpooledTar(fileBytes(from), { where, gzip: true, signal });
  return openTar(from, where, signal);
}

async function found(path: string): Promise<Awaited<ReturnType<typeof stat>>> {
  try {
    return await stat(path);
  } catch (error) {
    if (!isMissing(error)) throw await orFault(path, Promise.reject(error));
    throw new KeelsonError('NOT_FOUND', `There is no export ${path}.`, {
      cause: error,
      details: { archive: path },
    });
  }
}

async function beginningOf(path: string): Promise<Uint8Array> {
  const handle = await orFault(path, open(path, 'r'));
  try {
    const { buffer, bytesRead } = await handle.read(Buffer.alloc(4), 0, 4, 0);
    return buffer.subarray(0, bytesRead);
  } finally {
    await handle.close();
  }
}

/** The first piece of a stream that has bytes, and the stream with it. */
async function peeked(
  source: AsyncIterable<Uint8Array>,
): Promise<readonly [Uint8Array, AsyncIterable<Uint8Array>]> {
  const iterator = source[Symbol.asyncIterator]();
  let first = await iterator.next();
  while (first.done !== true && first.value.length === 0) first = await iterator.next();
  const beginning = first.done === true ? new Uint8Array(0) : Uint8Array.from(first.value);
  async function* whole(): AsyncGenerator<Uint8Array, void, undefined> {
    yield beginning;
    yield* { [Symbol.asyncIterator]: () => iterator };
  }
  return [beginning, whole()];
}

function isGzip(bytes: Uint8Array): boolean {
  return bytes[0] === 0x1f && bytes[1] === 0x8b;
}

function isZip(bytes: Uint8Array): boolean {
  return bytes[0] === 0x50 && bytes[1] === 0x4b;
}

async function manifestOf(
  files: ArchiveFiles,
  where: string,
  signal: AbortSignal,
): Promise<Manifest> {
  const sizeBytes = files.sizes.get(manifestPath);
  if (sizeBytes === undefined || sizeBytes > maxManifestBytes) {
    throw new KeelsonError(
      'INVALID',
      `${where} has no ${manifestPath}; it is no export, or not all of one.`,
      { details: { archive: where } },
    );
  }
  const pieces: Uint8Array[] = [];
  for await (const piece of files.read(manifestPath, signal)) pieces.push(Uint8Array.from(piece));
  const manifest = readManifest(Buffer.concat(pieces), where);
  assertSameMembers(files, manifest, where);
  return manifest;
}

function assertSameMembers(files: ArchiveFiles, { members }: Manifest, where: string): void {
  for (const { path, sizeBytes } of members) {
    const there = files.sizes.get(path);
    if (there === sizeBytes) continue;
    const why =
      there === undefined
        ? `${path} is missing`
        : `${path} has ${there} bytes; its manifest says ${sizeBytes}`;
    throw corrupt(where, why, path);
  }
  const known = new Set(members.map(({ path }) => path));
  for (const path of files.sizes.keys()) {
    if (known.has(path) || path === manifestPath) continue;
    throw new KeelsonError(
      'INVALID',
      `${where} holds ${path}, which its manifest does not name. Nothing of it was taken.`,
      { details: { archive: where, member: path } },
    );
  }
}

class CheckedArchive implements ArchiveReader {
  readonly where: string;
  readonly manifest: Manifest;
  readonly #files: ArchiveFiles;
  readonly #members: ReadonlyMap<string, ArchiveMember>;

  constructor(where: string, files: ArchiveFiles, manifest: Manifest) {
    this.where = where;
    this.manifest = manifest;
    this.#files = files;
    this.#members = new Map(manifest.members.map((member) => [member.path, member]));
  }

  find(path: string): ArchiveMember | undefined {
    return this.#members.get(path);
  }

  async *open(path: string, signal: AbortSignal): AsyncGenerator<Uint8Array, void, undefined> {
    const member = this.#members.get(path);
    if (member === undefined) throw corrupt(this.where, `${path} is missing`, path);
    const hash = createHash('sha256');
    let taken = 0;
    let last: Uint8Array | undefined;
    for await (const piece of this.#files.read(path, signal)) {
      hash.update(piece);
      taken += piece.length;
      // The last piece is handed over only when all of them are known to be right.
      if (taken < member.sizeBytes) yield piece;
      else last = piece;
    }
    if (hash.digest('hex') !== member.sha256) {
      throw corrupt(this.where, `${path} is not what its manifest says`, path);
    }
    if (last !== undefined) yield last;
  }

  async verify(path: string, signal: AbortSignal): Promise<void> {
    for await (const piece of this.open(path, signal)) void piece;
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.#files.close();
  }
}
