import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { openTestPlatform, temporaryDirectory } from '../../../test/open-test-platform.ts';
import { definePipeline } from '../define-pipeline.ts';
import type { StepLogChunk } from '../executors/log-store.ts';
import { continueWith } from '../further-steps.ts';
import type { StepContext } from '../step-types.ts';

function said(chunks: readonly StepLogChunk[]): readonly string[] {
  return chunks.map(({ stream, text }) => {
    const { level, message } = JSON.parse(text) as { level: string; message: string };
    return `${stream} ${level} ${message}`;
  });
}

test('what a function logs can be followed, and is kept of each attempt', async () => {
  const { platform, logs: told } = await openTestPlatform();
  const { pipelines } = platform;
  const followed: StepLogChunk[] = [];
  let following: Promise<void> = Promise.resolve();
  const pipeline = definePipeline('logged', { version: '1.0.0' }, (p) => {
    const load = p.step(
      'load',
      {},
      async ({ logger, attempt, executionId }) => {
        const circle: Record<string, unknown> = { password: 'open sesame' };
        circle['self'] = circle;
        logger.info({ rows: 3, password: 'open sesame' }, `attempt ${attempt}`);
        if (attempt === 1) throw new Error('again');
        const first = Promise.withResolvers<void>();
        following = (async () => {
          for await (const chunk of pipelines.logs(executionId, 'load', { follow: true })) {
            followed.push(chunk);
            first.resolve();
          }
        })();
        await first.promise;
        logger.error({ error: new Error('not so bad'), big: 1n }, 'an error');
        logger.debug(circle, 'a circle');
      },
      { retries: { limit: 1, delayMs: 1 } },
    );
    p.step('silent', { load }, () => 1);
  });
  const { id } = await pipelines.start(pipeline);
  expect((await pipelines.wait(id)).status).toBe('COMPLETED');
  await following;
  const all = ['stdout info attempt 2', 'stderr error an error', 'stdout debug a circle'];
  expect(said(followed)).toEqual(all);
  expect(told.map(({ message }) => message)).toEqual(
    expect.arrayContaining(['attempt 1', 'attempt 2', 'an error', 'a circle']),
  );
  const kept = await Array.fromAsync(pipelines.logs(id, 'load'));
  expect(said(kept)).toEqual(all);
  expect(kept.map(({ text }) => text).join()).not.toContain('sesame');
  expect(kept[1]?.text).toContain('not so bad');
  const before = await Array.fromAsync(pipelines.logs(id, 'load', { attempt: 1 }));
  expect(said(before)).toEqual(['stdout info attempt 1']);
  const [load, silent] = await pipelines.steps(id);
  expect(load?.log).toMatchObject({ name: 'logs/a2.jsonl' });
  expect(load?.logsUri).toBeDefined();
  expect(silent?.log).toBeUndefined();
  expect(await Array.fromAsync(pipelines.logs(id, 'silent'))).toEqual([]);
});

test('an item, an iteration and a step that asks for further ones keep theirs', async () => {
  const { platform } = await openTestPlatform();
  const { pipelines } = platform;
  const child = definePipeline('child', { version: '1.0.0' }, (p) => p.step('one', {}, () => 1));
  const pipeline = definePipeline('others', { version: '1.0.0' }, (p) => {
    const list = p.step('list', {}, () => [1, 2]);
    p.forEach('each', list, {}, ({ logger, inputs }) => logger.info({}, `item ${inputs.item}`));
    p.step(
      'again',
      {},
      ({ logger, iteration }) => {
        logger.info({}, `iteration ${iteration}`);
        return { iteration };
      },
      { repeat: { until: 'output.iteration == 2', max: 3 } },
    );
    p.step('ask', {}, ({ logger }) => {
      logger.info({}, 'asks');
      return continueWith(child, {});
    });
  });
  const { id } = await pipelines.start(pipeline);
  expect((await pipelines.wait(id)).status).toBe('COMPLETED');
  const of = async (step: string, options = {}) =>
    said(await Array.fromAsync(pipelines.logs(id, step, options)));
  expect(await of('each', { item: 1 })).toEqual(['stdout info item 2']);
  expect(await of('again', { attempt: 1 })).toEqual(['stdout info iteration 1']);
  expect(await of('again')).toEqual(['stdout info iteration 2']);
  expect(await of('ask')).toEqual(['stdout info asks']);
});

test('what is logged never fails a step, however its logger is called, wherever it runs', async () => {
  const { platform } = await openTestPlatform();
  const { pipelines } = platform;
  const module = join(await temporaryDirectory(), 'logs.mjs');
  await writeFile(
    module,
    `export const work = ({ logger }) => {
  const circle = { password: 'open sesame' };
  circle.self = circle;
  logger.info('text alone');
  logger.info('text first', { rows: 3 });
  logger.info({ rows: 4 });
  logger.warn({ rows: 5n, token: 'open sesame' }, 7);
  logger.error(circle, 'a circle');
  logger.info(undefined);
  return 'logged';
};`,
  );
  for (const isolation of ['inline', 'thread', 'process'] as const) {
    const pipeline = definePipeline(`logs-${isolation}`, { version: '1.0.0' }, (p) =>
      p.module('work', {}, { module, export: 'work', isolation }),
    );
    const { id } = await pipelines.start(pipeline);
    const ended = await pipelines.wait(id);
    expect([ended.status, ended.failure?.message]).toEqual(['COMPLETED', undefined]);
    const kept = await Array.fromAsync(pipelines.logs(id, 'work'));
    const lines = kept.flatMap(({ text }) =>
      text
        .trim()
        .split('\n')
        .map((line) => JSON.parse(line)),
    );
    const by = (level: string) => lines.filter((line) => line.level === level);
    expect(by('info')).toEqual([
      { level: 'info', message: 'text alone' },
      { level: 'info', rows: 3, message: 'text first' },
      { level: 'info', rows: 4, message: '' },
      { level: 'info', message: '' },
    ]);
    expect(by('warn')).toMatchObject([{ rows: '5', message: '7' }]);
    expect(by('error')).toMatchObject([{ message: 'a circle' }]);
    expect(JSON.stringify(lines)).not.toContain('sesame');
  }
});

test('what a function has logged is kept when it is cancelled, timed out or left by its process', async () => {
  const { platform, dir } = await openTestPlatform();
  const { pipelines } = platform;
  const began = Promise.withResolvers<void>();
  const work = async ({ logger, signal, attempt }: StepContext): Promise<void> => {
    logger.info({}, `attempt ${attempt} begins`);
    began.resolve();
    if (attempt > 1) return;
    await new Promise((resolve) => signal.addEventListener('abort', resolve));
    logger.warn({}, 'is told to end');
    signal.throwIfAborted();
  };
  const all = ['stdout info attempt 1 begins', 'stderr warn is told to end'];
  const saidBy = async (pipelinesOf: typeof pipelines, id: string) =>
    said(await Array.fromAsync(pipelinesOf.logs(id, 'work', { attempt: 1, follow: true })));

  const cancelled = definePipeline('cancelled', { version: '1.0.0' }, (p) => {
    p.step('work', {}, work);
  });
  const { id } = await pipelines.start(cancelled);
  const waiting = pipelines.wait(id);
  await began.promise;
  await pipelines.cancel(id);
  expect(await saidBy(pipelines, id)).toEqual(all);
  expect((await waiting).status).toBe('CANCELLED');
  await expect.poll(() => saidBy(pipelines, id)).toEqual(all);

  const late = definePipeline('late', { version: '1.0.0' }, (p) => {
    p.step('work', {}, work, { timeoutMs: 100 });
  });
  const timedOut = await pipelines.start(late);
  expect((await pipelines.wait(timedOut.id)).status).toBe('FAILED');
  expect(await saidBy(pipelines, timedOut.id)).toEqual(all);

  const begins = Promise.withResolvers<void>();
  const left = definePipeline('left', { version: '1.0.0' }, (p) => {
    p.step('work', {}, (context) => {
      begins.resolve();
      return work(context as StepContext);
    });
  });
  const given = await pipelines.start(left);
  const given1 = pipelines.wait(given.id).catch((error: unknown) => error);
  await begins.promise;
  await platform.close();
  expect(await given1).toMatchObject({ code: 'CLOSED' });
  const { platform: next } = await openTestPlatform({ dir });
  next.pipelines.add(left);
  expect((await next.pipelines.wait(given.id)).status).toBe('COMPLETED');
  expect(await saidBy(next.pipelines, given.id)).toEqual(all);
  expect(await saidBy(next.pipelines, id)).toEqual(all);
});

test('what a command wrote until it was cancelled or its time was over is kept, its last words too', async () => {
  const { platform } = await openTestPlatform();
  const { pipelines } = platform;
  const run = [
    '/bin/sh',
    '-c',
    'trap "echo bye; exit 0" TERM; echo said; echo more >&2; sleep 60 & wait',
  ];
  const pipeline = definePipeline('ended', { version: '1.0.0' }, (p) => {
    p.command('timed', {}, run, { timeoutMs: 3000, onFailure: 'continue' });
    p.command('cut', {}, run);
  });
  const { id } = await pipelines.start(pipeline);
  const waiting = pipelines.wait(id);
  for await (const { text } of pipelines.logs(id, 'cut', { follow: true })) {
    if (text.includes('said')) break;
  }
  await expect
    .poll(async () => (await pipelines.steps(id))[0]?.status, { timeout: 30_000 })
    .toBe('FAILED');
  await pipelines.cancel(id);
  expect((await waiting).status).toBe('CANCELLED');
  const kept = async (step: string) => {
    const chunks = await Array.fromAsync(pipelines.logs(id, step));
    const of = (which: string) => chunks.filter(({ stream }) => stream === which);
    return [of('stdout'), of('stderr')].map((all) => all.map(({ text }) => text).join(''));
  };
  for (const step of ['timed', 'cut']) {
    await expect.poll(() => kept(step), { timeout: 15_000 }).toEqual(['said\nbye\n', 'more\n']);
  }
  const [timed] = await pipelines.steps(id);
  expect(timed).toMatchObject({ log: { name: 'logs/a1.jsonl' }, failure: { code: 'TIMEOUT' } });
});
