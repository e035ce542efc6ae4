import { constants } from 'node:fs';
import { type FileHandle, open } from 'node:fs/promises';
import type { ByteSource } from '../contracts/artifact-store.ts';
import { isKeelsonError, KeelsonError } from '../errors.ts';
import { fromFileError, isMissing } from './file-fault.ts';
import { orAborted } from './or-aborted.ts';

/** Reads a {@link ByteSource} in pieces of the reader's choice. */
export interface ByteReader {
  /** How many bytes there are, where that is known before. */
  readonly sizeBytes: number | undefined;
  /** Fills `into`; fewer bytes than it holds mean that the source is at its end. */
  fill(into: Uint8Array): Promise<number>;
  /** Gives back what the source holds; a source that is not at its end is told to stop. */
  close(): Promise<void>;
}

/**
 * A reader of `source`. INVALID for what is no source of bytes, NOT_FOUND for a path that is not there,
 * FAILED, with the cause, when the source fails midway (a KeelsonError of its own passes through);
 * the reason of `signal` once that is aborted, also while the source keeps us waiting.
 */
export async function openByteReader(source: ByteSource, signal: AbortSignal): Promise<ByteReader> {
  if (source instanceof Uint8Array) return readBytes(source);
  if (source instanceof Blob) return readBlob(source);
  if (typeof source === 'object' && source !== null) {
    if (Symbol.asyncIterator in source) return readIterable(source, signal);
    if ('path' in source && typeof source.path === 'string') return await readFile(source.path);
  }
  throw new KeelsonError(
    'INVALID',
    `Bytes come as a Uint8Array, a Blob, a ReadableStream, an async iterable of Uint8Array or { path }, not as ${describe(source)}${typeof source === 'string' ? '; of a text, give new TextEncoder().encode(text)' : ''}.`,
  );
}

function readBytes(bytes: Uint8Array): ByteReader {
  let at = 0;
  return {
    sizeBytes: bytes.length,
    fill: (into) => {
      const part = bytes.subarray(at, at + into.length);
      into.set(part);
      at += part.length;
      return Promise.resolve(part.length);
    },
    close: () => Promise.resolve(),
  };
}

function readBlob(blob: Blob): ByteReader {
  let at = 0;
  return {
    sizeBytes: blob.size,
    async fill(into) {
      try {
        const part = await blob.slice(at, at + into.length).arrayBuffer();
        into.set(new Uint8Array(part));
        at += part.byteLength;
        return part.byteLength;
      } catch (error) {
        throw sourceFailed(error, at);
      }
    },
    close: () => Promise.resolve(),
  };
}

// A pipe that nobody writes to would keep the opening waiting for ever; files do not mind.
const flags = constants.O_RDONLY | (constants.O_NONBLOCK ?? 0);

async function readFile(path: string): Promise<ByteReader> {
  let handle: FileHandle;
  try {
    handle = await open(path, flags);
  } catch (error) {
    if (!isMissing(error)) throw fromFileError(error, 'reading a file to store', path);
    throw new KeelsonError('NOT_FOUND', `There is no file ${path} to store.`, {
      cause: error,
      details: { path },
    });
  }
  const stats = await handle.stat();
  if (!stats.isFile()) {
    await handle.close();
    throw new KeelsonError('INVALID', `${path} is not a file; store the files in it one by one.`, {
      details: { path },
    });
  }
  return {
    sizeBytes: stats.size,
    async fill(into) {
      let filled = 0;
      try {
        while (filled < into.length) {
          const { bytesRead } = await handle.read(into, filled, into.length - filled, null);
          if (bytesRead === 0) break;
          filled += bytesRead;
        }
      } catch (error) {
        throw fromFileError(error, 'reading a file to store', path);
      }
      return filled;
    },
    close: () => handle.close(),
  };
}

function readIterable(source: AsyncIterable<Uint8Array>, signal: AbortSignal): ByteReader {
  const iterator = source[Symbol.asyncIterator]();
  let rest: Uint8Array = new Uint8Array(0);
  let taken = 0;
  let ended = false;

  async function next(): Promise<void> {
    try {
      const step = await orAborted(iterator.next(), signal);
      if (step.done === true) {
        ended = true;
        return;
      }
      rest = assertBytes(step.value);
      taken += rest.length;
    } catch (error) {
      // A source that has thrown is over; only one that keeps us waiting has to be told to stop.
      ended = !signal.aborted && !isKeelsonError(error, 'INVALID');
      throw signal.aborted ? signal.reason : sourceFailed(error, taken);
    }
  }

  return {
    sizeBytes: undefined,
    async fill(into) {
      let filled = 0;
      while (filled < into.length) {
        if (rest.length === 0) {
          if (ended) break;
          await next();
          continue;
        }
        const part = rest.subarray(0, into.length - filled);
        into.set(part, filled);
        filled += part.length;
        rest = rest.subarray(part.length);
      }
      return filled;
    },
    close() {
      if (ended) return Promise.resolve();
      ended = true;
      // Not waited for: a generator that is stuck in an await answers only when that is over. What it
      // throws on its way out is no longer about the bytes.
      void Promise.resolve(iterator.return?.()).catch(() => undefined);
      return Promise.resolve();
    },
  };
}

function assertBytes(piece: unknown): Uint8Array {
  if (piece instanceof Uint8Array) return piece;
  throw new KeelsonError(
    'INVALID',
    `The stream to store gave ${describe(piece)}; each piece must be a Uint8Array.`,
  );
}

function sourceFailed(error: unknown, taken: number): unknown {
  if (isKeelsonError(error)) return error;
  const said = error instanceof Error ? error.message : String(error);
  return new KeelsonError(
    'FAILED',
    `The source of the bytes failed after ${taken} bytes: ${said}. Nothing was stored.`,
    { cause: error, details: { takenBytes: taken } },
  );
}

function describe(value: unknown): string {
  if (value === null) return 'null';
  if (typeof value === 'object') return `an object (${value.constructor?.name ?? 'no class'})`;
  return value === undefined ? 'undefined' : `a ${typeof value}`;
}
