import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, test } from 'vitest';
import type { KindDeclaration } from '../contracts/record.ts';
import type { MetadataStoreHarness } from '../testing/metadata/scene.ts';
import { metadataStoreSuite } from '../testing/metadata-store-suite.ts';
import { runCase } from '../testing/suite.ts';
import { SqliteMetadataStore } from './sqlite-metadata-store.ts';

function harness(): MetadataStoreHarness {
  const directory = mkdtempSync(join(tmpdir(), 'keelson-metadata-'));
  const path = join(directory, 'keelson.db');
  let now = 1_700_000_000_000;
  const clock = { now: () => now };
  const opened: SqliteMetadataStore[] = [];
  let kinds: readonly KindDeclaration[] = [];
  const open = async (): Promise<SqliteMetadataStore> => {
    const store = await SqliteMetadataStore.open({ path, kinds, clock });
    opened.push(store);
    return store;
  };
  return {
    open: (declared) => {
      kinds = declared;
      return open();
    },
    openSecond: open,
    clock: {
      advance: (ms) => {
        now += ms;
      },
    },
    async [Symbol.asyncDispose]() {
      for (const store of opened) await store.close();
      rmSync(directory, { recursive: true, force: true });
    },
  };
}

describe('SqliteMetadataStore keeps the promises of MetadataStore', () => {
  for (const c of metadataStoreSuite.cases) {
    test(c.name, () => runCase(c, harness));
  }
});
