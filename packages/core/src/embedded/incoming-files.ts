import { readdir, rm, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { isDigest } from '../content/digest.ts';
import { isMissing } from '../content/file-fault.ts';
import { uploaderState } from '../upload-name.ts';
import { manifestSuffix } from './artifact-layout.ts';

// An upload of another host cannot be asked for; one whose file has not grown for this long is over.
const strangerAgeMs = 3_600_000;

/**
 * Removes files of uploads that are over: not written to for `olderThanMs`, and their process is known
 * to be dead, or cannot be asked and has not written for an hour. Answers how many those were.
 */
export async function collectIncoming(incoming: string, olderThanMs: number): Promise<number> {
  let collected = 0;
  for (const name of await readdir(incoming)) {
    const writer = uploaderState(name);
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
