import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll } from 'vitest';
import { testSearch, thingKind } from '../../test/search-model.ts';
import { countMatches, searchPage } from '../sql/index.ts';
import { SqliteDatabase } from './sqlite-database.ts';
import { SqliteMetadataStore } from './sqlite-metadata-store.ts';
import { runSearch, searchContext } from './sqlite-search.ts';
import { SqliteSeriesStore } from './sqlite-series-store.ts';

const directory = mkdtempSync(join(tmpdir(), 'keelson-search-'));
const opened: AsyncDisposable[] = [];

afterAll(async () => {
  for (const one of opened) await one[Symbol.asyncDispose]();
  rmSync(directory, { recursive: true, force: true });
});

testSearch(
  async () => {
    const database = await SqliteDatabase.open(join(directory, 'keelson.db'));
    const series = await SqliteSeriesStore.open({ database });
    const store = await SqliteMetadataStore.open({ database, kinds: [thingKind] });
    opened.push(store, series, database);
    return {
      store,
      series,
      page: async (workspace, request, budgets) =>
        database.read((db) => {
          const context = { ...searchContext(db, thingKind, workspace), budgets };
          return runSearch(db, searchPage(context, request));
        }),
      count: async (workspace, where, budgets) =>
        database.read((db) => {
          const context = { ...searchContext(db, thingKind, workspace), budgets };
          return runSearch(db, countMatches(context, where, undefined));
        }),
    };
  },
  { metrics: true },
);
