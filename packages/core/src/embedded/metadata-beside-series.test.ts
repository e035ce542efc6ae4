import { describe, expect, test } from 'vitest';
import { SqliteMetadataHarness } from '../../test/sqlite-metadata-harness.ts';
import { SqliteProjectionHarness } from '../../test/sqlite-projection-harness.ts';
import type { MetadataStore } from '../contracts/metadata-store.ts';
import type { KindDeclaration } from '../contracts/record.ts';
import type { SeriesStore } from '../contracts/series-store.ts';
import { home, suiteKinds } from '../testing/metadata/scene.ts';
import { metadataStoreSuite } from '../testing/metadata-store-suite.ts';
import { batchOf } from '../testing/series/scene.ts';
import { runCase } from '../testing/suite.ts';
import { MetadataBesideSeries } from './metadata-beside-series.ts';

const noSeries = { summariesOf: async () => new Map() } as unknown as SeriesStore;

/** The embedded store behind what stands between it and series of another database. */
class BesideHarness extends SqliteMetadataHarness {
  #kinds: readonly KindDeclaration[] = [];

  override async open(kinds: readonly KindDeclaration[]): Promise<MetadataStore> {
    this.#kinds = kinds;
    return await super.open(kinds);
  }

  override async openSecond(): Promise<MetadataStore> {
    return new MetadataBesideSeries(await super.openSecond(), noSeries, this.#kinds);
  }
}

describe('MetadataBesideSeries keeps the promises of MetadataStore', () => {
  for (const c of metadataStoreSuite.cases) {
    test(c.name, () => runCase(c, () => new BesideHarness()));
  }
});

describe('MetadataBesideSeries', () => {
  test('gives projected facets along, and refuses to search by them', async () => {
    await using metadata = new SqliteMetadataHarness();
    await using elsewhere = new SqliteProjectionHarness();
    const { series } = await elsewhere.open(suiteKinds);
    const store = new MetadataBesideSeries(
      await metadata.open(suiteKinds),
      series as SeriesStore,
      suiteKinds,
    );
    const change = { op: 'create', kind: 'measured', id: 'a', columns: {} } as const;
    await store.commit({ workspace: home, principal: 'tester', changes: [change] });
    const at = (key: string) => ({ workspace: home, owner: 'a', key });
    await series.appendPoints(
      batchOf('writer', 1, [
        [at('loss'), 1, 1, 0.5],
        [at('loss'), 2, 2, 0.25],
        [at('__proto__'), 1, 1, -0],
      ]),
    );
    const metrics = Object.fromEntries([
      ['loss', 0.25],
      ['__proto__', -0],
    ]);
    const found = await store.find(home, 'measured', 'a', { facets: ['metrics'] });
    expect(found?.facets).toEqual({ metrics });
    const page = await store.query(home, 'measured', { facets: ['metrics'] });
    expect(page.records.map(({ facets }) => facets)).toEqual([{ metrics }]);
    const left = { from: 'facet', facet: 'metrics', key: 'loss' } as const;
    const where = { op: 'present', left } as const;
    const unsupported = { code: 'UNSUPPORTED', details: { key: 'loss' } };
    await expect(store.query(home, 'measured', { where })).rejects.toMatchObject(unsupported);
    const orderBy = [{ by: left, direction: 'asc' }] as const;
    await expect(store.query(home, 'measured', { orderBy })).rejects.toMatchObject(unsupported);
    await expect(store.count(home, 'measured', where)).rejects.toMatchObject(unsupported);
  });
});
