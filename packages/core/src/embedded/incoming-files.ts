import { createHash } from 'node:crypto';
import { readdir, rm, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { isDigest } from '../content/digest.ts';
import { isMissing } from '../content/file-fault.ts';
import type { JsonObject } from '../json.ts';
import { describeOwner, type OwnerState, ownerState } from '../process-owner.ts';
import { uuidV7 } from '../uuid.ts';
import { manifestSuffix } from './artifact-layout.ts';

// An upload of another host cannot be asked for; one whose file has not grown for this long is over.
const strangerAgeMs = 3_600_000;

/** A new name in the incoming directory, from which others can tell whether its writer still lives. */
export function incomingName(): string {
  const owner = describeOwner();
  return `${hostTag(owner)}-${owner['pid']}-${owner['startTime']}-${uuidV7()}`;
}

/**
 * Removes files of uploads that are over: not written to for `olderThanMs`, and their process is known
 * to be dead, or cannot be asked and has not written for an hour. Answers how many those were.
 */
export async function collectIncoming(incoming: string, olderThanMs: number): Promise<number> {
  let collected = 0;
  for (const name of await readdir(incoming)) {
    const writer = writerState(name);
    if (writer === 'alive') continue;
    const ageMs = writer === 'dead' ? olderThanMs : Math.max(olderThanMs, strangerAgeMs);
    if (await removeOlder(join(incoming, name), ageMs)) collected += 1;
  }
  return collected;
}

/** Removes manifests without their content, not written to for `olderThanMs`; answers how many. */
export async function collectOrphans(spaces: string, olderThanMs: number): Promise<number> {
  let collected = 0;
  for (const space of await readdir(spaces)) {
    for (const shard of await readdir(join(spaces, space))) {
      const directory = join(spaces, space, shard);
      const names = new Set(await readdir(directory));
      for (const name of names) {
        const content = name.slice(0, -manifestSuffix.length);
        if (!name.endsWith(manifestSuffix) || !isDigest(content) || names.has(content)) continue;
        // Its content may be renamed into place at this moment: a lost manifest is made anew then.
        if (await removeOlder(join(directory, name), olderThanMs)) collected += 1;
      }
    }
  }
  return collected;
}

function writerState(name: string): OwnerState {
  const [tag, pid, startTime] = name.split('-');
  const self = describeOwner();
  if (tag !== hostTag(self)) return 'unknown';
  const owner: JsonObject = { ...self, pid: Number(pid), startTime: startTime ?? '', instance: '' };
  return ownerState(owner);
}

function hostTag(owner: JsonObject): string {
  const host = JSON.stringify([owner['host'], owner['bootId'], owner['pidSpace']]);
  return createHash('sha256').update(host).digest('hex').slice(0, 12);
}

async function removeOlder(path: string, ageMs: number): Promise<boolean> {
  try {
    const { mtimeMs } = await stat(path);
    if (Date.now() - mtimeMs < ageMs) return false;
    await rm(path);
    return true;
  } catch (error) {
    // Its writer has finished, or another collector was faster.
    if (isMissing(error)) return false;
    throw error;
  }
}
