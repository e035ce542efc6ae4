import { inspect } from 'node:util';
import { isKeelsonError } from '@keelson/core';
import pg from 'pg';
import { afterEach, expect, test } from 'vitest';
import { PgDatabase } from '../src/connection/pg-database.ts';
import { migrate } from '../src/schema/migrations.ts';
import { sharedSchema } from '../src/schema/shared-schema.ts';
import { describeOnPg } from './server/test-database.ts';

const opened: AsyncDisposable[] = [];
afterEach(async () => {
  for (const one of opened.splice(0)) await one[Symbol.asyncDispose]();
});

function open(...options: ConstructorParameters<typeof PgDatabase>): PgDatabase {
  const database = new PgDatabase(...options);
  opened.push(database);
  return database;
}

function raising(state: string): string {
  return `DO $$ BEGIN RAISE EXCEPTION USING ERRCODE = '${state}'; END $$`;
}

async function codeOf(act: Promise<unknown>): Promise<string> {
  try {
    await act;
  } catch (error) {
    if (isKeelsonError(error)) return error.code;
    throw error;
  }
  return 'passed';
}

await describeOnPg('PgDatabase', ({ url, freshSchema, query }) => {
  test('reads, writes, and undoes what throws', async () => {
    const database = open({ url });
    await database.write('CREATE TABLE public.thing (n bigint)');
    await database.transaction(async (transaction) => {
      await transaction.query('INSERT INTO public.thing VALUES ($1)', [2 ** 53 - 1]);
    });
    const failing = database.transaction(async (transaction) => {
      await transaction.query('INSERT INTO public.thing VALUES (1)');
      throw new RangeError('no');
    });
    expect(await codeOf(failing)).toBe('INTERNAL');
    expect(await database.read('SELECT n FROM public.thing')).toEqual([{ n: 2 ** 53 - 1 }]);
  });

  test('a snapshot sees one state, whatever is committed meanwhile', async () => {
    const database = open({ url });
    await database.write('CREATE TABLE public.seen (n integer)');
    const counts = await database.snapshot(async (transaction) => {
      const count = async (): Promise<unknown> =>
        (await transaction.query('SELECT count(*) AS n FROM public.seen'))[0]?.['n'];
      const before = await count();
      await database.write('INSERT INTO public.seen VALUES (1)');
      return [before, await count()];
    });
    expect(counts).toEqual([0, 0]);
  });

  test('an abort cancels the statement on the server, and the connection goes on', async () => {
    const database = open({ url, maxConnections: 1 });
    const abort = new AbortController();
    const [before] = await database.read('SELECT pg_backend_pid() AS pid');
    const sleeping = database.read('SELECT pg_sleep(60)', [], { signal: abort.signal });
    const asleep = `SELECT 1 FROM pg_stat_activity WHERE pid = $1 AND wait_event = 'PgSleep'`;
    while ((await query(asleep, [before?.['pid']])).length === 0);
    abort.abort();
    expect(await codeOf(sleeping)).toBe('ABORTED');
    expect(await query(asleep, [before?.['pid']])).toEqual([]);
    expect(await database.read('SELECT pg_backend_pid() AS pid')).toEqual([before]);
  });

  test('a statement that takes too long is cancelled: TIMEOUT', async () => {
    const database = open({ url, statementTimeoutMs: 50 });
    expect(await codeOf(database.read('SELECT pg_sleep(60)'))).toBe('TIMEOUT');
  });

  test('a borrowed pool stays open, and its sessions keep their settings', async () => {
    const pool = new pg.Pool({ connectionString: url, max: 1 });
    const database = open({ pool });
    const settings = `SELECT current_setting('statement_timeout') AS a,
      current_setting('search_path') AS b, current_setting('jit') AS c`;
    const before = (await pool.query(settings)).rows;
    await database.snapshot((transaction) => transaction.query('SELECT 1'));
    await database.close();
    expect((await pool.query(settings)).rows).toEqual(before);
    expect(await codeOf(database.read('SELECT 1'))).toBe('CLOSED');
    await pool.end();
  });

  test('twenty starters migrate an empty database once', async () => {
    const schema = freshSchema();
    const starters = Array.from({ length: 20 }, () => open({ url, schema, maxConnections: 1 }));
    await Promise.all(starters.map((database) => migrate(database, [sharedSchema])));
    const rows = await query(`SELECT part, version FROM ${schema}.migration`);
    expect(rows).toEqual(
      sharedSchema.migrations.map(({ version }) => ({ part: 'shared', version })),
    );
  });

  test('a schema of a newer version is refused', async () => {
    const schema = freshSchema();
    const database = open({ url, schema });
    await migrate(database, [sharedSchema]);
    await query(`INSERT INTO ${schema}.migration (part, version) VALUES ('shared', 99)`);
    await expect(migrate(database, [sharedSchema])).rejects.toMatchObject({
      code: 'INCOMPATIBLE',
      details: { stored: 99, known: sharedSchema.migrations.length },
    });
  });

  const told: Readonly<Record<string, string>> = {
    ...{ '53100': 'EXHAUSTED', '53200': 'EXHAUSTED', XX001: 'CORRUPT', XX002: 'CORRUPT' },
    ...{ '42501': 'FORBIDDEN', '22021': 'INVALID', '54000': 'INVALID', '54001': 'INVALID' },
    ...{ '25006': 'UNAVAILABLE', P0001: 'INTERNAL', '42P01': 'INTERNAL' },
  };
  test.each(Object.entries(told))('what the server says as %s is %s', async (state, code) => {
    const database = open({ url });
    const failing = database.write(raising(state));
    await expect(failing).rejects.toMatchObject({ code, details: { sqlState: state } });
    await expect(failing).rejects.not.toMatchObject({ details: { outcome: 'unknown' } });
  });

  const passing = ['40001', '40P01', '55P03', '57014', '53300'];
  test.each(passing)('a write that the server undid with %s is made again', async (state) => {
    const database = open({ url });
    await database.write(`CREATE SEQUENCE public.tried_${state}`);
    // The third time it passes; a sequence counts also what is undone.
    await database.write(`DO $$ BEGIN
      IF nextval('public.tried_${state}') < 3 THEN RAISE EXCEPTION USING ERRCODE = '${state}'; END IF;
    END $$`);
    const [row] = await database.read(`SELECT last_value AS n FROM public.tried_${state}`);
    expect(row).toEqual({ n: 3 });
  });

  test('what the server keeps undoing is given up at last, nothing having changed', async () => {
    const database = open({ url, retryMs: 100 });
    await expect(database.write(raising('40001'))).rejects.toMatchObject({
      code: 'UNAVAILABLE',
      message: expect.stringContaining('nothing was changed'),
      details: { sqlState: '40001' },
    });
  });

  test('a write that was sent when the server ended the session is not made again', async () => {
    const database = open({ url });
    await database.write('CREATE SEQUENCE public.ended');
    const ending = `DO $$ BEGIN
      PERFORM nextval('public.ended'), pg_terminate_backend(pg_backend_pid()); PERFORM pg_sleep(9);
    END $$`;
    await expect(database.write(ending)).rejects.toMatchObject({
      code: 'UNAVAILABLE',
      details: { outcome: 'unknown' },
    });
    expect(await database.read('SELECT last_value AS n FROM public.ended')).toEqual([{ n: 1 }]);
  });

  test('an abort is heeded though the pool has no connection for a cancel', async () => {
    const pool = new pg.Pool({ connectionString: url, max: 1 });
    pool.on('error', () => undefined);
    const database = open({ pool });
    const abort = new AbortController();
    const sleeping = database.read('SELECT pg_sleep(60)', [], { signal: abort.signal });
    const asleep = `SELECT 1 FROM pg_stat_activity
      WHERE datname = current_database() AND wait_event = 'PgSleep'`;
    while ((await query(asleep)).length === 0);
    abort.abort();
    expect(await codeOf(sleeping)).toBe('ABORTED');
    expect(await database.read('SELECT 1 AS one')).toEqual([{ one: 1 }]);
    await pool.end();
  });

  test('no secret is in an error, nor where one looks', async () => {
    const wrong = url.replace(/\/\/([^:]+):[^@]+@/, '//$1:not-the-secret@');
    const database = open({ url: wrong, retryMs: 1 });
    const error = await database.read('SELECT 1').catch((fault: unknown) => fault);
    expect(isKeelsonError(error, 'FORBIDDEN')).toBe(true);
    const seen = inspect([error, database], { depth: 20, showHidden: true });
    expect(seen).not.toContain('not-the-secret');
    expect(JSON.stringify([error, database])).not.toContain('not-the-secret');
    const unread = () => new PgDatabase({ url: 'postgres://u:not-the-secret@[' });
    expect(unread).toThrow(expect.objectContaining({ code: 'INVALID' }));
    expect(unread).not.toThrow(/not-the-secret/);
  });
});
