import { createHash, type Hash } from 'node:crypto';
import { mkdir, open, rm, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { openByteReader } from '../content/byte-reader.ts';
import type { ByteSource } from '../contracts/artifact-store.ts';
import { KeelsonError } from '../errors.ts';
import { asKeelsonError } from '../tracking/local-files.ts';
import { uploadName } from '../upload-name.ts';

const pieceBytes = 256 * 1024;
const never = new AbortController().signal;

/** Bytes that can be sent again: what was sent may not have arrived. */
export interface Replayable extends AsyncDisposable {
  readonly sizeBytes: number;
  /** All of them, from the start. Their digest is told at the end. */
  read(signal?: AbortSignal): AsyncGenerator<Uint8Array, void, undefined>;
  /** Of what was read last, as a whole. */
  sha256(): string;
}

/**
 * Makes bytes replayable. A stream, which flows once, is first written to a file in `directory`, which goes with the
 * answer; the caller's files are read where they are. INVALID for what is no source of bytes, NOT_FOUND for a missing
 * file, FAILED, with the cause, for a source that fails, ABORTED by the signal.
 */
export async function replayable(
  source: ByteSource,
  directory: string,
  signal: AbortSignal = never,
): Promise<Replayable> {
  if (source instanceof Uint8Array || source instanceof Blob || isLocal(source)) {
    const reader = await openByteReader(source, signal);
    await reader.close();
    const sizeBytes = reader.sizeBytes ?? (await stat((source as { path: string }).path)).size;
    return replay(source, sizeBytes, async () => undefined);
  }
  const path = join(directory, uploadName());
  const done = (): Promise<void> => rm(path, { force: true });
  try {
    const sizeBytes = await keep(source, directory, path, signal);
    return replay({ path }, sizeBytes, done);
  } catch (error) {
    await done();
    throw error;
  }
}

function isLocal(source: ByteSource): boolean {
  if (typeof source !== 'object' || source === null || Symbol.asyncIterator in source) return false;
  return 'path' in source && typeof source.path === 'string';
}

function replay(source: ByteSource, sizeBytes: number, end: () => Promise<void>): Replayable {
  let hash: Hash | undefined;
  let digest: string | undefined;
  return {
    sizeBytes,
    async *read(signal = never) {
      const current = createHash('sha256');
      hash = current;
      digest = undefined;
      for await (const piece of piecesOf(source, signal)) {
        current.update(piece);
        yield piece;
      }
    },
    sha256() {
      digest ??= hash?.digest('hex') ?? '';
      return digest;
    },
    [Symbol.asyncDispose]: end,
  };
}

async function* piecesOf(
  source: ByteSource,
  signal: AbortSignal,
): AsyncGenerator<Uint8Array, void, undefined> {
  const reader = await openByteReader(source, signal);
  try {
    for (;;) {
      assertGoingOn(signal);
      // A piece of its own each time: what was handed on may still be on its way.
      const piece = new Uint8Array(Math.min(pieceBytes, (reader.sizeBytes ?? pieceBytes) || 1));
      const count = await reader.fill(piece);
      if (count > 0) yield piece.subarray(0, count);
      if (count < piece.length) return;
    }
  } finally {
    await reader.close();
  }
}

async function keep(
  source: ByteSource,
  directory: string,
  path: string,
  signal: AbortSignal,
): Promise<number> {
  let bytes = 0;
  const pieces = piecesOf(source, signal);
  try {
    const first = await pieces.next();
    await mkdir(directory, { recursive: true });
    const file = await open(path, 'wx');
    try {
      for (let next = first; next.done !== true; next = await pieces.next()) {
        await file.writeFile(next.value);
        bytes += next.value.length;
      }
    } finally {
      await file.close();
    }
    return bytes;
  } catch (error) {
    assertGoingOn(signal);
    throw asKeelsonError(error, `${path}, where a stream waits to be sent, cannot be written`);
  } finally {
    await pieces.return();
  }
}

function assertGoingOn(signal: AbortSignal): void {
  if (!signal.aborted) return;
  throw new KeelsonError('ABORTED', 'The upload was aborted by its caller.', {
    cause: signal.reason,
  });
}
