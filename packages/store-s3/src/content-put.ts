import { PutObjectCommand, type PutObjectCommandOutput } from '@aws-sdk/client-s3';
import { type ByteSource, type ContentInfo, KeelsonError, type PutOptions } from '@keelson/core';
import {
  type ChunkManifest,
  chunkBytes,
  encodeManifest,
  openByteReader,
  throttled,
  uploadName,
} from '@keelson/core/content';
import { type ContentState, stateOf } from './content-state.ts';
import { copyObject } from './copy-object.ts';
import { uploadInParts } from './multipart-upload.ts';
import { removeObject, survivor } from './removal.ts';
import { isNoUpload } from './s3-fault.ts';
import { contentKey, type ObjectRole } from './s3-keys.ts';
import { encryptionHeaders, type S3Medium } from './s3-medium.ts';
import { type SealingKey, sealedSize } from './sealed-chunk.ts';
import { type SourcePart, SourceParts } from './source-parts.ts';

/** One put under way. */
interface Putting {
  readonly medium: S3Medium;
  /** The prefix of the workspace. */
  readonly space: string;
  readonly source: ByteSource;
  readonly options: PutOptions;
  readonly key: SealingKey | undefined;
  readonly signal: AbortSignal;
  readonly tell: (bytes: number) => void;
}

const doing = 'storing an artifact';
/** How often a content is put again because it was removed, or its upload ended, at the same time. */
const attempts = 4;

/**
 * Stores the bytes of a source under their digest. What fits into one part goes up in one request. A
 * larger source that can be read twice is digested first: a content that is there is not uploaded
 * again, and a broken upload of it is taken up where it was. A larger stream goes up under a name of its
 * own, and is copied to its place within the service once its digest is known.
 */
export async function putContent(
  medium: S3Medium,
  space: string,
  source: ByteSource,
  options: PutOptions,
  signal: AbortSignal,
): Promise<ContentInfo> {
  const key = await medium.sealingKey();
  const tell = throttled(options.onProgress);
  const putting = { medium, space, source, options, key, signal, tell };
  const info = await put(putting);
  options.onProgress?.(info.sizeBytes);
  return info;
}

async function put(putting: Putting): Promise<ContentInfo> {
  const { medium, source, signal, key } = putting;
  const reader = await openByteReader(source, signal);
  try {
    const parts = new SourceParts(reader, { partBytes: medium.partBytes, key });
    const first = await parts.next();
    if (first.last) return await putSmall(putting, parts, first);
    if (!canBeReadAgain(source)) return await putStream(putting, parts, first);
    const { manifest } = await readThrough(putting, parts, first);
    assertExpected(putting, manifest);
    return await putKnown(putting, manifest);
  } finally {
    await reader.close();
  }
}

function canBeReadAgain(source: ByteSource): boolean {
  if (source instanceof Uint8Array || source instanceof Blob) return true;
  // A stream of a file has a path too.
  return !(Symbol.asyncIterator in source);
}

function assertExpected({ options }: Putting, { sha256, sizeBytes }: ChunkManifest): void {
  if (options.sha256 === undefined || options.sha256 === sha256) return;
  throw new KeelsonError(
    'CORRUPT',
    `The bytes to store have the digest ${sha256}, not ${options.sha256} as expected; nothing was stored. They were changed or cut short on their way: fetch them again.`,
    { details: { expected: options.sha256, actual: sha256, sizeBytes } },
  );
}

/** Stores what fits into one part, whether it is there or not: that is what refreshes it, and mends it. */
async function putSmall(
  putting: Putting,
  parts: SourceParts,
  part: SourcePart,
): Promise<ContentInfo> {
  const { medium, space, signal } = putting;
  const manifest = parts.manifest();
  assertExpected(putting, manifest);
  const { sha256 } = manifest;
  for (let attempt = 1; attempt <= attempts; attempt += 1) {
    await putDigests(putting, manifest);
    const { name, metadata } = objectOf(putting, sha256);
    await putObject(medium, { key: name, body: part.body, metadata, signal });
    putting.tell(part.takenBytes);
    if (await settled(putting, sha256)) return infoOf(manifest);
  }
  throw outrun(space, sha256);
}

/** Digests the rest of a source, to know its content before the first byte is sent. */
async function readThrough(
  putting: Putting,
  parts: SourceParts,
  first: SourcePart,
): Promise<{ readonly manifest: ChunkManifest }> {
  for (let part = first; ; part = await parts.next()) {
    putting.signal.throwIfAborted();
    part.done();
    if (part.last) return { manifest: parts.manifest() };
  }
}

/** Stores a content of more than one part whose digest is known: unless it is there, in parts. */
async function putKnown(putting: Putting, manifest: ChunkManifest): Promise<ContentInfo> {
  const { medium, space, signal } = putting;
  const { sha256 } = manifest;
  for (let attempt = 1; attempt <= attempts; attempt += 1) {
    const state = await stateOf(medium.requests, space, sha256, signal);
    await putDigests(putting, manifest);
    if (!isSound(putting, state, manifest)) {
      try {
        await uploadKnown(putting, manifest);
      } catch (error) {
        // Somebody who stored the same has ended the upload that this one had taken up.
        if (isNoUpload(error) && attempt < attempts) continue;
        throw error;
      }
    }
    if (await settled(putting, sha256)) return infoOf(manifest);
  }
  throw outrun(space, sha256);
}

async function uploadKnown(putting: Putting, manifest: ChunkManifest): Promise<void> {
  const { medium, source, signal, key } = putting;
  const reader = await openByteReader(source, signal);
  try {
    const { partBytes } = medium;
    const parts = new SourceParts(reader, { partBytes, key, expected: manifest });
    const { name, metadata } = objectOf(putting, manifest.sha256);
    await uploadInParts(medium, {
      key: name,
      metadata,
      begun: [],
      parts,
      // Sealed parts differ each time.
      resume: key === undefined,
      signal,
      onTaken: putting.tell,
      beforeComplete: () => void parts.manifest(),
    });
  } finally {
    await reader.close();
  }
}

/** Stores a stream of more than one part: under a name of its own first, since its digest comes last. */
async function putStream(
  putting: Putting,
  parts: SourceParts,
  first: SourcePart,
): Promise<ContentInfo> {
  const { medium, space, signal } = putting;
  const aside = `${medium.keys.incoming}${uploadName()}`;
  let manifest: ChunkManifest | undefined;
  const metadata = objectOf(putting, '').metadata;
  await uploadInParts(medium, {
    key: aside,
    metadata,
    begun: [first],
    parts,
    resume: false,
    signal,
    onTaken: putting.tell,
    beforeComplete() {
      manifest = parts.manifest();
      assertExpected(putting, manifest);
    },
  });
  try {
    return await putInPlace(putting, aside, manifest as ChunkManifest);
  } finally {
    // Also when the signal was aborted; what stays is collected as a leftover.
    const own = AbortSignal.timeout(medium.requests.idleTimeoutMs);
    await removeObject(medium, aside, own).catch(() => undefined);
  }

  async function putInPlace(
    { key }: Putting,
    from: string,
    whole: ChunkManifest,
  ): Promise<ContentInfo> {
    const { sha256 } = whole;
    const sizeBytes = key === undefined ? whole.sizeBytes : sealedSize(whole.sizeBytes);
    for (let attempt = 1; attempt <= attempts; attempt += 1) {
      const state = await stateOf(medium.requests, space, sha256, signal);
      await putDigests(putting, whole);
      if (!isSound(putting, state, whole)) {
        const to = objectOf(putting, sha256).name;
        await copyObject(medium, { from, to, sizeBytes, metadata, signal });
      }
      if (await settled(putting, sha256)) return infoOf(whole);
    }
    throw outrun(space, sha256);
  }
}

/** Whether the content is there in the form wanted, and nobody has found it damaged. */
function isSound(putting: Putting, state: ContentState, manifest: ChunkManifest): boolean {
  const role: ObjectRole = putting.key === undefined ? 'plain' : 'sealed';
  const wanted = putting.key === undefined ? manifest.sizeBytes : sealedSize(manifest.sizeBytes);
  return state.objects[role]?.sizeBytes === wanted && state.objects.damaged === undefined;
}

/** Clears up beside a content that was just put; false when it was removed at the same time. */
async function settled(putting: Putting, sha256: string): Promise<boolean> {
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

function objectOf(
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
async function putDigests(putting: Putting, manifest: ChunkManifest): Promise<void> {
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
      { doing, key, signal },
    ),
  );
}

function infoOf({ sha256, sizeBytes }: ChunkManifest): ContentInfo {
  return { sha256, sizeBytes };
}

function outrun(space: string, sha256: string): KeelsonError {
  return new KeelsonError(
    'UNAVAILABLE',
    `Content ${sha256} in ${space} was removed each time it was put. Find out who removes what is being stored, and try again.`,
    { details: { sha256 } },
  );
}
