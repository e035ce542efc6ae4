import type { ByteSource, ContentInfo, PutOptions } from '@keelson/core';
import { type ChunkManifest, chunkBytes, openByteReader, throttled } from '@keelson/core/content';
import { stateOf } from './content-state.ts';
import { uploadInParts } from './multipart-upload.ts';
import {
  assertExpected,
  attempts,
  infoOf,
  isSound,
  objectOf,
  outrun,
  type Putting,
  putDigests,
  putObject,
  readThrough,
  refresh,
  settled,
} from './putting.ts';
import { isNoUpload } from './s3-fault.ts';
import type { S3Medium } from './s3-medium.ts';
import { type SourcePart, SourceParts } from './source-parts.ts';
import { putStream } from './stream-put.ts';

/** So many bytes are sent as soon as one has asked whether they are there. */
const worthAsking = 64 * 1024;

/**
 * Stores the bytes of a source under their digest. A content that is there is not uploaded again, unless it
 * is so small that asking takes as long. What fits into one part goes up in one request; a larger source
 * that can be read twice is digested first, and a broken upload of it is taken up where it was; for a larger
 * stream see {@link putStream}.
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
    const manifest = await readThrough(putting, parts, first);
    assertExpected(putting, manifest);
    return await putKnown(putting, manifest, parts);
  } finally {
    await reader.close();
  }
}

function canBeReadAgain(source: ByteSource): boolean {
  if (source instanceof Uint8Array || source instanceof Blob) return true;
  // A stream of a file has a path too.
  return !(Symbol.asyncIterator in source);
}

/** Stores what fits into one part. */
async function putSmall(
  putting: Putting,
  parts: SourceParts,
  part: SourcePart,
): Promise<ContentInfo> {
  const { medium, space, signal } = putting;
  const manifest = parts.manifest();
  assertExpected(putting, manifest);
  const { sha256, sizeBytes } = manifest;
  for (let attempt = 1; attempt <= attempts; attempt += 1) {
    const isThere =
      sizeBytes > worthAsking &&
      isSound(putting, await stateOf(medium.requests, space, sha256, signal), manifest);
    await putDigests(putting, manifest);
    if (!isThere) {
      const { name, metadata } = objectOf(putting, sha256);
      await putObject(medium, { key: name, body: part.body, metadata, signal });
    } else if (sizeBytes <= chunkBytes) await refresh(putting, sha256);
    putting.tell(part.takenBytes);
    if (await settled(putting, sha256)) return infoOf(manifest);
  }
  throw outrun(space, sha256);
}

/** Stores a content of more than one part whose digest is known: unless it is there, in parts. */
async function putKnown(
  putting: Putting,
  manifest: ChunkManifest,
  after: SourceParts,
): Promise<ContentInfo> {
  const { medium, space, signal } = putting;
  const { sha256 } = manifest;
  for (let attempt = 1; attempt <= attempts; attempt += 1) {
    const state = await stateOf(medium.requests, space, sha256, signal);
    await putDigests(putting, manifest);
    if (!isSound(putting, state, manifest)) {
      try {
        await uploadKnown(putting, manifest, after);
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

async function uploadKnown(
  putting: Putting,
  manifest: ChunkManifest,
  after: SourceParts,
): Promise<void> {
  const { medium, source, signal, key } = putting;
  const reader = await openByteReader(source, signal);
  try {
    const { partBytes } = medium;
    const parts = new SourceParts(reader, { partBytes, key, expected: manifest, after });
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
