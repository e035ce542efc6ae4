import type { Case } from '../suite.ts';
import {
  anywhere,
  body,
  column,
  compare,
  like,
  matches,
  param,
  present,
  storeValues,
  within,
} from './predicates.ts';
import { item, type MetadataStoreHarness, promised, write } from './scene.ts';
import { hostileKeys, texts } from './values.ts';

/** What predicates mean where text is concerned: order, case, patterns, hostile text. */
export const textQueryCases: readonly Case<MetadataStoreHarness>[] = [
  promised(
    'queries: text compares by Unicode code points',
    'Text is ordered by code points: no locale, no case folding, no UTF-16 units.',
    async ({ store }) => {
      const values = {
        a: '',
        b: 'A',
        c: 'Z',
        d: 'a',
        e: 'ab',
        f: 'z',
        g: 'é',
        h: '\uffff',
        i: '😀',
      };
      await storeValues(store, values);
      const names = Object.entries(values).map(([id, name]) => item(`${id}2`, { name }));
      await write(store, ...names);
      for (const left of anywhere) {
        await matches(store, compare(left, '<', 'a'), 'a b c');
        await matches(store, compare(left, '>=', 'a'), 'd e f g h i');
        await matches(store, compare(left, '>', 'z'), 'g h i');
        await matches(store, compare(left, '>', '\uffff'), 'i');
        await matches(store, compare(left, '<', 'ab'), 'a b c d');
      }
      await matches(store, compare(column('name'), '<', 'a'), 'a2 b2 c2');
      await matches(store, compare(column('name'), '>', 'z'), 'g2 h2 i2');
      await matches(store, compare(column('name'), '>', '\uffff'), 'i2');
    },
  ),
  promised(
    'queries: text is equal only to itself',
    'No text is equal to another: not by case, padding, normal form or emptiness.',
    async ({ store }) => {
      const values = { a: 'é', b: 'e\u0301', c: 'É', d: 'é ', e: '' };
      await storeValues(store, values);
      await write(store, ...Object.entries(values).map(([id, name]) => item(`${id}2`, { name })));
      for (const left of anywhere) {
        await matches(store, compare(left, '=', 'é'), 'a');
        await matches(store, compare(left, '=', ''), 'e');
        await matches(store, compare(left, '!=', 'é'), 'b c d e');
        await matches(store, within(left, 'é', ''), 'a e');
      }
      await matches(store, compare(column('name'), '=', 'é'), 'a2');
      await matches(store, within(column('name'), ''), 'e2');
    },
  ),
  promised(
    'queries: a stored number or boolean has a text',
    'A text literal compares with String(n) of a number, and with true and false of a boolean.',
    async ({ store }) => {
      const big = 1e21;
      await storeValues(store, {
        a: 1,
        b: 0.1,
        c: big,
        d: -0,
        e: Number.NaN,
        f: true,
        g: 1e-7,
        h: '1.0',
      });
      for (const left of anywhere) {
        for (const [text, id] of Object.entries({
          '1': 'a',
          '0.1': 'b',
          '1e+21': 'c',
          '0': 'd',
          NaN: 'e',
        })) {
          await matches(store, compare(left, '=', text), id);
        }
        await matches(store, within(left, 'true', '1e-7'), 'f g');
        await matches(store, compare(left, '=', '1.0'), 'h');
        await matches(store, compare(left, '<', '0.2'), 'b d');
      }
      await write(
        store,
        item('s', { count: 1, size: 0.5, live: true }),
        item('t', { count: 2, size: 1, live: false }),
      );
      await matches(store, compare(column('count'), '=', '1'), 's');
      await matches(store, compare(column('size'), '=', '1'), 't');
      await matches(store, compare(column('live'), '=', 'false'), 't');
      await matches(store, compare(column('live'), '>', 'g'), 's');
    },
  ),
  promised(
    'queries: like has % and _ and nothing else',
    '% is any run of characters, _ any one character; all others stand for themselves; the whole text counts.',
    async ({ store }) => {
      await storeValues(store, {
        a: 'cat',
        b: 'cart',
        c: 'c',
        d: '',
        e: 'c*t?[a]',
        f: 'c.t',
        g: 'c\nt',
      });
      for (const left of anywhere) {
        await matches(store, like(left, 'c%t'), 'a b f g');
        await matches(store, like(left, 'c_t'), 'a f g');
        await matches(store, like(left, 'c%'), 'a b c e f g');
        await matches(store, like(left, '%a%'), 'a b e');
        await matches(store, like(left, '%'), 'a b c d e f g');
        await matches(store, like(left, ''), 'd');
        await matches(store, like(left, '_'), 'c');
        await matches(store, like(left, 'at'), '');
        await matches(store, like(left, '%c%a%t%'), 'a b');
        await matches(store, like(left, 'c*t?[_]'), 'e');
        await matches(store, like(left, 'c.t'), 'f');
        await matches(store, like(left, 'c\\%t'), '');
        await matches(store, like(left, '[c]%'), '');
      }
      await write(store, item('x', { name: 'cat' }), item('y', { name: 'c*t' }));
      await matches(store, like(column('name'), 'c_t'), 'x y');
      await matches(store, like(column('name'), 'c*t'), 'y');
      await matches(store, like(column('name'), '?a?'), '');
    },
  ),
  promised(
    'queries: _ is one character, also beyond the BMP',
    '_ stands for one code point, however many units it has.',
    async ({ store }) => {
      await storeValues(store, { a: '😀', b: 'x', c: '😀😀', d: 'xy' });
      await write(store, item('n', { name: '😀' }));
      for (const left of anywhere) {
        await matches(store, like(left, '_'), 'a b');
        await matches(store, like(left, '__'), 'c d');
        await matches(store, like(left, '_', false), 'a b');
      }
      await matches(store, like(column('name'), '_'), 'n');
    },
  ),
  promised(
    'queries: like sees case',
    'A case-sensitive like tells upper from lower case.',
    async ({ store }) => {
      await storeValues(store, { a: 'Cat', b: 'cat', c: 'CAT' });
      for (const left of anywhere) {
        await matches(store, like(left, 'c%'), 'b');
        await matches(store, like(left, '%AT'), 'c');
      }
      await write(store, item('x', { name: 'Cat' }), item('y', { name: 'cat' }));
      await matches(store, like(column('name'), 'Cat'), 'x');
    },
  ),
  promised(
    'queries: like without case folds ASCII letters and no others',
    'A case-insensitive like folds A to Z only.',
    async ({ store }) => {
      await storeValues(store, {
        a: 'Cat',
        b: 'cAT',
        c: 'É',
        d: 'é',
        e: 'Straße',
        f: '\u212a',
        g: '[',
        h: '{',
      });
      for (const left of anywhere) {
        await matches(store, like(left, 'CAT', false), 'a b');
        await matches(store, like(left, '%a_', false), 'a b');
        await matches(store, like(left, 'é', false), 'd');
        await matches(store, like(left, 'STRASSE', false), '');
        await matches(store, like(left, 'k', false), '');
        await matches(store, like(left, '{', false), 'h');
      }
      await write(store, item('x', { name: 'CAT É' }), item('y', { name: 'cat é' }));
      await matches(store, like(column('name'), 'cat É', false), 'x');
    },
  ),
  promised(
    'queries: like sees the text of numbers and booleans',
    'like matches String(n) of a stored number, and true and false.',
    async ({ store }) => {
      await storeValues(store, { a: 0.5, b: 15, c: true, d: 1e21, e: '0.50' });
      for (const left of anywhere) {
        await matches(store, like(left, '%5'), 'a b');
        await matches(store, like(left, 't%e'), 'c');
        await matches(store, like(left, '1%'), 'b d');
        await matches(store, like(left, '%+%'), 'd');
      }
      await write(store, item('x', { count: 15, size: 2, live: false }));
      await matches(store, like(column('count'), '1_'), 'x');
      await matches(store, like(column('size'), '2'), 'x');
      await matches(store, like(column('live'), 'fal%'), 'x');
    },
  ),
  promised(
    'queries: values are values, whatever they look like',
    'Quotes, placeholders and statements in a value are characters.',
    async ({ store }) => {
      const id = (i: number): string => `i${String(i).padStart(2, '0')}`;
      const hostile = [
        ...texts,
        "'; DROP TABLE item; --",
        "' OR '1'='1",
        '\\',
        "\\'",
        '{x}',
        '{{x}}',
      ];
      await storeValues(store, Object.fromEntries(hostile.map((text, i) => [id(i), text])));
      await write(store, ...hostile.map((name, i) => item(`n${id(i)}`, { name })));
      for (const [i, text] of hostile.entries()) {
        for (const left of anywhere) await matches(store, compare(left, '=', text), id(i));
        await matches(store, within(column('name'), text), `n${id(i)}`);
        await matches(store, like(column('name'), text.replaceAll(/[%_]/g, '%')), `n${id(i)}`);
      }
    },
  ),
  promised(
    'queries: keys are keys, whatever they look like',
    'Facet keys and body paths of any text are searched by as they are.',
    async ({ store }) => {
      const id = (i: number): string => `i${String(i).padStart(2, '0')}`;
      await write(
        store,
        ...hostileKeys.map((key, i) => {
          const one = Object.fromEntries([[key, i]]);
          return item(id(i), {}, { body: one, facets: { params: one } });
        }),
      );
      for (const [i, key] of hostileKeys.entries()) {
        for (const left of [param(key), body(key)]) {
          await matches(store, present(left), id(i));
          await matches(store, compare(left, '=', i), id(i));
        }
      }
    },
  ),
];
