import { equal, ok, rejects } from '../assertions.ts';
import type { Case } from '../suite.ts';
import { follow, numbers, read } from './events.ts';
import { emit, event, home, type MetadataStoreHarness, promised, write, writeIn } from './scene.ts';

/** How subjects fall into partitions, and how events are removed. */
export const eventRemovalCases: readonly Case<MetadataStoreHarness>[] = [
  promised(
    'events: each subject falls into one partition of those there are',
    'Partitions share the subjects among them, evenly, and each keeps its own for ever.',
    async ({ store, openSecond }) => {
      const second = await openSecond();
      const count = 200;
      for (const round of [0, 1]) {
        const subjects = Array.from({ length: count }, (_, n) => `item:${n}`);
        await write(store, ...subjects.map((subject, n) => emit(round * count + n, { subject })));
      }
      for (const parts of [1, 2, 7]) {
        const seen = new Map<string, number>();
        let all = 0;
        for (let index = 0; index < parts; index += 1) {
          const handle = index % 2 === 0 ? store : second;
          const mine = await read(handle, { partition: { of: parts, index } });
          all += mine.length;
          for (const { subject } of mine) {
            equal(seen.get(subject) ?? index, index, `Where ${subject} falls`);
            seen.set(subject, index);
          }
          ok(mine.length >= count / parts, `Partition ${index} of ${parts} should have its share`);
        }
        equal([all, seen.size], [2 * count, count], `All of them, in ${parts}`);
      }
      for (const partition of [
        { of: 0, index: 0 },
        { of: 2, index: 2 },
        { of: 2, index: -1 },
        { of: 2_000, index: 0 },
      ]) {
        await rejects('INVALID', () => read(store, { partition }), JSON.stringify(partition));
      }
    },
  ),
  promised(
    'events: those that are removed are gone, and no others',
    'Removed events are read no more; those of other workspaces, ids and subjects stay.',
    async ({ store }) => {
      await write(store, emit(1), emit(2, { subject: 'item:b' }), emit(3));
      await writeIn(store, 'away', emit(5, { subject: 'item:c' }));
      await store.removeEvents(
        home,
        [1, 2, 5, 9].map((n) => event(n).id),
      );
      await store.removeEvents(home, []);
      const first = event(1).subject;
      equal(numbers(await read(store, { subjects: [first, 'item:b'] })), [3], 'What is left');
      const filter = { subjects: ['item:c'] };
      const others = await store.readEvents({ workspace: 'away', filter, limit: 10 });
      equal(numbers(others.events), [5], 'Of another workspace');
      await rejects(
        'INVALID',
        () =>
          store.removeEvents(
            home,
            Array.from({ length: 1_001 }, (_, n) => `id-${n}`),
          ),
        'Too many at once',
      );
    },
  ),
  promised(
    'events: numbers and cursors go on behind those that are removed',
    'A subject whose events were removed goes on with the next number; a cursor stays where it was.',
    async ({ store }) => {
      await write(store, emit(1), emit(2), emit(3));
      const latest = await store.latestEventCursor();
      await store.removeEvents(home, [event(2).id]);
      await store.removeEvents(home, [event(1).id, event(3).id]);
      await write(store, emit(4));
      equal(numbers(await follow(store, 10, latest)), [4], 'Behind the cursor');
      const [only] = await read(store);
      equal(only?.subjectSequence, 4, 'The number of the next');
      await store.removeEvents(home, [event(4).id]);
      await write(store, emit(5));
      equal(
        (await read(store)).map((one) => one.subjectSequence),
        [5],
        'And of the one after',
      );
    },
  ),
];
