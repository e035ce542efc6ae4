import { setTimeout as wait } from 'node:timers/promises';
import type { EventDraft } from '../../contracts/event.ts';
import { edgeKind } from '../../contracts/kinds/tracking-kinds.ts';
import type { Change, CommitResult, MetadataStore } from '../../contracts/metadata-store.ts';
import type { Columns, FacetMap, KindDeclaration, StoredRecord } from '../../contracts/record.ts';
import type { JsonObject } from '../../json.ts';
import { defined } from '../assertions.ts';
import type { Case } from '../suite.ts';

/** What an adapter gives the suite. Disposing it closes what it opened and removes what it stored. */
export interface MetadataStoreHarness extends AsyncDisposable {
  /** Opens a new, empty store that knows these kinds. Called once. */
  open(kinds: readonly KindDeclaration[]): Promise<MetadataStore>;
  /** Another handle on that store, sharing nothing with the first but the store: another process. */
  openSecond(): Promise<MetadataStore>;
  /** The store's clock, where it can be moved; without it the cases about leases wait in real time. */
  readonly clock?: { advance(ms: number): void | Promise<void> };
}

/** One case's store, and what a case does with it. */
export interface Scene {
  readonly store: MetadataStore;
  /** A lease that does not run out by itself while a case works. */
  readonly leaseMs: number;
  openSecond(): Promise<MetadataStore>;
  /** Lets at least so much time pass on the store's clock. */
  elapse(ms: number): Promise<void>;
}

/** A case of the suite: opens the store with {@link suiteKinds}, then runs. */
export function promised(
  name: string,
  promise: string,
  run: (scene: Scene) => Promise<void>,
): Case<MetadataStoreHarness> {
  return {
    name,
    promise,
    async run(harness) {
      const store = await harness.open(suiteKinds);
      await run({
        store,
        leaseMs: harness.clock === undefined ? 2_000 : 60_000,
        openSecond: () => harness.openSecond(),
        elapse: (ms) => elapse(harness, store, ms),
      });
    },
  };
}

async function elapse(
  harness: MetadataStoreHarness,
  store: MetadataStore,
  ms: number,
): Promise<void> {
  if (harness.clock !== undefined) return await harness.clock.advance(ms);
  const until = (await store.now()) + ms;
  while ((await store.now()) < until) await wait(20);
}

/** Most things happen to items: columns of every type, unique keys, facets, history. */
const itemKind: KindDeclaration = {
  name: 'item',
  columns: {
    name: { type: 'text', optional: true },
    code: { type: 'text', optional: true },
    batch: { type: 'text', optional: true },
    part: { type: 'integer', optional: true },
    count: { type: 'integer', optional: true },
    size: { type: 'real', optional: true },
    live: { type: 'boolean', optional: true },
    origin: { type: 'text', optional: true, immutable: true },
  },
  unique: [
    { name: 'item code', columns: ['code'] },
    { name: 'item part', columns: ['batch', 'part'] },
  ],
  indexes: [['name'], ['count', 'name']],
  facets: { params: { source: 'merged' }, tags: { source: 'merged' } },
  history: 'kept',
};

/** Notes have a required column, an immutable body, and no history. */
const noteKind: KindDeclaration = {
  name: 'note',
  columns: { title: { type: 'text' } },
  history: 'none',
  immutableBody: true,
};

/** Jobs are claimed. */
const jobKind: KindDeclaration = {
  name: 'job',
  columns: {
    state: { type: 'text' },
    dueAt: { type: 'integer', optional: true },
    worker: { type: 'text', optional: true },
  },
  indexes: [['state', 'dueAt']],
  history: 'kept',
  claimable: true,
};

/** Measured things have a facet that commits do not write. */
const measuredKind: KindDeclaration = {
  name: 'measured',
  columns: { name: { type: 'text', optional: true } },
  facets: { metrics: { source: 'projected' } },
  history: 'none',
};

/** The kinds that the suite brings. */
export const suiteKinds: readonly KindDeclaration[] = [
  itemKind,
  noteKind,
  jobKind,
  measuredKind,
  edgeKind,
];

/** The workspace in which most things happen. */
export const home = 'home';

/** What else a record may be created with. */
export interface More {
  readonly body?: JsonObject;
  readonly facets?: Readonly<Record<string, FacetMap>>;
}

export const item = (id: string, columns: Columns = {}, more: More = {}): Change => ({
  op: 'create',
  kind: 'item',
  id,
  columns,
  ...more,
});

export const job = (id: string, columns: Columns = {}): Change => ({
  op: 'create',
  kind: 'job',
  id,
  columns: { state: 'due', ...columns },
});

export const note = (id: string, columns: Columns = {}, body: JsonObject = {}): Change => ({
  op: 'create',
  kind: 'note',
  id,
  columns: { title: 'a title', ...columns },
  body,
});

export const edge = (from: string, to: string, role = 'made'): Change => ({
  op: 'create',
  kind: 'edge',
  id: `${from}-${role}-${to}`,
  columns: { from, to, role },
});

/** The nth event; `type`, `subject` and the like as given. */
export const event = (n: number, parts: Partial<EventDraft> = {}): EventDraft => ({
  id: `01990000-0000-7000-8000-${String(n).padStart(12, '0')}`,
  type: 'item.changed',
  subject: 'item:a',
  source: 'suite',
  at: 1_700_000_000_000 + n,
  payload: { n },
  schemaVersion: 1,
  correlationId: 'correlation',
  principal: 'tester',
  ...parts,
});

export const emit = (n: number, parts: Partial<EventDraft> = {}): Change => ({
  op: 'emit',
  event: event(n, parts),
});

/** Commits changes in the home workspace. */
export function write(store: MetadataStore, ...changes: readonly Change[]): Promise<CommitResult> {
  return writeIn(store, home, ...changes);
}

/** Commits changes in a workspace. */
export function writeIn(
  store: MetadataStore,
  workspace: string,
  ...changes: readonly Change[]
): Promise<CommitResult> {
  return store.commit({ workspace, principal: 'tester', changes });
}

/** An item that must be there. */
export async function getItem(
  store: MetadataStore,
  id: string,
  ...facets: readonly string[]
): Promise<StoredRecord> {
  return defined(await store.find(home, 'item', id, { facets }), `The item ${id} should be there`);
}

/** The columns that are not missing. */
export function columnsOf(record: Pick<StoredRecord, 'columns'>): Columns {
  return Object.fromEntries(
    Object.entries(record.columns).filter(([, value]) => value !== undefined),
  );
}
