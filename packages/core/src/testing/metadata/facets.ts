import { equal, rejects } from '../assertions.ts';
import type { Case } from '../suite.ts';
import { getItem, home, item, type MetadataStoreHarness, promised, write } from './scene.ts';

/** What becomes of facets: create, merge, unset. */
export const facetCases: readonly Case<MetadataStoreHarness>[] = [
  promised(
    'facets: only those asked for come with a record',
    'find, findMany and query give the facets that were asked for, and no others.',
    async ({ store }) => {
      await write(
        store,
        item('a', {}, { facets: { params: { p: 1 }, tags: { t: 2 } } }),
        item('b'),
      );
      equal((await getItem(store, 'a')).facets, {}, 'None was asked for');
      equal((await getItem(store, 'a', 'tags')).facets, { tags: { t: 2 } }, 'Tags were asked for');
      const options = { facets: ['params', 'tags'] };
      const many = await store.findMany(home, 'item', ['a', 'b'], options);
      const expected = [
        { params: { p: 1 }, tags: { t: 2 } },
        { params: {}, tags: {} },
      ];
      equal(
        many.map((record) => record.facets),
        expected,
        'findMany: both were asked for',
      );
      const { records } = await store.query(home, 'item', options);
      equal(
        records.map((record) => record.facets),
        expected,
        'query: both were asked for',
      );
    },
  ),
  promised(
    'facets: merge sets the keys given and leaves the others',
    'merge sets the facet keys given, anew or over a former value; the other keys stay.',
    async ({ store }) => {
      await write(store, item('a', {}, { facets: { tags: { one: 1, two: 2 }, params: { p: 1 } } }));
      const set = { tags: { two: 'zwei', three: 3 } };
      await write(store, { op: 'merge', kind: 'item', id: 'a', set });
      const { facets } = await getItem(store, 'a', 'tags', 'params');
      equal(facets, { tags: { one: 1, two: 'zwei', three: 3 }, params: { p: 1 } }, 'Merged');
    },
  ),
  promised(
    'facets: unset removes keys',
    'merge removes the keys that unset names; those that are not there are no error.',
    async ({ store }) => {
      await write(
        store,
        item('a', {}, { facets: { tags: { one: 1, two: 2 }, params: { one: 1 } } }),
      );
      await write(store, { op: 'merge', kind: 'item', id: 'a', unset: { tags: ['one', 'nine'] } });
      const { facets } = await getItem(store, 'a', 'tags', 'params');
      equal(facets, { tags: { two: 2 }, params: { one: 1 } }, 'Only the tag one should be gone');
    },
  ),
  promised(
    'facets: null is a value',
    'A facet key that is merged as null is there, with the value null.',
    async ({ store }) => {
      await write(store, item('a', {}, { facets: { tags: { one: 1, made: null } } }));
      await write(store, { op: 'merge', kind: 'item', id: 'a', set: { tags: { one: null } } });
      const { facets } = await getItem(store, 'a', 'tags');
      equal(facets, { tags: { one: null, made: null } }, 'Both should be null, and there');
    },
  ),
  promised(
    'facets: types are kept',
    'A number, a text that looks like one, a boolean and structures come back as what they were.',
    async ({ store }) => {
      const params = {
        number: 0.001,
        text: '0.001',
        truth: true,
        truthText: 'true',
        empty: '',
        list: [1, '1', [null, false]],
        object: { a: { b: [] } },
      };
      await write(store, item('a', {}, { facets: { params } }), item('b'));
      await write(store, { op: 'merge', kind: 'item', id: 'b', set: { params } });
      for (const id of ['a', 'b']) {
        equal(
          (await getItem(store, id, 'params')).facets['params'],
          params,
          `Types of ${id} should be kept`,
        );
      }
    },
  ),
  promised(
    'facets: merge leaves the revision alone',
    'A merge changes neither the revision nor what others expect of it.',
    async ({ store }) => {
      await write(store, item('a'));
      await write(store, { op: 'merge', kind: 'item', id: 'a', set: { tags: { one: 1 } } });
      equal((await getItem(store, 'a')).revision, 1, 'The revision should be as it was');
      await write(store, {
        op: 'replace',
        kind: 'item',
        id: 'a',
        expect: 1,
        columns: { count: 1 },
      });
    },
  ),
  promised(
    'facets: replace leaves the facets alone',
    'A replace of columns and body changes no facet.',
    async ({ store }) => {
      await write(store, item('a', {}, { facets: { tags: { one: 1 } } }));
      await write(store, {
        op: 'replace',
        kind: 'item',
        id: 'a',
        expect: 1,
        columns: { count: 1 },
        body: {},
      });
      equal(
        (await getItem(store, 'a', 'tags')).facets,
        { tags: { one: 1 } },
        'The tag should be there',
      );
    },
  ),
  promised(
    'facets: merges of different keys commute, whoever makes them',
    'Merges at the same time, from several processes, lose nothing.',
    async ({ store, openSecond }) => {
      const second = await openSecond();
      await write(store, item('a'));
      const merges = Array.from({ length: 20 }, (_, i) => {
        const set = { tags: { [`key${i}`]: i } };
        return write(i % 2 === 0 ? store : second, { op: 'merge', kind: 'item', id: 'a', set });
      });
      await Promise.all(merges);
      const { facets } = await getItem(store, 'a', 'tags');
      const expected = Object.fromEntries(Array.from({ length: 20 }, (_, i) => [`key${i}`, i]));
      equal(facets['tags'], expected, 'All twenty keys should be there');
    },
  ),
  promised(
    'facets: merge into what is not there is NOT_FOUND',
    'merge rejects with NOT_FOUND, naming the record, if there is none.',
    async ({ store }) => {
      const change = {
        op: 'merge',
        kind: 'item',
        id: 'absent-one',
        set: { tags: { a: 1 } },
      } as const;
      await rejects('NOT_FOUND', () => write(store, change), 'There is nothing to merge into', [
        'absent-one',
      ]);
    },
  ),
];
