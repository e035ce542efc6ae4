import { describe, expect, test } from 'vitest';
import { sharePlatform } from '../../test/open-test-platform.ts';
import { epochCallback } from './framework-hooks.ts';

const shared = sharePlatform();
const quick = { experiment: 'e', environment: false } as const;

describe('epochCallback', () => {
  test('logs each epoch at its number, batches at theirs, and is durable at the end', async () => {
    const { tracking } = shared.fresh().platform;
    const run = await tracking.startRun(quick);
    const callback = epochCallback(run, { prefix: 'fold1/', everyBatches: 2 });
    callback.onTrainBegin();
    for (let epoch = 0; epoch < 2; epoch += 1) {
      for (let batch = 0; batch < 3; batch += 1)
        callback.onBatchEnd?.(batch, { batch, size: 32, loss: 10 * epoch + batch });
      const tensor = { size: 1, dataSync: () => Float32Array.of(0.5) };
      const many = { size: 2, dataSync: () => Float32Array.of(1, 2) };
      callback.onEpochEnd(epoch, { loss: 1 / (epoch + 1), acc: tensor, many, text: 'x', no: null });
    }
    callback.onEpochEnd(2);
    await callback.onTrainEnd();
    // Read while the run still runs: onTrainEnd made it durable.
    const keys = (await tracking.getMetricSummaries(run.id)).map(({ key }) => key);
    expect(keys).toEqual(['fold1/acc', 'fold1/batch/loss', 'fold1/loss']);
    const loss = await tracking.getMetricHistory(run.id, 'fold1/loss');
    expect([[...loss.steps], [...loss.values]]).toEqual([
      [0, 1],
      [1, 0.5],
    ]);
    const batches = await tracking.getMetricHistory(run.id, 'fold1/batch/loss');
    expect([[...batches.steps], [...batches.values]]).toEqual([
      [0, 2, 4],
      [0, 2, 11],
    ]);
    await run.finish();
  });

  test('logs no batches unless asked, and refuses a number that is none', async () => {
    const { tracking } = shared.fresh().platform;
    const run = await tracking.startRun(quick);
    expect(epochCallback(run)).not.toHaveProperty('onBatchEnd');
    expect(() => epochCallback(run, { everyBatches: 0 })).toThrow('everyBatches');
    await run.finish();
  });
});
