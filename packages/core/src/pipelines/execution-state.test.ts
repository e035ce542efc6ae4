import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { isKeelsonError } from '../errors.ts';
import {
  assertExecutionMove,
  assertStepMove,
  planExecution,
  type StepStatus,
  stepHasEnded,
} from './execution-state.ts';
import { findCycle, type GraphStep, topologicalOrder } from './step-graph.ts';

/** Graphs without circles: each step may depend on some of those before it. */
const graphs: fc.Arbitrary<readonly GraphStep[]> = fc
  .array(fc.array(fc.nat(40), { maxLength: 4 }), { minLength: 1, maxLength: 40 })
  .map((rows) =>
    rows.map((row, i) => ({
      name: `s${i}`,
      dependsOn: i === 0 ? [] : [...new Set(row.map((n) => `s${n % i}`))],
    })),
  );

describe('planExecution', () => {
  test('drives any graph to its end, each step once and behind all that it depends on', () => {
    fc.assert(
      fc.property(graphs, fc.infiniteStream(fc.nat(1000)), (steps, choices) => {
        const statuses = new Map<string, StepStatus>();
        const started: string[] = [];
        const pick = <T>(of: readonly T[]): T => of[choices.next().value % of.length] as T;
        const byName = new Map(steps.map((step) => [step.name, step]));
        for (;;) {
          const plan = planExecution(steps, statuses);
          const running = [...statuses].filter(([, s]) => s === 'RUNNING').map(([name]) => name);
          if (plan.outcome === 'COMPLETED') break;
          const moves = [...plan.ready, ...running];
          // Something can always be done before the end: nothing hangs.
          expect(moves.length).toBeGreaterThan(0);
          const name = pick(moves);
          if (running.includes(name)) {
            statuses.set(name, 'COMPLETED');
            continue;
          }
          const before = byName.get(name)?.dependsOn ?? [];
          expect(before.every((other) => statuses.get(other) === 'COMPLETED')).toBe(true);
          statuses.set(name, 'RUNNING');
          started.push(name);
        }
        expect(started.toSorted()).toEqual(steps.map((step) => step.name).toSorted());
      }),
      { numRuns: 200 },
    );
  });

  test('after a failure nothing starts, what runs may end, the rest is skipped, and it has failed', () => {
    fc.assert(
      fc.property(
        graphs,
        fc.array(fc.constantFrom<StepStatus>('COMPLETED', 'RUNNING', 'PENDING', 'FAILED'), {
          minLength: 40,
          maxLength: 40,
        }),
        (steps, drawn) => {
          const statuses = new Map(steps.map((step, i) => [step.name, drawn[i] as StepStatus]));
          const values = [...statuses.values()];
          const plan = planExecution(steps, statuses);
          const pending = [...statuses].filter(([, s]) => s === 'PENDING').map(([name]) => name);
          if (values.includes('FAILED')) {
            expect(plan.ready).toEqual([]);
            expect(plan.skip).toEqual(pending);
            expect(plan.outcome).toBe(values.includes('RUNNING') ? 'RUNNING' : 'FAILED');
          } else {
            expect(plan.skip).toEqual([]);
            expect(plan.outcome).toBe(values.every(stepHasEnded) ? 'COMPLETED' : 'RUNNING');
          }
        },
      ),
      { numRuns: 300 },
    );
  });
});

describe('moves', () => {
  test('a completed step stays so, and a completed execution too', () => {
    const others = ['PENDING', 'RUNNING', 'FAILED', 'SKIPPED', 'CANCELLED', 'COMPLETED'] as const;
    for (const to of others)
      expect(() => assertStepMove('train', 'COMPLETED', to)).toThrow(/train is COMPLETED/);
    for (const [to, told] of [
      ['RUNNING', /e is COMPLETED and cannot become RUNNING/],
      ['FAILED', /cannot become FAILED/],
      ['PENDING', /e is COMPLETED and has nothing to retry; start another, with \{ from, reuse \}/],
      ['CANCELLED', /cannot be cancelled any more/],
    ] as const) {
      expect(() => assertExecutionMove('e', 'COMPLETED', to)).toThrow(told);
    }
    expect(() => assertExecutionMove('e', 'RUNNING', 'PENDING')).toThrow(/before it has ended/);
    expect(() => assertExecutionMove('e', 'FAILED', 'PENDING')).not.toThrow();
    expect(() => assertStepMove('train', 'CANCELLED', 'COMPLETED')).toThrow();
    try {
      assertStepMove('train', 'SKIPPED', 'COMPLETED');
    } catch (error) {
      expect(isKeelsonError(error, 'CONFLICT')).toBe(true);
    }
  });
});

describe('the graph', () => {
  test('orders every graph without a circle, and names a circle in full', () => {
    fc.assert(
      fc.property(graphs, fc.nat(), fc.nat(), (steps, a, b) => {
        const order = topologicalOrder(steps);
        const at = new Map(order.map((name, i) => [name, i]));
        expect(order).toHaveLength(steps.length);
        for (const step of steps) {
          for (const other of step.dependsOn) {
            expect(at.get(other)).toBeLessThan(at.get(step.name) as number);
          }
        }
        expect(findCycle(steps)).toBeUndefined();
        // An edge from a step back to one that leads to it closes a circle.
        const from = steps[a % steps.length] as GraphStep;
        const reach = new Set([from.name]);
        for (const name of order) {
          const step = steps.find((each) => each.name === name);
          if (step?.dependsOn.some((other) => reach.has(other))) reach.add(name);
        }
        const targets = [...reach];
        const to = targets[b % targets.length] as string;
        const closed = steps.map((step) =>
          step.name === from.name
            ? { ...step, dependsOn: [...new Set([...step.dependsOn, to])] }
            : step,
        );
        const cycle = findCycle(closed) as readonly string[];
        expect(cycle[0]).toBe(cycle.at(-1));
        const byName = new Map(closed.map((step) => [step.name, step]));
        for (let i = 1; i < cycle.length; i += 1) {
          expect(byName.get(cycle[i - 1] as string)?.dependsOn).toContain(cycle[i]);
        }
      }),
      { numRuns: 200 },
    );
  });
});
