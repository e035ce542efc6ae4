import type { MetadataStore, StoredEvent } from '@keelson/core';
import { expect, onTestFinished, test } from 'vitest';
import { ContendingProcess } from '../../core/test/metadata/contending-process.ts';
import { allEvents, checkWorld } from '../../core/test/metadata/contention-check.ts';
import { contentionKinds, type Said } from '../../core/test/metadata/contention-kinds.ts';
import { generator } from '../../core/test/metadata/seeded-generator.ts';
import { pgBackend } from '../src/index.ts';
import { PgCluster } from './server/cluster.ts';
import { createTestDatabase, describeOnPg } from './server/test-database.ts';
import { silentLogger } from './silent-logger.ts';

/** Long form: `COMMITS=10000 KILLS=300 vitest run pg-contention --testTimeout=3600000`. */
const commits = Number(process.env['COMMITS'] ?? 60);
const kills = Number(process.env['KILLS'] ?? 12);
const seed = Number(process.env['SEED'] ?? Date.now() % 2 ** 31);
const pools = 50;
const program = new URL('./children/contention-child.ts', import.meta.url);

interface Place {
  readonly url: string;
  readonly schema: string;
  readonly maxConnections?: number;
}

function contender(place: Place, name: string, own: number, count: number): ContendingProcess {
  const one = new ContendingProcess(
    program,
    ...[JSON.stringify(place), name, String(own), String(count), String(pools)],
  );
  onTestFinished(() => one.kill());
  return one;
}

async function open(place: Place): Promise<MetadataStore> {
  const kinds = contentionKinds;
  return await pgBackend(place).openMetadata({ kinds, logger: silentLogger });
}

/** Follows the events by cursor until told that nobody writes any more. */
async function follow(
  store: MetadataStore,
  isOver: () => boolean,
): Promise<readonly StoredEvent[]> {
  const seen: StoredEvent[] = [];
  let cursor: string | undefined;
  for (let last = false; ; ) {
    const after = cursor === undefined ? {} : { after: cursor };
    const page = await store.readEvents({ ...after, limit: 50 });
    seen.push(...page.events);
    cursor = page.cursor;
    if (page.events.length > 0) continue;
    if (last) return seen;
    last = isOver();
    if (!last) await store.waitForEvents(cursor, { timeoutMs: 200 });
  }
}

function checkFollowed(seen: readonly StoredEvent[], all: readonly StoredEvent[]): void {
  expect(new Set(seen.map(({ id }) => id)).size).toBe(seen.length);
  expect(seen.length).toBe(all.length);
  const last = new Map<string, number>();
  for (const { subject, subjectSequence } of seen) {
    expect(subjectSequence).toBe((last.get(subject) ?? 0) + 1);
    last.set(subject, subjectSequence);
  }
}

await describeOnPg(`processes that write at once (SEED=${seed})`, ({ url, freshSchema, query }) => {
  test(
    'eight of them, from the opening of an empty schema on, lose nothing; who follows skips nothing',
    async () => {
      const place = { url, schema: freshSchema(), maxConnections: 3 };
      const all = Array.from({ length: 8 }, (_, i) => contender(place, `p${i}`, seed + i, commits));
      let over = false;
      const ended = Promise.all(all.map((one) => one.ended)).then(() => {
        over = true;
      });
      const store = await open(place);
      const seen = await follow(store, () => over);
      await ended;
      expect(all.map((one) => one.failure)).toEqual(Array(8).fill(undefined));
      const said = all.flatMap((one) => one.said);
      expect(said.length).toBeGreaterThan(commits);
      await checkWorld(store, said, pools);
      checkFollowed(seen, await allEvents(store));
      await store.close();
    },
    120_000 + commits * 500,
  );

  test(
    'killed at random, they leave all that was acknowledged, and nothing by halves',
    async () => {
      const place = { url, schema: freshSchema(), maxConnections: 3 };
      const random = generator(seed);
      const said: Said[] = [];
      let all = Array.from({ length: 3 }, (_, i) => contender(place, `k${i}`, seed + i, 1e9));
      for (let kill = 0; kill < kills; kill += 1) {
        const victim = all[Math.floor(random() * all.length)];
        if (victim === undefined) break;
        // Mostly amid commits; now and then while the store is being opened.
        if (random() < 0.8) await victim.says(1 + Math.floor(random() * 20));
        expect(victim.failure).toBeUndefined();
        await victim.kill();
        said.push(...victim.said);
        const next = contender(place, `k${3 + kill}`, seed + 100 + kill, 1e9);
        all = [...all.filter((one) => one !== victim), next];
      }
      for (const one of all) {
        await one.kill();
        expect(one.failure).toBeUndefined();
        said.push(...one.said);
      }
      expect(said.length).toBeGreaterThan(kills);
      // What the killed had sent may still be running.
      await noneRuns(query);
      const store = await open(place);
      await checkWorld(store, said, pools);
      await store.close();
    },
    120_000 + kills * 5_000,
  );

  test('twenty processes open an empty database at once: it is migrated once, and none fails', async () => {
    const place = { url, schema: freshSchema(), maxConnections: 2 };
    const all = Array.from({ length: 20 }, (_, i) => contender(place, `o${i}`, seed + i, 3));
    await Promise.all(all.map((one) => one.ended));
    expect(all.map((one) => one.failure)).toEqual(Array(20).fill(undefined));
    const steps = await query(
      `SELECT part, count(*)::int AS n, count(DISTINCT version)::int AS versions,
           count(DISTINCT at::text) <= count(*) AS once
         FROM ${place.schema}.migration GROUP BY part ORDER BY part`,
    );
    expect(steps).toEqual([
      { part: 'metadata', n: 1, versions: 1, once: true },
      { part: 'shared', n: 2, versions: 2, once: true },
    ]);
    const store = await open(place);
    await checkWorld(
      store,
      all.flatMap((one) => one.said),
      pools,
    );
    await store.close();
  }, 120_000);
});

await describeOnPg(`a server that fails while processes write (SEED=${seed})`, () => {
  test('restarted three times, backends ended at random: acknowledged is there, refused is not, and what may be is said to be so', async () => {
    await using cluster = await PgCluster.start();
    const database = await createTestDatabase(cluster.url());
    const place = { url: database.url, schema: 'keelson', maxConnections: 3 };
    const random = generator(seed);
    const all = Array.from({ length: 4 }, (_, i) => contender(place, `f${i}`, seed + i, 1e9));
    for (const how of ['INT', 'QUIT', 'INT'] as const) {
      for (let i = 0; i < 4; i += 1) {
        await all[Math.floor(random() * all.length)]?.says(10);
        await endBackend(database, random());
      }
      await cluster.restart(how);
    }
    for (const one of all) await one.says(20);
    for (const one of all) await one.kill();
    expect(all.map((one) => one.failure)).toEqual(Array(4).fill(undefined));
    await noneRuns(database.query);
    const said = all.flatMap((one) => one.said);
    const store = await open(place);
    await checkWorld(store, said, pools);
    await store.close();
    const tally = (did: Said['did']): number => said.filter((one) => one.did === did).length;
    expect(tally('event')).toBeGreaterThan(50);
    console.log({ acknowledged: tally('event'), unknown: tally('perhaps'), refused: tally('not') });
  }, 300_000);
});

type Query = (text: string, values?: unknown[]) => Promise<readonly Record<string, unknown>[]>;

/** Ends one of the server's processes that serve a contender. */
async function endBackend({ query }: { readonly query: Query }, random: number): Promise<void> {
  const backends = await query(
    "SELECT pid FROM pg_stat_activity WHERE application_name = 'keelson' ORDER BY state, pid",
  );
  const pid = backends[Math.floor(random * backends.length)]?.['pid'];
  if (pid !== undefined) await query('SELECT pg_terminate_backend($1)', [pid]);
}

/** Resolves when the server works for nobody any more. */
async function noneRuns(query: Query): Promise<void> {
  const busy = `SELECT 1 FROM pg_stat_activity
    WHERE application_name = 'keelson' AND state <> 'idle'`;
  while ((await query(busy)).length > 0);
}
