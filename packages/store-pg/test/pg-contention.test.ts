import { closeSync, mkdtempSync, openSync, readSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { MetadataStore, StoredEvent } from '@keelson/core';
import {
  type KillLoopOptions,
  killLoop,
  readEffects,
  seededRandom,
  seedOf,
} from '@keelson/core/testing';
import { expect, onTestFinished, test } from 'vitest';
import { allEvents, checkWorld } from '../../core/test/metadata/contention-check.ts';
import { contentionKinds, type Said } from '../../core/test/metadata/contention-kinds.ts';
import { pgBackend } from '../src/index.ts';
import { PgCluster } from './server/cluster.ts';
import { createTestDatabase, describeOnPg } from './server/test-database.ts';
import { silentLogger } from './silent-logger.ts';

/** Long form, as the specification has it: `COMMITS=10000 KILLS=300 vitest run pg-contention`. */
const commits = Number(process.env['COMMITS'] ?? 60);
const kills = Number(process.env['KILLS'] ?? 12);
const isLong = commits > 1_000;
/** Where processes are killed or the server fails, so many contend, until so much was acknowledged. */
const contenders = isLong ? 8 : 4;
const enough = isLong ? contenders * commits * 0.7 : 5 * kills;
const seed = seedOf();
const pools = 50;
const program = new URL('./children/contention-child.ts', import.meta.url);

interface Place {
  readonly url: string;
  readonly schema: string;
  readonly maxConnections?: number;
}

/** What contenders have had acknowledged so far. */
interface Log {
  readonly path: string;
  said(): readonly Said[];
  /** How many, without reading again what was counted before. */
  count(): number;
}

function openLog(): Log {
  const dir = mkdtempSync(join(tmpdir(), 'keelson-contention-'));
  onTestFinished(() => rmSync(dir, { recursive: true }));
  const path = join(dir, 'said');
  return { path, said: () => readEffects<Said>(path), count: lineCounter(path) };
}

/** Counts the lines of a file that grows. */
function lineCounter(path: string): () => number {
  const file = openSync(path, 'a+');
  onTestFinished(() => closeSync(file));
  const buffer = Buffer.alloc(1_000_000);
  let at = 0;
  let lines = 0;
  return () => {
    for (;;) {
      const length = readSync(file, buffer, 0, buffer.length, at);
      if (length === 0) return lines;
      at += length;
      // A line each, with an empty one before it.
      for (let i = 0; i < length; i += 1) lines += buffer[i] === 0x0a ? 0.5 : 0;
    }
  };
}

/** Lets processes contend, each until it has made its commits, or all until it is done. */
async function contending(
  place: Place,
  log: Log,
  options: Pick<KillLoopOptions, 'processes' | 'kills'> &
    ({ readonly commits: number } | Required<Pick<KillLoopOptions, 'done'>>),
): Promise<void> {
  const { processes, kills: asked } = options;
  const argument = { place: { ...place }, said: log.path, pools };
  const { kills: hit } = await killLoop({
    ...{ program, seed, processes, kills: asked, everyMs: [20, 200] },
    timeoutMs: 60_000 + kills * 5_000 + commits * 500,
    ...('done' in options
      ? { argument, done: options.done }
      : { argument: { ...argument, commits: options.commits } }),
  });
  expect(hit).toBe(asked);
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

await describeOnPg(
  `processes that write at once (KEELSON_SEED=${seed})`,
  ({ url, freshSchema, query }) => {
    test(
      'eight of them, from the opening of an empty schema on, lose nothing; who follows skips nothing',
      async () => {
        const place = { url, schema: freshSchema(), maxConnections: 3 };
        let over = false;
        const log = openLog();
        const working = contending(place, log, { processes: 8, kills: 0, commits }).finally(() => {
          over = true;
        });
        const store = await open(place);
        const seen = await follow(store, () => over);
        await working;
        const said = log.said();
        expect(said.length).toBeGreaterThan(commits);
        await checkWorld(store, said, pools);
        checkFollowed(seen, await allEvents(store));
        await store.close();
        tell('side by side', said);
      },
      120_000 + commits * 500,
    );

    test(
      'killed at random, they leave all that was acknowledged, and nothing by halves',
      async () => {
        const place = { url, schema: freshSchema(), maxConnections: 3 };
        const log = openLog();
        await contending(place, log, {
          ...{ processes: contenders, kills },
          done: (soFar) => soFar.kills === kills && log.count() > enough,
        });
        const said = log.said();
        expect(said.length).toBeGreaterThan(kills);
        // What the killed had sent may still be running.
        await noneRuns(query);
        const store = await open(place);
        await checkWorld(store, said, pools);
        await store.close();
        tell('killed at random', said);
      },
      120_000 + kills * 5_000 + commits * 500,
    );

    test('twenty processes open an empty database at once: it is migrated once, and none fails', async () => {
      const place = { url, schema: freshSchema(), maxConnections: 2 };
      const log = openLog();
      await contending(place, log, { processes: 20, kills: 0, commits: 3 });
      const said = log.said();
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
      await checkWorld(store, said, pools);
      await store.close();
    }, 120_000);
  },
);

await describeOnPg(`a server that fails while processes write (KEELSON_SEED=${seed})`, () => {
  test(
    'restarted three times, backends ended at random: acknowledged is there, refused is not, and what may be is said to be so',
    async () => {
      await using cluster = await PgCluster.start();
      const database = await createTestDatabase(cluster.url());
      const place = { url: database.url, schema: 'keelson', maxConnections: 3 };
      let over = false;
      const log = openLog();
      const working = contending(place, log, {
        ...{ processes: contenders, kills: 0 },
        done: () => over,
      });
      const harming = harm(cluster, database, log).finally(() => {
        over = true;
      });
      await Promise.all([working, harming]);
      const said = log.said();
      await noneRuns(database.query);
      const store = await open(place);
      await checkWorld(store, said, pools);
      await store.close();
      const { event } = tell(`restarted three times, ${await harming} backends ended`, said);
      expect(event).toBeGreaterThan(enough / 2);
    },
    300_000 + commits * 500,
  );
});

/** Ends backends all the while and restarts the server three times; answers how many it ended. */
async function harm(
  cluster: PgCluster,
  database: { readonly query: Query },
  log: Log,
): Promise<number> {
  const random = seededRandom(seed);
  const endings = isLong ? 60 : 4;
  const step = isLong ? Math.ceil(enough / (4 * endings)) : 10;
  let ended = 0;
  for (const how of ['INT', 'QUIT', 'INT'] as const) {
    for (let i = 0; i < endings; i += 1) {
      await more(log, step);
      if (await endBackend(database, random())) ended += 1;
    }
    await cluster.restart(how);
  }
  await more(log, 8 * step);
  while (isLong && log.count() < enough) await more(log, step);
  return ended;
}

/** Prints what processes said of their commits. */
function tell(what: string, said: readonly Said[]): Record<Said['did'], number> {
  const tally = { event: 0, seat: 0, tag: 0, perhaps: 0, not: 0 };
  for (const { did } of said) tally[did] += 1;
  console.log(what, tally);
  return tally;
}

/** Resolves when so much more was said. */
async function more(log: Log, count: number): Promise<void> {
  const target = log.count() + count;
  const deadline = performance.now() + 60_000;
  while (log.count() < target) {
    if (performance.now() > deadline)
      throw new Error(`Only ${log.count()} of ${target} were said.`);
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}

type Query = (text: string, values?: unknown[]) => Promise<readonly Record<string, unknown>[]>;

/** Ends one of the server's processes that serve a contender, if there is any. */
async function endBackend({ query }: { readonly query: Query }, random: number): Promise<boolean> {
  const backends = await query(
    "SELECT pid FROM pg_stat_activity WHERE application_name = 'keelson' ORDER BY state, pid",
  );
  const pid = backends[Math.floor(random * backends.length)]?.['pid'];
  if (pid === undefined) return false;
  await query('SELECT pg_terminate_backend($1)', [pid]);
  return true;
}

/** Resolves when the server works for nobody any more. */
async function noneRuns(query: Query): Promise<void> {
  const busy = `SELECT 1 FROM pg_stat_activity
    WHERE application_name = 'keelson' AND state <> 'idle'`;
  while ((await query(busy)).length > 0);
}
