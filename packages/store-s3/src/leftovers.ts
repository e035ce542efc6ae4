import { uploaderState } from '@keelson/core/content';
import { type ListedObject, listObjects } from './content-state.ts';
import { abort, listUploads } from './multipart-upload.ts';
import { removeObject } from './removal.ts';
import { roleOf } from './s3-keys.ts';
import type { S3Medium } from './s3-medium.ts';

// An upload whose process cannot be asked is over when it is so old; a mark of a removal as well.
const strangerAgeMs = 3_600_000;

/**
 * Removes what broken uploads left behind: uploads in parts that nobody goes on with, what lies under
 * names of dead processes, digests without their content, marks of removals whose process died. Answers
 * how many.
 */
export async function collectLeftovers(
  medium: S3Medium,
  olderThanMs: number,
  signal: AbortSignal,
): Promise<number> {
  const uploads = await collectUploads(medium, olderThanMs, signal);
  const incoming = await collectIncoming(medium, olderThanMs, signal);
  return uploads + incoming + (await collectBeside(medium, olderThanMs, signal));
}

/** Removes what dead processes of this host left under names of their own. */
export async function collectOfTheDead(medium: S3Medium, signal: AbortSignal): Promise<void> {
  const { incoming } = medium.keys;
  for await (const upload of listUploads(medium, incoming, signal)) {
    if (stateOfName(upload.key) === 'dead') await abort(medium, upload);
  }
  for await (const { key } of listObjects(medium.requests, incoming, {}, signal)) {
    if (stateOfName(key) === 'dead') await removeObject(medium, key, signal);
  }
}

async function collectUploads(
  medium: S3Medium,
  olderThanMs: number,
  signal: AbortSignal,
): Promise<number> {
  let collected = 0;
  for (const prefix of [medium.keys.incoming, medium.keys.spaces]) {
    for await (const upload of listUploads(medium, prefix, signal)) {
      if (medium.uploads.has(upload.uploadId)) continue;
      const isOver =
        prefix === medium.keys.incoming
          ? isLeft(upload.key, upload.at, olderThanMs)
          : isOlder(upload.at, Math.max(olderThanMs, strangerAgeMs));
      if (isOver && (await abort(medium, upload))) collected += 1;
    }
  }
  return collected;
}

async function collectIncoming(
  medium: S3Medium,
  olderThanMs: number,
  signal: AbortSignal,
): Promise<number> {
  let collected = 0;
  for await (const object of listObjects(medium.requests, medium.keys.incoming, {}, signal)) {
    if (!isLeft(object.key, object.storedAt, olderThanMs)) continue;
    await removeObject(medium, object.key, signal);
    collected += 1;
  }
  return collected;
}

/** What lies beside contents that are not there, and marks whose remover does not get on. */
async function collectBeside(
  medium: S3Medium,
  olderThanMs: number,
  signal: AbortSignal,
): Promise<number> {
  let collected = 0;
  let group: (ListedObject & { readonly key: string })[] = [];
  const ageMs = Math.max(olderThanMs, strangerAgeMs);
  const collect = async (): Promise<void> => {
    for (const { key } of group.filter((object) => isOlder(object.storedAt, ageMs))) {
      const role = roleOf(key)?.role;
      const orphan = !group.some((object) => isBytes(object.key)) && !isBytes(key);
      if (!orphan && role !== 'removing') continue;
      await removeObject(medium, key, signal);
      collected += 1;
    }
    group = [];
  };
  for await (const object of listObjects(medium.requests, medium.keys.spaces, {}, signal)) {
    if (roleOf(object.key) === undefined) continue;
    // Objects of one content follow each other.
    if (contentOf(object.key) !== contentOf(group[0]?.key ?? object.key)) await collect();
    group.push(object);
  }
  await collect();
  return collected;
}

function isBytes(key: string): boolean {
  const role = roleOf(key)?.role;
  return role === 'plain' || role === 'sealed';
}

function contentOf(key: string): string {
  return key.slice(0, key.lastIndexOf('/') + 65);
}

function isLeft(key: string, at: number, olderThanMs: number): boolean {
  const process = stateOfName(key);
  if (process === 'alive') return false;
  return isOlder(at, process === 'dead' ? olderThanMs : Math.max(olderThanMs, strangerAgeMs));
}

function stateOfName(key: string): ReturnType<typeof uploaderState> {
  return uploaderState(key.slice(key.lastIndexOf('/') + 1));
}

function isOlder(at: number, ageMs: number): boolean {
  return Date.now() - at >= ageMs;
}
