import { describe, expect, test } from 'vitest';
import { openTestScope, type TestScope } from '../../test/open-test-scope.ts';
import { sagaKinds } from '../contracts/kinds/saga-kinds.ts';
import { KeelsonError } from '../errors.ts';
import { withCorrelation } from '../events/correlation.ts';
import type { Json } from '../json.ts';
import { defineSaga, type SagaDefinition, type SagaStep } from './saga.ts';
import { createSagas, type Sagas } from './sagas.ts';

const owners = { self: 'this process', dead: () => [] };

function sagasOf(t: TestScope, ...definitions: readonly SagaDefinition<never>[]): Sagas {
  return createSagas(t.scope, { definitions, owners });
}

/** Steps that write down what is done and undone; `fails` says what each call throws, if anything. */
function noted(
  names: readonly string[],
  fails: (what: string) => unknown = () => undefined,
): { readonly steps: readonly SagaStep[]; readonly calls: string[] } {
  const calls: string[] = [];
  const call = async (what: string): Promise<undefined> => {
    calls.push(what);
    const error = fails(what);
    if (error !== undefined) throw error;
  };
  const steps = names.map((name) => ({
    name,
    run: () => call(name),
    compensate: () => call(`undo ${name}`),
  }));
  return { steps, calls };
}

const open = (): Promise<TestScope> => openTestScope({ kinds: sagaKinds });

async function eventsOf(t: TestScope): Promise<readonly string[]> {
  const { events } = await t.scope.metadata.readEvents({ limit: 100 });
  return events.map(({ type, subject, correlationId }) => `${type} ${subject} ${correlationId}`);
}

describe('sagas', () => {
  test('run step by step, each with what those before have answered, under one correlation', async () => {
    await using t = await open();
    const seen: Json[] = [];
    const saga = defineSaga<{ n: number }>('sum', [
      { name: 'one', run: async ({ input }) => ({ result: input.n + 1 }) },
      {
        name: 'two',
        async run({ results, attempt, idempotencyKey, sagaId }) {
          seen.push(results['one'] ?? null, attempt, idempotencyKey === `${sagaId}:two`);
          return { result: { deep: [Number.NaN] } };
        },
      },
    ]);
    const sagas = sagasOf(t, saga);
    const { id } = await withCorrelation({ correlationId: 'c' }, () => sagas.start(saga, { n: 4 }));
    const ended = await sagas.wait(id);
    expect(ended).toMatchObject({
      ...{ status: 'COMPLETED', input: { n: 4 }, step: 2, correlationId: 'c' },
      results: { one: 5, two: { deep: [Number.NaN] } },
    });
    expect(seen).toEqual([5, 1, true]);
    expect(await eventsOf(t)).toEqual([`saga.completed saga:${id} c`]);
  });

  test('a key starts one saga, however many start it; another input is refused', async () => {
    await using t = await open();
    const { steps, calls } = noted(['a']);
    const saga = defineSaga('once', steps);
    const sagas = sagasOf(t, saga);
    const options = { idempotencyKey: 'k' };
    const started = await Promise.all([1, 2, 3].map(() => sagas.start(saga, { a: 1 }, options)));
    expect(new Set(started.map(({ id }) => id)).size).toBe(1);
    await sagas.wait(started[0]?.id ?? '');
    await sagas.start(saga, { a: 1 }, options);
    expect(calls).toEqual(['a']);
    await expect(sagas.start(saga, { a: 2 }, options)).rejects.toMatchObject({ code: 'CONFLICT' });
  });

  test('a step that fails for good turns it back: it and those before are undone, last first', async () => {
    await using t = await open();
    const error = new KeelsonError('FORBIDDEN', 'not you');
    const { steps, calls } = noted(['a', 'b', 'c'], (what) => (what === 'b' ? error : undefined));
    const saga = defineSaga('back', steps);
    const sagas = sagasOf(t, saga);
    const { id } = await sagas.start(saga, null);
    expect(await sagas.wait(id)).toMatchObject({ status: 'COMPENSATED', error: 'not you' });
    expect(calls).toEqual(['a', 'b', 'undo b', 'undo a']);
    expect(await eventsOf(t)).toEqual([`saga.compensated saga:${id} ${id}`]);
  });

  test('a step that fails for now is tried again, so often and no more', async () => {
    await using t = await open();
    let left = 2;
    const { steps, calls } = noted(['a'], (what) => {
      left -= what === 'a' ? 1 : 0;
      return what === 'a' && left >= 0 ? new Error('not now') : undefined;
    });
    const saga = defineSaga(
      'again',
      steps.map((step) => ({ ...step, maxAttempts: 3 })),
    );
    const sagas = sagasOf(t, saga);
    const { id } = await sagas.start(saga, null);
    expect((await sagas.wait(id)).status).toBe('COMPLETED');
    expect(calls).toEqual(['a', 'a', 'a']);
    left = 3;
    const next = await sagas.start(saga, null);
    const ended = await sagas.wait(next.id);
    expect(ended).toMatchObject({ status: 'COMPENSATED', error: 'not now' });
  });

  test('a compensation that fails for good is a person’s matter, and can be retried', async () => {
    await using t = await open();
    let mended = false;
    const { steps, calls } = noted(['a', 'b'], (what) => {
      if (what === 'b') return new KeelsonError('INVALID', 'no');
      return what === 'undo a' && !mended ? new Error('no way back') : undefined;
    });
    const saga = defineSaga(
      'stuck',
      steps.map((step) => ({ ...step, maxAttempts: 2 })),
    );
    const sagas = sagasOf(t, saga);
    const { id } = await sagas.start(saga, null);
    expect(await sagas.wait(id)).toMatchObject({
      ...{ status: 'MANUAL_REQUIRED', step: 0, error: 'no', compensationError: 'no way back' },
    });
    expect(calls).toEqual(['a', 'b', 'undo b', 'undo a', 'undo a']);
    expect((await sagas.list({ status: 'MANUAL_REQUIRED' })).sagas.map((each) => each.id)).toEqual([
      id,
    ]);
    mended = true;
    await sagas.retry(id);
    expect((await sagas.wait(id)).status).toBe('COMPENSATED');
    await expect(sagas.retry(id)).rejects.toMatchObject({ code: 'CONFLICT' });
    expect((await eventsOf(t)).map((each) => each.split(' ')[0])).toEqual([
      'saga.stuck',
      'saga.compensated',
    ]);
  });

  test('a step that takes too long is told so and fails; a saga whose time is up turns back', async () => {
    await using t = await open();
    const reasons: unknown[] = [];
    const step: SagaStep = {
      ...{ name: 'slow', timeoutMs: 20, maxAttempts: 1 },
      run: ({ signal }) =>
        new Promise((_resolve, reject) => {
          signal.addEventListener('abort', () => {
            reasons.push((signal.reason as KeelsonError).code);
            reject(signal.reason);
          });
        }),
    };
    const slow = defineSaga('slow', [step]);
    const late = defineSaga('late', noted(['a'], () => new Error('not yet')).steps, {
      timeoutMs: 150,
    });
    const sagas = sagasOf(t, slow, late);
    const first = await sagas.wait((await sagas.start(slow, null)).id);
    expect([first.status, first.error]).toEqual(['COMPENSATED', 'slow was not over after 20 ms.']);
    expect(reasons).toEqual(['TIMEOUT']);
    const second = await sagas.start(late, null);
    await expect(sagas.wait(second.id, { timeoutMs: 1 })).rejects.toMatchObject({
      code: 'TIMEOUT',
    });
    const seen = await sagas.wait(second.id);
    expect(seen.error).toBe('Its time was up.');
  });

  test('a saga whose steps are no longer those it was started with waits for a person', async () => {
    await using t = await open();
    const before = defineSaga('changed', noted(['a', 'b']).steps);
    const after = defineSaga('changed', noted(['b', 'a']).steps);
    const { id } = await sagasOf(t, before).start(before, null);
    expect(await sagasOf(t, after).wait(id)).toMatchObject({
      status: 'MANUAL_REQUIRED',
      compensationError: expect.stringContaining('no longer a, b'),
    });
  });

  test('changes of a step are made with its completion, or fail it', async () => {
    await using t = await open();
    const create = { op: 'create', kind: 'saga', id: 'x', columns: { name: '' } } as const;
    const saga = defineSaga('bad', [{ name: 'a', run: async () => ({ changes: [create] }) }]);
    const sagas = sagasOf(t, saga);
    const { id } = await sagas.start(saga, null);
    const ended = await sagas.wait(id);
    expect(ended.status).toBe('COMPENSATED');
    expect(ended.error).toContain('saga');
    await expect(sagas.get('x')).rejects.toMatchObject({ code: 'NOT_FOUND' });
  });

  test('what cannot be used is refused by name', async () => {
    await using t = await open();
    const { steps } = noted(['a']);
    const saga = defineSaga('s', steps);
    const sagas = sagasOf(t, saga);
    const refusals: readonly (() => unknown)[] = [
      () => defineSaga('', steps),
      () => defineSaga(7 as never, steps),
      () => defineSaga('s', []),
      () => defineSaga('s', undefined as never),
      () => defineSaga('s', [...steps, ...steps]),
      () => defineSaga('s', [{ name: 'a' } as never]),
      () => defineSaga('s', steps, { timeout: 1 } as never),
      () => sagas.start(saga, (() => undefined) as never),
      () => sagas.start(undefined as never, null),
      () => sagas.start(saga, null, { key: 'k' } as never),
      () => sagas.get(undefined as never),
      () => sagas.list({ status: 'GONE' } as never),
      () => sagas.wait('x', { timeoutMs: 'long' } as never),
      () => sagas.retry(1 as never),
    ];
    for (const refused of refusals) {
      await expect((async () => refused())()).rejects.toMatchObject({ code: 'INVALID' });
    }
    const unknown = defineSaga('other', steps);
    await expect(sagas.start(unknown, null)).rejects.toMatchObject({ code: 'NOT_FOUND' });
  });
});
