import type { Rollup, RowColumn } from '../../contracts/series-store.ts';
import { equal, rejects } from '../assertions.ts';
import type { Case } from '../suite.ts';
import {
  predictions,
  promised,
  rowBatch,
  rowsOf,
  type SeriesStoreHarness,
  timesOf,
} from './scene.ts';

const numbers = (...values: readonly number[]): RowColumn => ({
  type: 'number',
  values: Float64Array.from(values),
});
const texts = (...values: readonly (string | null)[]): RowColumn => ({ type: 'text', values });

const latency = (at: number, writer: string, data: string): Rollup => ({
  stream: predictions,
  name: 'latency',
  windowMs: 60_000,
  at,
  writer,
  data,
});
const minute = { windowMs: 60_000, from: 0, to: 1e12 };

/** What becomes of rows and rollups. */
export const rowCases: readonly Case<SeriesStoreHarness>[] = [
  promised(
    'rows: come back as they were',
    'Numbers, texts and JSON survive exactly, missing ones as missing.',
    async ({ store }) => {
      const columns: Record<string, RowColumn> = {
        score: numbers(Number.NaN, -0, Number.NEGATIVE_INFINITY, 0.1),
        count: {
          type: 'number',
          values: Float64Array.of(1, 0, 3, 4),
          missing: Uint8Array.of(0, 1, 0, 0),
        },
        label: texts('rain', null, '', 'rain 😀'),
        features: { type: 'json', values: ['{"a":1}', '{}', null, '[1,"x"]'] },
        ['__proto__']: numbers(1, 2, 3, 4),
      };
      await store.appendRows(rowBatch('w', 1, [1_000, 1_001.5, 999, 1_003], columns));
      const [rows, ...rest] = await rowsOf(store);
      equal(rest.length, 0, 'one batch');
      equal([...(rows?.at ?? [])], [1_000, 1_001.5, 999, 1_003], 'times');
      equal(Object.keys(rows?.columns ?? {}).toSorted(), Object.keys(columns).toSorted(), 'names');
      for (const [name, column] of Object.entries(columns)) {
        equal(rows?.columns[name], column, `column ${name}`);
      }
    },
  ),
  promised(
    'rows: come batch by batch in order of arrival',
    'Batches come in the order in which they were appended, whatever their times and writers.',
    async ({ store }) => {
      await store.appendRows(rowBatch('b', 1, [5_000, 5_001]));
      await store.appendRows(rowBatch('a', 1, [1_000, 9_000]));
      await store.appendRows(rowBatch('b', 2, [3_000, 3_001]));
      equal(await timesOf(store), [5_000, 5_001, 1_000, 9_000, 3_000, 3_001], 'times');
    },
  ),
  promised(
    'rows: a range takes its beginning and leaves its end',
    'Rows with from ≤ at < to, and no others, cut out of their batches with all their columns.',
    async ({ store }) => {
      for (const [i, start] of [0, 100, 200].entries()) {
        const at = [start, start + 50, start + 10];
        const columns = { n: numbers(...at), t: texts(...at.map((time) => `t${time}`)) };
        await store.appendRows(rowBatch('w', i + 1, at, columns));
      }
      const found = await rowsOf(store, { from: 50, to: 200 });
      equal(
        found.map((rows) => [...rows.at]),
        [[50], [100, 150, 110]],
        'times',
      );
      equal(found[0]?.columns, { n: numbers(50), t: texts('t50') }, 'columns, cut');
      equal(await timesOf(store, { from: 110, to: 111 }), [110], 'one row');
    },
  ),
  promised(
    'rows: only the columns asked for',
    'With columns, those of them that a batch has come with its rows.',
    async ({ store }) => {
      await store.appendRows(rowBatch('w', 1, [1, 2], { a: numbers(1, 2), b: texts('x', 'y') }));
      await store.appendRows(rowBatch('w', 2, [3, 4], { c: numbers(3, 4) }));
      const found = await rowsOf(store, { columns: ['b', 'c', 'never'] });
      equal(
        found.map((rows) => rows.columns),
        [{ b: texts('x', 'y') }, { c: numbers(3, 4) }],
        'columns',
      );
    },
  ),
  promised(
    'rows: what was appended is there after everything was closed',
    'An append of rows that resolved is durable.',
    async ({ store, openSecond }) => {
      await store.appendRows(rowBatch('w', 1, [1, 2]));
      await store.close();
      equal(await timesOf(await openSecond()), [1, 2], 'times');
    },
  ),
  promised(
    'rows: a repeated batch is stored once',
    'A batch whose number was stored before is acknowledged and ignored.',
    async ({ store, openSecond }) => {
      await store.appendRows(rowBatch('w', 1, [1, 2]));
      await store.appendRows(rowBatch('w', 1, [1, 2]));
      await (await openSecond()).appendRows(rowBatch('w', 1, [1, 2]));
      equal(await timesOf(store), [1, 2], 'times');
    },
  ),
  promised(
    'rows: numbers count per writer and stream',
    'Equal numbers of another writer, or of the same one in another stream, are other batches.',
    async ({ store }) => {
      const labels = { ...predictions, stream: 'labels' };
      const second = { ...predictions, owner: 'deployment-2' };
      await store.appendRows(rowBatch('w', 1, [1, 2]));
      await store.appendRows(rowBatch('v', 1, [3, 4]));
      await store.appendRows(rowBatch('w', 1, [5, 6], {}, labels));
      await store.appendRows(rowBatch('w', 1, [7, 8], {}, second));
      equal(await timesOf(store), [1, 2, 3, 4], 'times');
      equal(await timesOf(store, {}, labels), [5, 6], 'another stream');
      equal(await timesOf(store, {}, second), [7, 8], 'another owner');
    },
  ),
  promised(
    'rows: no read sees another workspace',
    'Rows and rollups of another workspace are neither read nor dropped.',
    async ({ store }) => {
      const there = { ...predictions, workspace: 'elsewhere' };
      await store.appendRows(rowBatch('w', 1, [1, 2]));
      await store.putRollups([latency(0, 'w', 'here')]);
      equal(await timesOf(store, {}, there), [], 'rows');
      equal(await store.rollups(there, 'latency', minute), [], 'rollups');
      equal(await store.dropRows(there, 1_000), 0, 'dropped');
      equal(await timesOf(store), [1, 2], 'rows at home');
    },
  ),
  promised(
    'rows: whole batches are dropped, none in part',
    'dropRows drops the batches of the stream whose rows are all older, and says how many rows.',
    async ({ store }) => {
      const labels = { ...predictions, stream: 'labels' };
      await store.appendRows(rowBatch('w', 1, [10, 30, 20]));
      await store.appendRows(rowBatch('w', 2, [40, 60]));
      await store.appendRows(rowBatch('w', 3, [70, 80]));
      await store.appendRows(rowBatch('v', 1, [10, 11], {}, labels));
      equal(await store.dropRows(predictions, 60), 3, 'rows dropped');
      equal(await timesOf(store), [40, 60, 70, 80], 'times');
      equal(await timesOf(store, {}, labels), [10, 11], 'another stream');
    },
  ),
  promised(
    'rows: those of several streams are dropped at once',
    'dropRows takes several streams, and leaves all others as they are.',
    async ({ store }) => {
      const labels = { ...predictions, stream: 'labels' };
      const second = { ...predictions, owner: 'deployment-2' };
      await store.appendRows(rowBatch('w', 1, [10, 20]));
      await store.appendRows(rowBatch('v', 1, [30], {}, labels));
      await store.appendRows(rowBatch('u', 1, [40], {}, second));
      const never = { ...predictions, owner: 'never' };
      equal(await store.dropRows([predictions, never, labels], 100), 3, 'rows dropped');
      equal(await timesOf(store), [], 'times');
      equal(await timesOf(store, {}, labels), [], 'times of the other');
      equal(await timesOf(store, {}, second), [40], 'another stream');
      equal(await store.dropRows([], 100), 0, 'dropped of none');
    },
  ),
  promised(
    'streams: all that a workspace has, and no others',
    'streams names each stream of the workspace that rows or rollups were stored in.',
    async ({ store, openSecond }) => {
      const labels = { ...predictions, stream: 'labels' };
      const there = { ...predictions, workspace: 'elsewhere', owner: 'deployment-3' };
      equal(await store.streams(predictions.workspace), [], 'streams of none');
      await store.appendRows(rowBatch('w', 1, [10]));
      await store.putRollups([{ ...latency(0, 'w', 'x'), stream: labels }]);
      await store.appendRows(rowBatch('v', 1, [10], {}, there));
      const found = await (await openSecond()).streams(predictions.workspace);
      equal(
        found.toSorted((a, b) => (a.stream < b.stream ? -1 : 1)),
        [labels, predictions],
        'streams',
      );
      equal(await store.streams('elsewhere'), [there], 'streams elsewhere');
    },
  ),
  promised(
    'rollups: those that are old are dropped, by the length of their windows',
    'dropRollups drops what begins before the time, of windows of that length, and says how many.',
    async ({ store }) => {
      const labels = { ...predictions, stream: 'labels' };
      await store.putRollups([
        latency(0, 'w', '0'),
        { ...latency(60_000, 'v', '1'), name: 'errors' },
        latency(120_000, 'w', '2'),
        { ...latency(0, 'w', 'hour'), windowMs: 3_600_000 },
        { ...latency(0, 'w', 'labels'), stream: labels },
      ]);
      const old = { windowMs: 60_000, before: 120_000 };
      equal(await store.dropRollups(predictions, old), 2, 'rollups dropped');
      equal(await store.dropRollups(predictions, old), 0, 'rollups dropped again');
      const left = await store.rollups(predictions, 'latency', minute);
      equal(
        left.map(({ data }) => data),
        ['2'],
        'what is left',
      );
      equal(await store.rollups(predictions, 'errors', minute), [], 'of another name');
      const hours = { ...minute, windowMs: 3_600_000 };
      equal((await store.rollups(predictions, 'latency', hours)).length, 1, 'longer windows');
      equal((await store.rollups(labels, 'latency', minute)).length, 1, 'another stream');
    },
  ),
  promised(
    'rows: repeated batches stay ignored when they were dropped',
    'Dropping does not free the numbers of batches.',
    async ({ store }) => {
      await store.appendRows(rowBatch('w', 1, [10, 20]));
      await store.dropRows(predictions, 100);
      await store.appendRows(rowBatch('w', 1, [10, 20]));
      equal(await timesOf(store), [], 'times');
    },
  ),
  promised(
    'rows: those that are erased are gone, and no others',
    'eraseRows takes rows with one of the values out of every batch of the stream, and says how many.',
    async ({ store, openSecond }) => {
      const text = (...values: (string | null)[]) => ({
        caller: { type: 'text', values } as const,
      });
      const labels = { ...predictions, stream: 'labels' };
      await store.appendRows(rowBatch('w', 1, [10, 20, 30], text('ana', 'ben', 'ana')));
      await store.appendRows(rowBatch('w', 2, [40], text('ana')));
      await store.appendRows(rowBatch('w', 3, [50, 60], text(null, 'cleo')));
      await store.appendRows(rowBatch('w', 4, [70]));
      await store.appendRows(rowBatch('v', 1, [10], text('ana'), labels));
      equal(await store.eraseRows(predictions, 'caller', []), 0, 'rows erased of none');
      const second = await openSecond();
      equal(await second.eraseRows(predictions, 'caller', ['ana', 'dora']), 3, 'rows erased');
      equal(await timesOf(store), [20, 50, 60, 70], 'times');
      equal(await timesOf(store, {}, labels), [10], 'another stream');
      const kept: (string | null)[] = [];
      for await (const { columns } of store.rows(predictions, { from: 0, to: 100 })) {
        const caller = columns['caller'];
        if (caller?.type === 'text') kept.push(...caller.values);
      }
      equal(kept, ['ben', null, 'cleo'], 'what is left in the columns');
      equal(await store.eraseRows(predictions, 'caller', ['ana']), 0, 'rows erased again');
      await store.appendRows(rowBatch('w', 2, [40], text('ana')));
      equal(await timesOf(store), [20, 50, 60, 70], 'times after a batch was repeated');
      await rejects(
        'INVALID',
        () => store.eraseRows(predictions, 'caller', Array.from({ length: 1001 }, String)),
        'too many values',
      );
    },
  ),
  promised(
    'rollups: the latest of an address is kept',
    'A rollup takes the place of the one of the same stream, name, window, time and writer.',
    async ({ store, openSecond }) => {
      await store.putRollups([latency(0, 'w', 'old'), latency(60_000, 'w', 'other')]);
      await (await openSecond()).putRollups([latency(0, 'w', 'new')]);
      await store.putRollups([
        { ...latency(0, 'w', 'hour'), windowMs: 3_600_000 },
        { ...latency(0, 'w', 'errors'), name: 'errors' },
      ]);
      equal(
        await store.rollups(predictions, 'latency', minute),
        [latency(0, 'w', 'new'), latency(60_000, 'w', 'other')],
        'rollups',
      );
    },
  ),
  promised(
    'rollups: come by time, then writer',
    'Rollups with from ≤ at < to come by time, then writer.',
    async ({ store }) => {
      await store.putRollups([
        latency(120_000, 'a', '4'),
        latency(60_000, 'b', '2'),
        latency(180_000, 'a', '5'),
      ]);
      await store.putRollups([latency(60_000, 'a', '1'), latency(0, 'z', '0')]);
      const found = await store.rollups(predictions, 'latency', {
        windowMs: 60_000,
        from: 60_000,
        to: 180_000,
      });
      equal(
        found.map((rollup) => rollup.data),
        ['1', '2', '4'],
        'data',
      );
    },
  ),
  promised(
    'rollups: data is kept exactly, up to 1 MB',
    'Data of 1,048,576 bytes is kept, a byte more is INVALID, and then none of the call is stored.',
    async ({ store }) => {
      const most = `${'é'.repeat(524_287)}ab`;
      await store.putRollups([latency(0, 'w', most)]);
      await rejects(
        'INVALID',
        () => store.putRollups([latency(60_000, 'w', 'fine'), latency(120_000, 'w', `${most}c`)]),
        'a byte too many',
      );
      const found = await store.rollups(predictions, 'latency', minute);
      equal(found.length, 1, 'rollups');
      equal(found[0]?.data === most, true, 'the data is the very text');
    },
  ),
];
