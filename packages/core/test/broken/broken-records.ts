import type { Change } from '../../src/contracts/metadata-store.ts';
import type { StoredRecord } from '../../src/contracts/record.ts';
import { keyOf } from '../../src/testing/model/reference-world.ts';
import {
  afterCommit,
  type BrokenStore,
  changing,
  checkThenAct,
  omitting,
  reading,
} from './broken-store.ts';

const isCreate = (change: Change, kind: string): boolean =>
  change.op === 'create' && change.kind === kind;

/** Columns of the change, where it has any. */
const columnsOf = (change: Change): object =>
  change.op === 'create' || change.op === 'replace' ? (change.columns ?? {}) : {};

const oneOf = (change: Change, ...columns: readonly string[]): boolean =>
  columns.some((column) => column in columnsOf(change));

export const brokenRecords: readonly BrokenStore[] = [
  {
    breaks: 'records: a created record is found whole, at revision 1',
    how: 'updatedAt is not set by create',
    wrap: reading((record) => (record.revision === 1 ? { ...record, updatedAt: 0 } : record)),
  },
  {
    breaks: 'records: without a body the body is empty',
    how: 'a missing body is stored as one that says so',
    wrap: changing((change) =>
      change.op === 'create' && change.body === undefined
        ? { ...change, body: { missing: true } }
        : change,
    ),
  },
  {
    breaks: 'records: an id that is not there is not found',
    how: 'find looks among all kinds',
    wrap: (store) => ({
      find: async (workspace, kind, id, options) =>
        (await store.find(workspace, kind, id, options)) ??
        (kind === 'item' ? await store.find(workspace, 'note', id) : undefined),
    }),
  },
  {
    breaks: 'records: findMany answers in the order asked for, leaving out what is not there',
    how: 'findMany sorts by id',
    wrap: (store) => ({
      findMany: async (...request) =>
        (await store.findMany(...request)).toSorted((a, b) => (a.id < b.id ? -1 : 1)),
    }),
  },
  {
    breaks: 'records: bodies are left out where none is wanted',
    how: 'query gives them all the same',
    wrap: (store) => ({
      query: (workspace, kind, { body: _body, ...query }, ...rest) =>
        store.query(workspace, kind, query, ...rest),
    }),
  },
  {
    breaks: 'records: findMany takes at most 1,000 ids',
    how: 'findMany takes any number',
    omits: ['1000 ids'],
  },
  {
    breaks: 'records: an id that is taken is CONFLICT',
    how: 'create overwrites what is not named a',
    wrap: omitting(
      ['taken id'],
      (change) => isCreate(change, 'item') && 'id' in change && change.id !== 'a',
    ),
  },
  {
    breaks: 'records: replace changes the columns named and no others',
    how: 'replace clears sizes that it does not name',
    wrap: changing((change) =>
      change.op === 'replace' && oneOf(change, 'count')
        ? { ...change, columns: { size: undefined, ...change.columns } }
        : change,
    ),
  },
  {
    breaks: 'records: replace clears a column that is given as undefined',
    how: 'an undefined name is taken as not named',
    wrap: changing((change) => {
      if (change.op !== 'replace' || change.kind !== 'item') return change;
      const named = Object.entries(change.columns ?? {}).filter(
        ([name, value]) => name !== 'name' || value !== undefined,
      );
      return { ...change, columns: Object.fromEntries(named) };
    }),
  },
  {
    breaks: 'records: replace takes the body as a whole',
    how: 'replace merges bodies that have numbers in both',
    wrap: (store) => ({
      commit: async (commit) => {
        const changes: Change[] = [];
        for (const change of commit.changes) {
          const known =
            change.op === 'replace' && (await store.find(commit.workspace, change.kind, change.id));
          const body = known && known.body['both'] !== undefined ? known.body : {};
          changes.push(
            change.op === 'replace' && change.body !== undefined
              ? { ...change, body: { ...body, ...change.body } }
              : change,
          );
        }
        return await store.commit({ ...commit, changes });
      },
    }),
  },
  {
    breaks: 'records: each replace raises the revision by one',
    how: 'updatedAt stays when nothing but the revision changed',
    wrap: reading((record) =>
      record.revision === 3 && record.kind === 'item'
        ? { ...record, updatedAt: record.createdAt }
        : record,
    ),
  },
  {
    breaks: 'records: replace at another revision is STALE',
    how: 'a replace that sets the name alone asks for no revision',
    wrap: omitting(
      ['replace expects'],
      (change) => change.op === 'replace' && oneOf(change, 'name'),
    ),
  },
  {
    breaks: 'records: replace of what is not there is NOT_FOUND',
    how: 'replace makes what is not there',
    wrap: (store) => ({
      commit: async (commit) => {
        const changes: Change[] = [];
        for (const change of commit.changes) {
          const missing =
            change.op === 'replace' &&
            commit.workspace === 'home' &&
            change.kind === 'item' &&
            change.id === 'absent-one';
          changes.push(
            missing ? { op: 'create', kind: change.kind, id: change.id, columns: {} } : change,
          );
        }
        return await store.commit({ ...commit, changes });
      },
    }),
  },
  {
    breaks: 'records: an immutable column never changes',
    how: 'a missing immutable column may be set later',
    wrap: omitting(
      ['immutable column'],
      (change) => change.op === 'replace' && change.id === 'b' && oneOf(change, 'origin'),
    ),
  },
  {
    breaks: 'records: an immutable body never changes',
    how: 'an immutable body is replaced',
    omits: ['immutable body'],
  },
  {
    breaks: 'records: a removed record is gone',
    how: 'the body of a removed record shows through in the next one',
    wrap: afterCommit((world, commit) => {
      for (const change of commit.changes) {
        if (change.op !== 'create' || change.body === undefined) continue;
        const key = keyOf(commit.workspace, change.kind, change.id);
        const former = world.state.histories.get(key)?.find((entry) => entry.body['old'] === true);
        const record = world.state.records.get(key);
        if (former === undefined || record === undefined || former.body === record.body) continue;
        if (world.state.histories.get(key)?.length === 1) continue;
        world.state.records.set(key, { ...record, body: { ...former.body, ...record.body } });
      }
      return undefined;
    }),
  },
  {
    breaks: 'records: remove at another revision, or of nothing, is STALE',
    how: 'remove asks for no revision in its own workspace',
    wrap: omitting(['remove expects'], (change) => change.op === 'remove' && change.id !== 'a'),
  },
  {
    breaks: 'records: remove takes the facets with it',
    how: 'the facets of a removed record are left behind',
    wrap: (store, world) => {
      const left = new Map<string, StoredRecord['facets']>();
      return {
        commit: async (commit) => {
          for (const change of commit.changes) {
            if (change.op !== 'remove') continue;
            const key = keyOf(commit.workspace, change.kind, change.id);
            left.set(key, world.state.records.get(key)?.facets ?? {});
          }
          const result = await store.commit(commit);
          for (const change of commit.changes) {
            if (change.op !== 'create') continue;
            const key = keyOf(commit.workspace, change.kind, change.id);
            const record = world.state.records.get(key);
            const facets = left.get(key);
            if (record !== undefined && facets !== undefined) {
              world.state.records.set(key, { ...record, facets: { ...facets, ...record.facets } });
            }
          }
          return result;
        },
      };
    },
  },
  {
    breaks: 'records: remove takes the claim with it',
    how: 'the claim of a removed record is left behind',
    wrap: (store, world) => ({
      commit: async (commit) => {
        const before = new Map(world.state.claims);
        const result = await store.commit(commit);
        for (const [key, claim] of before) world.state.claims.set(key, claim);
        return result;
      },
    }),
  },
  {
    breaks: 'records: assert holds at the revision, otherwise STALE',
    how: 'assert of a revision is not looked at',
    wrap: omitting(
      ['assert revision'],
      (change, commit) =>
        change.op === 'assert' && commit.workspace === 'home' && change.id !== 'a',
    ),
  },
  {
    breaks: 'records: assert absent holds where there is no record, otherwise STALE',
    how: 'assert absent is not looked at',
    omits: ['assert absent'],
  },
];

export const brokenUniqueKeys: readonly BrokenStore[] = [
  {
    breaks: 'unique keys: a key that is taken is CONFLICT',
    how: 'keys of one character are not looked up by create',
    wrap: omitting(
      ['unique'],
      (change) =>
        change.op === 'create' &&
        change.columns['origin'] === undefined &&
        change.columns['code'] === 'x' &&
        change.id === 'b',
    ),
  },
  {
    breaks: 'unique keys: replace cannot take a unique key either',
    how: 'replace looks up no key',
    wrap: omitting(['unique'], (change) => change.op === 'replace'),
  },
  {
    breaks: 'unique keys: adjust cannot take a unique key either',
    how: 'adjust looks up no key',
    wrap: omitting(['unique'], (change) => change.op === 'adjust'),
  },
  {
    breaks: 'unique keys: a record that misses a column takes no unique key',
    how: 'a missing part counts as 0',
    wrap: changing((change) =>
      change.op === 'create' && 'batch' in change.columns && change.columns['part'] === undefined
        ? { ...change, columns: { ...change.columns, part: 0 } }
        : change,
    ),
  },
  {
    breaks: 'unique keys: a key of two columns clashes where both are equal',
    how: 'the first column alone makes the key for what begins a commit',
    wrap: changing((change, { changes }) =>
      change.op === 'create' && change === changes[0] && change.columns['part'] === 2
        ? { ...change, columns: { ...change.columns, part: 1 } }
        : change,
    ),
  },
  {
    breaks: 'unique keys: a key is free again when its record leaves it',
    how: 'a key that was cleared stays taken',
    wrap: changing((change) =>
      change.op === 'replace' &&
      'code' in (change.columns ?? {}) &&
      change.columns?.['code'] === undefined
        ? { ...change, columns: {} }
        : change,
    ),
  },
  {
    breaks: 'commits: of those that want one unique key, one gets it',
    how: 'the key is looked up before the commit, not in it',
    wrap: checkThenAct(
      ['unique'],
      ({ changes }) => changes.length === 1 && oneOf(changes[0] as Change, 'code'),
    ),
  },
];
