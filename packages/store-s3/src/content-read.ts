import { createHash } from 'node:crypto';
import { type ByteRange, KeelsonError } from '@keelson/core';
import {
  type ChunkManifest,
  chunkBytes,
  chunkCount,
  chunkDigest,
  decodeManifest,
} from '@keelson/core/content';
import { type ObjectBody, openBody } from './object-body.ts';
import { putMarker } from './removal.ts';
import { fromS3Error, isPassing } from './s3-fault.ts';
import { contentKey, type ObjectRole } from './s3-keys.ts';
import type { S3Medium } from './s3-medium.ts';
import {
  plainSize,
  type SealingKey,
  sealBytes,
  sealedChunkBytes,
  unsealChunk,
} from './sealed-chunk.ts';

/** A content that is being read. */
export interface ReadContent {
  readonly medium: S3Medium;
  readonly space: string;
  readonly sha256: string;
  readonly role: 'plain' | 'sealed';
  readonly sizeBytes: number;
  readonly manifest: ChunkManifest;
  readonly sealedWith: SealingKey | undefined;
  /** What answers already, from `start` on. */
  readonly body: ObjectBody;
  /** Memory of chunks that are no longer needed, to be used again: a long read leaves no garbage. */
  readonly spare: Buffer<ArrayBuffer>[];
}

const doing = 'reading an artifact';
const emptyDigest = createHash('sha256').digest('hex');

/**
 * Opens a content at the chunk of `start`. Undefined when there is none, `'out of range'` when it ends
 * before `start`; CORRUPT when it cannot be what its digest says.
 */
export async function openContent(
  medium: S3Medium,
  space: string,
  sha256: string,
  range: ByteRange,
  signal: AbortSignal,
): Promise<ReadContent | 'out of range' | undefined> {
  for (const role of await formsOf(medium)) {
    const body = await openBody(
      medium.requests,
      contentKey(space, sha256, role),
      objectRange(role, range),
      signal,
    );
    if (body === undefined) continue;
    if (body === 'out of range') return body;
    try {
      return await describe({ medium, space, sha256, role, body }, signal);
    } catch (error) {
      body.close();
      throw error;
    }
  }
  return undefined;
}

/** The form that is written now is looked for first. */
async function formsOf(medium: S3Medium): Promise<readonly ('plain' | 'sealed')[]> {
  const sealing = (await medium.sealingKey()) !== undefined;
  return sealing ? ['sealed', 'plain'] : ['plain', 'sealed'];
}

/** The bytes of the object that hold the chunks of a range. */
function objectRange(
  role: ObjectRole,
  { start = 0, end }: ByteRange,
): { readonly start: number; readonly end?: number } {
  const stored = role === 'sealed' ? sealedChunkBytes : chunkBytes;
  const first = Math.floor(start / chunkBytes) * stored;
  return end === undefined
    ? { start: first }
    : { start: first, end: Math.max(chunkCount(end) * stored, first + 1) };
}

async function describe(
  found: Pick<ReadContent, 'medium' | 'space' | 'sha256' | 'role' | 'body'>,
  signal: AbortSignal,
): Promise<ReadContent> {
  const { medium, sha256, role, body } = found;
  const sizeBytes = role === 'sealed' ? plainSize(body.sizeBytes) : body.sizeBytes;
  const keyId = body.metadata['keelson-key'];
  const sealedWith = role === 'sealed' ? await medium.openingKey(keyId ?? '') : undefined;
  if (sizeBytes === 0 && sha256 !== emptyDigest) throw await damaged(found, 0, 0);
  const manifest = await manifestOf(found, sizeBytes, sealedWith, signal);
  return { ...found, sizeBytes, sealedWith, manifest, spare: [] };
}

async function manifestOf(
  found: Pick<ReadContent, 'medium' | 'space' | 'sha256' | 'role' | 'body'>,
  sizeBytes: number,
  sealedWith: SealingKey | undefined,
  signal: AbortSignal,
): Promise<ChunkManifest> {
  const { medium, space, sha256 } = found;
  if (sizeBytes <= chunkBytes) {
    return { sha256, sizeBytes, digests: Buffer.from(sha256, 'hex') };
  }
  const kept = await readManifest(medium, contentKey(space, sha256, 'chunks'), sha256, signal);
  if (kept === undefined) return await makeManifest({ ...found, sizeBytes, sealedWith }, signal);
  if (kept.sizeBytes === sizeBytes) return kept;
  throw await damaged(found, Math.min(kept.sizeBytes, sizeBytes), kept.sizeBytes);
}

async function readManifest(
  medium: S3Medium,
  key: string,
  sha256: string,
  signal: AbortSignal,
): Promise<ChunkManifest | undefined> {
  return await medium.requests.retry(
    async () => {
      const body = await openBody(medium.requests, key, { start: 0 }, signal);
      if (body === undefined || body === 'out of range') return undefined;
      try {
        const bytes = new Uint8Array(body.sizeBytes);
        const length = await body.fill(bytes);
        if (length < bytes.length) throw cut(length, bytes.length);
        return decodeManifest(bytes, sha256);
      } finally {
        body.close();
      }
    },
    { doing, key, signal },
  );
}

/** Digests a content whose manifest is lost; the next put of it writes a new one. */
async function makeManifest(
  found: Omit<ReadContent, 'manifest' | 'spare'>,
  signal: AbortSignal,
): Promise<ChunkManifest> {
  const { sha256, sizeBytes } = found;
  const digests = Buffer.alloc(chunkCount(sizeBytes) * 32);
  const manifest = { sha256, sizeBytes, digests };
  const content = { ...found, manifest, spare: [] };
  const whole = createHash('sha256');
  const chunks = new ChunkReader(content, sizeBytes, signal);
  try {
    for (let index = 0; index < chunkCount(sizeBytes); index += 1) {
      const chunk = await chunks.read(index);
      if (chunk === undefined) throw await damaged(found, index * chunkBytes, sizeBytes);
      whole.update(chunk);
      digests.set(new Uint8Array(await crypto.subtle.digest('SHA-256', chunk)), index * 32);
      giveBack(content, chunk);
    }
  } finally {
    chunks.close();
  }
  if (whole.digest('hex') !== sha256) throw await damaged(found, 0, sizeBytes);
  return manifest;
}

/**
 * The bytes from `start` to `end` (excluded), a chunk at a time, each verified before it is handed over;
 * when that is all of them, the last one only after the digest of the whole was right too. Each piece is the
 * consumer's; one that gives it back with {@link giveBack} spares a new one for the next chunk.
 */
export async function* readVerified(
  content: ReadContent,
  start: number,
  end: number,
  signal: AbortSignal,
): AsyncGenerator<Uint8Array<ArrayBuffer>, void, undefined> {
  const { sizeBytes, manifest, sha256 } = content;
  const chunks = new ChunkReader(content, end, signal);
  const whole = start === 0 && end === sizeBytes ? createHash('sha256') : undefined;
  const last = chunkCount(end) - 1;
  try {
    if (start === end) return;
    for (let index = Math.floor(start / chunkBytes); index <= last; index += 1) {
      signal.throwIfAborted();
      const chunk = await chunks.read(index);
      if (chunk === undefined || !(await isRight(chunk, manifest, index))) {
        throw await damaged(content, index * chunkBytes, (index + 1) * chunkBytes);
      }
      whole?.update(chunk);
      if (index === last && whole !== undefined && whole.digest('hex') !== sha256) {
        throw await damaged(content, 0, sizeBytes);
      }
      const base = index * chunkBytes;
      yield chunk.subarray(Math.max(start - base, 0), Math.min(end - base, chunk.length));
    }
  } finally {
    chunks.close();
  }
}

/** Gives a piece of {@link readVerified} back, which must not be used any more. */
export function giveBack(content: ReadContent, piece: Uint8Array<ArrayBuffer>): void {
  if (piece.buffer.byteLength === chunkBytes) content.spare.push(Buffer.from(piece.buffer));
}

async function isRight(
  chunk: Uint8Array<ArrayBuffer>,
  manifest: ChunkManifest,
  index: number,
): Promise<boolean> {
  const digest = new Uint8Array(await crypto.subtle.digest('SHA-256', chunk));
  return Buffer.compare(digest, chunkDigest(manifest, index)) === 0;
}

/** Reads chunks in order; a connection that breaks is opened again where it was. */
class ChunkReader {
  readonly #content: ReadContent;
  readonly #end: number;
  readonly #signal: AbortSignal;
  #body: ObjectBody | undefined;
  #sealed: Buffer | undefined;

  constructor(content: ReadContent, end: number, signal: AbortSignal) {
    this.#content = content;
    this.#end = end;
    this.#signal = signal;
    this.#body = content.body;
  }

  /** A chunk as it is in the content; undefined when it cannot be unsealed, or is cut short. */
  async read(index: number): Promise<Uint8Array<ArrayBuffer> | undefined> {
    const { sizeBytes, sealedWith, spare } = this.#content;
    const length = Math.min(chunkBytes, sizeBytes - index * chunkBytes);
    const memory = spare.pop() ?? Buffer.allocUnsafeSlow(Math.min(chunkBytes, sizeBytes));
    const chunk = memory.subarray(0, length);
    if (sealedWith === undefined) return (await this.#fill(index, chunk)) ? chunk : undefined;
    this.#sealed ??= Buffer.allocUnsafeSlow(memory.length + sealBytes);
    const sealed = this.#sealed.subarray(0, length + sealBytes);
    if (!(await this.#fill(index, sealed))) return undefined;
    return unsealChunk(sealedWith, sealed, chunk) ? chunk : undefined;
  }

  close(): void {
    this.#body?.close();
  }

  async #fill(index: number, into: Uint8Array): Promise<boolean> {
    const { medium, space, sha256, role } = this.#content;
    const key = contentKey(space, sha256, role);
    let shrunk = false;
    await medium.requests.retry(
      async () => {
        const body = this.#body ?? (await this.#reopen(index, key));
        if (body === undefined) {
          shrunk = true;
          return;
        }
        this.#body = body;
        try {
          const length = await body.fill(into);
          if (length < into.length) throw cut(length, into.length);
        } catch (error) {
          body.close();
          this.#body = undefined;
          throw error;
        }
      },
      { doing, key, signal: this.#signal },
    );
    return !shrunk;
  }

  async #reopen(index: number, key: string): Promise<ObjectBody | undefined> {
    const { medium, role } = this.#content;
    const range = objectRange(role, { start: index * chunkBytes, end: this.#end });
    const body = await openBody(medium.requests, key, range, this.#signal);
    return body === 'out of range' ? undefined : body;
  }
}

function cut(length: number, wanted: number): Error {
  return Object.assign(new Error(`the answer ended after ${length} of ${wanted} bytes`), {
    name: 'IncompleteBody',
  });
}

/** The fault of a damaged content; keeps beside it that it was found, so that the next put mends it. */
async function damaged(
  content: Pick<ReadContent, 'medium' | 'space' | 'sha256' | 'role'>,
  start: number,
  end: number,
): Promise<KeelsonError> {
  const { medium, space, sha256, role } = content;
  const place = medium.requests.place(contentKey(space, sha256, role));
  let noted = true;
  try {
    const signal = AbortSignal.timeout(medium.requests.idleTimeoutMs);
    await putMarker(medium, contentKey(space, sha256, 'damaged'), signal);
  } catch {
    // What the reader must hear is that the content is damaged.
    noted = false;
  }
  const remedy = noted
    ? 'Store the same bytes again, which mends it'
    : 'Remove it and store the same bytes again';
  return new KeelsonError(
    'CORRUPT',
    `Content ${sha256} is damaged between byte ${start} and ${end} (${place}). ${remedy}, or put the object back from a backup.`,
    { details: { place, sha256, start, end } },
  );
}

/** What a reader is told of a fault. */
export function readFault(error: unknown, place: string): unknown {
  return error instanceof KeelsonError || !isPassing(error)
    ? error
    : fromS3Error(error, doing, place);
}
