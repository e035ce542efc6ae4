import type { Change } from '../../contracts/metadata-store.ts';
import type { ErrorCode } from '../../errors.ts';
import { equal, ok, rejects } from '../assertions.ts';
import type { Case } from '../suite.ts';
import {
  columnsOf,
  emit,
  getItem,
  home,
  item,
  job,
  type MetadataStoreHarness,
  promised,
  write,
} from './scene.ts';

const adjust = (
  id: string,
  by: number,
  bounds: { min?: number; max?: number } = {},
  column = 'count',
) => ({ op: 'adjust', kind: 'item', id, column, by, ...bounds }) as const;

/** What a commit promises as a whole, and adjust. */
export const commitCases: readonly Case<MetadataStoreHarness>[] = [
  promised(
    'commits: a refusal names its record in the details',
    'STALE, CONFLICT, NOT_FOUND, IMMUTABLE and LOST have details { kind, id }, and unique or column.',
    async ({ store }) => {
      await write(store, item('a', { code: 'named', count: 1, origin: 'o' }), job('j'));
      const target = { kind: 'item', id: 'a' } as const;
      const refusals: readonly [ErrorCode, Change, object][] = [
        ['STALE', { op: 'replace', ...target, expect: 7 }, target],
        ['NOT_FOUND', { op: 'merge', kind: 'item', id: 'none' }, { kind: 'item', id: 'none' }],
        ['CONFLICT', item('a'), target],
        ['CONFLICT', item('b', { code: 'named' }), { kind: 'item', id: 'b', unique: 'item code' }],
        ['CONFLICT', adjust('a', 1, { max: 0 }), { ...target, column: 'count' }],
        [
          'IMMUTABLE',
          { op: 'replace', ...target, expect: 1, columns: { origin: 'p' } },
          { ...target, column: 'origin' },
        ],
        [
          'LOST',
          { op: 'hold', kind: 'job', id: 'j', owner: 'one', fence: 1 },
          { kind: 'job', id: 'j' },
        ],
      ];
      for (const [code, change, expected] of refusals) {
        const { details } = await rejects(
          code,
          () => write(store, change),
          `${change.op}: ${code}`,
        );
        const { kind, id, unique, column } = details;
        equal({ kind, id, unique, column }, expected, `The details of ${code} for ${change.op}`);
      }
    },
  ),
  promised(
    'commits: all of the changes, or none',
    'A commit that is rejected for its last change has changed nothing.',
    async ({ store }) => {
      await write(store, item('a', { count: 1 }, { facets: { tags: { t: 1 } } }), item('gone'));
      await rejects(
        ['STALE', 'CONFLICT'],
        () =>
          write(
            store,
            item('new', { code: 'taken for nothing' }),
            { op: 'replace', kind: 'item', id: 'a', expect: 1, columns: { name: 'changed' } },
            adjust('a', 5),
            { op: 'merge', kind: 'item', id: 'a', set: { tags: { t: 2 } } },
            { op: 'remove', kind: 'item', id: 'gone', expect: 1 },
            { op: 'assert', kind: 'item', id: 'a', expect: 99 },
            item('a'),
          ),
        'The last changes should be refused',
      );
      equal(await store.find(home, 'item', 'new'), undefined, 'Nothing should have been created');
      const record = await getItem(store, 'a', 'tags');
      equal(
        [record.revision, columnsOf(record), record.facets],
        [1, { count: 1 }, { tags: { t: 1 } }],
        'a should be as it was',
      );
      equal((await store.history(home, 'item', 'a')).length, 1, 'Its history should be as it was');
      await getItem(store, 'gone');
      await write(store, item('other', { code: 'taken for nothing' }));
    },
  ),
  promised(
    'commits: changes apply in the order given',
    'Each change sees what those before it in the commit have done.',
    async ({ store }) => {
      await write(
        store,
        item('a', { count: 1 }),
        { op: 'replace', kind: 'item', id: 'a', expect: 1, columns: { count: 10 } },
        adjust('a', 5),
        { op: 'merge', kind: 'item', id: 'a', set: { tags: { x: 1, y: 1 } } },
        { op: 'merge', kind: 'item', id: 'a', unset: { tags: ['x'] } },
        { op: 'assert', kind: 'item', id: 'a', expect: 2 },
        item('brief'),
        { op: 'remove', kind: 'item', id: 'brief', expect: 1 },
        { op: 'assert', kind: 'item', id: 'brief', expect: 'absent' },
      );
      const { columns, facets } = await getItem(store, 'a', 'tags');
      equal([columns['count'], facets], [15, { tags: { y: 1 } }], 'One after another');
    },
  ),
  promised(
    'commits: say at which revision each record was left',
    'The result has a revision for each change, 0 for events, holds and absent records.',
    async ({ store }) => {
      const { revisions } = await write(
        store,
        item('a'),
        { op: 'replace', kind: 'item', id: 'a', expect: 1, columns: { count: 1 } },
        adjust('a', 1),
        { op: 'merge', kind: 'item', id: 'a', set: { tags: { x: 1 } } },
        { op: 'assert', kind: 'item', id: 'a', expect: 2 },
        { op: 'assert', kind: 'item', id: 'b', expect: 'absent' },
        emit(1),
        { op: 'remove', kind: 'item', id: 'a', expect: 2 },
      );
      equal(revisions, [1, 2, 2, 2, 2, 0, 0, 0], 'The revisions');
    },
  ),
  promised(
    "commits: say the time of the store's clock",
    'The time of a commit, and that of its records, is that of the clock that now() reads.',
    async ({ store, elapse }) => {
      const before = await store.now();
      await elapse(3);
      const { at } = await write(store, item('a'));
      await elapse(3);
      const after = await store.now();
      ok(Number.isSafeInteger(at) && before < at && at < after, `${before} < ${at} < ${after}`);
      equal((await getItem(store, 'a')).createdAt, at, 'The record should say the same');
    },
  ),
  promised(
    'commits: take up to 500 changes',
    '500 changes are a commit; 501 are INVALID.',
    async ({ store }) => {
      const changes = Array.from({ length: 501 }, (_, i) => item(`i${i}`));
      await rejects('INVALID', () => write(store, ...changes), '501 changes should be refused');
      const { revisions } = await write(store, ...changes.slice(1));
      equal(revisions.length, 500, '500 changes should be accepted');
    },
  ),
  promised(
    'commits: adjust adds, a missing value counting as 0',
    'adjust adds to integer and real columns.',
    async ({ store }) => {
      await write(store, item('a', { count: 5 }));
      await write(
        store,
        adjust('a', -2),
        adjust('a', 0.25, {}, 'size'),
        adjust('a', 0.5, {}, 'size'),
      );
      equal(columnsOf(await getItem(store, 'a')), { count: 3, size: 0.75 }, 'Added');
    },
  ),
  promised(
    'commits: adjust beyond a bound is CONFLICT',
    'adjust rejects with CONFLICT, naming record and column, when the result would leave the bounds.',
    async ({ store }) => {
      await write(store, item('pool', { count: 5 }));
      for (const change of [adjust('pool', -6, { min: 0 }), adjust('pool', 6, { max: 10 })]) {
        await rejects('CONFLICT', () => write(store, change), 'Beyond the bound', [
          'pool',
          'count',
        ]);
      }
      equal((await getItem(store, 'pool')).columns['count'], 5, 'The pool should be as it was');
    },
  ),
  promised(
    'commits: adjust may reach a bound',
    'The bounds themselves are within the bounds.',
    async ({ store }) => {
      await write(store, item('pool', { count: 5 }));
      await write(store, adjust('pool', -5, { min: 0, max: 5 }));
      await write(store, adjust('pool', 5, { min: 0, max: 5 }));
      equal((await getItem(store, 'pool')).columns['count'], 5, 'Down and up again');
    },
  ),
  promised(
    'commits: adjust leaves the revision alone',
    'An adjustment changes neither the revision nor what others expect of it.',
    async ({ store }) => {
      await write(store, item('a'));
      await write(store, adjust('a', 1));
      equal((await getItem(store, 'a')).revision, 1, 'The revision should be as it was');
    },
  ),
  promised(
    'commits: adjust of what is not there is NOT_FOUND',
    'adjust rejects with NOT_FOUND, naming the record, if there is none.',
    async ({ store }) => {
      await rejects('NOT_FOUND', () => write(store, adjust('absent-one', 1)), 'Nothing to adjust', [
        'absent-one',
      ]);
    },
  ),
  promised(
    'commits: adjustments at the same time all count',
    'Adjustments commute, whoever makes them; bounds hold among them.',
    async ({ store, openSecond }) => {
      const second = await openSecond();
      await write(store, item('pool', { count: 0 }));
      const outcomes = await Promise.allSettled(
        Array.from({ length: 30 }, (_, i) =>
          write(i % 2 === 0 ? store : second, adjust('pool', 1, { max: 25 })),
        ),
      );
      const passed = outcomes.filter((outcome) => outcome.status === 'fulfilled').length;
      const { count } = (await getItem(store, 'pool')).columns;
      equal([passed, count], [25, 25], 'Exactly 25 should have passed, and counted');
    },
  ),
  promised(
    'commits: of those that expect one revision, one passes',
    'Commits at the same time are isolated: one replaces, the others are STALE.',
    async ({ store, openSecond }) => {
      const second = await openSecond();
      await write(store, item('a'));
      const outcomes = await Promise.allSettled(
        Array.from({ length: 10 }, (_, i) => {
          const columns = { count: i };
          const change = { op: 'replace', kind: 'item', id: 'a', expect: 1, columns } as const;
          return write(i % 2 === 0 ? store : second, change);
        }),
      );
      const codes = outcomes.map((outcome) =>
        outcome.status === 'fulfilled' ? 'ok' : outcome.reason.code,
      );
      equal(codes.filter((code) => code === 'ok').length, 1, 'One should have passed');
      equal(codes.filter((code) => code === 'STALE').length, 9, 'The others should be STALE');
      equal((await getItem(store, 'a')).revision, 2, 'One revision more');
    },
  ),
  promised(
    'commits: of those that want one unique key, one gets it',
    'Commits at the same time are isolated: one takes the key, the others are CONFLICT.',
    async ({ store, openSecond }) => {
      const second = await openSecond();
      const outcomes = await Promise.allSettled(
        Array.from({ length: 10 }, (_, i) =>
          write(i % 2 === 0 ? store : second, item(`i${i}`, { code: 'wanted' })),
        ),
      );
      const codes = outcomes.map((outcome) =>
        outcome.status === 'fulfilled' ? 'ok' : outcome.reason.code,
      );
      equal(codes.filter((code) => code === 'ok').length, 1, 'One should have passed');
      equal(codes.filter((code) => code === 'CONFLICT').length, 9, 'The others should be CONFLICT');
    },
  ),
  promised(
    'commits: what one handle has committed the other reads at once',
    'Reads see every commit that was resolved before they began, in any process.',
    async ({ store, openSecond, leaseMs }) => {
      const second = await openSecond();
      for (let round = 1; round <= 5; round += 1) {
        const id = `r${round}`;
        await write(store, item(id, { count: round }), job(id), emit(round));
        equal((await getItem(second, id)).columns['count'], round, 'find by the other handle');
        const { records } = await second.query(home, 'item', {});
        equal(records.length, round, 'query by the other handle');
        const { events } = await second.readEvents({ limit: 100 });
        equal(events.length, round, 'events by the other handle');
        await write(second, adjust(id, 10));
        equal((await getItem(store, id)).columns['count'], round + 10, 'and the other way round');
      }
      await second.claim('job', { limit: 100, owner: 'two', leaseMs });
      equal(await store.claimOwners('job'), ['two'], 'claims of the other handle');
    },
  ),
  promised(
    'commits: outlive the handle that made them',
    'What was committed is there for a handle that is opened after the first was closed.',
    async ({ store, openSecond, leaseMs }) => {
      await write(
        store,
        item('a', { count: 1 }, { facets: { tags: { t: 1 } } }),
        job('j'),
        emit(1),
      );
      await store.claim('job', { limit: 1, owner: 'one', leaseMs });
      await store.close();
      const second = await openSecond();
      const record = await getItem(second, 'a', 'tags');
      equal([record.columns['count'], record.facets], [1, { tags: { t: 1 } }], 'The record');
      equal((await second.history(home, 'item', 'a')).length, 1, 'Its history');
      equal((await second.readEvents({ limit: 10 })).events.length, 1, 'The event');
      equal(await second.claimOwners('job'), ['one'], 'The claim');
    },
  ),
];
