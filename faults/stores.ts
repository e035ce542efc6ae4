import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { MetadataStore } from '../packages/core/src/contracts/metadata-store.ts';
import type { KindDeclaration } from '../packages/core/src/contracts/record.ts';
import { SqliteMetadataStore } from '../packages/core/src/embedded/sqlite-metadata-store.ts';
import type { Json } from '../packages/core/src/json.ts';
import type { MetadataStoreHarness } from '../packages/core/src/testing/metadata/scene.ts';
import { SqliteMetadataHarness } from '../packages/core/test/sqlite-metadata-harness.ts';
import { pgBackend } from '../packages/store-pg/src/index.ts';
import { PgMetadataHarness } from '../packages/store-pg/test/pg-metadata-harness.ts';
import { PgCluster } from '../packages/store-pg/test/server/cluster.ts';
import { createTestDatabase } from '../packages/store-pg/test/server/test-database.ts';
import { silentLogger } from '../packages/store-pg/test/silent-logger.ts';

/** A store of its own, for this process and for children. */
export interface FaultPlace extends AsyncDisposable {
  readonly store: MetadataStore;
  /** How children find it. */
  readonly argument: { readonly [key: string]: Json };
}

/** A kind of store that harm is done to. */
export interface FaultStore extends AsyncDisposable {
  readonly name: 'sqlite' | 'pg';
  /** A new, empty store whose clock is moved by hand. */
  harness(): MetadataStoreHarness & Required<Pick<MetadataStoreHarness, 'clock'>>;
  /** A new, empty store in real time. `via` is the address that children take, when it is another. */
  place(kinds: readonly KindDeclaration[], via?: string): Promise<FaultPlace>;
  /** A program of the package's test children. */
  child(name: 'work-on' | 'order-many' | 'subscribe-on'): URL;
  /** The server's address, where there is one. */
  readonly url?: string;
}

/** The embedded store, in temporary directories. */
export function sqliteFaultStore(): FaultStore {
  return {
    name: 'sqlite',
    harness: () => new SqliteMetadataHarness(),
    async place(kinds) {
      const dir = mkdtempSync(join(tmpdir(), 'keelson-faults-'));
      const path = join(dir, 'keelson.db');
      const clock = { now: () => Date.now() };
      const store = await SqliteMetadataStore.open({ path, kinds, clock });
      return {
        store,
        argument: { path },
        async [Symbol.asyncDispose]() {
          await store.close();
          rmSync(dir, { recursive: true, force: true });
        },
      };
    },
    child: (name) => new URL(`../packages/core/test/children/${name}.ts`, import.meta.url),
    [Symbol.asyncDispose]: async () => undefined,
  };
}

/** PostgreSQL: a server of this run's own. */
export async function pgFaultStore(): Promise<FaultStore> {
  const cluster = await PgCluster.start();
  const database = await createTestDatabase(cluster.url());
  const { url } = database;
  return {
    name: 'pg',
    url,
    harness: () => new PgMetadataHarness(database),
    async place(kinds, via = url) {
      const schema = database.freshSchema();
      const store = await pgBackend({ url, schema }).openMetadata({ kinds, logger: silentLogger });
      return {
        store,
        argument: { url: via, schema },
        [Symbol.asyncDispose]: () => store.close(),
      };
    },
    child: (name) => new URL(`../packages/store-pg/test/children/${name}.ts`, import.meta.url),
    async [Symbol.asyncDispose]() {
      await database.drop();
      await cluster.stop();
    },
  };
}
