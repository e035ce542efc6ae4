import { describe, expect, test } from 'vitest';
import { openTestScope } from '../../test/open-test-scope.ts';
import type { StoredEvent } from '../contracts/event.ts';
import { pipelinesKinds } from '../contracts/kinds/pipelines-kinds.ts';
import type { MetadataStore } from '../contracts/metadata-store.ts';
import type { Scope } from '../contracts/scope.ts';
import { definePipeline } from './define-pipeline.ts';
import { continueWith } from './further-steps.ts';
import { createPipelines } from './pipelines.ts';
import type { Pipelines } from './pipelines-types.ts';
import { StepError } from './step-policy.ts';

async function opened(options: Parameters<typeof createPipelines>[1] = {}) {
  const t = await openTestScope({ kinds: pipelinesKinds });
  const pipelines = createPipelines(t.scope, options);
  return {
    t,
    pipelines,
    async events(): Promise<readonly StoredEvent[]> {
      return (await t.scope.metadata.readEvents({ workspace: 'default', limit: 1000 })).events;
    },
    async [Symbol.asyncDispose]() {
      await pipelines.close();
      await t[Symbol.asyncDispose]();
    },
  };
}

async function statuses(pipelines: Pipelines, id: string): Promise<Record<string, string>> {
  const steps = await pipelines.steps(id);
  return Object.fromEntries(steps.map((step) => [step.step, step.status]));
}

const v = { version: '1.0.0' };
const parameters = {
  type: 'object',
  properties: {
    limit: { type: 'number', default: 0.9 },
    list: { type: 'array', items: { type: 'number' }, default: [1, 2, 3] },
  },
} as const;

describe('conditions', () => {
  test('over parameters, outputs and a false one skips what hangs on it, not what joins', async () => {
    await using w = await opened();
    const pipeline = definePipeline('gate', { ...v, parameters }, (p) => {
      const train = p.step('train', {}, () => ({ accuracy: 0.8, n: 3 }));
      const good = p.step('publish', { train }, () => 'published', {
        when: 'outputs.train.accuracy > parameters.limit',
      });
      const told = p.step('tell', { good }, ({ inputs }) => inputs.good);
      p.step('fits', { train }, () => 1, { when: 'outputs.train.n + 1 == 4' });
      return p.step(
        'end',
        { told, train },
        ({ inputs }) => `${inputs.told ?? 'not'} told, ${inputs.train?.n}`,
        {
          join: 'ended',
        },
      );
    });
    const done = await w.pipelines.wait(await w.pipelines.start(pipeline, {}));
    expect(done).toMatchObject({ status: 'COMPLETED', output: 'not told, 3', openSteps: 0 });
    expect(await statuses(w.pipelines, done.id)).toEqual({
      train: 'COMPLETED',
      publish: 'SKIPPED',
      tell: 'SKIPPED',
      fits: 'COMPLETED',
      end: 'COMPLETED',
    });
    const skipped = (await w.events()).filter(({ type }) => type === 'step.skipped');
    expect(skipped.map(({ payload }) => [payload['step'], payload['reason']])).toEqual([
      ['publish', 'its condition is false: outputs.train.accuracy > parameters.limit'],
      ['tell', 'a step that it depends on has no value for it'],
    ]);
    const other = await w.pipelines.wait(await w.pipelines.start(pipeline, { limit: 0.5 }));
    expect(other.output).toBe('published told, 3');
  });

  test('one that cannot be evaluated fails the step, saying why', async () => {
    await using w = await opened();
    const pipeline = definePipeline('odd', v, (p) => {
      p.step('a', {}, () => 1, { when: 'parameters.nothing > 1' });
    });
    const done = await w.pipelines.wait(await w.pipelines.start(pipeline, {}));
    expect(done.status).toBe('FAILED');
    expect(done.failure?.message).toMatch(
      /"parameters.nothing > 1" cannot be evaluated: No such key: nothing/,
    );
  });
});

describe('failures that are tolerated', () => {
  test('continue: dependents run without a value; skipDownstream: they are skipped; the execution completes', async () => {
    await using w = await opened();
    const pipeline = definePipeline('tolerant', v, (p) => {
      const fail = (): number => {
        throw new StepError('permanent', 'no luck');
      };
      const a = p.step('a', {}, fail, { onFailure: 'continue' });
      const b = p.step('b', {}, fail, { onFailure: 'skipDownstream' });
      const c = p.step('c', { a }, ({ inputs }) => String(inputs.a));
      const d = p.step('d', { b }, ({ inputs }) => inputs.b);
      return p.step('e', { c, d }, ({ inputs }) => `${inputs.c} ${String(inputs.d)}`, {
        join: 'ended',
      });
    });
    const done = await w.pipelines.wait(await w.pipelines.start(pipeline, {}));
    expect(done).toMatchObject({ status: 'COMPLETED', output: 'undefined undefined' });
    expect(await statuses(w.pipelines, done.id)).toEqual({
      a: 'FAILED',
      b: 'FAILED',
      c: 'COMPLETED',
      d: 'SKIPPED',
      e: 'COMPLETED',
    });
    expect((await w.pipelines.steps(done.id))[0]).toMatchObject({
      tolerated: true,
      failure: { message: 'no luck' },
    });
  });
});

describe('fan-out', () => {
  test('one task for each item, values in their order, at most so many at once', async () => {
    await using w = await opened({ concurrency: 8 });
    let running = 0;
    let most = 0;
    let leftAtLast: number | undefined;
    const pipeline = definePipeline('fan', { ...v, parameters }, (p) => {
      const list = p.step('list', {}, () => Array.from({ length: 20 }, (_, i) => i));
      const squares = p.forEach(
        'square',
        list,
        { add: p.parameter('limit') },
        async ({ inputs, item, executionId }) => {
          running += 1;
          most = Math.max(most, running);
          await new Promise((resolve) => setTimeout(resolve, 2));
          if (item === 19) {
            const items = () => w.pipelines.items(executionId, 'square');
            const open = async () => (await items()).filter((each) => each.status !== 'COMPLETED');
            await expect.poll(async () => (await open()).length, { timeout: 10_000 }).toBe(1);
            leftAtLast = (await w.pipelines.steps(executionId))[1]?.itemsLeft;
          }
          running -= 1;
          expect(item).toBe(inputs.item);
          return inputs.item ** 2 + inputs.add;
        },
        { maxParallel: 3 },
      );
      return p.step('sum', { squares }, ({ inputs }) => inputs.squares);
    });
    const done = await w.pipelines.wait(await w.pipelines.start(pipeline, { limit: 0.5 }));
    expect(done.output).toEqual(Array.from({ length: 20 }, (_, i) => i ** 2 + 0.5));
    expect(most).toBeGreaterThan(1);
    expect(most).toBeLessThanOrEqual(3);
    // The list was joined behind the last item, whenever that came.
    expect(leftAtLast).toBe(1);
    const items = await w.pipelines.items(done.id, 'square');
    expect(items.map(({ mapKey, status }) => [mapKey, status])).toEqual(
      Array.from({ length: 20 }, (_, i) => [String(i).padStart(5, '0'), 'COMPLETED']),
    );
    expect((await w.pipelines.steps(done.id))[1]).toMatchObject({
      items: 20,
    });
  });

  test('of nothing is an empty list; of what is no list, a failure that says so', async () => {
    await using w = await opened();
    const over = (name: string, what: unknown) =>
      definePipeline(name, v, (p) => {
        const list = p.step('list', {}, () => what as number[]);
        return p.forEach('each', list, {}, ({ inputs }) => inputs.item);
      });
    expect((await w.pipelines.wait(await w.pipelines.start(over('none', [])))).output).toEqual([]);
    const odd = await w.pipelines.wait(await w.pipelines.start(over('odd', { a: 1 })));
    expect(odd.failure?.message).toMatch(
      /Step each runs for each item of a list of at most 10000, not of object/,
    );
  });

  test('more items than one commit makes; a failed item fails the execution; a retry runs only what is left', async () => {
    await using w = await opened({ concurrency: 16 });
    let mended = false;
    const ran = new Map<number, number>();
    const pipeline = definePipeline('many', v, (p) => {
      const list = p.step('list', {}, () => Array.from({ length: 900 }, (_, i) => i));
      const each = p.forEach('each', list, {}, ({ inputs: { item } }) => {
        ran.set(item, (ran.get(item) ?? 0) + 1);
        if (item === 450 && !mended) throw new StepError('data', 'bad item');
        return item;
      });
      return p.step('count', { each }, ({ inputs }) => inputs.each.reduce((a, b) => a + b, 0));
    });
    const failed = await w.pipelines.wait(await w.pipelines.start(pipeline));
    expect(failed).toMatchObject({
      status: 'FAILED',
      openSteps: 0,
      failure: { message: 'bad item' },
    });
    mended = true;
    const before = new Map(ran);
    await w.pipelines.retry(failed.id);
    const done = await w.pipelines.wait(failed.id);
    expect(done).toMatchObject({ status: 'COMPLETED', openSteps: 0, output: (899 * 900) / 2 });
    for (const [item, times] of before) expect(ran.get(item)).toBe(item === 450 ? 2 : times);
    expect(ran.size).toBe(900);
  }, 60_000);

  test('its list is read once by each process, and not each claim looks through all that is due', async () => {
    await using t = await openTestScope({ kinds: pipelinesKinds });
    let opened = 0;
    let claims = 0;
    let lookedThrough = 0;
    const scope: Scope = {
      ...t.scope,
      artifacts: {
        ...t.scope.artifacts,
        put: (...args) => t.scope.artifacts.put(...args),
        open: (...args) => {
          opened += 1;
          return t.scope.artifacts.open(...args);
        },
      },
      metadata: new Proxy(t.scope.metadata, {
        get(store, name) {
          const value: unknown = Reflect.get(store, name);
          if (typeof value !== 'function') return value;
          if (name !== 'claim') return value.bind(store);
          return async (...[kind, claim]: Parameters<MetadataStore['claim']>) => {
            const taken = await store.claim(kind, claim);
            const byId = JSON.stringify(claim.where).includes('"name":"id"');
            if (taken.length > 0) claims += 1;
            if (taken.length > 0 && !byId) lookedThrough += 1;
            return taken;
          };
        },
      }),
    };
    const ran = new Map<number, number>();
    const by = [0, 0];
    const here = [0, 1].map((process) => {
      const pipeline = definePipeline('far', v, (p) => {
        const text = 'x'.repeat(200);
        const list = p.step('list', {}, () => Array.from({ length: 200 }, (_, i) => ({ i, text })));
        const each = p.forEach('each', list, {}, ({ inputs }) => {
          ran.set(inputs.item.i, (ran.get(inputs.item.i) ?? 0) + 1);
          by[process] = (by[process] ?? 0) + 1;
          return inputs.item.i;
        });
        return p.step('count', { each }, ({ inputs }) => inputs.each.length);
      });
      return { pipeline, pipelines: createPipelines(scope, { concurrency: 2 }) };
    });
    const [one, other] = here;
    const { id } = (await one?.pipelines.start(one.pipeline)) ?? { id: '' };
    await other?.pipelines.add(other.pipeline);
    const done = await Promise.all(here.map(({ pipelines }) => pipelines.wait(id)));
    for (const execution of done) {
      expect(execution).toMatchObject({ status: 'COMPLETED', output: 200 });
    }
    expect(new Set(ran.values())).toEqual(new Set([1]));
    expect(ran.size).toBe(200);
    for (const items of by) expect(items).toBeGreaterThan(0);
    expect(opened).toBeLessThanOrEqual(3);
    expect(lookedThrough).toBeLessThan(claims / 2);
    for (const { pipelines } of here) await pipelines.close();
  });

  test('stopWhen ends the others once one is good enough; so does stopSiblings', async () => {
    await using w = await opened({ concurrency: 2 });
    for (const [name, stopWhen] of [
      ['by-condition', 'output > 2'],
      ['by-function', undefined],
    ] as const) {
      const pipeline = definePipeline(name, v, (p) => {
        const list = p.step('list', {}, () => Array.from({ length: 50 }, (_, i) => i));
        return p.forEach(
          'each',
          list,
          {},
          async ({ inputs, stopSiblings }) => {
            if (stopWhen === undefined && inputs.item === 3) stopSiblings('three is enough');
            await new Promise((resolve) => setTimeout(resolve, 1));
            return inputs.item;
          },
          { onFailure: 'continue', ...(stopWhen === undefined ? {} : { stopWhen }) },
        );
      });
      const done = await w.pipelines.wait(await w.pipelines.start(pipeline));
      expect(done).toMatchObject({ status: 'COMPLETED', openSteps: 0 });
      const values = done.output as readonly (number | null)[];
      expect(values).toHaveLength(50);
      expect(values[3]).toBe(3);
      expect(values.filter((value) => value === null).length).toBeGreaterThan(40);
      const items = await w.pipelines.items(done.id, 'each');
      expect(items.at(-1)).toMatchObject({
        status: 'SKIPPED',
        skipReason: expect.stringMatching(/output > 2|three is enough/),
      });
    }
  });

  test('failed items that are tolerated are null', async () => {
    await using w = await opened();
    const pipeline = definePipeline('some', { ...v, parameters }, (p) =>
      p.forEach(
        'each',
        p.parameter('list'),
        {},
        ({ inputs: { item } }) => {
          if (item === 2) throw new StepError('data', 'two');
          return item * 10;
        },
        { onFailure: 'continue' },
      ),
    );
    const done = await w.pipelines.wait(await w.pipelines.start(pipeline, {}));
    expect(done).toMatchObject({ status: 'COMPLETED', output: [10, null, 30] });
  });
});

describe('repeat', () => {
  test('until a condition over what it put out, with the iteration before as input', async () => {
    await using w = await opened();
    const pipeline = definePipeline('loop', v, (p) =>
      p.step(
        'grow',
        {},
        ({ inputs, iteration }) => {
          const { previous } = inputs as { readonly previous?: number };
          expect(previous === undefined).toBe(iteration === 1);
          return (previous ?? 1) * 2;
        },
        { repeat: { until: 'output >= 100', max: 20 } },
      ),
    );
    const done = await w.pipelines.wait(await w.pipelines.start(pipeline));
    expect(done.output).toBe(128);
    expect((await w.pipelines.steps(done.id))[0]).toMatchObject({
      iteration: 7,
      attempt: 7,
      failures: 0,
    });
    const bounded = definePipeline('bounded', v, (p) =>
      p.step('never', {}, () => 1, { repeat: { until: 'output > 1', max: 3 } }),
    );
    const end = await w.pipelines.wait(await w.pipelines.start(bounded));
    expect(end).toMatchObject({ status: 'COMPLETED', output: 1 });
    expect((await w.pipelines.steps(end.id))[0]?.iteration).toBe(3);
  });
});

describe('further steps', () => {
  test('a step returns a pipeline: its steps run, and its output is the output of the step', async () => {
    await using w = await opened();
    const inner = (n: number) =>
      definePipeline(
        `inner-${n}`,
        {
          ...v,
          parameters: {
            type: 'object',
            properties: { by: { type: 'number' } },
            required: ['by'],
          } as const,
        },
        (p) => {
          const parts = Array.from({ length: n }, (_, i) =>
            p.step(`part${i}`, {}, ({ parameters: { by } }) => i * by),
          );
          return p.step('sum', { parts }, ({ inputs }) => inputs.parts.reduce((a, b) => a + b, 0));
        },
      );
    const pipeline = definePipeline('outer', v, (p) => {
      const plan = p.step('plan', {}, () => 4);
      const sum = p.step('work', { plan }, ({ inputs }) =>
        continueWith(inner(inputs.plan), { by: 10 }),
      );
      return p.step('end', { sum }, ({ inputs }) => inputs.sum + 1);
    });
    const done = await w.pipelines.wait(await w.pipelines.start(pipeline));
    expect(done).toMatchObject({ status: 'COMPLETED', output: 61 });
    const step = (await w.pipelines.steps(done.id))[1];
    const child = await w.pipelines.get(step?.childExecutionId ?? '');
    expect(child).toMatchObject({
      pipeline: 'inner-4',
      status: 'COMPLETED',
      parentExecutionId: done.id,
      correlationId: done.correlationId,
    });
  });

  test('its failure is the failure of the step, a cancel reaches it', async () => {
    await using w = await opened();
    const bad = definePipeline('bad', v, (p) => {
      p.step('x', {}, () => {
        throw new StepError('data', 'inside');
      });
    });
    const hangs = definePipeline('hangs', v, (p) => {
      p.step(
        'x',
        {},
        ({ signal }) =>
          new Promise<void>((_, reject) =>
            signal.addEventListener('abort', () => reject(signal.reason)),
          ),
      );
    });
    const of = (inner: typeof bad, name: string) =>
      definePipeline(name, v, (p) => {
        p.step('asks', {}, () => continueWith(inner));
      });
    const failed = await w.pipelines.wait(await w.pipelines.start(of(bad, 'outer-bad')));
    expect(failed.failure?.message).toMatch(
      /The execution .* of bad that it asked for is FAILED: inside/,
    );
    const { id } = await w.pipelines.start(of(hangs, 'outer-hangs'));
    const waiting = w.pipelines.wait(id);
    await expect.poll(async () => (await w.pipelines.steps(id))[0]?.childExecutionId).toBeDefined();
    const child = (await w.pipelines.steps(id))[0]?.childExecutionId ?? '';
    await expect.poll(async () => (await w.pipelines.get(child)).status).toBe('RUNNING');
    await w.pipelines.cancel(id, 'enough');
    expect((await waiting).status).toBe('CANCELLED');
    expect(await w.pipelines.get(child)).toMatchObject({ status: 'CANCELLED', openSteps: 0 });
  });
});

describe('partial runs', () => {
  test('from, until and only a step, with what an earlier execution has put out', async () => {
    await using w = await opened();
    const ran: string[] = [];
    const pipeline = definePipeline('line', v, (p) => {
      const a = p.step('a', {}, ({ step }) => ran.push(step));
      const b = p.step(
        'b',
        { a },
        ({ step, inputs }) => ([ran.push(step), inputs.a][1] as number) + 10,
      );
      const c = p.step(
        'c',
        { b },
        ({ step, inputs }) => ([ran.push(step), inputs.b][1] as number) + 100,
      );
      return p.step(
        'd',
        { c, a },
        ({ step, inputs }) => [ran.push(step), inputs.c + inputs.a][1] as number,
      );
    });
    const first = await w.pipelines.wait(await w.pipelines.start(pipeline));
    const run = async (part: object) => {
      ran.length = 0;
      const done = await w.pipelines.wait(await w.pipelines.start(pipeline, {}, part));
      expect(done).toMatchObject({ status: 'COMPLETED', openSteps: 0 });
      return {
        ran: ran.join(''),
        statuses: Object.values(await statuses(w.pipelines, done.id))
          .map((s) => s[0])
          .join(''),
      };
    };
    expect(await run({ from: 'c', reuse: first.id })).toEqual({ ran: 'cd', statuses: 'CCCC' });
    expect(await run({ until: 'b' })).toEqual({ ran: 'ab', statuses: 'CCSS' });
    expect(await run({ only: 'c', reuse: first.id })).toEqual({ ran: 'c', statuses: 'SCCS' });
    expect(await run({ from: 'b', until: 'c', reuse: first.id })).toEqual({
      ran: 'bc',
      statuses: 'CCCS',
    });
    await expect(w.pipelines.start(pipeline, {}, { from: 'c' })).rejects.toThrow(
      /The steps before this part \(b, a\) do not run; say with `reuse`/,
    );
    await expect(w.pipelines.start(pipeline, {}, { from: 'x' })).rejects.toThrow(
      /has no step "x"; it has a, b, c, d/,
    );
  });
});

describe('pause and timeouts', () => {
  test('nothing starts while it is paused; resumed, it goes on', async () => {
    await using w = await opened();
    const first = Promise.withResolvers<void>();
    const begun = Promise.withResolvers<void>();
    const pipeline = definePipeline('paused', v, (p) => {
      const a = p.step('a', {}, () => {
        begun.resolve();
        return first.promise;
      });
      p.step('b', { a }, () => 1);
    });
    const { id } = await w.pipelines.start(pipeline);
    const waiting = w.pipelines.wait(id);
    await begun.promise;
    expect(await w.pipelines.pause(id)).toMatchObject({ paused: true });
    first.resolve();
    await expect
      .poll(async () => (await w.pipelines.steps(id))[1]?.waitsFor)
      .toBe('the execution is paused');
    expect(await statuses(w.pipelines, id)).toEqual({ a: 'COMPLETED', b: 'PENDING' });
    await w.pipelines.resume(id);
    expect(await waiting).toMatchObject({ status: 'COMPLETED', paused: false });
    for (const ask of ['pause', 'resume'] as const) {
      await expect(w.pipelines[ask](id)).rejects.toThrow(`COMPLETED and cannot be ${ask}d.`);
    }
  });

  test('what was cancelled is not resumed but retried, and is told so', async () => {
    await using w = await opened();
    const pipeline = definePipeline('stopped', v, (p) => p.step('a', {}, () => 1));
    const { id } = await w.pipelines.start(pipeline);
    await w.pipelines.cancel(id);
    await expect(w.pipelines.resume(id)).rejects.toMatchObject({
      code: 'CONFLICT',
      message: `Execution ${id} is CANCELLED and cannot be resumed; pipelines.retry(id) runs what of it did not complete.`,
    });
    await w.pipelines.retry(id);
    await expect(w.pipelines.retry(id)).rejects.toThrow(
      /PENDING and cannot be retried before it has ended/,
    );
    expect(await w.pipelines.wait(id)).toMatchObject({ status: 'COMPLETED', output: 1 });
    await expect(w.pipelines.cancel(id)).rejects.toThrow(/COMPLETED and cannot be cancelled/);
  });

  test('an execution whose time is up fails, and what runs of it is aborted', async () => {
    await using w = await opened();
    let aborted = false;
    const pipeline = definePipeline('slow', { ...v, timeoutMs: 150 }, (p) => {
      p.step(
        'hangs',
        {},
        ({ signal }) =>
          new Promise<void>((_, reject) => {
            signal.addEventListener('abort', () => {
              aborted = true;
              reject(signal.reason);
            });
          }),
      );
    });
    const done = await w.pipelines.wait(await w.pipelines.start(pipeline));
    expect(done).toMatchObject({
      status: 'FAILED',
      failure: { message: 'The execution took longer than its 150 ms.' },
    });
    expect(await statuses(w.pipelines, done.id)).toEqual({ hangs: 'CANCELLED' });
    await expect.poll(() => aborted).toBe(true);
  });
});
