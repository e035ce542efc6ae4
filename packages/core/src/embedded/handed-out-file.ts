import { createHash } from 'node:crypto';
import { constants } from 'node:fs';
import { copyFile, type FileHandle, link, open, rm } from 'node:fs/promises';
import { fromFileError, isMissing, systemCode } from '../content/file-fault.ts';
import type { ContentInfo } from '../contracts/artifact-store.ts';
import type { PlaceOptions } from '../contracts/download-cache.ts';
import { type CachedFile, identityAt } from './cached-file.ts';
import { readFully } from './content-reader.ts';
import { assertGoingOn } from './fetched-file.ts';

/**
 * Smaller files are copied: it takes no time, and those that people edit are among them. Larger ones share their
 * bytes with the cache: cloned where the file system can, otherwise under the same inode, read only.
 */
const sharedFromBytes = 8 * 2 ** 20;
const copyBytes = 2 ** 20;
const readOnly = 0o444;
const own = 0o644;

/** Makes `target` out of a copy that was checked; false, and no file, when the copy has changed or gone since. */
export async function handOut(
  cached: CachedFile,
  identity: string,
  content: ContentInfo,
  target: string,
  options: PlaceOptions,
): Promise<boolean> {
  const sharing = !options.copy && content.sizeBytes >= sharedFromBytes;
  if (sharing) {
    const shared = await share(cached.path, identity, target);
    if (shared !== 'cannot') return shared === 'shared';
  }
  const copied = await copyVerified(cached.path, content, target, options);
  if (copied === 'damaged') await cached.remove();
  return copied === 'copied';
}

async function share(
  path: string,
  identity: string,
  target: string,
): Promise<'shared' | 'changed' | 'cannot'> {
  const cloned = await tried(() =>
    copyFile(path, target, constants.COPYFILE_EXCL | constants.COPYFILE_FICLONE_FORCE),
  );
  const linked = !cloned && (await tried(() => link(path, target)));
  if (!cloned && !linked) return (await identityAt(path)) === undefined ? 'changed' : 'cannot';
  // What was written to since it was checked shows now.
  if ((await identityAt(linked ? target : path)) === identity) return 'shared';
  await rm(target, { force: true });
  return 'changed';
}

/** Whether the system did it: another device, a file system without links, another user's file refuse. */
async function tried(work: () => Promise<void>): Promise<boolean> {
  try {
    await work();
    return true;
  } catch (error) {
    if (systemCode(error) === undefined) throw error;
    return false;
  }
}

async function copyVerified(
  path: string,
  { sha256 }: ContentInfo,
  target: string,
  options: PlaceOptions,
): Promise<'copied' | 'gone' | 'damaged'> {
  const from = await openOptional(path);
  if (from === undefined) return 'gone';
  try {
    const to = await open(target, 'wx', options.copy ? own : readOnly);
    let digest: string;
    try {
      digest = await copyHashed(from, to, options);
    } finally {
      await to.close();
    }
    if (digest === sha256) return 'copied';
    await rm(target, { force: true });
    return 'damaged';
  } catch (error) {
    await rm(target, { force: true });
    throw fromFileError(error, 'writing a downloaded file', target);
  } finally {
    await from.close();
  }
}

async function copyHashed(
  from: FileHandle,
  to: FileHandle,
  options: PlaceOptions,
): Promise<string> {
  const hash = createHash('sha256');
  const buffer = Buffer.allocUnsafe(copyBytes);
  for (let at = 0; ; ) {
    assertGoingOn(options.signal);
    const piece = buffer.subarray(0, await readFully(from, buffer, at));
    if (piece.length === 0) return hash.digest('hex');
    const written = to.writeFile(piece);
    hash.update(piece);
    await written;
    at += piece.length;
    options.onBytes?.(at);
  }
}

async function openOptional(path: string): Promise<FileHandle | undefined> {
  try {
    return await open(path, 'r');
  } catch (error) {
    if (isMissing(error)) return undefined;
    throw error;
  }
}
