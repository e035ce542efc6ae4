import { once } from 'node:events';
import { setTimeout as wait } from 'node:timers/promises';
import type { PointTarget } from '@keelson/core';
import { openPointTarget } from '../../src/series/pg-points-thread.ts';

// One process of a soak: it is told its writers, says when it is ready, begins when it is told to, answers,
// and ends.

/** The writers of a process, and what each of them does. */
export interface SoakTask {
  readonly url: string;
  readonly schema: string;
  readonly writers: readonly string[];
  readonly flushes: number;
  readonly flushEveryMs: number;
  /** Flushes that are not measured: a process is slow until its code is compiled and it has connections. */
  readonly warmUp: number;
  /** Of each series. */
  readonly pointsPerFlush: number;
  readonly seriesEach: number;
}

/** What it saw. */
export interface SoakResult {
  readonly flushMs: readonly number[];
  readonly cpuMs: number;
  readonly tookMs: number;
}

const [task] = (await once(process, 'message')) as [SoakTask];
const { url, schema, writers, flushes, warmUp, flushEveryMs, pointsPerFlush, seriesEach } = task;
const targets = await Promise.all(writers.map(() => openPointTarget({ url, schema })));
process.send?.('ready');
await once(process, 'message');
const cpu = process.cpuUsage();
const startedAt = performance.now();
const flushMs: number[] = [];
await Promise.all(targets.map(({ store }, i) => log(store, writers[i] as string, i)));
const { user, system } = process.cpuUsage(cpu);
const tookMs = performance.now() - startedAt;
const result: SoakResult = { flushMs, cpuMs: (user + system) / 1_000, tookMs };
for (const target of targets) await target.close();
process.send?.(result);
process.disconnect();

async function log(store: PointTarget['store'], writer: string, place: number): Promise<void> {
  const series = Array.from({ length: seriesEach }, (_, s) => {
    return { workspace: 'soak', owner: writer, key: `metric-${s}` };
  });
  const count = pointsPerFlush * seriesEach;
  const seriesIndex = Uint32Array.from({ length: count }, (_, i) => i % seriesEach);
  const offset = (place / writers.length) * flushEveryMs;
  for (let flush = 0; flush < flushes; flush += 1) {
    const dueAt = startedAt + offset + flush * flushEveryMs;
    if (dueAt > performance.now()) await wait(dueAt - performance.now());
    const from = flush * pointsPerFlush;
    const steps = Float64Array.from({ length: count }, (_, i) => from + Math.floor(i / seriesEach));
    const values = steps.map((step, i) => step + (i % seriesEach) / 100);
    const timestamps = new Float64Array(count).fill(Date.now());
    await store.appendPoints({
      ...{ writer, sequence: flush + 1, series, seriesIndex, steps, timestamps, values },
    });
    if (flush >= warmUp) flushMs.push(performance.now() - dueAt);
  }
}
