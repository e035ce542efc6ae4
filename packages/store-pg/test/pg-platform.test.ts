import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { inspect } from 'node:util';
import { openPlatform, type Platform } from '@keelson/core';
import pg from 'pg';
import { afterEach, expect, test } from 'vitest';
import { type PgBackend, pgBackend } from '../src/index.ts';
import { describeOnPg } from './server/test-database.ts';

await describeOnPg('a platform whose metadata are in PostgreSQL', ({ url, freshSchema, query }) => {
  const opened: Platform[] = [];
  const directories: string[] = [];

  async function open(schema: string, metadata = pgBackend({ url, schema })): Promise<Platform> {
    const parent = mkdtempSync(join(tmpdir(), 'keelson-pg-platform-'));
    directories.push(parent);
    const platform = await openPlatform({ dir: join(parent, '.keelson'), metadata });
    opened.push(platform);
    return platform;
  }

  async function openBoth(backend: PgBackend): Promise<Platform> {
    const parent = mkdtempSync(join(tmpdir(), 'keelson-pg-platform-'));
    directories.push(parent);
    const dir = join(parent, '.keelson');
    const platform = await openPlatform({ dir, metadata: backend, series: backend });
    opened.push(platform);
    return platform;
  }

  afterEach(async () => {
    for (const platform of opened.splice(0)) await platform.close();
    for (const directory of directories.splice(0)) rmSync(directory, { recursive: true });
  });

  test('tracks a run, which another process finds', async () => {
    const schema = freshSchema();
    const platform = await open(schema);
    const run = await platform.tracking.withRun({ experiment: 'weather' }, async (active) => {
      await active.logParams({ trees: 50, optimizer: { rate: 1e-3 } });
      active.logMetric('loss', 0.25, { step: 1 });
      await active.setTags({ team: 'vision' });
      await active.logText('note.txt', 'hello');
      await active.flush();
      return active.id;
    });
    const other = await open(schema);
    const found = await other.tracking.searchRuns({
      experiment: 'weather',
      filter: "params.trees > 40 AND tags.team = 'vision'",
      orderBy: ['params.optimizer.rate DESC'],
    });
    expect(found.runs.map(({ id, status }) => [id, status])).toEqual([[run, 'COMPLETED']]);
  });

  test('with its series there too: metrics are logged by the thread, searched beside params, kept alive', async () => {
    const schema = freshSchema();
    const backend = pgBackend({ url, schema });
    const platform = await openBoth(backend);
    const { tracking } = platform;
    const ids: string[] = [];
    for (const rate of [0.1, 0.2, 0.3]) {
      const run = await tracking.startRun({ experiment: 'sweep', params: { rate } });
      for (let step = 0; step < 1_000; step += 1) run.logMetric('loss', rate * step, { step });
      run.logMetric('odd', Number.NaN);
      await run.finish();
      ids.push(run.id);
    }
    const other = await openBoth(pgBackend({ url, schema }));
    const found = await other.tracking.searchRuns({
      filter: 'metrics.loss > 150 AND params.rate < 0.25 AND metrics.loss.count = 1000',
      orderBy: ['metrics.loss.max DESC'],
    });
    expect(found.runs.map(({ id }) => id)).toEqual([ids[1]]);
    expect(found.runs[0]?.metrics).toEqual({ loss: 0.2 * 999, odd: Number.NaN });
    const history = await other.tracking.getMetricHistory(ids[2] as string, 'loss');
    expect(history.steps.length).toBe(1_000);
    const page = await other.tracking.downsampleMetric(ids[2] as string, 'loss', { buckets: 10 });
    expect(page.length).toBe(10);
    const open = await tracking.startRun({ experiment: 'sweep' });
    await other.tracking.deleteRun(ids[0] as string);
    await other.operations.gc({ olderThanMs: 0 });
    await expect(other.tracking.getRun(ids[0] as string)).rejects.toMatchObject({
      code: 'NOT_FOUND',
    });
    for (let beats = 0; beats === 0; ) {
      beats = (await query(`SELECT 1 FROM ${schema}.heartbeat WHERE run = $1`, [open.id])).length;
    }
    await open.finish();
    await expect(platform.operations.backup('/nowhere')).rejects.toMatchObject({
      code: 'UNSUPPORTED',
      message: expect.stringContaining('pg_dump'),
    });
  });

  test('a borrowed pool as series: the thread takes its address', async () => {
    const pool = new pg.Pool({ connectionString: url });
    const platform = await openBoth(pgBackend({ pool, schema: freshSchema() }));
    const run = await platform.tracking.startRun({ experiment: 'e' });
    run.logMetric('loss', 1);
    await run.finish();
    expect((await platform.tracking.getRun(run.id)).metrics).toEqual({ loss: 1 });
    await platform.close();
    await pool.end();
    const certified = new pg.Pool({ host: 'db', ssl: { rejectUnauthorized: true } });
    await expect(openBoth(pgBackend({ pool: certified }))).rejects.toMatchObject({
      code: 'UNSUPPORTED',
      message: expect.stringContaining('Give pgBackend a url'),
    });
    await certified.end();
  });

  test('says what cannot be searched where the series are elsewhere', async () => {
    const platform = await open(freshSchema());
    await platform.tracking.withRun({ experiment: 'weather' }, async () => undefined);
    const searching = platform.tracking.searchRuns({ filter: 'metrics.loss < 1' });
    await expect(searching).rejects.toMatchObject({
      code: 'UNSUPPORTED',
      message: expect.stringContaining('one backend as metadata and as series'),
    });
  });

  test('closes what it opened, and leaves a borrowed pool open', async () => {
    const pool = new pg.Pool({ connectionString: url });
    const schema = freshSchema();
    const platform = await open(schema, pgBackend({ pool, schema }));
    await platform.tracking.createExperiment({ name: 'one' });
    await platform.close();
    expect((await pool.query('SELECT 1 AS one')).rows).toEqual([{ one: 1 }]);
    await pool.end();
    const own = await open(freshSchema());
    await own.close();
    // The server notices a little later; what was left open would never go.
    const left = `SELECT 1 FROM pg_stat_activity
      WHERE application_name = 'keelson' AND datname = current_database()`;
    while ((await query(left)).length > 0);
  });

  test('one backend serves two platforms; the last one closes it', async () => {
    const schema = freshSchema();
    const backend = pgBackend({ url, schema });
    const [one, other] = [await open(schema, backend), await open(schema, backend)];
    await one.tracking.createExperiment({ name: 'shared' });
    await one.close();
    expect((await other.tracking.getExperiment('shared')).name).toBe('shared');
    await other.close();
    await expect(backend.health()).rejects.toMatchObject({ code: 'CLOSED' });
    const again = await open(schema, backend);
    expect((await again.tracking.getExperiment('shared')).name).toBe('shared');
  });

  test('shows no secret to who inspects or logs a backend', () => {
    const backend = pgBackend({ url: 'postgres://ana:not-the-secret@localhost/db' });
    expect(inspect(backend, { depth: 10, showHidden: true })).not.toContain('not-the-secret');
    expect(JSON.stringify(backend)).not.toContain('not-the-secret');
  });

  test('refuses options that it does not know', () => {
    const typo = { url, shema: 'x' } as unknown as Parameters<typeof pgBackend>[0];
    expect(() => pgBackend(typo)).toThrow(expect.objectContaining({ code: 'INVALID' }));
    for (const wrong of [
      {},
      { url, pool: {} },
      { pool: {} },
      { url: 'mysql://x' },
      { url, schema: 'X y' },
    ]) {
      expect(() => pgBackend(wrong as never)).toThrow(expect.objectContaining({ code: 'INVALID' }));
    }
  });
});
