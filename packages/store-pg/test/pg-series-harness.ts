import type { KindDeclaration, SeriesStore } from '@keelson/core';
import type { ProjectedFacetHarness, SeriesStoreHarness } from '@keelson/core/testing';
import { PgDatabase } from '../src/connection/pg-database.ts';
import { PgMetadataStore } from '../src/metadata/pg-metadata-store.ts';
import { PgSeriesStore } from '../src/series/pg-series-store.ts';
import type { TestDatabase } from './server/test-database.ts';

/** Opens the series store for its suite, in a schema of its own. */
export class PgSeriesHarness implements SeriesStoreHarness {
  readonly #database: TestDatabase;
  readonly #schema: string;
  readonly #opened: AsyncDisposable[] = [];

  constructor(database: TestDatabase) {
    this.#database = database;
    this.#schema = database.freshSchema();
  }

  async open(): Promise<SeriesStore> {
    const database = this.connect();
    const store = await PgSeriesStore.open({ database });
    this.#opened.unshift(store);
    return store;
  }

  openSecond(): Promise<SeriesStore> {
    return this.open();
  }

  connect(): PgDatabase {
    const { url } = this.#database;
    const database = new PgDatabase({
      url,
      schema: this.#schema,
      maxConnections: 4,
      listen: false,
    });
    this.#opened.unshift(database);
    return database;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const one of this.#opened) await one[Symbol.asyncDispose]();
    await this.#database.query(`DROP SCHEMA IF EXISTS ${this.#schema} CASCADE`);
  }
}

/** Opens both stores on one database, as the platform does. */
export function projectionHarness(testDatabase: TestDatabase): ProjectedFacetHarness {
  const harness = new PgSeriesHarness(testDatabase);
  let metadata: PgMetadataStore | undefined;
  return {
    async open(kinds: readonly KindDeclaration[]) {
      const database = harness.connect();
      const series = await PgSeriesStore.open({ database });
      const beforeProjectedQuery = (): Promise<void> => series.foldPending();
      metadata = await PgMetadataStore.open({ database, kinds, beforeProjectedQuery });
      return { metadata, series };
    },
    async [Symbol.asyncDispose]() {
      await metadata?.close();
      await harness[Symbol.asyncDispose]();
    },
  };
}
