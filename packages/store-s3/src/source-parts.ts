import { createHash } from 'node:crypto';
import { KeelsonError } from '@keelson/core';
import { type ByteReader, type ChunkManifest, chunkBytes, chunkCount } from '@keelson/core/content';
import { type SealingKey, sealBytes, sealChunk, sealedSize } from './sealed-chunk.ts';

/** Some chunks of a content on their way: as the service is to have them. */
export interface SourcePart {
  /** 1, 2, 3 … */
  readonly number: number;
  readonly body: Uint8Array;
  /** Bytes of the content up to the end of this part. */
  readonly takenBytes: number;
  /** Whether the source is at its end. */
  readonly last: boolean;
  /** Gives the memory back, for the next part. */
  done(): void;
}

/** Parts grow, so that 10,000 of them hold a content of any size: twice as large each 2,500 parts. */
function partBytesOf(number: number, partBytes: number): number {
  return partBytes * 2 ** Math.floor((number - 1) / 2_500);
}

/**
 * Cuts what a reader gives into parts, and digests it on the way. With `expected`, each chunk is held
 * to its digest: a file that changes while it is being stored does not become another content.
 */
export class SourceParts {
  readonly #reader: ByteReader;
  readonly #partBytes: number;
  readonly #key: SealingKey | undefined;
  readonly #expected: ChunkManifest | undefined;
  readonly #whole = createHash('sha256');
  readonly #digests: Uint8Array[] = [];
  /** Memory of parts that have arrived. */
  readonly #spare: Buffer[] = [];
  /** What is sealed next: one part's, since its sealed form is what travels. */
  #plain: Buffer | undefined;
  #number = 0;
  #taken = 0;

  constructor(
    reader: ByteReader,
    options: {
      readonly partBytes: number;
      readonly key: SealingKey | undefined;
      readonly expected?: ChunkManifest;
    },
  ) {
    this.#reader = reader;
    this.#partBytes = options.partBytes;
    this.#key = options.key;
    this.#expected = options.expected;
  }

  /** The next part; the first one also of an empty source. */
  async next(): Promise<SourcePart> {
    this.#number += 1;
    const wanted = partBytesOf(this.#number, this.#partBytes);
    const memory = this.#memory(wanted);
    const plain = this.#key === undefined ? memory : this.#plainMemory(wanted);
    const length = await this.#reader.fill(plain.subarray(0, wanted));
    const bytes = plain.subarray(0, length);
    await this.#digest(bytes);
    this.#taken += length;
    return {
      number: this.#number,
      body: this.#key === undefined ? bytes : seal(this.#key, bytes, memory),
      takenBytes: this.#taken,
      last: length < wanted,
      done: () => {
        this.#spare.push(memory);
      },
    };
  }

  /** The digests of all that was given; to be asked once, at the end. */
  manifest(): ChunkManifest {
    if (this.#expected !== undefined) {
      if (this.#taken !== this.#expected.sizeBytes) throw changed(this.#taken);
      return this.#expected;
    }
    return {
      sha256: this.#whole.digest('hex'),
      sizeBytes: this.#taken,
      digests: Buffer.concat(this.#digests),
    };
  }

  #memory(bytes: number): Buffer {
    const spare = this.#spare.pop();
    const needed = this.#key === undefined ? bytes : sealedSize(bytes);
    return spare !== undefined && spare.length >= needed ? spare : Buffer.allocUnsafeSlow(needed);
  }

  #plainMemory(bytes: number): Buffer {
    if (this.#plain === undefined || this.#plain.length < bytes) {
      this.#plain = Buffer.allocUnsafeSlow(bytes);
    }
    return this.#plain;
  }

  async #digest(bytes: Uint8Array): Promise<void> {
    // Beside each other in other threads, while this one digests the whole.
    const digesting = Promise.all(
      chunksOf(bytes).map(async (chunk) => await crypto.subtle.digest('SHA-256', chunk)),
    );
    if (this.#expected === undefined) this.#whole.update(bytes);
    for (const digest of await digesting) this.#take(new Uint8Array(digest));
  }

  #take(digest: Uint8Array): void {
    const expected = this.#expected;
    if (expected === undefined) {
      this.#digests.push(digest);
      return;
    }
    const index = this.#digests.length;
    this.#digests.push(digest);
    const was = expected.digests.subarray(index * 32, (index + 1) * 32);
    if (Buffer.compare(digest, was) === 0) return;
    throw changed(index * chunkBytes);
  }
}

function seal(key: SealingKey, bytes: Uint8Array, into: Uint8Array): Uint8Array {
  let at = 0;
  for (const chunk of chunksOf(bytes)) {
    const end = at + chunk.length + sealBytes;
    sealChunk(key, chunk, into.subarray(at, end));
    at = end;
  }
  return into.subarray(0, at);
}

function chunksOf(bytes: Uint8Array): readonly Uint8Array<ArrayBuffer>[] {
  return Array.from({ length: chunkCount(bytes.length) }, (_, index) =>
    (bytes as Uint8Array<ArrayBuffer>).subarray(index * chunkBytes, (index + 1) * chunkBytes),
  );
}

function changed(at: number): KeelsonError {
  return new KeelsonError(
    'FAILED',
    `The source changed while it was being stored (near byte ${at}); nothing was stored. Store a file that nobody writes to.`,
    { details: { at } },
  );
}
