import { equal, ok, rejects } from '../assertions.ts';
import type { Case } from '../suite.ts';
import {
  columnsOf,
  getItem,
  home,
  item,
  job,
  type MetadataStoreHarness,
  note,
  promised,
  write,
} from './scene.ts';

/** What becomes of records: create, replace, remove, assert. */
export const recordCases: readonly Case<MetadataStoreHarness>[] = [
  promised(
    'records: a created record is found whole, at revision 1',
    'create makes a record at revision 1, with the columns and the body given.',
    async ({ store }) => {
      const body = { list: [1, 'two', null], nested: { yes: true } };
      const { at } = await write(store, item('a', { name: 'first', count: 3 }, { body }));
      const record = await getItem(store, 'a');
      equal(
        { ...record, columns: columnsOf(record), createdAt: 0, updatedAt: 0 },
        {
          kind: 'item',
          id: 'a',
          workspace: home,
          revision: 1,
          createdAt: 0,
          updatedAt: 0,
          columns: { name: 'first', count: 3 },
          body,
          facets: {},
        },
        'The record should be as it was created',
      );
      equal(
        [record.createdAt, record.updatedAt],
        [at, at],
        'Both times should be those of the commit',
      );
    },
  ),
  promised(
    'records: without a body the body is empty',
    'A record that is created without a body has an empty one.',
    async ({ store }) => {
      await write(store, item('a'));
      equal((await getItem(store, 'a')).body, {}, 'The body should be an empty object');
    },
  ),
  promised(
    'records: an id that is not there is not found',
    'find answers undefined where there is no such record.',
    async ({ store }) => {
      await write(store, item('a'), note('n'));
      equal(await store.find(home, 'item', 'b'), undefined, 'There is no item b');
      equal(await store.find(home, 'item', 'n'), undefined, 'n is a note, not an item');
    },
  ),
  promised(
    'records: findMany answers in the order asked for, leaving out what is not there',
    'findMany gives the records of the ids that exist, in the order asked for.',
    async ({ store }) => {
      await write(store, item('a'), item('b'), item('c'));
      const found = await store.findMany(home, 'item', ['c', 'x', 'a', 'b']);
      equal(
        found.map((record) => record.id),
        ['c', 'a', 'b'],
        'The order should be that of the request',
      );
      equal(await store.findMany(home, 'item', []), [], 'No ids, no records');
    },
  ),
  promised(
    'records: bodies are left out where none is wanted',
    'With body: false, findMany and query give records with an empty body; all else of them is there.',
    async ({ store }) => {
      await write(
        store,
        item('a', { count: 7 }, { body: { big: 'x' }, facets: { tags: { t: 1 } } }),
      );
      const bare = { facets: ['tags'], body: false };
      const [whole] = await store.findMany(home, 'item', ['a'], { facets: ['tags'], body: true });
      equal(whole?.body, { big: 'x' }, 'The body, asked for');
      const [found] = await store.findMany(home, 'item', ['a'], bare);
      equal(found, { ...whole, body: {} }, 'findMany: all but the body');
      const { records } = await store.query(home, 'item', bare);
      equal(records, [{ ...whole, body: {} }], 'query: all but the body');
      equal((await getItem(store, 'a')).body, { big: 'x' }, 'The body is as it was');
    },
  ),
  promised(
    'records: findMany takes at most 1,000 ids',
    'More than 1,000 ids are INVALID.',
    async ({ store }) => {
      await write(store, item('i7'));
      const ids = Array.from({ length: 1_001 }, (_, i) => `i${i}`);
      const found = await store.findMany(home, 'item', ids.slice(1));
      equal(found.length, 1, '1,000 ids should be looked up');
      await rejects(
        'INVALID',
        () => store.findMany(home, 'item', ids),
        '1,001 ids should be refused',
      );
    },
  ),
  promised(
    'records: an id that is taken is CONFLICT',
    'create rejects with CONFLICT, naming the record, if the id is taken.',
    async ({ store }) => {
      await write(store, item('taken', { name: 'first' }));
      await rejects(
        'CONFLICT',
        () => write(store, item('taken', { name: 'second' })),
        'A taken id',
        ['taken'],
      );
      await rejects('CONFLICT', () => write(store, item('new'), item('new')), 'Twice in a commit', [
        'new',
      ]);
      equal(
        (await getItem(store, 'taken')).columns['name'],
        'first',
        'The record should be as it was',
      );
      await write(store, note('taken'));
    },
  ),
  promised(
    'records: replace changes the columns named and no others',
    'replace sets the columns named; the others, and the body where none is given, stay.',
    async ({ store }) => {
      await write(store, item('a', { name: 'n', count: 1, size: 0.5 }, { body: { kept: true } }));
      const change = {
        op: 'replace',
        kind: 'item',
        id: 'a',
        expect: 1,
        columns: { count: 2 },
      } as const;
      await write(store, change);
      const record = await getItem(store, 'a');
      equal(
        columnsOf(record),
        { name: 'n', count: 2, size: 0.5 },
        'Only count should have changed',
      );
      equal(record.body, { kept: true }, 'The body should have stayed');
    },
  ),
  promised(
    'records: replace clears a column that is given as undefined',
    'A column that replace names as undefined is missing afterwards.',
    async ({ store }) => {
      await write(store, item('a', { name: 'n', count: 1 }));
      const columns = { name: undefined };
      await write(store, { op: 'replace', kind: 'item', id: 'a', expect: 1, columns });
      equal(columnsOf(await getItem(store, 'a')), { count: 1 }, 'The name should be missing');
    },
  ),
  promised(
    'records: replace takes the body as a whole',
    'A body that replace gives stands in the place of the former one.',
    async ({ store }) => {
      await write(store, item('a', {}, { body: { old: 1, both: 1 } }));
      const body = { both: 2 };
      await write(store, { op: 'replace', kind: 'item', id: 'a', expect: 1, body });
      equal((await getItem(store, 'a')).body, body, 'Nothing of the former body should be left');
    },
  ),
  promised(
    'records: each replace raises the revision by one',
    'The revision rises by one with each replace, and updatedAt with it; createdAt stays.',
    async ({ store, elapse }) => {
      const created = await write(store, item('a'));
      await elapse(5);
      await write(store, {
        op: 'replace',
        kind: 'item',
        id: 'a',
        expect: 1,
        columns: { count: 1 },
      });
      const change = {
        op: 'replace',
        kind: 'item',
        id: 'a',
        expect: 2,
        columns: { count: 1 },
      } as const;
      const { at } = await write(store, change);
      const { revision, createdAt, updatedAt } = await getItem(store, 'a');
      equal(
        { revision, createdAt, updatedAt },
        { revision: 3, createdAt: created.at, updatedAt: at },
        'Three',
      );
    },
  ),
  promised(
    'records: replace at another revision is STALE',
    'replace rejects with STALE, naming the record, unless it is at the revision expected.',
    async ({ store }) => {
      await write(store, item('stale-one', { name: 'n' }));
      for (const expect of [0, 2]) {
        const columns = { name: 'changed' };
        await rejects(
          'STALE',
          () => write(store, { op: 'replace', kind: 'item', id: 'stale-one', expect, columns }),
          `Revision ${expect} instead of 1`,
          ['stale-one'],
        );
      }
      equal(
        (await getItem(store, 'stale-one')).columns['name'],
        'n',
        'The record should be as it was',
      );
    },
  ),
  promised(
    'records: replace of what is not there is NOT_FOUND',
    'replace rejects with NOT_FOUND, naming the record, if there is none.',
    async ({ store }) => {
      await rejects(
        'NOT_FOUND',
        () =>
          write(store, { op: 'replace', kind: 'item', id: 'absent-one', expect: 1, columns: {} }),
        'There is nothing to replace',
        ['absent-one'],
      );
      equal(
        await store.find(home, 'item', 'absent-one'),
        undefined,
        'Nothing should have been made',
      );
    },
  ),
  promised(
    'records: an immutable column never changes',
    'replace rejects with IMMUTABLE, naming record and column, when it would change an immutable column.',
    async ({ store }) => {
      await write(store, item('a', { origin: 'here' }), item('b'));
      for (const [id, origin] of [
        ['a', 'there'],
        ['a', undefined],
        ['b', 'there'],
      ] as const) {
        await rejects(
          'IMMUTABLE',
          () => write(store, { op: 'replace', kind: 'item', id, expect: 1, columns: { origin } }),
          'The origin may not change',
          ['origin'],
        );
      }
      await write(store, {
        op: 'replace',
        kind: 'item',
        id: 'a',
        expect: 1,
        columns: { origin: 'here' },
      });
    },
  ),
  promised(
    'records: an immutable body never changes',
    'replace rejects with IMMUTABLE, naming the record, when it would change an immutable body.',
    async ({ store }) => {
      await write(store, note('fixed', {}, { text: 'said', list: [1] }));
      await rejects(
        'IMMUTABLE',
        () =>
          write(store, {
            op: 'replace',
            kind: 'note',
            id: 'fixed',
            expect: 1,
            body: { text: 'unsaid' },
          }),
        'The body may not change',
        ['fixed'],
      );
      const body = { list: [1], text: 'said' };
      await write(store, {
        op: 'replace',
        kind: 'note',
        id: 'fixed',
        expect: 1,
        columns: { title: 't' },
        body,
      });
    },
  ),
  promised(
    'records: a removed record is gone',
    'remove takes the record away; its id may be used again.',
    async ({ store }) => {
      await write(store, item('a', { name: 'old' }, { body: { old: true } }), item('b'));
      await write(store, { op: 'remove', kind: 'item', id: 'a', expect: 1 });
      equal(await store.find(home, 'item', 'a'), undefined, 'It should be gone');
      const { records } = await store.query(home, 'item', {});
      equal(
        records.map((record) => record.id),
        ['b'],
        'It should be gone from searches',
      );
      await write(store, item('a', {}, { body: { new: true } }));
      const { revision, columns, body } = await getItem(store, 'a');
      equal(
        { revision, columns, body },
        { revision: 1, columns: {}, body: { new: true } },
        'The new one is new',
      );
    },
  ),
  promised(
    'records: remove at another revision, or of nothing, is STALE',
    'remove rejects with STALE, naming the record, unless it is there at the revision expected.',
    async ({ store }) => {
      await write(store, item('stays'));
      for (const [id, expect] of [
        ['stays', 2],
        ['absent-one', 1],
      ] as const) {
        await rejects(
          'STALE',
          () => write(store, { op: 'remove', kind: 'item', id, expect }),
          'Remove',
          [id],
        );
      }
      await getItem(store, 'stays');
    },
  ),
  promised(
    'records: remove takes the facets with it',
    'A record that is made under the id of a removed one has none of its facets.',
    async ({ store }) => {
      await write(store, item('a', {}, { facets: { tags: { old: 1 }, params: { old: 1 } } }));
      await write(store, { op: 'remove', kind: 'item', id: 'a', expect: 1 });
      await write(store, item('a', {}, { facets: { tags: { new: 1 } } }));
      const { facets } = await getItem(store, 'a', 'tags', 'params');
      equal(facets, { tags: { new: 1 }, params: {} }, 'Only the new facet should be there');
    },
  ),
  promised(
    'records: remove takes the claim with it',
    'A record that is made under the id of a removed one is not held.',
    async ({ store, leaseMs }) => {
      await write(store, job('j'));
      await store.claim('job', { limit: 1, owner: 'one', leaseMs });
      await write(store, { op: 'remove', kind: 'job', id: 'j', expect: 1 });
      await write(store, job('j'));
      const claimed = await store.claim('job', { limit: 1, owner: 'two', leaseMs });
      equal(claimed.length, 1, 'The new job should be free');
    },
  ),
  promised(
    'records: assert holds at the revision, otherwise STALE',
    'assert rejects with STALE, naming the record, unless the record is at the revision.',
    async ({ store }) => {
      await write(store, item('guard'));
      await write(store, { op: 'assert', kind: 'item', id: 'guard', expect: 1 });
      for (const [id, expect] of [
        ['guard', 2],
        ['absent-one', 1],
      ] as const) {
        const guarded = [{ op: 'assert', kind: 'item', id, expect } as const, item('new')];
        await rejects('STALE', () => write(store, ...guarded), `${id} at ${expect}`, [id]);
      }
      ok((await store.find(home, 'item', 'new')) === undefined, 'Nothing should have been made');
    },
  ),
  promised(
    'records: assert absent holds where there is no record, otherwise STALE',
    'assert absent rejects with STALE, naming the record, if there is one.',
    async ({ store }) => {
      await write(
        store,
        { op: 'assert', kind: 'item', id: 'guard', expect: 'absent' },
        item('guard'),
      );
      await rejects(
        'STALE',
        () => write(store, { op: 'assert', kind: 'item', id: 'guard', expect: 'absent' }),
        'There is one',
        ['guard'],
      );
    },
  ),
];
