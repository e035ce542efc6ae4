import { describe, test } from 'vitest';
import { SqliteMetadataHarness } from '../../test/sqlite-metadata-harness.ts';
import { metadataStoreSuite } from '../testing/metadata-store-suite.ts';
import { runCase } from '../testing/suite.ts';

describe('SqliteMetadataStore keeps the promises of MetadataStore', () => {
  for (const c of metadataStoreSuite.cases) {
    test(c.name, () => runCase(c, () => new SqliteMetadataHarness()));
  }
});
