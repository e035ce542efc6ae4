import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { inspect } from 'node:util';
import { openPlatform, type Platform } from '@keelson/core';
import pg from 'pg';
import { afterEach, expect, test } from 'vitest';
import { pgBackend } from '../src/index.ts';
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
