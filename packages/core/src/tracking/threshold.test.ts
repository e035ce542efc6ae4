import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { sharePlatform } from '../../test/open-test-platform.ts';
import type { EventPayloads } from '../events/event-catalogue.ts';
import type { Services } from '../open-platform.ts';
import { type Crossing, type Threshold, ThresholdWatch } from './threshold.ts';

const shared = sharePlatform();
const quick = { experiment: 'e', environment: false } as const;

function crossings(thresholds: readonly Omit<Threshold, 'metric'>[], values: readonly number[]) {
  const watch = new ThresholdWatch(
    'm',
    thresholds.map((each) => ({ metric: 'm', ...each })),
  );
  return values.map((value) => watch.look(value).map(({ bound }: Crossing) => bound));
}

async function told(
  platform: Services,
): Promise<readonly EventPayloads['metric.threshold_exceeded'][]> {
  const payloads: EventPayloads['metric.threshold_exceeded'][] = [];
  for await (const event of platform.events.each({ types: ['metric.threshold_exceeded'] })) {
    payloads.push(event.payload);
  }
  return payloads;
}

describe('ThresholdWatch', () => {
  test('a bound is crossed by the first value beyond it, and again after one within', () => {
    expect(crossings([{ above: 10 }], [9, 10, 11, 12, 10, 11])).toEqual([
      [],
      [],
      ['above'],
      [],
      [],
      ['above'],
    ]);
    expect(crossings([{ below: 0 }], [0, -0, -5e-324, -1, 1])).toEqual([[], [], ['below'], [], []]);
  });

  test('NaN is beyond notFinite alone, and leaves the others as they were', () => {
    const { NaN: nan, POSITIVE_INFINITY: infinity } = Number;
    const values = [11, nan, 11, infinity, 5, nan];
    expect(crossings([{ above: 10, notFinite: true }], values)).toEqual([
      ['above'],
      ['notFinite'],
      [],
      ['notFinite'],
      [],
      ['notFinite'],
    ]);
  });

  test('any values: a crossing wherever one beyond follows none or one within', () => {
    const value = fc.oneof(fc.double({ noNaN: true }), fc.constantFrom(0, 1, -1, 2));
    fc.assert(
      fc.property(fc.array(value, { maxLength: 50 }), value, (values, above) => {
        const found = crossings([{ above }], values).map((each) => each.length > 0);
        const wanted = values.map(
          (each, i) => each > above && !((values[i - 1] ?? Number.NEGATIVE_INFINITY) > above),
        );
        expect(found).toEqual(wanted);
      }),
    );
  });

  test('a value that flutters is told of 100 times, the last one marked', () => {
    const watch = new ThresholdWatch('m', [{ metric: 'm', above: 0 }]);
    const found = Array.from({ length: 1000 }, (_, i) => watch.look(i % 2 === 0 ? 1 : -1)).flat();
    expect(found.length).toBe(100);
    expect(found.map(({ last }) => last)).toEqual([...Array(99).fill(false), true]);
  });
});

describe('metric.threshold_exceeded', () => {
  test('is told of runs that give bounds, with where the point lies', async () => {
    const { platform } = shared.fresh();
    const thresholds = [{ metric: 'loss', above: 10, notFinite: true }];
    const run = await platform.tracking.withRun({ ...quick, thresholds }, (run) => {
      // A loop that never yields, far more points than crossings.
      for (let step = 0; step < 5000; step++) {
        const value = step === 700 ? 11 : step === 900 ? Number.NaN : 1;
        run.logMetrics({ loss: value, other: 99 }, { step, timestamp: step });
      }
      return run;
    });
    const { id: runId, experimentId } = run;
    const common = { runId, experimentId, metric: 'loss' };
    expect(await told(platform)).toEqual([
      { ...common, bound: 'above', threshold: 10, value: 11, step: 700, timestamp: 700 },
      { ...common, bound: 'notFinite', value: Number.NaN, step: 900, timestamp: 900 },
    ]);
  });

  test('all runs of an experiment are held to its bounds, those that begin after they change', async () => {
    const { platform } = shared.fresh();
    const { tracking } = platform;
    await tracking.createExperiment({ name: 'e', thresholds: [{ metric: 'acc', below: 0.5 }] });
    const before = await tracking.startRun(quick);
    const changed = await tracking.updateExperiment('e', { thresholds: [] });
    expect(changed.thresholds).toEqual([]);
    const after = await tracking.startRun(quick);
    for (const run of [before, after]) {
      run.logMetric('acc', 0.1);
      await run.finish();
    }
    expect((await told(platform)).map(({ runId }) => runId)).toEqual([before.id]);
  });

  test('every handle of a run watches, one crossing is one event', async () => {
    const { platform } = shared.fresh();
    const { tracking } = platform;
    const thresholds = [{ metric: 'loss', above: 1 }];
    const first = await tracking.startRun({ ...quick, id: 'shared', thresholds });
    const second = await tracking.resumeRun('shared');
    first.logMetric('loss', 2);
    second.logMetric('loss', 3);
    await second.flush();
    expect(await told(platform)).toMatchObject([{ runId: 'shared', value: 2 }]);
    await first.finish();
    const resumed = await tracking.resumeRun('shared');
    resumed.logMetric('loss', 4);
    await resumed.finish();
    expect(await told(platform)).toMatchObject([{ value: 2 }, { value: 4 }]);
  });

  test.each([
    [[{ metric: 'm' }], 'bounds nothing; give above, below or notFinite: true'],
    [[{ metric: '', above: 1 }], 'The metric of a threshold is empty'],
    [[{ metric: 'm', above: Number.NaN }], 'above'],
    [[{ metric: 'm', aboev: 1 }], 'aboev'],
    [Array(101).fill({ metric: 'm', above: 1 }), '100'],
    ['loss', 'thresholds'],
  ])('%j is refused', async (thresholds, message) => {
    const { platform } = shared.fresh();
    const options = { ...quick, thresholds: thresholds as never };
    const refused = { code: 'INVALID', message: expect.stringContaining(message) };
    await expect(platform.tracking.startRun(options)).rejects.toMatchObject(refused);
    const experiment = { name: 'x', thresholds: thresholds as never };
    await expect(platform.tracking.createExperiment(experiment)).rejects.toMatchObject(refused);
  });
});
