import { describe, expect, test } from 'vitest';
import {
  type LogLine,
  openTestPlatform,
  sharePlatform,
  until,
} from '../../test/open-test-platform.ts';
import { openTestScope } from '../../test/open-test-scope.ts';
import { platformKinds } from '../platform-kinds.ts';
import { createMetricNameWatch, keysOfEarlierRuns } from './metric-name-watch.ts';

const shared = sharePlatform();
const quick = { experiment: 'e', environment: false } as const;

describe('metric names', () => {
  test('are defined, found by any spelling, listed, defined anew and removed', async () => {
    const { tracking } = shared.fresh().platform;
    const accuracy = {
      name: 'val_accuracy',
      aliases: ['acc', 'val_acc'],
      direction: 'higher',
      unit: '%',
      description: 'Share of right answers.',
    } as const;
    expect(await tracking.defineMetric(accuracy)).toEqual(accuracy);
    await tracking.defineMetric({ name: 'loss' });
    expect(await tracking.findMetricName('val_acc')).toEqual(accuracy);
    expect(await tracking.findMetricName('valacc')).toBeUndefined();
    expect(await tracking.listMetricNames()).toEqual([{ name: 'loss', aliases: [] }, accuracy]);
    const anew = { name: 'val_accuracy', aliases: ['acc', 'a'] } as const;
    expect(await tracking.defineMetric(anew)).toEqual({ ...anew, aliases: ['a', 'acc'] });
    expect(await tracking.findMetricName('val_acc')).toBeUndefined();
    await tracking.removeMetricName('val_accuracy');
    expect(await tracking.findMetricName('a')).toBeUndefined();
    expect(await tracking.listMetricNames()).toEqual([{ name: 'loss', aliases: [] }]);
    await expect(tracking.removeMetricName('val_accuracy')).rejects.toMatchObject({
      code: 'NOT_FOUND',
    });
  });

  test('no spelling stands for two metrics, also when two define at once', async () => {
    const { tracking } = shared.fresh().platform;
    await tracking.defineMetric({ name: 'accuracy', aliases: ['acc'] });
    await expect(tracking.defineMetric({ name: 'other', aliases: ['acc'] })).rejects.toThrow(
      '"acc" is an alias of accuracy',
    );
    await expect(tracking.defineMetric({ name: 'acc' })).rejects.toMatchObject({
      code: 'CONFLICT',
    });
    await expect(tracking.defineMetric({ name: 'b', aliases: ['accuracy'] })).rejects.toThrow(
      '"accuracy" is a metric of its own',
    );
    const racing = await Promise.allSettled(
      ['p', 'q', 'r', 's'].map((name) => tracking.defineMetric({ name, aliases: ['shared'] })),
    );
    expect(racing.filter((each) => each.status === 'fulfilled')).toHaveLength(1);
    for (const each of racing) {
      if (each.status === 'rejected')
        expect(each.reason).toMatchObject({ code: 'CONFLICT', details: { spelling: 'shared' } });
    }
    const names = await tracking.listMetricNames();
    expect(names.filter((name) => name.aliases.includes('shared'))).toHaveLength(1);
  });

  test('the same definition from several at once is one definition', async () => {
    const { tracking } = shared.fresh().platform;
    const metric = { name: 'loss', aliases: ['l'], direction: 'lower' } as const;
    const defined = await Promise.all([1, 2, 3].map(() => tracking.defineMetric(metric)));
    expect(defined).toEqual([metric, metric, metric]);
    expect(await tracking.listMetricNames()).toEqual([metric]);
  });

  test('refuses by name what is no definition, and keeps workspaces apart', async () => {
    const { tracking } = shared.fresh().platform;
    const refused = (metric: object) =>
      expect(tracking.defineMetric(metric as { name: string })).rejects;
    await refused({ name: '' }).toMatchObject({ code: 'INVALID' });
    await refused({ name: 'a', aliases: ['a'] }).toThrow('"a" is given twice');
    await refused({ name: 'a', direction: 'up' }).toThrow('direction');
    await refused({ name: 'a', alias: ['b'] }).toThrow('alias');
    await refused({ name: 'x'.repeat(256) }).toMatchObject({ code: 'INVALID' });
    await refused({ name: 'a\u0000' }).toMatchObject({ code: 'INVALID' });
    await tracking.defineMetric({ name: 'a' });
    expect(await shared.fresh().platform.tracking.listMetricNames()).toEqual([]);
  });
});

describe('a name that is nearly an old one', () => {
  const warned = (logs: readonly LogLine[]): unknown[] =>
    logs.flatMap(({ fields }) =>
      fields['near'] === undefined ? [] : [[fields['metric'], fields['near']]],
    );

  test('gives one warning: near a defined one, an earlier run’s, or one of this process', async () => {
    const { platform, logs } = await openTestPlatform();
    const { tracking } = platform;
    await tracking.defineMetric({ name: 'val_accuracy', aliases: ['val_acc'] });
    await tracking.withRun(quick, (run) => run.logMetric('recall_rate', 1));
    // Services of their own: what they know of the first run is what is stored.
    const again = platform.as({ principal: { id: 'user:other', roles: [] } });
    await again.tracking.withRun(quick, (run) => {
      for (let step = 0; step < 3; step += 1) {
        run.logMetrics({ val_accurcy: 1, val_acc: 1, valAcc: 1, recal_rate: 1 }, { step });
        run.logMetrics(
          { trainLoss: 1, train_loss: 1, loss_1: 1, loss_2: 1, mse: 1, mae: 1 },
          { step },
        );
      }
    });
    await until('four warnings', () => warned(logs).length >= 4);
    await again.tracking.withRun(quick, (run) => run.logMetric('valAcc', 1));
    expect(warned(logs)).toEqual([
      ['val_accurcy', 'val_accuracy'],
      ['valAcc', 'val_acc'],
      ['recal_rate', 'recall_rate'],
      ['train_loss', 'trainLoss'],
    ]);
  });

  test('a run that has ended before anybody looked is no earlier run of itself', async () => {
    const { platform, dir } = await openTestPlatform();
    const { id, experimentId } = await platform.tracking.withRun(quick, async (run) => {
      run.logMetrics({ trainLoss: 1, train_loss: 1 });
      return run;
    });
    const test = await openTestScope({ kinds: platformKinds, dir });
    const warnings: string[] = [];
    const watch = createMetricNameWatch({
      names: async () => [],
      earlierKeys: (experiment, runId) => keysOfEarlierRuns(test.scope, experiment, runId),
      warn: (message) => void warnings.push(message),
    });
    for (const key of ['trainLoss', 'train_loss']) watch.seen({ id, experimentId }, key);
    await until('a warning', () => warnings.length === 1);
    expect(warnings[0]).toMatch(/^Metric "train_loss" is nearly "trainLoss"/);
    await test[Symbol.asyncDispose]();
  });
});
