import { existsSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { brokenSeriesStores } from '../../test/series/broken-stores.ts';
import type { SeriesStore } from '../contracts/series-store.ts';
import { type SeriesStoreHarness, seriesStoreSuite } from '../testing/series-store-suite.ts';
import { runCase, runSuite } from '../testing/suite.ts';
import { SqliteSeriesStore } from './sqlite-series-store.ts';

describe('SqliteSeriesStore keeps the promises of SeriesStore', () => {
  for (const suiteCase of seriesStoreSuite.cases) {
    test(suiteCase.name, () => runCase(suiteCase, () => sqliteHarness(tmpdir())));
  }
});

describe('the suite sees an adapter that breaks one promise', () => {
  // In memory where there is a file system for it: these thousands of stores need no disk.
  const directory = existsSync('/dev/shm') ? '/dev/shm' : tmpdir();

  test('there is such an adapter for each case', () => {
    const cases = seriesStoreSuite.cases.map((one) => one.name);
    expect(brokenSeriesStores.map((one) => one.breaks).toSorted()).toEqual(cases.toSorted());
  });

  for (const { breaks, how, inWorld } of brokenSeriesStores) {
    test(`${breaks}: ${how}`, async () => {
      const results = await runSuite(seriesStoreSuite, () => sqliteHarness(directory, inWorld()));
      const failed = results.filter((result) => !result.passed);
      expect(failed.map((result) => result.name)).toEqual([breaks]);
    }, 60_000);
  }
});

function sqliteHarness(
  parent: string,
  wrap: (store: SeriesStore) => SeriesStore = (store) => store,
): SeriesStoreHarness {
  const directory = mkdtempSync(join(parent, 'series-'));
  const opened: SeriesStore[] = [];
  const open = async (): Promise<SeriesStore> => {
    const store = await SqliteSeriesStore.open({ path: join(directory, 'keelson.db') });
    opened.push(store);
    return wrap(store);
  };
  return {
    open,
    openSecond: open,
    async [Symbol.asyncDispose]() {
      for (const store of opened) await store.close();
      rmSync(directory, { recursive: true, force: true });
    },
  };
}
