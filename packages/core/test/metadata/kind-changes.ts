import { beforeEach, expect, test } from 'vitest';
import type { Change, MetadataStore } from '../../src/contracts/metadata-store.ts';
import type { KindDeclaration } from '../../src/contracts/record.ts';

/** A store that is opened again and again, its kinds declared anew. */
export interface KindedStore {
  /** Whether there are series in the same database, which are projected. */
  readonly projects: boolean;
  open(...kinds: readonly KindDeclaration[]): Promise<MetadataStore>;
  hasTable(name: string): Promise<boolean>;
  /** Runs a statement past the store. */
  run(statement: string): Promise<void>;
}

const first: KindDeclaration = {
  name: 'book',
  columns: {
    title: { type: 'text' },
    isbn: { type: 'text', optional: true, immutable: true },
    price: { type: 'real', optional: true, immutable: true },
  },
  history: 'kept',
  immutableBody: true,
};

const book = (id: string, columns: { readonly [name: string]: string | number }): Change => ({
  op: 'create',
  kind: 'book',
  id,
  columns,
  body: { pages: 3 },
});

async function write(store: MetadataStore, ...changes: readonly Change[]): Promise<void> {
  await store.commit({ workspace: 'w', principal: 'test', changes });
}

/** Tests of what becomes of a store whose program declares its kinds otherwise than before. */
export function testKindChanges(fresh: () => KindedStore): void {
  let place: KindedStore;
  const open: KindedStore['open'] = (...kinds) => place.open(...kinds);
  beforeEach(() => {
    place = fresh();
  });

  test('optional columns, indexes, unique keys, facets and kinds are added to what is there', async () => {
    await using old = await open(first);
    await write(old, book('a', { title: 'one', isbn: '1' }));
    const next: KindDeclaration = {
      ...first,
      columns: {
        ...first.columns,
        year: { type: 'integer', optional: true },
        weight: { type: 'real', optional: true },
        sold: { type: 'boolean', optional: true },
      },
      unique: [{ name: 'isbn', columns: ['isbn'] }],
      indexes: [['year', 'title']],
      facets: { tags: { source: 'merged' }, metrics: { source: 'projected' } },
    };
    await using store = await open(next, { ...first, name: 'leaflet' });
    const columns = { title: 'two', isbn: '2', year: 1900, weight: Number.NaN, sold: false };
    await write(store, { ...book('b', {}), columns, facets: { tags: { t: 1 } } } as Change);
    const facets = place.projects ? ['tags', 'metrics'] : ['tags'];
    const [a, b] = await store.findMany('w', 'book', ['a', 'b'], { facets });
    expect(a?.columns).toEqual({ title: 'one', isbn: '1' });
    expect(a?.facets).toEqual(place.projects ? { tags: {}, metrics: {} } : { tags: {} });
    expect(b?.columns).toEqual(columns);
    expect(b?.facets['tags']).toEqual({ t: 1 });
    await expect(write(store, book('c', { title: 'x', isbn: '1' }))).rejects.toMatchObject({
      code: 'CONFLICT',
    });
    // The program of the older declaration goes on beside it, and may be started again.
    await write(old, book('d', { title: 'from before', isbn: '3' }));
    await using again = await open(first);
    expect((await again.find('w', 'book', 'b'))?.columns).toEqual({ title: 'two', isbn: '2' });
    expect((await store.find('w', 'book', 'd'))?.columns).toEqual({
      title: 'from before',
      isbn: '3',
    });
    await expect(write(old, book('e', { title: 'x', isbn: '1' }))).rejects.toMatchObject({
      code: 'CONFLICT',
    });
    // What only the newer declaration knows is remembered.
    const columns2 = { ...next.columns, year: { type: 'text', optional: true } } as const;
    await expect(open({ ...next, columns: columns2 })).rejects.toMatchObject({
      code: 'INCOMPATIBLE',
      details: { column: 'year' },
    });
  });

  const cases: readonly (readonly [string, KindDeclaration, string])[] = [
    [
      'another type',
      { ...first, columns: { ...first.columns, title: { type: 'integer' } } },
      'title',
    ],
    [
      'a new required column',
      { ...first, columns: { ...first.columns, year: { type: 'integer' } } },
      'year',
    ],
    [
      'optional made required',
      { ...first, columns: { ...first.columns, isbn: { type: 'text' } } },
      'isbn',
    ],
    [
      'a required column dropped',
      { ...first, columns: { isbn: { type: 'text', optional: true } } },
      'title',
    ],
    [
      'a unique key that records break',
      { ...first, unique: [{ name: 'k', columns: ['title'] }] },
      'title',
    ],
  ];
  for (const [what, changed, column] of cases) {
    test(`${what} is INCOMPATIBLE, naming kind and column, and changes nothing`, async () => {
      await using store = await open(first);
      await write(store, book('a', { title: 'same' }), book('b', { title: 'same' }));
      await expect(open({ ...first, name: 'other' }, changed)).rejects.toMatchObject({
        code: 'INCOMPATIBLE',
        message: expect.stringMatching(new RegExp(`book.*${column}`)),
        details: { kind: 'book' },
      });
      expect(await place.hasTable('rec_other')).toBe(false);
      await using again = await open(first);
      expect((await again.find('w', 'book', 'a'))?.columns).toEqual({ title: 'same' });
    });
  }

  test('required columns may be added while there are no records', async () => {
    await (await open(first)).close();
    const columns = { ...first.columns, year: { type: 'integer' } } as const;
    await using store = await open({ ...first, columns });
    await write(store, book('a', { title: 'one', year: 1 }));
    expect((await store.find('w', 'book', 'a'))?.columns).toEqual({ title: 'one', year: 1 });
  });

  test('ten openings at once, of a new file and of one to be changed, all succeed', async () => {
    for (const kinds of [[first], [first, { ...first, name: 'leaflet' }]]) {
      const stores = await Promise.all(Array.from({ length: 10 }, () => open(...kinds)));
      await Promise.all(
        stores.map((store, i) => write(store, book(`${kinds.length}-${i}`, { title: 't' }))),
      );
      for (const store of stores) await store.close();
    }
    await using store = await open(first);
    expect((await store.query('w', 'book', {})).records.length).toBe(20);
  });

  test('statements that go past the store cannot change what never changes', async () => {
    await using store = await open(first);
    await write(store, book('a', { title: 'one', isbn: '1', price: 2.5 }), {
      op: 'emit',
      event: {
        id: 'e',
        type: 'book.added',
        subject: 'book:a',
        source: 'test',
        at: 1,
        payload: {},
        schemaVersion: 1,
        correlationId: 'c',
        principal: 'test',
      },
    });
    for (const statement of [
      `UPDATE rec_book SET "c_isbn" = '2'`,
      'UPDATE rec_book SET "c_isbn" = NULL',
      'UPDATE rec_book SET "c_price" = 3',
      'UPDATE rec_book SET "x_price" = 1',
      "UPDATE rec_book SET body = '{}'",
      "UPDATE rec_book SET id = 'b'",
      "UPDATE rec_book SET ws = 'v'",
      "UPDATE history SET principal = 'nobody'",
      "UPDATE event SET payload = '[]'",
    ]) {
      await expect(place.run(statement), statement).rejects.toThrow(/IMMUTABLE/);
    }
    await place.run(`UPDATE rec_book SET "c_title" = 'two', "c_isbn" = '1', body = body`);
    const record = await store.find('w', 'book', 'a');
    expect(record?.columns).toEqual({ title: 'two', isbn: '1', price: 2.5 });
    expect(record?.body).toEqual({ pages: 3 });
  });

  test('declarations that make no table are INVALID', async () => {
    const text = { type: 'text' } as const;
    for (const [kind, what] of [
      [{ ...first, name: 'Book; DROP TABLE x' }, /name for a kind/],
      [{ ...first, columns: { 'a"b': text } }, /name for a column/],
      [{ ...first, columns: { liveName: text, livename: text } }, /case only/],
      [{ ...first, columns: { id: text } }, /every kind has/],
      [{ ...first, unique: [{ name: 'k', columns: ['price'] }] }, /real column/],
      [{ ...first, unique: [{ name: 'k', columns: ['colour'] }] }, /no column colour/],
      [{ ...first, indexes: [['colour']] }, /no column colour/],
      [{ ...first, facets: { 'a b': { source: 'merged' } } }, /name for a facet/],
    ] as const) {
      await expect(open(kind as KindDeclaration)).rejects.toMatchObject({
        code: 'INVALID',
        message: expect.stringMatching(what),
      });
    }
  });
}
