import { equal, ok } from '../assertions.ts';
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

/** What summaries, buckets and folding promise. */
export const summaryCases: readonly Case<SeriesStoreHarness>[] = [
  promised(
    'summaries: figures are those of all points',
    'Count, first, last, extremes with their least steps, and the mean, of folded and unfolded points.',
    async ({ store }) => {
      const points: readonly Point[] = [
        [4, 1_004, 2],
        [1, 1_001, 8],
        [3, 1_003, 0.5],
        [6, 1_006, 8],
        [5, 1_005, 0.5],
        [2, 1_002, 5],
      ];
      await store.appendPoints(batch('w', 1, points.slice(0, 4)));
      await store.fold();
      await store.appendPoints(batch('w', 2, points.slice(4)));
      equal(
        await summaryOf(store),
        {
          key: 'loss',
          count: 6,
          nanCount: 0,
          first: 8,
          firstStep: 1,
          last: 8,
          lastStep: 6,
          lastTimestamp: 1_006,
          min: 0.5,
          minStep: 3,
          max: 8,
          maxStep: 1,
          mean: 4,
        },
        'summary',
      );
    },
  ),
  promised(
    'summaries: NaN takes no part in min, max and mean',
    'NaN is counted apart; where all values are NaN there is no min, max and mean.',
    async ({ store }) => {
      const nan = Number.NaN;
      await store.appendPoints(
        batchOf('w', 1, [
          [series('some'), 1, 1_000, nan],
          [series('all'), 1, 1_000, nan],
        ]),
      );
      await store.fold();
      await store.appendPoints(
        batchOf('w', 2, [
          [series('some'), 2, 1_001, 3],
          [series('some'), 3, 1_002, 5],
          [series('all'), 2, 1_003, nan],
        ]),
      );
      const some = await summaryOf(store, series('some'));
      equal([some.count, some.nanCount, some.min, some.max, some.mean], [3, 1, 3, 5, 4], 'some');
      const all = await summaryOf(store, series('all'));
      equal(
        [all.count, all.nanCount, all.min, all.minStep, all.max, all.maxStep, all.mean],
        [2, 2, undefined, undefined, undefined, undefined, undefined],
        'all',
      );
    },
  ),
  promised(
    'summaries: come by key ascending',
    'summaries gives the series of a run by key ascending, in order of code points.',
    async ({ store }) => {
      const keys = ['b', 'a/b', 'a', 'B', '\u{1f600}', '\uffee', 'aa'];
      await store.appendPoints(
        batchOf('w', 1, [
          ...keys.slice(0, 4).map((key) => [series(key), 1, 1_000, 1] as const),
          [series('b'), 2, 1_001, 1],
        ]),
      );
      await store.fold();
      await store.appendPoints(
        batchOf(
          'w',
          2,
          keys.slice(4).map((key) => [series(key), 1, 1_000, 1] as const),
        ),
      );
      const found = await store.summaries(home, run);
      equal(
        found.map((summary) => summary.key),
        ['B', 'a', 'a/b', 'aa', 'b', '\uffee', '\u{1f600}'],
        'keys',
      );
    },
  ),
  promised(
    'summaries: of the keys asked for only',
    'With keys, summaries and summariesOf give those of them that there are.',
    async ({ store }) => {
      const points = ['a', 'b', 'c'].flatMap((key) => {
        const target = series(key);
        return ascending(0, 2).map((point) => [target, ...point] as const);
      });
      await store.appendPoints(batchOf('w', 1, points.slice(0, 3)));
      await store.fold();
      await store.appendPoints(batchOf('w', 2, points.slice(3)));
      const one = await store.summaries(home, run, ['b', 'never', 'c']);
      equal(one.map((summary) => summary.key).toSorted(), ['b', 'c'], 'summaries');
      const many = await store.summariesOf(home, [run], ['c']);
      equal([...(many.get(run)?.keys() ?? [])], ['c'], 'summariesOf');
      equal(await store.summaries(home, run, []), [], 'no keys, no summaries');
    },
  ),
  promised(
    'summaries: of several runs at once',
    'summariesOf gives the summaries of each of the runs, by owner and key.',
    async ({ store }) => {
      const owners = ['run-1', 'run-2', 'run-3'];
      for (const [i, owner] of owners.entries()) {
        await store.appendPoints(batch('w', i + 1, ascending(i * 10, 2), series({ owner })));
        if (i === 1) await store.fold();
      }
      const found = await store.summariesOf(home, ['run-3', 'run-1', 'never']);
      equal(
        [found.get('run-1')?.get('loss')?.firstStep, found.get('run-3')?.get('loss')?.firstStep],
        [0, 20],
        'first steps',
      );
      equal(found.has('run-2'), false, 'a run that was not asked for');
      equal(found.get('never')?.size ?? 0, 0, 'a run without series');
    },
  ),
  promised(
    'buckets: figures are exact',
    'Each bucket has the exact count, extremes and their least steps of the points in it.',
    async ({ store }) => {
      const value = (step: number): number => [5, 1, 9, 1, 9][step % 5] as number;
      await store.appendPoints(batch('w', 1, ascending(0, 60, value)));
      await store.fold();
      await store.appendPoints(batch('w', 2, ascending(60, 40, value)));
      const buckets = await store.downsample(series('loss'), { buckets: 10 });
      equal(
        buckets,
        Array.from({ length: 10 }, (_, i) => ({
          stepMin: i * 10,
          stepMax: i * 10 + 9,
          count: 10,
          nanCount: 0,
          min: 1,
          minStep: i * 10 + 1,
          max: 9,
          maxStep: i * 10 + 2,
        })),
        'buckets',
      );
    },
  ),
  promised(
    'buckets: are of equal width and not too many',
    'The width is the least whole number of steps that makes them few enough; empty ones are left out.',
    async ({ store }) => {
      const points = [0, 1, 2, 30, 31, 99, 100].map((step): Point => [step, 1_000 + step, step]);
      await store.appendPoints(batch('w', 1, points));
      // 101 steps in 10 buckets: 11 steps each.
      const buckets = await store.downsample(series('loss'), { buckets: 10 });
      equal(
        buckets.map(({ stepMin, stepMax, count }) => [stepMin, stepMax, count]),
        [
          [0, 2, 3],
          [30, 31, 2],
          [99, 100, 2],
        ],
        'buckets',
      );
      const fine = await store.downsample(series('loss'), { buckets: 1_000 });
      equal(fine.length, 7, 'a step each, where there are enough');
    },
  ),
  promised(
    'buckets: cover the range asked for',
    'With fromStep and toStep the buckets divide that range, and count its points only.',
    async ({ store }) => {
      await store.appendPoints(batch('w', 1, ascending(0, 50)));
      await store.fold();
      await store.appendPoints(batch('w', 2, ascending(50, 50)));
      const range = { fromStep: 31, toStep: 70 };
      const buckets = await store.downsample(series('loss'), { buckets: 4, ...range });
      equal(
        buckets.map(({ stepMin, stepMax, count }) => [stepMin, stepMax, count]),
        [
          [31, 40, 10],
          [41, 50, 10],
          [51, 60, 10],
          [61, 70, 10],
        ],
        'buckets',
      );
    },
  ),
  promised(
    'folding: changes no answer',
    'Points, summaries and buckets are the same before and after a fold, to the last bit.',
    async ({ store }) => {
      const key = series('loss');
      const answers = async (): Promise<unknown> => [
        await pointsOf(store),
        await summaryOf(store),
        await store.downsample(key, { buckets: 7 }),
      ];
      for (let i = 1; i <= 30; i++) {
        const from = (i * 37) % 100;
        // What sums of these lose by rounding depends on the order in which they are added up.
        const value = (step: number): number =>
          [1e32, 0.1 * i, -1e32, 1e16, 0.3, -1e16][(step - from) % 6] as number;
        await store.appendPoints(batch(`w${i % 3}`, Math.ceil(i / 3), ascending(from, 18, value)));
        if (i % 7 !== 0) continue;
        const before = await answers();
        await store.fold();
        equal(await answers(), before, `answers after fold ${i / 7}`);
      }
    },
  ),
  promised(
    'folding: says how many points it folded',
    'fold answers the number of points that lay unfolded, and 0 when there was none.',
    async ({ store }) => {
      await store.appendPoints(batch('w', 1, ascending(0, 30)));
      await store.appendPoints(batch('w', 2, ascending(30, 12)));
      equal(await store.fold(), 42, 'the first fold');
      equal(await store.fold(), 0, 'a fold of nothing');
    },
  ),
  promised(
    'folding: several at once, and appends meanwhile',
    'Folds through several handles while others append lose nothing and double nothing.',
    async ({ store, openSecond }) => {
      const second = await openSecond();
      const key = series('loss');
      const appends = [store, second].map(async (handle, h) => {
        for (let i = 0; i < 15; i++) {
          await handle.appendPoints(batch(`w${h}`, i + 1, ascending(h * 1_000 + i * 4, 4), key));
        }
      });
      const folds = [store, second, store].map(async (handle) => {
        for (let i = 0; i < 6; i++) await handle.fold();
      });
      await Promise.all([...appends, ...folds]);
      const points = (await pointsOf(second)).toSorted(([a], [b]) => a - b);
      equal(points, [...ascending(0, 60), ...ascending(1_000, 60)], 'points');
      equal((await summaryOf(store)).count, 120, 'count');
    },
  ),
  promised(
    'folding: may be broken off',
    'A store that is closed in the middle of a fold has lost nothing and doubled nothing.',
    async ({ store, openSecond }) => {
      for (let i = 0; i < 5; i++) {
        await store.appendPoints(batch('w', i + 1, ascending(i * 200, 200)));
      }
      const folding = await openSecond();
      const fold = folding.fold().then(
        () => 'folded',
        () => 'broken off',
      );
      await folding.close();
      ok(['folded', 'broken off'].includes(await fold), 'the fold came to an end');
      equal((await summaryOf(store)).count, 1_000, 'count');
      equal(await pointsOf(store), ascending(0, 1_000), 'points');
    },
  ),
];
