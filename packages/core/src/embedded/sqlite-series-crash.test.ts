import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { crashSeries, numberedBatch } from '../../test/series/numbered-batch.ts';
import { SeriesModel } from '../../test/series/series-model.ts';
import { equal } from '../testing/assertions.ts';
import { SqliteSeriesStore } from './sqlite-series-store.ts';

/** Batches of each writer, and how often one of them is killed; `KILLS=300` for the long form. */
const batches = Number(process.env['BATCHES'] ?? 250);
const kills = Number(process.env['KILLS'] ?? 25);
const program = fileURLToPath(new URL('../../test/series/append-child.ts', import.meta.url));

let directory: string;
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'series-crash-'));
});
afterEach(() => rmSync(directory, { recursive: true, force: true }));

test(
  'processes killed at random while they append and fold: every batch is there exactly once',
  async () => {
    const path = join(directory, 'keelson.db');
    const random = seeded();
    const writers = ['a', 'b', 'c'].map((name) => new Writer(path, name));
    for (let kill = 0; kill < kills; kill++) {
      const alive = writers.filter((writer) => writer.acknowledged < batches);
      const victim = alive[Math.floor(random() * alive.length)];
      if (victim === undefined) break;
      for (const writer of writers) writer.go();
      // From before the store is open to deep in a fold; at times only when a batch was acknowledged.
      if (random() < 0.5) await victim.acknowledges(1 + Math.floor(random() * 4));
      await wait(random() * 60);
      await victim.kill();
    }
    for (const writer of writers) await writer.finish();
    const acknowledged = writers.map((writer) => writer.acknowledged);
    console.log(`killed ${writers.map((writer) => writer.killed)} times`);
    expect(acknowledged).toEqual([batches, batches, batches]);
    // On a fast machine the writers are done before all kills have found one.
    expect(writers.reduce((sum, writer) => sum + writer.killed, 0)).toBeGreaterThan(kills / 4);

    const model = new SeriesModel();
    for (const { name } of writers) {
      for (let sequence = 1; sequence <= batches; sequence++) {
        model.append(numberedBatch(name, sequence));
      }
    }
    await using store = await SqliteSeriesStore.open({ path });
    for (const when of ['as they were left', 'after a last fold']) {
      for (const series of crashSeries) {
        equal(await store.points(series), model.points(series), `points, ${when}`);
        const [summary] = await store.summaries(series.workspace, series.owner, [series.key]);
        const expected = model.summary(series);
        expect(summary?.mean).toBeCloseTo(expected?.mean as number, 10);
        equal({ ...summary, mean: 0 }, { ...expected, mean: 0 }, `summary, ${when}`);
      }
      await store.fold();
    }
  },
  kills * 2_000 + 30_000,
);

/** A child process that appends; started again, it repeats the first batch it has no word of. */
class Writer {
  readonly name: string;
  readonly #path: string;
  acknowledged = 0;
  killed = 0;
  #child: ChildProcess | undefined;
  #ended: Promise<unknown> | undefined;
  #heard: (() => void)[] = [];

  constructor(path: string, name: string) {
    this.#path = path;
    this.name = name;
  }

  go(): void {
    if (this.#child !== undefined || this.acknowledged >= batches) return;
    const numbers = [String(this.acknowledged + 1), String(batches)];
    const child = spawn(process.execPath, [program, this.#path, this.name, ...numbers], {
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    this.#child = child;
    let text = '';
    child.stdout.on('data', (data: Buffer) => {
      text += data.toString();
      const lines = text.split('\n');
      text = lines.pop() as string;
      if (lines.length > 0) this.acknowledged = Number(lines.at(-1));
      for (const heard of this.#heard.splice(0)) heard();
    });
    this.#ended = once(child, 'close').then(() => {
      this.#child = undefined;
      for (const heard of this.#heard.splice(0)) heard();
    });
  }

  /** Resolves when so many more batches were acknowledged, or the child has ended. */
  async acknowledges(more: number): Promise<void> {
    const target = this.acknowledged + more;
    while (this.#child !== undefined && this.acknowledged < target) {
      await new Promise<void>((resolve) => this.#heard.push(resolve));
    }
  }

  async kill(): Promise<void> {
    if (this.#child?.kill('SIGKILL') === true) this.killed++;
    await this.#ended;
  }

  async finish(): Promise<void> {
    this.go();
    await this.#ended;
    expect(this.acknowledged).toBe(batches);
  }
}

function seeded(): () => number {
  const seed = Number(process.env['SEED'] ?? Math.floor(Math.random() * 2 ** 31));
  console.log(`seed ${seed} (SEED=… repeats it)`);
  let state = seed | 0;
  return () => {
    state = (Math.imul(state, 1_103_515_245) + 12_345) | 0;
    return (state >>> 8) / 2 ** 24;
  };
}

/** The moment of a kill is random on purpose; nothing waits for anything here. */
function wait(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}
