import { join } from 'node:path';
import type { Change, MetadataStore } from '@keelson/core';
import { quantile, sorted } from '@keelson/core/statistics';
import { SqliteMetadataStore } from '../packages/core/src/embedded/sqlite-metadata-store.ts';
import { draftEvent } from '../packages/core/src/events/draft-event.ts';
import { createEvents, type Events } from '../packages/core/src/events/events.ts';
import type { EventHandler } from '../packages/core/src/events/subscription.ts';
import { LoopRunner } from '../packages/core/src/operations/loop-runner.ts';
import { scopeOn, subscriptionScenarioKinds } from '../packages/core/test/subscription-scenario.ts';
import { pgBackend } from '../packages/store-pg/src/index.ts';
import { bareClient } from '../packages/store-pg/test/server/bare-client.ts';
import { openBareDatabase } from './bare-database.ts';
import type { BenchContext } from './benchmark.ts';
import { PgBench } from './pg-server.ts';
import { elapsedMs, inTurns } from './rounds.ts';
import { type Row, rowOf } from './row.ts';

const sizes = {
  smallest: { rounds: 1, singles: 20, batched: 200, dispatched: 200, effects: 40, paced: 10 },
  usual: {
    rounds: 5,
    ...{ singles: 300, batched: 5_000, dispatched: 5_000, effects: 500, paced: 100 },
  },
  full: {
    rounds: 9,
    ...{ singles: 1_000, batched: 20_000, dispatched: 20_000, effects: 2_000, paced: 500 },
  },
};
const subjects = 100;
const batch = 100;
const workspace = 'default';

/** An outbox as one makes it by hand: a table, a cursor, a loop that polls. Figures are events a second. */
interface Outbox extends AsyncDisposable {
  insert(count: number): Promise<void>;
  /** Hands over what is behind the cursor, in pages; `withEffect` commits one for each, once. */
  poll(withEffect: boolean): Promise<number>;
}

/** Events of Keelson on a store. */
interface Side extends AsyncDisposable {
  readonly store: MetadataStore;
}

/**
 * What an event costs: committed alone or by the hundred, handed to a subscription (eight partitions, its
 * places kept, in order for each subject), with an effect that comes once; and how soon a handler begins.
 */
export async function benchEvents(context: BenchContext): Promise<Row[]> {
  const rows: Row[] = [];
  await using server = await PgBench.start();
  const sides = [
    ['SQLite', () => sqliteSide(context.dir), () => sqliteOutbox(context.dir)],
    ['PostgreSQL', () => pgSide(server), () => pgOutbox(server)],
  ] as const;
  for (const [name, open, openOutbox] of sides) {
    await using side = await open();
    await using outbox = await openOutbox();
    rows.push(...(await benchSide(context, name, side.store, outbox)));
  }
  return rows;
}

async function benchSide(
  context: BenchContext,
  name: string,
  store: MetadataStore,
  outbox: Outbox,
): Promise<Row[]> {
  const size = sizes[context.scale];
  const perSecond = (count: number, tookMs: number): number => (count / tookMs) * 1_000;
  const emitted = async (count: number, each: number): Promise<number> => {
    const tookMs = await elapsedMs(async () => {
      for (let n = 0; n < count; n += each) await emit(store, n, each);
    });
    return perSecond(count, tookMs);
  };
  const inserted = async (count: number, each: number): Promise<number> => {
    const tookMs = await elapsedMs(async () => {
      for (let n = 0; n < count; n += each) await outbox.insert(each);
    });
    await outbox.poll(false);
    return perSecond(count, tookMs);
  };
  const dispatched = async (count: number, handler: EventHandler): Promise<number> => {
    const events = createEvents(scopeOn(store), { self: 'bench', dead: () => [] });
    await subscribed(events, handler);
    for (let n = 0; n < count; n += batch) await emit(store, n, Math.min(batch, count - n));
    const tookMs = await elapsedMs(() => events.deliver());
    await events.removeSubscription('bench');
    return perSecond(count, tookMs);
  };
  const polled = async (count: number, withEffect: boolean): Promise<number> => {
    for (let n = 0; n < count; n += batch) await outbox.insert(Math.min(batch, count - n));
    return perSecond(count, await elapsedMs(() => outbox.poll(withEffect)));
  };
  const figures = await inTurns(
    size.rounds,
    {
      single: () => emitted(size.singles, 1),
      bareSingle: () => inserted(size.singles, 1),
      batched: () => emitted(size.batched, batch),
      bareBatched: () => inserted(size.batched, batch),
      dispatch: () => dispatched(size.dispatched, () => undefined),
      bareDispatch: () => polled(size.dispatched, false),
      effect: () => dispatched(size.effects, effectOn(store)),
      bareEffect: () => polled(size.effects, true),
    },
    (round) => context.tell(`events: ${name}, round ${round} of ${size.rounds}`),
  );
  context.tell(`events: ${name}, how soon`);
  const delays = sorted(await delaysOn(store, size.paced));
  const row = (
    what: string,
    of: keyof typeof figures,
    beside: keyof typeof figures,
    by: string,
  ): Row => rowOf(`${name}: ${what}`, '1/s', figures[of], { name: by, values: figures[beside] });
  return [
    row('events committed one by one', 'single', 'bareSingle', 'bare insert, commit'),
    row('events committed by the hundred', 'batched', 'bareBatched', 'bare inserts, commit'),
    row('events dispatched, no effect', 'dispatch', 'bareDispatch', 'a table that is polled'),
    row('events dispatched, an effect each', 'effect', 'bareEffect', 'the same, its effect once'),
    rowOf(`${name}: commit to handler, p50`, 'ms', [quantile(delays, 0.5)]),
    {
      ...rowOf(`${name}: commit to handler, p99`, 'ms', [quantile(delays, 0.99)]),
      goal: { most: 1_000 },
    },
  ];
}

async function emit(store: MetadataStore, from: number, count: number): Promise<void> {
  const scope = scopeOn(store);
  const changes = Array.from({ length: count }, (_, i): Change => {
    const subject = `thing:${(from + i) % subjects}`;
    const payload = { n: from + i };
    const said = { type: 'thing.done', subject, source: 'bench', payload };
    return { op: 'emit', event: draftEvent(scope, said) };
  });
  await store.commit({ workspace, principal: 'bench', changes });
}

function subscribed(events: Events, handler: EventHandler): ReturnType<Events['subscribe']> {
  return events.subscribe('bench', { types: ['thing.done'] }, handler);
}

/** A commit for each event, with its receipt. */
function effectOn(store: MetadataStore): EventHandler {
  return async (event, { receipt }) => {
    const id = `${event.id} tally`;
    const tally: Change = { op: 'create', kind: 'tally', id, columns: { count: 1 } };
    await store.commit({ workspace, principal: 'bench', changes: [receipt(), tally] });
  };
}

/** From just before a commit until its event's handler begins, in ms, while loops run. */
async function delaysOn(store: MetadataStore, count: number): Promise<readonly number[]> {
  const scope = scopeOn(store);
  const runner = new LoopRunner(scope.logger);
  const events = createEvents(scope, { self: 'bench', dead: () => [] }, (loop) => runner.add(loop));
  let begin: () => void = () => undefined;
  const { unsubscribe } = await subscribed(events, () => begin());
  const delays: number[] = [];
  for (let n = 0; n < count; n += 1) {
    const begun = new Promise<void>((resolve) => {
      begin = resolve;
    });
    // At no fixed phase of whatever polls.
    await new Promise((resolve) => setTimeout(resolve, (n * 37) % 150));
    delays.push(
      await elapsedMs(async () => {
        await emit(store, n, 1);
        await begun;
      }),
    );
  }
  await unsubscribe();
  await runner.stop(5_000);
  await events.removeSubscription('bench');
  return delays;
}

async function sqliteSide(dir: string): Promise<Side> {
  const path = join(dir, 'events.db');
  const clock = { now: () => Date.now() };
  const store = await SqliteMetadataStore.open({ path, kinds: subscriptionScenarioKinds, clock });
  return { store, [Symbol.asyncDispose]: () => store.close() };
}

async function pgSide(server: PgBench): Promise<Side> {
  const quiet = (): void => undefined;
  const logger = { debug: quiet, info: quiet, warn: quiet, error: quiet };
  const backend = pgBackend({ url: server.url, schema: server.freshSchema() });
  const store = await backend.openMetadata({ kinds: subscriptionScenarioKinds, logger });
  return { store, [Symbol.asyncDispose]: () => store.close() };
}

const payload = JSON.stringify({ n: 1 });

async function sqliteOutbox(dir: string): Promise<Outbox> {
  const db = openBareDatabase(join(dir, 'outbox.db'));
  db.exec(`CREATE TABLE outbox (seq INTEGER PRIMARY KEY, subject TEXT, payload TEXT);
    CREATE TABLE place (seq INTEGER); INSERT INTO place VALUES (0);
    CREATE TABLE effect (seq INTEGER PRIMARY KEY, n INTEGER)`);
  const insert = db.prepare('INSERT INTO outbox (subject, payload) VALUES (?, ?)');
  const read = db.prepare('SELECT * FROM outbox WHERE seq > ? ORDER BY seq LIMIT 100');
  const move = db.prepare('UPDATE place SET seq = ?');
  const effect = db.prepare('INSERT OR IGNORE INTO effect VALUES (?, 1)');
  let place = 0;
  return {
    async insert(count) {
      db.exec('BEGIN IMMEDIATE');
      for (let n = 0; n < count; n += 1) insert.run(`thing:${n % subjects}`, payload);
      db.exec('COMMIT');
    },
    async poll(withEffect) {
      for (let handled = 0; ; ) {
        const page = read.all(place);
        if (page.length === 0) return handled;
        for (const row of page) {
          JSON.parse(String(row['payload']));
          if (withEffect) effect.run(Number(row['seq']));
          await undefined;
          handled += 1;
        }
        place = Number(page.at(-1)?.['seq']);
        move.run(place);
      }
    },
    async [Symbol.asyncDispose]() {
      db.close();
    },
  };
}

async function pgOutbox(server: PgBench): Promise<Outbox> {
  const bare = await bareClient(server.url);
  const schema = server.freshSchema();
  await bare.query(`CREATE SCHEMA ${schema}; SET search_path TO ${schema};
    CREATE TABLE outbox (seq bigserial PRIMARY KEY, subject text, payload jsonb);
    CREATE TABLE place (seq bigint); INSERT INTO place VALUES (0);
    CREATE TABLE effect (seq bigint PRIMARY KEY, n integer)`);
  let place = 0;
  return {
    async insert(count) {
      const names = Array.from({ length: count }, (_, n) => `thing:${n % subjects}`);
      await bare.query('INSERT INTO outbox (subject, payload) SELECT unnest($1::text[]), $2', [
        ...[names, payload],
      ]);
    },
    async poll(withEffect) {
      for (let handled = 0; ; ) {
        const { rows } = await bare.query(
          'SELECT * FROM outbox WHERE seq > $1 ORDER BY seq LIMIT 100',
          [place],
        );
        if (rows.length === 0) return handled;
        for (const row of rows) {
          if (!withEffect) continue;
          await bare.query('INSERT INTO effect VALUES ($1, 1) ON CONFLICT DO NOTHING', [row.seq]);
        }
        handled += rows.length;
        place = Number(rows.at(-1)?.seq);
        await bare.query('UPDATE place SET seq = $1', [place]);
      }
    },
    [Symbol.asyncDispose]: () => bare.end(),
  };
}
