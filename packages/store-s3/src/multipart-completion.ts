import { setTimeout as rest } from 'node:timers/promises';
import {
  type CompletedPart,
  CompleteMultipartUploadCommand,
  HeadObjectCommand,
  type HeadObjectCommandOutput,
} from '@aws-sdk/client-s3';
import { isKeelsonError } from '@keelson/core';
import { isMissing, isNoUpload, isSilence } from './s3-fault.ts';
import type { S3Medium } from './s3-medium.ts';

/** Which upload in parts. */
export interface UploadPlace {
  readonly key: string;
  readonly uploadId: string;
  readonly signal: AbortSignal;
}

const doing = 'storing an artifact';
/** What a service is granted for putting an object together. */
const slowestBytesPerSecond = 10_000_000;

/**
 * Makes the parts of an upload one object. Resolves when it is there, though the answer was lost, somebody
 * who stored the same was faster, or the service is silent for longer than a request waits.
 */
export async function complete(
  medium: Pick<S3Medium, 'requests'>,
  place: UploadPlace,
  parts: readonly CompletedPart[],
  sizeBytes: number,
): Promise<void> {
  const { requests } = medium;
  const { key, uploadId, signal } = place;
  const make = (): unknown =>
    new CompleteMultipartUploadCommand({
      Bucket: requests.bucket,
      Key: key,
      UploadId: uploadId,
      MultipartUpload: { Parts: [...parts] },
    });
  const how = { doing, key, signal, expected: isNoUpload, attempts: 1 };
  for (let attempt = 1; ; attempt += 1) {
    try {
      await requests.send(make, how);
      return;
    } catch (error) {
      if (await isDone(medium, place, sizeBytes, error, attempt === requests.attempts)) return;
      // Completed or ended by somebody else, and the object is not there: nothing to try again.
      if (!isKeelsonError(error, 'UNAVAILABLE') || attempt === requests.attempts) throw error;
    }
    await requests.rest(attempt, signal);
  }
}

/** Whether the object is there, though a request to complete it failed with that error. */
async function isDone(
  medium: Pick<S3Medium, 'requests'>,
  place: UploadPlace,
  sizeBytes: number,
  error: unknown,
  isLast: boolean,
): Promise<boolean> {
  if (isNoUpload(error)) return await isThere(medium, place, sizeBytes);
  if (!isKeelsonError(error, 'UNAVAILABLE')) return false;
  // Some services put a large object together in silence; asked again, they would begin another time.
  if (isSilence(error) || isLast) return await becomesThere(medium, place, sizeBytes);
  return false;
}

/** Whether the object comes to be there within a time that a slow service may take for its size. */
async function becomesThere(
  medium: Pick<S3Medium, 'requests'>,
  place: UploadPlace,
  sizeBytes: number,
): Promise<boolean> {
  const deadline = performance.now() + (1_000 * sizeBytes) / slowestBytesPerSecond;
  for (let restMs = 500; ; restMs = Math.min(2 * restMs, 10_000)) {
    if (await isThere(medium, place, sizeBytes)) return true;
    const leftMs = deadline - performance.now();
    if (leftMs <= 0) return false;
    await rest(Math.min(restMs, leftMs), undefined, { signal: place.signal }).catch(() => {
      // The reason that the signal was given says more than "aborted".
      place.signal.throwIfAborted();
    });
  }
}

async function isThere(
  medium: Pick<S3Medium, 'requests'>,
  place: UploadPlace,
  sizeBytes: number,
): Promise<boolean> {
  const { requests } = medium;
  const { key, signal } = place;
  try {
    const { ContentLength } = await requests.send<HeadObjectCommandOutput>(
      () => new HeadObjectCommand({ Bucket: requests.bucket, Key: key }),
      { doing, key, signal, expected: isMissing },
    );
    return ContentLength === sizeBytes;
  } catch (error) {
    if (isMissing(error)) return false;
    throw error;
  }
}
