import type { KindDeclaration, MetadataStore } from '@keelson/core';
import type { MetadataStoreHarness } from '@keelson/core/testing';
import { PgDatabase } from '../src/connection/pg-database.ts';
import { PgMetadataStore } from '../src/metadata/pg-metadata-store.ts';
import type { TestDatabase } from './server/test-database.ts';

/** Opens the store for the suite: a schema of its own, and a clock that is moved. */
export class PgMetadataHarness implements MetadataStoreHarness {
  readonly #database: TestDatabase;
  readonly #schema: string;
  readonly #opened: AsyncDisposable[] = [];
  #kinds: readonly KindDeclaration[] = [];

  constructor(database: TestDatabase) {
    this.#database = database;
    this.#schema = database.freshSchema();
  }

  readonly clock: { advance(ms: number): Promise<void> } = {
    advance: async (ms) => {
      const clock = `${this.#schema}.test_clock`;
      await this.#database.query(`UPDATE ${clock} SET at = at + $1`, [Math.ceil(ms)]);
    },
  };

  async open(kinds: readonly KindDeclaration[]): Promise<MetadataStore> {
    this.#kinds = kinds;
    const store = await this.openSecond();
    const clock = `${this.#schema}.test_clock`;
    await this.#database.query(`CREATE TABLE ${clock} (at bigint NOT NULL);
      INSERT INTO ${clock} VALUES (1700000000000);
      CREATE OR REPLACE FUNCTION ${this.#schema}.now_ms() RETURNS bigint LANGUAGE sql VOLATILE
        AS 'SELECT at FROM ${clock}'`);
    return store;
  }

  async openSecond(): Promise<MetadataStore> {
    const { url } = this.#database;
    const database = new PgDatabase({ url, schema: this.#schema, maxConnections: 5 });
    this.#opened.unshift(database);
    const store = await PgMetadataStore.open({ database, kinds: this.#kinds });
    this.#opened.unshift(store);
    return store;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const one of this.#opened) await one[Symbol.asyncDispose]();
    await this.#database.query(`DROP SCHEMA IF EXISTS ${this.#schema} CASCADE`);
  }
}
