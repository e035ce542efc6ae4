import type { Change, KindDeclaration, MetadataStore } from '@keelson/core';
import { TcpProxy } from '@keelson/core/testing';
import pg from 'pg';
import { expect, onTestFinished, test } from 'vitest';
import type { PgConnectionOptions } from '../src/index.ts';
import { pgBackend } from '../src/index.ts';
import { PgCluster } from './server/cluster.ts';
import { createTestDatabase, describeOnPg } from './server/test-database.ts';
import { silentLogger } from './silent-logger.ts';

const kinds: readonly KindDeclaration[] = [
  {
    name: 'thing',
    columns: { n: { type: 'integer', optional: true }, code: { type: 'text', optional: true } },
    unique: [{ name: 'thing code', columns: ['code'] }],
    history: 'kept',
  },
];

const create = (id: string, code?: string): Change => {
  return { op: 'create', kind: 'thing', id, columns: { n: 0, code } };
};
const increase = (id: string): Change => ({ op: 'adjust', kind: 'thing', id, column: 'n', by: 1 });
const emit = (id: string): Change => ({
  op: 'emit',
  event: {
    ...{ id, type: 'thing.changed', subject: `thing:${id}`, source: 'test', at: 1, payload: {} },
    ...{ schemaVersion: 1, correlationId: 'c', principal: 'p' },
  },
});

function commit(store: MetadataStore, ...changes: readonly Change[]): Promise<unknown> {
  return store.commit({ workspace: 'w', principal: 'p', changes });
}

async function open(options: PgConnectionOptions): Promise<MetadataStore> {
  const store = await pgBackend(options).openMetadata({ kinds, logger: silentLogger });
  onTestFinished(() => store.close());
  return store;
}

/** A session of somebody else. */
async function session(url: string): Promise<pg.Client> {
  const client = new pg.Client({ connectionString: url, application_name: 'somebody else' });
  client.on('error', () => undefined);
  await client.connect();
  onTestFinished(() => client.end());
  return client;
}

await describeOnPg('faults', ({ url, freshSchema, query }) => {
  /** The processes of stores that wait for a lock, as soon as there are so many. */
  async function waiting(count = 1): Promise<readonly number[]> {
    const text = `SELECT pid FROM pg_stat_activity WHERE datname = current_database()
      AND application_name = 'keelson' AND wait_event_type = 'Lock'`;
    for (;;) {
      const rows = await query(text);
      if (rows.length >= count) return rows.map(({ pid }) => Number(pid));
    }
  }

  async function numberOf(store: MetadataStore, id: string): Promise<unknown> {
    return (await store.find('w', 'thing', id))?.columns['n'];
  }

  /** A session that has the record's row, until it is told to let it go. */
  async function holding(schema: string, id: string): Promise<pg.Client> {
    const holder = await session(url);
    await holder.query('BEGIN');
    await holder.query(`SELECT 1 FROM ${schema}.rec_thing WHERE id = $1 FOR UPDATE`, [id]);
    return holder;
  }

  test('a commit whose connection breaks says that its outcome is unknown, and it is one or the other', async () => {
    const schema = freshSchema();
    await using proxy = await TcpProxy.open(url);
    const store = await open({ url: proxy.url, schema });
    await commit(store, create('a'));
    const holder = await holding(schema, 'a');
    const committing = commit(store, increase('a'), emit('e'));
    await waiting();
    proxy.cut();
    await expect(committing).rejects.toMatchObject({
      code: 'UNAVAILABLE',
      details: { outcome: 'unknown' },
      message: expect.stringContaining('wholly there or wholly absent'),
    });
    // The server has not noticed yet: the commit goes on as soon as it can.
    await holder.query('ROLLBACK');
    const idle = `SELECT 1 FROM pg_stat_activity WHERE datname = current_database()
      AND application_name = 'keelson' AND state = 'active'`;
    while ((await query(idle)).length > 0);
    const { events } = await store.readEvents({ workspace: 'w', limit: 10 });
    expect([await numberOf(store, 'a'), events.length]).toEqual(
      events.length === 1 ? [1, 1] : [0, 0],
    );
  });

  test('a read whose connection breaks is made again', async () => {
    const schema = freshSchema();
    await using proxy = await TcpProxy.open(url);
    const store = await open({ url: proxy.url, schema });
    await commit(store, create('a'));
    const blocker = await session(url);
    await blocker.query(`BEGIN; LOCK TABLE ${schema}.rec_thing`);
    const found = store.find('w', 'thing', 'a');
    const page = store.query('w', 'thing', {});
    await waiting(2);
    proxy.cut();
    await blocker.query('ROLLBACK');
    expect([(await found)?.id, (await page).records.length]).toEqual(['a', 1]);
  });

  test('a lock that takes too long is waited for again, and at last UNAVAILABLE, nothing changed', async () => {
    const schema = freshSchema();
    const patient = await open({ url, schema, lockTimeoutMs: 50 });
    const hasty = await open({ url, schema, lockTimeoutMs: 20, retryMs: 100 });
    await commit(patient, create('a'));
    const holder = await holding(schema, 'a');
    await expect(commit(hasty, increase('a'))).rejects.toMatchObject({
      code: 'UNAVAILABLE',
      message: expect.stringContaining('nothing was changed'),
      details: { sqlState: '55P03' },
    });
    const committing = commit(patient, increase('a'));
    await waiting();
    await holder.query('ROLLBACK');
    await committing;
    expect(await numberOf(patient, 'a')).toBe(1);
  });

  test('a commit that somebody cancels on the server is made again', async () => {
    const schema = freshSchema();
    const store = await open({ url, schema });
    await commit(store, create('a'));
    const holder = await holding(schema, 'a');
    const committing = commit(store, increase('a'));
    const [pid] = await waiting();
    await query('SELECT pg_cancel_backend($1)', [pid]);
    await waiting();
    await holder.query('ROLLBACK');
    await committing;
    expect(await numberOf(store, 'a')).toBe(1);
  });

  test('commits that take the same keys in opposite orders all come to an answer', async () => {
    const store = await open({ url, schema: freshSchema() });
    const rounds = Array.from({ length: 30 }, (_, round) =>
      [0, 1].map((side) => {
        const one = create(`${round}-${side}-a`, `${round}-${side}`);
        const other = create(`${round}-${side}-b`, `${round}-${1 - side}`);
        return commit(store, one, other);
      }),
    );
    const ended = await Promise.allSettled(rounds.flat());
    const codes = ended.map((one) => (one.status === 'fulfilled' ? 'passed' : one.reason.code));
    expect(codes.filter((code) => code === 'passed').length).toBe(30);
    expect(codes.filter((code) => code === 'CONFLICT').length).toBe(30);
  });

  test('two commits of which each relies on what the other does not do are never both made', async () => {
    const store = await open({ url, schema: freshSchema() });
    const absent = (id: string): Change => {
      return { op: 'assert', kind: 'thing', id, expect: 'absent' };
    };
    const at = (id: string): Change => ({ op: 'assert', kind: 'thing', id, expect: 1 });
    const change = (id: string): Change => {
      return { op: 'replace', kind: 'thing', id, expect: 1, columns: { n: 7 } };
    };
    await commit(store, ...Array.from({ length: 60 }, (_, i) => create(`there-${i}`)));
    const both = Array.from({ length: 30 }, (_, round) => {
      const [a, b] = [`new-${round}-a`, `new-${round}-b`];
      const [c, d] = [`there-${2 * round}`, `there-${2 * round + 1}`];
      return [
        Promise.allSettled([
          commit(store, absent(a), create(b)),
          commit(store, absent(b), create(a)),
        ]),
        Promise.allSettled([commit(store, at(c), change(d)), commit(store, at(d), change(c))]),
      ];
    });
    for (const pair of both.flat()) {
      const ended = await pair;
      const codes = ended.map((one) => (one.status === 'fulfilled' ? 'passed' : one.reason.code));
      expect(codes.toSorted()).toEqual(['STALE', 'passed']);
    }
  });

  test('an aborted search is ABORTED at once, and nothing of it goes on on the server', async () => {
    const schema = freshSchema();
    const store = await open({ url, schema });
    await commit(store, create('a'));
    const blocker = await session(url);
    await blocker.query(`BEGIN; LOCK TABLE ${schema}.rec_thing`);
    const abort = new AbortController();
    const { signal } = abort;
    const searches = [
      store.query('w', 'thing', {}, { signal }),
      store.count('w', 'thing', undefined, { signal }),
    ];
    const ended = Promise.allSettled(searches);
    const pids = await waiting(2);
    abort.abort();
    expect(await ended).toMatchObject(searches.map(() => ({ reason: { code: 'ABORTED' } })));
    const still = await query(
      "SELECT 1 FROM pg_stat_activity WHERE pid = ANY ($1) AND state <> 'idle'",
      [pids],
    );
    expect(still).toEqual([]);
    await blocker.query('ROLLBACK');
    expect((await store.query('w', 'thing', {})).records.length).toBe(1);
  });

  test('an abort ends the wait for a connection', async () => {
    const schema = freshSchema();
    const store = await open({ url, schema, maxConnections: 1 });
    await commit(store, create('a'));
    const holder = await holding(schema, 'a');
    const committing = commit(store, increase('a'));
    await waiting();
    const abort = new AbortController();
    const search = store.query('w', 'thing', {}, { signal: abort.signal });
    abort.abort();
    await expect(search).rejects.toMatchObject({ code: 'ABORTED' });
    await holder.query('ROLLBACK');
    await committing;
    expect(await numberOf(store, 'a')).toBe(1);
  });

  test('a pool without a free connection is UNAVAILABLE after a while', async () => {
    const schema = freshSchema();
    // Long enough to connect at all on a busy machine.
    const limits = { maxConnections: 1, connectTimeoutMs: 1_000, retryMs: 20 };
    const store = await open({ url, schema, ...limits });
    await commit(store, create('a'));
    const holder = await holding(schema, 'a');
    const committing = commit(store, increase('a'));
    await waiting();
    await expect(store.ping()).rejects.toMatchObject({ code: 'UNAVAILABLE' });
    await holder.query('ROLLBACK');
    await committing;
  });

  test('who waits for events hears of them after the listening connection was ended', async () => {
    const schema = freshSchema();
    const store = await open({ url, schema });
    const writer = await open({ url, schema });
    const listening = `SELECT pid FROM pg_stat_activity WHERE datname = current_database()
      AND query LIKE 'LISTEN "keelson events ${schema}"%'`;
    let after = await store.latestEventCursor();
    for (let round = 0; round < 3; round += 1) {
      const heard = store.waitForEvents(after, { timeoutMs: 30_000 });
      while ((await query(listening)).length === 0);
      await query(`SELECT pg_terminate_backend(pid) FROM (${listening}) AS l`);
      await commit(writer, emit(`e${round}`));
      expect(await heard).toBe(true);
      after = await store.latestEventCursor();
    }
  });

  test('a pool that is borrowed is looked at for events without a listener', async () => {
    const pool = new pg.Pool({ connectionString: url, max: 1 });
    onTestFinished(() => pool.end());
    const store = await open({ pool, schema: freshSchema() });
    const after = await store.latestEventCursor();
    const heard = store.waitForEvents(after, { timeoutMs: 30_000 });
    await commit(store, emit('e'));
    expect(await heard).toBe(true);
  });

  test('a write transaction of somebody else, in this database or another, holds up no event', async () => {
    const schema = freshSchema();
    const store = await open({ url, schema });
    const elsewhere = new URL(url);
    elsewhere.pathname = '/postgres';
    for (const place of [url, elsewhere.href]) {
      const other = await session(place);
      await other.query('BEGIN; CREATE TEMPORARY TABLE theirs (n integer)');
      const { rows } = await other.query('SELECT pg_current_xact_id_if_assigned() AS xid');
      expect(rows[0].xid).not.toBeNull();
      const after = await store.latestEventCursor();
      await commit(store, emit(place));
      expect(await store.waitForEvents(after, { timeoutMs: 0 })).toBe(true);
      const { events } = await store.readEvents({ after, limit: 10 });
      expect(events.map(({ id }) => id)).toEqual([place]);
      await other.query('ROLLBACK');
    }
  });

  test('a commit that began earlier and ends later is waited for, and not skipped', async () => {
    const schema = freshSchema();
    const store = await open({ url, schema });
    await commit(store, create('slow'));
    const holder = await holding(schema, 'slow');
    const start = await store.latestEventCursor();
    const slow = commit(store, emit('first'), increase('slow'));
    await waiting();
    await commit(store, emit('second'));
    // What is committed cannot be given out yet: the slow one has the lower number.
    const early = await store.readEvents({ after: start, limit: 10 });
    expect(early.events).toEqual([]);
    await holder.query('ROLLBACK');
    await slow;
    const { events } = await store.readEvents({ after: early.cursor, limit: 10 });
    expect(events.map(({ id }) => id).toSorted()).toEqual(['first', 'second']);
  });
});

await describeOnPg('a server that is not there', ({ url }) => {
  test('is UNAVAILABLE with its address, and without the password', async () => {
    const away = new URL(url);
    away.port = '1';
    const opening = open({ url: away.href, retryMs: 50 });
    await expect(opening).rejects.toMatchObject({
      code: 'UNAVAILABLE',
      message: expect.stringContaining('127.0.0.1:1'),
    });
    await expect(opening).rejects.not.toThrow(decodeURIComponent(away.password));
  });

  test('a database that is not there, and a user without privileges, are named', async () => {
    const nowhere = new URL(url);
    nowhere.pathname = '/nowhere_at_all';
    await expect(open({ url: nowhere.href })).rejects.toMatchObject({
      code: 'UNAVAILABLE',
      message: expect.stringContaining('Create the database first'),
    });
  });

  test('a user who may create nothing is refused by name, one who has the schema is not', async () => {
    const admin = await session(url);
    const role = `limited_${process.pid}`;
    await admin.query(`CREATE ROLE ${role} LOGIN PASSWORD 'limited'`);
    onTestFinished(async () => {
      await admin.query(`DROP OWNED BY ${role}; DROP ROLE ${role}`);
    });
    const limited = new URL(url);
    limited.username = role;
    limited.password = 'limited';
    await expect(open({ url: limited.href, schema: 'theirs' })).rejects.toMatchObject({
      code: 'FORBIDDEN',
      message: expect.stringContaining('lacks a privilege'),
    });
    await admin.query(`CREATE SCHEMA theirs AUTHORIZATION ${role}`);
    const store = await open({ url: limited.href, schema: 'theirs' });
    await commit(store, create('a'), emit('e'));
    expect((await store.readEvents({ limit: 1 })).events.length).toBe(1);
    await store.close();
  });

  test('events go on after a dump was put back into a server that counts from the beginning', async () => {
    await using cluster = await PgCluster.start();
    const database = await createTestDatabase(cluster.url());
    const place = { url: database.url, schema: 'keelson' };
    const before = await pgBackend(place).openMetadata({ kinds, logger: silentLogger });
    await commit(before, emit('old'));
    const cursor = await before.latestEventCursor();
    await before.close();
    // As a dump from a server that has counted further.
    await database.query(`ALTER TABLE keelson.event DISABLE TRIGGER event_immutable;
      UPDATE keelson.event SET tx = tx + 1000000;
      ALTER TABLE keelson.event ENABLE TRIGGER event_immutable`);
    const [, tx = '', seq = ''] = /^(\d+)\.(\d+)$/.exec(cursor) ?? [];
    const after = `${Number(tx) + 1_000_000}.${seq}`;
    const store = await open(place);
    await commit(store, emit('new'));
    expect(await store.waitForEvents(after, { timeoutMs: 0 })).toBe(true);
    const { events } = await store.readEvents({ limit: 10 });
    expect(events.map(({ id }) => id)).toEqual(['old', 'new']);
  });
});
