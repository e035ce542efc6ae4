import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { workspaceDirectory } from '@keelson/core/content';
import { type ArtifactStoreHarness, artifactStoreSuite, runCase } from '@keelson/core/testing';
import { describe, test } from 'vitest';
import { SqliteArtifactStore } from './sqlite-artifacts.ts';

/** What the suite needs besides the store: another handle on the same file, and a way to do it harm. */
async function openHarness(): Promise<ArtifactStoreHarness> {
  const dir = await mkdtemp(join(tmpdir(), 'keelson-own-store-'));
  const handles: SqliteArtifactStore[] = [];
  const another = async (): Promise<SqliteArtifactStore> => {
    const store = new SqliteArtifactStore(join(dir, 'artifacts.db'));
    handles.push(store);
    return store;
  };
  const store = await another();
  return {
    store,
    reopen: another,
    async damage(workspace, sha256, offset) {
      const { database } = store;
      const n = Math.floor(offset / 2 ** 20);
      const where = `upload = (SELECT upload FROM content WHERE space = ? AND sha256 = ?) AND n = ?`;
      const place = [workspaceDirectory(workspace), sha256, n];
      const row = database.prepare(`SELECT bytes FROM chunk WHERE ${where}`).get(...place);
      const bytes = Uint8Array.from(row?.['bytes'] as Uint8Array);
      const at = offset % 2 ** 20;
      bytes[at] = (bytes[at] ?? 0) ^ 0x40;
      database.prepare(`UPDATE chunk SET bytes = ? WHERE ${where}`).run(bytes, ...place);
    },
    async [Symbol.asyncDispose]() {
      for (const handle of handles) await handle.close();
      await rm(dir, { recursive: true, force: true });
    },
  };
}

describe('an artifact store of our own keeps the promises of ArtifactStore', () => {
  for (const one of artifactStoreSuite.cases) test(one.name, () => runCase(one, openHarness));
});
