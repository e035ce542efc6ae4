import { closeSync, readSync, writeSync } from 'node:fs';

/** Words that a replica and its pool read of each other at any time, whatever the other does. */
export interface ReplicaWords {
  load(word: number): number;
  store(word: number, value: number): void;
}

/** Word in which the replica puts the number of the request it runs now, or ran last. */
export const startedWord = 0;

/** Word up to which requests that have not started must be skipped; written by the pool. */
export const cancelledWord = 1;

/** Word with the memory (RSS) of a process, in KiB; written by it about twice a second. */
export const memoryWord = 2;

/** Bytes that the words take. */
export const wordsBytes = 12;

/** Words in memory that threads share. */
export class SharedWords implements ReplicaWords {
  readonly #words: Int32Array;

  constructor(buffer: SharedArrayBuffer) {
    this.#words = new Int32Array(buffer);
  }

  load(word: number): number {
    return Atomics.load(this.#words, word);
  }

  store(word: number, value: number): void {
    Atomics.store(this.#words, word, value);
  }
}

/**
 * Words in a file that processes share: the nearest to shared memory that Node has. Reading or writing one takes
 * about a microsecond, and what one has written the other reads.
 */
export class FileWords implements ReplicaWords {
  #file: number | undefined;
  readonly #word: Int32Array = new Int32Array(1);
  readonly #bytes: Uint8Array = new Uint8Array(this.#word.buffer);

  constructor(file: number) {
    this.#file = file;
  }

  load(word: number): number {
    this.#word[0] = 0;
    if (this.#file === undefined) return 0;
    readSync(this.#file, this.#bytes, 0, 4, word * 4);
    return this.#word[0];
  }

  store(word: number, value: number): void {
    if (this.#file === undefined) return;
    this.#word[0] = value;
    writeSync(this.#file, this.#bytes, 0, 4, word * 4);
  }

  /** Closes the file; words read as 0 from then on, and writing has no effect. */
  close(): void {
    if (this.#file !== undefined) closeSync(this.#file);
    this.#file = undefined;
  }
}

/** Notes the memory of this process. */
export function noteMemory(words: ReplicaWords): void {
  words.store(memoryWord, Math.ceil(process.memoryUsage.rss() / 1024));
}
