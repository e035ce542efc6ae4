import type { Change, Commit } from '../../src/contracts/metadata-store.ts';
import { isKeelsonError, KeelsonError } from '../../src/errors.ts';
import { keyOf, type ReferenceWorld } from '../../src/testing/model/reference-world.ts';
import {
  afterCommit,
  type BrokenStore,
  changing,
  checkThenAct,
  omitting,
  reading,
} from './broken-store.ts';

const tick = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

const without = (map: Readonly<Record<string, unknown>>, key: string): object =>
  Object.fromEntries(Object.entries(map).filter(([name]) => name !== key));

/** What a change does to the one record, read now and written a moment later. */
function lost(
  act: (change: Change, world: ReferenceWorld, commit: Commit) => (() => Change) | undefined,
): NonNullable<BrokenStore['wrap']> {
  return (store, world) => ({
    commit: async (commit) => {
      const [change] = commit.changes;
      const later =
        change !== undefined && commit.changes.length === 1
          ? act(change, world, commit)
          : undefined;
      if (later === undefined) return await store.commit(commit);
      await tick();
      return await store.commit({ ...commit, changes: [later()] });
    },
  });
}

export const brokenFacets: readonly BrokenStore[] = [
  {
    breaks: 'facets: only those asked for come with a record',
    how: 'findMany and query give all facets',
    wrap: (store, world) => ({
      query: async (workspace, kind, ...rest) => {
        const page = await store.query(workspace, kind, ...rest);
        const whole = (id: string) =>
          world.state.records.get(keyOf(workspace, kind, id))?.facets ?? {};
        return {
          ...page,
          records: page.records.map((record) => ({
            ...record,
            facets: Object.fromEntries(
              Object.entries({ ...whole(record.id), ...record.facets }).slice(0, 1),
            ),
          })),
        };
      },
    }),
  },
  {
    breaks: 'facets: merge sets the keys given and leaves the others',
    how: 'merging a text takes the place of the whole facet',
    wrap: (store, world) => ({
      commit: (commit) => {
        const changes = commit.changes.map((change): Change => {
          if (change.op !== 'merge' || change.set?.['tags']?.['two'] === undefined) return change;
          const facets = world.state.records.get(
            keyOf(commit.workspace, change.kind, change.id),
          )?.facets;
          return { ...change, unset: { tags: Object.keys(facets?.['tags'] ?? {}) } };
        });
        return store.commit({ ...commit, changes });
      },
    }),
  },
  {
    breaks: 'facets: unset removes keys',
    how: 'unset sets null instead',
    wrap: changing((change) => {
      if (change.op !== 'merge' || change.unset?.['tags']?.includes('one') !== true) return change;
      return { ...change, unset: {}, set: { tags: { one: null } } };
    }),
  },
  {
    breaks: 'facets: null is a value',
    how: 'merging null removes the key',
    wrap: changing((change) => {
      if (change.op !== 'merge' || change.set?.['tags'] === undefined) return change;
      const entries = Object.entries(change.set['tags']);
      const unset = { ...change.unset };
      const gone = entries.filter(([, value]) => value === null).map(([key]) => key);
      if (gone.length > 0) unset['tags'] = gone;
      return {
        ...change,
        unset,
        set: { tags: Object.fromEntries(entries.filter(([, value]) => value !== null)) },
      };
    }),
  },
  {
    breaks: 'facets: types are kept',
    how: 'numbers below 0.01 become text',
    wrap: reading((record) => {
      const params = record.facets['params'];
      if (params?.['number'] !== 0.001) return record;
      return { ...record, facets: { ...record.facets, params: { ...params, number: '0.001' } } };
    }),
  },
  {
    breaks: 'facets: merge leaves the revision alone',
    how: 'merging a single key raises the revision',
    wrap: afterCommit((world, { workspace, changes }) => {
      const [change] = changes;
      if (changes.length !== 1 || change?.op !== 'merge' || change.id !== 'a') return undefined;
      if (JSON.stringify(change.set) !== '{"tags":{"one":1}}') return undefined;
      const key = keyOf(workspace, change.kind, change.id);
      const record = world.state.records.get(key);
      if (record !== undefined)
        world.state.records.set(key, { ...record, revision: record.revision + 1 });
      return undefined;
    }),
  },
  {
    breaks: 'facets: replace leaves the facets alone',
    how: 'replacing the body takes the facets away',
    wrap: afterCommit((world, { workspace, changes }) => {
      for (const change of changes) {
        if (change.op !== 'replace' || change.body === undefined || change.columns === undefined)
          continue;
        const key = keyOf(workspace, change.kind, change.id);
        const record = world.state.records.get(key);
        if (record !== undefined) world.state.records.set(key, { ...record, facets: {} });
      }
      return undefined;
    }),
  },
  {
    breaks: 'facets: merges of different keys commute, whoever makes them',
    how: 'the facet is read, merged and written back',
    wrap: lost((change, world, commit) => {
      if (change.op !== 'merge' || change.set?.['tags'] === undefined) return undefined;
      const key = keyOf(commit.workspace, change.kind, change.id);
      const tags = world.state.records.get(key)?.facets['tags'] ?? {};
      return () => {
        const now = Object.keys(world.state.records.get(key)?.facets['tags'] ?? {});
        const written = { ...tags, ...change.set?.['tags'] };
        const unset = { ...change.unset, tags: [...now, ...(change.unset?.['tags'] ?? [])] };
        return { ...change, set: { ...change.set, tags: written }, unset };
      };
    }),
  },
  {
    breaks: 'facets: merge into what is not there is NOT_FOUND',
    how: 'a merge into nothing is ignored in its own workspace',
    wrap: changing((change) =>
      change.op === 'merge' && change.id === 'absent-one' ? undefined : change,
    ),
  },
];

export const brokenCommits: readonly BrokenStore[] = [
  {
    breaks: 'commits: a refusal names its record in the details',
    how: 'the details say nothing but the id',
    wrap: (store) => ({
      commit: async (commit) => {
        try {
          return await store.commit(commit);
        } catch (error) {
          if (!isKeelsonError(error)) throw error;
          const { code, message, details } = error;
          throw new KeelsonError(code, message, { details: { id: details['id'] } });
        }
      },
    }),
  },
  {
    breaks: 'commits: all of the changes, or none',
    how: 'facets that were merged stay when the commit is refused',
    wrap: (store, world) => ({
      commit: async (commit) => {
        try {
          return await store.commit(commit);
        } catch (error) {
          for (const change of commit.changes) {
            if (change.op !== 'merge' || commit.changes.length < 3) continue;
            const key = keyOf(commit.workspace, change.kind, change.id);
            const record = world.state.records.get(key);
            const facets = { ...record?.facets, ...change.set };
            if (record !== undefined) world.state.records.set(key, { ...record, facets });
          }
          throw error;
        }
      },
    }),
  },
  {
    breaks: 'commits: changes apply in the order given',
    how: 'merges go before everything but creations',
    wrap: (store) => ({
      commit: (commit) => {
        const rank = (change: Change): number =>
          change.op === 'create' ? 0 : change.op === 'merge' && change.unset !== undefined ? 1 : 2;
        const sorts =
          commit.changes.length > 5 && commit.changes.every((change) => change.op !== 'emit');
        const changes = sorts
          ? commit.changes.toSorted((a, b) => rank(a) - rank(b))
          : commit.changes;
        return store.commit({ ...commit, changes });
      },
    }),
  },
  {
    breaks: 'commits: say at which revision each record was left',
    how: 'an adjustment is said to be at 0',
    wrap: afterCommit((_world, { changes }, result) => ({
      ...result,
      revisions: result.revisions.map((revision, i) =>
        changes[i]?.op === 'adjust' ? 0 : revision,
      ),
    })),
  },
  {
    breaks: "commits: say the time of the store's clock",
    how: 'the clock of this process is taken instead',
    wrap: afterCommit((world, { changes }, result) =>
      changes.length === 1 && changes[0]?.op === 'create' && world.time % 10 === 3
        ? { ...result, at: result.at + 1_000_000 }
        : undefined,
    ),
  },
  { breaks: 'commits: take up to 500 changes', how: 'any number is taken', omits: ['500'] },
  {
    breaks: 'commits: adjust adds, a missing value counting as 0',
    how: 'a missing real stays missing',
    wrap: changing((change) =>
      change.op === 'adjust' && change.column === 'size' && change.by === 0.25
        ? { op: 'merge', kind: change.kind, id: change.id }
        : change,
    ),
  },
  {
    breaks: 'commits: adjust beyond a bound is CONFLICT',
    how: 'the lower bound is not looked at',
    wrap: omitting(['bounds'], (change) => change.op === 'adjust' && change.by === -6),
  },
  {
    breaks: 'commits: adjust may reach a bound',
    how: 'the lower bound itself is refused',
    wrap: changing((change) =>
      change.op === 'adjust' && change.min !== undefined
        ? { ...change, min: change.min + 1e-9 }
        : change,
    ),
  },
  {
    breaks: 'commits: adjust leaves the revision alone',
    how: 'an adjustment raises the revision',
    wrap: afterCommit((world, { workspace, changes }) => {
      const [change] = changes;
      if (changes.length !== 1 || change?.op !== 'adjust' || change.by !== 1) return undefined;
      const key = keyOf(workspace, change.kind, change.id);
      const record = world.state.records.get(key);
      if (record === undefined || record.columns['count'] !== 1 || change.max !== undefined)
        return undefined;
      world.state.records.set(key, { ...record, revision: record.revision + 1 });
      return undefined;
    }),
  },
  {
    breaks: 'commits: adjust of what is not there is NOT_FOUND',
    how: 'an adjustment of nothing is ignored in its own workspace',
    wrap: changing((change) =>
      change.op === 'adjust' && change.id === 'absent-one' ? undefined : change,
    ),
  },
  {
    breaks: 'commits: adjustments at the same time all count',
    how: 'the column is read, added to and written back',
    wrap: lost((change, world, commit) => {
      if (change.op !== 'adjust' || change.id !== 'pool') return undefined;
      const key = keyOf(commit.workspace, change.kind, change.id);
      const value = (): number => Number(world.state.records.get(key)?.columns[change.column] ?? 0);
      const before = value();
      return () => ({ ...change, by: before + change.by - value() });
    }),
  },
  {
    breaks: 'commits: of those that expect one revision, one passes',
    how: 'the revision is looked at before the commit, not in it',
    wrap: checkThenAct(
      ['replace expects'],
      ({ changes }) => changes.length === 1 && changes[0]?.op === 'replace',
    ),
  },
  {
    breaks: 'commits: what one handle has committed the other reads at once',
    how: 'searches see adjustments of the other handle late',
    wrap: (store, world) => {
      const state = shared(world);
      const me = {};
      return {
        commit: async (commit) => {
          const before = world.state;
          const result = await store.commit(commit);
          if (commit.changes.length === 1 && commit.changes[0]?.op === 'adjust') {
            state.last = { by: me, before };
          }
          return result;
        },
        find: (workspace, kind, id, options) => {
          const { last } = state;
          if (last === undefined || last.by === me || !/^r[0-9]$/.test(id)) {
            return store.find(workspace, kind, id, options);
          }
          const now = world.state;
          world.state = last.before;
          const answer = store.find(workspace, kind, id, options);
          world.state = now;
          return answer;
        },
      };
    },
  },
  {
    breaks: 'commits: outlive the handle that made them',
    how: 'claims are lost with the handle',
    wrap: (store, world) => ({
      close: async () => {
        world.state.claims.clear();
        await store.close();
      },
    }),
  },
];

const sharedStates = new WeakMap<
  ReferenceWorld,
  { last?: { by: object; before: ReferenceWorld['state'] } }
>();

function shared(world: ReferenceWorld): { last?: { by: object; before: ReferenceWorld['state'] } } {
  const state = sharedStates.get(world) ?? {};
  sharedStates.set(world, state);
  return state;
}

export const brokenHistories: readonly BrokenStore[] = [
  {
    breaks: 'history: every revision is kept, oldest first',
    how: 'the newest comes first',
    wrap: (store) => ({
      history: async (...request) => {
        const entries = await store.history(...request);
        return entries.length === 3 ? entries.toReversed() : entries;
      },
    }),
  },
  {
    breaks: 'history: each revision says who, when and why',
    how: 'the correlation is not kept',
    wrap: (store) => ({
      history: async (...request) =>
        (await store.history(...request)).map((entry) =>
          entry.by === 'ada' ? (without({ ...entry }, 'correlationId') as typeof entry) : entry,
        ),
    }),
  },
  {
    breaks: 'history: each revision is as it was then',
    how: 'only the columns that changed are kept',
    wrap: (store) => ({
      history: async (...request) =>
        (await store.history(...request)).map((entry) =>
          entry.revision === 1 || !['bob', 'cyd'].includes(entry.by)
            ? entry
            : { ...entry, columns: without(entry.columns, 'count') as typeof entry.columns },
        ),
    }),
  },
  {
    breaks: 'history: goes on after a revision, within a limit',
    how: 'the revision to go on after comes again',
    wrap: (store) => ({
      history: (workspace, kind, id, options) => {
        const after = options?.after === undefined ? {} : { after: options.after - 1 };
        return store.history(workspace, kind, id, { ...options, ...after });
      },
    }),
  },
  {
    breaks: 'history: outlives the record and ends with its removal',
    how: 'the removal is not marked',
    wrap: (store) => ({
      history: async (...request) =>
        (await store.history(...request)).map((entry) =>
          entry.by === 'eve' ? { ...entry, removed: false } : entry,
        ),
    }),
  },
  {
    breaks: 'history: neither adjust nor merge makes a revision',
    how: 'an adjustment is kept in the history',
    wrap: afterCommit((world, { workspace, changes }) => {
      for (const change of changes) {
        if (change.op !== 'adjust') continue;
        const key = keyOf(workspace, change.kind, change.id);
        const entries = world.state.histories.get(key) ?? [];
        const last = entries.at(-1);
        if (last !== undefined) world.state.histories.set(key, [...entries, last]);
      }
      return undefined;
    }),
  },
  {
    breaks: 'history: a claim makes no revision',
    how: 'a claim that sets columns is kept in the history',
    wrap: (store, world) => ({
      claim: async (kind, request) => {
        const claimed = await store.claim(kind, request);
        for (const { record } of request.set === undefined ? [] : claimed) {
          const key = keyOf(record.workspace, kind, record.id);
          const entries = world.state.histories.get(key) ?? [];
          const last = entries.at(-1);
          if (last !== undefined)
            world.state.histories.set(key, [...entries, { ...last, columns: record.columns }]);
        }
        return claimed;
      },
    }),
  },
  {
    breaks: 'history: a kind without history keeps none',
    how: 'a kind without history shows its record as it is',
    wrap: (store) => ({
      history: async (workspace, kind, id, options) => {
        const record = kind === 'note' ? await store.find(workspace, kind, id) : undefined;
        if (record === undefined) return await store.history(workspace, kind, id, options);
        const { revision, updatedAt: at, columns, body } = record;
        return [{ revision, at, by: 'tester', columns, body, removed: false }];
      },
    }),
  },
];
