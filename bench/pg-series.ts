import { mkdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { openPlatform, type PointBatch, type RowBatch, type SeriesKey } from '@keelson/core';
import { pgBackend } from '../packages/store-pg/src/index.ts';
import type { PgSeriesStore } from '../packages/store-pg/src/series/pg-series-store.ts';
import type { BenchContext } from './benchmark.ts';
import type { PgBench, PgSeriesSides } from './pg-server.ts';
import { elapsedMs, inTurns } from './rounds.ts';
import { type Row, rowOf } from './row.ts';

const sizes = {
  smallest: { rounds: 1, points: 10_000, bare: 2_000, history: 10_000, batches: 2 },
  usual: { rounds: 5, points: 1_000_000, bare: 100_000, history: 1_000_000, batches: 50 },
  full: { rounds: 7, points: 4_000_000, bare: 400_000, history: 1_000_000, batches: 200 },
};
const rowsPerInsert = 1_000;
const rowsPerBatch = 1_000;
const buckets = 1_000;
const key: SeriesKey = { workspace: 'default', owner: 'run', key: 'loss' };

/**
 * Series on PostgreSQL: points logged by a loop that never awaits until they are durable and folded, a
 * history downsampled, predictions appended; beside rows that a plain client inserts, 1,000 a statement.
 */
export async function benchPgSeries(context: BenchContext, server: PgBench): Promise<Row[]> {
  return [
    ...(await ingest(context, server)),
    ...(await history(context, server)),
    ...(await predictions(context, server)),
  ];
}

async function ingest(context: BenchContext, server: PgBench): Promise<Row[]> {
  const { rounds, points, bare } = sizes[context.scale];
  const rows: Row[] = [];
  for (const series of [50, 500]) {
    const rates = await inTurns(
      rounds,
      {
        logged: () => logged(context, server, series, points),
        rows: async () => {
          await using sides = await server.openSeries();
          return await insertedRows(sides, series, bare);
        },
      },
      (round) => context.tell(`PostgreSQL points, ${series} series: round ${round} of ${rounds}`),
    );
    rows.push(
      rowOf(`PostgreSQL: logged, durable, folded, ${series} series`, 'points/s', rates.logged, {
        name: 'rows inserted by pg',
        values: rates.rows,
      }),
    );
  }
  return rows;
}

async function logged(
  context: BenchContext,
  server: PgBench,
  series: number,
  points: number,
): Promise<number> {
  const dir = join(context.dir, 'pg-points');
  await mkdir(dir);
  const backend = pgBackend({ url: server.url, schema: server.freshSchema() });
  await using platform = await openPlatform({ dir, metadata: backend, series: backend });
  const run = await platform.tracking.startRun({ experiment: 'bench', environment: false });
  const keys = Array.from({ length: series }, (_, i) => `metric-${i}`);
  // Its thread is up before the clock runs.
  run.logMetric('first', 0);
  await run.flush();
  const tookMs = await elapsedMs(async () => {
    for (let i = 0; i < points; i += 1) {
      run.logMetric(keys[i % series] as string, i, { step: Math.floor(i / series) });
    }
    await run.flush({ timeoutMs: 120_000 });
    // A search by metrics folds what lies unfolded.
    await platform.tracking.searchRuns({ filter: 'metrics."metric-0" >= 0' });
  });
  const summaries = await platform.tracking.getMetricSummaries(run.id);
  const stored = summaries.reduce((sum, { count }) => sum + count, -1);
  if (stored !== points) throw new Error(`${stored} points of ${points} are there.`);
  await run.finish();
  await rm(dir, { recursive: true });
  return (points / tookMs) * 1_000;
}

async function insertedRows(
  { bare }: PgSeriesSides,
  series: number,
  points: number,
): Promise<number> {
  await bare.query(`CREATE TABLE point (sid integer, step bigint, at float8, value float8);
    CREATE INDEX ON point (sid, step)`);
  const tookMs = await elapsedMs(async () => {
    for (let from = 0; from < points; from += rowsPerInsert) {
      const numbers = Array.from({ length: rowsPerInsert }, (_, i) => from + i);
      await bare.query(
        `INSERT INTO point SELECT * FROM unnest($1::integer[], $2::bigint[], $3::float8[], $4::float8[])`,
        [
          numbers.map((i) => i % series),
          numbers.map((i) => Math.floor(i / series)),
          numbers.map(() => Date.now()),
          numbers,
        ],
      );
    }
  });
  return (points / tookMs) * 1_000;
}

async function history(context: BenchContext, server: PgBench): Promise<Row[]> {
  const { rounds, history: points } = sizes[context.scale];
  context.tell(`PostgreSQL history: storing ${points} points`);
  await using sides = await server.openSeries();
  const { store, bare } = sides;
  await fill(store, points);
  await bare.query(`CREATE TABLE point AS SELECT i::bigint AS step, sin(i / 1000.0) AS value
    FROM generate_series(0, ${points - 1}) AS i; ANALYZE point`);
  const grouped = `SELECT step / ${points / buckets} AS bucket, min(value), max(value), count(*)
    FROM point GROUP BY bucket`;
  const took = await inTurns(
    rounds * 2,
    {
      store: () => elapsedMs(() => store.downsample(key, { buckets })),
      rows: () => elapsedMs(() => bare.query(grouped)),
    },
    (round) => context.tell(`PostgreSQL history: round ${round} of ${rounds * 2}`),
  );
  const name = `PostgreSQL: ${points.toLocaleString('en-US')} points to 1,000 buckets, exact`;
  return [rowOf(name, 'ms', took.store, { name: 'GROUP BY over rows', values: took.rows })];
}

async function fill(store: PgSeriesStore, points: number): Promise<void> {
  const perBatch = Math.min(50_000, points);
  for (let from = 0, sequence = 1; from < points; from += perBatch, sequence += 1) {
    const steps = Float64Array.from({ length: perBatch }, (_, i) => from + i);
    const batch: PointBatch = {
      writer: 'bench',
      sequence,
      series: [key],
      seriesIndex: new Uint32Array(perBatch),
      steps,
      timestamps: steps,
      values: steps.map((step) => Math.sin(step / 1_000)),
    };
    await store.appendPoints(batch);
  }
  await store.fold();
}

async function predictions(context: BenchContext, server: PgBench): Promise<Row[]> {
  const { rounds, batches } = sizes[context.scale];
  await using sides = await server.openSeries();
  const { store, bare } = sides;
  await bare.query(`CREATE TABLE prediction (id text, at float8, features jsonb, answer text);
    CREATE INDEX ON prediction (at)`);
  let sequence = 0;
  const rates = await inTurns(
    rounds,
    {
      append: () =>
        perSecond(batches * rowsPerBatch, async () => {
          for (let b = 0; b < batches; b += 1) {
            sequence += 1;
            await store.appendRows(rowsOf(sequence));
          }
        }),
      insert: () =>
        perSecond(batches * rowsPerBatch, async () => {
          for (let b = 0; b < batches; b += 1) await insertPredictions(sides);
        }),
    },
    (round) => context.tell(`PostgreSQL predictions: round ${round} of ${rounds}`),
  );
  return [
    rowOf('PostgreSQL: predictions appended, 10 features', 'rows/s', rates.append, {
      name: 'rows with JSON inserted by pg',
      values: rates.insert,
    }),
  ];
}

const featureNames = Array.from({ length: 10 }, (_, f) => `feature${f}`);

function rowsOf(sequence: number): RowBatch {
  const at = Float64Array.from({ length: rowsPerBatch }, (_, i) => sequence * 1_000 + i);
  const features = featureNames.map((name, f) => [
    name,
    { type: 'number' as const, values: at.map((time) => Math.sin(time + f)) },
  ]);
  const texts = (prefix: string): string[] => Array.from(at, (time) => `${prefix}${time}`);
  return {
    writer: 'bench',
    sequence,
    stream: { workspace: 'default', stream: 'predictions', owner: 'deployment' },
    at,
    columns: {
      ...Object.fromEntries(features),
      id: { type: 'text', values: texts('request-') },
      answer: { type: 'text', values: texts('class-') },
    },
  };
}

async function insertPredictions({ bare }: PgSeriesSides): Promise<void> {
  const at = Array.from({ length: rowsPerBatch }, (_, i) => Date.now() + i);
  await bare.query(
    'INSERT INTO prediction SELECT * FROM unnest($1::text[], $2::float8[], $3::jsonb[], $4::text[])',
    [
      at.map((time) => `request-${time}`),
      at,
      at.map((time) =>
        JSON.stringify(
          Object.fromEntries(featureNames.map((name, f) => [name, Math.sin(time + f)])),
        ),
      ),
      at.map((time) => `class-${time}`),
    ],
  );
}

async function perSecond(count: number, work: () => Promise<void>): Promise<number> {
  return (count / (await elapsedMs(work))) * 1_000;
}
