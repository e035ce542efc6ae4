import { mkdir, open, rename, rm } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { uuidV7 } from '../uuid.ts';

/** Makes the names in a directory, or the bytes of a file, survive a power loss. */
export async function syncPath(path: string): Promise<void> {
  // Windows cannot sync a directory, and needs not: its names are journaled.
  if (process.platform === 'win32') return;
  const handle = await open(path, 'r');
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
}

/**
 * Creates directories below one root so that they survive a power loss. A directory that is there may
 * just have been made by another process that has not synced it yet, so the first use of each one here
 * syncs the way to it too.
 */
export class DurableDirectories {
  readonly #root: string;
  readonly #synced = new Set<string>();

  /** `root` is the directory above which nothing is synced. */
  constructor(root: string) {
    this.#root = root;
  }

  /** Fine when it is there. `path` is the root or lies below it. */
  async make(path: string): Promise<void> {
    await mkdir(path, { recursive: true });
    if (this.#synced.has(path)) return;
    for (let at = path; at !== this.#root && at !== dirname(at); ) {
      at = dirname(at);
      await syncPath(at);
    }
    this.#synced.add(path);
  }
}

/** Writes a small file whole: after a kill or a power loss it holds either the old bytes or the new. */
export async function writeDurably(path: string, bytes: string | Uint8Array): Promise<void> {
  const aside = join(dirname(path), `.${uuidV7()}.tmp`);
  try {
    const handle = await open(aside, 'wx');
    try {
      await handle.writeFile(bytes);
      await handle.sync();
    } finally {
      await handle.close();
    }
    await rename(aside, path);
  } catch (error) {
    await rm(aside, { force: true });
    throw error;
  }
  await syncPath(dirname(path));
}
