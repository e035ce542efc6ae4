import { eventKinds } from '../packages/core/src/contracts/kinds/event-kinds.ts';
import { trackingKinds } from '../packages/core/src/contracts/kinds/tracking-kinds.ts';
import { PgDatabase } from '../packages/store-pg/src/connection/pg-database.ts';
import { PgMetadataStore } from '../packages/store-pg/src/metadata/pg-metadata-store.ts';
import { PgSeriesStore } from '../packages/store-pg/src/series/pg-series-store.ts';
import { bareClient } from '../packages/store-pg/test/server/bare-client.ts';
import { PgCluster } from '../packages/store-pg/test/server/cluster.ts';

type BareClient = Awaited<ReturnType<typeof bareClient>>;

/** A metadata store on PostgreSQL, and a plain connection to the same schema. */
export interface PgSides extends AsyncDisposable {
  readonly store: PgMetadataStore;
  readonly bare: BareClient;
  readonly schema: string;
}

/** A series store on PostgreSQL, and a plain connection to the same schema. */
export interface PgSeriesSides extends AsyncDisposable {
  readonly store: PgSeriesStore;
  readonly bare: BareClient;
}

/** A PostgreSQL that is there for a benchmark alone, on this machine, and waits for the disk. */
export class PgBench implements AsyncDisposable {
  readonly #cluster: PgCluster;
  #schemas = 0;

  private constructor(cluster: PgCluster) {
    this.#cluster = cluster;
  }

  static async start(): Promise<PgBench> {
    return new PgBench(await PgCluster.start({ durable: true }));
  }

  get url(): string {
    return this.#cluster.url();
  }

  freshSchema(): string {
    this.#schemas += 1;
    return `bench_${this.#schemas}`;
  }

  /** A series store in a schema of its own; the plain connection looks into that schema. */
  async openSeries(): Promise<PgSeriesSides> {
    const schema = this.freshSchema();
    const database = new PgDatabase({ url: this.url, schema, listen: false });
    const store = await PgSeriesStore.open({ database });
    const bare = await bareClient(this.url);
    await bare.query(`SET search_path TO ${schema}`);
    const dispose = async (): Promise<void> => {
      await store.close();
      await database.close();
      await bare.end();
    };
    return { store, bare, [Symbol.asyncDispose]: dispose };
  }

  /** A store in a schema of its own; the plain connection looks into that schema. */
  async open(): Promise<PgSides> {
    const schema = this.freshSchema();
    const { url } = this;
    const database = new PgDatabase({ url, schema });
    const beforeProjectedQuery = async (): Promise<void> => undefined;
    const options = { database, kinds: [...trackingKinds, ...eventKinds], beforeProjectedQuery };
    const store = await PgMetadataStore.open(options);
    const bare = await bareClient(url);
    await bare.query(`SET search_path TO ${schema}`);
    const dispose = async (): Promise<void> => {
      await store.close();
      await database.close();
      await bare.end();
    };
    return { store, bare, schema, [Symbol.asyncDispose]: dispose };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#cluster.stop();
  }
}
