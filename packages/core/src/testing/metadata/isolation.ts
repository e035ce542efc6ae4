import type { Change, ClaimKey } from '../../contracts/metadata-store.ts';
import { defined, equal, rejects } from '../assertions.ts';
import type { Case } from '../suite.ts';
import {
  columnsOf,
  edge,
  emit,
  getItem,
  home,
  item,
  job,
  type MetadataStoreHarness,
  promised,
  write,
  writeIn,
} from './scene.ts';

const away = 'away';

/** That no workspace sees or touches what belongs to another. */
export const isolationCases: readonly Case<MetadataStoreHarness>[] = [
  promised(
    "isolation: another workspace's records are not read",
    'find, findMany, query and count see the records of their workspace alone.',
    async ({ store }) => {
      await write(store, item('mine'));
      await writeIn(store, away, item('theirs'), item('theirs too'));
      equal(await store.find(home, 'item', 'theirs'), undefined, 'find');
      const many = await store.findMany(home, 'item', ['theirs', 'mine']);
      equal(
        many.map((record) => record.id),
        ['mine'],
        'findMany',
      );
      const { records } = await store.query(home, 'item', {});
      equal(
        records.map((record) => record.id),
        ['mine'],
        'query',
      );
      equal((await store.count(home, 'item', undefined, { exact: true })).count, 1, 'count');
      equal(
        await store.find('home ', 'item', 'mine'),
        undefined,
        'Nor by a name that is nearly the same',
      );
    },
  ),
  promised(
    "isolation: another workspace's history is not read",
    'history sees the records of its workspace alone.',
    async ({ store }) => {
      await writeIn(store, away, item('theirs'));
      equal(await store.history(home, 'item', 'theirs'), [], 'Nothing');
      equal((await store.history(away, 'item', 'theirs')).length, 1, 'But at home it is there');
    },
  ),
  promised(
    "isolation: another workspace's records are not changed",
    'For every change a record of another workspace is as if it were not there.',
    async ({ store, leaseMs }) => {
      await writeIn(store, away, item('a', { count: 1 }, { facets: { tags: { t: 1 } } }), job('j'));
      const [claimed] = await store.claim('job', {
        workspace: away,
        limit: 1,
        owner: 'one',
        leaseMs,
      });
      const { fence } = defined(claimed, 'The job was free');
      const target = { kind: 'item', id: 'a' } as const;
      const refusals: [string, Change][] = [
        ['NOT_FOUND', { op: 'replace', ...target, expect: 1, columns: { count: 2 } }],
        ['NOT_FOUND', { op: 'merge', ...target, set: { tags: { t: 2 } } }],
        ['NOT_FOUND', { op: 'adjust', ...target, column: 'count', by: 1 }],
        ['STALE', { op: 'remove', ...target, expect: 1 }],
        ['STALE', { op: 'assert', ...target, expect: 1 }],
        ['LOST', { op: 'hold', kind: 'job', id: 'j', owner: 'one', fence }],
      ];
      for (const [code, change] of refusals) {
        await rejects(code as 'STALE', () => write(store, change), `${change.op} from home`);
      }
      await write(store, { op: 'assert', ...target, expect: 'absent' });
      const theirs = defined(await store.find(away, 'item', 'a', { facets: ['tags'] }), 'Theirs');
      equal(
        [theirs.revision, columnsOf(theirs), theirs.facets],
        [1, { count: 1 }, { tags: { t: 1 } }],
        'As it was',
      );
    },
  ),
  promised(
    'isolation: one id in two workspaces is two records',
    'An id that is taken in one workspace is free in another, and leads to the record of its own.',
    async ({ store }) => {
      await write(store, item('same', { name: 'mine' }, { facets: { tags: { of: 'mine' } } }));
      await writeIn(
        store,
        away,
        item('same', { name: 'theirs' }, { facets: { tags: { of: 'theirs' } } }),
      );
      await write(store, {
        op: 'replace',
        kind: 'item',
        id: 'same',
        expect: 1,
        columns: { count: 1 },
      });
      const mine = await getItem(store, 'same', 'tags');
      equal(
        [columnsOf(mine), mine.facets['tags']],
        [{ name: 'mine', count: 1 }, { of: 'mine' }],
        'Mine',
      );
      const theirs = defined(
        await store.find(away, 'item', 'same', { facets: ['tags'] }),
        'Theirs',
      );
      equal(
        [columnsOf(theirs), theirs.facets['tags']],
        [{ name: 'theirs' }, { of: 'theirs' }],
        'Theirs',
      );
      await write(store, { op: 'remove', kind: 'item', id: 'same', expect: 2 });
      defined(await store.find(away, 'item', 'same'), 'Removing mine should leave theirs');
    },
  ),
  promised(
    'isolation: unique keys are those of a workspace',
    'A unique key that is taken in one workspace is free in another.',
    async ({ store }) => {
      await write(store, item('a', { code: 'x' }));
      await writeIn(store, away, item('b', { code: 'x' }));
    },
  ),
  promised(
    "isolation: another workspace's events are not read",
    'readEvents of a workspace gives its events alone.',
    async ({ store }) => {
      await write(store, emit(1));
      await writeIn(store, away, emit(2), emit(3));
      const { events } = await store.readEvents({ workspace: home, limit: 10 });
      equal(
        events.map((one) => one.payload['n']),
        [1],
        'Only mine',
      );
    },
  ),
  promised(
    'isolation: subjects are those of a workspace',
    'Events of one subject are numbered for each workspace by itself.',
    async ({ store }) => {
      await write(store, emit(1));
      await writeIn(store, away, emit(2));
      await write(store, emit(3));
      for (const [workspace, numbers] of [
        [home, [1, 2]],
        [away, [1]],
      ] as const) {
        const { events } = await store.readEvents({ workspace, limit: 10 });
        const mine = events.filter((one) => one.workspace === workspace);
        equal(
          mine.map((one) => one.subjectSequence),
          numbers,
          `The numbers of ${workspace}`,
        );
      }
    },
  ),
  promised(
    'isolation: ids of events are those of a workspace',
    'An id of an event that was emitted in one workspace may be emitted in another.',
    async ({ store }) => {
      await write(store, emit(1));
      await writeIn(store, away, emit(1));
    },
  ),
  promised(
    "isolation: another workspace's records are not claimed",
    'claim in a workspace takes its records alone.',
    async ({ store, leaseMs }) => {
      await write(store, job('mine'));
      await writeIn(store, away, job('theirs'));
      const claimed = await store.claim('job', {
        workspace: home,
        limit: 10,
        owner: 'one',
        leaseMs,
      });
      equal(
        claimed.map(({ record }) => record.id),
        ['mine'],
        'Only mine',
      );
    },
  ),
  promised(
    'isolation: one id in two workspaces is two claims',
    'renew and release touch the claim of the workspace they name.',
    async ({ store, leaseMs }) => {
      await write(store, job('same'));
      await writeIn(store, away, job('same'));
      const take = async (workspace: string): Promise<ClaimKey> => {
        const [claimed] = await store.claim('job', { workspace, limit: 5, owner: 'one', leaseMs });
        const { owner, fence } = defined(claimed, `The job of ${workspace} is free`);
        return { workspace, kind: 'job', id: 'same', owner, fence };
      };
      const mine = await take(home);
      const theirs = await take(away);
      await store.release([mine]);
      equal(await store.renew([theirs], leaseMs), [theirs], 'Releasing mine should leave theirs');
      equal(await store.renew([mine], leaseMs), [], 'Mine was released');
      await take(home);
      const again = await store.claim('job', { workspace: away, limit: 5, owner: 'two', leaseMs });
      equal(again, [], 'Theirs should still be held');
    },
  ),
  promised(
    "isolation: another workspace's owners of claims are not named",
    'claimOwners of a workspace names those who hold its records.',
    async ({ store, leaseMs }) => {
      await write(store, job('mine'));
      await writeIn(store, away, job('theirs'));
      await store.claim('job', { workspace: home, limit: 1, owner: 'one', leaseMs });
      await store.claim('job', { workspace: away, limit: 1, owner: 'two', leaseMs });
      equal(await store.claimOwners('job', home), ['one'], 'Only mine');
    },
  ),
  promised(
    "isolation: another workspace's edges are not followed",
    'reach follows the edges of its workspace alone.',
    async ({ store }) => {
      await write(store, edge('a', 'b'));
      await writeIn(store, away, edge('a', 'x'), edge('b', 'c'));
      const options = { direction: 'forward', depth: 9, limit: 99 } as const;
      const { nodes } = await store.reach(home, ['a'], options);
      equal(
        nodes.map((node) => node.id),
        ['a', 'b'],
        'Only mine',
      );
    },
  ),
];
