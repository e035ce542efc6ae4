import type { Predicate } from '../../contracts/query.ts';
import { equal } from '../assertions.ts';
import type { Case } from '../suite.ts';
import { allInvalid } from './refusals.ts';
import { home, item, type MetadataStoreHarness, promised, write } from './scene.ts';

const present = (left: object): Predicate => ({ op: 'present', left }) as Predicate;

/** Which searches are INVALID. */
export const queryRefusalCases: readonly Case<MetadataStoreHarness>[] = [
  promised(
    'refusals: searching what is not declared is INVALID',
    'Predicates and orders reject with INVALID, naming it, for an unknown column, facet or figure.',
    async ({ store, leaseMs }) => {
      const colour = { from: 'column', name: 'colour' } as const;
      const mood = { from: 'facet', facet: 'moods', key: 'good' } as const;
      const figure = { from: 'facet', facet: 'tags', key: 'a', figure: 'min' } as const;
      const claim = { limit: 1, owner: 'one', leaseMs };
      await allInvalid(store, [
        ['a column', 'colour', () => store.query(home, 'item', { where: present(colour) })],
        ['a facet', 'moods', () => store.query(home, 'item', { where: present(mood) })],
        [
          'a figure of a plain facet',
          'min',
          () => store.query(home, 'item', { where: present(figure) }),
        ],
        [
          'deep inside',
          'colour',
          () =>
            store.query(home, 'item', {
              where: { op: 'or', of: [{ op: 'not', of: present(colour) }] },
            }),
        ],
        [
          'an order',
          'colour',
          () => store.query(home, 'item', { orderBy: [{ by: colour, direction: 'asc' }] }),
        ],
        ['count', 'colour', () => store.count(home, 'item', present(colour))],
        ['claim', 'colour', () => store.claim('job', { ...claim, where: present(colour) })],
      ]);
    },
  ),
  promised(
    'refusals: a predicate beyond the bounds is INVALID',
    'Nesting, comparisons, lists and patterns have bounds; what is just within them is answered.',
    async ({ store }) => {
      const left = { from: 'column', name: 'name' } as const;
      const nested = (levels: number): Predicate =>
        levels === 1 ? present(left) : { op: 'not', of: nested(levels - 1) };
      const wide = (width: number): Predicate => ({
        op: 'or',
        of: Array.from({ length: width }, (_, i) => ({
          op: 'compare',
          left,
          cmp: '=',
          value: `n${i}`,
        })),
      });
      const listed = (length: number): Predicate => ({
        op: 'in',
        left,
        values: Array.from({ length }, (_, i) => `n${i}`),
      });
      const like = (length: number): Predicate => {
        return { op: 'like', left, pattern: '%'.repeat(length), caseSensitive: true };
      };
      await allInvalid(store, [
        ['101 levels', '', () => store.query(home, 'item', { where: nested(101) })],
        ['501 comparisons', '', () => store.query(home, 'item', { where: wide(501) })],
        ['10,001 values', '', () => store.query(home, 'item', { where: listed(10_001) })],
        ['1,001 characters', '', () => store.count(home, 'item', like(1_001))],
      ]);
      await write(store, item('a', { name: 'n499' }));
      for (const where of [nested(99), wide(500), listed(10_000), like(1_000)]) {
        const { records } = await store.query(home, 'item', { where });
        equal(records.length, 1, 'What is within the bounds should be answered');
      }
    },
  ),
];
