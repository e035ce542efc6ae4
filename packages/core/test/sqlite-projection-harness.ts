import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { KindDeclaration } from '../src/contracts/record.ts';
import { SqliteDatabase } from '../src/embedded/sqlite-database.ts';
import { SqliteMetadataStore } from '../src/embedded/sqlite-metadata-store.ts';
import { SqliteSeriesStore } from '../src/embedded/sqlite-series-store.ts';
import type { ProjectedFacetHarness } from '../src/testing/projected-facet-suite.ts';

/** Opens both embedded stores on one database, as the platform does. */
export class SqliteProjectionHarness implements ProjectedFacetHarness {
  readonly #directory = mkdtempSync(join(tmpdir(), 'keelson-projection-'));
  readonly #opened: AsyncDisposable[] = [];

  async open(kinds: readonly KindDeclaration[]): ReturnType<ProjectedFacetHarness['open']> {
    const database = await SqliteDatabase.open(join(this.#directory, 'keelson.db'));
    const series = await SqliteSeriesStore.open({ database });
    const beforeProjectedQuery = async (): Promise<void> => {
      if (series.hasPending()) await series.fold();
    };
    const metadata = await SqliteMetadataStore.open({ database, kinds, beforeProjectedQuery });
    this.#opened.push(metadata, series, database);
    return { metadata, series };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const one of this.#opened) await one[Symbol.asyncDispose]();
    rmSync(this.#directory, { recursive: true, force: true });
  }
}
