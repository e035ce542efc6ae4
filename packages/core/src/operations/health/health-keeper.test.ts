import { describe, expect, test } from 'vitest';
import { until } from '../../../test/open-test-platform.ts';
import { openTestScope } from '../../../test/open-test-scope.ts';
import type { Fault, HealthCheck, HealthResult, HealthStatus } from '../../contracts/caretaker.ts';
import { healthKinds } from '../../contracts/kinds/health-kinds.ts';
import type { Scope } from '../../contracts/scope.ts';
import { KeelsonError } from '../../errors.ts';
import { overall } from './check-state.ts';
import { HealthKeeper } from './health-keeper.ts';
import { WaitingWrites } from './waiting-writes.ts';

/** A check that answers what it is told to. */
class Told implements HealthCheck {
  readonly component: string;
  readonly kind = 'readiness';
  readonly critical: boolean;
  readonly intervalMs = 10_000;
  readonly timeoutMs: number;
  readonly failureThreshold: number;
  readonly shared: boolean;
  readonly name: string;
  status: HealthStatus | 'hangs' | 'rejects' = 'HEALTHY';
  runs = 0;
  readonly signals: AbortSignal[] = [];
  release: () => void = () => undefined;

  constructor(name: string, of: Partial<Told> = {}) {
    this.name = name;
    this.component = of.component ?? name;
    this.critical = of.critical ?? false;
    this.timeoutMs = of.timeoutMs ?? 5_000;
    this.failureThreshold = of.failureThreshold ?? 1;
    this.shared = of.shared ?? false;
  }

  async run(signal: AbortSignal): Promise<HealthResult> {
    this.runs += 1;
    this.signals.push(signal);
    const { status } = this;
    if (status === 'rejects') throw new KeelsonError('UNAVAILABLE', 'It is away.');
    if (status !== 'hangs') return { status, message: `It is ${status}.` };
    await new Promise<void>((resolve) => {
      this.release = resolve;
    });
    return { status: 'HEALTHY', message: 'It came to an end.' };
  }
}

async function openKeeper(checks: readonly Told[], scopeOf: (scope: Scope) => Scope = (s) => s) {
  const clock = { at: 1_000_000, now: () => clock.at };
  const t = await openTestScope({ kinds: healthKinds, clock });
  const scope = scopeOf(t.scope);
  const faults: (Fault & { readonly correlationId: string })[] = [];
  const mended: string[] = [];
  const writes = new WaitingWrites(scope.logger);
  const listeners = {
    probed: () => undefined,
    faulty: (fault: Fault, correlationId: string) => faults.push({ ...fault, correlationId }),
    mended: (check: string) => mended.push(check),
  };
  const keeperOf = (own: readonly Told[]) =>
    new HealthKeeper(scope, { checks: own, listeners, writes });
  const keeper = keeperOf(checks);
  return {
    ...{ keeper, keeperOf, clock, faults, mended, writes, scope },
    logs: t.logs,
    /** Time passes, and what is due runs. */
    async pass(ms: number) {
      clock.at += ms;
      await keeper.runDue();
      await writes.flush();
    },
    async events() {
      const { events } = await t.scope.metadata.readEvents({ workspace: 'default', limit: 100 });
      return events.map(({ payload, correlationId, at }) => ({
        ...(payload as { component: string; oldStatus: string; newStatus: string }),
        ...{ correlationId, at },
      }));
    },
    async [Symbol.asyncDispose]() {
      await keeper.close();
      await t[Symbol.asyncDispose]();
    },
  };
}

describe('the overall status', () => {
  const state = (critical: boolean, status: HealthStatus) => ({ critical, status, at: 1 });
  const untried = { critical: false, status: 'UNKNOWN', at: undefined } as const;
  test.each<[HealthStatus, (ReturnType<typeof state> | typeof untried)[]]>([
    ['UNKNOWN', []],
    ['UNKNOWN', [untried]],
    ['HEALTHY', [state(true, 'HEALTHY'), state(false, 'HEALTHY')]],
    ['HEALTHY', [state(true, 'HEALTHY'), untried]],
    ['DEGRADED', [state(true, 'HEALTHY'), state(false, 'UNHEALTHY')]],
    ['DEGRADED', [state(true, 'DEGRADED')]],
    ['DEGRADED', [state(true, 'HEALTHY'), state(false, 'UNKNOWN')]],
    ['UNKNOWN', [state(true, 'UNKNOWN'), state(false, 'UNHEALTHY')]],
    ['UNHEALTHY', [state(true, 'UNHEALTHY'), state(true, 'UNKNOWN')]],
  ])('is %s', (status, states) => {
    expect(overall(states)).toBe(status);
  });
});

describe('checks', () => {
  test('run when they are due, not before; results have an age', async () => {
    const check = new Told('a', { critical: true });
    await using t = await openKeeper([check]);
    expect(t.keeper.report()).toMatchObject({ status: 'UNKNOWN', checks: [{ ageMs: undefined }] });
    await t.pass(0);
    await t.pass(9_999);
    expect(check.runs).toBe(1);
    expect(t.keeper.report()).toMatchObject({ status: 'HEALTHY', checks: [{ ageMs: 9_999 }] });
    await t.pass(1);
    expect(check.runs).toBe(2);
    await t.keeper.refresh();
    expect(check.runs).toBe(3);
  });

  test('a result that is overdue for more than five minutes is UNKNOWN', async () => {
    await using t = await openKeeper([new Told('a', { critical: true })]);
    await t.pass(0);
    t.clock.at += 310_000;
    expect(t.keeper.report().status).toBe('HEALTHY');
    t.clock.at += 1;
    expect(t.keeper.report().status).toBe('UNKNOWN');
  });

  test('fewer failures than the threshold are no fault; one success starts the count anew', async () => {
    const check = new Told('a', { failureThreshold: 3, critical: true });
    await using t = await openKeeper([check]);
    await t.pass(0);
    check.status = 'rejects';
    await t.pass(10_000);
    await t.pass(10_000);
    expect(t.keeper.report().checks[0]).toMatchObject({ status: 'HEALTHY', failures: 2 });
    check.status = 'HEALTHY';
    await t.pass(10_000);
    check.status = 'rejects';
    await t.pass(10_000);
    await t.pass(10_000);
    expect([t.keeper.report().status, t.faults]).toEqual(['HEALTHY', []]);
    await t.pass(10_000);
    expect(t.keeper.report()).toMatchObject({
      status: 'UNHEALTHY',
      checks: [{ message: 'It is away.', failures: 3 }],
    });
    expect(t.faults).toMatchObject([{ check: 'a', status: 'UNHEALTHY', lastedMs: 0 }]);
    await t.pass(10_000);
    expect(t.faults[1]).toMatchObject({ lastedMs: 10_000 });
  });

  test('one that hangs has failed when its timeout ends, is aborted, and is not started twice', async () => {
    const hanging = new Told('hanging', { timeoutMs: 20, critical: true });
    const other = new Told('other');
    hanging.status = 'hangs';
    await using t = await openKeeper([hanging, other]);
    await t.pass(0);
    expect(t.keeper.report()).toMatchObject({
      status: 'UNHEALTHY',
      checks: [{ message: 'It did not answer within 20 ms.' }, { status: 'HEALTHY' }],
    });
    expect(hanging.signals[0]?.aborted).toBe(true);
    hanging.status = 'HEALTHY';
    await t.pass(10_000);
    await t.keeper.refresh();
    expect([hanging.runs, other.runs]).toEqual([1, 3]);
    expect(t.keeper.report().checks[0]?.message).toMatch(/still hangs/);
    hanging.release();
    await new Promise((resolve) => setImmediate(resolve));
    await t.pass(10_000);
    expect(hanging.runs).toBe(2);
    expect(t.keeper.report().status).toBe('HEALTHY');
  });

  test('asked for twice at once, a check runs once', async () => {
    const check = new Told('a', { timeoutMs: 5000 });
    check.status = 'hangs';
    await using t = await openKeeper([check]);
    const both = [t.keeper.refresh(), t.keeper.refresh(), t.keeper.runDue()];
    await until('it runs', () => check.runs > 0);
    check.release();
    await Promise.all(both);
    expect(check.runs).toBe(1);
  });

  test('more that hang than may run at once do not keep the rest from running', async () => {
    const hanging = Array.from({ length: 6 }, (_, i) => new Told(`h${i}`, { timeoutMs: 20 }));
    for (const each of hanging) each.status = 'hangs';
    const last = new Told('last');
    await using t = await openKeeper([...hanging, last]);
    await t.pass(0);
    expect(t.keeper.report().checks.map(({ status }) => status)).toEqual([
      ...hanging.map(() => 'UNHEALTHY'),
      'HEALTHY',
    ]);
  });

  test('a clock that is set back silences none', async () => {
    const check = new Told('a');
    const shared = new Told('b', { shared: true });
    await using t = await openKeeper([check, shared]);
    await t.pass(0);
    await t.pass(-900_000);
    expect([check.runs, shared.runs]).toEqual([2, 2]);
  });

  test('closing ends one that hangs, and nothing is told of it', async () => {
    const check = new Told('a', { critical: true, timeoutMs: 60_000 });
    check.status = 'hangs';
    await using t = await openKeeper([check]);
    const running = t.keeper.refresh();
    await until('it runs', () => check.runs > 0);
    await t.keeper.close();
    await running;
    expect(check.signals[0]?.aborted).toBe(true);
    expect(t.faults).toEqual([]);
  });
});

describe('a change of state', () => {
  test('is an event, once for each change of the component', async () => {
    const first = new Told('first', { component: 'store', critical: true });
    const second = new Told('second', { component: 'store' });
    await using t = await openKeeper([first, second]);
    await t.pass(0);
    expect(await t.events()).toEqual([]);
    second.status = 'UNHEALTHY';
    await t.pass(10_000);
    await t.pass(10_000);
    first.status = 'UNHEALTHY';
    await t.pass(10_000);
    second.status = 'HEALTHY';
    await t.pass(10_000);
    first.status = 'HEALTHY';
    await t.pass(10_000);
    const component = 'store';
    expect(await t.events()).toMatchObject([
      { component, oldStatus: 'HEALTHY', newStatus: 'DEGRADED', check: 'second' },
      { component, oldStatus: 'DEGRADED', newStatus: 'UNHEALTHY', check: 'first' },
      { component, oldStatus: 'UNHEALTHY', newStatus: 'HEALTHY', check: 'first' },
    ]);
  });

  test('faults within a minute share a correlation; a later one has its own', async () => {
    const checks = ['a', 'b', 'c'].map((name) => new Told(name));
    const [a, b, c] = checks as [Told, Told, Told];
    await using t = await openKeeper(checks);
    await t.pass(0);
    a.status = 'UNHEALTHY';
    await t.pass(10_000);
    b.status = 'UNHEALTHY';
    await t.pass(10_000);
    await t.pass(60_000);
    c.status = 'UNHEALTHY';
    await t.pass(10_000);
    a.status = 'HEALTHY';
    await t.pass(10_000);
    const told = await t.events();
    const ids = told.map(({ component, newStatus, correlationId }) => [
      `${component} ${newStatus}`,
      correlationId === told[0]?.correlationId,
    ]);
    expect(ids).toEqual([
      ['a DEGRADED', true],
      ['b DEGRADED', true],
      ['c DEGRADED', false],
      ['a HEALTHY', true],
    ]);
  });

  test('while the store is away changes wait, and are told in order with the time they happened', async () => {
    const check = new Told('a', { critical: true });
    let away = false;
    const flaky = (scope: Scope): Scope => ({
      ...scope,
      metadata: new Proxy(scope.metadata, {
        get(target, name) {
          const method = Reflect.get(target, name) as unknown;
          if (typeof method !== 'function') return method;
          return (...args: unknown[]) => {
            if (away) throw new KeelsonError('UNAVAILABLE', 'The store is away.');
            return Reflect.apply(method, target, args);
          };
        },
      }),
    });
    await using t = await openKeeper([check], flaky);
    await t.pass(0);
    away = true;
    check.status = 'UNHEALTHY';
    await t.pass(10_000);
    check.status = 'HEALTHY';
    await t.pass(10_000);
    for (let i = 0; i < 1000; i += 1) {
      check.status = i % 2 === 0 ? 'UNHEALTHY' : 'HEALTHY';
      await t.pass(10_000);
    }
    expect(t.writes.size).toBeLessThanOrEqual(200);
    away = false;
    await t.pass(10_000);
    const told = await t.events();
    expect(told.length).toBeGreaterThan(90);
    expect(told.map(({ at }) => at)).toEqual(told.map(({ at }) => at).toSorted((a, b) => a - b));
    expect(told.at(-1)?.newStatus).toBe('HEALTHY');
    expect(t.logs.filter(({ message }) => message.includes('given up'))).toHaveLength(1);
  });

  test('processes that see the same tell it once', async () => {
    const checks = [1, 2, 3].map(() => new Told('a', { critical: true }));
    await using t = await openKeeper([checks[0] as Told]);
    const others = checks.slice(1).map((check) => t.keeperOf([check]));
    const pass = async () => {
      t.clock.at += 10_000;
      await Promise.all([t.keeper, ...others].map((keeper) => keeper.runDue()));
      await t.writes.flush();
    };
    await pass();
    for (const check of checks) check.status = 'UNHEALTHY';
    await pass();
    expect((await t.events()).map(({ newStatus }) => newStatus)).toEqual(['UNHEALTHY']);
  });

  test('a fault that died with its process is over where nobody sees it', async () => {
    const check = new Told('a');
    const mine = new Told('a');
    await using t = await openKeeper([mine]);
    await t.pass(0);
    const other = t.keeperOf([check]);
    await other.runDue();
    check.status = 'UNHEALTHY';
    t.clock.at += 10_000;
    await other.runDue();
    await t.writes.flush();
    expect((await t.events()).map(({ newStatus }) => newStatus)).toEqual(['DEGRADED']);
    t.clock.at += 290_000;
    await t.keeper.loop.runOnce(new AbortController().signal);
    await t.writes.flush();
    expect(await t.events()).toHaveLength(1);
    t.clock.at += 61_000;
    await t.keeper.loop.runOnce(new AbortController().signal);
    await until('it is over', async () => {
      await t.writes.flush();
      return (await t.events()).length === 2;
    });
    expect((await t.events())[1]).toMatchObject({ oldStatus: 'DEGRADED', newStatus: 'HEALTHY' });
  });
});

describe('shared checks', () => {
  test('run in one process for each interval, and all know what came of them', async () => {
    const checks = [1, 2, 3].map(
      () => new Told('a', { critical: true, shared: true, failureThreshold: 2 }),
    );
    await using t = await openKeeper([checks[0] as Told]);
    const keepers = [t.keeper, ...checks.slice(1).map((check) => t.keeperOf([check]))];
    const total = () => checks.reduce((sum, { runs }) => sum + runs, 0);
    const pass = async () => {
      t.clock.at += 10_001;
      await Promise.all(keepers.map((keeper) => keeper.runDue()));
      // Those that came too late see what came of it at their next look.
      await Promise.all(keepers.map((keeper) => keeper.runDue()));
    };
    for (let round = 1; round <= 3; round += 1) {
      await pass();
      expect(total()).toBe(round);
    }
    for (const check of checks) check.status = 'rejects';
    // Failures are counted over all processes.
    await pass();
    await pass();
    t.clock.at += 10_001;
    for (const check of checks) check.status = 'rejects';
    await Promise.all(keepers.map((keeper) => keeper.runDue()));
    await Promise.all(keepers.map((keeper) => keeper.runDue()));
    expect(keepers.map((keeper) => keeper.report().status)).toContain('UNHEALTHY');
    expect(total()).toBe(6);
  });
});
