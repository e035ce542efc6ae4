import {
  type Claimed,
  type ClaimKey,
  type ClaimRequest,
  type Commit,
  type CommitResult,
  type EventFilter,
  KeelsonError,
  type KindDeclaration,
  type Logger,
  type MetadataStore,
  type Predicate,
  type Query,
  type Reach,
  type RevisionEntry,
  type StoredEvent,
  type StoredRecord,
} from '@keelson/core';
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
  readCursor,
  readsProjected,
  searchPage,
  writeCursor,
} from '@keelson/core/sql';
import type { PgDatabase } from '../connection/pg-database.ts';
import { migrate } from '../schema/migrations.ts';
import { sharedSchema } from '../schema/shared-schema.ts';
import { EventNotifier } from './event-notifier.ts';
import { EventWaiters } from './event-waiters.ts';
import { KeyNumbers } from './key-numbers.ts';
import { checkKinds, kindsFit, prepareKinds } from './kind-tables.ts';
import { metadataSchema } from './metadata-schema.ts';
import { claimRecords, readClaimOwners, releaseClaims, renewClaims } from './pg-claims.ts';
import { applyCommit } from './pg-commit.ts';
import { eventPlace, latestEventCursor, readEvents, removeEvents } from './pg-events.ts';
import { readHistory } from './pg-history.ts';
import { readReach } from './pg-reach.ts';
import { PgRecordTable, readRecords } from './pg-record-table.ts';
import { runSearch, searchContext } from './pg-search.ts';
import { eventsGoOn, letEventsGoOn } from './tx-offset.ts';

/** Where the store keeps its records, and what it knows. */
export interface PgMetadataStoreOptions {
  /** Stays the caller's. */
  readonly database: PgDatabase;
  readonly kinds: readonly KindDeclaration[];
  readonly logger?: Logger;
  /**
   * Called before a read that looks at projected facets: folds what series have lying unfolded. Left out
   * where the series are elsewhere: then such reads are UNSUPPORTED.
   */
  readonly beforeProjectedQuery?: () => Promise<unknown>;
  /** Called once, when the store has been closed. */
  readonly onClose?: () => Promise<void>;
}

/** A {@link MetadataStore} on PostgreSQL, in a schema of its own, which many processes may share. */
export class PgMetadataStore implements MetadataStore {
  readonly #db: PgDatabase;
  readonly #kinds: Kinds;
  readonly #beforeProjectedQuery: (() => Promise<unknown>) | undefined;
  readonly #tables: ReadonlyMap<string, PgRecordTable>;
  readonly #numbers: KeyNumbers;
  readonly #waiters: EventWaiters;
  readonly #notifier: EventNotifier;
  readonly #onClose: () => Promise<void>;
  #closing: Promise<void> | undefined;

  private constructor(options: PgMetadataStoreOptions) {
    const { database, kinds, logger, beforeProjectedQuery, onClose } = options;
    this.#db = database;
    this.#onClose = onClose ?? (async () => undefined);
    this.#kinds = new Map(kinds.map((kind) => [kind.name, kind]));
    this.#beforeProjectedQuery = beforeProjectedQuery;
    this.#tables = new Map(kinds.map((kind) => [kind.name, new PgRecordTable(kind)]));
    this.#numbers = new KeyNumbers(database);
    this.#waiters = new EventWaiters(database, logger);
    this.#notifier = new EventNotifier(database, logger);
  }

  /**
   * Migrates the schema and makes the tables fit the kinds; of any number of starters one does it. New
   * kinds and optional columns are added; INCOMPATIBLE, naming kind and column, for a declaration that
   * the stored records do not fit.
   */
  static async open(options: PgMetadataStoreOptions): Promise<PgMetadataStore> {
    const { database, kinds } = options;
    checkKinds(kinds);
    await migrate(database, [sharedSchema, metadataSchema], {
      isDone: async () => (await kindsFit(database, kinds)) && (await eventsGoOn(database)),
      run: async (transaction) => {
        await prepareKinds(transaction, kinds);
        await letEventsGoOn(transaction);
      },
    });
    return new PgMetadataStore(options);
  }

  async now(): Promise<number> {
    this.#assertOpen();
    const [row] = await this.#db.read(`SELECT ${this.#db.name('now_ms()')} AS now`);
    return Number(row?.['now']);
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
    if (ids.length === 0) return [];
    if (readsProjected(table.kind, { facets })) {
      await this.#foldFor(table.kind, { facets });
      return await this.#findWithMetrics(table, workspace, ids, { ...options, facets });
    }
    const rows = await this.#db.read(
      `SELECT ${table.select(facets, options.body)} FROM ${this.#db.name(table.name)} t
       WHERE t.ws = $1 AND t.id = ANY ($2::text[])`,
      [workspace, ids],
    );
    const found = new Map(rows.map((row) => [String(row['id']), row]));
    return ids.flatMap((id) => {
      const row = found.get(id);
      return row === undefined ? [] : [table.record(row, facets)];
    });
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
    return await this.#db.search(async (transaction) => {
      const search = { where, orderBy };
      const context = await searchContext(
        transaction,
        this.#numbers,
        table.kind,
        workspace,
        search,
      );
      const request = { ...search, limit: limit + 1, after };
      const found = await runSearch(transaction, searchPage(context, request));
      const rids = found.slice(0, limit).map(({ rid }) => rid);
      const records = await readRecords(transaction, table, rids, { facets, body });
      const last = found.length > limit ? found[limit - 1] : undefined;
      return last === undefined ? { records } : { records, cursor: writeCursor(scope, last) };
    }, options);
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
    return await this.#db.search(async (transaction) => {
      const search = { where, orderBy: [] };
      const context = await searchContext(
        transaction,
        this.#numbers,
        table.kind,
        workspace,
        search,
      );
      const upTo = options.exact === true ? undefined : 10_000;
      return await runSearch(transaction, countMatches(context, where, upTo));
    }, options);
  }

  async history(
    workspace: string,
    kind: string,
    id: string,
    options: { readonly after?: number; readonly limit?: number } = {},
  ): Promise<readonly RevisionEntry[]> {
    const table = this.#table(kind);
    const range = checkHistory(workspace, id, options);
    return await readHistory(this.#db, { workspace, kind: table.kind.name, id }, range);
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
    return await this.#db.snapshot((transaction) => readReach(transaction, request));
  }

  async commit(commit: Commit): Promise<CommitResult> {
    this.#assertOpen();
    const changes = checkCommit(this.#kinds, commit);
    const context = { database: this.#db, kinds: this.#kinds, numbers: this.#numbers };
    const result = await applyCommit(context, commit, changes);
    if (changes.some(({ op }) => op === 'emit')) {
      this.#waiters.wake();
      this.#notifier.notify();
    }
    return result;
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
    const after = eventPlace(request.after);
    return await readEvents(this.#db, { workspace, after, filter, limit });
  }

  async removeEvents(workspace: string, ids: readonly string[]): Promise<void> {
    this.#assertOpen();
    assertCount(ids.length, 0, 1_000, 'The number of events to remove');
    if (ids.length > 0) await removeEvents(this.#db, workspace, ids);
  }

  async latestEventCursor(): Promise<string> {
    this.#assertOpen();
    return await latestEventCursor(this.#db);
  }

  async waitForEvents(
    after: string,
    options: { readonly timeoutMs: number; readonly signal?: AbortSignal },
  ): Promise<boolean> {
    this.#assertOpen();
    return await this.#waiters.wait(eventPlace(after), options);
  }

  async claim(kind: string, request: ClaimRequest): Promise<readonly Claimed[]> {
    const table = this.#table(kind);
    const search = checkClaim(table.kind, request);
    await this.#foldFor(table.kind, search);
    const context = { numbers: this.#numbers, table, kinds: this.#kinds };
    return await claimRecords(this.#db, context, search);
  }

  async claimOwners(kind: string, workspace?: string): Promise<readonly string[]> {
    const table = this.#table(kind);
    return await readClaimOwners(this.#db, table.kind.name, workspace);
  }

  async renew(claims: readonly ClaimKey[], leaseMs: number): Promise<readonly ClaimKey[]> {
    this.#assertOpen();
    assertCount(leaseMs, 1, Number.MAX_SAFE_INTEGER, 'The lease');
    return claims.length === 0 ? [] : await renewClaims(this.#db, claims, leaseMs);
  }

  async release(claims: readonly ClaimKey[]): Promise<void> {
    this.#assertOpen();
    if (claims.length > 0) await releaseClaims(this.#db, claims);
  }

  async ping(options: { readonly signal?: AbortSignal } = {}): Promise<void> {
    this.#assertOpen();
    assertNotAborted(options.signal);
    await this.#db.read(`SELECT count(*) FROM ${this.#db.name('kind')}`, [], options);
  }

  close(): Promise<void> {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }

  async #findWithMetrics(
    table: PgRecordTable,
    workspace: string,
    ids: readonly string[],
    what: { readonly facets: readonly string[]; readonly body?: boolean },
  ): Promise<readonly StoredRecord[]> {
    return await this.#db.snapshot(async (transaction) => {
      const rows = await transaction.query(
        `SELECT rid, id FROM ${table.name} WHERE ws = $1 AND id = ANY ($2::text[])`,
        [workspace, ids],
      );
      const rids = new Map(rows.map((row) => [String(row['id']), Number(row['rid'])]));
      const ordered = ids.flatMap((id) => rids.get(id) ?? []);
      return await readRecords(transaction, table, ordered, what);
    });
  }

  async #close(): Promise<void> {
    this.#waiters.close();
    await this.#notifier.close();
    await this.#onClose();
  }

  #table(kind: string): PgRecordTable {
    this.#assertOpen();
    const table = this.#tables.get(kindOf(this.#kinds, kind).name);
    if (table === undefined) throw new KeelsonError('INTERNAL', `No table for ${kind}.`);
    return table;
  }

  async #foldFor(
    kind: KindDeclaration,
    query: Parameters<typeof readsProjected>[1],
  ): Promise<void> {
    if (!readsProjected(kind, query)) return;
    if (this.#beforeProjectedQuery === undefined) {
      throw new KeelsonError(
        'UNSUPPORTED',
        `The kind ${kind.name} has facets that are projected from series, which are not in this database. Open the series on the same backend.`,
      );
    }
    await this.#beforeProjectedQuery();
  }

  #assertOpen(): void {
    if (this.#closing !== undefined || this.#db.closed) {
      throw new KeelsonError('CLOSED', 'The metadata store has been closed.');
    }
  }
}
