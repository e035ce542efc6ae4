import type { PointBatch } from '../../contracts/series-store.ts';
import { KeelsonError } from '../../errors.ts';
import { equal, rejects } from '../assertions.ts';
import type { Case } from '../suite.ts';
import {
  ascending,
  batch,
  home,
  type Point,
  predictions,
  promised,
  rowBatch,
  rowsOf,
  run,
  type SeriesStoreHarness,
  series,
} from './scene.ts';

type Act = readonly [what: string, act: () => unknown];

async function allInvalid(acts: readonly Act[]): Promise<void> {
  for (const [what, act] of acts) await rejects('INVALID', act, `${what} should be refused`);
}

const shortened = (column: 'seriesIndex' | 'steps' | 'timestamps' | 'values'): PointBatch => {
  const whole = batch('w', 1, ascending(0, 3));
  return { ...whole, [column]: whole[column].subarray(0, 2) };
};

const unfit = ['with \u0000 in it', 'lone \ud800', '\udc00 lone'];
const badNames = ['', 'x'.repeat(513)];

/** What is INVALID, and what is CLOSED. */
export const refusalCases: readonly Case<SeriesStoreHarness>[] = [
  promised(
    'refusals: steps that are no safe integers are INVALID',
    'Steps must be safe integers; others are refused, never rounded.',
    async ({ store }) => {
      const steps = [0.5, 2 ** 53, -(2 ** 53), Number.NaN, Number.POSITIVE_INFINITY];
      const append = (step: number) => () => store.appendPoints(batch('w', 1, [[step, 1, 1]]));
      await allInvalid(steps.map((step) => [`step ${step}`, append(step)]));
    },
  ),
  promised(
    'refusals: times that are not finite are INVALID',
    'Timestamps of points and times of rows must be finite.',
    async ({ store }) => {
      const times = [Number.NaN, Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY];
      const point = (time: number): Point => [1, time, 1];
      await allInvalid(
        times.flatMap((time): readonly Act[] => [
          [`timestamp ${time}`, () => store.appendPoints(batch('w', 1, [point(time)]))],
          [`time ${time} of a row`, () => store.appendRows(rowBatch('w', 1, [1, time]))],
        ]),
      );
    },
  ),
  promised(
    'refusals: arrays of unequal length are INVALID',
    'All arrays of a batch have one length, and indexes lie within the table of series.',
    async ({ store }) => {
      const values = Float64Array.of(1);
      const missing = Uint8Array.of(1);
      const columns = [
        { type: 'number', values },
        { type: 'number', values: Float64Array.of(1, 2), missing },
        { type: 'text', values: ['x'] },
      ] as const;
      await allInvalid([
        ...(['seriesIndex', 'steps', 'timestamps', 'values'] as const).map(
          (column): Act => [`short ${column}`, () => store.appendPoints(shortened(column))],
        ),
        [
          'an index without a series',
          () =>
            store.appendPoints({
              ...batch('w', 1, ascending(0, 2)),
              seriesIndex: Uint32Array.of(0, 1),
            }),
        ],
        ...columns.map(
          (column): Act => [
            `a short column of ${column.type}`,
            () => store.appendRows(rowBatch('w', 1, [1, 2], { column })),
          ],
        ),
      ]);
    },
  ),
  promised(
    'refusals: numbers of batches begin at 1',
    'Sequence numbers are whole and at least 1.',
    async ({ store }) => {
      await allInvalid(
        [0, -1, 1.5, Number.NaN].flatMap((sequence): readonly Act[] => [
          [`batch ${sequence}`, () => store.appendPoints(batch('w', sequence, ascending(0, 2)))],
          [`batch ${sequence} of rows`, () => store.appendRows(rowBatch('w', sequence, [1]))],
        ]),
      );
    },
  ),
  promised(
    'refusals: text that no store can keep is INVALID',
    'Text with U+0000 or lone surrogates is refused wherever it is stored.',
    async ({ store }) => {
      await allInvalid(
        unfit.flatMap((text): readonly Act[] => {
          const shown = JSON.stringify(text);
          const keys = [series(text), series({ owner: text }), series({ workspace: text })];
          const column = { type: 'text', values: [text] } as const;
          const rollup = { stream: predictions, windowMs: 1, at: 0, writer: 'w' };
          return [
            ...keys.map(
              (key): Act => [shown, () => store.appendPoints(batch('w', 1, ascending(0, 2), key))],
            ),
            [shown, () => store.appendPoints(batch(text, 1, ascending(0, 2)))],
            [`row ${shown}`, () => store.appendRows(rowBatch('w', 1, [1], { column }))],
            [
              `column ${shown}`,
              () =>
                store.appendRows(rowBatch('w', 1, [1], { [text]: { ...column, values: [''] } })),
            ],
            [
              `stream ${shown}`,
              () => store.appendRows(rowBatch('w', 1, [1], {}, { ...predictions, stream: text })),
            ],
            [`rollup ${shown}`, () => store.putRollups([{ ...rollup, name: 'n', data: text }])],
            [`name ${shown}`, () => store.putRollups([{ ...rollup, name: text, data: '' }])],
          ];
        }),
      );
    },
  ),
  promised(
    'refusals: empty and overlong names are INVALID',
    'Names have 1 to 512 characters.',
    async ({ store }) => {
      await allInvalid(
        badNames.flatMap((name): readonly Act[] => {
          const what = `a name of ${name.length}`;
          const keys = [series(name), series({ owner: name }), series({ workspace: name })];
          const streams = [
            { ...predictions, stream: name },
            { ...predictions, owner: name },
            { ...predictions, workspace: name },
          ];
          return [
            ...keys.map(
              (key): Act => [what, () => store.appendPoints(batch('w', 1, ascending(0, 2), key))],
            ),
            [what, () => store.appendPoints(batch(name, 1, ascending(0, 2)))],
            ...streams.map(
              (stream): Act => [what, () => store.appendRows(rowBatch('w', 1, [1], {}, stream))],
            ),
          ];
        }),
      );
    },
  ),
  promised(
    'refusals: questions that make no sense are INVALID',
    'Limits, offsets, buckets and steps of a question must be whole numbers, limits and buckets from 1.',
    async ({ store }) => {
      const key = series('loss');
      await allInvalid([
        ['a limit of 0', () => store.points(key, { limit: 0 })],
        ['an offset of −1', () => store.points(key, { offset: -1 })],
        ['a step of 0.5', () => store.points(key, { fromStep: 0.5 })],
        ['no buckets', () => store.downsample(key, { buckets: 0 })],
        ['half a bucket', () => store.downsample(key, { buckets: 1.5 })],
      ]);
    },
  ),
  promised(
    'refusals: a fold that is aborted rejects with ABORTED',
    'fold stops when its signal is aborted; what it has not folded stays as it was.',
    async ({ store }) => {
      await store.appendPoints(batch('w', 1, ascending(0, 10)));
      const signal = AbortSignal.abort(new KeelsonError('ABORTED', 'enough'));
      await rejects('ABORTED', () => store.fold({ signal }), 'an aborted fold');
    },
  ),
  promised(
    'closed: every method rejects with CLOSED',
    'After close every method rejects with CLOSED.',
    async ({ store }) => {
      await store.close();
      const key = series('loss');
      const acts: readonly Act[] = [
        ['appendPoints', () => store.appendPoints(batch('w', 1, ascending(0, 2)))],
        ['summaries', () => store.summaries(home, run)],
        ['summariesOf', () => store.summariesOf(home, [run])],
        ['points', () => store.points(key)],
        ['downsample', () => store.downsample(key, { buckets: 1 })],
        ['fold', () => store.fold()],
        ['appendRows', () => store.appendRows(rowBatch('w', 1, [1]))],
        ['rows', () => rowsOf(store)],
        ['putRollups', () => store.putRollups([])],
        ['rollups', () => store.rollups(predictions, 'latency', { windowMs: 1, from: 0, to: 1 })],
        ['removeOwners', () => store.removeOwners(home, [run])],
        ['dropRows', () => store.dropRows(predictions, 1)],
        ['dropRollups', () => store.dropRollups(predictions, { windowMs: 1, before: 1 })],
        ['streams', () => store.streams(home)],
      ];
      for (const [method, act] of acts) await rejects('CLOSED', act, `${method} after close`);
    },
  ),
  promised(
    'closed: closing twice is fine',
    'close may be called again, and so may disposal.',
    async ({ store }) => {
      await store.close();
      equal(await store.close(), undefined, 'close again');
      await store[Symbol.asyncDispose]();
    },
  ),
];
