import { expect, test } from 'vitest';
import { openTestPlatform, until } from '../../test/open-test-platform.ts';
import { definePipeline } from './define-pipeline.ts';

test('a fan-out of which an item fails has failed, once its other items have ended, and says which', async () => {
  const { platform } = await openTestPlatform({ pipelines: { concurrency: 3 } });
  const { pipelines } = platform;
  const failureIsStored = Promise.withResolvers<void>();
  let broken = true;
  const pipeline = definePipeline('grid', { version: '1.0.0' }, (p) => {
    const list = p.step('list', {}, () => [0, 1, 2, 3, 4]);
    const fits = p.forEach(
      'fit',
      list,
      {},
      async ({ inputs: { item } }) => {
        if (item === 1 && broken) throw new Error('it diverged');
        // Still running while the other one fails.
        if (item === 0) await failureIsStored.promise;
        return item;
      },
      { maxParallel: 2 },
    );
    return p.step('best', { fits }, ({ inputs }) => inputs.fits.length);
  });
  const { id } = await pipelines.start(pipeline);
  const waited = pipelines.wait(id);
  await until('the failure of an item', async () =>
    (await pipelines.items(id, 'fit')).some(({ status }) => status === 'FAILED'),
  );
  failureIsStored.resolve();
  const ended = await waited;
  expect(ended.status).toBe('FAILED');
  expect(ended.failure).toMatchObject({ step: 'fit', item: 1, message: 'it diverged' });
  const [, fit, best] = await pipelines.steps(id);
  expect(fit).toMatchObject({
    status: 'FAILED',
    failure: { class: 'transient', message: 'fit[1] failed: it diverged' },
  });
  expect(fit?.skipReason).toBeUndefined();
  expect(best).toMatchObject({ status: 'SKIPPED', skipReason: 'another step failed' });
  const items = await pipelines.items(id, 'fit');
  expect(items.map(({ status }) => status)).toEqual([
    ...['COMPLETED', 'FAILED', 'SKIPPED', 'SKIPPED', 'SKIPPED'],
  ]);
  expect(fit?.endedAt).toBeGreaterThanOrEqual(items[0]?.endedAt ?? Number.NaN);

  broken = false;
  await pipelines.retry(id);
  expect(await pipelines.wait(id)).toMatchObject({ status: 'COMPLETED', output: 5 });
  const [, again] = await pipelines.steps(id);
  expect(again).toMatchObject({ status: 'COMPLETED', attempt: 1 });
  expect(again?.failure).toBeUndefined();
  const attempts = (await pipelines.items(id, 'fit')).map(({ attempt }) => attempt);
  expect(attempts).toEqual([1, 2, 1, 1, 1]);
});

test('a stopWhen that cannot be told of an item ends nothing, and is told of', async () => {
  const { platform, logs } = await openTestPlatform();
  const { pipelines } = platform;
  const pipeline = definePipeline('search', { version: '1.0.0' }, (p) =>
    p.forEach('try', p.value([1, 2]), {}, ({ inputs }) => inputs.item, {
      stopWhen: 'output.accuracy > 0.9',
      maxParallel: 1,
    }),
  );
  const ended = await pipelines.wait(await pipelines.start(pipeline));
  expect(ended).toMatchObject({ status: 'COMPLETED', output: [1, 2] });
  expect(logs.filter(({ level }) => level === 'error')).toEqual([]);
  const told = logs.filter(({ level }) => level === 'warn').map(({ message }) => message);
  expect(told).toEqual(
    [0, 1].map((item) =>
      expect.stringMatching(
        `step try.${item}.: The condition "output.accuracy > 0.9" cannot be evaluated: .* The other items go on`,
      ),
    ),
  );
});
