import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { openTestScope } from '../../test/open-test-scope.ts';
import { pipelinesKinds } from '../contracts/kinds/pipelines-kinds.ts';
import { definePipeline } from './define-pipeline.ts';
import { planExecution, type StepStatus } from './execution-state.ts';
import { createPipelines } from './pipelines.ts';
import { StepError } from './step-policy.ts';
import type { StepHandle } from './step-types.ts';

/** A graph, and for each step in which of its attempts it fails, and whether for good. */
const cases = fc.record({
  rows: fc.array(
    fc.record({
      from: fc.array(fc.nat(20), { maxLength: 3 }),
      fate: fc.constantFrom<'fine' | 'later' | 'never'>(
        'fine',
        'fine',
        'fine',
        'fine',
        'later',
        'never',
      ),
    }),
    { minLength: 1, maxLength: 14 },
  ),
  concurrency: fc.integer({ min: 1, max: 5 }),
});

describe('the engine and the law', () => {
  test('any graph with any failures ends as planExecution says, and completes once mended', async () => {
    await using t = await openTestScope({ kinds: pipelinesKinds });
    let n = 0;
    await fc.assert(
      fc.asyncProperty(cases, async ({ rows, concurrency }) => {
        n += 1;
        let mended = false;
        let running = 0;
        let most = 0;
        const ran = new Map<string, number>();
        const done = new Set<string>();
        const pipeline = definePipeline(`p${n}`, { version: '1.0.0' }, (p) => {
          const handles: StepHandle<number>[] = [];
          rows.forEach(({ from, fate }, i) => {
            const before =
              i === 0 ? [] : [...new Set(from.map((at) => handles[at % i] as StepHandle<number>))];
            handles.push(
              p.step(
                `s${i}`,
                { before },
                async ({ inputs, attempt, step }) => {
                  running += 1;
                  most = Math.max(most, running);
                  ran.set(step, (ran.get(step) ?? 0) + 1);
                  await Promise.resolve();
                  running -= 1;
                  for (const other of before) expect(done.has(other.step)).toBe(true);
                  if (fate === 'later' && attempt === 1) throw new Error('later');
                  if (fate === 'never' && !mended) throw new StepError('permanent', 'never');
                  done.add(step);
                  return 1 + inputs.before.reduce((a, b) => a + b, 0);
                },
                { retries: { limit: 1, delayMs: 0 } },
              ),
            );
          });
        });
        const pipelines = createPipelines(t.scope, { concurrency });
        const { id } = await pipelines.start(pipeline, {});
        const first = await pipelines.wait(id);
        const states = await pipelines.steps(id);
        const statuses = new Map<string, StepStatus>(
          states.map((each) => [each.step, each.status]),
        );
        expect(planExecution(pipeline.definition.steps, statuses).outcome).toBe(first.status);
        expect(first.openSteps).toBe(0);
        expect(most).toBeLessThanOrEqual(concurrency);
        for (const { step, status, attempt } of states) {
          const fate = rows[Number(step.slice(1))]?.fate;
          if (status === 'COMPLETED') expect(attempt).toBe(fate === 'later' ? 2 : 1);
          else expect(['FAILED', 'SKIPPED']).toContain(status);
          // One that fails while the execution is ending is not tried again.
          if (status === 'FAILED') expect(fate).not.toBe('fine');
        }
        expect(first.status).toBe(
          rows.some((row) => row.fate === 'never') ? 'FAILED' : 'COMPLETED',
        );
        if (first.status === 'COMPLETED') return;
        const kept = new Map([...done].map((step) => [step, ran.get(step)]));
        mended = true;
        await pipelines.retry(id);
        expect((await pipelines.wait(id)).status).toBe('COMPLETED');
        for (const [step, times] of kept) expect(ran.get(step), `${step} ran again`).toBe(times);
        expect(new Set((await pipelines.steps(id)).map((each) => each.status))).toEqual(
          new Set(['COMPLETED']),
        );
      }),
      { numRuns: 25 },
    );
  }, 120_000);
});
