import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import { PgDatabase } from '../../src/connection/pg-database.ts';
import { PgSeriesStore } from '../../src/series/pg-series-store.ts';
import type { SoakResult, SoakTask } from './soak-child.ts';

/** How much is logged, by how many, for how long. */
export interface SoakOptions {
  readonly url: string;
  readonly schema: string;
  readonly processes: number;
  readonly writersEach: number;
  readonly forMs: number;
}

/** What a soak measured. That every point is there exactly once was looked at. */
export interface SoakFigures {
  readonly points: number;
  /** How long each flush took, from the moment when it was due until it was durable. */
  readonly flushMs: readonly number[];
  /** The processor time of the writers. */
  readonly cpuMs: number;
  readonly tookMs: number;
}

/** Series of each writer. */
export const seriesEach = 20;
export const flushEveryMs = 500;
/** Flushes of each writer that are not measured. */
export const warmUp = 4;
/** Of each series in each flush: 1,000 a second for each writer. */
export const pointsPerFlush = 25;

/**
 * Writers that flush 500 points of 20 series twice a second each, as the writer's thread of a process does,
 * for a time; then looks at every series. Throws when a point is missing, twice there or another.
 */
export async function soak(options: SoakOptions): Promise<SoakFigures> {
  const { url, schema, processes, writersEach, forMs } = options;
  const flushes = warmUp + Math.ceil(forMs / flushEveryMs);
  const shape = { flushes, warmUp, flushEveryMs, pointsPerFlush, seriesEach };
  const database = new PgDatabase({ url, schema, listen: false });
  try {
    const store = await PgSeriesStore.open({ database });
    const all = Array.from({ length: processes }, (_, i) => {
      const writers = Array.from({ length: writersEach }, (_, w) => `writer-${i}-${w}`);
      return new SoakProcess({ url, schema, writers, ...shape });
    });
    const results = await measured(all);
    const writers = all.flatMap(({ task }) => task.writers);
    for (const writer of writers) await assertStored(store, writer, flushes * pointsPerFlush);
    return {
      points: writers.length * seriesEach * flushes * pointsPerFlush,
      flushMs: results.flatMap((result) => result.flushMs),
      cpuMs: results.reduce((sum, result) => sum + result.cpuMs, 0),
      tookMs: Math.max(...results.map((result) => result.tookMs)),
    };
  } finally {
    await database.close();
  }
}

async function measured(all: readonly SoakProcess[]): Promise<readonly SoakResult[]> {
  try {
    await Promise.all(all.map((each) => each.hear<'ready'>()));
    for (const each of all) each.begin();
    return await Promise.all(all.map((each) => each.hear<SoakResult>()));
  } finally {
    for (const each of all) each.end();
  }
}

async function assertStored(store: PgSeriesStore, owner: string, count: number): Promise<void> {
  for (let series = 0; series < seriesEach; series += 1) {
    const key = { workspace: 'soak', owner, key: `metric-${series}` };
    const { steps, values } = await store.points(key);
    const whole = steps.length === count && steps.every((step, i) => step === i);
    if (!whole || !values.every((value, i) => value === i + series / 100)) {
      throw new Error(`${owner}, ${key.key}: ${steps.length} points of ${count}, or not these.`);
    }
  }
}

/** A process of some of the writers. */
class SoakProcess {
  readonly task: SoakTask;
  readonly #child: ChildProcess;
  readonly #ended: Promise<never>;

  constructor(task: SoakTask) {
    this.task = task;
    this.#child = fork(new URL('./soak-child.ts', import.meta.url), {
      execArgv: ['--conditions=keelson:source', '--disable-warning=ExperimentalWarning'],
    });
    this.#ended = once(this.#child, 'exit').then(([code]) => {
      throw new Error(`A process of the soak ended with ${code} and no answer.`);
    });
    this.#ended.catch(() => undefined);
    this.#child.send(task);
  }

  begin(): void {
    this.#child.send('begin');
  }

  end(): void {
    this.#child.kill();
  }

  /** What it says next. */
  async hear<T>(): Promise<T> {
    const [message] = (await Promise.race([once(this.#child, 'message'), this.#ended])) as [T];
    return message;
  }
}
