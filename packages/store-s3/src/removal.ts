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
  const late = new KeelsonError(
    'UNAVAILABLE',
    `Removing content ${sha256} took longer than ${removingMs / 1000} s and was given up; a later collection removes what is left of it.`,
    { details: { sha256 } },
  );
  const timer = new AbortController();
  const timeout = setTimeout(() => timer.abort(late), removingMs);
  const until = performance.now() + removingMs;
  const inTime = AbortSignal.any([signal, timer.signal]);
  try {
    await putMarker(medium, contentKey(space, sha256, 'removing'), inTime);
    const state = await stateOf(medium.requests, space, sha256, inTime);
    if (isFresh(state, storedBefore)) {
      await removeObject(medium, contentKey(space, sha256, 'removing'), inTime);
      return false;
    }
    // A process that was stopped for a while has had no timer.
    await removeObjects(medium, space, state, inTime, () => {
      if (performance.now() >= until) throw late;
    });
    return isStored(state);
  } finally {
    clearTimeout(timeout);
  }
}

/**
 * To be asked when a content has been put or refreshed: what there is of it once it is there to stay,
 * undefined when a removal was faster and it has to be put again. The mark of a remover that no longer lives
 * counts for nothing: it is one which the service stored long before it stored the content, or which stays as
 * it is for longer than any remover goes on.
 */
export async function survivor(
  medium: S3Medium,
  space: string,
  sha256: string,
  signal: AbortSignal,
): Promise<ContentState | undefined> {
  let seen: { readonly storedAt: number; readonly at: number } | undefined;
  for (let waitMs = 20; ; waitMs = Math.min(1_000, waitMs * 2)) {
    const state = await stateOf(medium.requests, space, sha256, signal);
    const mark = state.objects.removing;
    if (mark?.storedAt !== seen?.storedAt) {
      seen = mark === undefined ? undefined : { storedAt: mark.storedAt, at: performance.now() };
    }
    const isOver =
      seen === undefined ||
      storedAt(state) - seen.storedAt >= markLivesMs ||
      performance.now() - seen.at >= markLivesMs;
    if (isOver) return isStored(state) ? state : undefined;
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

/** How long a remover goes on after it has marked a content. */
const removingMs = 10_000;
/** How long the mark of a removal counts: a remover's time, and again as much for requests under way. */
const markLivesMs = 2 * removingMs;
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
  assertInTime: () => void = () => undefined,
): Promise<void> {
  for (const role of order) {
    if (state.objects[role] === undefined) continue;
    assertInTime();
    await removeObject(medium, contentKey(space, state.sha256, role), signal);
  }
}
