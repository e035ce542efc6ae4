import type { StoredEvent } from '../../contracts/event.ts';
import type {
  Change,
  Commit,
  CommitResult,
  MetadataStore,
} from '../../contracts/metadata-store.ts';

/** A store that breaks one promise, on purpose. */
export interface Mutant {
  readonly name: string;
  wrap(store: MetadataStore): MetadataStore;
}

/**
 * Stores that break a promise each, as a wrong adapter would. A scenario that passes with one of them
 * does not test that promise: your own scenarios should fail with those that concern them.
 */
export const mutants: readonly Mutant[] = [
  {
    name: 'fence off: every claim is held and renewed for ever',
    wrap: (store) =>
      override(store, {
        commit: (commit) => without(store, commit, ({ op }) => op === 'hold'),
        renew: async (claims) => claims,
      }),
  },
  {
    name: 'outbox outside the commit: events are written after it',
    wrap: (store) => override(store, { commit: (commit) => inTwo(store, commit, 'after') }),
  },
  {
    name: 'outbox outside the commit: events are written before it',
    wrap: (store) => override(store, { commit: (commit) => inTwo(store, commit, 'before') }),
  },
  {
    name: 'order ignored: the newest event of a page comes first',
    wrap: (store) =>
      override(store, {
        async readEvents(request) {
          const page = await store.readEvents(request);
          return { ...page, events: page.events.toReversed() };
        },
      }),
  },
  {
    name: 'events lost: a page jumps over its last but one',
    wrap: (store) =>
      override(store, {
        async readEvents(request) {
          const page = await store.readEvents(request);
          const left = (_event: StoredEvent, i: number): boolean => i !== page.events.length - 2;
          return { ...page, events: page.events.filter(left) };
        },
      }),
  },
  {
    name: 'lost update: the revision expected is not looked at',
    wrap: (store) => override(store, { commit: (commit) => expectingAnything(store, commit) }),
  },
  {
    name: 'receipt ignored: what is there already can be created again',
    wrap: (store) =>
      override(store, {
        async commit(commit) {
          const there = new Set<Change>();
          for (const change of commit.changes) {
            if (change.op !== 'create') continue;
            const { kind, id } = change;
            if ((await store.find(commit.workspace, kind, id)) !== undefined) there.add(change);
          }
          return await without(store, commit, (change) => there.has(change));
        },
      }),
  },
];

function override(store: MetadataStore, methods: Partial<MetadataStore>): MetadataStore {
  return new Proxy(store, {
    get(target, name) {
      const value: unknown = Reflect.get(Object.hasOwn(methods, name) ? methods : target, name);
      return typeof value === 'function' ? value.bind(target) : value;
    },
  });
}

/** Commits without some of the changes, and answers as if they had been made. */
async function without(
  store: MetadataStore,
  commit: Commit,
  dropped: (change: Change) => boolean,
): Promise<CommitResult> {
  const changes = commit.changes.filter((change) => !dropped(change));
  if (changes.length === 0)
    return { at: await store.now(), revisions: commit.changes.map(() => 1) };
  const { at, revisions } = await store.commit({ ...commit, changes });
  const left = [...revisions];
  return {
    at,
    revisions: commit.changes.map((change) => (dropped(change) ? 0 : (left.shift() ?? 0))),
  };
}

async function inTwo(
  store: MetadataStore,
  commit: Commit,
  events: 'before' | 'after',
): Promise<CommitResult> {
  const emits = (change: Change): boolean => change.op === 'emit';
  const announce = (): Promise<CommitResult> => without(store, commit, (change) => !emits(change));
  if (!commit.changes.some(emits)) return await store.commit(commit);
  if (events === 'before') await announce();
  const result = await without(store, commit, emits);
  if (events === 'after') await announce();
  return result;
}

async function expectingAnything(store: MetadataStore, commit: Commit): Promise<CommitResult> {
  const changes: Change[] = [];
  for (const change of commit.changes) {
    if (change.op !== 'replace' && change.op !== 'remove') {
      changes.push(change);
      continue;
    }
    const { kind, id } = change;
    const there = await store.find(commit.workspace, kind, id);
    changes.push({ ...change, expect: there?.revision ?? change.expect });
  }
  return await store.commit({ ...commit, changes });
}
