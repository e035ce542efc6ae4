import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe } from 'vitest';
import { testKindChanges } from '../../test/metadata/kind-changes.ts';
import { SqliteDatabase } from './sqlite-database.ts';
import { SqliteMetadataStore } from './sqlite-metadata-store.ts';

let directory: string;
let path: string;
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'keelson-kinds-'));
  path = join(directory, 'keelson.db');
});
afterEach(() => rmSync(directory, { recursive: true, force: true }));

describe('kinds and their tables', () => {
  testKindChanges(() => ({
    projects: true,
    open: (...kinds) => SqliteMetadataStore.open({ path, kinds }),
    hasTable: async (name) => {
      await using db = await SqliteDatabase.open(path);
      const found = db.prepare('SELECT 1 FROM sqlite_schema WHERE name = ?').all(name);
      return found.length > 0;
    },
    run: async (statement) => {
      await using db = await SqliteDatabase.open(path);
      db.exec(statement);
    },
  }));
});
