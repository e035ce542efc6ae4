import type { PointBatch, SeriesKey } from '../../src/contracts/series-store.ts';
import { isKeelsonError, KeelsonError } from '../../src/errors.ts';
import { alike } from '../../src/testing/assertions.ts';
import { anew, fault, firstOf, looksFine, type SeriesBreakage, swapped } from './fault.ts';

/** Adapters that break a promise about appending and reading points. */
export const brokenPoints: readonly SeriesBreakage[] = [
  fault('points: what was appended is in every later read', 'keeps a lone point for later', () => {
    return (store) => {
      let held: PointBatch[] = [];
      const release = async (): Promise<void> => {
        const batches = held;
        held = [];
        for (const batch of batches) await store.appendPoints(batch);
      };
      return {
        async appendPoints(batch) {
          await release();
          if (batch.steps.length === 1 && looksFine(batch)) held.push(batch);
          else await store.appendPoints(batch);
        },
        async fold(options) {
          await release();
          return await store.fold(options);
        },
      };
    };
  }),
  fault(
    'points: what was appended is there after everything was closed',
    'keeps points in memory only',
    () => (store) => {
      const appended: SeriesKey[] = [];
      return {
        async appendPoints(batch) {
          await store.appendPoints(batch);
          appended.push(...batch.series);
        },
        async close() {
          for (const key of appended.splice(0)) {
            await store.removeOwners(key.workspace, [key.owner]);
          }
          await store.close();
        },
      };
    },
  ),
  fault('points: a repeated batch is stored once', 'stores a batch as often as it comes', () => {
    const seen: PointBatch[] = [];
    return (store) => ({
      async appendPoints(batch) {
        const repeated = seen.some((one) => alike(one, batch));
        seen.push(batch);
        await store.appendPoints(repeated ? anew(batch) : batch);
      },
      async removeOwners(workspace, owners) {
        seen.length = 0;
        await store.removeOwners(workspace, owners);
      },
    });
  }),
  fault('points: each writer has numbers of its own', 'takes equal batches for one', () => {
    const seen: PointBatch[] = [];
    return (store) => ({
      async appendPoints(batch) {
        const double = seen.some(
          (one) =>
            one.writer !== batch.writer && alike({ ...one, writer: '' }, { ...batch, writer: '' }),
        );
        seen.push(batch);
        if (!double || !looksFine(batch)) await store.appendPoints(batch);
      },
    });
  }),
  fault('points: batches of one writer may come in any order', 'keeps the last number only', () => {
    const last = new Map<string, number>();
    return (store) => ({
      async appendPoints(batch) {
        if (looksFine(batch) && batch.sequence < (last.get(batch.writer) ?? 0)) return;
        await store.appendPoints(batch);
        last.set(batch.writer, batch.sequence);
      },
    });
  }),
  fault(
    'points: a batch without points takes its number',
    'passes empty batches over',
    () => (store) => ({
      async appendPoints(batch) {
        if (batch.steps.length > 0) await store.appendPoints(batch);
      },
    }),
  ),
  fault(
    'points: a refused batch leaves nothing behind',
    'stores points until one is bad',
    () => (store) => ({
      async appendPoints(batch) {
        try {
          await store.appendPoints(batch);
        } catch (error) {
          const good = batch.steps.findIndex((step) => !Number.isSafeInteger(step));
          if (good > 0 && isKeelsonError(error, 'INVALID')) {
            await store.appendPoints(anew(firstOf(batch, good)));
          }
          throw error;
        }
      },
    }),
  ),
  fault('points: a refused batch does not take its number', 'takes the number, then looks', () => {
    const taken = new Set<string>();
    return (store) => ({
      async appendPoints(batch) {
        const number = `${batch.writer}/${batch.sequence}`;
        if (taken.has(number) && looksFine(batch)) return;
        try {
          await store.appendPoints(batch);
        } catch (error) {
          taken.add(number);
          throw error;
        }
      },
    });
  }),
  fault('points: come in order of step', 'leaves a late point where it came', () => {
    const greatest = new Map<string, number>();
    const late = new Set<string>();
    const seen = new Set<string>();
    return (store) => ({
      async appendPoints(batch) {
        await store.appendPoints(batch);
        const number = `${batch.writer}/${batch.sequence}`;
        if (seen.has(number)) return;
        seen.add(number);
        batch.seriesIndex.forEach((index, i) => {
          const name = JSON.stringify(batch.series[index]);
          const step = batch.steps[i] as number;
          const before = greatest.get(name) ?? step;
          if (step < before) late.add(name);
          greatest.set(name, Math.max(before, step));
        });
      },
      async points(key, options) {
        const found = await store.points(key, options);
        return late.has(JSON.stringify(key)) ? swapped(found, 0) : found;
      },
    });
  }),
  fault(
    'points: ties are settled by writer, then arrival',
    'settles ties as they fall',
    () => (store) => ({
      async points(key, options) {
        const found = await store.points(key, options);
        const tie = found.steps.findIndex(
          (step, i) =>
            found.steps[i + 1] === step && found.timestamps[i + 1] === found.timestamps[i],
        );
        return tie < 0 ? found : swapped(found, tie);
      },
    }),
  ),
  fault('points: a range has both its ends', 'leaves the end of a range out', () => (store) => ({
    async points(key, options = {}) {
      const { toStep, offset } = options;
      if (toStep === undefined || offset !== undefined) return await store.points(key, options);
      return await store.points(key, { ...options, toStep: toStep - 1 });
    },
  })),
  fault(
    'points: pages put together are the whole',
    'skips a point between pages',
    () => (store) => ({
      async points(key, options = {}) {
        const offset = options.offset ?? 0;
        return await store.points(key, offset > 0 ? { ...options, offset: offset + 1 } : options);
      },
    }),
  ),
  fault('points: a series without points is empty', 'rejects for what it does not know', () => {
    let asked = false;
    return (store) => ({
      async appendPoints(batch) {
        asked = true;
        await store.appendPoints(batch);
      },
      async points(key, options) {
        const found = await store.points(key, options);
        if (asked || found.steps.length > 0) return found;
        throw new KeelsonError('NOT_FOUND', 'There is no such series.');
      },
    });
  }),
  fault('points: no read sees another workspace', 'looks a series up by owner and key', () => {
    const known: SeriesKey[] = [];
    return (store) => ({
      async appendPoints(batch) {
        await store.appendPoints(batch);
        known.push(...batch.series);
      },
      async points(key, options) {
        const found = await store.points(key, options);
        if (found.steps.length > 0) return found;
        const other = known.find((one) => one.owner === key.owner && one.key === key.key);
        return other === undefined || other.workspace === key.workspace
          ? found
          : await store.points(other, options);
      },
    });
  }),
  fault(
    'points: a removed run is gone',
    'passes over the first of several runs',
    () => (store) => ({
      removeOwners: (workspace, owners) =>
        store.removeOwners(workspace, owners.length > 1 ? owners.slice(1) : owners),
    }),
  ),
  fault(
    'points: repeated batches of a removed run stay ignored',
    'forgets numbers on removal',
    () => {
      const seen = new Set<string>();
      let removed = false;
      return (store) => ({
        async appendPoints(batch) {
          const number = `${batch.writer}/${batch.sequence}`;
          await store.appendPoints(removed && seen.has(number) ? anew(batch) : batch);
          seen.add(number);
        },
        async removeOwners(workspace, owners) {
          await store.removeOwners(workspace, owners);
          removed = true;
        },
      });
    },
  ),
];
