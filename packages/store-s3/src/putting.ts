import { PutObjectCommand, type PutObjectCommandOutput } from '@aws-sdk/client-s3';
import { type ByteSource, type ContentInfo, KeelsonError, type PutOptions } from '@keelson/core';
import { type ChunkManifest, chunkBytes, encodeManifest } from '@keelson/core/content';
import { refusalOf } from './checked-body.ts';
import type { ContentState } from './content-state.ts';
import { putMarker, removeObject, survivor } from './removal.ts';
import { contentKey, type ObjectRole } from './s3-keys.ts';
import { encryptionHeaders, type S3Medium } from './s3-medium.ts';
import { type SealingKey, sealedSize } from './sealed-chunk.ts';
import type { SourcePart, SourceParts } from './source-parts.ts';

/** One put under way. */
export interface Putting {
  readonly medium: S3Medium;
  /** The prefix of the workspace. */
  readonly space: string;
  readonly source: ByteSource;
  readonly options: PutOptions;
  readonly key: SealingKey | undefined;
  readonly signal: AbortSignal;
  readonly tell: (bytes: number) => void;
}

/** How often a content is put again because it was removed, or its upload ended, at the same time. */
export const attempts = 4;

/** CORRUPT when the bytes are others than were announced. */
export function assertExpected({ options }: Putting, { sha256, sizeBytes }: ChunkManifest): void {
  if (options.sha256 === undefined || options.sha256 === sha256) return;
  throw new KeelsonError(
    'CORRUPT',
    `The bytes to store have the digest ${sha256}, not ${options.sha256} as expected; nothing was stored. They were changed or cut short on their way: fetch them again.`,
    { details: { expected: options.sha256, actual: sha256, sizeBytes } },
  );
}

/** Digests the rest of a source, to know its content before the first byte is sent. */
export async function readThrough(
  putting: Putting,
  parts: SourceParts,
  first: SourcePart,
): Promise<ChunkManifest> {
  for (let part = first; ; part = await parts.next()) {
    putting.signal.throwIfAborted();
    part.done();
    if (part.last) return parts.manifest();
  }
}

/** Whether the content is there in the form wanted, and nobody has found it damaged. */
export function isSound(putting: Putting, state: ContentState, manifest: ChunkManifest): boolean {
  const role: ObjectRole = putting.key === undefined ? 'plain' : 'sealed';
  const wanted = putting.key === undefined ? manifest.sizeBytes : sealedSize(manifest.sizeBytes);
  return state.objects[role]?.sizeBytes === wanted && state.objects.damaged === undefined;
}

/**
 * Makes a content that is there as new as if it were put again, without its bytes. Whoever asks must look
 * afterwards whether it is still there ({@link settled}): this writes, that looks.
 */
export async function refresh(
  { medium, space, signal }: Pick<Putting, 'medium' | 'space' | 'signal'>,
  sha256: string,
): Promise<void> {
  await putMarker(medium, contentKey(space, sha256, 'kept'), signal);
}

/** Clears up beside a content that was just put; false when it was removed at the same time. */
export async function settled(putting: Putting, sha256: string): Promise<boolean> {
  const { medium, space, signal, key } = putting;
  const there = await survivor(medium, space, sha256, signal);
  if (there === undefined) return false;
  const { objects } = there;
  if (objects.damaged !== undefined) {
    await removeObject(medium, contentKey(space, sha256, 'damaged'), signal);
  }
  if (key !== undefined && objects.plain !== undefined) {
    await removeObject(medium, contentKey(space, sha256, 'plain'), signal);
  }
  return true;
}

/** The object that a content becomes. */
export function objectOf(
  { space, key }: Putting,
  sha256: string,
): { readonly name: string; readonly metadata: Readonly<Record<string, string>> } {
  if (key === undefined) return { name: contentKey(space, sha256, 'plain'), metadata: {} };
  return {
    name: contentKey(space, sha256, 'sealed'),
    metadata: { 'keelson-key': key.id },
  };
}

/** Stores the digests of the chunks, before the content that they are of. */
export async function putDigests(putting: Putting, manifest: ChunkManifest): Promise<void> {
  if (manifest.sizeBytes <= chunkBytes) return;
  const { medium, space, signal } = putting;
  const key = contentKey(space, manifest.sha256, 'chunks');
  await putObject(medium, { key, body: encodeManifest(manifest), metadata: {}, signal });
}

/** Stores one object in one request. */
export async function putObject(
  medium: S3Medium,
  object: {
    readonly key: string;
    readonly body: Uint8Array;
    readonly metadata: Readonly<Record<string, string>>;
    readonly signal: AbortSignal;
  },
): Promise<void> {
  const { requests, bodies } = medium;
  const { key, body, metadata, signal } = object;
  await bodies.send(body, (checksum) =>
    requests.send<PutObjectCommandOutput>(
      () =>
        new PutObjectCommand({
          Bucket: requests.bucket,
          Key: key,
          Body: body,
          Metadata: metadata,
          ...checksum,
          ...encryptionHeaders(medium.serverSideEncryption),
        }),
      { doing: 'storing an artifact', key, signal, expected: refusalOf(checksum) },
    ),
  );
}

/** What a put answers. */
export function infoOf({ sha256, sizeBytes }: ChunkManifest): ContentInfo {
  return { sha256, sizeBytes };
}

/** Somebody removes what is being put, again and again. */
export function outrun(space: string, sha256: string): KeelsonError {
  return new KeelsonError(
    'UNAVAILABLE',
    `Content ${sha256} in ${space} was removed each time it was put. Find out who removes what is being stored, and try again.`,
    { details: { sha256 } },
  );
}
