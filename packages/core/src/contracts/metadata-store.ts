import type { JsonObject } from '../json.ts';
import type { EventDraft, EventFilter, StoredEvent } from './event.ts';
import type { Order, Predicate, Query } from './query.ts';
import type { Columns, ColumnValue, FacetMap, RevisionEntry, StoredRecord } from './record.ts';

/**
 * One part of a commit. Within one commit, changes apply in the order given. An id is taken within its
 * workspace and kind. STALE, CONFLICT, NOT_FOUND, IMMUTABLE and LOST name the record in
 * `details: { kind, id }`, beside it `unique` (the key's name) or `column` where one is meant.
 */
export type Change =
  /** Creates at revision 1. CONFLICT if the id or a unique key is taken. */
  | {
      readonly op: 'create';
      readonly kind: string;
      readonly id: string;
      readonly columns: Columns;
      readonly body?: JsonObject;
      readonly facets?: Readonly<Record<string, FacetMap>>;
    }
  /**
   * Creates a record as it was in another store: at its revision, with its times. `history` are its
   * kept revisions, oldest first, ending at that revision (those since its last removal, if there was
   * one); without it, the kept revision is this commit's. Neither claims nor events come with it:
   * subscribers are told what happens here. CONFLICT if the id or a unique key is taken; INVALID for
   * what `create` would refuse, revisions below 1, and a history whose revisions do not ascend, that
   * has a removal, does not end at the record's revision, or is of a kind that keeps none.
   */
  | {
      readonly op: 'restore';
      readonly record: Omit<StoredRecord, 'workspace'>;
      readonly history?: readonly RevisionEntry[];
    }
  /**
   * Replaces the columns named (undefined clears) and, when given, the whole body. STALE unless the
   * record is at `expect`; NOT_FOUND if there is none; IMMUTABLE for a changed immutable part.
   */
  | {
      readonly op: 'replace';
      readonly kind: string;
      readonly id: string;
      readonly expect: number;
      readonly columns?: Columns;
      readonly body?: JsonObject;
    }
  /**
   * Sets the facet keys given (null as value is a value); `unset` removes keys. Commutes per key; leaves
   * the revision alone. NOT_FOUND if there is no such record.
   */
  | {
      readonly op: 'merge';
      readonly kind: string;
      readonly id: string;
      readonly set?: Readonly<Record<string, FacetMap>>;
      readonly unset?: Readonly<Record<string, readonly string[]>>;
    }
  /** Removes the record with its facets and claim. STALE unless it is there at `expect`. */
  | { readonly op: 'remove'; readonly kind: string; readonly id: string; readonly expect: number }
  /** STALE unless the record is at the revision (or absent) at the moment of the commit. */
  | {
      readonly op: 'assert';
      readonly kind: string;
      readonly id: string;
      readonly expect: number | 'absent';
    }
  /**
   * Adds `by` to an integer or real column (a missing one counts as 0). CONFLICT, naming the record and the column,
   * when the result would leave [min, max]. Commutes; leaves the revision alone. NOT_FOUND if there is no
   * such record; INVALID for a column that is no number.
   */
  | {
      readonly op: 'adjust';
      readonly kind: string;
      readonly id: string;
      readonly column: string;
      readonly by: number;
      readonly min?: number;
      readonly max?: number;
    }
  /** LOST unless `owner` holds the claim on the record under `fence`, unexpired by the store's clock. */
  | {
      readonly op: 'hold';
      readonly kind: string;
      readonly id: string;
      readonly owner: string;
      readonly fence: number;
    }
  /** Writes an event with the rest of the commit: never one without the other. */
  | { readonly op: 'emit'; readonly event: EventDraft };

/** A commit: all of its changes, or none. */
export interface Commit {
  readonly workspace: string;
  /** Who does it; kept in the history. */
  readonly principal: string;
  readonly changes: readonly Change[];
  /** Why; kept in the history. */
  readonly reason?: string;
  readonly correlationId?: string;
}

/** What a commit did. */
export interface CommitResult {
  /** The store's clock at the commit. */
  readonly at: number;
  /** For each change, the revision at which it left its record (0 for emit, hold and absent ones). */
  readonly revisions: readonly number[];
}

/** What `claim` should take. */
export interface ClaimRequest {
  /** All workspaces when left out. */
  readonly workspace?: string;
  readonly where?: Predicate;
  readonly orderBy?: readonly Order[];
  /** 1 to 100. */
  readonly limit: number;
  /** A random id per process, never a name that another process could have. */
  readonly owner: string;
  readonly leaseMs: number;
  /** Columns to set on each record taken (not revisioned: the kind's state column, say). */
  readonly set?: Readonly<Record<string, ColumnValue>>;
  /**
   * Owners that the caller knows to be dead: their claims count as expired at once. Fences keep a
   * wrong belief harmless: the former owner's `hold` and `renew` fail.
   */
  readonly takeFrom?: readonly string[];
}

/** A record that was taken, and the proof. */
export interface Claimed {
  readonly record: StoredRecord;
  readonly owner: string;
  /** Rises with every claim of the record, for ever. */
  readonly fence: number;
  /** By the store's clock. */
  readonly expiresAt: number;
}

/** Which claim: enough to renew, release and hold it. */
export interface ClaimKey {
  readonly workspace: string;
  readonly kind: string;
  readonly id: string;
  readonly owner: string;
  readonly fence: number;
}

/** What `reach` found. */
export interface Reach {
  /** Ids in order of distance, then id; the start ids come first at depth 0. */
  readonly nodes: readonly { readonly id: string; readonly depth: number }[];
  /** The edges that were followed: those of every node nearer than `depth`, in the direction asked. */
  readonly edges: readonly { readonly from: string; readonly to: string; readonly role: string }[];
  /** True when `limit` cut the answer. */
  readonly truncated: boolean;
}

/**
 * Records, events and claims that share one transaction. Promises, each with a case in
 * `metadataStoreSuite` (`@keelson/core/testing`):
 *
 * - A commit is atomic, isolated and, once resolved, durable against SIGKILL and power loss.
 *   A rejected one has changed nothing, UNAVAILABLE with `details.outcome: 'unknown'` excepted: there
 *   the commit is wholly there or wholly absent.
 * - Reads see every commit that was resolved before they began, in any process of the same store.
 * - No method sees or touches a record of another workspace, an id of one included.
 * - Values round-trip exactly: NaN, ±Infinity, −0, empty text, any Unicode text; INVALID, naming the
 *   place, for text with U+0000 or lone surrogates, integers that are not safe, undeclared kinds,
 *   columns, facets, wrong types, more than 500 changes, events over 1 MB.
 * - After `close` every method rejects with CLOSED; `close` itself may be called again.
 */
export interface MetadataStore extends AsyncDisposable {
  /** The store's clock, in epoch ms. */
  now(): Promise<number>;

  find(
    workspace: string,
    kind: string,
    id: string,
    options?: { readonly facets?: readonly string[] },
  ): Promise<StoredRecord | undefined>;

  /**
   * The records of the ids that exist, in the order asked for; at most 1,000 ids. With `body: false` they
   * come with an empty body, which is not read.
   */
  findMany(
    workspace: string,
    kind: string,
    ids: readonly string[],
    options?: { readonly facets?: readonly string[]; readonly body?: boolean },
  ): Promise<readonly StoredRecord[]>;

  /**
   * One page. Pages of one query followed by their cursors hold each record that matched throughout
   * exactly once, whatever is created meanwhile. INVALID for an unknown column or facet.
   */
  query(
    workspace: string,
    kind: string,
    query: Query,
    options?: { readonly signal?: AbortSignal },
  ): Promise<{ readonly records: readonly StoredRecord[]; readonly cursor?: string }>;

  /** How many match: exactly, or estimated where that is much cheaper (`exact` says which it is). */
  count(
    workspace: string,
    kind: string,
    where: Predicate | undefined,
    options?: { readonly exact?: boolean; readonly signal?: AbortSignal },
  ): Promise<{ readonly count: number; readonly exact: boolean }>;

  /**
   * The kept revisions of a record, oldest first, also after its removal; those beyond revision `after`
   * when given. None for a kind without history.
   */
  history(
    workspace: string,
    kind: string,
    id: string,
    options?: { readonly after?: number; readonly limit?: number },
  ): Promise<readonly RevisionEntry[]>;

  /**
   * What can be reached over `edge` records (kind `edge`: columns from, to, role) from `ids`,
   * breadth first. `forward` follows from → to.
   */
  reach(
    workspace: string,
    ids: readonly string[],
    options: {
      readonly direction: 'forward' | 'backward';
      readonly depth: number;
      readonly limit: number;
      readonly roles?: readonly string[];
    },
  ): Promise<Reach>;

  commit(commit: Commit): Promise<CommitResult>;

  /**
   * Events after a cursor (from the first when left out) in an order in which every subject's events
   * ascend, and no event that commits later is ever skipped. `cursor` is where to go on, also when
   * the filter passed nothing. `workspace` left out: all of them (for the platform's own loops).
   */
  readEvents(request: {
    readonly workspace?: string;
    readonly after?: string;
    readonly filter?: EventFilter;
    /** 1 to 1,000. */
    readonly limit: number;
  }): Promise<{ readonly events: readonly StoredEvent[]; readonly cursor: string }>;

  /**
   * Removes events for good, 1,000 at most; ids of none are left alone. The numbers of their subjects are
   * never given again, and cursors stay good. INVALID for more.
   */
  removeEvents(workspace: string, ids: readonly string[]): Promise<void>;

  /** The cursor behind the newest event: what a reader who wants only what comes next starts from. */
  latestEventCursor(): Promise<string>;

  /** Resolves true soon after an event behind `after` can be read, false when time runs out. */
  waitForEvents(
    after: string,
    options: { readonly timeoutMs: number; readonly signal?: AbortSignal },
  ): Promise<boolean>;

  /**
   * Takes up to `limit` records that match and are not held by an unexpired claim, each by one caller
   * only. Owner, fence and expiry sit beside the record: never revisioned or announced.
   */
  claim(kind: string, request: ClaimRequest): Promise<readonly Claimed[]>;

  /** The distinct owners of unexpired claims on records of the kind: whom `takeFrom` may name. */
  claimOwners(kind: string, workspace?: string): Promise<readonly string[]>;

  /** Extends those of the claims that are still held to now + leaseMs; answers which those were. */
  renew(claims: readonly ClaimKey[], leaseMs: number): Promise<readonly ClaimKey[]>;

  /** Gives claims back; those no longer held are left alone. */
  release(claims: readonly ClaimKey[]): Promise<void>;

  /** Proves that the store answers; rejects with UNAVAILABLE when not. */
  ping(options?: { readonly signal?: AbortSignal }): Promise<void>;

  close(): Promise<void>;
}
