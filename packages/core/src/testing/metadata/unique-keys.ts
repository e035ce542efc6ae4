import { equal, rejects } from '../assertions.ts';
import type { Case } from '../suite.ts';
import { getItem, home, item, type MetadataStoreHarness, promised, write } from './scene.ts';

/** What unique keys forbid, and what they do not. */
export const uniqueKeyCases: readonly Case<MetadataStoreHarness>[] = [
  promised(
    'unique keys: a key that is taken is CONFLICT',
    'create rejects with CONFLICT, naming the key, if a unique key is taken.',
    async ({ store }) => {
      await write(store, item('a', { code: 'x' }));
      await rejects('CONFLICT', () => write(store, item('b', { code: 'x' })), 'A taken key', [
        'item code',
      ]);
      equal(await store.find(home, 'item', 'b'), undefined, 'The second should not be there');
      await write(store, item('b', { code: 'X' }), item('c', { code: 'x ' }));
    },
  ),
  promised(
    'unique keys: replace cannot take a unique key either',
    'replace rejects with CONFLICT, naming the key, if a unique key is taken.',
    async ({ store }) => {
      await write(store, item('a', { code: 'x' }), item('b', { code: 'y' }));
      const take = {
        op: 'replace',
        kind: 'item',
        id: 'b',
        expect: 1,
        columns: { code: 'x' },
      } as const;
      await rejects('CONFLICT', () => write(store, take), 'A taken key', ['item code']);
      // Its own key is no obstacle.
      const keep = {
        op: 'replace',
        kind: 'item',
        id: 'a',
        expect: 1,
        columns: { code: 'x' },
      } as const;
      await write(store, keep);
    },
  ),
  promised(
    'unique keys: adjust cannot take a unique key either',
    'adjust rejects with CONFLICT, naming the key, if it would take a unique key.',
    async ({ store }) => {
      await write(store, item('a', { batch: 'x', part: 1 }), item('b', { batch: 'x', part: 2 }));
      const change = { op: 'adjust', kind: 'item', id: 'b', column: 'part', by: -1 } as const;
      await rejects('CONFLICT', () => write(store, change), 'A taken key', ['item part']);
      equal((await getItem(store, 'b')).columns['part'], 2, 'The record should be as it was');
    },
  ),
  promised(
    'unique keys: a record that misses a column takes no unique key',
    'Records that miss one of the columns of a unique key do not clash.',
    async ({ store }) => {
      await write(
        store,
        item('a'),
        item('b'),
        item('c', { batch: 'x' }),
        item('d', { batch: 'x' }),
      );
      const { count } = await store.count(home, 'item', undefined, { exact: true });
      equal(count, 4, 'All four should be there');
    },
  ),
  promised(
    'unique keys: a key of two columns clashes where both are equal',
    'A unique key is the combination of its columns.',
    async ({ store }) => {
      await write(store, item('a', { batch: 'x', part: 1 }));
      await write(store, item('b', { batch: 'x', part: 2 }), item('c', { batch: 'y', part: 1 }));
      const clash = item('d', { batch: 'x', part: 1 });
      await rejects('CONFLICT', () => write(store, clash), 'Both columns are equal', ['item part']);
    },
  ),
  promised(
    'unique keys: a key is free again when its record leaves it',
    'A key is free after its record was removed or has another value; within one commit, too.',
    async ({ store }) => {
      await write(store, item('a', { code: 'x' }), item('b', { code: 'y' }));
      await write(
        store,
        { op: 'replace', kind: 'item', id: 'a', expect: 1, columns: { code: 'z' } },
        item('c', { code: 'x' }),
      );
      await write(
        store,
        { op: 'remove', kind: 'item', id: 'b', expect: 1 },
        item('d', { code: 'y' }),
      );
      await write(store, {
        op: 'replace',
        kind: 'item',
        id: 'a',
        expect: 2,
        columns: { code: undefined },
      });
      await write(store, item('e', { code: 'z' }));
    },
  ),
];
