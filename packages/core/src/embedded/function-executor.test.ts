import { AsyncLocalStorage } from 'node:async_hooks';
import { once } from 'node:events';
import { describe, expect, test } from 'vitest';
import type { LogChunk, TaskSpec } from '../contracts/executor.ts';
import { FunctionExecutor } from './function-executor.ts';
import type { TaskContext, TaskFunction } from './function-task.ts';

function specOf(stepId: string, more: Partial<TaskSpec> = {}): TaskSpec {
  return {
    key: { workspace: 'w', executionId: 'e', stepId, attempt: 1 },
    entry: { type: 'function', name: 'work' },
    env: {},
    input: {},
    resources: {},
    graceMs: 1_000,
    ...more,
  };
}

const never: AbortSignal = new AbortController().signal;

function executing(
  work: TaskFunction,
  options: { concurrency?: number; maxLogLength?: number } = {},
) {
  return new FunctionExecutor({ functions: { work }, ...options });
}

/** A function that waits until it is told to go on, or its signal is aborted. */
function gated() {
  const gate = Promise.withResolvers<void>();
  const started = Promise.withResolvers<TaskContext>();
  let runs = 0;
  const work: TaskFunction = async (task) => {
    runs += 1;
    started.resolve(task);
    await Promise.race([gate.promise, once(task.signal, 'abort')]);
    task.signal.throwIfAborted();
    return { done: true };
  };
  return { work, started: started.promise, open: gate.resolve, runs: () => runs };
}

async function textOf(chunks: AsyncIterable<LogChunk>): Promise<string> {
  return (await Array.fromAsync(chunks)).map((chunk) => chunk.text).join('');
}

describe('submit', () => {
  test('runs the function with its input and answers its output', async () => {
    await using executor = executing(({ input, env, key }) => {
      return {
        sum: (input['a'] as number) + 1,
        env: env['X'] ?? '',
        step: key.stepId,
        nan: Number.NaN,
      };
    });
    const handle = await executor.submit(specOf('s', { input: { a: 2 }, env: { X: 'y' } }));
    expect(JSON.parse(JSON.stringify(handle))).toEqual(handle);
    const end = await executor.wait(handle, { signal: never });
    expect(end).toMatchObject({
      state: 'succeeded',
      output: { sum: 3, env: 'y', step: 's', nan: Number.NaN },
    });
    expect(end.finishedAt).toBeGreaterThanOrEqual(end.startedAt ?? Number.NaN);
    expect(await executor.attach(handle)).toEqual(end);
  });

  test('twice with one key is one handle and one execution, after its end too', async () => {
    const gate = gated();
    await using executor = executing(gate.work);
    const [a, b] = await Promise.all([executor.submit(specOf('s')), executor.submit(specOf('s'))]);
    gate.open();
    await executor.wait(a, { signal: never });
    expect([b, await executor.submit(specOf('s'))]).toEqual([a, a]);
    expect(gate.runs()).toBe(1);
    const other = await executor.submit({
      ...specOf('s'),
      key: { ...specOf('s').key, attempt: 2 },
    });
    await executor.wait(other, { signal: never });
    expect(gate.runs()).toBe(2);
  });

  test('keys that look alike when joined are different tasks', async () => {
    await using executor = executing(() => ({}));
    const key = { workspace: 'a', executionId: 'b","c', stepId: 'd', attempt: 1 };
    const alike = { workspace: 'a","b', executionId: 'c', stepId: 'd', attempt: 1 };
    const one = await executor.submit(specOf('', { key }));
    const two = await executor.submit(specOf('', { key: alike }));
    expect(one.id).not.toBe(two.id);
  });

  test('never runs more at a time than allowed, in the order submitted', async () => {
    let running = 0;
    let most = 0;
    const order: string[] = [];
    await using executor = executing(
      async ({ key }) => {
        order.push(key.stepId);
        running += 1;
        most = Math.max(most, running);
        await new Promise((resolve) => setImmediate(resolve));
        running -= 1;
      },
      { concurrency: 3 },
    );
    const steps = Array.from({ length: 20 }, (_, i) => `s${i}`);
    const handles = await Promise.all(steps.map((step) => executor.submit(specOf(step))));
    await Promise.all(handles.map((handle) => executor.wait(handle, { signal: never })));
    expect(most).toBe(3);
    expect(order).toEqual(steps);
  });

  test('a task runs in the context that it was submitted in, not in that of the one before', async () => {
    const context = new AsyncLocalStorage<string>();
    await using executor = executing(() => ({ seen: context.getStore() ?? 'none' }), {
      concurrency: 1,
    });
    const handles = await Promise.all(
      ['a', 'b'].map((name) => context.run(name, () => executor.submit(specOf(name)))),
    );
    const ends = await Promise.all(handles.map((each) => executor.wait(each, { signal: never })));
    expect(ends.map(({ output }) => output)).toEqual([{ seen: 'a' }, { seen: 'b' }]);
  });

  test('refuses what it cannot run, saying what it can', async () => {
    await using executor = executing(() => ({}));
    const command = specOf('s', { entry: { type: 'command', command: ['true'] } });
    await expect(executor.submit(command)).rejects.toMatchObject({ code: 'UNSUPPORTED' });
    await expect(
      executor.submit(specOf('s', { gang: { nodes: 1, processesPerNode: 2 } })),
    ).rejects.toMatchObject({
      code: 'UNSUPPORTED',
    });
    for (const name of ['nothing', '__proto__', 'constructor']) {
      const unknown = specOf('s', { entry: { type: 'function', name } });
      await expect(executor.submit(unknown)).rejects.toMatchObject({
        code: 'NOT_FOUND',
        message: expect.stringContaining('work'),
      });
    }
    const key = { workspace: 'w', executionId: '', stepId: 's', attempt: 0 };
    await expect(executor.submit(specOf('s', { key }))).rejects.toMatchObject({ code: 'INVALID' });
    expect(await Array.fromAsync(executor.list({ workspace: 'w' }))).toEqual([]);
  });

  test('what a function throws, or answers that is no JSON, fails the task with the reason', async () => {
    const failures: [TaskFunction, RegExp][] = [
      [() => Promise.reject(new TypeError('no such column')), /TypeError: no such column/],
      [() => Promise.reject('text'), /text/],
      [() => ({ when: new Date() }) as never, /INVALID.*when/],
      [() => [1] as never, /INVALID.*object/],
    ];
    for (const [work, message] of failures) {
      await using executor = executing(work);
      const handle = await executor.submit(specOf('s'));
      const end = await executor.wait(handle, { signal: never });
      expect(end).toMatchObject({ state: 'failed', reason: 'exit', exitCode: 1 });
      expect(end.message).toMatch(message);
      expect(end.output).toBeUndefined();
    }
  });

  test('a function cannot change the input of its submitter', async () => {
    await using executor = executing(({ input }) => {
      (input as { list: number[] }).list.push(2);
    });
    const input = { list: [1] };
    const handle = await executor.submit(specOf('s', { input }));
    expect(await executor.wait(handle, { signal: never })).toMatchObject({ output: {} });
    expect(input).toEqual({ list: [1] });
  });
});

describe('cancel', () => {
  test('ends a running function that heeds its signal', async () => {
    const gate = gated();
    await using executor = executing(gate.work);
    const handle = await executor.submit(specOf('s'));
    await gate.started;
    expect(await executor.attach(handle)).toMatchObject({ state: 'running' });
    expect(await executor.cancel(handle, { graceMs: 5_000 })).toBe('gone');
    expect(await executor.attach(handle)).toMatchObject({ state: 'cancelled' });
    expect(await executor.cancel(handle, { graceMs: 0 })).toBe('already-final');
  });

  test('a queued task never begins', async () => {
    const gate = gated();
    await using executor = executing(gate.work, { concurrency: 1 });
    const first = await executor.submit(specOf('a'));
    const second = await executor.submit(specOf('b'));
    expect(await executor.attach(second)).toEqual({ state: 'queued' });
    expect(await executor.cancel(second, { graceMs: 0 })).toBe('gone');
    gate.open();
    await executor.wait(first, { signal: never });
    const third = await executor.submit(specOf('c'));
    await executor.wait(third, { signal: never });
    expect(gate.runs()).toBe(2);
    expect(await executor.attach(second)).toMatchObject({ state: 'cancelled' });
  });

  test('a function that does not heed it is unconfirmed, and keeps its place until it ends', async () => {
    const gate = Promise.withResolvers<void>();
    const started = Promise.withResolvers<void>();
    let runs = 0;
    await using executor = executing(
      async () => {
        runs += 1;
        started.resolve();
        await gate.promise;
      },
      { concurrency: 1 },
    );
    const handle = await executor.submit(specOf('a'));
    const next = await executor.submit(specOf('b'));
    await started.promise;
    expect(await executor.cancel(handle, { graceMs: 10 })).toBe('unconfirmed');
    expect(await executor.attach(handle)).toMatchObject({ state: 'running' });
    expect(runs).toBe(1);
    gate.resolve();
    expect(await executor.wait(handle, { signal: never })).toMatchObject({ state: 'cancelled' });
    expect(await executor.wait(next, { signal: never })).toMatchObject({ state: 'succeeded' });
  });
});

describe('deadline', () => {
  test.each([{ deadlineMs: 5 }, { deadlineMs: 60_000, resources: { maxDurationMs: 5 } }])(
    'a function that heeds its signal fails with the reason %j',
    async (limit) => {
      const gate = gated();
      await using executor = executing(gate.work);
      const handle = await executor.submit(specOf('s', limit));
      const end = await executor.wait(handle, { signal: never });
      expect(end).toMatchObject({ state: 'failed', reason: 'deadline' });
      expect((await gate.started).signal.reason).toMatchObject({ code: 'TIMEOUT' });
    },
  );

  test('one that does not heed it is given up after the grace time', async () => {
    const gate = Promise.withResolvers<void>();
    await using executor = executing(() => gate.promise);
    const handle = await executor.submit(specOf('s', { deadlineMs: 5, graceMs: 5 }));
    const end = await executor.wait(handle, { signal: never });
    expect(end).toMatchObject({ state: 'failed', reason: 'deadline' });
    expect(end.message).toContain('did not heed');
    gate.resolve();
  });

  test('the time in the queue does not count', async () => {
    const gate = gated();
    await using executor = executing(gate.work, { concurrency: 1 });
    const first = await executor.submit(specOf('a'));
    const second = await executor.submit(specOf('b', { deadlineMs: 10 }));
    await gate.started;
    await new Promise((resolve) => setTimeout(resolve, 30));
    gate.open();
    await executor.wait(first, { signal: never });
    expect(await executor.wait(second, { signal: never })).toMatchObject({ state: 'succeeded' });
  });
});

describe('wait', () => {
  test('its signal ends the waiting, not the task', async () => {
    const gate = gated();
    await using executor = executing(gate.work);
    const handle = await executor.submit(specOf('s'));
    const controller = new AbortController();
    const waiting = executor.wait(handle, { signal: controller.signal });
    controller.abort();
    await expect(waiting).rejects.toMatchObject({ code: 'ABORTED' });
    const aborted = controller.signal;
    await expect(executor.wait(handle, { signal: aborted })).rejects.toMatchObject({
      code: 'ABORTED',
    });
    gate.open();
    expect(await executor.wait(handle, { signal: never })).toMatchObject({ state: 'succeeded' });
  });
});

describe('logs', () => {
  test('what the task writes, by stream, readable on from a cursor and after its end', async () => {
    await using executor = executing(({ console }) => {
      console.log('one %d', 1);
      console.error('two');
      console.log('three');
      throw new Error('four');
    });
    const handle = await executor.submit(specOf('s'));
    await executor.wait(handle, { signal: never });
    const chunks = await Array.fromAsync(executor.logs(handle));
    expect(chunks.slice(0, 3).map((c) => [c.stream, c.text])).toEqual([
      ['stdout', 'one 1\n'],
      ['stderr', 'two\n'],
      ['stdout', 'three\n'],
    ]);
    expect(chunks[3]?.text).toContain('Error: four');
    const after = chunks[1]?.cursor ?? '';
    expect(await Array.fromAsync(executor.logs(handle, { after }))).toEqual(chunks.slice(2));
    await expect(Array.fromAsync(executor.logs(handle, { after: '-1' }))).rejects.toMatchObject({
      code: 'INVALID',
    });
  });

  test('can be followed to the end, by several, and be given up', async () => {
    const gate = gated();
    await using executor = executing(async (task) => {
      task.console.log('begun');
      await gate.work(task);
      task.console.log('done');
    });
    const handle = await executor.submit(specOf('s'));
    await gate.started;
    const controller = new AbortController();
    const given = executor.logs(handle, { follow: true, signal: controller.signal });
    const iterator = given[Symbol.asyncIterator]();
    expect((await iterator.next()).value?.text).toBe('begun\n');
    const more = iterator.next();
    controller.abort();
    await expect(more).rejects.toMatchObject({ code: 'ABORTED' });
    const followed = [1, 2].map(() => textOf(executor.logs(handle, { follow: true })));
    expect(await textOf(executor.logs(handle))).toBe('begun\n');
    gate.open();
    expect(await Promise.all(followed)).toEqual(['begun\ndone\n', 'begun\ndone\n']);
  });

  test('of a long one the end is kept, in bounded memory', async () => {
    await using executor = executing(
      ({ console }) => {
        for (let i = 0; i < 1_000; i += 1) console.log(`line ${i}`);
      },
      { maxLogLength: 100 },
    );
    const handle = await executor.submit(specOf('s'));
    await executor.wait(handle, { signal: never });
    const text = await textOf(executor.logs(handle));
    expect(text.length).toBeLessThanOrEqual(100);
    expect(text.endsWith('line 998\nline 999\n')).toBe(true);
    expect(await textOf(executor.logs(handle, { after: '3' }))).toBe(text);
  });
});

describe('records', () => {
  test('attach, wait, logs and cancel know nothing of another process or a released task', async () => {
    await using before = executing(() => ({}));
    const handle = await before.submit(specOf('s'));
    await before.wait(handle, { signal: never });
    await using after = executing(() => ({}));
    await after.submit(specOf('s'));
    for (const executor of [after, before]) {
      expect((await executor.attach(handle)) === undefined).toBe(executor === after);
      await executor.release(handle);
      await executor.release(handle);
      expect(await executor.attach(handle)).toBeUndefined();
      expect(await executor.usage(handle)).toBeUndefined();
      await expect(executor.wait(handle, { signal: never })).rejects.toMatchObject({
        code: 'NOT_FOUND',
      });
      await expect(Array.fromAsync(executor.logs(handle))).rejects.toMatchObject({
        code: 'NOT_FOUND',
      });
      await expect(executor.cancel(handle, { graceMs: 0 })).rejects.toMatchObject({
        code: 'NOT_FOUND',
      });
    }
    expect(await Array.fromAsync(after.list({ workspace: 'w' }))).toHaveLength(1);
  });

  test('list gives the tasks of a workspace and an execution, with their keys', async () => {
    await using executor = executing(() => ({}));
    const keys = [
      { workspace: 'w', executionId: 'e', stepId: 's', attempt: 1 },
      { workspace: 'w', executionId: 'f', stepId: 's', attempt: 1 },
      { workspace: 'x', executionId: 'e', stepId: 's', attempt: 1 },
    ];
    for (const key of keys) await executor.submit(specOf('', { key }));
    const listed = async (query: { workspace: string; executionId?: string }) =>
      (await Array.fromAsync(executor.list(query))).map((task) => task.key);
    expect(await listed({ workspace: 'w' })).toEqual(keys.slice(0, 2));
    expect(await listed({ workspace: 'w', executionId: 'f' })).toEqual([keys[1]]);
    expect(await listed({ workspace: 'y' })).toEqual([]);
  });

  test('a running task cannot be released before it was cancelled', async () => {
    const gate = gated();
    await using executor = executing(gate.work);
    const handle = await executor.submit(specOf('s'));
    await gate.started;
    await expect(executor.release(handle)).rejects.toMatchObject({ code: 'CONFLICT' });
    await executor.cancel(handle, { graceMs: 1_000 });
    await executor.release(handle);
  });

  test('usage grows while it runs and stays afterwards', async () => {
    const gate = gated();
    await using executor = executing(gate.work);
    const handle = await executor.submit(specOf('s'));
    await gate.started;
    const first = (await executor.usage(handle))?.wallMs ?? Number.NaN;
    await new Promise((resolve) => setTimeout(resolve, 5));
    const second = (await executor.usage(handle))?.wallMs ?? Number.NaN;
    expect(second).toBeGreaterThan(first);
    gate.open();
    await executor.wait(handle, { signal: never });
    const last = await executor.usage(handle);
    await new Promise((resolve) => setTimeout(resolve, 5));
    expect(await executor.usage(handle)).toEqual(last);
  });
});

describe('close', () => {
  test('cancels what runs and waits, and refuses everything afterwards; twice is fine', async () => {
    const gate = gated();
    const executor = executing(gate.work, { concurrency: 1 });
    const running = await executor.submit(specOf('a'));
    const queued = await executor.submit(specOf('b'));
    const waiting = [running, queued].map((handle) => executor.wait(handle, { signal: never }));
    await gate.started;
    await executor.close();
    expect((await Promise.all(waiting)).map((end) => end.state)).toEqual([
      'cancelled',
      'cancelled',
    ]);
    expect(gate.runs()).toBe(1);
    await executor.close();
    expect(await executor.health()).toMatchObject({ ok: false });
    const closed = { code: 'CLOSED' };
    await expect(executor.submit(specOf('c'))).rejects.toMatchObject(closed);
    await expect(executor.attach(running)).rejects.toMatchObject(closed);
    await expect(executor.wait(running, { signal: never })).rejects.toMatchObject(closed);
    await expect(executor.usage(running)).rejects.toMatchObject(closed);
    await expect(executor.cancel(running, { graceMs: 0 })).rejects.toMatchObject(closed);
    await expect(executor.release(running)).rejects.toMatchObject(closed);
    await expect(Array.fromAsync(executor.logs(running))).rejects.toMatchObject(closed);
    await expect(Array.fromAsync(executor.list({ workspace: 'w' }))).rejects.toMatchObject(closed);
  });

  test('does not wait for ever for a function that heeds nothing', async () => {
    const gate = Promise.withResolvers<void>();
    const executor = executing(() => gate.promise);
    const handle = await executor.submit(specOf('s', { graceMs: 10 }));
    const waiting = executor.wait(handle, { signal: never });
    waiting.catch(() => undefined);
    await executor.close();
    await expect(waiting).rejects.toMatchObject({ code: 'CLOSED' });
    gate.resolve();
  });
});
