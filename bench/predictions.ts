import { join } from 'node:path';
import type { DatabaseSync } from 'node:sqlite';
import type { RowBatch, RowColumn, StreamKey } from '@keelson/core';
import { SqliteSeriesStore } from '../packages/core/src/embedded/sqlite-series-store.ts';
import { openBareDatabase } from './bare-database.ts';
import type { BenchContext } from './benchmark.ts';
import { inTurns } from './rounds.ts';
import { type Row, rowOf } from './row.ts';

const sizes = {
  smallest: { rounds: 1, batches: 2 },
  usual: { rounds: 5, batches: 100 },
  full: { rounds: 11, batches: 200 },
};
const rowsPerBatch = 1_000;
const features = Array.from({ length: 10 }, (_, f) => `feature${f}`);
const stream: StreamKey = { workspace: 'default', stream: 'predictions', owner: 'deployment' };
const everything = { from: 0, to: Number.MAX_SAFE_INTEGER };

/**
 * Predictions with 10 features, 1,000 a flush: appended and read back into columns; beside a row a
 * prediction in bare node:sqlite, its features as JSON, indexed by time.
 */
export async function benchPredictions(context: BenchContext): Promise<Row[]> {
  const { rounds, batches } = sizes[context.scale];
  await using store = await SqliteSeriesStore.open({ path: join(context.dir, 'predictions.db') });
  const bare = openBareDatabase(join(context.dir, 'predictions-bare.db'));
  bare.exec(`
    CREATE TABLE prediction(id TEXT, at REAL, features TEXT, answer TEXT) STRICT;
    CREATE INDEX prediction_at ON prediction(at);
  `);
  let sequence = 0;
  const append = async (): Promise<number> => {
    for (let b = 0; b < batches; b += 1) {
      sequence += 1;
      await store.appendRows(batchOf(sequence));
    }
    return batches * rowsPerBatch;
  };
  const read = async (): Promise<number> => {
    let rows = 0;
    for await (const { at } of store.rows(stream, everything)) rows += at.length;
    return rows;
  };
  const rates = await inTurns(
    rounds,
    {
      append: () => rowsPerSecond(append),
      insert: () => rowsPerSecond(async () => insertRows(bare, batches)),
      read: () => rowsPerSecond(read),
      select: () => rowsPerSecond(async () => selectRows(bare)),
    },
    (round) => context.tell(`predictions: round ${round} of ${rounds}`),
  );
  bare.close();
  const baseline = (values: readonly number[]): { name: string; values: readonly number[] } => ({
    name: 'rows with JSON in node:sqlite',
    values,
  });
  return [
    rowOf('predictions appended', 'rows/s', rates.append, baseline(rates.insert)),
    rowOf('predictions read into columns', 'rows/s', rates.read, baseline(rates.select)),
  ];
}

async function rowsPerSecond(work: () => Promise<number>): Promise<number> {
  const startedAt = performance.now();
  const rows = await work();
  return (rows / (performance.now() - startedAt)) * 1_000;
}

function batchOf(sequence: number): RowBatch {
  const length = rowsPerBatch;
  const texts = (text: (i: number) => string): RowColumn => ({
    type: 'text',
    values: Array.from({ length }, (_, i) => text(i)),
  });
  const numbers = features.map((name, f): [string, RowColumn] => [
    name,
    { type: 'number', values: Float64Array.from({ length }, (_, i) => i * f * 0.1) },
  ]);
  return {
    writer: 'bench',
    sequence,
    stream,
    at: Float64Array.from({ length }, (_, i) => 1.7e12 + sequence * length + i),
    columns: {
      ...Object.fromEntries(numbers),
      id: texts((i) => `request-${sequence}-${i}`),
      answer: texts((i) => (i % 3 === 0 ? 'rain' : 'sun')),
    },
  };
}

function insertRows(bare: DatabaseSync, batches: number): number {
  const insert = bare.prepare('INSERT INTO prediction VALUES (?, ?, ?, ?)');
  for (let b = 0; b < batches; b += 1) {
    bare.exec('BEGIN IMMEDIATE');
    for (let i = 0; i < rowsPerBatch; i += 1) {
      const values = Object.fromEntries(features.map((name, f) => [name, i * f * 0.1]));
      const answer = i % 3 === 0 ? 'rain' : 'sun';
      insert.run(`request-${b}-${i}`, 1.7e12 + i, JSON.stringify(values), answer);
    }
    bare.exec('COMMIT');
  }
  return batches * rowsPerBatch;
}

function selectRows(bare: DatabaseSync): number {
  const columns = features.map(() => [] as number[]);
  let rows = 0;
  for (const row of bare.prepare('SELECT features FROM prediction').iterate()) {
    const values = JSON.parse(String(row['features'])) as Record<string, number>;
    features.forEach((name, f) => {
      columns[f]?.push(values[name] ?? Number.NaN);
    });
    rows += 1;
  }
  return rows;
}
