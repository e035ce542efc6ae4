import {
  type Caretaker,
  type Connections,
  type HealthCheck,
  KeelsonError,
  type KindDeclaration,
  type Logger,
  type MetadataBackend,
  type MetadataStore,
  type OpenedSeries,
  type PointTargetDescription,
  type SeriesBackend,
} from '@keelson/core';
import {
  checkConnectionOptions,
  type PgConnectionOptions,
} from './connection/connection-options.ts';
import { PgDatabase } from './connection/pg-database.ts';
import { healthChecks, type PgHealth, readHealth } from './connection/pg-health.ts';
import { resetPool } from './connection/reset-pool.ts';
import { urlOf } from './connection/url-of.ts';
import { PgMetadataStore } from './metadata/pg-metadata-store.ts';
import { PgHeartbeats } from './series/pg-heartbeats.ts';
import { PgSeriesStore } from './series/pg-series-store.ts';

/** PostgreSQL as a backend of platforms: `openPlatform({ metadata: pg, series: pg })`. */
export interface PgBackend extends MetadataBackend, SeriesBackend {
  /** The schema that holds everything. */
  readonly schema: string;
  /** How the server, the pool and the replica are. CLOSED while no store of this backend is open. */
  health(options?: { readonly signal?: AbortSignal }): Promise<PgHealth>;
  /** The same as checks of a Caretaker. */
  checks(): readonly HealthCheck[];
  /** The checks, and the recovery that puts a new pool in the place of one that is stuck. */
  caretaker(): Caretaker;
}

/**
 * PostgreSQL 14 or newer as a backend, by its address or through a pool of yours. Makes no connection;
 * INVALID, by name, for options that it cannot use.
 */
export function pgBackend(options: PgConnectionOptions): PgBackend {
  return new SharedPgBackend(options);
}

/** What is open is shared by the stores of one backend, and closed with the last of them. */
class SharedPgBackend implements PgBackend {
  readonly schema: string;
  readonly #options: PgConnectionOptions;
  readonly #series = new Set<PgSeriesStore>();
  #database: PgDatabase | undefined;
  #users = 0;

  constructor(options: PgConnectionOptions) {
    this.#options = checkConnectionOptions(options);
    this.schema = options.schema ?? 'keelson';
  }

  async openMetadata(context: {
    readonly kinds: readonly KindDeclaration[];
    readonly logger: Logger;
  }): Promise<MetadataStore> {
    const { database, leave } = this.#enter(context.logger);
    // The series of this backend are opened first, if they are: then metrics lie beside the records.
    const beside = this.#series.size > 0;
    const beforeProjectedQuery = async (): Promise<void> => {
      const [series] = this.#series;
      await series?.foldPending();
    };
    try {
      return await PgMetadataStore.open({
        ...context,
        database,
        onClose: leave,
        ...(beside ? { beforeProjectedQuery } : {}),
      });
    } catch (error) {
      await leave();
      throw error;
    }
  }

  async openSeries(context: { readonly logger: Logger }): Promise<OpenedSeries> {
    const points = this.#pointTarget();
    const { database, leave } = this.#enter(context.logger);
    try {
      const store: PgSeriesStore = await PgSeriesStore.open({
        database,
        onClose: async () => {
          this.#series.delete(store);
          await leave();
        },
      });
      this.#series.add(store);
      return { store, heartbeats: new PgHeartbeats(database), points };
    } catch (error) {
      await leave();
      throw error;
    }
  }

  /** The thread that writes points opens connections of its own; a pool cannot cross to it. */
  #pointTarget(): PointTargetDescription {
    const { statementTimeoutMs, lockTimeoutMs, connectTimeoutMs } = this.#options;
    const limits = { statementTimeoutMs, lockTimeoutMs, connectTimeoutMs };
    const given = Object.entries(limits).filter(([, value]) => value !== undefined);
    const file = import.meta.url.endsWith('.ts')
      ? './series/pg-points-thread.ts'
      : './pg-points-thread.js';
    return {
      kind: 'module',
      module: new URL(file, import.meta.url).href,
      options: { url: urlOf(this.#options), schema: this.schema, ...Object.fromEntries(given) },
    };
  }

  async health(options: { readonly signal?: AbortSignal } = {}): Promise<PgHealth> {
    if (this.#database === undefined) {
      throw new KeelsonError('CLOSED', 'No store of this backend is open.');
    }
    return await readHealth(this.#database, options.signal);
  }

  connections(): Connections | undefined {
    const { total, idle, waiting } = this.#database?.poolFigures() ?? {};
    if (total === undefined || idle === undefined || waiting === undefined) return undefined;
    return { total, idle, waiting };
  }

  checks(): readonly HealthCheck[] {
    return healthChecks(() => this.#database);
  }

  caretaker(): Caretaker {
    const recoveries = [resetPool(() => this.#database)];
    return { component: 'store-pg', checks: this.checks(), recoveries };
  }

  /** A share in the database, which is closed when the last one leaves. */
  #enter(logger: Logger): { readonly database: PgDatabase; readonly leave: () => Promise<void> } {
    const database = this.#database ?? new PgDatabase(this.#options, logger);
    this.#database = database;
    this.#users += 1;
    let inside = true;
    const leave = async (): Promise<void> => {
      if (!inside) return;
      inside = false;
      this.#users -= 1;
      if (this.#users > 0) return;
      this.#database = undefined;
      await database.close();
    };
    return { database, leave };
  }
}
