import { mkdir, open, rename, rm } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import type { Scope } from '../contracts/scope.ts';
import { readVersionById } from './model-records.ts';

/** The bytes of versions. */
export interface Downloads {
  /** Writes the version's files under `directory`, verified while they stream; answers their paths. */
  download(id: string, directory: string): Promise<readonly string[]>;
}

/** Downloads, bound to a scope. */
export function createDownloads(scope: Scope): Downloads {
  return {
    async download(id, directory) {
      const version = await readVersionById(scope, id);
      const written: string[] = [];
      for (const file of version.files) {
        const target = join(directory, file.path);
        await mkdir(dirname(target), { recursive: true });
        await writeVerified(await scope.artifacts.open(file.sha256), target, scope.ids.next());
        written.push(target);
      }
      return written;
    },
  };
}

/** Written aside and renamed: content that turns out damaged never bears the file's name. */
async function writeVerified(
  stream: ReadableStream<Uint8Array>,
  target: string,
  unique: string,
): Promise<void> {
  const aside = `${target}.${unique}.part`;
  try {
    const handle = await open(aside, 'wx');
    try {
      for await (const part of stream) await handle.writeFile(part);
    } finally {
      await handle.close();
    }
    await rename(aside, target);
  } catch (error) {
    await rm(aside, { force: true });
    throw error;
  }
}
