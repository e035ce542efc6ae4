import { equal } from '../assertions.ts';
import type { Case } from '../suite.ts';
import {
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

/** Values that careless stores lose or change. */
const values: readonly number[] = [
  Number.NaN,
  Number.POSITIVE_INFINITY,
  Number.NEGATIVE_INFINITY,
  -0,
  0,
  5e-324,
  Number.MAX_VALUE,
  0.1 + 0.2,
  2 ** 53 + 2,
  -1e-300,
];

/** Names that careless stores lose, split or mistake. */
const names: readonly string[] = [
  '__proto__',
  'constructor',
  'a.b/c d',
  ' padded ',
  '😀 日本語',
  'e\u0301',
  '\u0001\u001f',
  "'; DROP TABLE segment; --",
  'x'.repeat(512),
];

/** That values, steps, times and names survive. */
export const valueCases: readonly Case<SeriesStoreHarness>[] = [
  promised(
    'values: survive exactly in points',
    'Values survive exactly, NaN, infinities and −0 included, folded or not.',
    async ({ store }) => {
      const points = values.map((value, i): Point => [i, 1_000 + i, value]);
      await store.appendPoints(batch('w', 1, points));
      equal(await pointsOf(store), points, 'points before the fold');
      await store.fold();
      equal(await pointsOf(store), points, 'points after the fold');
    },
  ),
  promised(
    'values: survive exactly in summaries',
    'first, last, min and max are the very values, NaN, infinities and −0 included.',
    async ({ store }) => {
      const pairs: readonly (readonly [string, number, number])[] = [
        ['nan', Number.NaN, Number.NaN],
        ['zeros', -0, 0],
        ['zero', -0, -0],
        ['infinities', Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY],
        ['mixed', 5e-324, Number.NaN],
      ];
      await store.appendPoints(
        batchOf(
          'w',
          1,
          pairs.flatMap(([key, a, b]) => {
            const target = series(key);
            return [[target, 1, 1_000, a] as const, [target, 2, 1_001, b] as const];
          }),
        ),
      );
      const none = undefined;
      const expected: Readonly<Record<string, readonly (number | undefined)[]>> = {
        nan: [Number.NaN, Number.NaN, none, none],
        zeros: [-0, 0, -0, 0],
        zero: [-0, -0, -0, -0],
        infinities: [
          Number.POSITIVE_INFINITY,
          Number.NEGATIVE_INFINITY,
          Number.NEGATIVE_INFINITY,
          Number.POSITIVE_INFINITY,
        ],
        mixed: [5e-324, Number.NaN, 5e-324, 5e-324],
      };
      for (const when of ['before', 'after'] as const) {
        for (const [key, figures] of Object.entries(expected)) {
          const { first, last, min, max } = await summaryOf(store, series(key));
          equal([first, last, min, max], figures, `${key} ${when} the fold`);
        }
        await store.fold();
      }
    },
  ),
  promised(
    'values: survive exactly in buckets',
    'min and max of a bucket are the very values; NaN where every value is NaN.',
    async ({ store }) => {
      const points: readonly Point[] = [
        [0, 1_000, Number.NaN],
        [1, 1_001, Number.NaN],
        [2, 1_002, -0],
        [3, 1_003, 0],
        [4, 1_004, Number.NEGATIVE_INFINITY],
        [5, 1_005, Number.NaN],
      ];
      await store.appendPoints(batch('w', 1, points));
      for (const when of ['before', 'after'] as const) {
        const buckets = await store.downsample(series('loss'), { buckets: 3 });
        equal(
          buckets.map(({ min, minStep, max, maxStep, nanCount }) => [
            min,
            minStep,
            max,
            maxStep,
            nanCount,
          ]),
          [
            [Number.NaN, 0, Number.NaN, 0, 2],
            [-0, 2, 0, 3, 0],
            [Number.NEGATIVE_INFINITY, 4, Number.NEGATIVE_INFINITY, 4, 1],
          ],
          `buckets ${when} the fold`,
        );
        await store.fold();
      }
    },
  ),
  promised(
    'values: steps and times survive exactly',
    'All safe integers are steps, all finite numbers are times.',
    async ({ store }) => {
      const points: readonly Point[] = [
        [Number.MIN_SAFE_INTEGER, 1.7e12, 1],
        [-1, 0.25, 2],
        [0, -5, 3],
        [2 ** 40, 1.7e12 + 0.125, 4],
        [Number.MAX_SAFE_INTEGER, 8.64e15, 5],
      ];
      await store.appendPoints(batch('w', 1, points));
      for (const when of ['before', 'after'] as const) {
        equal(await pointsOf(store), points, `points ${when} the fold`);
        const summary = await summaryOf(store);
        equal(
          [summary.firstStep, summary.lastStep, summary.lastTimestamp],
          [Number.MIN_SAFE_INTEGER, Number.MAX_SAFE_INTEGER, 8.64e15],
          `summary ${when} the fold`,
        );
        await store.fold();
      }
    },
  ),
  promised(
    'values: any text is a name',
    'Workspaces, owners and keys of up to 512 characters are kept apart exactly as they are.',
    async ({ store }) => {
      const points = names.map((name, i) => [series(name), i, 1_000, i] as const);
      await store.appendPoints(batchOf('w', 1, [...points, ...points]));
      await store.appendPoints(
        batchOf(
          'w',
          2,
          names.flatMap((name, i) => {
            const key = series({ workspace: name, owner: name });
            return [[key, i, 1_000, i] as const, [key, i, 1_000, i] as const];
          }),
        ),
      );
      await store.fold();
      const found = await store.summariesOf(home, [run]);
      for (const [i, name] of names.entries()) {
        equal(found.get(run)?.get(name)?.first, i, `key ${JSON.stringify(name.slice(0, 20))}`);
        const there = series({ workspace: name, owner: name });
        equal(
          (await pointsOf(store, there))[0],
          [i, 1_000, i],
          `owner ${JSON.stringify(name.slice(0, 20))}`,
        );
      }
      equal(found.get(run)?.size, names.length, 'keys');
    },
  ),
];
