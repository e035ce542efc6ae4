import { join } from 'node:path';
import { openPlatform } from '@keelson/core';
import type { BenchContext } from './benchmark.ts';
import { inTurns } from './rounds.ts';
import { type Row, rowOf } from './row.ts';

const sizes = {
  smallest: { rounds: 1, runs: 20, points: 50 },
  usual: { rounds: 3, runs: 500, points: 1_000 },
  full: { rounds: 5, runs: 500, points: 1_000 },
};

/**
 * Runs that are open at once in one process and log in turn: how fast all of their points are durable, and
 * whether each is there, beside the same points of one run.
 */
export async function benchManyRuns(context: BenchContext): Promise<Row[]> {
  const { rounds, runs, points } = sizes[context.scale];
  let opened = 0;
  let missing: number[] = [];
  const logged = async (open: number, each: number): Promise<number> => {
    opened += 1;
    const dir = join(context.dir, `many-${opened}`);
    await using platform = await openPlatform({ dir });
    const { tracking } = platform;
    const options = { experiment: 'many', environment: false } as const;
    const all = await Promise.all(Array.from({ length: open }, () => tracking.startRun(options)));
    const startedAt = performance.now();
    for (let step = 0; step < each; step += 1) {
      for (const run of all) run.logMetric('loss', step, { step });
    }
    await all[0]?.flush();
    const ms = performance.now() - startedAt;
    let found = 0;
    for (const run of all) {
      const { steps } = await tracking.getMetricHistory(run.id, 'loss');
      found += steps.filter((step, i) => step === i).length;
    }
    missing.push(open * each - found);
    for (const run of all) await run.finish();
    return (open * each * 1_000) / ms;
  };
  const rates = await inTurns(
    rounds,
    { many: () => logged(runs, points), one: () => logged(1, runs * points) },
    (round) => {
      if (round === 1) missing = [];
      context.tell(`runs open at once: round ${round} of ${rounds}`);
    },
  );
  return [
    rowOf(`${runs} runs open at once, ${points} points each, durable`, 'points/s', rates.many, {
      name: 'the same points of one run',
      values: rates.one,
    }),
    rowOf('points missing at the end, of all runs', 'points', missing),
  ];
}
