import { setTimeout as rest } from 'node:timers/promises';
import { DeleteObjectCommand, PutObjectCommand } from '@aws-sdk/client-s3';
import { KeelsonError } from '@keelson/core';
import { type ContentState, stateOf, storedAt } from './content-state.ts';
import { isMissing } from './s3-fault.ts';
import { contentKey, type ObjectRole } from './s3-keys.ts';
import type { S3Medium } from './s3-medium.ts';

/** Whether there are bytes of the content. */
export function isStored(state: ContentState): boolean {
  return state.objects.plain !== undefined || state.objects.sealed !== undefined;
}

/**
 * Removes what was last put before `storedBefore`, if that is given; answers whether it removed
 * anything. The service has no removal on a condition, so remover and putter each write first and look
 * then (Dekker): the remover marks the content and looks when it was last put, a putter refreshes that
 * time and looks for the mark. At least one of them sees the other; then the content stays.
 */
export async function removeContent(
  medium: S3Medium,
  space: string,
  sha256: string,
  options: { readonly storedBefore?: number; readonly signal: AbortSignal },
): Promise<boolean> {
  const { storedBefore, signal } = options;
  if (storedBefore === undefined) {
    const state = await stateOf(medium.requests, space, sha256, signal);
    await removeObjects(medium, space, state, signal);
    return isStored(state);
  }
  const before = await stateOf(medium.requests, space, sha256, signal);
  if (!isStored(before) || isFresh(before, storedBefore)) return false;
  await putMarker(medium, contentKey(space, sha256, 'removing'), signal);
  const state = await stateOf(medium.requests, space, sha256, signal);
  if (isFresh(state, storedBefore)) {
    await removeObject(medium, contentKey(space, sha256, 'removing'), signal);
    return false;
  }
  await removeObjects(medium, space, state, signal);
  return isStored(state);
}

/**
 * To be asked when a content has been put or refreshed: what there is of it once it is there to stay,
 * undefined when a removal was faster and it has to be put again. UNAVAILABLE when a remover does not get on.
 */
export async function survivor(
  medium: S3Medium,
  space: string,
  sha256: string,
  signal: AbortSignal,
): Promise<ContentState | undefined> {
  const deadline = performance.now() + patienceMs;
  for (let waitMs = 20; ; waitMs = Math.min(1_000, waitMs * 2)) {
    const state = await stateOf(medium.requests, space, sha256, signal);
    const mark = state.objects.removing;
    if (mark === undefined) return isStored(state) ? state : undefined;
    if (performance.now() >= deadline) {
      throw new KeelsonError(
        'UNAVAILABLE',
        `Content ${sha256} is being removed by another process, which does not get on. Try again; if that process has died, collectLeftovers removes its mark after an hour.`,
        { details: { sha256, markedAt: mark.storedAt } },
      );
    }
    await rest(waitMs, undefined, { signal }).catch(() => signal.throwIfAborted());
  }
}

/** Writes an object of no bytes, whose being there says something. */
export async function putMarker(medium: S3Medium, key: string, signal: AbortSignal): Promise<void> {
  const { requests } = medium;
  await requests.send(
    () => new PutObjectCommand({ Bucket: requests.bucket, Key: key, Body: new Uint8Array(0) }),
    { doing: 'marking a content', key, signal },
  );
}

/** Removes one object; one that is not there is no fault. */
export async function removeObject(
  medium: S3Medium,
  key: string,
  signal: AbortSignal,
): Promise<void> {
  const { requests } = medium;
  const how = { doing: 'removing a content', key, signal, expected: isMissing };
  try {
    await requests.send(() => new DeleteObjectCommand({ Bucket: requests.bucket, Key: key }), how);
  } catch (error) {
    // By S3's own rules removing nothing succeeds; some services answer 404 when two remove at once.
    if (!isMissing(error)) throw error;
  }
}

/** How long a put waits for a removal that is going on. */
const patienceMs = 30_000;
/** Services tell times in whole seconds. */
const roundingMs = 1_000;

function isFresh(state: ContentState, storedBefore: number): boolean {
  return storedAt(state) + roundingMs > storedBefore;
}

// The bytes first: without its digests a content would still be there. The mark last.
const order: readonly ObjectRole[] = ['plain', 'sealed', 'chunks', 'kept', 'damaged', 'removing'];

async function removeObjects(
  medium: S3Medium,
  space: string,
  state: ContentState,
  signal: AbortSignal,
): Promise<void> {
  for (const role of order) {
    if (state.objects[role] === undefined) continue;
    await removeObject(medium, contentKey(space, state.sha256, role), signal);
  }
}
