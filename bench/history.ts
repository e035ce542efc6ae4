import { join } from 'node:path';
import type { DatabaseSync } from 'node:sqlite';
import type { SeriesKey } from '@keelson/core';
import { SqliteSeriesStore } from '../packages/core/src/embedded/sqlite-series-store.ts';
import { openBareDatabase } from './bare-database.ts';
import type { BenchContext } from './benchmark.ts';
import { elapsedMs, inTurns } from './rounds.ts';
import { type Row, rowOf } from './row.ts';

const sizes = {
  smallest: { rounds: 1, points: 10_000 },
  usual: { rounds: 11, points: 1_000_000 },
  full: { rounds: 21, points: 1_000_000 },
};
const buckets = 1_000;
const pointsPerBatch = 5_000;
const key: SeriesKey = { workspace: 'default', owner: 'run', key: 'loss' };

/**
 * One metric of 1,000,000 points: downsampled to 1,000 buckets with exact extremes, and read whole; beside
 * a grouping select, and a plain one, over a row a point in bare node:sqlite, keyed by step.
 */
export async function benchHistory(context: BenchContext): Promise<Row[]> {
  const { rounds, points } = sizes[context.scale];
  context.tell(`history: storing ${points} points`);
  await using store = await SqliteSeriesStore.open({ path: join(context.dir, 'history.db') });
  await fill(store, points);
  const bare = openBareDatabase(join(context.dir, 'history-bare.db'));
  fillBare(bare, points);
  const grouped = bare.prepare(
    `SELECT step / ${points / buckets} AS bucket, min(value), max(value), count(*) FROM point
     GROUP BY bucket`,
  );
  const all = bare.prepare('SELECT step, at, value FROM point');
  all.setReturnArrays(true);
  const round = (n: number): void => context.tell(`history: round ${n} of ${rounds}`);
  // Apart: a million rows as arrays leave the collector work that the next contender would pay for.
  const down = await inTurns(
    rounds,
    {
      store: () => elapsedMs(() => store.downsample(key, { buckets })),
      rows: () => elapsedMs(() => grouped.all()),
    },
    round,
  );
  const whole = await inTurns(
    rounds,
    {
      store: () => elapsedMs(() => store.points(key)),
      rows: () => elapsedMs(() => all.all()),
    },
    round,
  );
  bare.close();
  const size = points.toLocaleString('en-US');
  return [
    rowOf(`${size} points to 1,000 buckets, exact`, 'ms', down.store, {
      name: 'GROUP BY over rows in node:sqlite',
      values: down.rows,
    }),
    rowOf(`${size} points, read whole`, 'ms', whole.store, {
      name: 'all rows in node:sqlite',
      values: whole.rows,
    }),
  ];
}

async function fill(store: SqliteSeriesStore, points: number): Promise<void> {
  const length = pointsPerBatch;
  for (let from = 0; from < points; from += length) {
    await store.appendPoints({
      writer: 'bench',
      sequence: from / length + 1,
      series: [key],
      seriesIndex: new Uint32Array(length),
      steps: Float64Array.from({ length }, (_, i) => from + i),
      timestamps: Float64Array.from({ length }, (_, i) => 1.7e12 + from + i),
      values: Float64Array.from({ length }, (_, i) => Math.sin(from + i)),
    });
  }
  await store.fold();
}

function fillBare(bare: DatabaseSync, points: number): void {
  bare.exec('CREATE TABLE point(step INTEGER PRIMARY KEY, at REAL, value REAL) STRICT');
  const insert = bare.prepare('INSERT INTO point VALUES (?, ?, ?)');
  bare.exec('BEGIN');
  for (let i = 0; i < points; i += 1) insert.run(i, 1.7e12 + i, Math.sin(i));
  bare.exec('COMMIT');
}
