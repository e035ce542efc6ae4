import type { EventFilter, StoredEvent } from '../contracts/event.ts';
import type {
  Claimed,
  ClaimKey,
  ClaimRequest,
  Commit,
  CommitResult,
  MetadataStore,
  Reach,
} from '../contracts/metadata-store.ts';
import type { Predicate, Query } from '../contracts/query.ts';
import type { KindDeclaration, RevisionEntry, StoredRecord } from '../contracts/record.ts';
import { KeelsonError } from '../errors.ts';
import {
  assertCount,
  assertNotAborted,
  assertPartition,
  checkClaim,
  checkCommit,
  checkCount,
  checkFind,
  checkHistory,
  checkQuery,
  checkReach,
  countMatches,
  type Kinds,
  kindOf,
  type PagePosition,
  readCursor,
  readsProjected,
  searchPage,
  writeCursor,
} from '../sql/index.ts';
import { EventWaiters } from './event-waiters.ts';
import {
  findUnclaimed,
  readClaimOwners,
  releaseClaims,
  renewClaims,
  takeClaim,
} from './sqlite-claims.ts';
import { applyCommit } from './sqlite-commit.ts';
import { SqliteDatabase } from './sqlite-database.ts';
import { defineFunctions } from './sqlite-dialect.ts';
import { eventNumber, latestEvent, readEvents, removeEvents } from './sqlite-events.ts';
import { readFacets } from './sqlite-facets.ts';
import { readHistory } from './sqlite-history.ts';
import { prepareKindTables } from './sqlite-kind-tables.ts';
import { readReach } from './sqlite-reach.ts';
import { SqliteRecordTable } from './sqlite-record-table.ts';
import { findRid } from './sqlite-schema.ts';
import { runSearch, searchContext } from './sqlite-search.ts';

/** Where the embedded metadata store keeps its records, and what it knows. */
export type SqliteMetadataStoreOptions = (
  | { readonly database: SqliteDatabase }
  | { readonly path: string }
) & {
  readonly kinds: readonly KindDeclaration[];
  readonly clock?: { now(): number };
  /** Called before a read that looks at projected facets: folds what series have lying unfolded. */
  readonly beforeProjectedQuery?: () => Promise<unknown>;
};

interface Parts {
  readonly database: SqliteDatabase;
  readonly owned: boolean;
  readonly kinds: Kinds;
  readonly clock: { now(): number };
  readonly beforeProjectedQuery: () => Promise<unknown>;
}

/** The embedded {@link MetadataStore}: tables in one SQLite file, which several processes may share. */
export class SqliteMetadataStore implements MetadataStore {
  readonly #db: SqliteDatabase;
  readonly #parts: Parts;
  readonly #tables: ReadonlyMap<string, SqliteRecordTable>;
  readonly #waiters: EventWaiters;
  #closed = false;

  private constructor(parts: Parts) {
    this.#parts = parts;
    this.#db = parts.database;
    this.#tables = new Map(
      [...parts.kinds].map(([name, kind]) => [name, new SqliteRecordTable(parts.database, kind)]),
    );
    this.#waiters = new EventWaiters(() => latestEvent(parts.database));
  }

  /**
   * Opens the store on a database that stays the caller's, or on a file that it opens and closes. New
   * kinds and optional columns are added; INCOMPATIBLE, naming kind and column, for a declaration that
   * the stored records do not fit.
   */
  static async open(options: SqliteMetadataStoreOptions): Promise<SqliteMetadataStore> {
    const owned = 'path' in options;
    const database = owned ? await SqliteDatabase.open(options.path) : options.database;
    try {
      defineFunctions(database);
      await prepareKindTables(database, options.kinds);
    } catch (error) {
      if (owned) await database.close();
      throw error;
    }
    return new SqliteMetadataStore({
      database,
      owned,
      kinds: new Map(options.kinds.map((kind) => [kind.name, kind])),
      clock: options.clock ?? Date,
      beforeProjectedQuery: options.beforeProjectedQuery ?? (async () => undefined),
    });
  }

  async now(): Promise<number> {
    this.#assertOpen();
    return this.#now();
  }

  async find(
    workspace: string,
    kind: string,
    id: string,
    options: { readonly facets?: readonly string[] } = {},
  ): Promise<StoredRecord | undefined> {
    const [record] = await this.findMany(workspace, kind, [id], options);
    return record;
  }

  async findMany(
    workspace: string,
    kind: string,
    ids: readonly string[],
    options: { readonly facets?: readonly string[]; readonly body?: boolean } = {},
  ): Promise<readonly StoredRecord[]> {
    const table = this.#table(kind);
    const facets = checkFind(table.kind, workspace, ids, options.facets);
    await this.#foldFor(table.kind, { facets });
    return await this.#read((db) =>
      ids.flatMap((id) => {
        const row = table.find(workspace, id, options.body);
        return row === undefined ? [] : [table.record(row, readFacets(db, table, row.rid, facets))];
      }),
    );
  }

  async query(
    workspace: string,
    kind: string,
    query: Query,
    options: { readonly signal?: AbortSignal } = {},
  ): Promise<{ readonly records: readonly StoredRecord[]; readonly cursor?: string }> {
    const table = this.#table(kind);
    const { where, orderBy, limit, facets, body } = checkQuery(table.kind, workspace, query);
    const scope = { workspace, kind, where, orderBy };
    const after = query.cursor === undefined ? undefined : readCursor(scope, query.cursor);
    await this.#foldFor(table.kind, { where, orderBy, facets });
    assertNotAborted(options.signal);
    return await this.#read((db) => {
      const context = searchContext(db, table.kind, workspace);
      const request = { where, orderBy, limit: limit + 1, after };
      const found = runSearch(db, searchPage(context, request));
      const records = found.slice(0, limit).flatMap(({ rid }) => {
        const row = table.get(rid, body);
        return row === undefined ? [] : [table.record(row, readFacets(db, table, rid, facets))];
      });
      const last: PagePosition | undefined = found.length > limit ? found[limit - 1] : undefined;
      return last === undefined ? { records } : { records, cursor: writeCursor(scope, last) };
    });
  }

  async count(
    workspace: string,
    kind: string,
    where: Predicate | undefined,
    options: { readonly exact?: boolean; readonly signal?: AbortSignal } = {},
  ): Promise<{ readonly count: number; readonly exact: boolean }> {
    const table = this.#table(kind);
    checkCount(table.kind, workspace, where);
    await this.#foldFor(table.kind, { where });
    assertNotAborted(options.signal);
    return await this.#read((db) => {
      const context = searchContext(db, table.kind, workspace);
      return runSearch(
        db,
        countMatches(context, where, options.exact === true ? undefined : 10_000),
      );
    });
  }

  async history(
    workspace: string,
    kind: string,
    id: string,
    options: { readonly after?: number; readonly limit?: number } = {},
  ): Promise<readonly RevisionEntry[]> {
    const table = this.#table(kind);
    const range = checkHistory(workspace, id, options);
    return await this.#read((db) => {
      const rid = findRid(db, workspace, id);
      return rid === undefined ? [] : readHistory(db, table.kind.name, rid, range);
    });
  }

  async reach(
    workspace: string,
    ids: readonly string[],
    options: {
      readonly direction: 'forward' | 'backward';
      readonly depth: number;
      readonly limit: number;
      readonly roles?: readonly string[];
    },
  ): Promise<Reach> {
    this.#table('edge');
    const request = checkReach(workspace, ids, options);
    return await this.#read((db) => readReach(db, request));
  }

  async commit(commit: Commit): Promise<CommitResult> {
    this.#assertOpen();
    const changes = checkCommit(this.#parts.kinds, commit);
    const emits = changes.some(({ op }) => op === 'emit');
    return await this.#db.write((db) => {
      const table = ({ name }: KindDeclaration): SqliteRecordTable => this.#table(name);
      const context = { db, commit, at: this.#now(), table };
      if (emits) db.afterCommit(() => this.#waiters.wake());
      return applyCommit(context, changes);
    });
  }

  async readEvents(request: {
    readonly workspace?: string;
    readonly after?: string;
    readonly filter?: EventFilter;
    readonly limit: number;
  }): Promise<{ readonly events: readonly StoredEvent[]; readonly cursor: string }> {
    this.#assertOpen();
    const { workspace, filter = {}, limit } = request;
    assertCount(limit, 1, 1_000, 'The limit');
    assertPartition(filter.partition);
    const after = eventNumber(request.after ?? '0');
    return await this.#read((db) => readEvents(db, { workspace, after, filter, limit }));
  }

  async removeEvents(workspace: string, ids: readonly string[]): Promise<void> {
    this.#assertOpen();
    assertCount(ids.length, 0, 1_000, 'The number of events to remove');
    if (ids.length > 0) await this.#db.write((db) => removeEvents(db, workspace, ids));
  }

  async latestEventCursor(): Promise<string> {
    this.#assertOpen();
    return await this.#read((db) => String(latestEvent(db)));
  }

  async waitForEvents(
    after: string,
    options: { readonly timeoutMs: number; readonly signal?: AbortSignal },
  ): Promise<boolean> {
    this.#assertOpen();
    return await this.#waiters.wait(eventNumber(after), options);
  }

  async claim(kind: string, request: ClaimRequest): Promise<readonly Claimed[]> {
    const table = this.#table(kind);
    const search = checkClaim(table.kind, request);
    await this.#foldFor(table.kind, search);
    // Most calls find nothing due: they shall not queue for the write lock.
    const due = await this.#read((db) =>
      findUnclaimed(db, table.kind, { ...search, limit: 1 }, this.#now()),
    );
    if (due.length === 0) return [];
    const take = (db: SqliteDatabase): readonly Claimed[] => {
      const now = this.#now();
      const found = findUnclaimed(db, table.kind, search, now);
      return found.map(({ rid }) => takeClaim(db, table, rid, search, now));
    };
    // A loss of power ends those who claim, and what they committed under their claims is synced with these.
    return await this.#db.write(take, { synced: search.set.length > 0 });
  }

  async claimOwners(kind: string, workspace?: string): Promise<readonly string[]> {
    const table = this.#table(kind);
    return await this.#read((db) => readClaimOwners(db, table.kind.name, workspace, this.#now()));
  }

  async renew(claims: readonly ClaimKey[], leaseMs: number): Promise<readonly ClaimKey[]> {
    this.#assertOpen();
    assertCount(leaseMs, 1, Number.MAX_SAFE_INTEGER, 'The lease');
    if (claims.length === 0) return [];
    return await this.#db.write((db) => renewClaims(db, claims, leaseMs, this.#now()), {
      synced: false,
    });
  }

  async release(claims: readonly ClaimKey[]): Promise<void> {
    this.#assertOpen();
    if (claims.length === 0) return;
    await this.#db.write((db) => releaseClaims(db, claims), { synced: false });
  }

  async ping(options: { readonly signal?: AbortSignal } = {}): Promise<void> {
    this.#assertOpen();
    assertNotAborted(options.signal);
    await this.#read((db) => db.prepare('SELECT count(*) AS n FROM kind').get());
  }

  async close(): Promise<void> {
    if (!this.#closed) {
      this.#closed = true;
      this.#waiters.close();
    }
    if (this.#parts.owned) await this.#db.close();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }

  async #read<T>(work: (db: SqliteDatabase) => T): Promise<T> {
    await this.#db.turn();
    return this.#db.read(work);
  }

  #now(): number {
    return Math.floor(this.#parts.clock.now());
  }

  #table(kind: string): SqliteRecordTable {
    this.#assertOpen();
    const table = this.#tables.get(kindOf(this.#parts.kinds, kind).name);
    if (table === undefined) throw new KeelsonError('INTERNAL', `No table for ${kind}.`);
    return table;
  }

  async #foldFor(
    kind: KindDeclaration,
    query: Parameters<typeof readsProjected>[1],
  ): Promise<void> {
    if (readsProjected(kind, query)) await this.#parts.beforeProjectedQuery();
  }

  #assertOpen(): void {
    if (this.#closed || this.#db.closed) {
      throw new KeelsonError('CLOSED', 'The metadata store has been closed.');
    }
  }
}
