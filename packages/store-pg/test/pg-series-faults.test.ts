import { setTimeout as wait } from 'node:timers/promises';
import type { PointBatch, SeriesKey } from '@keelson/core';
import { afterEach, expect, test } from 'vitest';
import { ChildProgram } from '../../core/test/child-program.ts';
import { PgDatabase } from '../src/connection/pg-database.ts';
import { PgSeriesStore } from '../src/series/pg-series-store.ts';
import { describeOnPg } from './server/test-database.ts';

/** `KILLS=100` is the long form. */
const kills = Number(process.env['KILLS'] ?? 12);
const child = new URL('./children/append-points.ts', import.meta.url);

await describeOnPg('series in PostgreSQL under faults', ({ url, freshSchema, query }) => {
  const opened: AsyncDisposable[] = [];
  afterEach(async () => {
    for (const one of opened.splice(0)) await one[Symbol.asyncDispose]();
  });

  async function open(schema: string): Promise<PgSeriesStore> {
    const database = new PgDatabase({ url, schema, maxConnections: 3, listen: false });
    opened.push(database);
    const store = await PgSeriesStore.open({ database });
    opened.unshift(store);
    return store;
  }

  /** What a child has acknowledged is there once, in order, and at most one batch more. */
  async function assertWhole(
    store: PgSeriesStore,
    writer: string,
    acknowledged: number,
  ): Promise<void> {
    const key: SeriesKey = { workspace: 'w', owner: writer, key: 'loss' };
    const { steps, values } = await store.points(key);
    expect(steps.length).toBeGreaterThanOrEqual(acknowledged * 100);
    expect(steps.length % 100).toBe(0);
    expect(steps.every((step, i) => step === i && values[i] === i)).toBe(true);
    const [summary] = await store.summaries('w', writer);
    expect(summary).toMatchObject({ count: steps.length, last: steps.length - 1, min: 0 });
  }

  test(`appenders that fold, killed ${kills} times: each point once, chunks and summaries right`, async () => {
    const schema = freshSchema();
    const store = await open(schema);
    const written = new Map<string, number>();
    for (let kill = 0; kill < kills; kill += 1) {
      const writers = [`a${kill}`, `b${kill}`];
      const children = writers.map((writer) => new ChildProgram(child, [url, schema, writer]));
      await Promise.all(children.map((each) => each.line(/^stored 2$/)));
      await wait(Math.random() * 150);
      await Promise.all(children.map((each) => each.kill()));
      children.forEach((each, i) => {
        const last = each.lines.filter((line) => line.startsWith('stored')).at(-1);
        written.set(writers[i] as string, Number(last?.slice(7)));
      });
    }
    for (const [writer, acknowledged] of written) await assertWhole(store, writer, acknowledged);
    await store.fold();
    for (const [writer, acknowledged] of written) await assertWhole(store, writer, acknowledged);
    expect(await query(`SELECT 1 FROM ${schema}.segment`)).toEqual([]);
  }, 300_000);

  test('connections ended again and again: repeated under its number, each batch is stored once', async () => {
    const schema = freshSchema();
    const store = await open(schema);
    let over = false;
    const ending = (async () => {
      while (!over) {
        await query(
          `SELECT pg_terminate_backend(pid) FROM pg_stat_activity
           WHERE application_name = 'keelson' AND datname = current_database()`,
        );
        await wait(20);
      }
    })();
    const key = { workspace: 'w', owner: 'r', key: 'loss' };
    for (let sequence = 1; sequence <= 100; sequence += 1) {
      const batch: PointBatch = {
        writer: 'one',
        sequence,
        series: [key],
        seriesIndex: new Uint32Array(100),
        steps: Float64Array.from({ length: 100 }, (_, i) => (sequence - 1) * 100 + i),
        timestamps: new Float64Array(100),
        values: Float64Array.from({ length: 100 }, (_, i) => (sequence - 1) * 100 + i),
      };
      for (let stored = false; !stored; ) {
        stored = await store.appendPoints(batch).then(
          () => true,
          (error: { code: string }) => {
            expect(error.code).toBe('UNAVAILABLE');
            return false;
          },
        );
      }
    }
    over = true;
    await ending;
    const { steps } = await store.points(key);
    expect(steps.length).toBe(10_000);
    expect(steps.every((step, i) => step === i)).toBe(true);
  }, 120_000);

  test('ten processes open one empty schema and append at once: one migrates, none fails', async () => {
    const schema = freshSchema();
    const children = Array.from(
      { length: 10 },
      (_, i) => new ChildProgram(child, [url, schema, `w${i}`, '5']),
    );
    await Promise.all(children.map((each) => each.line(/^done$/)));
    const store = await open(schema);
    for (let i = 0; i < 10; i += 1) await assertWhole(store, `w${i}`, 5);
  }, 120_000);

  test('two that fold at once, while others append: nothing twice, nothing lost', async () => {
    const schema = freshSchema();
    const stores = await Promise.all([open(schema), open(schema), open(schema)]);
    const writers = ['x', 'y'].map(
      (writer) => new ChildProgram(child, [url, schema, writer, '60']),
    );
    let over = false;
    const folding = stores.map(async (store) => {
      while (!over) await store.fold();
    });
    await Promise.all(writers.map((each) => each.line(/^done$/)));
    over = true;
    await Promise.all(folding);
    for (const writer of ['x', 'y']) await assertWhole(stores[0] as PgSeriesStore, writer, 60);
  }, 120_000);

  test('while another folds, appends go on; where far too much lies unfolded, they wait for it', async () => {
    const schema = freshSchema();
    const store = await open(schema);
    const folder = new PgDatabase({ url, schema, maxConnections: 1, listen: false });
    opened.push(folder);
    const { promise: done, resolve: end } = Promise.withResolvers<void>();
    const { promise: begun, resolve: begin } = Promise.withResolvers<void>();
    const folding = folder.transaction(async (transaction) => {
      await transaction.query(
        `SELECT pg_advisory_xact_lock(hashtextextended('keelson fold ' || current_schema(), 0))`,
      );
      begin();
      await done;
    });
    await begun;
    const points = 100_000;
    const append = async (sequence: number): Promise<void> => {
      const steps = Float64Array.from({ length: points }, (_, i) => (sequence - 1) * points + i);
      await store.appendPoints({
        ...{ writer: 'one', sequence, series: [{ workspace: 'w', owner: 'r', key: 'loss' }] },
        ...{ seriesIndex: new Uint32Array(points), steps, timestamps: steps, values: steps },
      });
    };
    const waiting = (): Promise<readonly unknown[]> =>
      query(`SELECT 1 FROM pg_stat_activity WHERE wait_event = 'advisory'
        AND datname = current_database()`);
    for (let sequence = 1; sequence <= 7; sequence += 1) await append(sequence);
    expect(await waiting()).toEqual([]);
    let stored = 0;
    const more = (async () => {
      for (let sequence = 8; sequence <= 12; sequence += 1) {
        await append(sequence);
        stored = sequence;
      }
    })();
    while ((await waiting()).length === 0);
    expect(stored).toBeLessThan(12);
    end();
    await Promise.all([folding, more]);
    await store.fold();
    const [summary] = await store.summaries('w', 'r');
    expect(summary).toMatchObject({ count: 12 * points, last: 12 * points - 1 });
  }, 60_000);
});
