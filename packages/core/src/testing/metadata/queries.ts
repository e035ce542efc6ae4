import type { Comparison } from '../../contracts/query.ts';
import { equal } from '../assertions.ts';
import type { Case } from '../suite.ts';
import {
  and,
  anywhere,
  between,
  body,
  column,
  compare,
  matches,
  not,
  or,
  param,
  present,
  storeValues,
  within,
} from './predicates.ts';
import { getItem, home, item, type MetadataStoreHarness, promised, write } from './scene.ts';

const comparisons: readonly Comparison[] = ['=', '!=', '<', '<=', '>', '>='];

/** What predicates mean: missing values, numbers, booleans, structures, and, or, not. */
export const queryCases: readonly Case<MetadataStoreHarness>[] = [
  promised(
    'queries: a comparison with a missing value is false, also !=',
    'Where the value is missing no comparison holds.',
    async ({ store }) => {
      await write(
        store,
        item('none'),
        item('other', {}, { body: { y: 1 }, facets: { params: { y: 1 } } }),
      );
      const places = [...anywhere, column('name'), column('count'), column('size'), column('live')];
      for (const left of [...places, body('x', 'deep'), param('')]) {
        for (const cmp of comparisons) {
          for (const value of ['', 'a', 0, 1, true, false])
            await matches(store, compare(left, cmp, value), '');
        }
        await matches(store, within(left, '', 0, false), '');
        await matches(store, between(left, Number.NEGATIVE_INFINITY, Number.POSITIVE_INFINITY), '');
        await matches(store, present(left), '');
      }
    },
  ),
  promised(
    'queries: not inverts, also where the value is missing',
    'not (x = 1) holds where x is missing.',
    async ({ store }) => {
      await storeValues(store, { one: 1, two: 2, text: 'one' });
      await write(store, item('none'), item('named', { count: 1 }));
      for (const left of anywhere) {
        await matches(store, not(compare(left, '=', 1)), 'named none text two');
        await matches(store, not(compare(left, '!=', 1)), 'named none one text');
        await matches(store, not(within(left, 1, 'one')), 'named none two');
        await matches(store, not(present(left)), 'named none');
        await matches(store, not(and(compare(left, '=', 1), present(left))), 'named none text two');
      }
      await matches(store, not(compare(column('count'), '=', 1)), 'none one text two');
    },
  ),
  promised(
    'queries: a number compares with numbers and with text that reads as one',
    'A number literal compares with the number that a stored value carries; where it carries none, no comparison holds.',
    async ({ store }) => {
      await storeValues(store, {
        a5: 5,
        b5: '5',
        c5: '5.00',
        d5: '+.5e1',
        e6: '6',
        f10: '10',
        g: 'five',
        h: '',
        i: '0x5',
        j: ' 5',
        k: '5 ',
        l: '1e999',
        m: '5five',
        n: '٥',
        o: true,
        p: '5_0',
      });
      for (const left of anywhere) {
        await matches(store, compare(left, '=', 5), 'a5 b5 c5 d5');
        await matches(store, compare(left, '!=', 5), 'e6 f10');
        await matches(store, compare(left, '<', 6), 'a5 b5 c5 d5');
        await matches(store, compare(left, '<=', 6), 'a5 b5 c5 d5 e6');
        await matches(store, compare(left, '>', 5), 'e6 f10');
        await matches(store, compare(left, '>=', 6), 'e6 f10');
        await matches(store, within(left, 10, 6), 'e6 f10');
        await matches(store, between(left, 5.5, 10), 'e6 f10');
      }
      await write(
        store,
        item('x', { name: '5.0', count: 5, size: 5 }),
        item('y', { name: 'V', count: 7, size: 5.5 }),
      );
      await matches(store, compare(column('name'), '=', 5), 'x');
      await matches(store, compare(column('name'), '!=', 6), 'x');
      await matches(store, compare(column('count'), '<', 6.5), 'x');
      await matches(store, compare(column('size'), '>', 5), 'y');
    },
  ),
  promised(
    'queries: numbers are compared exactly',
    'Neighbouring doubles and large integers are told apart.',
    async ({ store }) => {
      const big = Number.MAX_SAFE_INTEGER;
      const sum = 0.1 + 0.2;
      await write(
        store,
        item('a', { count: big, size: sum }),
        item('b', { count: big - 1, size: 0.3 }),
      );
      await storeValues(store, { c: sum, d: 0.3, e: 5e-324 });
      await matches(store, compare(column('count'), '=', big), 'a');
      await matches(store, compare(column('count'), '<', big), 'b');
      await matches(store, compare(column('size'), '=', 0.3), 'b');
      await matches(store, compare(column('size'), '>', 0.3), 'a');
      for (const left of anywhere) {
        await matches(store, compare(left, '=', sum), 'c');
        await matches(store, compare(left, '>', 0.3), 'c');
        await matches(store, between(left, 5e-324, 1e-300), 'e');
      }
    },
  ),
  promised(
    'queries: NaN equals nothing and is ordered against nothing',
    'No comparison with a number holds for NaN, != included; NaN as a literal equals nothing.',
    async ({ store }) => {
      await storeValues(store, { a: Number.NaN, b: 1 });
      await write(store, item('c', { size: Number.NaN }), item('d', { size: 1 }));
      for (const [left, nan, one] of [
        ...anywhere.map((place) => [place, 'a', 'b'] as const),
        [column('size'), 'c', 'd'] as const,
      ]) {
        await matches(store, compare(left, '=', 1), one);
        await matches(store, compare(left, '!=', 2), one);
        await matches(store, compare(left, '>', 0), one);
        await matches(store, compare(left, '<=', Number.POSITIVE_INFINITY), one);
        await matches(
          store,
          between(left, Number.NEGATIVE_INFINITY, Number.POSITIVE_INFINITY),
          one,
        );
        for (const cmp of comparisons) await matches(store, compare(left, cmp, Number.NaN), '');
        await matches(store, within(left, Number.NaN, 1), one);
        await matches(store, present(left), `${nan} ${one}`);
      }
    },
  ),
  promised(
    'queries: −0 equals 0 and infinities are ordered',
    '−0 equals 0; −Infinity is below and Infinity above every number, and equal to itself.',
    async ({ store }) => {
      const values = {
        a: -0,
        b: 0,
        c: Number.POSITIVE_INFINITY,
        d: Number.NEGATIVE_INFINITY,
        e: 1e308,
      };
      await storeValues(store, values);
      for (const left of anywhere) {
        await matches(store, compare(left, '=', 0), 'a b');
        await matches(store, compare(left, '=', -0), 'a b');
        await matches(store, compare(left, '<', 0), 'd');
        await matches(store, compare(left, '>', 1e308), 'c');
        await matches(store, compare(left, '=', Number.POSITIVE_INFINITY), 'c');
        await matches(store, compare(left, '<', Number.POSITIVE_INFINITY), 'a b d e');
        await matches(store, compare(left, '<=', Number.NEGATIVE_INFINITY), 'd');
      }
      const columns = Object.entries(values).map(([id, size]) => item(`${id}2`, { size }));
      await write(store, ...columns);
      await matches(store, compare(column('size'), '=', 0), 'a2 b2');
      await matches(store, compare(column('size'), '>', 1e308), 'c2');
      await matches(store, compare(column('size'), '<', 0), 'd2');
    },
  ),
  promised(
    'queries: a boolean equals booleans and the texts true and false',
    'A boolean literal equals a stored boolean or its text; other values carry none; booleans are not ordered.',
    async ({ store }) => {
      await storeValues(store, {
        a: true,
        b: 'true',
        c: false,
        d: 'false',
        e: 'yes',
        f: 1,
        g: 0,
        h: 'TRUE',
      });
      await write(store, item('s', { live: true }), item('t', { live: false }));
      for (const left of anywhere) {
        await matches(store, compare(left, '=', true), 'a b');
        await matches(store, compare(left, '!=', true), 'c d');
        await matches(store, within(left, false), 'c d');
        for (const cmp of ['<', '<=', '>', '>='] as const)
          await matches(store, compare(left, cmp, true), '');
        await matches(store, between(left, false, true), '');
      }
      await matches(store, compare(column('live'), '=', true), 's');
      await matches(store, compare(column('live'), '!=', true), 't');
      await matches(store, compare(column('live'), '>=', false), '');
    },
  ),
  promised(
    'queries: null, arrays and objects are present and compare with nothing',
    'A stored null, array or object is present; every comparison with it is false.',
    async ({ store }) => {
      await storeValues(store, { a: null, b: [5], c: { y: 5 }, d: [], e: {}, f: 5 });
      for (const left of anywhere) {
        await matches(store, present(left), 'a b c d e f');
        await matches(store, compare(left, '=', 5), 'f');
        for (const text of ['null', '[5]', '{"y":5}', '[]', '', '[object Object]']) {
          await matches(store, compare(left, '=', text), '');
        }
        await matches(store, compare(left, '!=', 'x'), 'f');
        await matches(store, compare(left, '>=', ''), 'f');
        await matches(store, compare(left, '!=', true), '');
      }
    },
  ),
  promised(
    'queries: in is equality with any of the values',
    'in holds where one of the values is equal, whatever their types; for no values it is false.',
    async ({ store }) => {
      await storeValues(store, { a: 1, b: 'b', c: true, d: 4 });
      await write(store, item('e', { name: 'b' }), item('f', { name: 'c' }));
      for (const left of anywhere) {
        await matches(store, within(left, 1, 'b', true), 'a b c');
        await matches(store, within(left), '');
        await matches(store, not(within(left)), 'a b c d e f');
      }
      const many = Array.from({ length: 3_000 }, (_, i) => `n${i}`);
      await matches(store, within(column('name'), ...many, 'c'), 'f');
    },
  ),
  promised(
    'queries: between holds at both of its ends',
    'between is left >= low and left <= high.',
    async ({ store }) => {
      await storeValues(store, { a: 1, b: 2, c: 3, d: 'm', e: 'z' });
      for (const left of anywhere) {
        await matches(store, between(left, 1, 3), 'a b c');
        await matches(store, between(left, 2, 2), 'b');
        await matches(store, between(left, 3, 1), '');
        await matches(store, between(left, 'm', 'z'), 'd e');
      }
      await write(store, item('x', { count: 10 }), item('y', { count: 20 }));
      await matches(store, between(column('count'), 10, 20), 'x y');
    },
  ),
  promised(
    'queries: and, or and not nest',
    'and holds where all parts hold, of none too; or where one holds, of none never.',
    async ({ store }) => {
      const bits = (n: number) => ({
        count: n % 2,
        size: Math.floor(n / 2) % 2,
        part: Math.floor(n / 4),
      });
      await write(
        store,
        ...Array.from({ length: 8 }, (_, n) => item(`n${n}`, { ...bits(n), batch: `n${n}` })),
      );
      const bit = (name: string) => compare(column(name), '=', 1);
      const [one, two, four] = [bit('count'), bit('size'), bit('part')];
      await matches(store, and(one, two), 'n3 n7');
      await matches(store, or(and(one, two), four), 'n3 n4 n5 n6 n7');
      await matches(store, and(one, or(two, four)), 'n3 n5 n7');
      await matches(store, and(or(one, two), not(four)), 'n1 n2 n3');
      await matches(store, not(or(one, and(two, not(four)))), 'n0 n4 n6');
      await matches(store, and(), 'n0 n1 n2 n3 n4 n5 n6 n7');
      await matches(store, or(), '');
      await matches(store, and(one, or(and(), two)), 'n1 n3 n5 n7');
      await matches(store, or(one, and(four, or())), 'n1 n3 n5 n7');
    },
  ),
  promised(
    'queries: id, revision, createdAt and updatedAt are columns of every kind',
    'The columns that every kind has can be searched by.',
    async ({ store, elapse }) => {
      const { at } = await write(store, item('a'), item('b'));
      await elapse(5);
      await write(store, { op: 'replace', kind: 'item', id: 'b', expect: 1, columns: {} });
      const later = await getItem(store, 'b');
      await matches(store, within(column('id'), 'b', 'c'), 'b');
      await matches(store, compare(column('revision'), '>', 1), 'b');
      await matches(store, compare(column('createdAt'), '=', at), 'a b');
      await matches(store, compare(column('updatedAt'), '>=', later.updatedAt), 'b');
    },
  ),
  promised(
    'queries: a body path walks the keys of objects and no arrays',
    'A path into the body follows own keys; it does not enter arrays or texts.',
    async ({ store }) => {
      await write(
        store,
        item('a', {}, { body: { deep: { er: { value: 1 } } } }),
        item('b', {}, { body: { deep: [1, { er: 1 }], list: [1] } }),
        item('c', {}, { body: { 'deep.er.value': 1, text: 'abc' } }),
        item('d', {}, { body: { deep: { '0': { er: 1 }, 'a"b\\c': 1, 'ключ 😀': { '': 1 } } } }),
      );
      await matches(store, compare(body('deep', 'er', 'value'), '=', 1), 'a');
      await matches(store, present(body('deep')), 'a b d');
      await matches(store, compare(body('deep', '0', 'er'), '=', 1), 'd');
      await matches(store, present(body('deep', '1', 'er')), '');
      await matches(store, present(body('list', '0')), '');
      await matches(store, present(body('text', '0')), '');
      await matches(store, present(body('text', 'length')), '');
      await matches(store, present(body('deep.er.value')), 'c');
      await matches(store, present(body('deep', 'a"b\\c')), 'd');
      await matches(store, present(body('deep', 'ключ 😀', '')), 'd');
      await matches(store, present(body('__proto__')), '');
    },
  ),
  promised(
    'queries: count counts what matches',
    'count with exact is the number of records that match; without, it says whether it is exact.',
    async ({ store }) => {
      await write(store, ...Array.from({ length: 120 }, (_, i) => item(`i${i}`, { count: i })));
      const where = compare(column('count'), '<', 77);
      equal(
        await store.count(home, 'item', where, { exact: true }),
        { count: 77, exact: true },
        'Exactly',
      );
      const all = await store.count(home, 'item', undefined, { exact: true });
      equal(all, { count: 120, exact: true }, 'All of them');
      const guess = await store.count(home, 'item', where);
      equal(guess.exact ? guess.count : 77, 77, 'What claims to be exact should be');
      equal(Number.isSafeInteger(guess.count) && guess.count >= 0, true, 'An estimate is a number');
    },
  ),
];
