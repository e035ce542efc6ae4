import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { openPlatform } from '@keelson/core';
import { expect, onTestFinished, test } from 'vitest';
import { reloadNet, trainNet } from './train-net.ts';

test('TF.js itself calls the callback, saves into artifacts and loads from them', async () => {
  const dir = mkdtempSync(join(tmpdir(), 'keelson-tfjs-'));
  const platform = await openPlatform({ dir });
  onTestFinished(async () => {
    await platform.close();
    rmSync(dir, { recursive: true, force: true });
  });
  const { tracking } = platform;
  const options = { units: 8, rate: 0.01, epochs: 4, batchSize: 64 };
  const { runId, accuracy } = await trainNet(tracking, options);
  for (const key of ['loss', 'acc', 'val_loss', 'val_acc']) {
    const { steps, values } = await tracking.getMetricHistory(runId, key);
    expect([...steps], key).toEqual([0, 1, 2, 3]);
    expect(values.every((value) => Number.isFinite(value))).toBe(true);
  }
  const run = await tracking.getRun(runId);
  expect(run.metrics['val_acc']).toBeCloseTo(accuracy, 5);
  expect(await tracking.getParams(runId)).toEqual({ ...options, seed: 7 });
  expect(await reloadNet(tracking, runId)).toBe(accuracy);
});
