import { spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync, statfsSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { PointWriter, type PointWriterOptions } from './point-writer.ts';
import { SqliteSeriesStore } from './sqlite-series-store.ts';

const megabyte = 2 ** 20;
const directory = mkdtempSync(join(tmpdir(), 'disk-'));
const disk = join(directory, 'disk');
mkdirSync(disk);
// A real disk that is full, where we may mount one.
const mounted =
  process.platform === 'linux' &&
  spawnSync('/bin/mount', ['-t', 'tmpfs', '-o', 'size=12m', 'tmpfs', disk]).status === 0;
if (!mounted) {
  const what = 'LEFT OUT: metric writer on a full disk (mounting a file system needs root).';
  if (process.env['CI'] !== undefined) throw new Error(what);
  console.warn(what);
}

const filler = join(disk, 'filler');
const path = join(disk, 'keelson.db');
const loss = { workspace: 'w', owner: 'run', key: 'loss' };

function fillDisk(): void {
  const { bavail, bsize } = statfsSync(disk);
  writeFileSync(filler, new Uint8Array(bavail * bsize));
}

async function until(what: string, condition: () => boolean): Promise<void> {
  const deadline = performance.now() + 15_000;
  while (!condition()) {
    if (performance.now() > deadline) throw new Error(`Waited in vain: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 2));
  }
}

/** Logs while the disk is full, frees it, and answers what was stored and what the writer says it lost. */
async function throughFullDisk(
  points: number,
  options: Partial<PointWriterOptions>,
): Promise<{ values: readonly number[]; lost: number; lastError: string | undefined }> {
  const target = { kind: 'sqlite', path } as const;
  await using writer = PointWriter.open({ target, flushMs: 20, ...options });
  const index = writer.seriesIndex(loss);
  writer.log(index, 0, 1_000, 0);
  await writer.flush();
  fillDisk();
  for (let i = 1; i < points; i++) writer.log(index, i, 1_000, i);
  await until('the full disk', () => writer.health().lastError?.includes('full') === true);
  const { lastError } = writer.health();
  rmSync(filler);
  await writer.flush();
  const dropped = writer.health().dropped.reduce((sum, one) => sum + one.points, 0);
  await using store = await SqliteSeriesStore.open({ path });
  const { values } = await store.points(loss);
  return { values: [...values], lost: dropped, lastError };
}

describe.skipIf(!mounted)('the disk is full', () => {
  beforeAll(() => {
    expect(statfsSync(disk).blocks * statfsSync(disk).bsize).toBe(12 * megabyte);
  });
  beforeEach(() => {
    for (const name of ['', '-wal', '-shm']) rmSync(path + name, { force: true });
    rmSync(join(disk, 'spool'), { recursive: true, force: true });
  });
  afterAll(() => {
    spawnSync('/bin/umount', [disk]);
    rmSync(directory, { recursive: true, force: true });
  });

  test('and free again before memory is spent: nothing is lost', async () => {
    const { values, lost, lastError } = await throughFullDisk(100_000, {});
    expect(lastError).toContain('full');
    expect(lost).toBe(0);
    expect(values).toEqual(Array.from({ length: 100_000 }, (_, i) => i));
  });

  test('with the spool on another disk: nothing is lost, with hardly any memory', async () => {
    const spoolDir = join(directory, 'spool');
    const { values, lost } = await throughFullDisk(100_000, { spoolDir, ringBytes: 2 ** 17 });
    expect(lost).toBe(0);
    expect(values).toEqual(Array.from({ length: 100_000 }, (_, i) => i));
  });

  test('and memory is spent: the loss is counted to the last point', async () => {
    const { values, lost } = await throughFullDisk(100_000, { ringBytes: 2 ** 17 });
    expect(lost).toBeGreaterThan(0);
    expect(values.length + lost).toBe(100_000);
    expect(values.at(-1)).toBe(99_999);
  });
});
