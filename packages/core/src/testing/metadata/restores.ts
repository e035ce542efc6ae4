import type { Change } from '../../contracts/metadata-store.ts';
import type { RevisionEntry, StoredRecord } from '../../contracts/record.ts';
import { defined, equal, rejects } from '../assertions.ts';
import type { Case } from '../suite.ts';
import type { Act } from './refusals.ts';
import { allInvalid } from './refusals.ts';
import {
  columnsOf,
  getItem,
  home,
  item,
  type MetadataStoreHarness,
  note,
  promised,
  write,
  writeIn,
} from './scene.ts';

type Restored = Omit<StoredRecord, 'workspace'>;

/** An item as another store had it. */
const moved = (id: string, parts: Partial<Restored> = {}): Restored => ({
  kind: 'item',
  id,
  revision: 4,
  createdAt: 1_600_000_000_001,
  updatedAt: 1_600_000_000_003,
  columns: { name: 'moved', count: 7 },
  body: { from: 'elsewhere' },
  facets: { params: { rate: 0.5 } },
  ...parts,
});

/** A revision as another store had kept it. */
const kept = (revision: number, parts: Partial<RevisionEntry> = {}): RevisionEntry => ({
  revision,
  at: 1_600_000_000_000 + revision,
  by: `person ${revision}`,
  columns: { name: `name ${revision}`, count: 7 },
  body: { n: revision },
  removed: false,
  ...parts,
});

const restore = (
  id: string,
  parts: Partial<Restored> = {},
  history?: readonly RevisionEntry[],
): Change => ({
  op: 'restore',
  record: moved(id, parts),
  ...(history === undefined ? {} : { history }),
});

const byId = { orderBy: [{ by: { from: 'column', name: 'id' }, direction: 'asc' }] } as const;

const special = { nan: Number.NaN, big: Number.POSITIVE_INFINITY, zero: -0, $number: 'NaN' };

/** What `restore` promises. */
export const restoreCases: readonly Case<MetadataStoreHarness>[] = [
  promised(
    'restore: a record is there as it was elsewhere',
    'restore keeps id, revision, both times, columns, body and facets; the commit answers the revision.',
    async ({ store }) => {
      const { revisions } = await write(store, restore('a'));
      equal(revisions, [4], 'The revision of the commit');
      const record = defined(
        await store.find(home, 'item', 'a', { facets: ['params', 'tags'] }),
        'It should be there',
      );
      equal(
        { ...record, columns: columnsOf(record) },
        { ...moved('a'), workspace: home, facets: { params: { rate: 0.5 }, tags: {} } },
        'The record should be as it was',
      );
    },
  ),
  promised(
    'restore: searches find what was restored',
    'Columns, times and facets of a restored record can be searched and sorted by.',
    async ({ store }) => {
      await write(
        store,
        restore('a', { facets: { params: { rate: 2 } } }),
        restore('b', { createdAt: 7, updatedAt: 8, facets: {} }),
        restore('c', { columns: { name: 'other' } }),
      );
      const found = async (
        left: { from: 'column'; name: string } | { from: 'facet'; facet: string; key: string },
        value: string | number,
      ): Promise<readonly string[]> => {
        const where = { op: 'compare', left, cmp: '=', value } as const;
        const { records } = await store.query(home, 'item', { where, ...byId });
        return records.map((record) => record.id);
      };
      equal(await found({ from: 'column', name: 'createdAt' }, 7), ['b'], 'By createdAt');
      equal(await found({ from: 'column', name: 'updatedAt' }, 8), ['b'], 'By updatedAt');
      equal(await found({ from: 'column', name: 'name' }, 'moved'), ['a', 'b'], 'By column');
      equal(await found({ from: 'facet', facet: 'params', key: 'rate' }, 2), ['a'], 'By facet');
    },
  ),
  promised(
    'restore: every value is kept exactly',
    'NaN, ±Infinity, −0 and keys that look like their spelling survive in columns, body, facets and history, as they do where a record is created.',
    async ({ store }) => {
      const sizes = [Number.NaN, Number.NEGATIVE_INFINITY, -0, 0.1];
      for (const [i, size] of sizes.entries()) {
        const more = { body: special, facets: { params: special } };
        const entry = kept(4, { columns: { size }, body: special });
        const restored = restore(`restored${i}`, { columns: { size }, ...more }, [entry]);
        await write(store, restored, item(`created${i}`, { size }, more));
        const values: unknown[] = [];
        for (const id of [`restored${i}`, `created${i}`]) {
          const record = await getItem(store, id, 'params');
          const [first] = await store.history(home, 'item', id);
          values.push([record.columns, record.body, record.facets, first?.columns, first?.body]);
        }
        equal(values[0], values[1], `As a record that was created with ${size}`);
      }
    },
  ),
  promised(
    'restore: its history is as it was: who, when and why',
    'The revisions that come with a record are its history, each by whom, when and why it was made there.',
    async ({ store }) => {
      const history = [
        kept(1, { reason: 'a start', correlationId: 'first' }),
        kept(4, { reason: 'an end' }),
      ];
      await write(store, restore('a', {}, history));
      const entries = await store.history(home, 'item', 'a');
      equal(
        entries.map((entry) => ({ ...entry, columns: columnsOf(entry) })),
        history,
        'The history should be the one given',
      );
    },
  ),
  promised(
    'restore: without a history the commit stands in it',
    'Where no history is given, the one kept revision is the record as restored, by the commit that did so.',
    async ({ store }) => {
      const { at } = await store.commit({
        workspace: home,
        principal: 'mover',
        reason: 'a move',
        correlationId: 'the move',
        changes: [restore('a')],
      });
      const entries = await store.history(home, 'item', 'a');
      equal(
        entries.map((entry) => ({ ...entry, columns: columnsOf(entry) })),
        [
          {
            revision: 4,
            at,
            by: 'mover',
            reason: 'a move',
            correlationId: 'the move',
            columns: moved('a').columns,
            body: moved('a').body,
            removed: false,
          },
        ],
        'One entry, of the commit',
      );
    },
  ),
  promised(
    'restore: a kind without history needs none',
    'A record of a kind that keeps no history is restored without one, or with an empty one.',
    async ({ store }) => {
      const parts = { kind: 'note', columns: { title: 'moved' }, facets: {} };
      await write(store, restore('n', parts), restore('m', parts, []));
      for (const id of ['n', 'm']) {
        const found = await store.find(home, 'note', id);
        equal([found?.revision, found?.columns['title']], [4, 'moved'], `The note ${id}`);
      }
    },
  ),
  promised(
    'restore: the record goes on from its revision',
    'A restored record is replaced, also in the same commit, and removed at the revisions that follow; each is kept after those it came with.',
    async ({ store }) => {
      const target = { kind: 'item', id: 'a' } as const;
      const change = {
        op: 'replace',
        ...target,
        expect: 4,
        columns: { count: 8 },
      } as const;
      const history = [kept(1), kept(2), kept(4)];
      const { revisions } = await write(store, restore('a', {}, history), change);
      equal(revisions, [4, 5], 'The revisions go on');
      await rejects('STALE', () => write(store, change), 'Revision 4 has passed', ['a']);
      await write(store, { op: 'remove', ...target, expect: 5 });
      const entries = await store.history(home, 'item', 'a');
      equal(
        entries.map((entry) => [entry.revision, entry.removed]),
        [
          [1, false],
          [2, false],
          [4, false],
          [5, false],
          [6, true],
        ],
        'What it came with, then what happened here',
      );
    },
  ),
  promised(
    'restore: what was removed can be restored',
    'A record that was removed is restored under its id; its history follows what was kept before.',
    async ({ store }) => {
      await write(store, item('a'));
      await write(store, { op: 'remove', kind: 'item', id: 'a', expect: 1 });
      await write(store, restore('a', {}, [kept(2), kept(4)]));
      equal((await getItem(store, 'a')).revision, 4, 'It is there again');
      const entries = await store.history(home, 'item', 'a');
      equal(
        entries.map((entry) => [entry.revision, entry.removed]),
        [
          [1, false],
          [2, true],
          [2, false],
          [4, false],
        ],
        'Both lives',
      );
    },
  ),
  promised(
    'restore: an id that is taken is CONFLICT',
    'restore rejects with CONFLICT, naming the record, if the id is taken, also within a commit; an equal record is no exception, another workspace is none of its business.',
    async ({ store }) => {
      await writeIn(store, 'away', restore('free'));
      await write(store, item('taken'), restore('same'), restore('free'));
      for (const id of ['taken', 'same']) {
        await rejects('CONFLICT', () => write(store, restore(id)), 'A taken id', [id]);
      }
      await rejects('CONFLICT', () => write(store, restore('x'), restore('x')), 'Twice', ['x']);
      equal((await getItem(store, 'taken')).revision, 1, 'It should be as it was');
    },
  ),
  promised(
    'restore: a unique key that is taken is CONFLICT',
    'restore rejects with CONFLICT, naming the record and the key, if a unique key is taken.',
    async ({ store }) => {
      await write(store, item('first', { code: 'x' }));
      const refused = restore('second', { columns: { code: 'x' } });
      await rejects('CONFLICT', () => write(store, refused), 'A taken key', [
        'second',
        'item code',
      ]);
      equal(await store.find(home, 'item', 'second'), undefined, 'Nothing should be there');
      await write(store, restore('third', { columns: { code: 'y' } }));
      await rejects('CONFLICT', () => write(store, item('late', { code: 'y' })), 'The other way', [
        'late',
        'item code',
      ]);
    },
  ),
  promised(
    'restore: what create would refuse is INVALID',
    'restore refuses undeclared kinds, columns and facets, missing columns, wrong values and texts, and numbers that are no revision or time.',
    async ({ store }) => {
      const bare = { kind: 'note', columns: {}, facets: {} };
      const metrics = { kind: 'measured', columns: {}, facets: { metrics: { loss: 1 } } };
      const acts: readonly (readonly [string, string, Change])[] = [
        ['a kind', 'unheard_of', restore('a', { kind: 'unheard_of' })],
        ['a column', 'colour', restore('a', { columns: { colour: 'red' } })],
        ['a required column', 'title', restore('a', bare)],
        ['a type', 'count', restore('a', { columns: { count: 'many' } })],
        ['a text', 'name', restore('a', { columns: { name: 'with \u0000 in it' } })],
        ['a facet', 'moods', restore('a', { facets: { moods: {} } })],
        ['a projected facet', 'metrics', restore('a', metrics)],
        ['a body', '', restore('a', { body: { text: '\ud800' } })],
        ['revision 0', 'a', restore('a', { revision: 0 })],
        ['revision 1.5', 'a', restore('a', { revision: 1.5 })],
        ['createdAt NaN', 'a', restore('a', { createdAt: Number.NaN })],
        ['updatedAt 0.5', 'a', restore('a', { updatedAt: 0.5 })],
      ];
      await allInvalid(
        store,
        acts.map(([what, naming, change]): Act => [what, naming, () => write(store, change)]),
      );
    },
  ),
  promised(
    'restore: a history that is not the record’s is INVALID',
    'The revisions must ascend from 1, have no removal among them, end at that of the record, and be what the kind keeps.',
    async ({ store }) => {
      const histories: readonly (readonly [string, readonly RevisionEntry[]])[] = [
        ['none at all', []],
        ['descends', [kept(2), kept(1), kept(4)]],
        ['has one twice', [kept(1), kept(4), kept(4)]],
        ['begins at 0', [kept(0), kept(4)]],
        ['ends before', [kept(1), kept(2)]],
        ['ends after', [kept(1), kept(5)]],
        ['has a removal', [kept(1), kept(2, { removed: true }), kept(4)]],
        ['has a half revision', [kept(1.5), kept(4)]],
        ['has no time', [kept(4, { at: Number.NaN })]],
        ['has an undeclared column', [kept(4, { columns: { colour: 'red' } })]],
        ['has a wrong value', [kept(4, { columns: { count: 0.5 } })]],
        ['has an unfit name', [kept(4, { by: 'with \u0000' })]],
        ['has an unfit reason', [kept(4, { reason: '\ud800' })]],
        ['has an unfit body', [kept(4, { body: { text: '\ud800' } })]],
      ];
      await allInvalid(
        store,
        histories.map(
          ([what, history]): Act => [
            `a history that ${what}`,
            '',
            () => write(store, restore('a', {}, history)),
          ],
        ),
      );
      const onNote = { kind: 'note', columns: { title: 'x' }, facets: {} };
      await rejects(
        'INVALID',
        () => write(store, restore('n', onNote, [kept(4, { columns: { title: 'x' } })])),
        'A kind without history has none',
      );
      equal(await store.history(home, 'item', 'a'), [], 'Nothing should be kept');
    },
  ),
  promised(
    'restore: all of a commit, or none',
    'Where one change is refused, nothing of the others is there: no record, no history, no key taken.',
    async ({ store }) => {
      await write(store, note('there'));
      const good = restore('a', { columns: { code: 'x' } }, [kept(4)]);
      await rejects('CONFLICT', () => write(store, good, note('there')), 'The note is there', [
        'there',
      ]);
      equal(await store.find(home, 'item', 'a'), undefined, 'No record');
      equal(await store.history(home, 'item', 'a'), [], 'No history');
      await write(store, item('b', { code: 'x' }));
    },
  ),
];
