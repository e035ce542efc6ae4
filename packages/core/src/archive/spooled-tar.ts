import { createReadStream } from 'node:fs';
import { mkdtemp, open, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { createGunzip } from 'node:zlib';
import { fromFileError } from '../content/file-fault.ts';
import { KeelsonError } from '../errors.ts';
import type { ArchiveFiles } from './archive-files.ts';
import { manifestPath, maxManifestBytes, readManifest } from './manifest.ts';
import { openTar } from './tar-files.ts';
import { corrupt, decodeTarHeader, tarBlockBytes, tarPadding } from './tar-header.ts';

/** Directories and fillings that other programs write beside the members. */
const slackBytes = 4 * 1024 * 1024;

/**
 * The members of a tar that comes as a stream, plain or compressed with gzip: put into a temporary file
 * first, which goes when the archive is closed. Its manifest must come first, as exports have it, and
 * bounds what is taken: INVALID as soon as there is more than it says, however much would follow.
 */
export async function openSpooledTar(
  source: AsyncIterable<Uint8Array>,
  options: { readonly where: string; readonly gzip: boolean; readonly signal: AbortSignal },
): Promise<ArchiveFiles> {
  const { where, gzip, signal } = options;
  const directory = await mkdtemp(join(tmpdir(), 'keelson-import-'));
  const remove = (): Promise<void> => rm(directory, { recursive: true, force: true });
  const file = join(directory, 'archive.tar');
  try {
    await spool(bounded(gzip ? gunzipped(source, where) : source, where), file, signal);
    const files = await openTar(file, where, signal);
    return {
      ...files,
      async close() {
        await files.close();
        await remove();
      },
    };
  } catch (error) {
    await remove();
    throw fromFileError(error, `unpacking ${where} into a temporary directory`, directory);
  }
}

/** The bytes of a file, as a stream. */
export function fileBytes(file: string): AsyncIterable<Uint8Array> {
  return createReadStream(file, { highWaterMark: 1024 * 1024 });
}

async function* gunzipped(
  source: AsyncIterable<Uint8Array>,
  where: string,
): AsyncGenerator<Uint8Array, void, undefined> {
  const input = Readable.from(source);
  const gunzip = createGunzip();
  input.on('error', (error) => gunzip.destroy(error));
  try {
    yield* input.pipe(gunzip) as AsyncIterable<Uint8Array>;
  } catch (error) {
    const code = (error as NodeJS.ErrnoException).code ?? '';
    if (!code.startsWith('Z_')) throw error;
    throw corrupt(where, `it cannot be decompressed (${(error as Error).message})`);
  } finally {
    input.destroy();
    gunzip.destroy();
  }
}

/** Passes on what the manifest at the beginning allows for. */
async function* bounded(
  source: AsyncIterable<Uint8Array>,
  where: string,
): AsyncGenerator<Uint8Array, void, undefined> {
  const beginning = new Beginning(where);
  let taken = 0;
  for await (const piece of source) {
    taken += piece.length;
    beginning.add(piece);
    if (taken > beginning.allowedBytes) throw tooMuch(where);
    yield piece;
  }
}

/** Reads the manifest at the beginning of a tar while its pieces pass. */
class Beginning {
  readonly #where: string;
  #pieces: Uint8Array[] = [];
  #bytes = 0;
  /** What must be there before more can be known. */
  #needed = tarBlockBytes;
  /** How long the tar may be, as far as that is known yet. */
  allowedBytes = Number.POSITIVE_INFINITY;

  constructor(where: string) {
    this.#where = where;
  }

  add(piece: Uint8Array): void {
    if (this.#needed === 0) return;
    this.#pieces.push(Uint8Array.from(piece));
    this.#bytes += piece.length;
    while (this.#needed > 0 && this.#bytes >= this.#needed) this.#look();
  }

  #look(): void {
    const bytes = Buffer.concat(this.#pieces);
    this.#pieces = [bytes];
    const sizeBytes = this.#manifestBytes(bytes);
    const end = tarBlockBytes + sizeBytes;
    if (bytes.length < end) {
      this.#needed = end;
      return;
    }
    const { members } = readManifest(bytes.subarray(tarBlockBytes, end), this.#where);
    const blocks = (size: number): number => tarBlockBytes + size + tarPadding(size);
    this.allowedBytes = members.reduce(
      (sum, member) => sum + blocks(member.sizeBytes),
      blocks(sizeBytes) + slackBytes,
    );
    this.#needed = 0;
    this.#pieces = [];
  }

  #manifestBytes(bytes: Buffer): number {
    const header = decodeTarHeader(bytes.subarray(0, tarBlockBytes), this.#where);
    if (header?.name !== manifestPath || header.type !== 'file') {
      throw new KeelsonError(
        'INVALID',
        `${this.#where} does not begin with ${manifestPath}, as exports do; unpack it and import the directory.`,
        { details: { archive: this.#where } },
      );
    }
    if (header.sizeBytes > maxManifestBytes) throw tooMuch(this.#where);
    return header.sizeBytes;
  }
}

async function spool(
  source: AsyncIterable<Uint8Array>,
  file: string,
  signal: AbortSignal,
): Promise<void> {
  const handle = await open(file, 'wx');
  try {
    for await (const piece of source) {
      signal.throwIfAborted();
      if (!(piece instanceof Uint8Array)) {
        throw new KeelsonError('INVALID', 'A stream to import must give pieces of Uint8Array.');
      }
      await handle.writeFile(piece);
    }
  } finally {
    await handle.close();
  }
}

function tooMuch(where: string): KeelsonError {
  return new KeelsonError(
    'INVALID',
    `${where} holds more than its manifest says; it was not made by an export. Nothing of it was taken.`,
    { details: { archive: where } },
  );
}
