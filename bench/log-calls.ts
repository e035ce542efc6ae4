import { join } from 'node:path';
import { openPlatform } from '@keelson/core';
import { quantile } from '@keelson/core/statistics';
import type { BenchContext } from './benchmark.ts';
import { inTurns } from './rounds.ts';
import { type Row, rowOf } from './row.ts';

const sizes = {
  smallest: { rounds: 1, paced: 500, flatOut: 5_000 },
  usual: { rounds: 7, paced: 10_000, flatOut: 200_000 },
  full: { rounds: 15, paced: 20_000, flatOut: 500_000 },
};
const pointsPerMs = 10;
const shares = { p50: 0.5, p99: 0.99, 'p99.9': 0.999 } as const;

/**
 * What `logMetric` costs its caller, in a loop that never awaits: at 10,000 points/s, and as fast as it
 * goes; beside pushing the same point into an array. Both carry the cost of reading the clock twice.
 */
export async function benchLogCalls(context: BenchContext): Promise<Row[]> {
  const size = sizes[context.scale];
  const platform = await openPlatform({ dir: join(context.dir, 'log-calls') });
  const run = await platform.tracking.startRun({ experiment: 'bench', environment: false });
  const keys = Array.from({ length: 50 }, (_, i) => `metric-${i}`);
  let step = 0;
  const log = (): void => {
    step += 1;
    run.logMetric(keys[step % 50] as string, step, { step });
  };
  let array: object[] = [];
  const push = (): void => {
    step += 1;
    array.push({ key: keys[step % 50], value: step, step, timestamp: Date.now() });
  };
  const measured = await inTurns(
    size.rounds,
    {
      pacedLog: async () => paced(size.paced, log),
      pacedPush: async () => paced(size.paced, push),
      fastLog: async () => flatOut(size.flatOut, log),
      fastPush: async () => flatOut(size.flatOut, push),
    },
    (round) => {
      array = [];
      context.tell(`logMetric: round ${round} of ${size.rounds}`);
    },
  );
  await run.flush();
  const { lostPoints } = run.health;
  await run.finish();
  await platform.close();
  if (Object.keys(lostPoints).length > 0) throw new Error('The benchmark lost points.');
  return [
    ...rowsOf('logMetric at 10,000 points/s', measured.pacedLog, measured.pacedPush),
    ...rowsOf('logMetric as fast as it goes', measured.fastLog, measured.fastPush),
  ];
}

function rowsOf(
  name: string,
  calls: readonly Float64Array[],
  pushes: readonly Float64Array[],
): Row[] {
  return Object.entries(shares).map(([share, at]) => {
    const micros = (rounds: readonly Float64Array[]): number[] =>
      rounds.map((ascending) => quantile(ascending, at) * 1_000);
    const baseline = { name: 'pushing into an array', values: micros(pushes) };
    return rowOf(`${name}, ${share}`, 'µs', micros(calls), baseline);
  });
}

/** The times of calls that come at a steady pace, ascending, in ms; between them the loop spins. */
function paced(count: number, call: () => void): Float64Array {
  const times = new Float64Array(count);
  const startedAt = performance.now();
  for (let i = 0; i < count; i += 1) {
    while (performance.now() < startedAt + i / pointsPerMs);
    const before = performance.now();
    call();
    times[i] = performance.now() - before;
  }
  return times.sort();
}

function flatOut(count: number, call: () => void): Float64Array {
  const times = new Float64Array(count);
  for (let i = 0; i < count; i += 1) {
    const before = performance.now();
    call();
    times[i] = performance.now() - before;
  }
  return times.sort();
}
