import { describe, expect, test } from 'vitest';
import { openTestScope, type TestScope } from '../../test/open-test-scope.ts';
import { eventKinds } from '../contracts/kinds/event-kinds.ts';
import { pipelinesKinds } from '../contracts/kinds/pipelines-kinds.ts';
import { trackingKinds } from '../contracts/kinds/tracking-kinds.ts';
import { currentRun } from '../tracking/active-run.ts';
import { createTracking, type Tracking } from '../tracking/tracking.ts';
import { definePipeline } from './define-pipeline.ts';
import { createPipelines } from './pipelines.ts';
import { attemptRunId } from './step-execution.ts';
import { StepError } from './step-policy.ts';
import { executionRunId } from './steps/run-link.ts';

const kinds = [...eventKinds, ...trackingKinds, ...pipelinesKinds];

function trackingOf({ scope, stores }: TestScope): Tracking {
  return createTracking(scope, { writer: () => stores.writer(), heartbeats: stores.heartbeats });
}

describe('the link with tracking', () => {
  test('an execution is a run with a nested run for each attempt, and leaves no strays', async () => {
    await using t = await openTestScope({ kinds });
    const tracker = trackingOf(t);
    const pipelines = createPipelines(t.scope, { tracker });
    let broken = true;
    const pipeline = definePipeline('tracked', { version: '1.0.0' }, (p) => {
      const fit = p.step(
        'fit',
        {},
        async ({ run, attempt }) => {
          expect(currentRun()?.id).toBe(run?.id);
          run?.logMetric('loss', 1 / attempt, { step: 1 });
          if (attempt === 1) throw new Error('again');
          return attempt;
        },
        { retries: { limit: 1, delayMs: 1 } },
      );
      return p.step('check', { fit }, () => {
        if (broken) throw new StepError('permanent', 'broken');
        return 'fine';
      });
    });
    const execution = await pipelines.start(pipeline, { rate: 0.1 });
    const { id } = execution;
    expect((await pipelines.wait(execution)).status).toBe('FAILED');
    const top = await tracker.getRun(executionRunId(id));
    expect(top).toMatchObject({
      status: 'FAILED',
      sourceType: 'PIPELINE',
      params: { rate: 0.1 },
      statusReason: 'broken',
    });
    const runOf = (step: string, attempt: number) =>
      tracker.getRun(attemptRunId(id, step, attempt));
    expect(await runOf('fit', 1)).toMatchObject({
      status: 'FAILED',
      statusReason: 'again',
      parentRunId: top.id,
    });
    expect(await runOf('fit', 2)).toMatchObject({ status: 'COMPLETED', metrics: { loss: 0.5 } });
    expect(await runOf('check', 1)).toMatchObject({ status: 'FAILED' });

    // Another process, as it were, goes on with the same runs.
    broken = false;
    const other = createPipelines(t.scope, { tracker: trackingOf(t) });
    other.add(pipeline);
    await other.retry(id);
    expect(await other.wait(execution)).toMatchObject({ status: 'COMPLETED', output: 'fine' });
    expect((await tracker.getRun(top.id)).status).toBe('COMPLETED');
    expect(await runOf('check', 2)).toMatchObject({ status: 'COMPLETED', parentRunId: top.id });
    const { count } = await t.scope.metadata.count('default', 'run', undefined, { exact: true });
    expect(count).toBe(5);
  });

  test('conditions and the last event have the metrics of results that were taken from earlier ones', async () => {
    await using t = await openTestScope({ kinds });
    const pipelines = createPipelines(t.scope, { tracker: trackingOf(t) });
    const pipeline = definePipeline('reused', { version: '1.0.0' }, (p) => {
      const fit = p.step('fit', {}, ({ run }) => run?.logMetric('accuracy', 0.95), {
        version: '1',
      });
      const check = p.step('check', {}, ({ run }) => run?.logMetric('drift', 0.1));
      return p.step('publish', { fit, check }, () => 'published', {
        when: 'metrics.fit.accuracy > 0.9 && metrics.check.drift < 0.2',
      });
    });
    const ended = async (options: { readonly only?: string; readonly reuse?: string } = {}) => {
      const done = await pipelines.wait(await pipelines.start(pipeline, {}, options));
      expect([done.status, done.failure?.message]).toEqual(['COMPLETED', undefined]);
      expect(done.output).toBe('published');
      const { events } = await t.scope.metadata.readEvents({ workspace: 'default', limit: 1000 });
      const last = events.filter(({ type }) => type === 'pipeline.completed').at(-1);
      expect(last?.payload).toMatchObject({
        metrics: { fit: { accuracy: 0.95 }, check: { drift: 0.1 } },
      });
      return done;
    };
    await ended();
    const { id } = await ended();
    expect((await pipelines.steps(id))[0]?.cachedFrom).toBeDefined();
    await ended({ only: 'publish', reuse: id });
  });

  test('a run whose execution ended while its process died is ended by the next sweep', async () => {
    await using t = await openTestScope({ kinds });
    const tracker = trackingOf(t);
    const pipeline = definePipeline('left', { version: '1.0.0' }, (p) => p.step('a', {}, () => 1));
    // Ends the execution but, as if killed right then, not its run.
    const dying = createPipelines(t.scope, {
      tracker: {
        ...tracker,
        findRun: async (id) => {
          const run = await tracker.findRun(id);
          if (run?.status === 'RUNNING') throw new Error('killed');
          return run;
        },
      },
    });
    const { id } = await dying.start(pipeline, {});
    await expect(dying.wait(id)).rejects.toThrow('killed');
    expect((await tracker.getRun(executionRunId(id))).status).toBe('RUNNING');
    const [loop] = createPipelines(t.scope, { tracker }).loops;
    const { signal } = new AbortController();
    while (await loop?.runOnce(signal));
    expect((await tracker.getRun(executionRunId(id))).status).toBe('COMPLETED');
  });
});
