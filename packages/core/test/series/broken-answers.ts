import type { SeriesKey, SeriesSummary } from '../../src/contracts/series-store.ts';
import { home, run } from '../../src/testing/series/scene.ts';
import { fault, lonePoint, mapBuckets, mapSummaries, type SeriesBreakage } from './fault.ts';

/** Adapters that break a promise about values, summaries, buckets or folding. */
export const brokenAnswers: readonly SeriesBreakage[] = [
  fault('values: survive exactly in points', 'loses the sign of −0', () => (store) => ({
    async points(key, options) {
      const found = await store.points(key, options);
      return { ...found, values: found.values.map((value) => value + 0) };
    },
  })),
  fault(
    'values: survive exactly in summaries',
    'loses the sign of −0',
    () => (store) => mapSummaries(store, (summary) => ({ ...summary, first: summary.first + 0 })),
  ),
  fault(
    'values: survive exactly in buckets',
    'loses the sign of −0',
    () => (store) => mapBuckets(store, (bucket) => ({ ...bucket, min: bucket.min + 0 })),
  ),
  fault('values: steps and times survive exactly', 'keeps whole milliseconds', () => (store) => ({
    async points(key, options) {
      const found = await store.points(key, options);
      return { ...found, timestamps: found.timestamps.map(Math.floor) };
    },
  })),
  fault('values: any text is a name', 'uses an object as a map', () => (store) => ({
    async summariesOf(workspace, owners, keys) {
      const found = await store.summariesOf(workspace, owners, keys);
      const plain = [...found].map(([owner, byKey]) => {
        const map: Record<string, SeriesSummary> = {};
        for (const [key, summary] of byKey) map[key] = summary;
        return [owner, new Map(Object.entries(map))] as const;
      });
      return new Map(plain);
    },
  })),

  // Summaries, buckets, folding
  fault(
    'summaries: figures are those of all points',
    'gives the step of max for min',
    () => (store) => mapSummaries(store, (summary) => ({ ...summary, minStep: summary.maxStep })),
  ),
  fault(
    'summaries: NaN takes no part in min, max and mean',
    'adds NaN up',
    () => (store) =>
      mapSummaries(store, (summary) =>
        summary.nanCount > 0 ? { ...summary, mean: Number.NaN } : summary,
      ),
  ),
  fault('summaries: come by key ascending', 'gives them as they lie', () => (store) => ({
    summaries: async (...question) => (await store.summaries(...question)).toReversed(),
  })),
  fault('summaries: of the keys asked for only', 'gives all keys', () => (store) => ({
    summaries: (workspace, owner) => store.summaries(workspace, owner),
  })),
  fault('summaries: of several runs at once', 'answers for the first run', () => (store) => ({
    summariesOf: (workspace, owners, keys) =>
      store.summariesOf(workspace, owners.slice(0, 1), keys),
  })),
  fault('buckets: figures are exact', 'gives the greatest step of an extreme', () => (store) => ({
    async downsample(key, options) {
      const found = await store.downsample(key, options);
      const { steps, values } = await store.points(key);
      return found.map((bucket) => {
        const at = values.findLastIndex(
          (value, i) => Object.is(value, bucket.max) && (steps[i] as number) <= bucket.stepMax,
        );
        return Number.isNaN(bucket.max) ? bucket : { ...bucket, maxStep: steps[at] as number };
      });
    },
  })),
  fault(
    'buckets: are of equal width and not too many',
    'gives empty buckets too',
    () => (store) => ({
      async downsample(key, options) {
        const found = await store.downsample(key, options);
        return found.flatMap((bucket, i) => {
          const next = found[i + 1];
          const gap = next !== undefined && next.stepMin - bucket.stepMax > 11;
          return gap ? [bucket, { ...bucket, count: 0, stepMin: bucket.stepMax + 1 }] : [bucket];
        });
      },
    }),
  ),
  fault('buckets: cover the range asked for', 'begins at the first step', () => (store) => ({
    downsample(key, { fromStep: _, ...options }) {
      return store.downsample(key, options);
    },
  })),
  fault('folding: changes no answer', 'rounds a sum at each fold', () => {
    let folds = 0;
    return (store) => ({
      async fold(options) {
        const folded = await store.fold(options);
        if (folded > 0) folds++;
        return folded;
      },
      ...mapSummaries(store, (summary) =>
        folds < 2 || summary.mean === undefined
          ? summary
          : {
              ...summary,
              mean: summary.mean * (1 + folds * Number.EPSILON) + folds * Number.MIN_VALUE,
            },
      ),
    });
  }),
  fault('folding: says how many points it folded', 'does not count', () => (store) => ({
    async fold(options) {
      await store.fold(options);
      return 0;
    },
  })),
  fault('folding: several at once, and appends meanwhile', 'folds a point twice', () => {
    let folding = 0;
    let known: SeriesKey | undefined;
    return (store) => ({
      async appendPoints(batch) {
        known = batch.series[0];
        await store.appendPoints(batch);
      },
      async fold(options) {
        folding++;
        try {
          if (folding > 1 && known !== undefined) await store.appendPoints(lonePoint(known));
          return await store.fold(options);
        } finally {
          folding--;
        }
      },
    });
  }),
  fault('folding: may be broken off', 'deletes first, then writes', () => (store) => {
    let folding = 0;
    return {
      async fold(options) {
        folding++;
        try {
          return await store.fold(options);
        } finally {
          folding--;
        }
      },
      async close() {
        if (folding > 0) await store.removeOwners(home, [run]);
        await store.close();
      },
    };
  }),
];
