import { projectedFacetSuite, runCase, seriesStoreSuite } from '@keelson/core/testing';
import { test } from 'vitest';
import { PgSeriesHarness, projectionHarness } from './pg-series-harness.ts';
import { describeOnPg } from './server/test-database.ts';

await describeOnPg('PgSeriesStore keeps the promises of SeriesStore', (database) => {
  for (const c of seriesStoreSuite.cases) {
    test(c.name, () => runCase(c, () => new PgSeriesHarness(database)));
  }
});

await describeOnPg('PostgreSQL keeps the promises of projected facets', (database) => {
  for (const c of projectedFacetSuite.cases) {
    test(c.name, () => runCase(c, async () => projectionHarness(database)));
  }
});
