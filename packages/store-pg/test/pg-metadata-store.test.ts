import { metadataStoreSuite, runCase } from '@keelson/core/testing';
import { test } from 'vitest';
import { PgMetadataHarness } from './pg-metadata-harness.ts';
import { describeOnPg } from './server/test-database.ts';

await describeOnPg('PgMetadataStore keeps the promises of MetadataStore', (database) => {
  for (const c of metadataStoreSuite.cases) {
    test(c.name, () => runCase(c, () => new PgMetadataHarness(database)));
  }
});
