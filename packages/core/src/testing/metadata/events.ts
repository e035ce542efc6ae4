import type { EventFilter, StoredEvent } from '../../contracts/event.ts';
import type { MetadataStore } from '../../contracts/metadata-store.ts';
import { equal, ok, rejects } from '../assertions.ts';
import type { Case } from '../suite.ts';
import {
  emit,
  event,
  home,
  item,
  type MetadataStoreHarness,
  promised,
  write,
  writeIn,
} from './scene.ts';

/** The events of the home workspace that pass. */
export async function read(
  store: MetadataStore,
  filter: EventFilter = {},
): Promise<readonly StoredEvent[]> {
  const { events } = await store.readEvents({ workspace: home, filter, limit: 1_000 });
  return events;
}

/** The numbers that {@link emit} put into the payloads. */
export const numbers = (events: readonly StoredEvent[]): readonly unknown[] =>
  events.map(({ payload }) => payload['n']);

/** Everything behind a cursor, page by page. */
export async function follow(
  store: MetadataStore,
  limit: number,
  after?: string,
): Promise<readonly StoredEvent[]> {
  const out: StoredEvent[] = [];
  let cursor = after;
  for (;;) {
    const page = await store.readEvents({
      limit,
      ...(cursor === undefined ? {} : { after: cursor }),
    });
    if (page.events.length === 0) return out;
    out.push(...page.events);
    cursor = page.cursor;
    ok(out.length < 10_000, 'The events should come to an end');
  }
}

/** How events are written, numbered, read and waited for. */
export const eventCases: readonly Case<MetadataStoreHarness>[] = [
  promised(
    'events: are read back as they were emitted',
    'Every part of an event comes back, with its workspace and its number.',
    async ({ store }) => {
      const parts = {
        causationId: event(9).id,
        payload: { deep: [{ n: Number.NaN, text: 'é😀', none: null }] },
      };
      await write(store, emit(1, parts), emit(2));
      const [first, second] = await read(store);
      const cursors = { one: first?.cursor, two: second?.cursor };
      const expected = {
        ...event(1, parts),
        workspace: home,
        subjectSequence: 1,
        cursor: cursors.one,
      };
      equal(first, expected, 'The first, whole');
      equal(
        second,
        { ...event(2), workspace: home, subjectSequence: 2, cursor: cursors.two },
        'The second, without a cause',
      );
    },
  ),
  promised(
    'events: are written with their commit or not at all',
    'An event of a rejected commit never appears, nor uses a number.',
    async ({ store }) => {
      await write(store, item('a'), emit(1));
      for (const n of [2, 3]) {
        const refused = [item('a'), { op: 'assert', kind: 'item', id: 'a', expect: 9 }] as const;
        await rejects(
          ['CONFLICT', 'STALE'],
          () => write(store, emit(n), ...refused),
          'Twice refused',
        );
      }
      await write(store, emit(2));
      const events = await read(store);
      equal(
        events.map((one) => [one.payload['n'], one.subjectSequence]),
        [
          [1, 1],
          [2, 2],
        ],
        'Two, numbered 1, 2',
      );
    },
  ),
  promised(
    'events: of one subject are numbered 1, 2, 3',
    'Each subject has numbers of its own, without gaps.',
    async ({ store }) => {
      const other = { subject: 'item:b' };
      await write(store, emit(1), emit(2, other), emit(3));
      await write(store, emit(4, other));
      await write(store, emit(5), emit(6, { subject: 'item:c' }));
      equal(
        (await read(store)).map((one) => `${one.subject} ${one.subjectSequence}`).toSorted(),
        ['item:a 1', 'item:a 2', 'item:a 3', 'item:b 1', 'item:b 2', 'item:c 1'],
        'The numbers',
      );
    },
  ),
  promised(
    'events: an id that was emitted before is CONFLICT',
    'A commit that emits an id again rejects with CONFLICT and changes nothing.',
    async ({ store }) => {
      await write(store, emit(1));
      const again = emit(1, { subject: 'item:b' });
      await rejects('CONFLICT', () => write(store, item('a'), again), 'Emitted before', [
        event(1).id,
      ]);
      equal(await store.find(home, 'item', 'a'), undefined, 'Nothing should have been created');
    },
  ),
  promised(
    'events: come in an order in which those of a subject ascend',
    'Events are read in the order in which those of every subject ascend.',
    async ({ store }) => {
      for (let n = 0; n < 12; n += 1)
        await write(store, emit(n, { subject: `item:${n % 3}`, at: 100 - n }));
      const events = await follow(store, 1_000);
      for (const subject of ['item:0', 'item:1', 'item:2']) {
        const mine = events.filter((one) => one.subject === subject);
        equal(
          mine.map((one) => one.subjectSequence),
          [1, 2, 3, 4],
          subject,
        );
      }
    },
  ),
  promised(
    'events: pages follow one another by the cursor',
    'Reading on from a cursor gives each event exactly once.',
    async ({ store }) => {
      const count = 25;
      for (let n = 0; n < count; n += 1) await write(store, emit(n));
      const all = Array.from({ length: count }, (_, n) => n);
      for (const limit of [1, 4, 25, 1_000]) {
        equal(numbers(await follow(store, limit)), all, `Pages of ${limit}`);
      }
      const { events } = await store.readEvents({ limit: 4 });
      equal(numbers(events), [0, 1, 2, 3], 'A page holds as many as its limit');
    },
  ),
  promised(
    "events: reading goes on from an event's own cursor",
    'The cursor of an event is that of a reader who has seen everything up to it.',
    async ({ store }) => {
      for (let n = 0; n < 6; n += 1) await write(store, emit(n));
      for (const one of await read(store)) {
        const rest = await follow(store, 2, one.cursor);
        const n = Number(one.payload['n']);
        equal(numbers(rest), [0, 1, 2, 3, 4, 5].slice(n + 1), `Behind event ${n}`);
      }
    },
  ),
  promised(
    'events: the cursor goes on also when the filter passed nothing',
    'A page that the filter left empty moves its reader behind what it looked at.',
    async ({ store }) => {
      await write(store, emit(1), emit(2));
      const filter = { types: ['nothing.like-that'] };
      const first = await store.readEvents({ filter, limit: 10 });
      equal(first.events, [], 'Nothing passes');
      const same = await store.readEvents({ after: first.cursor, limit: 10 });
      equal(numbers(same.events), [], 'What was looked at is behind the cursor');
      await write(store, emit(3));
      const next = await store.readEvents({ after: first.cursor, limit: 10 });
      equal(numbers(next.events), [3], 'What came later is before it');
    },
  ),
  promised(
    'events: are filtered by id, type, subject, correlation and time',
    'Conditions of a filter hold together.',
    async ({ store }) => {
      const parts = [
        { type: 'a.done', subject: 's:1', correlationId: 'x', at: 10 },
        { type: 'b.done', subject: 's:1', correlationId: 'x', at: 20 },
        { type: 'a.done', subject: 's:2', correlationId: 'y', at: 30 },
        { type: 'b.done', subject: 's:2', correlationId: 'y', at: 20 },
      ];
      await write(store, ...parts.map((part, i) => emit(i, part)));
      const passing = async (filter: EventFilter): Promise<unknown> =>
        [...numbers(await read(store, filter))].toSorted();
      equal(await passing({ ids: [event(2).id, event(9).id] }), [2], 'An id');
      equal(await passing({ types: ['a.done'] }), [0, 2], 'One type');
      equal(await passing({ types: ['a.done', 'b.done'] }), [0, 1, 2, 3], 'Two types');
      equal(await passing({ subjects: ['s:2'] }), [2, 3], 'A subject');
      equal(await passing({ subjects: ['s:1', 's:2'] }), [0, 1, 2, 3], 'Two subjects');
      equal(await passing({ correlationId: 'x' }), [0, 1], 'A correlation');
      equal(await passing({ since: 20 }), [1, 2, 3], 'Not before a time');
      equal(await passing({ types: ['b.done'], subjects: ['s:2'], since: 20 }), [3], 'Together');
      equal(await passing({ types: [] }), [], 'No type at all');
    },
  ),
  promised(
    'events: are filtered by an end in time',
    'A filter with `until` passes what is before it.',
    async ({ store }) => {
      await write(store, ...[10, 20, 30].map((at, n) => emit(n, { at })));
      equal(numbers(await read(store, { until: 20 })), [0], 'Before a time');
      equal(numbers(await read(store, { since: 15, until: 30 })), [1], 'A range');
    },
  ),
  promised(
    'events: a filter hides nothing that passes',
    'Pages that are read with a filter hold every event that passes, however many do not.',
    async ({ store }) => {
      await write(
        store,
        ...Array.from({ length: 300 }, (_, n) => emit(n, { type: n % 100 === 99 ? 'x.y' : 'z.y' })),
      );
      const filter = { types: ['x.y'] };
      const seen: unknown[] = [];
      let after: string | undefined;
      for (let page = 0; page < 400 && seen.length < 3; page += 1) {
        const answer = await store.readEvents({
          filter,
          limit: 2,
          ...(after === undefined ? {} : { after }),
        });
        ok(answer.events.length <= 2, 'No more than the limit');
        seen.push(...numbers(answer.events));
        after = answer.cursor;
      }
      equal(seen, [99, 199, 299], 'Each that passes, once');
    },
  ),
  promised('events: a limit is 1 to 1,000', 'Other limits are INVALID.', async ({ store }) => {
    for (const limit of [0, -1, 1_001, 1.5]) {
      await rejects('INVALID', () => store.readEvents({ limit }), `Limit ${limit}`);
    }
  }),
  promised(
    'events: what is no cursor is INVALID',
    'readEvents and waitForEvents refuse what they have not given out.',
    async ({ store }) => {
      await rejects(
        'INVALID',
        () => store.readEvents({ after: 'no cursor', limit: 1 }),
        'readEvents',
      );
      await rejects(
        'INVALID',
        () => store.waitForEvents('no cursor', { timeoutMs: 1 }),
        'waitForEvents',
      );
    },
  ),
  promised(
    'events: the latest cursor is behind everything there is',
    'A reader who starts at latestEventCursor sees what comes next, and nothing before.',
    async ({ store }) => {
      const empty = await store.latestEventCursor();
      await write(store, emit(1), emit(2));
      const latest = await store.latestEventCursor();
      await write(store, emit(3));
      equal(numbers(await follow(store, 10, latest)), [3], 'From the latest');
      equal(numbers(await follow(store, 10, empty)), [1, 2, 3], 'From the very first');
      equal(
        await store
          .readEvents({ after: await store.latestEventCursor(), limit: 1 })
          .then((r) => r.events),
        [],
        'None',
      );
    },
  ),
  promised(
    'events: of all workspaces when none is named',
    'Without a workspace the events of all workspaces are read.',
    async ({ store }) => {
      await write(store, emit(1));
      await writeIn(store, 'away', emit(2));
      const { events } = await store.readEvents({ limit: 10 });
      equal(events.map((one) => one.workspace).toSorted(), ['away', home], 'Both');
    },
  ),
  promised(
    'events: waiting ends when there is an event',
    'waitForEvents resolves true when an event behind the cursor is there, or soon after it came.',
    async ({ store, openSecond }) => {
      const second = await openSecond();
      const start = await store.latestEventCursor();
      const waiting = store.waitForEvents(start, { timeoutMs: 10_000 });
      await write(second, emit(1));
      equal(await waiting, true, 'It came while waiting, from the other handle');
      equal(await store.waitForEvents(start, { timeoutMs: 0 }), true, 'It is there already');
    },
  ),
  promised(
    'events: waiting ends when time runs out',
    'waitForEvents resolves false when no event came in time.',
    async ({ store }) => {
      await write(store, emit(1));
      const latest = await store.latestEventCursor();
      const startedAt = performance.now();
      equal(await store.waitForEvents(latest, { timeoutMs: 20 }), false, 'Nothing came');
      ok(performance.now() - startedAt >= 15, 'It should have waited');
    },
  ),
  promised(
    'events: waiting ends when it is aborted',
    'waitForEvents rejects with ABORTED when its signal is aborted, before or while it waits.',
    async ({ store }) => {
      const latest = await store.latestEventCursor();
      const abort = new AbortController();
      const waiting = store.waitForEvents(latest, { timeoutMs: 5_000, signal: abort.signal });
      abort.abort();
      await rejects('ABORTED', () => waiting, 'Aborted while waiting');
      const { signal } = abort;
      await rejects(
        'ABORTED',
        () => store.waitForEvents(latest, { timeoutMs: 5_000, signal }),
        'Aborted before',
      );
    },
  ),
  promised(
    'events: no reader ever skips one, however many write',
    'A reader who follows the cursor while several write sees every event once, subjects ascending.',
    async ({ store, openSecond }) => {
      const second = await openSecond();
      const each = 40;
      const seen: StoredEvent[] = [];
      const writers = [store, second].map(async (handle, which) => {
        for (let n = 0; n < each; n += 1) {
          await write(handle, emit(which * 1_000 + n, { subject: `item:${n % 3}` }));
        }
      });
      let over = false;
      const written = Promise.all(writers).finally(() => {
        over = true;
      });
      let cursor: string | undefined;
      for (let last = false; !last; ) {
        last = over;
        const page = await second.readEvents({
          limit: 7,
          ...(cursor === undefined ? {} : { after: cursor }),
        });
        seen.push(...page.events);
        cursor = page.cursor;
        if (page.events.length > 0) last = false;
        await new Promise((resolve) => setImmediate(resolve));
      }
      await written;
      equal(seen.length, 2 * each, 'Every event should have been seen');
      equal(new Set(seen.map((one) => one.id)).size, 2 * each, 'And none twice');
      for (const subject of ['item:0', 'item:1', 'item:2']) {
        const mine = seen
          .filter((one) => one.subject === subject)
          .map((one) => one.subjectSequence);
        equal(
          mine,
          mine.map((_, i) => i + 1),
          `${subject} in its order, without gaps`,
        );
      }
    },
  ),
];
