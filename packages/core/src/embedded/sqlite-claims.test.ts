import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe } from 'vitest';
import { testClaimsOverWorkspaces } from '../../test/metadata/claims-over-workspaces.ts';
import { SqliteMetadataStore } from './sqlite-metadata-store.ts';

const directory = mkdtempSync(join(tmpdir(), 'keelson-claims-'));
let stores = 0;
afterAll(() => rmSync(directory, { recursive: true, force: true }));

describe('claims over all workspaces', () => {
  testClaimsOverWorkspaces((kinds) => {
    stores += 1;
    return SqliteMetadataStore.open({ path: join(directory, `${stores}.db`), kinds });
  });
});
