import { countMatches, searchPage } from '@keelson/core/sql';
import { afterAll } from 'vitest';
import { testSearch, thingKind } from '../../core/test/search-model.ts';
import { PgDatabase } from '../src/connection/pg-database.ts';
import { KeyNumbers } from '../src/metadata/key-numbers.ts';
import { PgMetadataStore } from '../src/metadata/pg-metadata-store.ts';
import { runSearch, searchContext } from '../src/metadata/pg-search.ts';
import { PgSeriesStore } from '../src/series/pg-series-store.ts';
import { describeOnPg } from './server/test-database.ts';

const opened: AsyncDisposable[] = [];

await describeOnPg('PostgreSQL', ({ url, freshSchema }) => {
  afterAll(async () => {
    for (const one of opened) await one[Symbol.asyncDispose]();
  });

  testSearch(
    async () => {
      const database = new PgDatabase({ url, schema: freshSchema() });
      const series = await PgSeriesStore.open({ database });
      const store = await PgMetadataStore.open({
        database,
        kinds: [thingKind],
        beforeProjectedQuery: () => series.foldPending(),
      });
      opened.push(store, series, database);
      const numbers = new KeyNumbers(database);
      return {
        store,
        series,
        page: (workspace, request, budgets) =>
          database.snapshot(async (transaction) => {
            const asked = { where: request.where, orderBy: request.orderBy };
            const context = await searchContext(transaction, numbers, thingKind, workspace, asked);
            return await runSearch(transaction, searchPage({ ...context, budgets }, request));
          }),
        count: (workspace, where, budgets) =>
          database.snapshot(async (transaction) => {
            const asked = { where, orderBy: [] };
            const context = await searchContext(transaction, numbers, thingKind, workspace, asked);
            return await runSearch(
              transaction,
              countMatches({ ...context, budgets }, where, undefined),
            );
          }),
      };
    },
    { metrics: true, share: 0.25 },
  );
});
