import { type ContentInfo, KeelsonError } from '@keelson/core';
import { type ChunkManifest, uploadName } from '@keelson/core/content';
import { keepContent } from './content-keep.ts';
import { stateOf } from './content-state.ts';
import { copyObject } from './copy-object.ts';
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
  readThrough,
  settled,
} from './putting.ts';
import { isStored, putMarker, removeObject } from './removal.ts';
import { contentKey } from './s3-keys.ts';
import { sealedSize } from './sealed-chunk.ts';
import type { SourcePart, SourceParts } from './source-parts.ts';

/**
 * Stores a stream of more than one part: under a name of its own first, since its digest comes last; then
 * it is copied to its place within the service. One whose digest was announced, and is there, is only read.
 */
export async function putStream(
  putting: Putting,
  parts: SourceParts,
  first: SourcePart,
): Promise<ContentInfo> {
  if (await isThere(putting)) return await compareWithStored(putting, parts, first);
  return await upload(putting, parts, first);
}

/** Whether a content of the digest that was announced is there, and stays for now. */
async function isThere(putting: Putting): Promise<boolean> {
  const { medium, space, signal, options, key } = putting;
  const { sha256 } = options;
  if (sha256 === undefined) return false;
  const { objects } = await stateOf(medium.requests, space, sha256, signal);
  const wanted = key === undefined ? objects.plain : objects.sealed;
  if (wanted === undefined || objects.damaged !== undefined) return false;
  return await keepContent(medium, space, sha256, signal);
}

async function compareWithStored(
  putting: Putting,
  parts: SourceParts,
  first: SourcePart,
): Promise<ContentInfo> {
  const { medium, space, signal } = putting;
  const manifest = await readThrough(putting, parts, first);
  assertExpected(putting, manifest);
  const { sha256 } = manifest;
  const state = await stateOf(medium.requests, space, sha256, signal);
  if (isSound(putting, state, manifest)) {
    await putDigests(putting, manifest);
    if (await settled(putting, sha256)) return infoOf(manifest);
  }
  if (!isStored(state)) throw outrun(space, sha256);
  // The stream is spent: whoever has another one mends the content with it.
  await putMarker(medium, contentKey(space, sha256, 'damaged'), signal);
  throw new KeelsonError(
    'CORRUPT',
    `What is stored of content ${sha256} in ${space} has not its size: it is damaged. Store the same bytes again, which mends it.`,
    { details: { sha256, sizeBytes: manifest.sizeBytes } },
  );
}

async function upload(
  putting: Putting,
  parts: SourceParts,
  first: SourcePart,
): Promise<ContentInfo> {
  const { medium, signal } = putting;
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
}

async function putInPlace(
  putting: Putting,
  from: string,
  manifest: ChunkManifest,
): Promise<ContentInfo> {
  const { medium, space, signal, key } = putting;
  const { sha256 } = manifest;
  const sizeBytes = key === undefined ? manifest.sizeBytes : sealedSize(manifest.sizeBytes);
  for (let attempt = 1; attempt <= attempts; attempt += 1) {
    const state = await stateOf(medium.requests, space, sha256, signal);
    await putDigests(putting, manifest);
    if (!isSound(putting, state, manifest)) {
      const { name: to, metadata } = objectOf(putting, sha256);
      await copyObject(medium, { from, to, sizeBytes, metadata, signal });
    }
    if (await settled(putting, sha256)) return infoOf(manifest);
  }
  throw outrun(space, sha256);
}
