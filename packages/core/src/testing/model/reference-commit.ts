import type { EventDraft, StoredEvent } from '../../contracts/event.ts';
import type { Change, Commit, CommitResult } from '../../contracts/metadata-store.ts';
import type { KindDeclaration, StoredRecord } from '../../contracts/record.ts';
import { KeelsonError } from '../../errors.ts';
import { encodeJson, type JsonObject } from '../../json.ts';
import { restoredHistory } from './reference-restore.ts';
import {
  checkFacet,
  checkText,
  keyOf,
  nameOf,
  type ReferenceState,
  type ReferenceWorld,
  sameJson,
  storeBody,
  storeColumns,
  storeFacet,
} from './reference-world.ts';

/** Applies a commit to a world: wholly, or not at all. */
export function applyCommit(
  world: ReferenceWorld,
  kinds: ReadonlyMap<string, KindDeclaration>,
  commit: Commit,
): CommitResult {
  checkText(world, 'workspace text', commit.workspace, 'A workspace');
  checkText(world, 'reason text', commit.principal, 'A principal');
  if (commit.reason !== undefined) checkText(world, 'reason text', commit.reason, 'A reason');
  if (commit.changes.length > 500) {
    world.refuse(
      '500',
      'INVALID',
      `A commit has at most 500 changes, not ${commit.changes.length}.`,
    );
  }
  const { records, histories, claims, events } = world.state;
  const draft: ReferenceState = {
    records: new Map(records),
    histories: new Map(histories),
    claims: new Map(claims),
    events: [...events],
  };
  const applying = new Applying(world, draft, kinds, commit);
  const revisions = commit.changes.map((change) => applying.apply(change));
  world.state = draft;
  if (draft.events.length > events.length) for (const wake of [...world.waiters]) wake();
  return { at: world.time, revisions };
}

type On<O extends Change['op']> = Extract<Change, { readonly op: O }>;

class Applying {
  readonly #world: ReferenceWorld;
  readonly #state: ReferenceState;
  readonly #kinds: ReadonlyMap<string, KindDeclaration>;
  readonly #commit: Commit;

  constructor(
    world: ReferenceWorld,
    state: ReferenceState,
    kinds: ReadonlyMap<string, KindDeclaration>,
    commit: Commit,
  ) {
    this.#world = world;
    this.#state = state;
    this.#kinds = kinds;
    this.#commit = commit;
  }

  /** The revision at which the change leaves its record. */
  apply(change: Change): number {
    if (change.op === 'emit') return this.#emit(change.event);
    const target = change.op === 'restore' ? change.record : change;
    const kind = this.#kinds.get(target.kind);
    if (kind === undefined) throw new KeelsonError('INVALID', `There is no kind ${target.kind}.`);
    checkText(this.#world, 'id text', target.id, `The id of a ${target.kind}`);
    switch (change.op) {
      case 'restore':
        return this.#restore(kind, change);
      case 'create':
        return this.#create(kind, change);
      case 'replace':
        return this.#replace(kind, change);
      case 'merge':
        return this.#merge(kind, change);
      case 'remove':
        return this.#remove(kind, change);
      case 'assert':
        return this.#assert(change);
      case 'adjust':
        return this.#adjust(kind, change);
      case 'hold':
        return this.#hold(change);
    }
  }

  #create(kind: KindDeclaration, change: On<'create'>): number {
    if (this.#find(change) !== undefined) {
      this.#refuse('taken id', 'CONFLICT', change, 'there is one already');
    }
    const facets = Object.entries(change.facets ?? {}).map(
      ([name, map]) => [name, storeFacet(this.#world, kind, name, map)] as const,
    );
    this.#put(kind, {
      kind: kind.name,
      id: change.id,
      workspace: this.#commit.workspace,
      revision: 1,
      createdAt: this.#world.time,
      updatedAt: this.#world.time,
      columns: storeColumns(this.#world, kind, change.columns, true),
      body: storeBody(this.#world, change.body ?? {}),
      facets: Object.fromEntries(facets),
    });
    return 1;
  }

  #restore(kind: KindDeclaration, { record, history }: On<'restore'>): number {
    const world = this.#world.ofRestored;
    for (const number of [record.revision, record.createdAt, record.updatedAt]) {
      if (Number.isSafeInteger(number)) continue;
      world.refuse('numbers', 'INVALID', `${record.id} has ${number} as a number.`);
    }
    if (record.revision < 1) {
      world.refuse('revision', 'INVALID', `${record.id} is at no revision.`);
    }
    const facets = Object.entries(record.facets).map(
      ([name, map]) => [name, storeFacet(world, kind, name, map)] as const,
    );
    const restored: StoredRecord = {
      ...record,
      kind: kind.name,
      workspace: this.#commit.workspace,
      columns: storeColumns(world, kind, record.columns, true),
      body: storeBody(world, record.body),
      facets: Object.fromEntries(facets),
    };
    const entries = history && restoredHistory(world, kind, record, history);
    if (this.#find(record) !== undefined) {
      this.#refuse('taken id', 'CONFLICT', record, 'there is one already');
    }
    if (entries === undefined) {
      this.#put(kind, restored);
      return record.revision;
    }
    this.#state.records.set(this.#key(record), restored);
    this.#takeKeys(kind, restored);
    const before = this.#state.histories.get(this.#key(record)) ?? [];
    this.#state.histories.set(this.#key(record), [...before, ...entries]);
    return record.revision;
  }

  #replace(kind: KindDeclaration, change: On<'replace'>): number {
    const before = this.#get(change);
    this.#expect(change, before.revision, 'replace expects');
    const columns = storeColumns(this.#world, kind, change.columns ?? {}, false);
    for (const [name, value] of Object.entries(columns)) {
      if (kind.columns[name]?.immutable !== true || Object.is(before.columns[name], value))
        continue;
      this.#refuse('immutable column', 'IMMUTABLE', change, `its ${name} never changes`, {
        column: name,
      });
    }
    const body = change.body === undefined ? before.body : storeBody(this.#world, change.body);
    if (kind.immutableBody === true && !sameJson(body, before.body)) {
      this.#refuse('immutable body', 'IMMUTABLE', change, 'its body never changes');
    }
    const revision = before.revision + 1;
    this.#put(kind, {
      ...before,
      revision,
      updatedAt: this.#world.time,
      columns: { ...before.columns, ...columns },
      body,
    });
    return revision;
  }

  #merge(kind: KindDeclaration, change: On<'merge'>): number {
    const before = this.#get(change);
    const facets = { ...before.facets };
    for (const [name, keys] of Object.entries(change.unset ?? {})) {
      checkFacet(this.#world, kind, name);
      const left = Object.entries(facets[name] ?? {}).filter(([key]) => !keys.includes(key));
      facets[name] = Object.fromEntries(left);
    }
    for (const [name, map] of Object.entries(change.set ?? {})) {
      const set = Object.entries(storeFacet(this.#world, kind, name, map));
      // Not a spread into a literal: `__proto__` is a key like any other.
      facets[name] = Object.fromEntries([...Object.entries(facets[name] ?? {}), ...set]);
    }
    this.#state.records.set(this.#key(change), { ...before, facets });
    return before.revision;
  }

  #remove(kind: KindDeclaration, change: On<'remove'>): number {
    const before = this.#find(change);
    this.#expect(change, before?.revision ?? 'absent', 'remove expects');
    if (before === undefined) return 0;
    this.#state.records.delete(this.#key(change));
    this.#state.claims.delete(this.#key(change));
    this.#remember(kind, { ...before, revision: before.revision + 1 }, true);
    return 0;
  }

  #assert(change: On<'assert'>): number {
    const revision = this.#find(change)?.revision ?? 'absent';
    this.#expect(
      change,
      revision,
      change.expect === 'absent' ? 'assert absent' : 'assert revision',
    );
    return revision === 'absent' ? 0 : revision;
  }

  #adjust(kind: KindDeclaration, change: On<'adjust'>): number {
    const before = this.#get(change);
    const type = Object.hasOwn(kind.columns, change.column)
      ? kind.columns[change.column]?.type
      : undefined;
    if (type !== 'integer' && type !== 'real') {
      this.#world.refuse(
        'adjust number',
        'INVALID',
        `${change.column} of ${kind.name} is no number.`,
      );
    }
    const value = Number(before.columns[change.column] ?? 0) + change.by;
    const columns = storeColumns(this.#world, kind, { [change.column]: value }, false);
    const { min, max, column } = change;
    // NaN is within no bounds.
    if ((min !== undefined && !(value >= min)) || (max !== undefined && !(value <= max))) {
      this.#refuse('bounds', 'CONFLICT', change, `its ${column} would be ${value}`, { column });
    }
    const after = { ...before, columns: { ...before.columns, ...columns } };
    this.#state.records.set(this.#key(change), after);
    this.#takeKeys(kind, after);
    return before.revision;
  }

  #hold(change: On<'hold'>): number {
    const claim = this.#state.claims.get(this.#key(change));
    if (claim === undefined) this.#refuse('hold nothing', 'LOST', change, 'nobody holds it');
    else if (claim.owner !== change.owner)
      this.#refuse('hold owner', 'LOST', change, 'another holds it');
    else if (claim.fence !== change.fence)
      this.#refuse('hold fence', 'LOST', change, 'it was taken since');
    else if (claim.expiresAt <= this.#world.time) {
      this.#refuse('hold expiry', 'LOST', change, 'the lease ran out');
    }
    return 0;
  }

  #emit(event: EventDraft): number {
    const { workspace } = this.#commit;
    if (Buffer.byteLength(encodeJson(event.payload, 'payload')) > 1_000_000) {
      this.#world.refuse('event size', 'INVALID', `The event ${event.id} has more than 1 MB.`);
    }
    checkText(this.#world, 'event text', event.subject, 'The subject of an event');
    const { events } = this.#state;
    if (events.some((other) => other.workspace === workspace && other.id === event.id)) {
      this.#world.refuse('event id', 'CONFLICT', `The event ${event.id} was emitted before.`);
    }
    const sameSubject = (one: StoredEvent): boolean =>
      one.workspace === workspace && one.subject === event.subject;
    const subjectSequence = events.filter(sameSubject).length + 1;
    const payload = storeBody(this.#world, event.payload);
    events.push({
      ...event,
      payload,
      workspace,
      subjectSequence,
      cursor: String(events.length + 1),
    });
    return 0;
  }

  #put(kind: KindDeclaration, record: StoredRecord): void {
    this.#state.records.set(this.#key(record), record);
    this.#takeKeys(kind, record);
    this.#remember(kind, record, false);
  }

  #takeKeys(kind: KindDeclaration, record: StoredRecord): void {
    for (const { name, columns } of kind.unique ?? []) {
      const taken = (other: StoredRecord): boolean =>
        other.workspace === record.workspace &&
        other.kind === record.kind &&
        other.id !== record.id &&
        columns.every((column) => record.columns[column] !== undefined) &&
        columns.every((column) => other.columns[column] === record.columns[column]);
      if (![...this.#state.records.values()].some(taken)) continue;
      this.#refuse('unique', 'CONFLICT', record, `its ${name} is taken`, { unique: name });
    }
  }

  #remember(kind: KindDeclaration, record: StoredRecord, removed: boolean): void {
    if (kind.history === 'none') return;
    const { principal, reason, correlationId } = this.#commit;
    const entries = this.#state.histories.get(this.#key(record)) ?? [];
    const entry = {
      revision: record.revision,
      at: this.#world.time,
      by: principal,
      ...(reason === undefined ? {} : { reason }),
      ...(correlationId === undefined ? {} : { correlationId }),
      columns: record.columns,
      body: record.body as JsonObject,
      removed,
    };
    this.#state.histories.set(this.#key(record), [...entries, entry]);
  }

  #key({ kind, id }: { readonly kind: string; readonly id: string }): string {
    return keyOf(this.#commit.workspace, kind, id);
  }

  #find(change: { readonly kind: string; readonly id: string }): StoredRecord | undefined {
    return this.#state.records.get(this.#key(change));
  }

  #get(change: { readonly kind: string; readonly id: string }): StoredRecord {
    const { kind, id } = change;
    const found = this.#find(change);
    if (found !== undefined) return found;
    throw new KeelsonError('NOT_FOUND', `There is no ${kind} ${id}.`, { details: { kind, id } });
  }

  #expect(
    change: { readonly kind: string; readonly id: string; readonly expect: number | 'absent' },
    actual: number | 'absent',
    label: string,
  ): void {
    if (change.expect === actual) return;
    this.#refuse(label, 'STALE', change, `it is at ${actual}, not at ${change.expect}`);
  }

  #refuse(
    label: string,
    code: 'CONFLICT' | 'STALE' | 'IMMUTABLE' | 'LOST',
    { kind, id }: { readonly kind: string; readonly id: string },
    why: string,
    more: Record<string, unknown> = {},
  ): void {
    this.#world.refuse(label, code, `${code} on ${nameOf(kind, id)}: ${why}.`, {
      kind,
      id,
      ...more,
    });
  }
}
