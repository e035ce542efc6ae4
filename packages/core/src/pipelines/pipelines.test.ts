import { chmod, readdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { openTestScope, type TestScope } from '../../test/open-test-scope.ts';
import type { StoredEvent } from '../contracts/event.ts';
import { pipelinesKinds } from '../contracts/kinds/pipelines-kinds.ts';
import { type ErrorCode, isKeelsonError } from '../errors.ts';
import { currentCorrelation, withCorrelation } from '../events/correlation.ts';
import { definePipeline } from './define-pipeline.ts';
import { createPipelines } from './pipelines.ts';
import { StepError } from './step-policy.ts';

const kinds = pipelinesKinds;

async function rejection(work: Promise<unknown>): Promise<{ code: ErrorCode; message: string }> {
  try {
    await work;
  } catch (error) {
    if (isKeelsonError(error)) return error;
    throw error;
  }
  throw new Error('Nothing was refused.');
}

async function eventsOf(test: TestScope, executionId: string): Promise<readonly StoredEvent[]> {
  const { events } = await test.scope.metadata.readEvents({ workspace: 'default', limit: 1000 });
  return events.filter((event) => event.payload['executionId'] === executionId);
}

const short = (event: StoredEvent) =>
  [event.type, event.payload['step'], event.payload['attempt']]
    .filter((x) => x !== undefined)
    .join(' ');

describe('data passing', () => {
  test('JSON and artifacts go from step to step; everything is found by path and digest', async () => {
    await using t = await openTestScope({ kinds });
    const pipelines = createPipelines(t.scope);
    const file = join(t.dir, 'local.txt');
    await writeFile(file, 'from a file');
    const big = 'x'.repeat(50_000);
    const pipeline = definePipeline('data', { version: '1.0.0' }, (p) => {
      const load = p.step('load', {}, async ({ outputs }) => {
        const bytes = await outputs.artifact('rows.bin', new Uint8Array([1, 2, 3]));
        await outputs.json('report/extra.json', { kept: Number.NaN });
        return {
          odd: [Number.NaN, -0, null],
          bytes,
          files: [await outputs.artifact('f.txt', { path: file })],
          $artifact: 'a key of my own',
        };
      });
      const wide = p.step('wide', { load }, async ({ inputs }) => {
        const [f] = inputs.load.files;
        expect(Object.is(inputs.load.odd[1], -0)).toBe(true);
        expect(inputs.load.$artifact).toBe('a key of my own');
        return {
          big,
          sum: (await inputs.load.bytes.bytes()).reduce((a, b) => a + b, 0),
          text: await f?.text(),
          odd: inputs.load.odd,
        };
      });
      const lone = p.step('lone', {}, ({ outputs }) =>
        outputs.json('only', { deep: { value: 7 } }),
      );
      return p.step('end', { both: [wide, lone] as const }, async ({ inputs }) => {
        const only = await inputs.both[1].json<{ deep: { value: number } }>();
        return { ...inputs.both[0], value: only.deep.value };
      });
    });
    const execution = await pipelines.start(pipeline, {});
    const done = await pipelines.wait(execution);
    expect(done.failure).toBeUndefined();
    expect(done.output).toEqual({
      big,
      sum: 6,
      text: 'from a file',
      odd: [Number.NaN, -0, null],
      value: 7,
    });

    const { artifacts } = await pipelines.outputs(execution.id, 'load');
    expect(Object.keys(artifacts).toSorted()).toEqual(['f.txt', 'report/extra.json', 'rows.bin']);
    expect(artifacts['rows.bin']?.path).toBe(
      `pipelines/data/runs/${execution.id}/steps/load/outputs/rows.bin`,
    );
    expect(await artifacts['report/extra.json']?.json()).toEqual({ kept: Number.NaN });
    const wide = await pipelines.outputs(execution.id, 'wide');
    expect(Object.keys(wide.artifacts)).toEqual(['output.json']);
    expect((await rejection(pipelines.outputs(execution.id, 'nope'))).code).toBe('NOT_FOUND');
    const { records } = await t.scope.metadata.query('default', 'step_output', {});
    expect(records.map((record) => record.columns['path'])).toHaveLength(6);
    for (const { columns } of records) {
      expect(await t.scope.artifacts.find(columns['sha256'] as string)).toMatchObject({
        sizeBytes: columns['sizeBytes'],
      });
    }
  });

  test('a damaged input fails its step by name, and the function does not run', async () => {
    await using t = await openTestScope({ kinds });
    const first = createPipelines(t.scope);
    let ran = false;
    let open = false;
    const make = () =>
      definePipeline('damaged', { version: '1.0.0' }, (p) => {
        const load = p.step('load', {}, ({ outputs }) =>
          outputs.artifact('rows.bin', Buffer.alloc(5000, 7)),
        );
        const gate = p.step('gate', { load }, () => {
          if (open) return 1;
          throw new StepError('permanent', 'not yet');
        });
        p.step(
          'use',
          { load },
          () => {
            ran = true;
          },
          { after: [gate] },
        );
      });
    const execution = await first.start(make(), {});
    expect((await first.wait(execution)).status).toBe('FAILED');
    const { artifacts } = await first.outputs(execution.id, 'load');
    const digest = artifacts['rows.bin']?.sha256 as string;
    const name = (await readdir(t.dir, { recursive: true })).find((path) =>
      path.endsWith(digest),
    ) as string;
    const bytes = await readFile(join(t.dir, name));
    bytes[100] = 9;
    await chmod(join(t.dir, name), 0o644);
    await writeFile(join(t.dir, name), bytes);
    open = true;
    // Another process, as it were: this one trusts what it has written itself.
    const second = createPipelines(t.scope);
    second.add(make());
    await second.retry(execution.id);
    const failed = await second.wait(execution.id);
    expect(failed.status).toBe('FAILED');
    expect(failed.failure).toMatchObject({ code: 'CORRUPT', class: 'data' });
    expect(failed.failure?.message).toMatch(/Input "load" of step (gate|use) cannot be used/);
    expect(ran).toBe(false);
  });

  test('what a step returns must be JSON; the failure names the place', async () => {
    await using t = await openTestScope({ kinds });
    const pipelines = createPipelines(t.scope);
    const pipeline = definePipeline('odd', { version: '1.0.0' }, (p) => {
      p.step('date', {}, () => ({ deep: [{ at: new Date() as unknown as string }] }), {
        retries: 5,
      });
    });
    const done = await pipelines.wait(await pipelines.start(pipeline, {}));
    expect(done.failure).toMatchObject({
      step: 'date',
      class: 'data',
      message: expect.stringContaining('output.deep[0].at'),
    });
    expect((await pipelines.steps(done.id))[0]?.attempt).toBe(1);
  });
});

describe('starting', () => {
  test('parameters take their defaults, and are refused by name', async () => {
    await using t = await openTestScope({ kinds });
    const pipelines = createPipelines(t.scope);
    const pipeline = definePipeline(
      'params',
      {
        version: '1.0.0',
        parameters: {
          type: 'object',
          properties: { trees: { type: 'integer', default: 50 }, until: { type: 'string' } },
          required: ['until'],
          additionalProperties: false,
        },
      },
      (p) => p.step('only', {}, ({ parameters }) => `${parameters.until}/${parameters.trees}`),
    );
    const done = await pipelines.wait(await pipelines.start(pipeline, { until: 'now' }));
    expect(done.output).toBe('now/50');
    expect(done.parameters).toEqual({ until: 'now', trees: 50 });
    const wrong = await rejection(pipelines.start('params', { trees: 'many', tress: 1 }));
    expect(wrong.code).toBe('INVALID');
    expect(wrong.message).toMatch(
      /there is no parameter tress \(did you mean trees\?\); there are trees, until; .*required property 'until'.*parameters\.trees must be integer/,
    );
    expect(wrong.message).not.toContain('additional');
    expect((await rejection(pipelines.start('nothing'))).code).toBe('NOT_FOUND');
    const typo = { idempotencykey: 'x' } as object;
    expect((await rejection(pipelines.start('params', { until: 'x' }, typo))).message).toContain(
      '"idempotencykey"',
    );
  });

  test('parameters that are not declared are refused, unless the schema says that others are taken', async () => {
    await using t = await openTestScope({ kinds });
    const pipelines = createPipelines(t.scope);
    let version = 0;
    const start = async (parameters: object | undefined, given: object): Promise<string> => {
      version += 1;
      const options = { version: `1.0.${version}`, ...(parameters && { parameters }) };
      const pipeline = definePipeline('open', options as { readonly version: string }, (p) => {
        p.step('only', {}, () => 1);
      });
      try {
        return (await pipelines.start(pipeline, given as never)).status;
      } catch (error) {
        return (error as Error).message;
      }
    };
    const rate = { type: 'object', properties: { rate: { type: 'number' } } };
    for (const [name, meant] of [
      ['rtae', ' \\(did you mean rate\\?\\)'],
      ['Rate', ' \\(did you mean rate\\?\\)'],
      ['learning', ''],
    ] as const) {
      expect(await start(rate, { [name]: 1 })).toMatch(
        new RegExp(
          `^Parameters do not fit pipeline open@1.0.\\d+: there is no parameter ${name}${meant}; there are rate\\.$`,
        ),
      );
    }
    expect(await start({ ...rate, properties: {} }, { rate: 1 })).toContain('there are none');
    for (const schema of [
      undefined,
      { type: 'object' },
      { ...rate, additionalProperties: true },
      { ...rate, additionalProperties: { type: 'integer' } },
      { ...rate, patternProperties: { '^x_': { type: 'integer' } } },
      { ...rate, propertyNames: { maxLength: 9 } },
      { ...rate, allOf: [{ properties: { x_1: { type: 'integer' } } }] },
      {
        ...rate,
        definitions: { more: { type: 'object', properties: { x_1: {} } } },
        $ref: '#/definitions/more',
      },
    ]) {
      expect(await start(schema, { x_1: 1 }), JSON.stringify(schema)).toBe('PENDING');
    }
    const patterned = { ...rate, patternProperties: { '^x_': { type: 'integer' } } };
    expect(await start(patterned, { y_1: 1 })).toContain('there is no parameter y_1');
    const integers = { ...rate, additionalProperties: { type: 'integer' } };
    expect(await start(integers, { x_1: 'many' })).toContain('parameters.x_1 must be integer');
  });

  test('the same key answers the same execution, also for many at once', async () => {
    await using t = await openTestScope({ kinds });
    const pipelines = createPipelines(t.scope);
    pipelines.add(definePipeline('keyed', { version: '1.0.0' }, (p) => p.step('a', {}, () => 1)));
    const all = await Promise.all(
      Array.from({ length: 10 }, () => pipelines.start('keyed', {}, { idempotencyKey: 'first' })),
    );
    expect(new Set(all.map((each) => each.id)).size).toBe(1);
    const other = await pipelines.start('keyed', { n: 1 }, { idempotencyKey: 'second' });
    expect(other.id).not.toBe(all[0]?.id);
    expect((await pipelines.list({ pipeline: 'keyed' })).executions).toHaveLength(2);
    expect(
      (await pipelines.start('keyed', { n: 2 }, { idempotencyKey: 'second' })).parameters,
    ).toEqual({ n: 1 });
    expect(
      t.logs.some((log) => log.level === 'warn' && log.message.includes('other parameters')),
    ).toBe(true);
  });

  test('a definition is immutable under its name and version', async () => {
    await using t = await openTestScope({ kinds });
    const make = (step: string, version = '1.0.0') =>
      definePipeline('fixed', { version }, (p) => p.step(step, {}, () => step));
    const one = createPipelines(t.scope);
    one.add(make('a'));
    one.add(make('a'));
    expect(() => one.add(make('b'))).toThrow(/fixed@1\.0\.0 already has another definition/);
    await one.start('fixed');
    const two = createPipelines(t.scope);
    expect((await rejection(two.start(make('b'), {}))).code).toBe('CONFLICT');
    expect((await rejection(two.putDefinition(make('b').definition))).message).toContain(
      'new version',
    );
    await two.putDefinition(make('b', '1.10.0'));
    await two.putDefinition(make('a', '1.9.0'));
    expect((await one.getDefinition('fixed')).version).toBe('1.10.0');
  });

  test('definitions are listed by name, the last that was stored first, page after page', async () => {
    await using t = await openTestScope({ kinds });
    const pipelines = createPipelines(t.scope);
    for (const [name, version] of [
      ['b', '1.0.0'],
      ['a', '1.0.0'],
      ['a', '2.0.0'],
    ] as const) {
      const tags = { team: name };
      const made = definePipeline(name, { version, tags, description: 'd' }, (p) => {
        p.step('x', {}, () => 1);
      });
      await pipelines.putDefinition(made);
    }
    const first = await pipelines.definitions({ limit: 2 });
    expect(first.definitions).toMatchObject([
      { name: 'a', version: '2.0.0', steps: 1, tags: { team: 'a' }, description: 'd' },
      { name: 'a', version: '1.0.0' },
    ]);
    const second = await pipelines.definitions({ limit: 2, cursor: first.cursor ?? '' });
    expect(second).toMatchObject({ definitions: [{ name: 'b' }] });
    expect(second.cursor).toBeUndefined();
    const named = await pipelines.definitions({ name: 'b' });
    expect(named.definitions.map(({ name }) => name)).toEqual(['b']);
    expect((await rejection(pipelines.definitions({ limit: 0 }))).code).toBe('INVALID');
  });
});

describe('failures', () => {
  test('a failed attempt is retried after its back-off, by the injected clock, and no sooner', async () => {
    let now = 1_000_000;
    await using t = await openTestScope({ kinds, clock: { now: () => now } });
    const pipelines = createPipelines(t.scope);
    const attempts: number[] = [];
    const pipeline = definePipeline('retried', { version: '1.0.0' }, (p) => {
      const a = p.step(
        'flaky',
        {},
        ({ attempt }) => {
          attempts.push(attempt);
          if (attempt < 3) throw new Error(`attempt ${attempt}`);
          return attempt;
        },
        { retries: { limit: 2, delayMs: 10_000 } },
      );
      return p.step('after', { a }, ({ inputs }) => inputs.a);
    });
    const { id } = await pipelines.start(pipeline, {});
    const drain = async () => {
      const { signal } = new AbortController();
      while (await pipelines.loops[0]?.runOnce(signal));
    };
    await drain();
    expect(attempts).toEqual([1]);
    const [waiting] = await pipelines.steps(id);
    expect(waiting).toMatchObject({ status: 'PENDING', attempt: 1, failures: 1 });
    const delay = (waiting?.readyAt as number) - now;
    expect(delay).toBeGreaterThanOrEqual(5000);
    expect(delay).toBeLessThanOrEqual(10_000);
    now += delay - 1;
    await drain();
    expect(attempts).toEqual([1]);
    now += 1;
    await drain();
    expect(attempts).toEqual([1, 2]);
    now += 20_000;
    await drain();
    expect((await pipelines.get(id)).status).toBe('COMPLETED');
    expect((await pipelines.outputs(id, 'after')).value).toBe(3);
    expect((await eventsOf(t, id)).map(short)).toEqual([
      'pipeline.started',
      'step.started flaky 1',
      'step.retried flaky 1',
      'step.started flaky 2',
      'step.retried flaky 2',
      'step.started flaky 3',
      'step.completed flaky 3',
      'step.started after 1',
      'step.completed after 1',
      'pipeline.completed',
    ]);
  });

  test('a step that fails for good ends the execution; retry runs it and what hangs on it, no more', async () => {
    await using t = await openTestScope({ kinds });
    const pipelines = createPipelines(t.scope);
    const ran: string[] = [];
    let broken = true;
    const pipeline = definePipeline('broken', { version: '1.0.0' }, (p) => {
      const load = p.step('load', {}, () => void ran.push('load'));
      const side = p.step('side', {}, () => void ran.push('side'));
      const train = p.step(
        'train',
        { load },
        () => {
          ran.push('train');
          if (broken) throw new Error('no luck');
          return 5;
        },
        { retries: { limit: 1, delayMs: 1 }, after: [side] },
      );
      return p.step('end', { train, side }, ({ inputs }) => {
        ran.push('end');
        return inputs.train;
      });
    });
    const execution = await pipelines.start(pipeline, {});
    const failed = await pipelines.wait(execution);
    expect(failed.status).toBe('FAILED');
    expect(failed.output).toBeUndefined();
    expect(failed.failure).toMatchObject({ step: 'train', message: 'no luck', class: 'transient' });
    const states = await pipelines.steps(execution.id);
    expect(states.map(({ step, status }) => `${step} ${status}`)).toEqual([
      'load COMPLETED',
      'side COMPLETED',
      'train FAILED',
      'end SKIPPED',
    ]);
    const types = (await eventsOf(t, execution.id)).map(short);
    expect(types).toContain('step.failed train 2');
    expect(types).toContain('step.retry_exhausted train');
    expect(types.at(-1)).toBe('pipeline.failed');
    expect(ran.filter((step) => step === 'train')).toHaveLength(2);

    ran.length = 0;
    broken = false;
    expect((await pipelines.retry(execution.id)).status).toBe('PENDING');
    const again = await pipelines.wait(execution);
    expect(again).toMatchObject({ status: 'COMPLETED', output: 5, round: 2 });
    expect(again.failure).toBeUndefined();
    expect(ran).toEqual(['train', 'end']);
    expect((await pipelines.steps(execution.id))[2]).toMatchObject({ attempt: 3, failures: 0 });
    expect((await rejection(pipelines.retry(execution.id))).code).toBe('CONFLICT');
  });

  test('data errors are not tried again; timeouts are, and their late results go nowhere', async () => {
    await using t = await openTestScope({ kinds });
    const pipelines = createPipelines(t.scope);
    const pipeline = definePipeline('limits', { version: '1.0.0' }, (p) => {
      p.step(
        'slow',
        {},
        async ({ signal, attempt }) => {
          if (attempt > 1) return 'in time';
          await new Promise((resolve) => signal.addEventListener('abort', resolve));
          return 'too late';
        },
        { timeoutMs: 50, retries: { limit: 1, delayMs: 1 } },
      );
      p.step(
        'data',
        {},
        () => {
          throw new StepError('data', 'row 7');
        },
        { retries: 9 },
      );
    });
    const done = await pipelines.wait(await pipelines.start(pipeline, {}));
    expect(done.failure).toMatchObject({ step: 'data', class: 'data', message: 'row 7' });
    const [slow, data] = await pipelines.steps(done.id);
    expect(data?.attempt).toBe(1);
    expect(['COMPLETED', 'SKIPPED', 'FAILED']).toContain(slow?.status);
    const types = (await eventsOf(t, done.id)).map(short);
    expect(types).not.toContain('step.retry_exhausted data');
  });

  test('a timeout is told as such', async () => {
    await using t = await openTestScope({ kinds });
    const pipelines = createPipelines(t.scope);
    const pipeline = definePipeline('timeout', { version: '1.0.0' }, (p) => {
      p.step(
        'slow',
        {},
        async ({ signal }) => {
          await new Promise((resolve) => signal.addEventListener('abort', resolve));
        },
        { timeoutMs: 30 },
      );
    });
    const done = await pipelines.wait(await pipelines.start(pipeline, {}));
    expect(done.failure).toMatchObject({
      code: 'TIMEOUT',
      message: expect.stringContaining('30 ms'),
    });
  });
});

describe('ending', () => {
  const waitForAbort = (signal: AbortSignal) =>
    new Promise<void>((resolve) => {
      signal.addEventListener('abort', () => resolve(), { once: true });
    });

  function stoppable(started: () => void) {
    return definePipeline('stoppable', { version: '1.0.0' }, (p) => {
      const first = p.step('first', {}, () => 1);
      const long = p.step('long', { first }, async ({ signal, attempt }) => {
        if (attempt > 1) return 'second time';
        started();
        await waitForAbort(signal);
        return 'must not be kept';
      });
      return p.step('last', { long }, ({ inputs }) => inputs.long);
    });
  }

  test.each(['this', 'another'])(
    'cancel by %s service aborts what runs, in less than 2 s, and nothing is kept',
    async (who) => {
      await using t = await openTestScope({ kinds });
      const pipelines = createPipelines(t.scope);
      const other = who === 'this' ? pipelines : createPipelines(t.scope);
      const started = Promise.withResolvers<void>();
      const execution = await pipelines.start(stoppable(started.resolve), {});
      const waiting = pipelines.wait(execution);
      await started.promise;
      const at = performance.now();
      const cancelled = await other.cancel(execution.id, 'changed my mind');
      expect(cancelled).toMatchObject({ status: 'CANCELLED', cancelReason: 'changed my mind' });
      const done = await waiting;
      expect(performance.now() - at).toBeLessThan(2000);
      expect(done.status).toBe('CANCELLED');
      expect((await other.cancel(execution.id)).status).toBe('CANCELLED');
      expect((await pipelines.steps(execution.id)).map((step) => step.status)).toEqual([
        'COMPLETED',
        'CANCELLED',
        'CANCELLED',
      ]);
      expect((await eventsOf(t, execution.id)).map(short).at(-1)).toBe('pipeline.cancelled');
      // The aborted function has ended, and its result is nowhere.
      await pipelines.close();
      expect((await rejection(pipelines.outputs(execution.id, 'long'))).code).toBe('NOT_FOUND');
      const again = createPipelines(t.scope);
      again.add(stoppable(() => undefined));
      await again.retry(execution.id);
      expect(await again.wait(execution)).toMatchObject({
        status: 'COMPLETED',
        output: 'second time',
        round: 2,
      });
    },
  );

  test('closing gives running steps back, and another service goes on at once', async () => {
    await using t = await openTestScope({ kinds });
    const one = createPipelines(t.scope);
    const started = Promise.withResolvers<void>();
    const execution = await one.start(stoppable(started.resolve), {});
    const waiting = rejection(one.wait(execution, { timeoutMs: 3000 }));
    await started.promise;
    const at = performance.now();
    await one.close();
    const two = createPipelines(t.scope);
    two.add(stoppable(() => undefined));
    expect(await two.wait(execution)).toMatchObject({ status: 'COMPLETED', output: 'second time' });
    expect(performance.now() - at).toBeLessThan(2000);
    expect((await two.steps(execution.id))[1]).toMatchObject({
      attempt: 2,
      losses: 1,
      failures: 0,
    });
    await waiting.catch(() => undefined);
  });

  test('waiting can be aborted or run out of time; the execution goes on', async () => {
    await using t = await openTestScope({ kinds });
    const pipelines = createPipelines(t.scope);
    const open = Promise.withResolvers<number>();
    const pipeline = definePipeline('patient', { version: '1.0.0' }, (p) =>
      p.step('a', {}, () => open.promise),
    );
    const execution = await pipelines.start(pipeline, {});
    expect((await rejection(pipelines.wait(execution, { timeoutMs: 30 }))).code).toBe('TIMEOUT');
    const controller = new AbortController();
    const aborted = rejection(pipelines.wait(execution, { signal: controller.signal }));
    controller.abort();
    expect((await aborted).code).toBe('ABORTED');
    open.resolve(4);
    expect((await pipelines.wait(execution)).output).toBe(4);
  });

  test('an execution whose functions nobody has says what it waits for', async () => {
    await using t = await openTestScope({ kinds });
    const one = createPipelines(t.scope);
    await one.putDefinition(
      definePipeline('elsewhere', { version: '1.0.0' }, (p) => p.step('a', {}, () => 1)),
    );
    const { id } = await one.start('elsewhere');
    expect((await rejection(one.wait(id, { timeoutMs: 1600 }))).code).toBe('TIMEOUT');
    expect(t.logs.map((log) => log.message).join('\n')).toMatch(
      /waiting for a process that has registered elsewhere@1\.0\.0/,
    );
  });
});

describe('telling', () => {
  test('all of it carries the correlation in force at the start; progress comes in order', async () => {
    await using t = await openTestScope({ kinds });
    const pipelines = createPipelines(t.scope);
    let seen: string | undefined;
    const pipeline = definePipeline('told', { version: '1.0.0' }, (p) => {
      const a = p.step('a', {}, ({ correlationId }) => {
        seen = currentCorrelation()?.correlationId;
        expect(correlationId).toBe(seen);
      });
      p.step('b', { a }, () => null);
    });
    const execution = await withCorrelation({ correlationId: 'alarm-7' }, () =>
      pipelines.start(pipeline, {}),
    );
    const progress: string[] = [];
    await pipelines.wait(execution, { onProgress: (event) => progress.push(short(event)) });
    expect(seen).toBe('alarm-7');
    const events = await eventsOf(t, execution.id);
    expect(events.every((event) => event.correlationId === 'alarm-7')).toBe(true);
    expect(progress).toEqual(events.map(short));
    expect(progress.filter((text) => text.startsWith('pipeline'))).toEqual([
      'pipeline.started',
      'pipeline.completed',
    ]);
    expect(currentCorrelation()).toBeUndefined();
    expect(
      (await pipelines.list({ correlationId: 'alarm-7' })).executions.map(({ id }) => id),
    ).toEqual([execution.id]);
  });
});

describe('size', () => {
  test('a step with more dependents than one commit takes releases them all', async () => {
    await using t = await openTestScope({ kinds });
    const pipelines = createPipelines(t.scope, { concurrency: 50 });
    const fan = definePipeline('fan', { version: '1.0.0' }, (p) => {
      const root = p.step('root', {}, () => 1);
      const all = Array.from({ length: 270 }, (_, i) => p.step(`leaf${i}`, { root }, () => i));
      return p.step('end', { all }, ({ inputs }) => inputs.all.reduce((a, b) => a + b, 0));
    });
    const done = await pipelines.wait(await pipelines.start(fan, {}));
    expect(done).toMatchObject({ status: 'COMPLETED', output: (270 * 269) / 2, openSteps: 0 });
  });

  const wide = definePipeline('wide', { version: '1.0.0' }, (p) => {
    const all = Array.from({ length: 850 }, (_, i) =>
      p.step(`s${i}`, {}, () => {
        throw new StepError('permanent', 'always');
      }),
    );
    p.step('end', {}, () => null, { after: all });
  });

  test('more steps than two commits take: opened, failed, reopened, cancelled as a whole', async () => {
    await using t = await openTestScope({ kinds });
    const pipelines = createPipelines(t.scope);
    const { id } = await pipelines.start(wide, {});
    expect(await pipelines.get(id)).toMatchObject({ totalSteps: 851, openSteps: 851 });
    const count = async (status: string) =>
      (await pipelines.steps(id)).filter((step) => step.status === status).length;
    expect(await pipelines.wait(id)).toMatchObject({ status: 'FAILED', openSteps: 0 });
    const failed = await count('FAILED');
    expect(failed).toBeGreaterThanOrEqual(1);
    expect(await count('SKIPPED')).toBe(851 - failed);
    expect(await pipelines.retry(id)).toMatchObject({
      status: 'PENDING',
      openSteps: 851,
      round: 2,
    });
    expect(await count('PENDING')).toBe(851);
    expect(await pipelines.cancel(id)).toMatchObject({ status: 'CANCELLED', openSteps: 0 });
    expect(await count('CANCELLED')).toBe(851);
  });

  test('a long chain of short steps leaves timers their turn', async () => {
    await using t = await openTestScope({ kinds });
    const pipelines = createPipelines(t.scope);
    const chain = definePipeline('chain', { version: '1.0.0' }, (p) => {
      let last = p.step('s0', {}, () => 0);
      for (let i = 1; i < 40; i += 1)
        last = p.step(`s${i}`, { last }, ({ inputs }) => inputs.last + 1);
      return last;
    });
    let turns = 0;
    const timer = setInterval(() => {
      turns += 1;
    }, 1);
    const done = await pipelines.wait(await pipelines.start(chain, {}));
    clearInterval(timer);
    expect(done.output).toBe(39);
    expect(turns).toBeGreaterThan(10);
  });
});
