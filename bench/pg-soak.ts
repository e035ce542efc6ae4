import { cpus } from 'node:os';
import { quantile, sorted } from '@keelson/core/statistics';
import { PgCluster } from '../packages/store-pg/test/server/cluster.ts';
import { soak } from '../packages/store-pg/test/soak/soak.ts';
import type { BenchContext } from './benchmark.ts';
import { type Row, rowOf } from './row.ts';

const sizes = {
  smallest: { rounds: 1, processes: 2, writersEach: 2, forMs: 500 },
  usual: { rounds: 5, processes: 10, writersEach: 5, forMs: 20_000 },
  full: { rounds: 1, processes: 10, writersEach: 5, forMs: 600_000 },
};

/**
 * Writers in several processes that flush 500 points of 20 series twice a second each, while what lies
 * unfolded is folded; every point is looked for afterwards. Beside nothing: it is the rate that is given,
 * and how long a flush takes at that rate, and what it costs.
 */
export async function benchPgSoak(context: BenchContext): Promise<Row[]> {
  const { rounds, processes, writersEach, forMs } = sizes[context.scale];
  await using server = await PgCluster.start({ durable: true });
  const seen = { p50: [], p99: [], p999: [], stored: [], cpu: [] } as Record<string, number[]>;
  for (let round = 1; round <= rounds; round += 1) {
    context.tell(`soak: round ${round} of ${rounds}, ${forMs / 1_000} s each`);
    const shape = { processes, writersEach, forMs };
    const figures = await soak({ url: server.url(), schema: `soak_${round}`, ...shape });
    const flushMs = sorted(figures.flushMs);
    seen['p50']?.push(quantile(flushMs, 0.5));
    seen['p99']?.push(quantile(flushMs, 0.99));
    seen['p999']?.push(quantile(flushMs, 0.999));
    seen['stored']?.push(figures.points);
    seen['cpu']?.push((100 * figures.cpuMs) / figures.tookMs / cpus().length);
  }
  const writers = `${processes * writersEach} writers`;
  const flush = (name: string): Row =>
    rowOf(`PostgreSQL, ${writers}: flush ${name}, due until durable`, 'ms', seen[name] ?? []);
  return [
    rowOf(`PostgreSQL, ${writers}: points stored, each once`, 'points', seen['stored'] ?? []),
    flush('p50'),
    { ...flush('p99'), goal: { most: 50 } },
    flush('p999'),
    rowOf(`PostgreSQL, ${writers}: processors taken by the writers`, '%', seen['cpu'] ?? []),
  ];
}
