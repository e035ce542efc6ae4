import { edgeKind } from '../../contracts/kinds/tracking-kinds.ts';
import type {
  Claimed,
  ClaimKey,
  ClaimRequest,
  Commit,
  CommitResult,
  MetadataStore,
  Reach,
} from '../../contracts/metadata-store.ts';
import type { Order, Predicate, Query } from '../../contracts/query.ts';
import type { KindDeclaration, RevisionEntry, StoredRecord } from '../../contracts/record.ts';
import { KeelsonError } from '../../errors.ts';
import { canonicalJson } from '../../json.ts';
import { checkOrder, checkPredicate } from '../../language/check-predicate.ts';
import type { Evaluable } from '../../language/select-value.ts';
import { compareText } from '../../language/stored-value.ts';
import { assertPartition } from '../../sql/index.ts';
import { applyCommit } from './reference-commit.ts';
import {
  checkFacet,
  checkText,
  keyOf,
  type ReferenceWorld,
  storeColumns,
} from './reference-world.ts';

/**
 * The metadata store at its plainest: maps and arrays, everything looked at one by one. What the
 * conformance suite is developed on and what other stores are compared with; no user ever sees it.
 */
export class ReferenceMetadataStore implements MetadataStore {
  readonly #world: ReferenceWorld;
  readonly #kinds: ReadonlyMap<string, KindDeclaration>;
  readonly #closing = new AbortController();

  constructor(world: ReferenceWorld, kinds: readonly KindDeclaration[]) {
    this.#world = world;
    this.#kinds = new Map(kinds.map((kind) => [kind.name, kind]));
  }

  async now(): Promise<number> {
    this.#open();
    return this.#world.time;
  }

  async find(
    workspace: string,
    kind: string,
    id: string,
    options?: { readonly facets?: readonly string[] },
  ): Promise<StoredRecord | undefined> {
    const [found] = await this.findMany(workspace, kind, [id], options);
    return found;
  }

  async findMany(
    workspace: string,
    kind: string,
    ids: readonly string[],
    options?: { readonly facets?: readonly string[]; readonly body?: boolean },
  ): Promise<readonly StoredRecord[]> {
    const declaration = this.#kind(kind);
    if (ids.length > 1_000) this.#world.refuse('1000 ids', 'INVALID', 'At most 1,000 ids at once.');
    for (const facet of options?.facets ?? []) checkFacet(this.#world, declaration, facet);
    return ids.flatMap((id) => {
      const found = this.#world.state.records.get(keyOf(workspace, kind, id));
      if (found === undefined) return [];
      return [asAsked(this.#world.projected(declaration, found), options)];
    });
  }

  async query(
    workspace: string,
    kind: string,
    query: Query,
    options?: { readonly signal?: AbortSignal },
  ): Promise<{ readonly records: readonly StoredRecord[]; readonly cursor?: string }> {
    const declaration = this.#kind(kind);
    abortedBy(options?.signal);
    const { where, orderBy = [], limit = 50, facets } = query;
    this.#limit('query limit', limit, 1_000);
    for (const facet of facets ?? []) checkFacet(this.#world, declaration, facet);
    const sorted = this.#matching(workspace, declaration, where, orderBy);
    const identity = canonicalJson({ workspace, kind, where, orderBy });
    const after = query.cursor === undefined ? undefined : this.#cursor(query.cursor, identity);
    const compare = this.#world.compare(orderBy);
    const rest =
      after === undefined ? sorted : sorted.filter((record) => compare(record, after) > 0);
    const page = rest.slice(0, limit);
    const last = page.at(-1);
    const records = page.map((record) => asAsked(record, query));
    if (last === undefined || rest.length <= limit) return { records };
    return { records, cursor: `q${this.#world.cursors.push({ query: identity, last })}` };
  }

  async count(
    workspace: string,
    kind: string,
    where: Predicate | undefined,
    options?: { readonly exact?: boolean; readonly signal?: AbortSignal },
  ): Promise<{ readonly count: number; readonly exact: boolean }> {
    const declaration = this.#kind(kind);
    abortedBy(options?.signal);
    return { count: this.#matching(workspace, declaration, where, []).length, exact: true };
  }

  async history(
    workspace: string,
    kind: string,
    id: string,
    options: { readonly after?: number; readonly limit?: number } = {},
  ): Promise<readonly RevisionEntry[]> {
    this.#kind(kind);
    const entries = this.#world.state.histories.get(keyOf(workspace, kind, id)) ?? [];
    const { after = 0, limit = entries.length } = options;
    return entries.filter((entry) => entry.revision > after).slice(0, limit);
  }

  async reach(
    workspace: string,
    ids: readonly string[],
    options: Parameters<MetadataStore['reach']>[2],
  ): Promise<Reach> {
    this.#kind(edgeKind.name);
    const { direction, depth, limit, roles } = options;
    const all = this.#of(workspace, edgeKind.name)
      .map((record) => record.columns as { from: string; to: string; role: string })
      .filter((edge) => roles === undefined || roles.includes(edge.role));
    const [near, far] =
      direction === 'forward' ? (['from', 'to'] as const) : (['to', 'from'] as const);
    const depths = new Map(ids.map((id) => [id, 0]));
    const edges = new Set<(typeof all)[number]>();
    for (let level = 0; level < depth; level += 1) {
      for (const edge of all.filter((one) => depths.get(one[near]) === level)) {
        edges.add(edge);
        if (!depths.has(edge[far])) depths.set(edge[far], level + 1);
      }
    }
    const nodes = [...depths]
      .map(([id, at]) => ({ id, depth: at }))
      .toSorted((a, b) => a.depth - b.depth || compareText(a.id, b.id));
    return { nodes: nodes.slice(0, limit), edges: [...edges], truncated: nodes.length > limit };
  }

  async commit(commit: Commit): Promise<CommitResult> {
    this.#open();
    return applyCommit(this.#world, this.#kinds, commit);
  }

  async readEvents(
    request: Parameters<MetadataStore['readEvents']>[0],
  ): ReturnType<MetadataStore['readEvents']> {
    this.#open();
    const { workspace, after = '0', filter = {}, limit } = request;
    this.#limit('event limit', limit, 1_000);
    assertPartition(filter.partition);
    const { ids, types, subjects, correlationId, since, until, partition } = filter;
    const passing = this.#world.state.events
      .slice(this.#position(after))
      .filter((event) => workspace === undefined || event.workspace === workspace)
      .filter((event) => ids === undefined || ids.includes(event.id))
      .filter((event) => types === undefined || types.includes(event.type))
      .filter((event) => subjects === undefined || subjects.includes(event.subject))
      .filter((event) => correlationId === undefined || event.correlationId === correlationId)
      .filter((event) => since === undefined || event.at >= since)
      .filter((event) => until === undefined || event.at < until)
      .filter(
        (event) =>
          partition === undefined || partOf(event.subject, partition.of) === partition.index,
      )
      .filter((event) => !this.#world.removed.has(JSON.stringify([event.workspace, event.id])));
    const events = passing.slice(0, limit);
    const last = passing.length > limit ? events.at(-1)?.cursor : undefined;
    return { events, cursor: last ?? String(this.#world.state.events.length) };
  }

  async removeEvents(workspace: string, ids: readonly string[]): Promise<void> {
    this.#open();
    this.#limit('removed events', Math.max(1, ids.length), 1_000);
    for (const id of ids) this.#world.removed.add(JSON.stringify([workspace, id]));
  }

  async latestEventCursor(): Promise<string> {
    this.#open();
    return String(this.#world.state.events.length);
  }

  async waitForEvents(
    after: string,
    options: { readonly timeoutMs: number; readonly signal?: AbortSignal },
  ): Promise<boolean> {
    this.#open();
    abortedBy(options.signal);
    const position = this.#position(after);
    if (this.#world.state.events.length > position) return true;
    const { promise, resolve, reject } = Promise.withResolvers<boolean>();
    const wake = (): void => resolve(true);
    const abort = (): void =>
      reject(new KeelsonError('ABORTED', 'Waiting for events was aborted.'));
    const close = (): void => reject(closed());
    const timer = setTimeout(() => resolve(false), options.timeoutMs);
    this.#world.waiters.add(wake);
    options.signal?.addEventListener('abort', abort);
    this.#closing.signal.addEventListener('abort', close);
    try {
      return await promise;
    } finally {
      clearTimeout(timer);
      this.#world.waiters.delete(wake);
      options.signal?.removeEventListener('abort', abort);
      this.#closing.signal.removeEventListener('abort', close);
    }
  }

  async claim(kind: string, request: ClaimRequest): Promise<readonly Claimed[]> {
    const declaration = this.#kind(kind);
    if (declaration.claimable !== true) {
      this.#world.refuse('claimable', 'INVALID', `The kind ${kind} is not claimable.`);
    }
    const { workspace, where, orderBy = [], limit, owner, leaseMs, set, takeFrom = [] } = request;
    this.#limit('claim limit', limit, 100);
    const columns = storeColumns(this.#world, declaration, set ?? {}, false);
    const due = this.#matching(workspace, declaration, where, orderBy).filter((record) => {
      const held = this.#heldNow(keyOf(record.workspace, kind, record.id));
      return held === undefined || takeFrom.includes(held.owner);
    });
    return due.slice(0, limit).map((before) => {
      const key = keyOf(before.workspace, kind, before.id);
      const fence = (this.#world.fences.get(key) ?? 0) + 1;
      const expiresAt = this.#world.time + leaseMs;
      const record = { ...before, columns: { ...before.columns, ...columns } };
      this.#world.fences.set(key, fence);
      this.#world.state.claims.set(key, { owner, fence, expiresAt });
      this.#world.state.records.set(key, record);
      return { record: withFacets(record, []), owner, fence, expiresAt };
    });
  }

  async claimOwners(kind: string, workspace?: string): Promise<readonly string[]> {
    this.#kind(kind);
    const owners = this.#of(workspace, kind).map(
      (record) => this.#heldNow(keyOf(record.workspace, kind, record.id))?.owner,
    );
    return [...new Set(owners.filter((owner) => owner !== undefined))];
  }

  async renew(claims: readonly ClaimKey[], leaseMs: number): Promise<readonly ClaimKey[]> {
    this.#open();
    const held = claims.filter((claim) => this.#holds(claim));
    for (const { workspace, kind, id, owner, fence } of held) {
      const expiresAt = this.#world.time + leaseMs;
      this.#world.state.claims.set(keyOf(workspace, kind, id), { owner, fence, expiresAt });
    }
    return held;
  }

  async release(claims: readonly ClaimKey[]): Promise<void> {
    this.#open();
    for (const claim of claims.filter((one) => this.#holds(one))) {
      this.#world.state.claims.delete(keyOf(claim.workspace, claim.kind, claim.id));
    }
  }

  async ping(options?: { readonly signal?: AbortSignal }): Promise<void> {
    this.#open();
    abortedBy(options?.signal);
  }

  async close(): Promise<void> {
    this.#closing.abort();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }

  #open(): void {
    if (this.#closing.signal.aborted) throw closed();
  }

  #kind(name: string): KindDeclaration {
    this.#open();
    const kind = this.#kinds.get(name);
    if (kind === undefined) throw new KeelsonError('INVALID', `There is no kind ${name}.`);
    return kind;
  }

  #limit(label: string, limit: number, most: number): void {
    if (Number.isInteger(limit) && limit >= 1 && limit <= most) return;
    this.#world.refuse(label, 'INVALID', `The limit must be 1 to ${most}, not ${limit}.`);
  }

  #of(workspace: string | undefined, kind: string): readonly StoredRecord[] {
    return [...this.#world.state.records.values()].filter(
      (record) =>
        record.kind === kind && (workspace === undefined || record.workspace === workspace),
    );
  }

  #matching(
    workspace: string | undefined,
    kind: KindDeclaration,
    where: Predicate | undefined,
    orderBy: readonly Order[],
  ): readonly StoredRecord[] {
    if (where !== undefined) checkPredicate(kind, where);
    checkOrder(kind, orderBy);
    return this.#of(workspace, kind.name)
      .map((record) => this.#world.projected(kind, record))
      .filter((record) => where === undefined || this.#world.evaluate(where, record))
      .toSorted(this.#world.compare(orderBy));
  }

  #cursor(cursor: string, identity: string): StoredRecord {
    const found = this.#world.cursors[Number(/^q([0-9]+)$/.exec(cursor)?.[1]) - 1];
    if (found !== undefined && found.query === identity) return found.last;
    throw new KeelsonError('INVALID', 'This cursor belongs to another query.');
  }

  #position(cursor: string): number {
    if (/^[0-9]+$/.test(cursor)) return Number(cursor);
    throw new KeelsonError('INVALID', 'This is no cursor of events.');
  }

  #heldNow(key: string): { readonly owner: string; readonly fence: number } | undefined {
    const claim = this.#world.state.claims.get(key);
    return claim !== undefined && claim.expiresAt > this.#world.time ? claim : undefined;
  }

  #holds({ workspace, kind, id, owner, fence }: ClaimKey): boolean {
    checkText(this.#world, 'id text', id, 'An id');
    const held = this.#heldNow(keyOf(workspace, kind, id));
    return held !== undefined && held.owner === owner && held.fence === fence;
  }
}

function asAsked(
  record: StoredRecord,
  { facets, body }: { readonly facets?: readonly string[]; readonly body?: boolean } = {},
): StoredRecord {
  const asked = withFacets(record, facets);
  return body === false ? { ...asked, body: {} } : asked;
}

function withFacets(
  { figures: _figures, ...record }: StoredRecord & Pick<Evaluable, 'figures'>,
  facets: readonly string[] = [],
): StoredRecord {
  const asked = facets.map((facet) => [facet, record.facets[facet] ?? {}] as const);
  return { ...record, facets: Object.fromEntries(asked) };
}

function abortedBy(signal: AbortSignal | undefined): void {
  if (signal?.aborted === true) throw new KeelsonError('ABORTED', 'The call was aborted.');
}

function closed(): KeelsonError {
  return new KeelsonError('CLOSED', 'The store is closed.');
}

/** Which of `of` parts a subject falls into. */
function partOf(subject: string, of: number): number {
  let sum = 0;
  for (const sign of subject) sum = (sum * 31 + (sign.codePointAt(0) ?? 0)) % 1_000_003;
  return sum % of;
}
