import type { ModelFiles } from '../../contracts/model-format.ts';
import { damaged, refused } from './model-fault.ts';

const firstPage = 4096;
const maxPage = 1 << 20;
/** What one call may hold in memory. */
const maxPiece = 32 << 20;
/** What may be read of one file in all: seconds of work, and far more than a model's description is. */
const maxRead = 1 << 30;

/**
 * A part of one file, read in pages as it is asked for: small ones after a jump, larger ones where reading goes
 * on. Whoever asks for bytes past its end is told that the file is damaged.
 */
export class FileWindow {
  readonly path: string;
  readonly sizeBytes: number;
  readonly #files: ModelFiles;
  #page: Uint8Array = new Uint8Array(0);
  #pageStart = -1;
  #pageBytes = firstPage;
  #read = 0;

  constructor(files: ModelFiles, path: string) {
    this.#files = files;
    this.path = path;
    const found = files.files.find((file) => file.path === path);
    if (found === undefined) throw refused(path, 'is not among the files of the model');
    this.sizeBytes = found.sizeBytes;
  }

  /** The bytes from `start` to `end`; CORRUPT past the end of the file. */
  async bytes(start: number, end: number): Promise<Uint8Array> {
    if (end > this.sizeBytes)
      throw damaged(
        this.path,
        `is cut off: it ends at ${this.sizeBytes}, within what should reach to ${end}`,
      );
    const from = start - this.#pageStart;
    if (from >= 0 && end - this.#pageStart <= this.#page.length)
      return this.#page.subarray(from, end - this.#pageStart);
    await this.#load(start, end);
    return this.#page.subarray(0, end - start);
  }

  /** Up to `count` bytes from `start`: fewer only at the end of the file. */
  upTo(start: number, count: number): Promise<Uint8Array> {
    return this.bytes(start, Math.max(start, Math.min(start + count, this.sizeBytes)));
  }

  async #load(start: number, end: number): Promise<void> {
    if (end - start > maxPiece)
      throw refused(
        this.path,
        `has ${end - start} bytes in one piece; at most ${maxPiece} are read`,
      );
    const goesOn = start >= this.#pageStart && start <= this.#pageStart + this.#page.length;
    this.#pageBytes = goesOn ? Math.min(this.#pageBytes * 4, maxPage) : firstPage;
    const stop = Math.min(this.sizeBytes, Math.max(end, start + this.#pageBytes));
    this.#read += stop - start;
    if (this.#read > maxRead)
      throw refused(
        this.path,
        `describes its model in more than ${maxRead} bytes, which are not read`,
      );
    this.#page = await this.#files.read(this.path, { start, end: stop });
    this.#pageStart = start;
  }
}
