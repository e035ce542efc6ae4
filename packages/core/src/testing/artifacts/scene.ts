import { createHash } from 'node:crypto';
import type { ArtifactSpace, ArtifactStore, ContentInfo } from '../../contracts/artifact-store.ts';
import { equal, rejects } from '../assertions.ts';
import type { Case } from '../suite.ts';

/** What a case of the suite of ArtifactStore needs: an empty medium. */
export interface ArtifactStoreHarness extends AsyncDisposable {
  readonly store: ArtifactStore;
  /** Another handle on the same medium, as another process has one; closed with the harness. */
  reopen(): Promise<ArtifactStore>;
  /** Flips bits of the byte at that offset of a stored content, behind the store's back. */
  damage(workspace: string, sha256: string, offset: number): Promise<void>;
  /** How coarse the medium's times are, in ms; 1 when left out. */
  readonly clockStepMs?: number;
}

/** What a case is given. */
export interface ArtifactScene extends ArtifactStoreHarness {
  readonly space: ArtifactSpace;
}

/** The size of a chunk, as the contract names it. */
export const mebibyte: number = 1024 * 1024;

/** A case with a space of its own. */
export function promised(
  name: string,
  promise: string,
  run: (scene: ArtifactScene) => Promise<void>,
): Case<ArtifactStoreHarness> {
  return {
    name,
    promise,
    run: (harness) =>
      run({
        store: harness.store,
        space: harness.store.space('home'),
        reopen: () => harness.reopen(),
        damage: (workspace, sha256, offset) => harness.damage(workspace, sha256, offset),
        ...(harness.clockStepMs === undefined ? {} : { clockStepMs: harness.clockStepMs }),
        [Symbol.asyncDispose]: () => harness[Symbol.asyncDispose](),
      }),
  };
}

/** Bytes that look random (xorshift32) and are the same for the same size and seed. */
export function bytesOf(sizeBytes: number, seed = 1): Uint8Array<ArrayBuffer> {
  const words = new Uint32Array(Math.ceil(sizeBytes / 4));
  let x = Math.imul(seed, 0x9e3779b1) || 1;
  for (let i = 0; i < words.length; i += 1) {
    x ^= x << 13;
    x ^= x >>> 17;
    x ^= x << 5;
    words[i] = x;
  }
  return new Uint8Array(words.buffer, 0, sizeBytes);
}

/** Lower-case hex SHA-256. */
export function sha256Of(bytes: Uint8Array): string {
  return createHash('sha256').update(bytes).digest('hex');
}

/** Bytes in pieces of that size. */
export async function* inPieces(bytes: Uint8Array, pieceBytes: number): AsyncGenerator<Uint8Array> {
  for (let at = 0; at < bytes.length; at += pieceBytes) {
    yield bytes.subarray(at, at + pieceBytes);
  }
}

/** All bytes of a stream. */
export async function readAll(stream: ReadableStream<Uint8Array>): Promise<Uint8Array> {
  const { received, error } = await readUntilError(stream);
  if (error !== undefined) throw error;
  return received;
}

/** What a stream gives, and how it fails, if it does. */
export async function readUntilError(
  stream: ReadableStream<Uint8Array>,
): Promise<{ readonly received: Uint8Array; readonly error: unknown }> {
  const parts: Uint8Array[] = [];
  let error: unknown;
  try {
    for await (const part of stream) parts.push(part);
  } catch (cause) {
    error = cause;
  }
  return { received: new Uint8Array(Buffer.concat(parts)), error };
}

/** All of a list. */
export async function listAll(
  space: ArtifactSpace,
  options: { readonly after?: string; readonly prefix?: string } = {},
): Promise<readonly (ContentInfo & { readonly storedAt: number })[]> {
  return await Array.fromAsync(space.list(options));
}

/** Holds when no method sees anything of the digests, nor anything else in the space. */
export async function assertNothingThere(
  space: ArtifactSpace,
  digests: readonly string[],
  when: string,
): Promise<void> {
  for (const sha256 of digests) {
    equal(await space.find(sha256), undefined, `${when}, find should see nothing`);
    await rejects('NOT_FOUND', () => space.open(sha256), `${when}, open should see nothing`);
    await rejects('NOT_FOUND', () => space.verify(sha256), `${when}, verify should see nothing`);
  }
  equal(await listAll(space), [], `${when}, list should show nothing`);
}

/** A source that gives `first` and then keeps its reader waiting, for ever or until told. */
export interface StalledSource {
  readonly source: AsyncIterable<Uint8Array>;
  /** Resolves when the reader has taken `first` and waits for more. */
  readonly waiting: Promise<void>;
  /** Gives those bytes and ends. */
  goOn(bytes: Uint8Array): void;
}

/** Makes a {@link StalledSource}. */
export function stalled(first: Uint8Array): StalledSource {
  const waiting = Promise.withResolvers<void>();
  const more = Promise.withResolvers<Uint8Array>();
  async function* give(): AsyncGenerator<Uint8Array> {
    yield first;
    waiting.resolve();
    yield await more.promise;
  }
  return { source: give(), waiting: waiting.promise, goOn: more.resolve };
}
