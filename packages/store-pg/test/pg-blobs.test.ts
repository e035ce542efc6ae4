import { seriesStoreSuite } from '@keelson/core/testing';
import pg from 'pg';
import { afterEach, expect, test } from 'vitest';
import { PgDatabase } from '../src/connection/pg-database.ts';
import type { PgPool, PgPoolClient } from '../src/connection/pg-pool.ts';
import { PgSeriesStore } from '../src/series/pg-series-store.ts';
import { describeOnPg } from './server/test-database.ts';

/** A pool whose clients are nothing but what Keelson says that it needs, as one on libpq would be. */
function bare(pool: pg.Pool): PgPool {
  return {
    async connect(): Promise<PgPoolClient> {
      const client = await pool.connect();
      return {
        query: (query) => client.query(query),
        release: (destroy) => client.release(destroy),
        on: (event: never, listener: never) => client.on(event, listener),
        removeListener: (event: never, listener: never) => client.removeListener(event, listener),
        processID: (client as unknown as { readonly processID: number }).processID,
      };
    },
  };
}

const blobs = `SELECT n, -n, decode(repeat(lpad(to_hex(n % 256), 2, '0'), 3000), 'hex')
  FROM generate_series(1::bigint, 700) AS n`;

await describeOnPg('bytes out of PostgreSQL', ({ url, freshSchema, query }) => {
  const opened: AsyncDisposable[] = [];
  afterEach(async () => {
    for (const one of opened.splice(0)) await one[Symbol.asyncDispose]();
  });

  function pool(options: pg.PoolConfig = {}): pg.Pool {
    const made = new pg.Pool({ connectionString: url, max: 2, ...options });
    made.on('error', () => undefined);
    opened.push({ [Symbol.asyncDispose]: () => made.end() });
    return made;
  }

  function open(options: ConstructorParameters<typeof PgDatabase>[0]): PgDatabase {
    const database = new PgDatabase(options);
    opened.unshift(database);
    return database;
  }

  async function pidOf(database: PgDatabase): Promise<unknown> {
    return (await database.read('SELECT pg_backend_pid() AS pid'))[0]?.['pid'];
  }

  test.each([
    ['a connection of ours', (): PgDatabase => open({ url, maxConnections: 1 })],
    ['a pool that was given', (): PgDatabase => open({ pool: pool() })],
    [
      'one with a timeout of its own',
      (): PgDatabase => open({ pool: pool({ query_timeout: 60_000 }) }),
    ],
    ['one that takes no statements but its own', (): PgDatabase => open({ pool: bare(pool()) })],
  ])('by %s: all of them, as they are, none where there are none', async (_, make) => {
    const database = make();
    const rows = await database.blobs(blobs);
    expect(rows.length).toBe(700);
    for (const [i, { numbers, data }] of rows.entries()) {
      expect(numbers).toEqual([i + 1, -i - 1]);
      expect(data.length === 3000 && data.every((byte) => byte === (i + 1) % 256)).toBe(true);
    }
    expect(await database.blobs(`${blobs} WHERE n < 0`)).toEqual([]);
    const edges = `SELECT 9007199254740991::bigint, -9007199254740991::bigint, ''::bytea`;
    const [edge] = await database.blobs(edges);
    expect(edge?.numbers).toEqual([Number.MAX_SAFE_INTEGER, Number.MIN_SAFE_INTEGER]);
    expect(edge?.data.length).toBe(0);
    const inside = await database.snapshot(async (transaction) => [
      (await transaction.blobs(blobs)).length,
      (await transaction.query('SELECT 1 AS one')).length,
      (await transaction.blobs(blobs)).length,
    ]);
    expect(inside).toEqual([700, 1, 700]);
  });

  test('a statement that fails, before and after rows have come, is an error, and the connection goes on', async () => {
    const database = open({ url, maxConnections: 1 });
    const pid = await pidOf(database);
    for (const bad of [
      'SELECT nothing',
      `SELECT 1 / (500 - q.n), q.d FROM (${blobs}) AS q (n, m, d)`,
    ]) {
      await expect(database.blobs(bad)).rejects.toMatchObject({ code: 'INTERNAL' });
    }
    expect((await database.blobs(blobs)).length).toBe(700);
    expect(await pidOf(database)).toBe(pid);
  });

  test('columns of other types are refused, not misread', async () => {
    const database = open({ url, maxConnections: 1 });
    await expect(database.blobs(`SELECT 1::integer, ''::bytea`)).rejects.toMatchObject({
      code: 'INTERNAL',
      message: expect.stringContaining('layout'),
    });
    await expect(database.blobs('SELECT 1::bigint, NULL::bytea')).rejects.toMatchObject({
      code: 'INTERNAL',
    });
    expect((await database.blobs(blobs)).length).toBe(700);
  });

  test('what takes too long is cancelled on the server, and what is aborted', async () => {
    const database = open({ url, maxConnections: 1, statementTimeoutMs: 100, retryMs: 1 });
    const pid = await pidOf(database);
    const slow = `SELECT n, ''::bytea FROM generate_series(1::bigint, 5) AS n, pg_sleep(60)`;
    await expect(database.blobs(slow)).rejects.toMatchObject({ code: 'TIMEOUT' });
    const abort = new AbortController();
    const patient = open({ url, maxConnections: 1 });
    const aborted = patient.snapshot((transaction) => transaction.blobs(slow), {
      signal: abort.signal,
    });
    const rejected = expect(aborted).rejects.toMatchObject({ code: 'ABORTED' });
    while (
      (await query(`SELECT 1 FROM pg_stat_activity WHERE wait_event = 'PgSleep'`)).length === 0
    );
    abort.abort();
    await rejected;
    expect(await pidOf(database)).toBe(pid);
  });

  test('a connection that ends in the middle: the rows are read again', async () => {
    const database = open({ url, maxConnections: 1 });
    await query('CREATE TABLE held (n bigint)');
    const holder = new pg.Client({ connectionString: url });
    await holder.connect();
    await holder.query('BEGIN; LOCK TABLE held');
    const reading = database.blobs(`${blobs} WHERE NOT EXISTS (SELECT FROM held)`);
    const waiting = `FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()`;
    while ((await query(`SELECT 1 ${waiting}`)).length === 0);
    await query(`SELECT pg_terminate_backend(pid) ${waiting}`);
    await holder.end();
    expect((await reading).length).toBe(700);
  });

  // What the stores do with them is in the conformance suite: here by a pool that has no COPY.
  for (const c of seriesStoreSuite.cases.filter(({ name }) =>
    /^(points|rows|folding)/.test(name),
  )) {
    test(`without COPY: ${c.name}`, async () => {
      const schema = freshSchema();
      const given = bare(pool({ max: 4 }));
      const store = (): Promise<PgSeriesStore> =>
        PgSeriesStore.open({ database: open({ pool: given, schema }) });
      await c.run({ open: store, openSecond: store, async [Symbol.asyncDispose]() {} });
    });
  }
});
