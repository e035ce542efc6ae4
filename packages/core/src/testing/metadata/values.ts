import type { Json } from '../../json.ts';
import { equal } from '../assertions.ts';
import type { Case } from '../suite.ts';
import {
  columnsOf,
  getItem,
  home,
  item,
  type MetadataStoreHarness,
  note,
  promised,
  write,
} from './scene.ts';

/** Texts that careless stores change: empty, padded, quoted, beyond the BMP, not normalised. */
export const texts: readonly string[] = [
  '',
  ' padded ',
  "it's",
  '"quoted" `ticked` \\escaped\\ $1 ?1 :a @b %s %',
  'tab\tline\nreturn\r\n',
  '\u0001\u001f\u007f\u0085\u2028\ufeff',
  'e\u0301 is not é',
  '日本語 العربية עברית',
  '😀👩‍👩‍👧‍👦\u{10ffff}',
  '\uffff\ufffe',
  'null',
  '0123',
  '1e3',
];

/** Keys that careless stores lose, split or mistake. */
export const hostileKeys: readonly string[] = [
  '',
  '__proto__',
  'constructor',
  'hasOwnProperty',
  'toString',
  'a.b',
  'a.b.c[0]',
  '$.a',
  '$number',
  '$$number',
  "'; DROP TABLE item; --",
  '"',
  '`',
  '%',
  '_',
  ' a ',
  '0',
  '-1',
  '😀',
  'A',
  'a',
];

const doubles: readonly number[] = [
  0.1 + 0.2,
  5e-324,
  Number.MAX_VALUE,
  -Number.MAX_VALUE,
  1e21,
  123456789.12345679,
  2 ** 53 + 2,
  -1,
  0,
];

const special: readonly number[] = [
  Number.NaN,
  Number.POSITIVE_INFINITY,
  Number.NEGATIVE_INFINITY,
  -0,
];

const hostileMap = (): Record<string, number> =>
  Object.fromEntries(hostileKeys.map((key, i) => [key, i]));

async function throughColumn(
  store: Parameters<typeof getItem>[0],
  column: string,
  values: readonly (string | number | boolean)[],
): Promise<void> {
  await write(store, item('replaced'));
  for (const [i, value] of values.entries()) {
    const columns = { [column]: value };
    await write(store, item(`i${i}`, columns), {
      op: 'replace',
      kind: 'item',
      id: 'replaced',
      expect: i + 1,
      columns,
    });
    for (const id of [`i${i}`, 'replaced']) {
      equal(columnsOf(await getItem(store, id)), columns, `The ${column} should come back exactly`);
    }
  }
  const { records } = await store.query(home, 'item', {});
  const found = records.flatMap((record) =>
    record.id === 'replaced' ? [] : [record.columns[column]],
  );
  equal(found.toSorted(bySpelling), values.toSorted(bySpelling), 'And from searches');
}

const spelling = (value: unknown): string => (Object.is(value, -0) ? '-0' : String(value));
const bySpelling = (a: unknown, b: unknown): number => (spelling(a) < spelling(b) ? -1 : 1);

async function throughFacetsAndBodies(
  store: Parameters<typeof getItem>[0],
  value: Readonly<Record<string, Json>>,
): Promise<void> {
  await write(
    store,
    item('created', {}, { body: value, facets: { params: value } }),
    item('changed'),
  );
  await write(
    store,
    { op: 'replace', kind: 'item', id: 'changed', expect: 1, body: value },
    { op: 'merge', kind: 'item', id: 'changed', set: { params: value } },
  );
  for (const id of ['created', 'changed']) {
    const { body, facets } = await getItem(store, id, 'params');
    equal(facets['params'], value, `The facet of the ${id} one should come back exactly`);
    equal(body, value, `The body of the ${id} one should come back exactly`);
    const entry = (await store.history(home, 'item', id)).at(-1);
    equal(entry?.body, value, `The body in the history of the ${id} one should come back exactly`);
  }
}

/** That every value comes back as what it was. */
export const valueCases: readonly Case<MetadataStoreHarness>[] = [
  promised(
    'values: text in columns comes back exactly',
    'Text columns keep empty text and any Unicode text.',
    ({ store }) => throughColumn(store, 'name', texts),
  ),
  promised(
    'values: long text comes back exactly',
    'A million characters are kept in a column, in a facet, as a facet key and in the body.',
    async ({ store }) => {
      const long = 'long text '.repeat(100_000);
      await write(
        store,
        item('a', { name: long }, { body: { long }, facets: { params: { long, [long]: 1 } } }),
        note('n', { title: long }),
      );
      const { columns, body, facets } = await getItem(store, 'a', 'params');
      const same =
        columns['name'] === long &&
        body['long'] === long &&
        facets['params']?.['long'] === long &&
        facets['params'][long] === 1;
      equal(same, true, 'All four should be as long as they were');
    },
  ),
  promised(
    'values: finite numbers in columns come back exactly',
    'Real columns keep every finite double.',
    ({ store }) => throughColumn(store, 'size', doubles),
  ),
  promised(
    'values: NaN, infinities and −0 in columns come back exactly',
    'Real columns keep NaN, ±Infinity and −0.',
    ({ store }) => throughColumn(store, 'size', special),
  ),
  promised(
    'values: safe integers in columns come back exactly',
    'Integer columns keep every safe integer.',
    ({ store }) =>
      throughColumn(store, 'count', [
        Number.MAX_SAFE_INTEGER,
        Number.MIN_SAFE_INTEGER,
        2 ** 31,
        -(2 ** 31) - 1,
        0,
        -1,
      ]),
  ),
  promised(
    'values: booleans in columns come back as booleans',
    'Boolean columns keep true and false, and know both from missing.',
    ({ store }) => throughColumn(store, 'live', [true, false]),
  ),
  promised(
    'values: text in facets and bodies comes back exactly',
    'Facets and bodies keep empty text and any Unicode text.',
    ({ store }) =>
      throughFacetsAndBodies(store, Object.fromEntries(texts.map((text, i) => [`k${i}`, text]))),
  ),
  promised(
    'values: finite numbers in facets and bodies come back exactly',
    'Facets and bodies keep every finite double.',
    ({ store }) =>
      throughFacetsAndBodies(store, {
        ...Object.fromEntries(doubles.map((value, i) => [`k${i}`, value])),
        list: doubles,
      }),
  ),
  promised(
    'values: NaN, infinities and −0 in facets and bodies come back exactly',
    'Facets and bodies keep NaN, ±Infinity and −0, also inside lists and objects.',
    ({ store }) =>
      throughFacetsAndBodies(store, {
        ...Object.fromEntries(special.map((value, i) => [`k${i}`, value])),
        list: special,
        nested: { deep: [{ value: Number.NaN }] },
      }),
  ),
  promised(
    'values: keys of facets and bodies come back exactly',
    'Any Unicode text is a key, at every level.',
    ({ store }) =>
      throughFacetsAndBodies(
        store,
        // Not by assignment: that would set a prototype instead of the key __proto__.
        Object.fromEntries([...Object.entries(hostileMap()), ['nested', hostileMap()]]),
      ),
  ),
  promised(
    'values: ids are any text',
    'Records are found under ids of any Unicode text, and under no other.',
    async ({ store }) => {
      const ids = [
        ...texts.filter((text) => text !== ''),
        ...hostileKeys.filter((key) => key !== ''),
      ];
      await write(store, ...ids.map((id, i) => item(id, { count: i })));
      for (const [i, id] of ids.entries()) {
        equal((await getItem(store, id)).columns['count'], i, `The item ${JSON.stringify(id)}`);
      }
      equal(await store.find(home, 'item', 'É'.normalize('NFD')), undefined, 'Not another one');
      const many = await store.findMany(home, 'item', ids);
      equal(many.map((record) => record.id).toSorted(), ids.toSorted(), 'All of them at once');
    },
  ),
];
