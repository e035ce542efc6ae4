import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { orderQueue, type PoolState, shortage, type Waiting } from './queue-order.ts';

const rules = { now: 1_000_000, holdBackMs: 60_000 };

function waits(id: string, more: Partial<Waiting> = {}): Waiting {
  const asks = { cpuMilli: 1000 };
  return { id, priority: 0, user: 'anna', since: rules.now - 1000, asks, pool: 'p', ...more };
}

function pool(cpuMilli: number, shares: Record<string, number> = {}): Map<string, PoolState> {
  return new Map([['p', { free: { cpuMilli }, shares: new Map(Object.entries(shares)) }]]);
}

const started = (waiting: readonly Waiting[], pools: Map<string, PoolState>) =>
  orderQueue(waiting, pools, rules)
    .filter(({ starts }) => starts)
    .map(({ id }) => id);

describe('orderQueue', () => {
  test('by priority, then whoever has the least, then age', () => {
    const waiting = [
      waits('young'),
      waits('old', { since: 1 }),
      waits('berta', { user: 'berta' }),
      waits('high', { priority: 5 }),
    ];
    const order = orderQueue(waiting, pool(10_000, { anna: 0.5 }), rules).map(({ id }) => id);
    expect(order).toEqual(['high', 'berta', 'old', 'young']);
  });

  test('users take turns within one round', () => {
    const many = ['anna', 'berta'].flatMap((user) =>
      Array.from({ length: 4 }, (_, i) =>
        waits(`${user}${i}`, { user, since: user === 'anna' ? i : 100 + i }),
      ),
    );
    expect(started(many, pool(4000))).toEqual(['anna0', 'berta0', 'anna1', 'berta1']);
  });

  test('smaller ones pass a large one, until that has waited long', () => {
    const large = waits('large', { asks: { cpuMilli: 4000 }, since: rules.now - 1000 });
    const small = waits('small', { since: rules.now });
    expect(started([large, small], pool(2000))).toEqual(['small']);
    const late = { ...large, since: rules.now - rules.holdBackMs };
    const places = orderQueue([late, small], pool(2000), rules);
    expect(places).toEqual([
      { id: 'large', starts: false, short: { resource: 'cpuMilli', asks: 4000, free: 2000 } },
      { id: 'small', starts: false, heldBackFor: 'large' },
    ]);
    const elsewhere = waits('elsewhere', { pool: 'q' });
    expect(started([late, elsewhere], pool(2000))).toEqual(['elsewhere']);
  });

  const waiting = fc.array(
    fc.record({
      priority: fc.integer({ min: -2, max: 2 }),
      user: fc.constantFrom('a', 'b', 'c'),
      age: fc.integer({ min: 0, max: 120_000 }),
      cpu: fc.integer({ min: 0, max: 5000 }),
      memory: fc.integer({ min: 0, max: 5 }),
    }),
    { maxLength: 30 },
  );

  test('each has one place, what starts fits together, and what could still start is held back for somebody', () => {
    fc.assert(
      fc.property(
        waiting,
        fc.integer({ min: 0, max: 8000 }),
        fc.integer({ min: 0, max: 8 }),
        (all, cpuMilli, memoryBytes) => {
          const steps = all.map(({ cpu, memory, age, ...rest }, i) =>
            waits(`s${i}`, {
              ...rest,
              since: rules.now - age,
              asks: { cpuMilli: cpu, memoryBytes: memory },
            }),
          );
          const free = { cpuMilli, memoryBytes };
          const places = orderQueue(steps, new Map([['p', { free, shares: new Map() }]]), rules);
          expect(places.map(({ id }) => id).toSorted()).toEqual(
            steps.map(({ id }) => id).toSorted(),
          );
          const left: Record<string, number> = { ...free };
          const byId = new Map(steps.map((step) => [step.id, step]));
          for (const { id, starts } of places) {
            const asks = byId.get(id)?.asks ?? {};
            if (starts)
              for (const [name, amount] of Object.entries(asks))
                left[name] = (left[name] ?? 0) - amount;
          }
          for (const amount of Object.values(left)) expect(amount).toBeGreaterThanOrEqual(0);
          for (const { id, starts, heldBackFor } of places) {
            if (starts || heldBackFor !== undefined) continue;
            expect(shortage(byId.get(id)?.asks ?? {}, left), id).toBeDefined();
          }
          // Nothing of a higher priority waits for room that a lower one got, once it has waited long.
          const held = places.findIndex(({ starts, short, id }) => {
            return (
              !starts &&
              short !== undefined &&
              rules.now - (byId.get(id)?.since ?? 0) >= rules.holdBackMs
            );
          });
          if (held >= 0) expect(places.slice(held + 1).every(({ starts }) => !starts)).toBe(true);
        },
      ),
      { numRuns: 300 },
    );
  });

  test('nobody waits for ever, however many smaller ones come', () => {
    fc.assert(
      fc.property(
        fc.infiniteStream(fc.integer({ min: 1, max: 3 })),
        fc.integer({ min: 1, max: 3 }),
        (sizes, users) => {
          const total = 4000;
          const running: { until: number; cpu: number; user: string }[] = [];
          let queue: Waiting[] = [
            waits('large', { asks: { cpuMilli: total }, since: 0, user: 'x' }),
          ];
          let n = 0;
          for (let now = 0; now < 400_000; now += 5000) {
            for (let i = 0; i < 2; i += 1) {
              const cpuMilli = sizes.next().value * 1000;
              queue.push(waits(`s${n}`, { asks: { cpuMilli }, since: now, user: `u${n % users}` }));
              n += 1;
            }
            for (const each of [...running])
              if (each.until <= now) running.splice(running.indexOf(each), 1);
            const shares = new Map<string, number>();
            for (const { user, cpu } of running)
              shares.set(user, (shares.get(user) ?? 0) + cpu / total);
            const free = total - running.reduce((sum, { cpu }) => sum + cpu, 0);
            const state = new Map([['p', { free: { cpuMilli: free }, shares }]]);
            const starts = orderQueue(queue, state, { now, holdBackMs: 60_000 }).filter(
              (p) => p.starts,
            );
            for (const { id } of starts) {
              const step = queue.find((each) => each.id === id) as Waiting;
              if (id === 'large') return;
              running.push({
                until: now + 15_000,
                cpu: step.asks['cpuMilli'] ?? 0,
                user: step.user,
              });
              queue = queue.filter((each) => each.id !== id);
            }
          }
          throw new Error('The large one never started.');
        },
      ),
      { numRuns: 30 },
    );
  });
});
