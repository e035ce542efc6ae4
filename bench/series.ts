/**
 * Measures metric points and rows in the embedded series store, each figure beside bare `node:sqlite` in
 * the same run. `node bench/series.ts [rounds] [points]` prints the table.
 */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { fileURLToPath } from 'node:url';
import type {
  PointBatch,
  RowBatch,
  RowColumn,
  SeriesKey,
} from '../packages/core/src/contracts/series-store.ts';
import { PointWriter } from '../packages/core/src/embedded/point-writer.ts';
import { SqliteSeriesStore } from '../packages/core/src/embedded/sqlite-series-store.ts';
import type { Row } from './artifacts.ts';

interface Options {
  readonly rounds?: number;
  /** Points a round of each ingest. */
  readonly points?: number;
}

const batchPoints = 1_000;

/** The table of this file's figures; medians over the rounds, contenders in turns. */
export async function benchSeries(options: Options = {}): Promise<Row[]> {
  const { rounds = 5, points = 1_000_000 } = options;
  const directory = mkdtempSync(join(tmpdir(), 'keelson-bench-'));
  try {
    return [
      ...(await benchLogCall(directory)),
      ...(await benchIngest(directory, rounds, points)),
      ...(await benchHistory(directory, rounds)),
      ...(await benchRows(directory, rounds)),
    ];
  } finally {
    rmSync(directory, { recursive: true, force: true });
  }
}

/** What a call of `log` costs a loop that never awaits: at 10,000 points/s, and as fast as it goes. */
async function benchLogCall(directory: string): Promise<Row[]> {
  await using writer = PointWriter.open({
    target: { kind: 'sqlite', path: join(directory, 'log.db') },
  });
  const series = seriesOf('run', 50).map((key) => writer.seriesIndex(key));
  const call = (i: number): number => {
    const startedAt = performance.now();
    writer.log(series[i % 50] as number, i, Date.now(), i);
    return performance.now() - startedAt;
  };
  for (let i = 0; i < 200_000; i++) call(i);
  await writer.flush();
  const steady = new Float64Array(50_000);
  const startedAt = performance.now();
  for (let i = 0; i < steady.length; i++) {
    while (performance.now() < startedAt + i / 10);
    steady[i] = call(i);
  }
  await writer.flush();
  const fast = new Float64Array(1_000_000);
  for (let i = 0; i < fast.length; i++) fast[i] = call(i);
  await writer.flush();
  if (writer.health().dropped.length > 0) throw new Error('The benchmark lost points.');
  return [
    ...callRows('log call, 10,000 points/s', steady),
    ...callRows('log call, as fast as it goes', fast),
  ];
}

function callRows(name: string, timesMs: Float64Array): Row[] {
  timesMs.sort();
  const at = (share: number): number => {
    const i = Math.min(timesMs.length - 1, Math.floor(timesMs.length * share));
    return (timesMs[i] as number) * 1_000;
  };
  const max = `max ${at(1).toFixed(0)} µs`;
  return [
    { name: `${name}, p50`, value: at(0.5), unit: 'µs' },
    { name: `${name}, p99`, value: at(0.99), unit: 'µs' },
    { name: `${name}, p99.9`, value: at(0.999), unit: 'µs', spread: max },
  ];
}

/** Points a second until all are durable and folded into chunks and summaries. */
async function benchIngest(directory: string, rounds: number, points: number): Promise<Row[]> {
  const rows: Row[] = [];
  for (const count of [50, 500]) {
    const rates = { writer: [], store: [], bare: [], summed: [] } as Record<string, number[]>;
    for (let round = 0; round <= rounds; round++) {
      const path = join(directory, `ingest-${count}-${round}.db`);
      const took = {
        writer: await throughWriter(path, count, points),
        store: await throughStore(path, count, points),
        bare: bareRows(`${path}.bare`, count, points / 4, false) * 4,
        summed: bareRows(`${path}.summed`, count, points / 4, true) * 4,
      };
      // The first round warms the compiler.
      if (round === 0) continue;
      for (const [name, ms] of Object.entries(took)) rates[name]?.push((points / ms) * 1_000);
    }
    const of = (name: string): readonly number[] => rates[name] as number[];
    const figure = (name: string, what: string, base: string, baseName: string): Row => ({
      name: `${what}, ${count} series`,
      value: median(of(name)),
      unit: 'points/s',
      baseline: { name: baseName, value: median(of(base)) },
      spread: spread(of(name)),
    });
    const summed = 'rows and summaries in node:sqlite';
    rows.push(
      figure('writer', 'metric writer, durable and folded', 'summed', summed),
      figure('store', 'batches of 1,000, durable and folded', 'summed', summed),
      figure('store', 'batches of 1,000, durable and folded', 'bare', 'rows alone in node:sqlite'),
    );
  }
  return rows;
}

async function throughWriter(path: string, count: number, points: number): Promise<number> {
  const writer = PointWriter.open({ target: { kind: 'sqlite', path } });
  const series = seriesOf('writer', count).map((key) => writer.seriesIndex(key));
  // Its thread is up before the clock runs.
  writer.log(series[0] as number, -1, 1, 0);
  await writer.flush();
  const startedAt = performance.now();
  for (let i = 0; i < points; i++) {
    writer.log(series[i % count] as number, Math.floor(i / count), Date.now(), i);
  }
  await writer.flush();
  await using store = await SqliteSeriesStore.open({ path });
  await store.fold();
  const tookMs = performance.now() - startedAt;
  const summaries = await store.summaries('w', 'writer');
  const stored = summaries.reduce((sum, summary) => sum + summary.count, 0);
  if (stored !== points + 1) throw new Error(`${stored} points of ${points} are there.`);
  await writer.close();
  return tookMs;
}

async function throughStore(path: string, count: number, points: number): Promise<number> {
  await using store = await SqliteSeriesStore.open({ path });
  const series = seriesOf('store', count);
  const batches = Array.from({ length: points / batchPoints }, (_, b) => pointBatch(series, b));
  const startedAt = performance.now();
  for (const batch of batches) await store.appendPoints(batch);
  await store.fold();
  return performance.now() - startedAt;
}

function pointBatch(series: readonly SeriesKey[], number: number): PointBatch {
  const from = number * batchPoints;
  const at = (i: number): number => from + i;
  const length = batchPoints;
  return {
    writer: 'bench',
    sequence: number + 1,
    series,
    seriesIndex: Uint32Array.from({ length }, (_, i) => at(i) % series.length),
    steps: Float64Array.from({ length }, (_, i) => Math.floor(at(i) / series.length)),
    timestamps: Float64Array.from({ length }, (_, i) => 1.7e12 + at(i)),
    values: Float64Array.from({ length }, (_, i) => Math.sin(at(i))),
  };
}

/** What a plain design does: a row a point, 1,000 a transaction, and the summary of each series or not. */
function bareRows(path: string, count: number, points: number, summaries: boolean): number {
  const database = openBare(path);
  database.exec(`
    CREATE TABLE point(sid INTEGER, step INTEGER, at REAL, value REAL) STRICT;
    CREATE INDEX point_series ON point(sid, step);
    CREATE TABLE summary(sid INTEGER PRIMARY KEY, count INTEGER, last REAL, min REAL, max REAL) STRICT;
  `);
  const insert = database.prepare('INSERT INTO point VALUES (?, ?, ?, ?)');
  const sum = database.prepare(`INSERT INTO summary VALUES (?, ?, ?, ?, ?) ON CONFLICT DO UPDATE SET
    count = count + excluded.count, last = excluded.last,
    min = min(min, excluded.min), max = max(max, excluded.max)`);
  const startedAt = performance.now();
  for (let from = 0; from < points; from += batchPoints) {
    const figures = new Map<number, { count: number; last: number; min: number; max: number }>();
    database.exec('BEGIN IMMEDIATE');
    for (let i = from; i < from + batchPoints; i++) {
      const value = Math.sin(i);
      insert.run(i % count, Math.floor(i / count), 1.7e12 + i, value);
      const figure = figures.get(i % count) ?? { count: 0, last: 0, min: value, max: value };
      figure.count++;
      figure.last = value;
      figure.min = Math.min(figure.min, value);
      figure.max = Math.max(figure.max, value);
      figures.set(i % count, figure);
    }
    if (summaries) {
      for (const [sid, f] of figures) sum.run(sid, f.count, f.last, f.min, f.max);
    }
    database.exec('COMMIT');
  }
  const tookMs = performance.now() - startedAt;
  database.close();
  return tookMs;
}

/** One series of 1,000,000 points: downsampled to 1,000 buckets, and read whole. */
async function benchHistory(directory: string, rounds: number): Promise<Row[]> {
  const points = 1_000_000;
  const path = join(directory, 'history.db');
  await using store = await SqliteSeriesStore.open({ path });
  const series = seriesOf('history', 1);
  for (let b = 0; b < points / batchPoints; b++) await store.appendPoints(pointBatch(series, b));
  await store.fold();
  const bare = openBare(`${path}.bare`);
  bare.exec('CREATE TABLE point(step INTEGER PRIMARY KEY, at REAL, value REAL) STRICT');
  const insert = bare.prepare('INSERT INTO point VALUES (?, ?, ?)');
  bare.exec('BEGIN');
  for (let i = 0; i < points; i++) insert.run(i, 1.7e12 + i, Math.sin(i));
  bare.exec('COMMIT');
  const grouped = bare.prepare(
    'SELECT step / 1000 AS bucket, min(value), max(value), count(*) FROM point GROUP BY bucket',
  );
  const all = bare.prepare('SELECT step, at, value FROM point');
  all.setReturnArrays(true);
  const key = series[0] as SeriesKey;
  const times = await inTurns(rounds + 4, {
    downsample: () => store.downsample(key, { buckets: 1_000 }),
    grouped: async () => grouped.all(),
    points: () => store.points(key),
    all: async () => all.all(),
  });
  bare.close();
  const figure = (name: string, what: string, base: string, baseName: string): Row => ({
    name: what,
    value: median(times[name] as number[]),
    unit: 'ms',
    baseline: { name: baseName, value: median(times[base] as number[]) },
    spread: spread(times[name] as number[]),
  });
  return [
    figure(
      'downsample',
      '1,000,000 points to 1,000 buckets, exact',
      'grouped',
      'GROUP BY over rows',
    ),
    figure('points', '1,000,000 points, read whole', 'all', 'all rows'),
  ];
}

/** Predictions: 10 features a row, 1,000 rows a batch. */
async function benchRows(directory: string, rounds: number): Promise<Row[]> {
  const batches = 100;
  const path = join(directory, 'rows.db');
  await using store = await SqliteSeriesStore.open({ path });
  const bare = openBare(`${path}.bare`);
  bare.exec('CREATE TABLE prediction(id TEXT, at REAL, features TEXT, answer TEXT) STRICT');
  bare.exec('CREATE INDEX prediction_at ON prediction(at)');
  const insert = bare.prepare('INSERT INTO prediction VALUES (?, ?, ?, ?)');
  const stream = { workspace: 'w', stream: 'predictions', owner: 'd' };
  let sequence = 0;
  const times = await inTurns(rounds, {
    store: async () => {
      for (let b = 0; b < batches; b++) {
        sequence++;
        await store.appendRows(predictionBatch(stream, sequence));
      }
    },
    bare: async () => {
      for (let b = 0; b < batches; b++) {
        bare.exec('BEGIN IMMEDIATE');
        for (let i = 0; i < 1_000; i++) {
          const features = Array.from({ length: 10 }, (_, f) => [`feature${f}`, i * f * 0.1]);
          const text = JSON.stringify(Object.fromEntries(features));
          insert.run(`request-${b}-${i}`, 1.7e12 + i, text, i % 3 === 0 ? 'rain' : 'sun');
        }
        bare.exec('COMMIT');
      }
    },
  });
  bare.close();
  const rate = (name: string): number[] =>
    (times[name] as number[]).map((ms) => (batches * 1_000_000) / ms);
  const reads = await inTurns(rounds, {
    read: async () => {
      let sum = 0;
      for await (const rows of store.rows(stream, { from: 0, to: 1e15 })) sum += rows.at.length;
      return sum;
    },
  });
  const stored = sequence * 1_000;
  return [
    {
      name: 'predictions, 10 features, batches of 1,000',
      value: median(rate('store')),
      unit: 'rows/s',
      baseline: { name: 'rows with JSON in node:sqlite', value: median(rate('bare')) },
      spread: spread(rate('store')),
    },
    {
      name: 'predictions read into columns',
      value: (stored / median(reads['read'] as number[])) * 1_000,
      unit: 'rows/s',
    },
  ];
}

function predictionBatch(stream: RowBatch['stream'], sequence: number): RowBatch {
  const length = 1_000;
  const texts = (text: (i: number) => string): RowColumn => ({
    type: 'text',
    values: Array.from({ length }, (_, i) => text(i)),
  });
  const features = Array.from({ length: 10 }, (_, f): [string, RowColumn] => [
    `feature${f}`,
    { type: 'number', values: Float64Array.from({ length }, (_, i) => i * f * 0.1) },
  ]);
  return {
    writer: 'bench',
    sequence,
    stream,
    at: Float64Array.from({ length }, (_, i) => 1.7e12 + sequence * length + i),
    columns: {
      ...Object.fromEntries(features),
      id: texts((i) => `request-${sequence}-${i}`),
      answer: texts((i) => (i % 3 === 0 ? 'rain' : 'sun')),
    },
  };
}

async function inTurns(
  rounds: number,
  contenders: Readonly<Record<string, () => Promise<unknown>>>,
): Promise<Record<string, number[]>> {
  const times: Record<string, number[]> = {};
  for (let round = 0; round <= rounds; round++) {
    for (const [name, work] of Object.entries(contenders)) {
      const startedAt = performance.now();
      await work();
      const tookMs = performance.now() - startedAt;
      if (round > 0) times[name] = [...(times[name] ?? []), tookMs];
    }
  }
  return times;
}

function openBare(path: string): DatabaseSync {
  const database = new DatabaseSync(path);
  database.exec(
    'PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA wal_autocheckpoint = 16000',
  );
  return database;
}

function seriesOf(owner: string, count: number): SeriesKey[] {
  return Array.from({ length: count }, (_, i) => ({ workspace: 'w', owner, key: `key-${i}` }));
}

function median(values: readonly number[]): number {
  const sorted = values.toSorted((a, b) => a - b);
  return sorted[Math.floor(sorted.length / 2)] as number;
}

function spread(values: readonly number[]): string {
  const sorted = values.toSorted((a, b) => a - b);
  const at = (share: number): string => {
    const value = sorted[Math.round((sorted.length - 1) * share)] as number;
    return value >= 1_000 ? `${Math.round(value / 1_000)}k` : value.toFixed(1);
  };
  return `${at(0)} … ${at(1)}`;
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const [rounds, points] = process.argv.slice(2).map(Number);
  const table = await benchSeries({
    ...(rounds === undefined ? {} : { rounds }),
    ...(points === undefined ? {} : { points }),
  });
  for (const row of table) {
    const base = row.baseline;
    const times = base === undefined ? '' : ` (${base.name}: ${show(base.value)})`;
    console.log(`${row.name}: ${show(row.value)} ${row.unit}${times} ${row.spread ?? ''}`);
  }
}

function show(value: number): string {
  return value >= 1_000 ? `${Math.round(value / 1_000)}k` : value.toPrecision(3);
}
