import type { Change, KindDeclaration } from '@keelson/core';
import pg from 'pg';
import { expect, test } from 'vitest';
import { judge, type PgHealth } from '../src/connection/pg-health.ts';
import { pgBackend } from '../src/index.ts';
import { PgCluster } from './server/cluster.ts';
import { describeOnPg } from './server/test-database.ts';
import { silentLogger } from './silent-logger.ts';

const kinds: readonly KindDeclaration[] = [
  { name: 'thing', columns: { n: { type: 'integer' } }, indexes: [['n']], history: 'none' },
];

const create = (id: string): Change => ({ op: 'create', kind: 'thing', id, columns: { n: 1 } });

await describeOnPg('a replica', ({ url, freshSchema }) => {
  test('answers searches, and never from before what was committed', async () => {
    await using primary = await PgCluster.start();
    await using standby = await primary.standby();
    const pool = new pg.Pool({ connectionString: standby.url(), max: 3 });
    pool.on('error', () => undefined);
    let asked = 0;
    pool.on('acquire', () => {
      asked += 1;
    });
    const backend = pgBackend({ url: primary.url(), replica: { pool } });
    const store = await backend.openMetadata({ kinds, logger: silentLogger });
    const write = (id: string): Promise<unknown> =>
      store.commit({ workspace: 'w', principal: 'p', changes: [create(id)] });
    const count = async (): Promise<number> => {
      const { records } = await store.query('w', 'thing', { limit: 1_000 });
      expect(await store.count('w', 'thing', undefined, { exact: true })).toEqual({
        count: records.length,
        exact: true,
      });
      return records.length;
    };
    for (let n = 1; n <= 20; n += 1) {
      await write(`t${n}`);
      expect(await count()).toBe(n);
    }
    expect(asked).toBeGreaterThan(20);
    expect(await backend.health()).toMatchObject({ replica: { bytes: expect.any(Number) } });

    // It stands still: the primary answers.
    await pool.query('SELECT pg_wal_replay_pause()');
    await write('paused');
    expect(await count()).toBe(21);
    const held = await backend.health();
    expect(held.replica).toMatchObject({ bytes: expect.any(Number) });
    expect((held.replica as { bytes: number }).bytes).toBeGreaterThan(0);
    await pool.query('SELECT pg_wal_replay_resume()');

    // It is away: the primary answers, and it is not asked again at once.
    await standby.down();
    await write('away');
    expect(await count()).toBe(22);
    expect(await count()).toBe(22);
    expect(await backend.health()).toMatchObject({ replica: expect.stringContaining('reached') });
    const [check] = backend.checks();
    expect(await check?.run(AbortSignal.timeout(10_000))).toMatchObject({
      status: 'DEGRADED',
      message: expect.stringContaining('replica'),
    });
    await store.close();
    await pool.end();
  });

  test('health tells of the pool, of old transactions, of emitters; its checks judge', async () => {
    const schema = freshSchema();
    const backend = pgBackend({ url, schema, maxConnections: 2 });
    const [check] = backend.checks();
    await expect(backend.health()).rejects.toMatchObject({ code: 'CLOSED' });
    expect(await check?.run(AbortSignal.timeout(10_000))).toMatchObject({ status: 'UNKNOWN' });
    const store = await backend.openMetadata({ kinds, logger: silentLogger });
    expect(await check?.run(AbortSignal.timeout(10_000))).toMatchObject({ status: 'HEALTHY' });
    const client = new pg.Client({ connectionString: url });
    client.on('error', () => undefined);
    await client.connect();
    await client.query(
      `BEGIN; LOCK TABLE ${schema}.event IN ROW EXCLUSIVE MODE; SELECT pg_sleep(0.01)`,
    );
    const health = await backend.health();
    expect(health).toMatchObject({ pool: { total: expect.any(Number), waiting: 0 } });
    expect(health.oldestEmitterMs).toBeGreaterThan(0);
    expect(health.oldestTransactionMs).toBeGreaterThanOrEqual(health.oldestEmitterMs);
    expect('replica' in health).toBe(false);
    await client.end();
    await store.close();
  });

  test('each figure that is too high is said', () => {
    const good: PgHealth = {
      ...{ roundTripMs: 1, pool: { total: 1, idle: 1, waiting: 0 }, oldestTransactionMs: 1 },
      ...{ xminAge: 1, oldestEmitterMs: 1, replica: { bytes: 0, ms: 0 } },
    };
    expect(judge(good)).toMatchObject({ status: 'HEALTHY', details: good });
    const bad: readonly (readonly [Partial<PgHealth>, string])[] = [
      [{ pool: { total: 2, idle: 0, waiting: 3 } }, '3 callers'],
      [{ oldestEmitterMs: 20_000 }, 'holds up events'],
      [{ oldestTransactionMs: 3_600_000 }, 'vacuum'],
      [{ xminAge: 5_000_000 }, '5000000 transactions'],
      [{ replica: { bytes: 5, ms: 90_000 } }, '90000 ms'],
      [{ replica: 'away' }, 'away'],
    ];
    for (const [figures, said] of bad) {
      expect(judge({ ...good, ...figures })).toMatchObject({
        status: 'DEGRADED',
        message: expect.stringContaining(said),
      });
    }
  });
});
