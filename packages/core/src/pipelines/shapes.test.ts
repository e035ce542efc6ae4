import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { openTestScope } from '../../test/open-test-scope.ts';
import { pipelinesKinds } from '../contracts/kinds/pipelines-kinds.ts';
import { definePipeline } from './define-pipeline.ts';
import { planExecution, type RuledStep, type StepStatus } from './execution-state.ts';
import { createPipelines } from './pipelines.ts';
import { StepError } from './step-policy.ts';
import type { StepHandle } from './step-types.ts';

const v = { version: '1.0.0' };

/** How many run at once, at most. */
class Gauge {
  running = 0;
  most = 0;

  async hold<T>(value: T): Promise<T> {
    this.running += 1;
    this.most = Math.max(this.most, this.running);
    await new Promise((resolve) => setImmediate(resolve));
    this.running -= 1;
    return value;
  }
}

describe('large shapes', () => {
  test('a chain of 500 steps, in its order', async () => {
    await using t = await openTestScope({ kinds: pipelinesKinds });
    const pipelines = createPipelines(t.scope);
    const order: number[] = [];
    const chain = definePipeline('chain', v, (p) => {
      let before = p.step('s0', {}, () => order.push(0));
      for (let i = 1; i < 500; i += 1) {
        before = p.step(`s${i}`, { before }, ({ inputs }) => {
          expect(inputs.before).toBe(i);
          return order.push(i);
        });
      }
      return before;
    });
    const done = await pipelines.wait(await pipelines.start(chain));
    expect(done).toMatchObject({ status: 'COMPLETED', output: 500 });
    expect(order).toEqual(Array.from({ length: 500 }, (_, i) => i));
    await pipelines.close();
  }, 60_000);

  test('500 steps at once and their join, no more of them running than are allowed', async () => {
    await using t = await openTestScope({ kinds: pipelinesKinds });
    const pipelines = createPipelines(t.scope, { concurrency: 7 });
    const gauge = new Gauge();
    const wide = definePipeline('wide', v, (p) => {
      const root = p.step('root', {}, () => 1);
      const all = Array.from({ length: 500 }, (_, i) =>
        p.step(`s${i}`, { root }, ({ inputs }) => gauge.hold(inputs.root + i)),
      );
      return p.step('sum', { all }, ({ inputs }) => inputs.all.reduce((a, b) => a + b, 0));
    });
    const done = await pipelines.wait(await pipelines.start(wide));
    expect(done).toMatchObject({ status: 'COMPLETED', output: 500 + (499 * 500) / 2 });
    expect(gauge.most).toBe(7);
    await pipelines.close();
  }, 60_000);

  test('diamonds, 50 wide, one behind another', async () => {
    await using t = await openTestScope({ kinds: pipelinesKinds });
    const pipelines = createPipelines(t.scope, { concurrency: 16 });
    const gauge = new Gauge();
    const diamonds = definePipeline('diamonds', v, (p) => {
      let top = p.step('top', {}, () => 1);
      for (let d = 0; d < 4; d += 1) {
        const above = top;
        const row = Array.from({ length: 50 }, (_, i) =>
          p.step(`d${d}w${i}`, { above }, ({ inputs }) => gauge.hold(inputs.above)),
        );
        top = p.step(`join${d}`, { row }, ({ inputs }) => inputs.row.reduce((a, b) => a + b, 0));
      }
      return top;
    });
    const done = await pipelines.wait(await pipelines.start(diamonds));
    expect(done).toMatchObject({ status: 'COMPLETED', output: 50 ** 4 });
    expect(gauge.most).toBeLessThanOrEqual(16);
    await pipelines.close();
  }, 60_000);
});

type Fate = 'fine' | 'skipped' | 'fails' | 'tolerated' | 'missing';

const rows = fc.array(
  fc.record({
    from: fc.array(fc.nat(30), { maxLength: 3 }),
    fate: fc.constantFrom<Fate>(
      'fine',
      'fine',
      'fine',
      'fine',
      'skipped',
      'tolerated',
      'missing',
      'fails',
    ),
    joins: fc.boolean(),
  }),
  { minLength: 1, maxLength: 16 },
);

describe('any graph with conditions, joins and failures of every kind', () => {
  test('ends as the law says: nothing runs that lacks a value, everything that could run has', async () => {
    await using t = await openTestScope({ kinds: pipelinesKinds });
    let n = 0;
    await fc.assert(
      fc.asyncProperty(rows, fc.integer({ min: 1, max: 5 }), async (all, concurrency) => {
        n += 1;
        const ran: string[] = [];
        const pipeline = definePipeline(`p${n}`, v, (p) => {
          const handles: StepHandle[] = [];
          all.forEach(({ from, fate, joins }, i) => {
            const after =
              i === 0 ? [] : [...new Set(from.map((at) => handles[at % i] as StepHandle))];
            handles.push(
              p.step(
                `s${i}`,
                {},
                ({ step }) => {
                  ran.push(step);
                  if (fate === 'fails' || fate === 'tolerated' || fate === 'missing')
                    throw new StepError('permanent', fate);
                  return i;
                },
                {
                  after,
                  ...(joins ? { join: 'ended' as const } : {}),
                  ...(fate === 'skipped' ? { when: 'has(parameters.more)' } : {}),
                  ...(fate === 'tolerated' ? { onFailure: 'continue' as const } : {}),
                  ...(fate === 'missing' ? { onFailure: 'skipDownstream' as const } : {}),
                },
              ),
            );
          });
        });
        const pipelines = createPipelines(t.scope, { concurrency });
        const done = await pipelines.wait(await pipelines.start(pipeline));
        const states = await pipelines.steps(done.id);
        const statuses = new Map<string, StepStatus>(
          states.map(({ step, status }) => [step, status]),
        );
        const steps: readonly RuledStep[] = pipeline.definition.steps;
        expect(planExecution(steps, statuses).outcome).toBe(done.status);
        expect(done.openSteps).toBe(0);
        expect(new Set(ran).size).toBe(ran.length);
        const fatal = states.some(
          ({ status, tolerated }) => status === 'FAILED' && tolerated !== true,
        );
        expect(done.status).toBe(fatal ? 'FAILED' : 'COMPLETED');
        if (fatal) return;
        // Told by the graph alone, in its order.
        const value = new Map<string, 'value' | 'missing'>();
        all.forEach(({ fate, joins }, i) => {
          const before = steps[i]?.dependsOn ?? [];
          const lacks = !joins && before.some((name) => value.get(name) === 'missing');
          const runs = !lacks && fate !== 'skipped';
          expect(ran.includes(`s${i}`), `s${i}`).toBe(runs);
          value.set(`s${i}`, !runs || fate === 'missing' ? 'missing' : 'value');
        });
      }),
      { numRuns: 60 },
    );
  }, 120_000);
});
