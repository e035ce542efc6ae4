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

/** Chunks that are digested at once, as many as there are threads for that: each one is copied for it. */
const besideEachOther = 4;

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
  readonly #spare: Buffer<ArrayBuffer>[];
  /** The chunk that is sealed next: the sealed form is what travels. */
  #plain: Buffer<ArrayBuffer> | undefined;
  #number = 0;
  #taken = 0;

  constructor(
    reader: ByteReader,
    options: {
      readonly partBytes: number;
      readonly key: SealingKey | undefined;
      readonly expected?: ChunkManifest;
      /** Parts of the same source that are over: their memory is taken over. */
      readonly after?: SourceParts;
    },
  ) {
    this.#reader = reader;
    this.#partBytes = options.partBytes;
    this.#key = options.key;
    this.#expected = options.expected;
    this.#spare = options.after === undefined ? [] : options.after.#spare.splice(0);
  }

  /** The next part; the first one also of an empty source. */
  async next(): Promise<SourcePart> {
    this.#number += 1;
    const wanted = partBytesOf(this.#number, this.#partBytes);
    const memory = this.#memory(wanted);
    const filled =
      this.#key === undefined
        ? this.#fill(memory.subarray(0, wanted))
        : this.#seal(this.#key, memory, wanted);
    const { length, body } = await filled;
    this.#taken += length;
    return {
      number: this.#number,
      body,
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

  #memory(bytes: number): Buffer<ArrayBuffer> {
    const spare = this.#spare.pop();
    const needed = this.#key === undefined ? bytes : sealedSize(bytes);
    return spare !== undefined && spare.length >= needed ? spare : Buffer.allocUnsafeSlow(needed);
  }

  async #fill(
    into: Buffer<ArrayBuffer>,
  ): Promise<{ readonly length: number; readonly body: Uint8Array }> {
    const length = await this.#reader.fill(into);
    const body = into.subarray(0, length);
    const chunks = chunksOf(body);
    for (let at = 0; at < chunks.length; at += besideEachOther) {
      const some = chunks.slice(at, at + besideEachOther);
      // In other threads, while this one digests the whole.
      const digesting = Promise.all(some.map(digestOf));
      if (this.#expected === undefined) for (const chunk of some) this.#whole.update(chunk);
      for (const digest of await digesting) this.#take(digest);
    }
    return { length, body };
  }

  /** Chunk by chunk, so that no whole part lies here in both forms. */
  async #seal(
    key: SealingKey,
    into: Buffer,
    wanted: number,
  ): Promise<{ readonly length: number; readonly body: Uint8Array }> {
    this.#plain ??= Buffer.allocUnsafeSlow(chunkBytes);
    let length = 0;
    let at = 0;
    while (length < wanted) {
      const chunk = this.#plain.subarray(0, await this.#reader.fill(this.#plain));
      if (chunk.length > 0) {
        // In another thread, while this one seals.
        const digesting = digestOf(chunk);
        if (this.#expected === undefined) this.#whole.update(chunk);
        const end = at + chunk.length + sealBytes;
        sealChunk(key, chunk, into.subarray(at, end));
        this.#take(await digesting);
        length += chunk.length;
        at = end;
      }
      if (chunk.length < chunkBytes) break;
    }
    return { length, body: into.subarray(0, at) };
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

async function digestOf(chunk: Uint8Array<ArrayBuffer>): Promise<Uint8Array> {
  return new Uint8Array(await crypto.subtle.digest('SHA-256', chunk));
}

function chunksOf(bytes: Uint8Array<ArrayBuffer>): readonly Uint8Array<ArrayBuffer>[] {
  return Array.from({ length: chunkCount(bytes.length) }, (_, index) =>
    bytes.subarray(index * chunkBytes, (index + 1) * chunkBytes),
  );
}

function changed(at: number): KeelsonError {
  return new KeelsonError(
    'FAILED',
    `The source changed while it was being stored (near byte ${at}); nothing was stored. Store a file that nobody writes to.`,
    { details: { at } },
  );
}
