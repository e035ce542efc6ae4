import { isKeelsonError, KeelsonError } from '../../src/errors.ts';
import { fault, lenient, type SeriesBreakage } from './fault.ts';

/** Adapters that break a promise about what is refused, or about closing. */
export const brokenRefusals: readonly SeriesBreakage[] = [
  fault('refusals: steps that are no safe integers are INVALID', 'rounds large steps', () =>
    lenient((batch) => batch.steps.some((step) => Math.abs(step) >= 2 ** 53)),
  ),
  fault('refusals: times that are not finite are INVALID', 'keeps any time', () =>
    lenient((batch) => batch.timestamps.some((at) => !Number.isFinite(at))),
  ),
  fault('refusals: arrays of unequal length are INVALID', 'takes the shortest array', () =>
    lenient((batch) => batch.values.length < batch.steps.length),
  ),
  fault('refusals: numbers of batches begin at 1', 'takes any number', () =>
    lenient((batch) => batch.sequence < 1),
  ),
  fault('refusals: text that no store can keep is INVALID', 'replaces lone surrogates', () =>
    lenient((batch) => !batch.writer.isWellFormed()),
  ),
  fault('refusals: empty and overlong names are INVALID', 'takes an empty owner', () =>
    lenient((batch) => batch.series.some((key) => key.owner === '')),
  ),
  fault(
    'refusals: questions that make no sense are INVALID',
    'answers a limit of 0',
    () => (store) => ({
      async points(key, options = {}) {
        if (options.limit !== 0) return await store.points(key, options);
        const none = new Float64Array(0);
        return { steps: none, timestamps: none, values: none };
      },
    }),
  ),
  fault(
    'refusals: a fold that is aborted rejects with ABORTED',
    'does not look at it',
    () => (store) => ({
      fold: () => store.fold(),
    }),
  ),
  fault('closed: every method rejects with CLOSED', 'answers from a cache', () => (store) => ({
    async rollups(...question) {
      return await store.rollups(...question).catch((error: unknown) => {
        if (isKeelsonError(error, 'CLOSED')) return [];
        throw error;
      });
    },
  })),
  fault('closed: closing twice is fine', 'insists on being open', () => (store) => {
    let closed = false;
    return {
      async close() {
        if (closed) throw new KeelsonError('CLOSED', 'It is closed already.');
        closed = true;
        await store.close();
      },
    };
  }),
];
