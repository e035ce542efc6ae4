import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { isKeelsonError, openPlatform, type RowColumn } from '@keelson/core';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { PgDatabase } from '../src/connection/pg-database.ts';
import { pgBackend } from '../src/index.ts';
import { beatRuns, endRuns, PgHeartbeats } from '../src/series/pg-heartbeats.ts';
import { PgSeriesStore } from '../src/series/pg-series-store.ts';
import { hostileTexts } from './hostile-texts.ts';
import { describeOnPg } from './server/test-database.ts';

const everything = { from: -Infinity, to: Infinity };

await describeOnPg('series named as SQL looks', ({ url, freshSchema, query }) => {
  const schema = freshSchema();
  const database = new PgDatabase({ url, schema, listen: false });
  let store: PgSeriesStore;
  beforeAll(async () => {
    store = await PgSeriesStore.open({ database });
  });
  afterAll(async () => {
    await store.close();
    await database.close();
  });

  const objects = async (): Promise<unknown> =>
    await query(
      `SELECT relname, relkind FROM pg_class WHERE relnamespace = $1::regnamespace ORDER BY relname`,
      [schema],
    );

  test.each(hostileTexts)('%j', async (text) => {
    const before = await objects();
    const key = { workspace: `w ${text}`, owner: text, key: text };
    const other = { ...key, key: `${text}x` };
    await store.appendPoints({
      ...{ writer: text, sequence: 1, series: [key, other], seriesIndex: Uint32Array.of(0, 0, 1) },
      ...{ steps: Float64Array.of(1, 2, 3), timestamps: new Float64Array(3) },
      values: Float64Array.of(10, 20, 30),
    });
    for (const folded of [false, true]) {
      if (folded) await store.fold();
      expect([...(await store.points(key)).values]).toEqual([10, 20]);
      expect((await store.downsample(key, { buckets: 5 })).length).toBe(2);
      const [summary, ...rest] = await store.summaries(key.workspace, text, [text]);
      expect([summary?.key, summary?.count, rest]).toEqual([text, 2, []]);
      const all = await store.summariesOf(key.workspace, [text, `${text}x`]);
      expect([...all.keys()]).toEqual([text]);
      expect([...(all.get(text)?.keys() ?? [])].toSorted()).toEqual([text, `${text}x`].toSorted());
      expect(await store.summaries('w', text)).toEqual([]);
    }
    await store.removeOwners(key.workspace, [text]);
    expect((await store.points(key)).values.length).toBe(0);

    const stream = { workspace: `w ${text}`, stream: text, owner: text };
    const columns: Record<string, RowColumn> = {
      [text]: { type: 'text', values: [text, null] },
      json: { type: 'json', values: [JSON.stringify({ [text]: text }), '[]'] },
    };
    const at = Float64Array.of(1.7e12, 1.7e12 + 1);
    await store.appendRows({ writer: text, sequence: 1, stream, at, columns });
    const rows = await Array.fromAsync(store.rows(stream, { ...everything, columns: [text] }));
    expect(rows).toEqual([{ at, columns: { [text]: columns[text] } }]);
    expect(await Array.fromAsync(store.rows({ ...stream, owner: `${text}x` }, everything))).toEqual(
      [],
    );
    const rollup = { stream, name: text, windowMs: 1_000, at: 0, writer: text, data: text };
    await store.putRollups([rollup]);
    expect(await store.rollups(stream, text, { windowMs: 1_000, from: 0, to: 1 })).toEqual([
      rollup,
    ]);
    expect(await store.dropRows(stream, Infinity)).toBe(2);

    const run = { workspace: text, runId: text };
    await beatRuns(database, [run], 5);
    expect(await new PgHeartbeats(database).read(text, [text, `${text}x`])).toEqual(
      new Map([[text, 5]]),
    );
    await endRuns(database, [run]);
    expect((await new PgHeartbeats(database).read(text, [text])).size).toBe(0);
    expect(await store.foldPending()).toBeUndefined();
    // A table of the time of these rows has come, and may have gone.
    const made = (all: unknown): unknown =>
      (all as { relname: string }[]).filter(({ relname }) => !relname.startsWith('row_batch_2'));
    expect(made(await objects())).toEqual(made(before));
  });

  test.each(hostileTexts)('%j where a number belongs', async (text) => {
    const number = text as never;
    const key = { workspace: 'w', owner: 'o', key: 'k' };
    const stream = { workspace: 'w', stream: 's', owner: 'o' };
    const one = Float64Array.of(1);
    const points = { series: [key], seriesIndex: new Uint32Array(1), steps: one, timestamps: one };
    const before = await objects();
    for (const act of [
      () => store.appendPoints({ writer: 'w', sequence: number, ...points, values: one }),
      () => store.points(key, { fromStep: number }),
      () => store.points(key, { limit: number }),
      () => store.downsample(key, { buckets: number }),
      () => store.appendRows({ writer: 'w', sequence: number, stream, at: one, columns: {} }),
      () => store.dropRows(stream, number),
      () =>
        store.putRollups([{ stream, name: 'n', windowMs: number, at: 0, writer: 'w', data: '' }]),
      () =>
        store.putRollups([{ stream, name: 'n', windowMs: 1, at: number, writer: 'w', data: '' }]),
    ]) {
      const error: unknown = await act().catch((fault: unknown) => fault);
      expect(isKeelsonError(error, 'INVALID'), `${String(act)} ${String(error)}`).toBe(true);
    }
    expect(await objects()).toEqual(before);
  });

  test('as filters, orders and names of a platform', async () => {
    const dir = mkdtempSync(join(tmpdir(), 'keelson-pg-hostile-'));
    const backend = pgBackend({ url, schema: freshSchema() });
    const platform = await openPlatform({
      dir: join(dir, 'p'),
      metadata: backend,
      series: backend,
    });
    const quoted = (text: string, quote: string): string =>
      quote + text.replaceAll(quote, quote + quote) + quote;
    const run = await platform.tracking.startRun({ experiment: 'hostile', environment: false });
    for (const text of hostileTexts) {
      await run.logParams({ [text]: text });
      await run.setTags({ [text]: text });
      run.logMetric(text, 7);
    }
    await run.flush();
    for (const text of hostileTexts) {
      // As it is, it is no filter and no order; in quotes, it is a name and a value like any other.
      // One of them is nothing but white space: no filter at all.
      const asFilter = text.trim() === '' ? [] : [{ filter: text }];
      for (const asked of [...asFilter, { orderBy: [text] }]) {
        const error: unknown = await platform.tracking.searchRuns(asked).catch((fault) => fault);
        expect(isKeelsonError(error, 'SYNTAX'), `${JSON.stringify(asked)} ${String(error)}`).toBe(
          true,
        );
      }
      const name = quoted(text, '"');
      const filter = `params.${name} = ${quoted(text, "'")} AND tags.${name} LIKE '%'
        AND metrics.${name} >= 7`;
      const orderBy = [`metrics.${name} DESC`, `params.${name} ASC`];
      const { runs } = await platform.tracking.searchRuns({ filter, orderBy });
      expect(runs.map(({ id }) => id)).toEqual([run.id]);
      const none = `params.${name} = ${quoted(`${text}x`, "'")}`;
      expect((await platform.tracking.searchRuns({ filter: none })).runs).toEqual([]);
    }
    await run.finish();
    await platform.close();
    rmSync(dir, { recursive: true });
  });
});
