import { readdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { expect, test } from 'vitest';
import { openTestPlatform, until } from '../../test/open-test-platform.ts';
import type { Platform } from '../open-platform.ts';
import type { PointBlock } from './point-block.ts';
import { PointSpool } from './point-spool.ts';

function block(sequence: number, run: string, steps: readonly number[]): PointBlock {
  return {
    writer: 'dead',
    sequence,
    series: [{ workspace: 'default', owner: run, key: 'loss' }],
    seriesIndex: new Uint32Array(steps.length),
    steps: Float64Array.from(steps),
    timestamps: new Float64Array(steps.length).fill(1_000),
    values: Float64Array.from(steps),
  };
}

/** A platform with a run, closed, and a spool in its directory that a dead process has left. */
async function withSpool(
  fill: (spool: PointSpool) => void,
): Promise<{ dir: string; spool: string }> {
  const { platform, dir } = await openTestPlatform();
  const run = await platform.tracking.startRun({ experiment: 'e', id: 'r', environment: false });
  await run.finish();
  await platform.close();
  const directory = join(dir, 'spool');
  const spool = PointSpool.open(directory, 'dead', 2 ** 20);
  fill(spool);
  spool.close();
  return { dir, spool: directory };
}

type Steps = () => Promise<readonly number[]>;

function stepsOf(platform: Platform): Steps {
  return async () => [...(await platform.tracking.getMetricHistory('r', 'loss')).steps];
}

async function stepsIn(dir: string): Promise<Steps> {
  return stepsOf((await openTestPlatform({ dir })).platform);
}

test('whoever opens the platform carries them to the store, though it logs nothing', async () => {
  const { dir, spool } = await withSpool((open) => {
    open.put(block(1, 'r', [1, 2]));
    open.put(block(2, 'r', [3]));
  });
  const steps = await stepsIn(dir);
  await until('the points', async () => (await steps()).length === 3);
  await until('the end of the spool', () => readdirSync(spool).length === 0);
});

test('a platform that runs carries what processes leave that die later', async () => {
  const { platform, dir } = await openTestPlatform();
  const run = await platform.tracking.startRun({ experiment: 'e', id: 'r', environment: false });
  run.logMetric('loss', 1, { step: 1 });
  await run.finish();
  const directory = join(dir, 'spool');
  const spool = PointSpool.open(directory, 'dead', 2 ** 20);
  spool.put(block(1, 'r', [2, 3]));
  spool.close();
  platform.start();
  await until('the points', async () => (await stepsOf(platform)()).join() === '1,2,3');
});

test('a block that the store refuses, and one that is damaged, dam up nothing; they are kept', async () => {
  const { dir, spool } = await withSpool((open) => {
    // No workspace has no name.
    const refused = block(1, 'r', [1]);
    open.put({ ...refused, series: [{ workspace: '', owner: 'r', key: 'loss' }] });
    open.put(block(2, 'r', [2]));
    open.put(block(3, 'r', [3]));
    open.put(block(4, 'r', [4]));
  });
  const file = join(spool, 'dead.points');
  const damaged = new DatabaseSync(file);
  damaged.exec("UPDATE block SET data = x'00ff' WHERE sequence = 3");
  damaged.close();
  const { platform, logs } = await openTestPlatform({ dir });
  const steps = stepsOf(platform);
  await until('the others', async () => (await steps()).join() === '2,4');
  const aside = (): unknown[] => {
    // Its adopter holds it until it is done.
    const kept = new DatabaseSync(file, { timeout: 0 });
    try {
      return kept.prepare('SELECT sequence, n FROM aside ORDER BY sequence').all();
    } catch {
      return [];
    } finally {
      kept.close();
    }
  };
  await until('what is kept', () => aside().length === 2);
  expect(aside()).toMatchObject([
    { sequence: 1, n: 1 },
    { sequence: 3, n: 1 },
  ]);
  await until('the notices', () => logs.length === 2);
  for (const { level, message } of logs) {
    expect(level).toBe('warn');
    expect(message).toContain(`1 metric points of a process that died`);
    expect(message).toContain(file);
  }
});

test('a spool that is no database at all is left as it is, and the next one is carried', async () => {
  const { dir, spool } = await withSpool((open) => open.put(block(1, 'r', [1])));
  writeFileSync(join(spool, 'a.points'), 'x'.repeat(10_000));
  const { platform, logs } = await openTestPlatform({ dir });
  await until('the points', async () => (await stepsOf(platform)()).length === 1);
  await until('the end of the good one', () => readdirSync(spool).join() === 'a.points');
  await until('the notice', () => logs.length === 1);
  expect(logs[0]?.message).toMatch(/a\.points is damaged or is no SQLite database/);
});
