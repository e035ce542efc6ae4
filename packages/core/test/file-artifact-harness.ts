import { existsSync, statfsSync } from 'node:fs';
import { chmod, mkdtemp, open, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { ArtifactStore } from '../src/contracts/artifact-store.ts';
import { FileArtifactStore } from '../src/embedded/file-artifact-store.ts';
import type { ArtifactStoreHarness } from '../src/testing/artifact-store-suite.ts';

/** How a handle is changed before a case gets it: what breaks an adapter deliberately. */
export type Disguise = (
  store: FileArtifactStore,
  context: { readonly dir: string; readonly reopened: boolean },
) => ArtifactStore;

/** A directory in memory where the system has a large one, for tests that are not about the disk. */
export const fastDirectory: string = hasLargeMemoryDisk('/dev/shm') ? '/dev/shm' : tmpdir();

function hasLargeMemoryDisk(path: string): boolean {
  if (!existsSync(path)) return false;
  const { bavail, bsize } = statfsSync(path);
  return bavail * bsize > 2 * 1024 ** 3;
}

/** A harness of file artifact stores on a new temporary directory below `parent`. */
export async function openFileArtifactHarness(
  disguise: Disguise = (store) => store,
  parent: string = tmpdir(),
): Promise<ArtifactStoreHarness> {
  const dir = await mkdtemp(join(parent, 'keelson-artifacts-'));
  const handles: FileArtifactStore[] = [];
  async function another(reopened: boolean): Promise<ArtifactStore> {
    const store = await FileArtifactStore.open({ dir });
    handles.push(store);
    return disguise(store, { dir, reopened });
  }
  return {
    store: await another(false),
    reopen: () => another(true),
    damage: async (workspace, sha256, offset) => {
      const path = fileURLToPath(handles[0]?.uri(workspace, sha256) ?? '');
      await flipByte(path, offset);
    },
    async [Symbol.asyncDispose]() {
      for (const handle of handles) await handle.close();
      await rm(dir, { recursive: true, force: true });
    },
  };
}

/** Changes one byte of a file in place. */
export async function flipByte(path: string, offset: number): Promise<void> {
  await chmod(path, 0o644);
  const handle = await open(path, 'r+');
  try {
    const byte = Buffer.alloc(1);
    await handle.read(byte, 0, 1, offset);
    byte[0] = (byte[0] ?? 0) ^ 0x40;
    await handle.write(byte, 0, 1, offset);
  } finally {
    await handle.close();
  }
}
