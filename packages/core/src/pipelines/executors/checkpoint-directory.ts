import { readdir } from 'node:fs/promises';
import { join } from 'node:path';

/**
 * The last complete checkpoint in a directory where a task writes `v1`, `v2` … each under another name first and
 * renamed when it is whole; undefined when there is none.
 */
export async function lastCheckpoint(dir: string): Promise<string | undefined> {
  const names = await readdir(dir).catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT') return [];
    throw error;
  });
  const complete = names
    .map((name) => /^v(\d{1,15})$/.exec(name)?.[1])
    .filter((number) => number !== undefined)
    .map(Number);
  return complete.length === 0 ? undefined : join(dir, `v${Math.max(...complete)}`);
}
