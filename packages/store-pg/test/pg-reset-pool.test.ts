import type { Fault, Recovery } from '@keelson/core';
import { TcpProxy } from '@keelson/core/testing';
import pg from 'pg';
import { expect, onTestFinished, test } from 'vitest';
import { type PgBackend, type PgConnectionOptions, pgBackend } from '../src/index.ts';
import { describeOnPg } from './server/test-database.ts';
import { silentLogger } from './silent-logger.ts';

const kinds = [{ name: 'thing', columns: {}, history: 'none' }] as const;
const fault: Fault = {
  ...{ check: 'database', component: 'database', status: 'UNHEALTHY', message: 'away' },
  lastedMs: 180_000,
};
const { signal } = new AbortController();

await describeOnPg('the pool is reset', ({ url, freshSchema }) => {
  async function open(options: PgConnectionOptions) {
    const backend = pgBackend(options);
    const store = await backend.openMetadata({ kinds, logger: silentLogger });
    onTestFinished(() => store.close());
    return { store, recovery: recoveryOf(backend) };
  }

  test('where every connection is stuck: calls go through new ones at once', async () => {
    await using proxy = await TcpProxy.open(url);
    const { store, recovery } = await open({
      ...{ url: proxy.url, schema: freshSchema(), maxConnections: 2 },
    });
    expect(recovery.canHandle(fault)).toBe(true);
    expect(recovery.canHandle({ ...fault, check: 'disk' })).toBe(false);
    await store.ping();
    proxy.hold();
    const waiting = [1, 2, 3].map(() => store.ping());
    // The network forgets them: they stay open on our side, and new ones pass.
    proxy.forget();
    expect(await recovery.run(signal, fault)).toMatchObject({ outcome: 'SUCCESS' });
    // Those that waited for a connection have one of the new ones; the one that had one is cut.
    await Promise.all(waiting.slice(1));
    expect(await store.find('w', 'thing', 'none')).toBeUndefined();
    proxy.cut();
    await waiting[0];
  });

  test('where the server is away it has failed, and says so; back, all goes on', async () => {
    await using proxy = await TcpProxy.open(url);
    const { store, recovery } = await open({ url: proxy.url, schema: freshSchema() });
    proxy.away();
    expect(await recovery.run(signal, fault)).toMatchObject({ outcome: 'FAILED' });
    proxy.back();
    await store.ping();
  });

  test('a borrowed pool is its owner’s to reset', async () => {
    const pool = new pg.Pool({ connectionString: url });
    onTestFinished(() => pool.end());
    const { recovery } = await open({ pool, schema: freshSchema() });
    expect(await recovery.run(signal, fault)).toMatchObject({ outcome: 'MANUAL_REQUIRED' });
  });
});

function recoveryOf(backend: PgBackend): Recovery {
  const recovery = backend.caretaker().recoveries?.find(({ name }) => name === 'reset the pool');
  if (recovery === undefined) throw new Error('There is no such recovery.');
  return recovery;
}
