import { link, readdir, rename, rm, stat, utimes } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { setTimeout as rest } from 'node:timers/promises';
import { isMissing, systemCode } from '../content/file-fault.ts';
import { uploaderState, uploadName } from '../upload-name.ts';
import { type ArtifactLayout, contentPath, manifestPath } from './artifact-layout.ts';
import { syncPath } from './durable-file.ts';

/**
 * Removes a content, with `storedBefore` only if its time lies before that; answers whether there was any.
 *
 * The time of a content is that of its file, and a file system has no removal on a condition. So the file
 * is moved aside first, its time looked at there, and the file linked back when somebody has kept it in
 * between. Whoever dies on the way leaves it aside; whoever misses it puts it back.
 */
export async function removeContent(
  layout: ArtifactLayout,
  space: string,
  sha256: string,
  storedBefore: number | undefined,
): Promise<boolean> {
  const path = contentPath(space, sha256);
  const there = await timeOf(path);
  if (storedBefore === undefined) {
    // The content first: without its manifest it would still be there, and get a new one.
    await rm(path, { force: true });
    await rm(manifestPath(space, sha256), { force: true });
    if (there !== undefined) await syncPath(dirname(path));
    return there !== undefined;
  }
  if (there === undefined || there >= storedBefore) return false;
  const aside = join(layout.removing, [sha256, basename(space), uploadName()].join('~'));
  if (!(await move(path, aside))) return false;
  if (((await timeOf(aside)) ?? Number.POSITIVE_INFINITY) >= storedBefore) {
    await putBack(aside, path);
    return false;
  }
  await rm(aside, { force: true });
  await syncPath(dirname(path));
  // Put again since then? Then the manifest is the new content's.
  if ((await timeOf(path)) === undefined) await rm(manifestPath(space, sha256), { force: true });
  return true;
}

/** Gives a content the present as its time; answers whether it was there. */
export async function keepContent(
  layout: ArtifactLayout,
  space: string,
  sha256: string,
): Promise<boolean> {
  const path = contentPath(space, sha256);
  for (;;) {
    const now = new Date();
    try {
      await utimes(path, now, now);
      return true;
    } catch (error) {
      if (!isMissing(error)) throw error;
    }
    if (!(await awaitRemoval(layout, space, sha256))) return false;
  }
}

/**
 * To be asked when a content is missing: false when nobody has it aside. Otherwise waits for who has, or
 * puts back what a dead process had; then the content may be there again.
 */
export async function awaitRemoval(
  layout: ArtifactLayout,
  space: string,
  sha256: string,
): Promise<boolean> {
  let met = false;
  for (let waits = 0; waits < patience; waits += 1) {
    const asides = (await readdir(layout.removing)).filter((name) =>
      name.startsWith(`${sha256}~${basename(space)}~`),
    );
    if (asides.length === 0) return met;
    met = true;
    for (const name of asides) await putBackOfTheDead(layout, name);
    await rest(waitMs);
  }
  return false;
}

/** Puts back whatever processes that are over had moved aside. */
export async function restoreRemovals(layout: ArtifactLayout): Promise<void> {
  for (const name of await readdir(layout.removing)) await putBackOfTheDead(layout, name);
}

const waitMs = 5;
const patience = 200;
// The process of another host or container cannot be asked; a removal takes no hour.
const strangerAgeMs = 3_600_000;

async function putBackOfTheDead(layout: ArtifactLayout, name: string): Promise<void> {
  const [sha256 = '', space = '', owner = ''] = name.split('~');
  const aside = join(layout.removing, name);
  const state = uploaderState(owner);
  if (state === 'alive') return;
  if (state === 'unknown' && (await ageOf(aside)) < strangerAgeMs) return;
  await putBack(aside, contentPath(join(layout.spaces, space), sha256));
}

async function putBack(aside: string, path: string): Promise<void> {
  try {
    await link(aside, path);
    await syncPath(dirname(path));
  } catch (error) {
    // Put again meanwhile, which is as good; or put back by somebody else.
    if (systemCode(error) !== 'EEXIST' && !isMissing(error)) throw error;
  }
  await rm(aside, { force: true });
}

async function move(from: string, to: string): Promise<boolean> {
  try {
    await rename(from, to);
    return true;
  } catch (error) {
    if (isMissing(error)) return false;
    throw error;
  }
}

async function timeOf(path: string): Promise<number | undefined> {
  try {
    return Math.floor((await stat(path)).mtimeMs);
  } catch (error) {
    if (isMissing(error)) return undefined;
    throw error;
  }
}

/** How long ago the file was moved: its own time is that of the content. */
async function ageOf(path: string): Promise<number> {
  try {
    return Date.now() - (await stat(path)).ctimeMs;
  } catch (error) {
    if (isMissing(error)) return 0;
    throw error;
  }
}
