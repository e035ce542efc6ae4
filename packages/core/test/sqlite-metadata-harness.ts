import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { MetadataStore } from '../src/contracts/metadata-store.ts';
import type { KindDeclaration } from '../src/contracts/record.ts';
import { SqliteMetadataStore } from '../src/embedded/sqlite-metadata-store.ts';
import type { MetadataStoreHarness } from '../src/testing/metadata/scene.ts';

/** Opens the embedded store for the suite: a file in a directory of its own, a clock that is moved. */
export class SqliteMetadataHarness implements MetadataStoreHarness {
  readonly #directory = mkdtempSync(join(tmpdir(), 'keelson-metadata-'));
  readonly #opened: SqliteMetadataStore[] = [];
  #kinds: readonly KindDeclaration[] = [];
  #now = 1_700_000_000_000;
  /** The database, for other processes; they need a clock that shows `now`. */
  readonly path: string = join(this.#directory, 'keelson.db');
  readonly clock: { advance(ms: number): void } = {
    advance: (ms) => {
      this.#now += Math.ceil(ms);
    },
  };

  get now(): number {
    return this.#now;
  }

  async open(kinds: readonly KindDeclaration[]): Promise<MetadataStore> {
    this.#kinds = kinds;
    return await this.openSecond();
  }

  async openSecond(): Promise<MetadataStore> {
    const { path } = this;
    const clock = { now: () => this.#now };
    const store = await SqliteMetadataStore.open({ path, kinds: this.#kinds, clock });
    this.#opened.push(store);
    return store;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const store of this.#opened) await store.close();
    rmSync(this.#directory, { recursive: true, force: true });
  }
}
