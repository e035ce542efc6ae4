import type { RowBatch, StreamKey } from '@keelson/core';
import pg from 'pg';
import { afterEach, expect, test } from 'vitest';
import { ChildProgram } from '../../core/test/child-program.ts';
import { PgDatabase } from '../src/connection/pg-database.ts';
import { migrate } from '../src/schema/migrations.ts';
import { sharedSchema } from '../src/schema/shared-schema.ts';
import { PgSeriesStore } from '../src/series/pg-series-store.ts';
import { seriesSchema } from '../src/series/series-schema.ts';
import { rowsAt } from './rows-at.ts';
import { describeOnPg } from './server/test-database.ts';

/** `KILLS=100` is the long form. */
const kills = Number(process.env['KILLS'] ?? 6);
const child = new URL('./children/append-rows.ts', import.meta.url);
const dayMs = 86_400_000;
const everything = { from: -Infinity, to: Infinity };
const predictions: StreamKey = { workspace: 'w', stream: 'predictions', owner: 'deployment' };
const labels: StreamKey = { ...predictions, stream: 'labels' };
const waiting = `wait_event_type = 'Lock' AND application_name = 'keelson'
  AND datname = current_database()`;

await describeOnPg('rows in partitions', ({ url, freshSchema, query }) => {
  const opened: AsyncDisposable[] = [];
  afterEach(async () => {
    for (const one of opened.splice(0)) await one[Symbol.asyncDispose]();
  });

  function connect(schema: string): PgDatabase {
    const database = new PgDatabase({ url, schema, maxConnections: 3, listen: false });
    opened.push(database);
    return database;
  }

  async function open(schema: string): Promise<PgSeriesStore> {
    const store = await PgSeriesStore.open({ database: connect(schema) });
    opened.unshift(store);
    return store;
  }

  /** A session past every store. */
  async function session(): Promise<pg.Client> {
    const client = new pg.Client({ connectionString: url });
    client.on('error', () => undefined);
    await client.connect();
    opened.unshift({ [Symbol.asyncDispose]: () => client.end() });
    return client;
  }

  /** The partitions, as `from to`, and that nothing else looks like one: no table is left over. */
  async function partitions(schema: string): Promise<string[]> {
    const rows = await query(
      `SELECT at_from::text || ' ' || at_to::text AS span FROM ${schema}.row_partition ORDER BY at_from`,
    );
    const tables = await query(
      `SELECT relname FROM pg_class WHERE relnamespace = $1::regnamespace AND relkind = 'r'
       AND relname LIKE 'row\\_batch\\_%'`,
      [schema],
    );
    expect(tables.length).toBe(rows.length);
    return rows.map((row) => String(row['span']));
  }

  async function idsOf(store: PgSeriesStore, stream: StreamKey): Promise<string[]> {
    const ids: string[] = [];
    for await (const { columns } of store.rows(stream, everything)) {
      ids.push(...((columns['id']?.values ?? []) as string[]));
    }
    return ids;
  }

  /** Waits until a statement of a store stands before a lock. */
  async function somebodyWaits(): Promise<void> {
    while ((await query(`SELECT 1 FROM pg_stat_activity WHERE ${waiting}`)).length === 0);
  }

  const day = (at: number): string => {
    const from = Math.floor(at / dayMs) * dayMs;
    return `${from} ${from + dayMs}`;
  };

  test('about now a day each, the next one ahead; a month far off; one before 2000, one from 2100 on', async () => {
    const schema = freshSchema();
    const store = await open(schema);
    const now = Date.now();
    expect(await partitions(schema)).toEqual([day(now), day(now + dayMs)]);
    const late = [
      ...[Date.UTC(2019, 1, 28, 23, 59, 59, 999), Date.UTC(2019, 2, 1) - 1 / 4096],
      ...[Date.UTC(2019, 2, 1), Date.UTC(1999, 11, 31, 23), 0, -1e308, Date.UTC(2100), 1e308],
    ];
    for (const [i, at] of late.entries()) await store.appendRows(rowsAt([at], { sequence: i + 1 }));
    await store.appendRows(rowsAt([-1e308, 1e308], { sequence: late.length + 1 }));
    expect(await partitions(schema)).toEqual([
      `-Infinity ${Date.UTC(2000)}`,
      `${Date.UTC(2019, 1)} ${Date.UTC(2019, 2)}`,
      `${Date.UTC(2019, 2)} ${Date.UTC(2019, 3)}`,
      ...[day(now), day(now + dayMs)],
      `${Date.UTC(2100)} Infinity`,
    ]);
    expect((await idsOf(store, predictions)).length).toBe(late.length + 2);
    for (const at of late.filter((time) => Math.abs(time) < 2e12)) {
      const found: number[] = [];
      for await (const rows of store.rows(predictions, { from: at, to: at + 1 / 4096 })) {
        found.push(...rows.at);
      }
      expect(found).toEqual([at]);
    }
  });

  test('a month is cut by the days that are there, a day by the month', async () => {
    const schema = freshSchema();
    const store = await open(schema);
    const now = Date.now();
    const first = now - 30 * dayMs;
    await store.appendRows(rowsAt([first], { sequence: 1 }));
    await store.appendRows(rowsAt([first - 2 * dayMs], { sequence: 2 }));
    await store.appendRows(rowsAt([now - 20 * dayMs], { sequence: 3 }));
    const spans = (await partitions(schema)).map((span) => span.split(' ').map(Number));
    expect(spans.length).toBe(5);
    spans.slice(1).forEach(([from], i) => {
      expect(from).toBeGreaterThanOrEqual(spans[i]?.[1] as number);
    });
    expect(await idsOf(store, predictions)).toEqual(['1.0', '2.0', '3.0']);
  });

  test('a table goes whole once one stream alone has rows in it; others lose nothing', async () => {
    const schema = freshSchema();
    const store = await open(schema);
    const border = Math.floor(Date.now() / dayMs) * dayMs - 3 * dayMs;
    // One that ends on the border, one across it, one that begins there; all of them of two streams.
    const times = [
      [border - dayMs, border - 1 / 4096],
      [border - 5, border],
      [border, border + 1],
    ];
    for (const [i, at] of times.entries()) {
      await store.appendRows(rowsAt(at, { sequence: i + 1 }));
      await store.appendRows(rowsAt(at, { sequence: i + 1, stream: 'labels' }));
    }
    const spans = await partitions(schema);
    expect(spans).toContain(day(border - 1));
    expect(await store.dropRows(predictions, border)).toBe(2);
    expect(await partitions(schema)).toEqual(spans);
    expect(await idsOf(store, predictions)).toEqual(['2.0', '2.1', '3.0', '3.1']);
    expect(await idsOf(store, labels)).toEqual(['1.0', '1.1', '2.0', '2.1', '3.0', '3.1']);
    expect(await store.dropRows(labels, border)).toBe(2);
    expect(await partitions(schema)).toEqual(spans.filter((span) => span !== day(border - 1)));
    expect(await idsOf(store, labels)).toEqual(['2.0', '2.1', '3.0', '3.1']);
    // Within a day batches are deleted. What comes late gets its table back, also where another dropped it.
    expect(await store.dropRows(labels, border + 0.5)).toBe(2);
    await store.appendRows(rowsAt([border - 9], { sequence: 9, stream: 'labels' }));
    const other = await open(schema);
    expect(await other.dropRows(labels, border)).toBe(1);
    await store.appendRows(rowsAt([border - 9], { sequence: 10, stream: 'labels' }));
    expect(await idsOf(other, labels)).toEqual(['3.0', '3.1', '10.0']);
    await expect(store.dropRows(labels, Number.NaN)).rejects.toMatchObject({ code: 'INVALID' });
    expect(await store.dropRows(labels, Infinity)).toBe(3);
    expect(await idsOf(store, predictions)).toEqual(['2.0', '2.1', '3.0', '3.1']);
  });

  test('a dump that reads all day: rows are dropped without the table, which goes later', async () => {
    const schema = freshSchema();
    const store = await open(schema);
    const border = Math.floor(Date.now() / dayMs) * dayMs - 3 * dayMs;
    await store.appendRows(rowsAt([border - 1], { sequence: 1 }));
    await store.appendRows(rowsAt([border], { sequence: 2 }));
    const spans = await partitions(schema);
    const dump = await session();
    await dump.query(`BEGIN; LOCK TABLE ${schema}.row_batch IN ACCESS SHARE MODE`);
    expect(await store.dropRows(predictions, border)).toBe(1);
    await store.appendRows(rowsAt([border], { sequence: 3 }));
    expect(await idsOf(store, predictions)).toEqual(['2.0', '3.0']);
    await dump.query('COMMIT');
    expect(await partitions(schema)).toEqual(spans);
    expect(await store.dropRows(predictions, border)).toBe(0);
    expect(await partitions(schema)).toEqual(spans.filter((span) => span !== day(border - 1)));
  });

  test('a partition that was detached or dropped by hand is made again for late rows', async () => {
    const schema = freshSchema();
    const store = await open(schema);
    const at = Date.UTC(2020, 5, 5);
    await store.appendRows(rowsAt([at], { sequence: 1 }));
    await query(`ALTER TABLE ${schema}.row_batch DETACH PARTITION ${schema}.row_batch_20200601`);
    await store.appendRows(rowsAt([at], { sequence: 2 }));
    expect(await idsOf(store, predictions)).toEqual(['2.0']);
    await query(`DROP TABLE ${schema}.row_batch_20200601, ${schema}.row_batch_20200601_`);
    await store.appendRows(rowsAt([at], { sequence: 3 }));
    expect(await idsOf(store, predictions)).toEqual(['3.0']);
  });

  test('killed in the middle of creating, and of dropping: nothing of it is left, and the next one succeeds', async () => {
    const schema = freshSchema();
    const store = await open(schema);
    await store.appendRows(rowsAt([Date.UTC(2020)], { sequence: 1 }));
    const before = await partitions(schema);
    const blocker = await session();
    const [made] = (await query(
      `SELECT id::regclass::text AS name FROM ${schema}.row_partition ORDER BY at_from LIMIT 1`,
    )) as [{ name: string }];
    // The table is made and not yet attached; the table is asked for its streams before it goes.
    for (const [lock, act] of [
      [
        `LOCK TABLE ${schema}.row_batch IN SHARE UPDATE EXCLUSIVE MODE`,
        `SELECT create_row_partitions(${Date.UTC(2021)})`,
      ],
      [
        `LOCK TABLE ${made.name} IN ACCESS EXCLUSIVE MODE`,
        `SELECT drop_row_partition(id, (SELECT stream FROM row_stream))
         FROM (SELECT id FROM row_partition ORDER BY at_from LIMIT 1) AS oldest`,
      ],
    ] as const) {
      await blocker.query(`BEGIN; ${lock}`);
      const killed = await session();
      await killed.query(`SET search_path TO ${schema}; SET application_name TO keelson`);
      const call = killed.query(act).catch((error: unknown) => error);
      await somebodyWaits();
      await query(`SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE ${waiting}`);
      await blocker.query('ROLLBACK');
      expect(await call).toMatchObject({ code: '57P01' });
    }
    expect(await idsOf(store, predictions)).toEqual(['1.0']);
    await store.appendRows(rowsAt([Date.UTC(2021)], { sequence: 2 }));
    expect(await store.dropRows(predictions, Date.UTC(2020, 1))).toBe(1);
    expect((await partitions(schema)).length).toBe(before.length);
    expect(await idsOf(store, predictions)).toEqual(['2.0']);
  });

  test(`processes that append and drop, killed ${kills} times: each kept row once, no table left over`, async () => {
    const schema = freshSchema();
    const store = await open(schema);
    const written = new Map<string, number>();
    for (let kill = 0; kill < kills; kill += 1) {
      const owners = [`a${kill}`, `b${kill}`];
      const children = owners.map((owner) => new ChildProgram(child, [url, schema, owner]));
      await Promise.all(children.map((each) => each.line(new RegExp(`^stored ${3 + 4 * kill}$`))));
      await Promise.all(children.map((each) => each.kill()));
      children.forEach((each, i) => {
        const last = each.lines.filter((line) => line.startsWith('stored')).at(-1);
        written.set(owners[i] as string, Number(last?.slice(7)));
      });
    }
    for (const [owner, acknowledged] of written) {
      const ids = await idsOf(store, { workspace: 'w', stream: 'kept', owner });
      expect(ids.length % 3).toBe(0);
      expect(ids.length / 3).toBeGreaterThanOrEqual(acknowledged);
      expect(ids).toEqual(ids.map((_, i) => `${Math.floor(i / 3) + 1}.${i % 3}`));
    }
    await partitions(schema);
  }, 300_000);

  test('ten processes append to an empty schema and need the same partitions at once: none fails', async () => {
    const schema = freshSchema();
    const children = Array.from(
      { length: 10 },
      (_, i) => new ChildProgram(child, [url, schema, `w${i}`, '12']),
    );
    await Promise.all(children.map((each) => each.line(/^done$/)));
    const store = await open(schema);
    for (let i = 0; i < 10; i += 1) {
      const ids = await idsOf(store, { workspace: 'w', stream: 'kept', owner: `w${i}` });
      expect(ids).toEqual(ids.map((_, n) => `${Math.floor(n / 3) + 1}.${n % 3}`));
      expect(ids.length).toBe(36);
    }
    await partitions(schema);
  }, 120_000);

  test('late rows appended to the very table that is being dropped: none is lost', async () => {
    const schema = freshSchema();
    const [dropper, ...appenders] = await Promise.all([1, 2, 3].map(() => open(schema)));
    const at = Date.UTC(2020);
    let over = false;
    let dropped = 0;
    const dropping = (async () => {
      while (!over) dropped += (await dropper?.dropRows(labels, at + 40 * dayMs)) ?? 0;
    })();
    const own = (batch: RowBatch, owner: string): RowBatch => ({
      ...batch,
      stream: { ...batch.stream, owner },
    });
    await Promise.all(
      appenders.map(async (store, i) => {
        for (let sequence = 1; sequence <= 60; sequence += 1) {
          const of = { sequence, writer: `w${i}`, stream: 'labels' };
          await store.appendRows(rowsAt([at], of));
          if (sequence % 4 === 0) await store.appendRows(own(rowsAt([at], { ...of }), `kept${i}`));
          const kept = { ...labels, owner: `kept${i}` };
          // Gone again, so that the table is dropped again and again.
          if (sequence % 8 === 0) {
            expect(await idsOf(store, kept)).toEqual([`${sequence - 4}.0`, `${sequence}.0`]);
            expect(await store.dropRows(kept, Infinity)).toBe(2);
          }
        }
      }),
    );
    over = true;
    await dropping;
    dropped += (await dropper?.dropRows(labels, Infinity)) ?? 0;
    expect(dropped).toBe(120);
  }, 60_000);

  test('rows of a schema without partitions: ten that open it at once, all rows there, none copied', async () => {
    const schema = freshSchema();
    const older = connect(schema);
    const [first] = seriesSchema.migrations;
    if (first === undefined) throw new Error('no migration');
    await migrate(older, [sharedSchema, { part: 'series', migrations: [first] }]);
    const from = freshSchema();
    const store = await open(from);
    const now = Date.now();
    const batches = [
      rowsAt([0, 5], { sequence: 1 }),
      rowsAt([now - 50 * dayMs], { sequence: 2 }),
      rowsAt([now - dayMs, now], { sequence: 3 }),
      rowsAt([now + 3 * dayMs], { sequence: 4 }),
      rowsAt([now + 400 * dayMs, 1e300], { sequence: 5 }),
    ];
    for (const batch of batches) await store.appendRows(batch);
    await query(`INSERT INTO ${schema}.dict (ws, kind, facet, key)
      SELECT ws, kind, facet, key FROM ${from}.dict ORDER BY kid`);
    await query(`INSERT INTO ${schema}.row_stream SELECT * FROM ${from}.row_stream`);
    await query(`INSERT INTO ${schema}.row_batch (stream, n, at_min, at_max, data)
      SELECT stream, n, at_min, at_max, data FROM ${from}.row_batch ORDER BY no`);
    const stores = await Promise.all(Array.from({ length: 10 }, () => open(schema)));
    for (const [i, each] of stores.entries()) {
      await each.appendRows(rowsAt([now], { sequence: 1, writer: `new${i}`, stream: 'labels' }));
      expect((await idsOf(each, predictions)).length).toBe(8);
    }
    const tomorrow = (Math.floor(now / dayMs) + 1) * dayMs;
    expect((await partitions(schema))[0]).toBe(`-Infinity ${tomorrow}`);
    const [migrated] = stores;
    expect(await migrated?.dropRows(predictions, now - 40 * dayMs)).toBe(3);
    expect(await migrated?.dropRows(predictions, now + 10 * dayMs)).toBe(3);
    expect(await idsOf(migrated as PgSeriesStore, predictions)).toEqual(['5.0', '5.1']);
    expect((await idsOf(migrated as PgSeriesStore, labels)).length).toBe(10);
    expect(await migrated?.dropRows(labels, tomorrow)).toBe(10);
    expect((await partitions(schema))[0]).not.toContain('-Infinity');
  }, 60_000);
});
