import { encodeRows } from '@keelson/core/sql';
import pg from 'pg';
import { expect, test } from 'vitest';
import { trackingKinds } from '../../core/test/run-language.ts';
import { PgDatabase } from '../src/connection/pg-database.ts';
import { PgMetadataStore } from '../src/metadata/pg-metadata-store.ts';
import { PgSeriesStore } from '../src/series/pg-series-store.ts';
import { storeManyRuns } from './many-runs.ts';
import { runId, searchActs, workspace } from './plan-searches.ts';
import { rowsAt } from './rows-at.ts';
import { describeOnPg, type TestDatabase } from './server/test-database.ts';
import { wholeReads } from './whole-reads.ts';

/** The long form, as the specification has it: `RUNS=100000 vitest run pg-folded-plans` (half an hour). */
const runs = Number(process.env['RUNS'] ?? 1_500);
const runsPerFlush = 250;
/** Each is folded by itself: chunks are merged, and summaries replaced. */
const flushesOfEach = 3;
const dayMs = 86_400_000;
const stream = { workspace, stream: 'predictions', owner: 'deployment' };

/** Both stores on one database, as the platform has them. */
interface Stores {
  readonly metadata: PgMetadataStore;
  readonly series: PgSeriesStore;
}

await describeOnPg(
  `plans, with ${runs} runs whose series were folded`,
  ({ url, freshSchema, query }) => {
    const schema = freshSchema();

    async function open(): Promise<Stores & { close(): Promise<void> }> {
      const database = new PgDatabase({ url, schema, listen: false });
      const series = await PgSeriesStore.open({ database });
      const beforeProjectedQuery = (): Promise<void> => series.foldPending();
      const options = { database, kinds: trackingKinds, beforeProjectedQuery };
      const metadata = await PgMetadataStore.open(options);
      const close = async (): Promise<void> => {
        await metadata.close();
        await series.close();
        await database.close();
      };
      return { metadata, series, close };
    }

    /** Logs the metrics of the drawn runs, each run's last values those drawn. */
    async function logMetrics(store: PgSeriesStore, fill: TestDatabase['query']): Promise<void> {
      let sequence = 0;
      for (let flush = 1; flush <= flushesOfEach; flush += 1) {
        for (let from = 0; from < runs; from += runsPerFlush) {
          const rows = await fill(
            `SELECT id, metrics::text AS metrics FROM ${schema}.drawn WHERE n >= $1 AND n < $2`,
            [from, from + runsPerFlush],
          );
          const points = rows.flatMap(({ id, metrics }) =>
            Object.entries(JSON.parse(String(metrics)) as Record<string, number>).map(
              ([key, value]) => ({ series: { workspace, owner: String(id), key }, value }),
            ),
          );
          sequence += 1;
          await store.appendPoints({
            ...{ writer: 'plans', sequence, series: points.map(({ series }) => series) },
            seriesIndex: Uint32Array.from(points.keys()),
            steps: new Float64Array(points.length).fill(flush),
            timestamps: new Float64Array(points.length).fill(flush),
            values: Float64Array.from(points, ({ value }) => value),
          });
        }
        await store.fold();
      }
    }

    /** Batches of rows in three days, enough that each day's table is large. */
    async function storeRows(store: PgSeriesStore, fill: TestDatabase['query']): Promise<void> {
      const today = Math.floor(Date.now() / dayMs) * dayMs;
      for (const day of [2, 1, 0]) {
        const batch = rowsAt([today - day * dayMs], { sequence: 3 - day });
        await store.appendRows({ ...batch, stream });
        await fill(
          `INSERT INTO ${schema}.row_batch (stream, n, at_min, at_max, data)
         SELECT r.stream, 1, $1::float8 + n * 10000, $1::float8 + n * 10000, $2
         FROM ${schema}.row_stream r, generate_series(1, 8000) AS n`,
          [today - day * dayMs, Buffer.from(encodeRows(batch.at, batch.columns))],
        );
      }
    }

    test(
      'the stores are filled',
      async () => {
        const { series, close } = await open();
        // Statistics that come when they like would make it another test each time.
        for (const table of ['summary', 'chunk']) {
          await query(`ALTER TABLE ${schema}.${table} SET (autovacuum_enabled = off)`);
        }
        // Named as a store is: what it has read is waited for, and belongs to no act.
        const client = new pg.Client({ connectionString: url, application_name: 'keelson' });
        await client.connect();
        const fill: TestDatabase['query'] = async (text, values) =>
          (await client.query(text, values)).rows;
        await storeManyRuns(fill, schema, runs, (ask) => logMetrics(series, ask));
        await storeRows(series, fill);
        await close();
        const [stored] = await fill(
          `SELECT count(*)::int AS summaries, sum(count)::int AS points,
           (SELECT count(*)::int FROM ${schema}.segment) AS unfolded FROM ${schema}.summary`,
        );
        await client.end();
        expect(stored).toEqual({
          summaries: runs * 20,
          points: runs * 20 * flushesOfEach,
          unfolded: 0,
        });
      },
      60_000 + 30 * runs,
    );

    const seriesActs: Readonly<Record<string, (store: PgSeriesStore) => Promise<unknown>>> = {
      'the summaries of a page of runs': async (store) => {
        const page = Array.from({ length: 50 }, (_, i) => runId(i * 7));
        expect((await store.summariesOf(workspace, page)).size).toBe(50);
        expect((await store.summariesOf(workspace, page, ['loss'])).get(runId(7))?.size).toBe(1);
      },
      'one series, its points and its buckets': async (store) => {
        const key = { workspace, owner: runId(77), key: 'loss' };
        expect((await store.points(key)).values.length).toBe(flushesOfEach);
        expect((await store.points(key, { fromStep: 2 })).values.length).toBe(flushesOfEach - 1);
        expect((await store.downsample(key, { buckets: 10 })).length).toBe(flushesOfEach);
      },
      'points appended to runs that have some, and folded': async (store) => {
        const series = Array.from({ length: 30 }, (_, i) => {
          return { workspace, owner: runId(i * 11 + 1), key: 'loss' };
        });
        const count = series.length;
        await store.appendPoints({
          ...{ writer: 'more', sequence: 1, series, seriesIndex: Uint32Array.from(series.keys()) },
          ...{ steps: new Float64Array(count), timestamps: new Float64Array(count) },
          values: new Float64Array(count),
        });
        expect(await store.fold()).toBe(count);
      },
      'the rows of a minute': async (store) => {
        const from = Math.floor(Date.now() / dayMs) * dayMs - dayMs;
        await Array.fromAsync(store.rows(stream, { from, to: from + 60_000 }));
      },
      'rows of a part of a day dropped': async (store) => {
        const before = Math.floor(Date.now() / dayMs) * dayMs - 2 * dayMs + 60_000;
        expect(await store.dropRows(stream, before)).toBeGreaterThan(0);
      },
      'series of runs removed': (store) => store.removeOwners(workspace, [runId(5), runId(6)]),
    };

    const acts: Readonly<Record<string, (stores: Stores) => Promise<unknown>>> = Object.fromEntries(
      [
        ...Object.entries(searchActs).map(([name, act]) => [
          name,
          ({ metadata }: Stores) => act(metadata),
        ]),
        ...Object.entries(seriesActs).map(([name, act]) => [
          name,
          ({ series }: Stores) => act(series),
        ]),
      ],
    );
    const names = Object.keys(acts);

    /** Records of few runs are read whole where that is the least to read; `pg-plans` has enough of them. */
    async function watched(): Promise<Readonly<Record<string, number>>> {
      const { rec_run: runReads = 0, ...others } = await wholeReads(query, schema);
      return runs < 10_000 ? others : { ...others, rec_run: runReads };
    }

    async function assertNoneWhole(name: string): Promise<void> {
      const before = await watched();
      expect(Object.keys(before)).toEqual(expect.arrayContaining(large));
      expect(Object.keys(before).filter((table) => table.startsWith('row_batch_')).length).toBe(3);
      const { close, ...stores } = await open();
      try {
        await acts[name]?.(stores);
      } finally {
        await close();
      }
      expect(await watched()).toEqual(before);
    }

    test.each(names)('never analysed, %s: no large table is read whole', assertNoneWhole);

    test('the tables are analysed', async () => {
      for (const table of ['summary', 'chunk', 'row_batch']) {
        await query(`VACUUM (ANALYZE) ${schema}.${table}`);
      }
    }, 300_000);

    test.each(names.filter((name) => !once.has(name)))(
      'analysed, %s: no large table is read whole',
      assertNoneWhole,
    );
  },
);

/** What changes something so that it cannot be done again. */
const once: ReadonlySet<string> = new Set([
  'points appended to runs that have some, and folded',
  'rows of a part of a day dropped',
]);

/** What must be among the tables that are watched, besides each day of rows. */
const large = ['facet', 'summary', 'chunk'];
