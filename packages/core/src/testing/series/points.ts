import { equal, rejects } from '../assertions.ts';
import type { Case } from '../suite.ts';
import {
  ascending,
  batch,
  batchOf,
  home,
  type Point,
  pointsOf,
  promised,
  run,
  type SeriesStoreHarness,
  series,
  summaryOf,
} from './scene.ts';

/** What becomes of points: append, numbers of batches, order, ranges. */
export const pointCases: readonly Case<SeriesStoreHarness>[] = [
  promised(
    'points: what was appended is in every later read',
    'An append that resolved is in every later read, folded or not, through any handle.',
    async ({ store, openSecond }) => {
      const second = await openSecond();
      await store.appendPoints(batch('w', 1, [[5, 1_000, 0.5]]));
      for (const [name, reader] of Object.entries({ first: store, second })) {
        equal(await pointsOf(reader), [[5, 1_000, 0.5]], `points, ${name} handle`);
        equal((await summaryOf(reader)).count, 1, `summary, ${name} handle`);
        const buckets = await reader.downsample(series('loss'), { buckets: 1 });
        equal(buckets[0]?.count, 1, `buckets, ${name} handle`);
      }
    },
  ),
  promised(
    'points: what was appended is there after everything was closed',
    'An append that resolved is durable.',
    async ({ store, openSecond }) => {
      await store.appendPoints(batch('w', 1, ascending(0, 3)));
      await store.fold();
      await store.appendPoints(batch('w', 2, ascending(3, 2)));
      await store.close();
      equal(await pointsOf(await openSecond()), ascending(0, 5), 'points, opened again');
    },
  ),
  promised(
    'points: a repeated batch is stored once',
    'A batch whose number was stored before is acknowledged and ignored, folded or not.',
    async ({ store, openSecond }) => {
      const first = batch('w', 1, ascending(0, 3));
      await store.appendPoints(first);
      await store.appendPoints(first);
      await store.fold();
      await (await openSecond()).appendPoints(first);
      await store.appendPoints(batch('w', 2, ascending(3, 2)));
      await store.appendPoints(first);
      equal(await pointsOf(store), ascending(0, 5), 'points');
      equal((await summaryOf(store)).count, 5, 'count');
    },
  ),
  promised(
    'points: each writer has numbers of its own',
    'Equal batches of two writers, equal numbers too, are two batches.',
    async ({ store }) => {
      await store.appendPoints(batch('one', 1, ascending(0, 2)));
      await store.appendPoints(batch('two', 1, ascending(0, 2)));
      equal((await summaryOf(store)).count, 4, 'count');
    },
  ),
  promised(
    'points: batches of one writer may come in any order',
    'Only a number that was stored before is ignored, not a lower one.',
    async ({ store }) => {
      for (const sequence of [3, 1, 2]) {
        await store.appendPoints(batch('w', sequence, ascending(sequence * 10, 2)));
        // Taken now, though lower numbers are still to come.
        await store.appendPoints(batch('w', 3, ascending(80 + sequence, 2)));
      }
      await store.appendPoints(batch('w', 2, ascending(99, 2)));
      const steps = (await pointsOf(store)).map(([step]) => step);
      equal(
        steps.toSorted((a, b) => a - b),
        [10, 11, 20, 21, 30, 31],
        'steps',
      );
    },
  ),
  promised(
    'points: a batch without points takes its number',
    'A batch without points is acknowledged, and its number is then taken.',
    async ({ store }) => {
      await store.appendPoints(batch('w', 1, []));
      await store.appendPoints(batch('w', 1, ascending(0, 2)));
      await store.appendPoints(batch('w', 2, ascending(7, 2)));
      equal(await pointsOf(store), ascending(7, 2), 'points');
    },
  ),
  promised(
    'points: a refused batch leaves nothing behind',
    'A batch that is INVALID stores none of its points.',
    async ({ store }) => {
      const bad = batch('w', 1, [...ascending(0, 2), [2.5, 1, 1]]);
      await rejects('INVALID', () => store.appendPoints(bad), 'a step of 2.5');
      equal(await pointsOf(store), [], 'points');
      equal(await store.summaries(home, run), [], 'summaries');
    },
  ),
  promised(
    'points: a refused batch does not take its number',
    'A batch that was refused may be sent again, mended, under its number.',
    async ({ store }) => {
      await rejects(
        'INVALID',
        () => store.appendPoints(batch('w', 1, [[2.5, 1, 1]])),
        'a step of 2.5',
      );
      await store.appendPoints(batch('w', 1, ascending(2, 2)));
      equal((await pointsOf(store)).length, 2, 'points');
    },
  ),
  promised(
    'points: come in order of step',
    'Points come in order of step, then timestamp, in whatever order they arrived.',
    async ({ store }) => {
      const arrived: readonly Point[] = [
        [7, 3_000, 1],
        [8, 3_001, 2],
        [3, 3_002, 3],
        [7, 2_999, 4],
        [-2, 3_003, 5],
      ];
      await store.appendPoints(batch('w', 1, arrived.slice(0, 3)));
      await store.fold();
      await store.appendPoints(batch('w', 2, arrived.slice(3)));
      const expected = [5, 3, 4, 1, 2];
      const valuesOf = async (): Promise<number[]> => (await pointsOf(store)).map((p) => p[2]);
      equal(await valuesOf(), expected, 'values before the fold');
      await store.fold();
      equal(await valuesOf(), expected, 'values after the fold');
    },
  ),
  promised(
    'points: ties are settled by writer, then arrival',
    'Points of equal step and timestamp come in order of writer id, then arrival; first and last too.',
    async ({ store }) => {
      const tie = (...values: readonly number[]): readonly Point[] =>
        values.map((value) => [1, 1_000, value]);
      await store.appendPoints(batch('b', 1, tie(3, 4)));
      await store.appendPoints(batch('a', 1, tie(1, 9)));
      await store.fold();
      await store.appendPoints(batch('b', 2, tie(5, 0)));
      await store.appendPoints(batch('a', 2, tie(2, 8)));
      for (const when of ['before', 'after'] as const) {
        equal(
          (await pointsOf(store)).map((point) => point[2]),
          [1, 9, 2, 8, 3, 4, 5, 0],
          `values ${when} the fold`,
        );
        const { first, last } = await summaryOf(store);
        equal([first, last], [1, 0], `first and last ${when} the fold`);
        await store.fold();
      }
    },
  ),
  promised(
    'points: a range has both its ends',
    'fromStep and toStep are both part of the range; either may be left out.',
    async ({ store }) => {
      await store.appendPoints(batch('w', 1, ascending(0, 6)));
      await store.fold();
      await store.appendPoints(batch('w', 2, ascending(6, 4)));
      const steps = async (options: { fromStep?: number; toStep?: number }): Promise<number[]> =>
        (await pointsOf(store, series('loss'), options)).map(([step]) => step);
      equal(await steps({ fromStep: 4, toStep: 7 }), [4, 5, 6, 7], 'from 4 to 7');
      equal(await steps({ fromStep: 8 }), [8, 9], 'from 8');
      equal(await steps({ toStep: 1 }), [0, 1], 'to 1');
      equal(await steps({ fromStep: 20, toStep: 30 }), [], 'where there is nothing');
    },
  ),
  promised(
    'points: pages put together are the whole',
    'Pages by offset and limit hold each point of the range once, in order.',
    async ({ store }) => {
      await store.appendPoints(batch('w', 1, ascending(0, 50)));
      await store.fold();
      await store.appendPoints(batch('w', 2, ascending(50, 30)));
      const range = { fromStep: 3, toStep: 70 };
      const steps: number[] = [];
      for (let offset = 0; ; offset += 9) {
        const page = await pointsOf(store, series('loss'), { ...range, offset, limit: 9 });
        steps.push(...page.map(([step]) => step));
        if (page.length < 9) break;
      }
      equal(
        steps,
        ascending(3, 68).map(([step]) => step),
        'steps',
      );
    },
  ),
  promised(
    'points: a series without points is empty',
    'points, downsample and summaries of what was never written answer with nothing.',
    async ({ store }) => {
      equal(await pointsOf(store, series('never')), [], 'points');
      equal(await store.downsample(series('never'), { buckets: 3 }), [], 'buckets');
      equal(await store.summaries(home, 'never'), [], 'summaries');
    },
  ),
  promised(
    'points: no read sees another workspace',
    'Workspaces share owners and keys without seeing each other.',
    async ({ store }) => {
      const there = series({ workspace: 'elsewhere' });
      await store.appendPoints(
        batchOf('w', 1, [
          [series('loss'), 1, 1_000, 1],
          [there, 2, 1_000, 2],
        ]),
      );
      await store.appendPoints(batch('w', 2, ascending(5, 2), series({ workspace: 'third' })));
      for (const when of ['before', 'after'] as const) {
        equal(await pointsOf(store), [[1, 1_000, 1]], `points ${when} the fold`);
        equal((await summaryOf(store)).count, 1, `summary ${when} the fold`);
        const buckets = await store.downsample(there, { buckets: 5 });
        equal([buckets.length, buckets[0]?.min], [1, 2], `buckets ${when} the fold`);
        equal(await pointsOf(store, series({ workspace: 'nowhere' })), [], `nowhere, ${when}`);
        await store.fold();
      }
    },
  ),
  promised(
    'points: a removed run is gone',
    'removeOwners removes all series of the runs, folded or not, and nothing else.',
    async ({ store }) => {
      const other = series({ owner: 'run-2' });
      const gone = [series('loss'), series('accuracy')];
      const points = (from: number): Parameters<typeof batchOf>[2] =>
        [...gone, other].flatMap((key) => ascending(from, 2).map((p) => [key, ...p] as const));
      await store.appendPoints(batchOf('w', 1, points(0)));
      await store.fold();
      await store.appendPoints(batchOf('w', 2, points(2)));
      await store.removeOwners(home, [run, 'never there']);
      equal(await store.summaries(home, run), [], 'summaries of the removed run');
      for (const key of gone) equal(await pointsOf(store, key), [], `points of ${key.key}`);
      equal(await pointsOf(store, other), ascending(0, 4), 'points of the other run');
      equal((await summaryOf(store, other)).count, 4, 'summary of the other run');
    },
  ),
  promised(
    'points: repeated batches of a removed run stay ignored',
    'Removal does not free the numbers of batches; new ones begin the series anew.',
    async ({ store }) => {
      await store.appendPoints(batch('w', 1, ascending(0, 2)));
      await store.removeOwners(home, [run]);
      await store.appendPoints(batch('w', 1, ascending(0, 2)));
      await store.appendPoints(batch('w', 2, ascending(7, 2)));
      await store.fold();
      equal(await pointsOf(store), ascending(7, 2), 'points');
      equal((await summaryOf(store)).firstStep, 7, 'first step');
    },
  ),
];
