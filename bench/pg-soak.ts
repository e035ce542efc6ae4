import { cpus } from 'node:os';
import { setTimeout as wait } from 'node:timers/promises';
import { quantile, sorted } from '@keelson/core/statistics';
import { bareClient } from '../packages/store-pg/test/server/bare-client.ts';
import { PgCluster } from '../packages/store-pg/test/server/cluster.ts';
import {
  flushEveryMs,
  pointsPerFlush,
  seriesEach,
  soak,
  warmUp,
} from '../packages/store-pg/test/soak/soak.ts';
import type { BenchContext } from './benchmark.ts';
import { type Row, rowOf } from './row.ts';

const sizes = {
  smallest: { rounds: 1, processes: 2, writersEach: 2, forMs: 500 },
  usual: { rounds: 5, processes: 10, writersEach: 5, forMs: 20_000 },
  full: { rounds: 1, processes: 10, writersEach: 5, forMs: 600_000 },
};

/**
 * Writers in several processes that flush 500 points of 20 series twice a second each, while what lies
 * unfolded is folded; every point is looked for afterwards. The rate is given: measured is how long a flush
 * takes at that rate, and what it costs; beside plain clients that insert as many rows at the same pace.
 */
export async function benchPgSoak(context: BenchContext): Promise<Row[]> {
  const { rounds, processes, writersEach, forMs } = sizes[context.scale];
  await using server = await PgCluster.start({ durable: true });
  const seen = { p50: [], p99: [], p999: [], stored: [], cpu: [] } as Record<string, number[]>;
  const bare = { p50: [], p99: [], p999: [] } as Record<string, number[]>;
  for (let round = 1; round <= rounds; round += 1) {
    context.tell(`soak: round ${round} of ${rounds}, ${forMs / 1_000} s each`);
    const shape = { processes, writersEach, forMs };
    const figures = await soak({ url: server.url(), schema: `soak_${round}`, ...shape });
    note(seen, figures.flushMs);
    context.tell(`soak: round ${round} of ${rounds}, plain clients`);
    note(bare, await insertAtPace(server.url(), processes * writersEach, forMs));
    seen['stored']?.push(figures.points);
    seen['cpu']?.push((100 * figures.cpuMs) / figures.tookMs / cpus().length);
  }
  const writers = `${processes * writersEach} writers`;
  const flush = (name: string): Row =>
    rowOf(`PostgreSQL, ${writers}: flush ${name}, due until durable`, 'ms', seen[name] ?? [], {
      name: 'rows inserted by pg',
      values: bare[name] ?? [],
    });
  return [
    rowOf(`PostgreSQL, ${writers}: points stored, each once`, 'points', seen['stored'] ?? []),
    flush('p50'),
    { ...flush('p99'), goal: { most: 50 } },
    flush('p999'),
    rowOf(`PostgreSQL, ${writers}: processors taken by the writers`, '%', seen['cpu'] ?? []),
  ];
}

function note(into: Record<string, number[]>, flushMs: readonly number[]): void {
  const ascending = sorted(flushMs);
  into['p50']?.push(quantile(ascending, 0.5));
  into['p99']?.push(quantile(ascending, 0.99));
  into['p999']?.push(quantile(ascending, 0.999));
}

/** Plain clients, each with a table, which insert as many rows as the writers flush points, when these do. */
async function insertAtPace(
  url: string,
  writers: number,
  forMs: number,
): Promise<readonly number[]> {
  const flushes = warmUp + Math.ceil(forMs / flushEveryMs);
  const clients = await Promise.all(Array.from({ length: writers }, () => bareClient(url)));
  const flushMs: number[] = [];
  try {
    for (const [i, client] of clients.entries()) {
      await client.query(`CREATE TABLE IF NOT EXISTS bare_${i}
        (series integer, step bigint, at float8, value float8, PRIMARY KEY (series, step))`);
      await client.query(`TRUNCATE bare_${i}`);
    }
    const startedAt = performance.now();
    await Promise.all(
      clients.map(async (client, i) => {
        for (let flush = 0; flush < flushes; flush += 1) {
          const dueAt = startedAt + (i / writers) * flushEveryMs + flush * flushEveryMs;
          if (dueAt > performance.now()) await wait(dueAt - performance.now());
          const from = flush * pointsPerFlush;
          await client.query(
            `INSERT INTO bare_${i} SELECT * FROM
            unnest($1::integer[], $2::bigint[], $3::float8[], $4::float8[])`,
            rowsFrom(from),
          );
          if (flush >= warmUp) flushMs.push(performance.now() - dueAt);
        }
      }),
    );
  } finally {
    for (const client of clients) await client.end();
  }
  return flushMs;
}

function rowsFrom(from: number): number[][] {
  const all = Array.from({ length: pointsPerFlush * seriesEach }, (_, i) => i);
  const step = (i: number): number => from + Math.floor(i / seriesEach);
  return [
    all.map((i) => i % seriesEach),
    all.map(step),
    all.map(() => Date.now()),
    all.map((i) => step(i) + (i % seriesEach) / 100),
  ];
}
