import { describe, expect, expectTypeOf, test } from 'vitest';
import { sharePlatform } from '../../test/open-test-platform.ts';
import { epochCallback } from './framework-hooks.ts';
import type { ParamKey, ParamValue, TypedExperiment } from './typed-experiment.ts';

const shared = sharePlatform();

interface Params {
  readonly rate: number;
  readonly layers: readonly number[];
  readonly optimizer: { readonly name: 'adam' | 'sgd'; readonly decay?: number };
}
type Digits = { params: Params; metrics: 'loss' | 'acc' };

describe('typed experiments', () => {
  test('log what they declare, as untyped ones do', async () => {
    const { tracking } = shared.fresh().platform;
    const digits = tracking.experiment<Digits>('digits');
    expect(digits.name).toBe('digits');
    const options = { environment: false, params: { rate: 0.1 } } as const;
    const id = await digits.withRun(options, async (run) => {
      run.logMetric('loss', 0.5, { step: 3 });
      run.logMetrics({ acc: 0.9 }, { step: 3 });
      await run.logParam('optimizer.name', 'adam');
      await run.logParams({ optimizer: { decay: 0.5 }, layers: [8, 4] });
      epochCallback(run).onEpochEnd(4, { loss: 0.25 });
      return run.id;
    });
    expect(await tracking.getParams(id)).toEqual({
      rate: 0.1,
      layers: [8, 4],
      optimizer: { name: 'adam', decay: 0.5 },
    });
    const run = await tracking.getRun(id);
    expect(run).toMatchObject({ status: 'COMPLETED', metrics: { loss: 0.25, acc: 0.9 } });
    expect((await tracking.getExperiment('digits')).id).toBe(run.experimentId);
    const started = await digits.startRun({ environment: false });
    await started.finish('KILLED');
    expect((await tracking.getRun(started.id)).status).toBe('KILLED');
    expect(await digits.withRun((inner) => inner.experimentId)).toBe(run.experimentId);
    await expect(
      digits.withRun(() => {
        throw new Error('broken');
      }),
    ).rejects.toThrow('broken');
    expect(() => tracking.experiment('')).toThrow('name');
  });

  test('a mistyped metric or param does not compile', () => {
    // Never called: what counts is that the compiler takes each line, or does not.
    const mistyped = async (digits: TypedExperiment<Digits>): Promise<void> => {
      const run = await digits.startRun({ params: { optimizer: { name: 'sgd' } } });
      // @ts-expect-error: no such metric
      run.logMetric('los', 1);
      // @ts-expect-error: no such metric
      run.logMetrics({ loss: 1, accuracy: 1 });
      // @ts-expect-error: a metric is a number
      run.logMetric('loss', '1');
      // @ts-expect-error: no such param
      await run.logParam('rat', 1);
      // @ts-expect-error: no such nested param
      await run.logParam('optimizer.nam', 'adam');
      // @ts-expect-error: not one of the names
      await run.logParam('optimizer.name', 'adamw');
      // @ts-expect-error: a number, not text
      await run.logParams({ rate: '0.1' });
      // @ts-expect-error: no such nested param
      await run.logParams({ optimizer: { momentum: 1 } });
      // @ts-expect-error: no such param
      await digits.startRun({ params: { speed: 1 } });
      // @ts-expect-error: the experiment is given already
      await digits.startRun({ experiment: 'other' });
      // @ts-expect-error: no such metric
      await digits.withRun((inner) => inner.logMetric('f1', 1));
    };
    expect(mistyped).toBeTypeOf('function');
    expectTypeOf<ParamKey<Params>>().toEqualTypeOf<
      'rate' | 'layers' | 'optimizer.name' | 'optimizer.decay'
    >();
    expectTypeOf<ParamValue<Params, 'optimizer.name'>>().toEqualTypeOf<'adam' | 'sgd'>();
    expectTypeOf<ParamValue<Params, 'layers'>>().toEqualTypeOf<readonly number[]>();
  });

  test('what is not declared is open', async () => {
    const { tracking } = shared.fresh().platform;
    const open = tracking.experiment<{ metrics: 'loss' }>('open');
    const id = await open.withRun({ environment: false }, async (run) => {
      await run.logParams({ anything: { goes: true } });
      return run.id;
    });
    expect(await tracking.getParams(id)).toEqual({ anything: { goes: true } });
  });
});
