import { describe, expect, test } from 'vitest';
import { until } from '../../../test/open-test-platform.ts';
import { openTestScope } from '../../../test/open-test-scope.ts';
import type { Fault, Recovery, RecoveryResult } from '../../contracts/caretaker.ts';
import { healthKinds } from '../../contracts/kinds/health-kinds.ts';
import { listAttempts } from './recovery-history.ts';
import { RecoveryKeeper } from './recovery-keeper.ts';
import { WaitingWrites } from './waiting-writes.ts';

function recoveryOf(
  name: string,
  run: (signal: AbortSignal) => Promise<RecoveryResult>,
  priority = 1,
): Recovery & { runs: number } {
  const recovery = {
    ...{ name, priority, runs: 0 },
    canHandle: (fault: Fault) => fault.check !== 'other',
    run(signal: AbortSignal) {
      recovery.runs += 1;
      return run(signal);
    },
  };
  return recovery;
}

const ends = (outcome: RecoveryResult['outcome'], steps?: readonly string[]) => async () => ({
  ...{ outcome, message: `It ended as ${outcome}.` },
  ...(steps === undefined ? {} : { steps }),
});

async function openMending(recoveries: readonly Recovery[], timeoutMs?: number) {
  const clock = { at: 1_000_000, now: () => clock.at };
  const t = await openTestScope({ kinds: healthKinds, clock });
  const writes = new WaitingWrites(t.scope.logger);
  const more = timeoutMs === undefined ? {} : { timeoutMs };
  const keeper = new RecoveryKeeper(t.scope, { recoveries, writes, ...more });
  return {
    ...{ keeper, clock, scope: t.scope, logs: t.logs },
    /** The check is run again after `ms`, and stands at its fault still. */
    async fault(check: string, lastedMs: number, ms = 600_000) {
      clock.at += ms;
      const of = { check, component: 'part', status: 'UNHEALTHY', message: 'It fails.' } as const;
      keeper.faulty({ ...of, lastedMs }, 'trouble-1');
      await keeper.settled();
      await writes.flush();
    },
    attempts: () => listAttempts(t.scope, {}),
    async events(type: string) {
      await writes.flush();
      const read = { workspace: 'default', filter: { types: [type] }, limit: 100 };
      return (await t.scope.metadata.readEvents(read)).events;
    },
    async [Symbol.asyncDispose]() {
      await keeper.close();
      await t[Symbol.asyncDispose]();
    },
  };
}

describe('recoveries', () => {
  test('run for a fault, the highest priority first, and are kept with what came of them', async () => {
    const low = recoveryOf('low', ends('FAILED'), 1);
    const high = recoveryOf('high', ends('PARTIAL'), 9);
    await using t = await openMending([low, high]);
    await t.fault('part', 0);
    expect([high.runs, low.runs]).toEqual([1, 0]);
    await t.fault('part', 600_000);
    expect([high.runs, low.runs]).toEqual([1, 1]);
    expect(await t.attempts()).toMatchObject([
      { recovery: 'low', check: 'part', attempt: 1, outcome: 'FAILED' },
      { recovery: 'high', check: 'part', attempt: 1, outcome: 'PARTIAL', endedAt: 1_600_000 },
    ]);
    const told = await t.events('recovery.completed');
    expect(told.map(({ correlationId, payload }) => [correlationId, payload['outcome']])).toEqual([
      ['trouble-1', 'PARTIAL'],
      ['trouble-1', 'FAILED'],
    ]);
  });

  test('leave alone what they cannot handle', async () => {
    const recovery = recoveryOf('r', ends('SUCCESS'));
    await using t = await openMending([recovery]);
    await t.fault('other', 0);
    expect([recovery.runs, await t.attempts()]).toEqual([0, []]);
  });

  test('wait until the fault has lasted as long as its rule says', async () => {
    const recovery = recoveryOf('r', ends('SUCCESS'));
    await using t = await openMending([recovery]);
    await t.fault('database', 179_999);
    expect(recovery.runs).toBe(0);
    await t.fault('database', 180_000);
    expect(recovery.runs).toBe(1);
    expect(await t.events('recovery.manual_required')).toEqual([]);
    await t.fault('database', 600_000);
    const [told] = await t.events('recovery.manual_required');
    expect(told?.payload).toMatchObject({ check: 'database', component: 'part' });
    expect(told?.payload['steps']).toContainEqual(expect.stringContaining('database server runs'));
  });

  test('are tried three times, longer apart each time, and then a person is told, once', async () => {
    const recovery = recoveryOf('r', ends('FAILED'));
    await using t = await openMending([recovery]);
    const after: number[] = [];
    for (let second = 0; second <= 200; second += 1) {
      const { runs } = recovery;
      await t.fault('part', 0, 1000);
      if (recovery.runs > runs) after.push(second);
    }
    expect(after).toEqual([0, 30, 90]);
    const told = await t.events('recovery.manual_required');
    expect(told).toHaveLength(1);
    expect(told[0]?.payload['message']).toContain('in vain');
    t.keeper.mended('part');
    await t.fault('part', 0);
    expect(recovery.runs).toBe(4);
  });

  test('MANUAL_REQUIRED tells a person what to do', async () => {
    const steps = ['Look.', 'Think.'];
    await using t = await openMending([recoveryOf('r', ends('MANUAL_REQUIRED', steps))]);
    await t.fault('part', 0);
    const [told] = await t.events('recovery.manual_required');
    expect([told?.payload['steps'], told?.correlationId]).toEqual([steps, 'trouble-1']);
  });

  test('one that hangs is aborted, FAILED, and not begun again before it has ended', async () => {
    let release: () => void = () => undefined;
    let signal: AbortSignal | undefined;
    const recovery = recoveryOf('r', async (given) => {
      signal = given;
      await new Promise<void>((resolve) => {
        release = resolve;
      });
      return { outcome: 'SUCCESS', message: 'late' };
    });
    await using t = await openMending([recovery], 20);
    const settled = t.fault('part', 0);
    await until('it has failed', async () => (await t.attempts())[0]?.outcome === 'FAILED');
    expect(signal?.aborted).toBe(true);
    t.clock.at += 600_000;
    const of = { check: 'part', component: 'part', status: 'UNHEALTHY', message: '' } as const;
    t.keeper.faulty({ ...of, lastedMs: 0 }, 'trouble-1');
    expect(recovery.runs).toBe(1);
    release();
    await settled;
    expect(await t.attempts()).toMatchObject([{ outcome: 'FAILED' }]);
  });

  test('one that throws has failed, with what it said', async () => {
    await using t = await openMending([
      recoveryOf('r', () => {
        throw new Error('no hands');
      }),
    ]);
    await t.fault('part', 0);
    expect(await t.attempts()).toMatchObject([{ outcome: 'FAILED', message: 'no hands' }]);
  });
});
