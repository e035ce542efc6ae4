import type { FileHandle } from 'node:fs/promises';
import { Readable } from 'node:stream';
import { createGzip } from 'node:zlib';
import { KeelsonError } from '../errors.ts';
import type { ArchiveMember } from './manifest.ts';
import { encodeTarHeader, tarBlockBytes, tarPadding } from './tar-header.ts';

/** A member with its bytes. */
export interface PackedMember extends ArchiveMember {
  open(signal: AbortSignal): AsyncIterable<Uint8Array> | Iterable<Uint8Array>;
}

/** Whom the bytes of members are told to, and what ends the work. */
interface Packing {
  readonly signal: AbortSignal;
  onBytes(bytes: number): void;
}

/** Writes a tar of the members, in their order. */
export async function tarInto(
  write: (bytes: Uint8Array) => Promise<void>,
  members: readonly PackedMember[],
  packing: Packing,
): Promise<void> {
  for await (const bytes of tarBytes(members, packing)) await write(bytes);
}

/** Writes the same tar compressed. */
export async function tarGzipInto(
  write: (bytes: Uint8Array) => Promise<void>,
  members: readonly PackedMember[],
  packing: Packing,
): Promise<void> {
  const input = Readable.from(copies(tarBytes(members, packing)));
  const gzip = createGzip();
  input.on('error', (error) => gzip.destroy(error));
  try {
    for await (const bytes of input.pipe(gzip) as AsyncIterable<Uint8Array>) await write(bytes);
  } finally {
    input.destroy();
    gzip.destroy();
  }
}

/** A stream reads ahead; what a member gives is its own again once the next piece is asked for. */
async function* copies(
  pieces: AsyncIterable<Uint8Array>,
): AsyncGenerator<Uint8Array, void, undefined> {
  for await (const piece of pieces) yield Uint8Array.from(piece);
}

async function* tarBytes(
  members: readonly PackedMember[],
  { signal, onBytes }: Packing,
): AsyncGenerator<Uint8Array, void, undefined> {
  for (const member of members) {
    const { path, sizeBytes } = member;
    yield encodeTarHeader({ name: path, sizeBytes });
    let taken = 0;
    for await (const piece of member.open(signal)) {
      signal.throwIfAborted();
      taken += piece.length;
      if (taken > sizeBytes) break;
      yield piece;
      onBytes(piece.length);
    }
    if (taken !== sizeBytes) {
      throw new KeelsonError(
        'CORRUPT',
        `${path} has another size than its record says (${sizeBytes} bytes).`,
        { details: { member: path } },
      );
    }
    const padding = tarPadding(sizeBytes);
    if (padding > 0) yield new Uint8Array(padding);
  }
  yield new Uint8Array(2 * tarBlockBytes);
}

/** Writes all of the bytes, however many the system takes at once. */
export async function writeAll(handle: FileHandle, bytes: Uint8Array): Promise<void> {
  for (let at = 0; at < bytes.length; ) {
    at += (await handle.write(bytes, at, bytes.length - at)).bytesWritten;
  }
}
