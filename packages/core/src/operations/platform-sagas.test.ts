import { expect, test } from 'vitest';
import { openTestPlatform, until } from '../../test/open-test-platform.ts';
import { openFaultyWorld } from '../../test/planted-faults.ts';
import { KeelsonError } from '../errors.ts';
import { defineSaga } from './saga.ts';

test('what one process starts, the loops of any process that has its definition drive', async () => {
  const { platform: first, dir } = await openTestPlatform();
  const { platform: second } = await openTestPlatform({ dir });
  const steps = ['one', 'two'].map((name) => ({ name, run: async () => ({ result: name }) }));
  const saga = defineSaga<string>('greet', steps);
  first.operations.sagas.add(saga);
  first.operations.sagas.add(saga);
  expect(() => first.operations.sagas.add(defineSaga('greet', steps))).toThrow(
    /another definition/,
  );
  const { id } = await first.operations.sagas.start(saga, 'you');
  await expect(second.operations.sagas.start(saga, 'you')).rejects.toMatchObject({
    ...{ code: 'NOT_FOUND', message: expect.stringContaining('sagas.add') },
  });
  second.operations.sagas.add(saga);
  second.start();
  await until('it has ended', async () => {
    return (await first.operations.sagas.get(id)).status === 'COMPLETED';
  });
  const { sagas } = await second.as({}).operations.sagas.list({ name: 'greet' });
  expect(sagas.map(({ results }) => results)).toEqual([{ one: 'one', two: 'two' }]);
});

test('one that can go neither on nor back is found, told of, and goes on once a person has mended it', async () => {
  await using w = await openFaultyWorld();
  const { operations, events } = w.platform;
  let mended = false;
  const saga = defineSaga('stays', [
    {
      name: 'only',
      run: async () => {
        throw new KeelsonError('INVALID', 'It cannot be done.');
      },
      compensate: async () => {
        if (!mended) throw new KeelsonError('UNSUPPORTED', 'It cannot be undone.');
        return undefined;
      },
      maxAttempts: 1,
    },
  ]);
  operations.sagas.add(saga);
  const { id } = await operations.sagas.start(saga, null);
  expect((await operations.sagas.wait(id)).status).toBe('MANUAL_REQUIRED');
  const stand = async () => {
    const { checks } = await operations.health({ fresh: true });
    return checks.find(({ name }) => name === 'stuck sagas');
  };
  expect(await stand()).toMatchObject({
    status: 'DEGRADED',
    message: `stays ${id} can go neither on nor back (it turned back because: It cannot be done.).`,
  });
  await until('people are told what to do', async () => {
    const told = await Array.fromAsync(events.each({ types: ['recovery.manual_required'] }));
    return told.some(({ payload }) => JSON.stringify(payload).includes('operations.sagas.retry'));
  });
  mended = true;
  await operations.sagas.retry(id);
  expect((await operations.sagas.wait(id)).status).toBe('COMPENSATED');
  expect(await stand()).toMatchObject({ status: 'HEALTHY' });
});

test('one that no process drives is found, and driven by the recovery where its definition is', async () => {
  await using w = await openFaultyWorld();
  const { operations } = w.platform;
  const saga = defineSaga('late', [{ name: 'only', run: async () => undefined }]);
  operations.sagas.add(saga);
  const { id } = await operations.sagas.start(saga, null);
  w.ahead(601_000);
  const { checks } = await operations.health({ fresh: true });
  expect(checks.find(({ name }) => name === 'stuck sagas')).toMatchObject({
    ...{ status: 'DEGRADED', details: { stuck: 0, waiting: 1 } },
  });
  await until('it is driven', async () => (await operations.sagas.get(id)).status === 'COMPLETED');
  await until('that is noted', async () => {
    const [last] = await operations.recoveries({ check: 'stuck sagas' });
    return last?.outcome === 'SUCCESS';
  });
});
