import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import type { Fault } from '../../test/series/faulty-point-target.ts';
import { runNeverYieldingLoop } from '../../test/series/never-yielding-loop.ts';
import type { SeriesKey } from '../contracts/series-store.ts';
import { isKeelsonError } from '../errors.ts';
import { PointWriter, type PointWriterOptions } from './point-writer.ts';
import { SqliteDatabase } from './sqlite-database.ts';
import { readHeartbeats } from './sqlite-heartbeats.ts';
import { SqliteSeriesStore } from './sqlite-series-store.ts';

let directory: string;
let path: string;
let faultFile: string;
let open: PointWriter[];
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'points-'));
  path = join(directory, 'keelson.db');
  faultFile = join(directory, 'fault.json');
  open = [];
});
afterEach(async () => {
  for (const writer of open) await writer.close();
  rmSync(directory, { recursive: true, force: true });
});

const loss: SeriesKey = { workspace: 'w', owner: 'run', key: 'loss' };
const testPart = (name: string): string =>
  fileURLToPath(new URL(`../../test/series/${name}`, import.meta.url));

function openWriter(options: Partial<PointWriterOptions> = {}): PointWriter {
  const writer = PointWriter.open({ target: { kind: 'sqlite', path }, flushMs: 20, ...options });
  open.push(writer);
  return writer;
}

/** A writer on a store that fails as long as the fault file says so. */
function openFaulty(options: Partial<PointWriterOptions> = {}): PointWriter {
  const module = new URL('../../test/series/faulty-point-target.ts', import.meta.url).href;
  const target = { kind: 'module', module, options: { path, faultFile } } as const;
  return openWriter({ target, spoolDir: join(directory, 'spool'), ...options });
}

function breakStore(fault: Fault): void {
  writeFileSync(faultFile, JSON.stringify(fault));
}

function mendStore(): void {
  rmSync(faultFile, { force: true });
}

async function stored(
  key: SeriesKey = loss,
): Promise<{ readonly steps: readonly number[]; readonly values: readonly number[] }> {
  await using store = await SqliteSeriesStore.open({ path });
  const { steps, values } = await store.points(key);
  return { steps: [...steps], values: [...values] };
}

async function until(what: string, condition: () => boolean, timeoutMs = 25_000): Promise<void> {
  const deadline = performance.now() + timeoutMs;
  while (!condition()) {
    if (performance.now() > deadline) throw new Error(`Waited in vain: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 2));
  }
}

const upTo = (count: number): number[] => Array.from({ length: count }, (_, i) => i);

describe('what is logged is stored', () => {
  test('all points, exactly, once the flush has resolved', async () => {
    const writer = openWriter();
    const values = [0.5, Number.NaN, -0, Number.POSITIVE_INFINITY, 1e-300];
    const index = writer.seriesIndex(loss);
    expect(writer.seriesIndex({ ...loss })).toBe(index);
    for (const [i, value] of values.entries()) writer.log(index, i * 3, 1_000 + i, value);
    await writer.flush();
    expect(await stored()).toEqual({ steps: [0, 3, 6, 9, 12], values });
    const health = writer.health();
    expect([health.pendingPoints, health.spooledPoints, health.dropped]).toEqual([0, 0, []]);
    expect(health.lastFlushAt).toBeGreaterThan(Date.now() - 10_000);
    expect(health.lastError).toBeUndefined();
  });

  test('by time, without a flush', async () => {
    const writer = openWriter();
    writer.log(writer.seriesIndex(loss), 1, 1_000, 1);
    await until('the flush by time', () => writer.health().pendingPoints === 0);
    expect((await stored()).steps).toEqual([1]);
  });

  test('by size, long before the time', async () => {
    const writer = openWriter({ flushMs: 600_000 });
    const index = writer.seriesIndex(loss);
    for (let i = 0; i < 30_000; i++) writer.log(index, i, 1_000, i);
    await until('the flush by size', () => writer.health().pendingPoints < 8_192 + 8_192);
    await writer.flush();
    expect((await stored()).steps).toEqual(upTo(30_000));
  });

  test('nothing of it happens before the first series', async () => {
    openWriter();
    expect(existsSync(path)).toBe(false);
  });

  test('points of many series, more than the ring holds, in a loop that never yields', async () => {
    const writer = openWriter({ ringBytes: 2 ** 17 });
    const series = upTo(300).map((i) => writer.seriesIndex({ ...loss, key: `key-${i}` }));
    for (let i = 0; i < 90_000; i++) writer.log(series[i % 300] as number, undefined, 1_000, i);
    await writer.flush();
    expect(writer.health().dropped).toEqual([]);
    await using store = await SqliteSeriesStore.open({ path });
    const summaries = await store.summaries('w', 'run');
    expect(summaries.map((summary) => summary.count)).toEqual(Array(300).fill(300));
    const { steps, values } = await store.points({ ...loss, key: 'key-7' });
    expect([...steps]).toEqual(upTo(300));
    expect([...values]).toEqual(upTo(300).map((i) => i * 300 + 7));
  });

  test('what is no point is INVALID, what comes after close is CLOSED', async () => {
    const writer = openWriter();
    const index = writer.seriesIndex(loss);
    const refused = (act: () => unknown): string | undefined => {
      try {
        act();
      } catch (error) {
        return isKeelsonError(error) ? error.code : String(error);
      }
      return undefined;
    };
    expect(refused(() => writer.log(index, 0.5, 1, 1))).toBe('INVALID');
    expect(refused(() => writer.log(index, 2 ** 53, 1, 1))).toBe('INVALID');
    expect(refused(() => writer.log(index, 1, Number.NaN, 1))).toBe('INVALID');
    expect(refused(() => writer.log(index + 1, 1, 1, 1))).toBe('INVALID');
    expect(refused(() => writer.log(-1, undefined, 1, 1))).toBe('INVALID');
    expect(refused(() => writer.seriesIndex({ ...loss, key: '' }))).toBe('INVALID');
    expect(refused(() => writer.seriesIndex({ ...loss, key: 'a\u0000' }))).toBe('INVALID');
    writer.log(index, 1, 1, 1);
    await writer.close();
    await writer.close();
    expect(refused(() => writer.log(index, 2, 1, 1))).toBe('CLOSED');
    expect(refused(() => writer.openRun('w', 'r'))).toBe('CLOSED');
    await expect(writer.flush()).rejects.toMatchObject({ code: 'CLOSED' });
    expect((await stored()).steps).toEqual([1]);
  });
});

describe('steps that are left out', () => {
  test('count up from 0, behind the greatest step of the series', async () => {
    const writer = openWriter();
    const a = writer.seriesIndex(loss);
    const b = writer.seriesIndex({ ...loss, key: 'other' });
    for (const step of [undefined, undefined, 10, undefined, 4, undefined]) {
      writer.log(a, step, 1_000, 0);
      writer.log(b, undefined, 1_000, 0);
    }
    await writer.flush();
    expect((await stored()).steps).toEqual([0, 1, 4, 10, 11, 12]);
    expect((await stored({ ...loss, key: 'other' })).steps).toEqual(upTo(6));
  });

  test('go on from the last one stored, in the next writer', async () => {
    for (const expected of [3, 6]) {
      const writer = openWriter();
      const index = writer.seriesIndex(loss);
      for (let i = 0; i < 3; i++) writer.log(index, undefined, 1_000, i);
      await writer.close();
      expect((await stored()).steps).toEqual(upTo(expected));
    }
  });

  test('come right though the store was away when the first point came', async () => {
    const before = openWriter();
    before.log(before.seriesIndex(loss), 41, 1_000, 0);
    await before.close();
    breakStore({ code: 'UNAVAILABLE' });
    const writer = openFaulty();
    const index = writer.seriesIndex(loss);
    for (let i = 0; i < 3; i++) writer.log(index, undefined, 1_000, i);
    await until('the fault', () => writer.health().lastError !== undefined);
    mendStore();
    await writer.flush();
    expect((await stored()).steps).toEqual([41, 42, 43, 44]);
  });
});

test('so many series of open runs, and not one more', async () => {
  const writer = openWriter({ maxSeries: 3 });
  for (const key of ['a', 'b', 'c']) writer.seriesIndex({ ...loss, key });
  const refused = { code: 'EXHAUSTED', details: { runId: 'run', limit: 3 } };
  expect(() => writer.seriesIndex({ ...loss, key: 'd' })).toThrow(expect.objectContaining(refused));
  writer.log(writer.seriesIndex({ ...loss, key: 'a' }), 1, 1_000, 1);
  // Runs that are over count no more, until they are reopened; closing twice changes nothing.
  writer.closeRun('w', 'run');
  writer.closeRun('w', 'run');
  for (const key of ['a', 'b', 'c']) writer.seriesIndex({ ...loss, owner: 'next', key });
  expect(() => writer.seriesIndex({ ...loss, owner: 'next', key: 'd' })).toThrow(/one more than/);
  writer.closeRun('w', 'next');
  writer.openRun('w', 'run');
  expect(() => writer.seriesIndex({ ...loss, key: 'd' })).toThrow(/one more than/);
  await writer.flush();
  expect((await stored({ ...loss, key: 'a' })).steps).toEqual([1]);
});

describe('leaving the process flushes', () => {
  for (const [way, status] of [
    ['end', 0],
    ['exit', 7],
    ['throw', 1],
    ['close', 0],
  ] as const) {
    test(`by ${way}`, async () => {
      const startedAt = performance.now();
      const child = spawnSync(process.execPath, [testPart('exit-child.ts'), path, way]);
      expect(child.status).toBe(status);
      // The thread looks only once a minute there, and keeps no process alive.
      expect(performance.now() - startedAt).toBeLessThan(30_000);
      expect((await stored()).steps).toEqual(upTo(1_000));
    });
  }
});

describe('a loop that never yields', () => {
  // A kill loses nothing of a file in memory; a disk that others keep busy would test the disk.
  const parent = existsSync('/dev/shm') ? '/dev/shm' : tmpdir();

  test('killed with SIGKILL: what was older than a flush interval is there, exactly once', async () => {
    // The command of that test asks for no grace; here other tests have the processors as well.
    const graceMs = 2_500;
    const options = { seconds: 6, rate: 10_000, flushMs: 500, heartbeatMs: 500, graceMs, parent };
    const outcome = await runNeverYieldingLoop(options);
    console.log(outcome);
    expect(outcome.due).toBeGreaterThan(15_000);
    expect(outcome.exact).toBe(true);
    expect(outcome.stored).toBeGreaterThanOrEqual(outcome.due);
    expect(outcome.heartbeatAgeMs).toBeLessThan(options.heartbeatMs + graceMs);
  }, 60_000);

  test('that logs more than can be stored waits for the thread, whose heartbeats go on', async () => {
    const options = { seconds: 5, rate: 5_000_000, flushMs: 250, heartbeatMs: 250, parent };
    const outcome = await runNeverYieldingLoop(options);
    console.log(outcome);
    expect(outcome.exact).toBe(true);
    expect(outcome.heartbeatAgeMs).toBeLessThan(3_500);
  }, 60_000);
});

describe('heartbeats', () => {
  test('are kept while a run is open, and forgotten when it is closed', async () => {
    const writer = openWriter({ heartbeatMs: 20 });
    writer.openRun('w', 'run-1');
    writer.openRun('w', 'run-2');
    writer.log(writer.seriesIndex(loss), 1, 1_000, 1);
    await writer.flush();
    await using database = await SqliteDatabase.open(path);
    const read = (): ReadonlyMap<string, number> =>
      readHeartbeats(database, 'w', ['run-1', 'run-2', 'run-3']);
    await until('the first beat', () => read().size === 2);
    const first = read().get('run-1') as number;
    await until('a later beat', () => (read().get('run-1') as number) > first);
    expect(readHeartbeats(database, 'elsewhere', ['run-1']).size).toBe(0);
    writer.closeRun('w', 'run-1');
    await until('the end', () => read().size === 1);
    expect([...read().keys()]).toEqual(['run-2']);
    writer.closeRun('w', 'run-2');
    await writer.close();
    expect(read().size).toBe(0);
  });
});

describe('when the store is away', () => {
  test('heartbeats that cannot be kept are told of until they can again', async () => {
    breakStore({ code: 'UNAVAILABLE', part: 'beats' });
    const notices: string[] = [];
    const notice = (message: string): void => void notices.push(message);
    const writer = openFaulty({ heartbeatMs: 20, notice });
    writer.openRun('w', 'run-1');
    await until('the fault', () => writer.health().lastError?.includes('away') === true);
    // Points that are stored meanwhile do not hide it.
    writer.log(writer.seriesIndex(loss), 1, 1_000, 1);
    await writer.flush();
    expect(writer.health().lastError).toContain('away');
    await until('the notice', () => notices.length > 0);
    mendStore();
    await until('the recovery', () => writer.health().lastError === undefined);
    expect(notices).toEqual([expect.stringMatching(/^Heartbeats fail; .* is away/)]);
  });

  test('points wait in the spool, in a file, and go to the store when it is back', async () => {
    breakStore({ code: 'UNAVAILABLE' });
    const writer = openFaulty({ ringBytes: 2 ** 16 });
    const index = writer.seriesIndex(loss);
    for (let i = 0; i < 20_000; i++) writer.log(index, i, 1_000, i);
    await until('the spool', () => writer.health().spooledPoints > 0);
    await expect(writer.flush({ timeoutMs: 50 })).rejects.toMatchObject({ code: 'TIMEOUT' });
    expect(writer.health()).toMatchObject({
      pendingPoints: 20_000,
      dropped: [],
      lastError: expect.stringContaining('away'),
    });
    mendStore();
    await writer.flush();
    expect((await stored()).steps).toEqual(upTo(20_000));
    expect(writer.health()).toMatchObject({ pendingPoints: 0, spooledPoints: 0 });
    expect(writer.health().lastError).toBeUndefined();
    await writer.close();
    expect(readdirSync(join(directory, 'spool'))).toEqual([]);
  });

  test('a batch of which nobody knows whether it was stored is stored once', async () => {
    breakStore({ code: 'UNAVAILABLE', afterwards: true });
    const writer = openFaulty();
    const index = writer.seriesIndex(loss);
    for (let i = 0; i < 100; i++) writer.log(index, undefined, 1_000, i);
    await until('the fault', () => writer.health().lastError !== undefined);
    for (let i = 100; i < 200; i++) writer.log(index, undefined, 1_000, i);
    mendStore();
    await writer.flush();
    expect(await stored()).toEqual({ steps: upTo(200), values: upTo(200) });
  });

  test('a process that leaves meanwhile leaves its points to the next one', async () => {
    breakStore({ code: 'EXHAUSTED' });
    const spoolDir = join(directory, 'spool');
    const options = JSON.stringify({ path, faultFile });
    const program = testPart('outage-child.ts');
    const run = spawnSync(process.execPath, [program, options, spoolDir, 'leave']);
    expect([run.status, run.stderr.toString()]).toEqual([0, '']);
    expect((await stored()).steps).toEqual([]);
    expect(readdirSync(spoolDir)).toHaveLength(1);

    mendStore();
    const next = openFaulty();
    next.log(next.seriesIndex({ ...loss, key: 'other' }), 1, 1_000, 1);
    await next.flush();
    await until('the adopted spool', () => readdirSync(spoolDir).length === 0);
    // Every other step was left out: behind the one before it, and so where the next one is, too.
    const { steps, values } = await stored();
    expect(values).toHaveLength(5_000);
    expect(new Set(values).size).toBe(5_000);
    expect(steps.filter((step) => step % 2 === 0).slice(0, 3)).toEqual([0, 2, 4]);
  });

  test('a process that is killed in a long outage has its points in the spool', async () => {
    breakStore({ code: 'UNAVAILABLE' });
    const spoolDir = join(directory, 'spool');
    const options = JSON.stringify({ path, faultFile });
    const program = testPart('outage-child.ts');
    const child = spawn(process.execPath, [program, options, spoolDir, 'stay'], {
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    let said = '';
    child.stdout.on('data', (data: Buffer) => {
      said += data.toString();
    });
    await until('the spool', () => said.includes('5000\n'));
    child.kill('SIGKILL');
    await once(child, 'close');
    mendStore();
    const next = openFaulty();
    next.log(next.seriesIndex({ ...loss, key: 'other' }), 1, 1_000, 1);
    await until('the adopted spool', () => readdirSync(spoolDir).length === 0);
    const { values } = await stored();
    expect(values.toSorted((a, b) => a - b)).toEqual(upTo(5_000));
  });

  test('a spool whose writer lives is left alone', async () => {
    breakStore({ code: 'UNAVAILABLE' });
    const writer = openFaulty({ ringBytes: 2 ** 16 });
    const index = writer.seriesIndex(loss);
    for (let i = 0; i < 5_000; i++) writer.log(index, i, 1_000, i);
    await until('the spool', () => writer.health().spooledPoints > 0);
    const other = openWriter({ spoolDir: join(directory, 'spool') });
    // The second flush comes after all that the thread does behind the first.
    for (const step of [1, 2]) {
      other.log(other.seriesIndex({ ...loss, key: 'other' }), step, 1_000, 1);
      await other.flush();
    }
    await other.close();
    expect((await stored()).steps).toEqual([]);
    mendStore();
    await writer.flush();
    expect((await stored()).steps).toEqual(upTo(5_000));
  });

  test('memory and spool full, drop: the oldest points are thinned, and the loss is counted', async () => {
    breakStore({ code: 'EXHAUSTED' });
    // A ring of 2,048 points, and a spool in which hardly anything has room.
    const writer = openFaulty({ ringBytes: 2 ** 16, spoolBytes: 1 });
    const often = writer.seriesIndex(loss);
    const seldom = writer.seriesIndex({ ...loss, key: 'seldom' });
    for (let i = 0; i < 20_000; i++) {
      writer.log(often, undefined, 1_000, i);
      if (i % 5_000 === 0) writer.log(seldom, undefined, 1_000, i);
    }
    await until('the loss', () => writer.health().dropped.length > 0);
    mendStore();
    await writer.flush();
    const { steps, values } = await stored();
    const { dropped } = writer.health();
    const lost = dropped.find((one) => one.series.key === 'loss')?.points ?? 0;
    expect(lost).toBeGreaterThan(10_000);
    expect(values.length + lost).toBe(20_000);
    // Thinned, not cut off; and every point has the step that it would have had.
    expect(steps).toEqual(values);
    expect(steps[0]).toBeLessThan(1_000);
    expect(steps.at(-1)).toBe(19_999);
    const others = await stored({ ...loss, key: 'seldom' });
    const lostOthers = dropped.find((one) => one.series.key === 'seldom')?.points ?? 0;
    expect(others.values.length + lostOthers).toBe(4);
  });

  test('memory and spool full, block: the loop waits, and nothing is lost', async () => {
    const backAt = Date.now() + 3_000;
    breakStore({ code: 'EXHAUSTED', until: backAt });
    const writer = openFaulty({ ringBytes: 2 ** 16, spoolBytes: 1, onFull: 'block' });
    const index = writer.seriesIndex(loss);
    for (let i = 0; i < 20_000; i++) writer.log(index, i, 1_000, i);
    expect(Date.now()).toBeGreaterThanOrEqual(backAt);
    await writer.flush();
    expect(writer.health().dropped).toEqual([]);
    expect((await stored()).steps).toEqual(upTo(20_000));
  });

  test('what the store will never take is dropped and counted, and the rest goes on', async () => {
    breakStore({ code: 'INVALID' });
    const writer = openFaulty();
    const index = writer.seriesIndex(loss);
    writer.log(index, 1, 1_000, 1);
    await until('the loss', () => writer.health().dropped.length > 0);
    mendStore();
    writer.log(index, 2, 1_000, 2);
    await writer.flush();
    expect(writer.health().dropped).toEqual([{ series: loss, points: 1 }]);
    expect((await stored()).steps).toEqual([2]);
  });

  test('close says so when points can be kept nowhere', async () => {
    breakStore({ code: 'EXHAUSTED' });
    const writer = openFaulty({ spoolBytes: 1 });
    const index = writer.seriesIndex(loss);
    for (let i = 0; i < 20_000; i++) writer.log(index, i, 1_000, i);
    writer.log(writer.seriesIndex({ ...loss, key: 'acc' }), 0, 1_000, 1);
    await until('the fault', () => writer.health().lastError !== undefined);
    await expect(writer.close({ timeoutMs: 4_000 })).rejects.toMatchObject({ code: 'TIMEOUT' });
    // By key, to the point: nobody shall have to guess what is missing.
    expect(writer.health().dropped).toEqual([
      { series: loss, points: 20_000 },
      { series: { ...loss, key: 'acc' }, points: 1 },
    ]);
    open = [];
  });
});

test('two processes log to one run at once: every point of both is there', async () => {
  const children = ['a', 'b'].map((name) =>
    spawn(process.execPath, [testPart('shared-run-child.ts'), path, name], { stdio: 'inherit' }),
  );
  const ends = await Promise.all(children.map((child) => once(child, 'close')));
  expect(ends.map(([status]) => status)).toEqual([0, 0]);
  const { steps, values } = await stored();
  expect(steps).toHaveLength(40_000);
  expect(values.filter((value) => value >= 0)).toHaveLength(20_000);
  expect(steps.filter((_, i) => (values[i] as number) >= 0)).toEqual(upTo(20_000));
});
