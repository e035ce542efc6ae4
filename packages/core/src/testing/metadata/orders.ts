import type { MetadataStore } from '../../contracts/metadata-store.ts';
import type { Query } from '../../contracts/query.ts';
import { equal, ok, rejects } from '../assertions.ts';
import type { Case } from '../suite.ts';
import {
  anywhere,
  asc,
  body,
  column,
  compare,
  desc,
  param,
  sorts,
  storeValues,
} from './predicates.ts';
import { home, item, type MetadataStoreHarness, promised, write } from './scene.ts';

/** All pages of a query, as ids; `between` runs after each of them. */
async function pages(
  store: MetadataStore,
  query: Query,
  between: (page: number) => Promise<unknown> = async () => undefined,
): Promise<readonly (readonly string[])[]> {
  const out: string[][] = [];
  let cursor: string | undefined;
  do {
    const page: { records: readonly { id: string }[]; cursor?: string } = await store.query(
      home,
      'item',
      {
        ...query,
        ...(cursor === undefined ? {} : { cursor }),
      },
    );
    out.push(page.records.map((record) => record.id));
    cursor = page.cursor;
    ok(out.length < 1_000, 'Pages should come to an end');
    await between(out.length);
  } while (cursor !== undefined);
  return out;
}

/** Twenty-two items that tie, miss values and mix types. */
async function mixture(store: MetadataStore): Promise<void> {
  const x = ['b', 'a', 2, '10', true, null, Number.NaN, 2, [1], Number.NEGATIVE_INFINITY];
  await write(
    store,
    ...Array.from({ length: 22 }, (_, i) => {
      const value = x[i % 11];
      const map = value === undefined ? {} : { x: value };
      const columns =
        i % 4 === 0
          ? {}
          : { count: i % 3, name: `n${i % 5}`, size: i % 7 === 0 ? Number.NaN : i % 6 };
      return item(`i${String(i).padStart(2, '0')}`, columns, {
        body: map,
        facets: { params: map },
      });
    }),
  );
}

const orders = [
  [],
  [desc(column('id'))],
  [asc(column('count'))],
  [desc(column('count')), asc(column('name'))],
  [desc(column('size'))],
  [asc(column('name')), desc(column('size')), desc(column('id'))],
  [asc(param('x'))],
  [desc(param('x')), asc(column('count'))],
  [desc(body('x'))],
] as const;

/** In which order records come, and how pages follow one another. */
export const orderCases: readonly Case<MetadataStoreHarness>[] = [
  promised(
    'orders: columns sort by their type, in both directions',
    'Numbers sort as numbers, text by code points, false before true.',
    async ({ store }) => {
      await write(
        store,
        item('a', { name: '10', count: 10, size: 0.5, live: true }),
        item('b', { name: '9', count: 9, size: Number.POSITIVE_INFINITY, live: false }),
        item('c', { name: 'é', count: -1, size: -3 }),
        item('d', { name: 'Z', count: 2 ** 40, size: Number.NEGATIVE_INFINITY }),
        item('e', { name: '\uffff', count: 0, size: 0 }),
        item('f', { name: '😀', count: 1, size: 1e308 }),
      );
      await sorts(store, [asc(column('name'))], 'a b d c e f');
      await sorts(store, [desc(column('name'))], 'f e c d b a');
      await sorts(store, [asc(column('count'))], 'c e f b a d');
      await sorts(store, [desc(column('count'))], 'd a b f e c');
      await sorts(store, [asc(column('size'))], 'd c e a f b');
      await sorts(store, [desc(column('size'))], 'b f a e c d');
      await sorts(store, [asc(column('live')), asc(column('id'))], 'b a c d e f');
      await sorts(store, [desc(column('live')), asc(column('id'))], 'a b c d e f');
    },
  ),
  promised(
    'orders: what is missing comes last, in both directions',
    'Records that miss the value sort behind the others, ascending and descending.',
    async ({ store }) => {
      await storeValues(store, { a: 2, b: 1 });
      await write(
        store,
        item('m'),
        item('n', { name: 'x', count: 0, size: 0 }),
        item('o', { name: 'y', count: 1 }),
      );
      for (const by of anywhere) {
        await sorts(store, [asc(by)], 'b a m n o');
        await sorts(store, [desc(by)], 'a b m n o');
      }
      for (const name of ['name', 'count']) {
        await sorts(store, [asc(column(name))], 'n o a b m');
        await sorts(store, [desc(column(name))], 'o n a b m');
      }
      await sorts(store, [desc(column('size'))], 'n a b m o');
    },
  ),
  promised(
    'orders: NaN comes last, in both directions',
    'NaN sorts with the missing values.',
    async ({ store }) => {
      await storeValues(store, { a: Number.NaN, b: 1, c: Number.POSITIVE_INFINITY });
      for (const by of anywhere) {
        await sorts(store, [asc(by)], 'b c a');
        await sorts(store, [desc(by)], 'c b a');
      }
      await write(store, item('p', { size: Number.NaN }), item('q', { size: -1 }));
      await sorts(store, [asc(column('size'))], 'q a b c p');
      await sorts(store, [desc(column('size'))], 'q a b c p');
    },
  ),
  promised(
    'orders: facets and bodies sort numbers, then text, then the rest',
    'Values that carry a number come first, in both directions, then text; null, arrays and objects last.',
    async ({ store }) => {
      const values = {
        a: 'x',
        b: 10,
        c: '9',
        d: null,
        e: 'Ω',
        f: true,
        g: [1],
        h: -1,
        i: {},
        j: '',
      };
      await storeValues(store, values);
      for (const by of anywhere) {
        await sorts(store, [asc(by)], 'h c b j f a e d g i');
        await sorts(store, [desc(by)], 'b c h e a f j d g i');
      }
    },
  ),
  promised(
    'orders: ties, and the lack of an order, are settled by id',
    'Records that tie come by id ascending, whatever the direction.',
    async ({ store }) => {
      await write(
        store,
        item('c', { count: 1 }),
        item('a', { count: 1 }),
        item('b', { count: 1 }),
        item('B'),
      );
      await sorts(store, [], 'B a b c');
      await sorts(store, [asc(column('count'))], 'a b c B');
      await sorts(store, [desc(column('count'))], 'a b c B');
      await sorts(store, [desc(param('x'))], 'B a b c');
    },
  ),
  promised(
    'orders: several keys sort one after another',
    'A later key settles the ties of the earlier ones.',
    async ({ store }) => {
      await write(
        store,
        item('a', { count: 1, name: 'x' }, { facets: { params: { p: 1 } } }),
        item('b', { count: 2, name: 'y' }, { facets: { params: { p: 2 } } }),
        item('c', { count: 1, name: 'y' }, { facets: { params: { p: 3 } } }),
        item('d', { count: 2, name: 'x' }, { facets: { params: { p: 4 } } }),
        item('e', { name: 'x' }),
      );
      await sorts(store, [asc(column('count')), desc(column('name'))], 'c a b d e');
      await sorts(store, [desc(column('name')), desc(param('p'))], 'c b d a e');
      await sorts(store, [desc(param('p')), asc(column('name'))], 'd c b a e');
    },
  ),
  promised(
    'pages: hold as many as the limit, 50 when it is left out',
    'A page has at most `limit` records: 1 to 1,000, 50 when left out; others are INVALID.',
    async ({ store }) => {
      await write(store, ...Array.from({ length: 60 }, (_, i) => item(`i${i}`)));
      const size = async (query: Query): Promise<number> =>
        (await store.query(home, 'item', query)).records.length;
      equal(await size({}), 50, 'Without a limit');
      equal(await size({ limit: 1 }), 1, 'Limit 1');
      equal(await size({ limit: 1_000 }), 60, 'Limit 1,000');
      for (const limit of [0, -1, 1_001, 1.5, Number.NaN]) {
        await rejects('INVALID', () => size({ limit }), `Limit ${limit}`);
      }
    },
  ),
  promised(
    'pages: hold each record once, in the order of the whole',
    'Pages followed by their cursors are the whole, in any order by any keys.',
    async ({ store }) => {
      await mixture(store);
      for (const orderBy of orders) {
        const [whole] = await pages(store, { orderBy, limit: 1_000 });
        equal(whole?.length, 22, 'All of them');
        for (const limit of orderBy.length === 1 ? [4, 22] : [1, 22]) {
          const paged = (await pages(store, { orderBy, limit })).flat();
          equal(paged, whole, `Pages of ${limit} by ${JSON.stringify(orderBy)}`);
        }
      }
      const where = compare(column('count'), '>=', 1);
      const [whole] = await pages(store, { where, orderBy: orders[3], limit: 1_000 });
      equal(
        (await pages(store, { where, orderBy: orders[3], limit: 2 })).flat(),
        whole,
        'With a predicate',
      );
    },
  ),
  promised(
    'pages: stay right while records are created',
    'Records that matched throughout come exactly once, whatever is created between the pages.',
    async ({ store }) => {
      await mixture(store);
      const before = (await pages(store, { limit: 1_000 })).flat();
      for (const [round, orderBy] of orders.entries()) {
        const seen = await pages(store, { orderBy, limit: 7 }, async (page) => {
          // In front of, among and behind what is there; a few, so that the pages come to an end.
          const values = page > 4 ? [] : [-1, 1, 99];
          const created = values.map((value) =>
            item(
              `${value === 99 ? 'z' : 'a'}-${round}-${page}-${value}`,
              { count: value, size: value, name: `n${value}` },
              { body: { x: value }, facets: { params: { x: value } } },
            ),
          );
          await write(store, ...created);
        });
        const known = seen.flat().filter((id) => before.includes(id));
        equal(known.toSorted(), before, `Each exactly once, by ${JSON.stringify(orderBy)}`);
        equal(new Set(seen.flat()).size, seen.flat().length, 'And no other one twice');
      }
    },
  ),
  promised(
    "pages: another query's cursor is INVALID",
    'A cursor goes on with its own query alone; what is no cursor is INVALID.',
    async ({ store }) => {
      await write(store, ...Array.from({ length: 5 }, (_, i) => item(`i${i}`, { count: i })));
      const orderBy = [asc(column('count'))];
      const { cursor } = await store.query(home, 'item', { orderBy, limit: 2 });
      ok(cursor !== undefined, 'There are more, so there should be a cursor');
      const next = await store.query(home, 'item', { orderBy, limit: 2, cursor });
      equal(
        next.records.map((record) => record.id),
        ['i2', 'i3'],
        'The next page',
      );
      for (const other of [
        { orderBy: [desc(column('count'))] },
        { orderBy: [] },
        { orderBy, where: compare(column('count'), '>', 1) },
      ]) {
        await rejects(
          'INVALID',
          () => store.query(home, 'item', { ...other, cursor }),
          'Another query',
        );
      }
      await rejects('INVALID', () => store.query(home, 'job', { cursor }), 'Another kind');
      for (const text of ['', 'x', 'AAAA', `${cursor}x`, '{}', '0', `😀${cursor}`]) {
        await rejects(
          'INVALID',
          () => store.query(home, 'item', { orderBy, cursor: text }),
          'No cursor',
        );
      }
    },
  ),
  promised(
    'pages: an aborted search is ABORTED',
    'query and count reject with ABORTED when their signal is aborted.',
    async ({ store }) => {
      await write(store, item('a'));
      const signal = AbortSignal.abort();
      await rejects('ABORTED', () => store.query(home, 'item', {}, { signal }), 'query');
      await rejects('ABORTED', () => store.count(home, 'item', undefined, { signal }), 'count');
    },
  ),
];
