import { mkdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { openPlatform } from '@keelson/core';
import { SqliteSeriesStore } from '../packages/core/src/embedded/sqlite-series-store.ts';
import { openBareDatabase } from './bare-database.ts';
import type { BenchContext } from './benchmark.ts';
import { elapsedMs, inTurns } from './rounds.ts';
import { type Row, rowOf } from './row.ts';

const sizes = {
  smallest: { rounds: 1, points: 20_000, bare: 5_000 },
  usual: { rounds: 5, points: 1_000_000, bare: 150_000 },
  full: { rounds: 7, points: 4_000_000, bare: 500_000 },
};
const pointsPerTransaction = 1_000;

/**
 * Points a second from the first `logMetric` until all are durable and folded into chunks and summaries,
 * in a loop that never awaits, over 50 and 500 series; beside a row a point in bare node:sqlite (indexed
 * by series and step, 1,000 a transaction), without and with a summary for each series.
 */
export async function benchIngest(context: BenchContext): Promise<Row[]> {
  const size = sizes[context.scale];
  const rows: Row[] = [];
  for (const series of [50, 500]) {
    const inEmptyDir = async (work: (dir: string) => Promise<number>): Promise<number> => {
      const dir = join(context.dir, 'ingest');
      await mkdir(dir);
      const rate = await work(dir);
      await rm(dir, { recursive: true });
      return rate;
    };
    const rates = await inTurns(
      size.rounds,
      {
        logged: () => inEmptyDir((dir) => logged(dir, series, size.points)),
        rows: () => inEmptyDir((dir) => bareRows(dir, series, size.bare, false)),
        summed: () => inEmptyDir((dir) => bareRows(dir, series, size.bare, true)),
      },
      (round) => context.tell(`points, ${series} series: round ${round} of ${size.rounds}`),
    );
    const name = `logged, durable and folded, ${series} series`;
    rows.push(
      rowOf(name, 'points/s', rates.logged, { name: 'rows in node:sqlite', values: rates.rows }),
      rowOf(name, 'points/s', rates.logged, {
        name: 'rows and summaries in node:sqlite',
        values: rates.summed,
      }),
    );
  }
  return rows;
}

async function logged(dir: string, series: number, points: number): Promise<number> {
  await using platform = await openPlatform({ dir });
  const run = await platform.tracking.startRun({ experiment: 'bench', environment: false });
  const keys = Array.from({ length: series }, (_, i) => `metric-${i}`);
  // Its thread is up before the clock runs.
  run.logMetric('first', 0);
  await run.flush();
  await using store = await SqliteSeriesStore.open({ path: join(dir, 'keelson.db') });
  const tookMs = await elapsedMs(async () => {
    for (let i = 0; i < points; i += 1) {
      run.logMetric(keys[i % series] as string, i, { step: Math.floor(i / series) });
    }
    await run.flush();
    await store.fold();
  });
  const summaries = await store.summaries(platform.workspace, run.id);
  const stored = summaries.reduce((sum, { count }) => sum + count, -1);
  if (stored !== points) throw new Error(`${stored} points of ${points} are there.`);
  await run.finish();
  return (points / tookMs) * 1_000;
}

interface Figures {
  count: number;
  last: number;
  min: number;
  max: number;
}

async function bareRows(
  dir: string,
  series: number,
  points: number,
  summaries: boolean,
): Promise<number> {
  const database = openBareDatabase(join(dir, 'bare.db'));
  database.exec(`
    CREATE TABLE point(sid INTEGER, step INTEGER, at REAL, value REAL) STRICT;
    CREATE INDEX point_series ON point(sid, step);
    CREATE TABLE summary(sid INTEGER PRIMARY KEY, count INTEGER, last REAL, min REAL, max REAL) STRICT;
  `);
  const insert = database.prepare('INSERT INTO point VALUES (?, ?, ?, ?)');
  const summarise =
    database.prepare(`INSERT INTO summary VALUES (?, ?, ?, ?, ?) ON CONFLICT DO UPDATE
    SET count = count + excluded.count, last = excluded.last,
    min = min(min, excluded.min), max = max(max, excluded.max)`);
  const tookMs = await elapsedMs(() => {
    for (let from = 0; from < points; from += pointsPerTransaction) {
      const changed = new Map<number, Figures>();
      database.exec('BEGIN IMMEDIATE');
      for (let i = from; i < from + pointsPerTransaction; i += 1) {
        insert.run(i % series, Math.floor(i / series), Date.now(), i);
        if (summaries) count(changed, i % series, i);
      }
      for (const [sid, f] of changed) summarise.run(sid, f.count, f.last, f.min, f.max);
      database.exec('COMMIT');
    }
  });
  database.close();
  return (points / tookMs) * 1_000;
}

function count(changed: Map<number, Figures>, series: number, value: number): void {
  const figures = changed.get(series) ?? { count: 0, last: value, min: value, max: value };
  figures.count += 1;
  figures.last = value;
  figures.min = Math.min(figures.min, value);
  figures.max = Math.max(figures.max, value);
  changed.set(series, figures);
}
