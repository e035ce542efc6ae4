import { chunkBytes, encodeManifest } from '@keelson/core/content';
import { putContent, putObject } from './content-put.ts';
import { openContent, readVerified } from './content-read.ts';
import { survivor } from './removal.ts';
import { contentKey } from './s3-keys.ts';
import type { S3Medium } from './s3-medium.ts';

/**
 * Refreshes the time of a content, by writing again what is small of it: its chunk digests, or itself
 * where it has none. Answers whether the content is there to stay; CORRUPT for a small one that is damaged.
 */
export async function keepContent(
  medium: S3Medium,
  space: string,
  sha256: string,
  signal: AbortSignal,
): Promise<boolean> {
  const content = await openContent(medium, space, sha256, {}, signal);
  if (content === undefined || content === 'out of range') return false;
  if (content.sizeBytes <= chunkBytes) {
    const pieces = readVerified(content, 0, content.sizeBytes, signal);
    await putContent(medium, space, pieces, { sha256 }, signal);
    return true;
  }
  content.body.close();
  const key = contentKey(space, sha256, 'chunks');
  const body = encodeManifest(content.manifest);
  await putObject(medium, { key, body, metadata: {}, signal });
  return (await survivor(medium, space, sha256, signal)) !== undefined;
}
