import { type FileHandle, mkdtemp, open, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fromFileError } from '../content/file-fault.ts';
import { writeAll } from './tar-writer.ts';

/** How much is read back at once, where pieces lie side by side. */
const readBytes = 1024 * 1024;

interface Place<T> {
  readonly order: number | string;
  readonly note: T;
  readonly start: number;
  readonly length: number;
}

/**
 * Lines that are written in any order, may be written again under their keys, and are read back in the order
 * that they were given: a temporary file, and for each key its place and a note.
 */
export class LineSpool<T> implements AsyncDisposable {
  readonly #directory: string;
  readonly #handle: FileHandle;
  readonly #places = new Map<string, Place<T>>();
  #end = 0;

  private constructor(directory: string, handle: FileHandle) {
    this.#directory = directory;
    this.#handle = handle;
  }

  static async open<T>(): Promise<LineSpool<T>> {
    const directory = await mkdtemp(join(tmpdir(), 'keelson-export-'));
    return new LineSpool(directory, await open(join(directory, 'lines'), 'wx+'));
  }

  /** Puts lines under a key, in place of those that are there. */
  async put(key: string, order: number | string, lines: string, note: T): Promise<void> {
    const bytes = Buffer.from(lines);
    const start = this.#end;
    this.#end += bytes.length;
    this.#places.set(key, { order, note, start, length: bytes.length });
    try {
      await writeAll(this.#handle, bytes);
    } catch (error) {
      throw fromFileError(error, 'writing an export', this.#directory);
    }
  }

  /** The lines under a key; undefined when there are none. */
  async get(key: string): Promise<string | undefined> {
    const place = this.#places.get(key);
    if (place === undefined) return undefined;
    return Buffer.from(await this.#bytes(place.start, place.length)).toString('utf8');
  }

  /** Forgets what is under a key. */
  drop(key: string): void {
    this.#places.delete(key);
  }

  /** The notes of all keys, in order. */
  notes(): readonly T[] {
    return this.#inOrder().map(({ note }) => note);
  }

  /** The lines of all keys, in order. */
  async *read(): AsyncGenerator<Uint8Array, void, undefined> {
    let start = 0;
    let length = 0;
    for (const place of this.#inOrder()) {
      if (length > 0 && (place.start !== start + length || length + place.length > readBytes)) {
        yield await this.#bytes(start, length);
        length = 0;
      }
      if (length === 0) start = place.start;
      length += place.length;
    }
    if (length > 0) yield await this.#bytes(start, length);
  }

  #inOrder(): readonly Place<T>[] {
    return [...this.#places.values()].sort((a, b) => (a.order < b.order ? -1 : 1));
  }

  async #bytes(start: number, length: number): Promise<Uint8Array> {
    const bytes = Buffer.alloc(length);
    for (let taken = 0; taken < length; ) {
      const { bytesRead } = await this.#handle.read(bytes, taken, length - taken, start + taken);
      taken += bytesRead;
    }
    return bytes;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#handle.close();
    await rm(this.#directory, { recursive: true, force: true });
  }
}
