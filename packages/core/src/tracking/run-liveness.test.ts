import { describe, expect, test } from 'vitest';
import { ChildProgram, childFile } from '../../test/child-program.ts';
import { openTestPlatform, temporaryDirectory, until } from '../../test/open-test-platform.ts';
import type { StoredRecord } from '../contracts/record.ts';
import type { Services } from '../open-platform.ts';
import { deathOf } from './run.ts';

/** A process that holds a run; the run's id. */
async function holdRun(
  dir: string,
  options: { readonly timeoutMs: number; readonly id?: string },
): Promise<{ readonly child: ChildProgram; readonly id: string }> {
  const args = [dir, String(options.timeoutMs), ...(options.id === undefined ? [] : [options.id])];
  const child = new ChildProgram(childFile('hold-run'), args);
  const line = await child.line(/^holding /);
  return { child, id: line.replace('holding ', '') };
}

/** Stops a process, but not in the middle of a write: the others could not write until it goes on. */
async function stop(child: ChildProgram, { tracking }: Services): Promise<void> {
  for (;;) {
    child.signal('SIGSTOP');
    const written = tracking.createExperiment({ name: 'probe', ifExists: 'suffix' });
    const late = new Promise((resolve) => setTimeout(() => resolve('late'), 1000));
    if ((await Promise.race([written, late])) !== 'late') return;
    child.signal('SIGCONT');
    await written;
  }
}

async function statusOf({ tracking }: Services, id: string): Promise<string> {
  return (await tracking.getRun(id)).status;
}

async function endsOf({ events }: Services, id: string): Promise<unknown[]> {
  const filter = { types: ['run.completed'], subjects: [`run:${id}`] };
  return (await Array.fromAsync(events.each(filter))).map((event) => event.payload['status']);
}

describe('a run whose process died', () => {
  test('reads FAILED with the reason, and is marked so when somebody lists runs', async () => {
    const dir = await temporaryDirectory();
    const timeoutMs = 2000;
    const { child, id } = await holdRun(dir, { timeoutMs });
    const { platform } = await openTestPlatform({ dir, heartbeatTimeoutMs: timeoutMs });
    const { tracking } = platform;
    expect(await tracking.getRun(id)).toMatchObject({ status: 'RUNNING', metrics: { held: 1 } });
    const bornAt = (await tracking.getRun(id)).startedAt;
    // Its heartbeats keep it alive for much longer than the timeout.
    await until('time passes', () => Date.now() - bornAt > 2 * timeoutMs);
    expect(await statusOf(platform, id)).toBe('RUNNING');
    expect(await tracking.reap()).toBe(0);
    await child.kill();
    const killedAt = Date.now();
    await until('it reads FAILED', async () => (await statusOf(platform, id)) === 'FAILED');
    // On this host a dead process is seen at once that it fails to beat, not only after the timeout.
    const dead = await tracking.getRun(id);
    expect(dead.statusReason).toMatch(/its process ended without finishing it; last heartbeat 20/);
    expect(dead.endedAt).toBeGreaterThan(bornAt + timeoutMs);
    expect(dead.endedAt).toBeLessThanOrEqual(killedAt);
    expect(dead.durationMs).toBe((dead.endedAt ?? 0) - bornAt);
    expect(await endsOf(platform, id)).toEqual([]);
    const { runs } = await tracking.searchRuns({ filter: "status = 'FAILED'" });
    expect(runs.map((run) => run.id)).toEqual([id]);
    expect(await endsOf(platform, id)).toEqual(['FAILED']);
    const marked = await tracking.getRun(id);
    expect(marked).toEqual({ ...dead, revision: dead.revision + 1, heartbeatAt: undefined });
    expect(await tracking.reap()).toBe(0);
    // A next run works at once.
    await tracking.withRun({ experiment: 'held', environment: false }, () => undefined);
  });

  test('is marked when somebody opens the platform, and by the reaper, once', async () => {
    const dir = await temporaryDirectory();
    const held = await Promise.all([1, 2, 3].map(() => holdRun(dir, { timeoutMs: 600 })));
    await Promise.all(held.map(({ child }) => child.kill()));
    const first = (await openTestPlatform({ dir })).platform;
    await until('all read FAILED', async () => {
      const all = await Promise.all(held.map(({ id }) => statusOf(first, id)));
      return all.every((status) => status === 'FAILED');
    });
    // Several reapers at once mark each run once.
    const second = (await openTestPlatform({ dir })).platform;
    const counts = await Promise.all(
      [first, second].map(({ tracking }) => tracking.reap({ limit: 2 })),
    );
    await until('all are marked', async () => {
      await second.tracking.reap();
      return (await Promise.all(held.map(({ id }) => endsOf(first, id)))).every(
        (ends) => ends.length > 0,
      );
    });
    expect(Math.max(...counts)).toBeLessThanOrEqual(2);
    for (const { id } of held) expect(await endsOf(first, id)).toEqual(['FAILED']);
    const third = await openTestPlatform({ dir });
    await third.platform.close();
    expect(third.logs).toEqual([]);
  });

  test('lives while another process logs to it', async () => {
    const dir = await temporaryDirectory();
    const timeoutMs = 2000;
    const one = await holdRun(dir, { timeoutMs });
    const two = await holdRun(dir, { timeoutMs, id: one.id });
    await one.child.kill();
    const diedAt = Date.now();
    const { platform } = await openTestPlatform({ dir });
    await until('much longer than the timeout', async () => {
      expect(await statusOf(platform, one.id)).toBe('RUNNING');
      return Date.now() - diedAt > 2 * timeoutMs;
    });
    two.child.signal('SIGTERM');
    expect(await two.child.end()).toMatchObject({ code: 0 });
    expect(await statusOf(platform, one.id)).toBe('COMPLETED');
  });

  test('is found behind hundreds that live', async () => {
    const dir = await temporaryDirectory();
    const { child, id } = await holdRun(dir, { timeoutMs: 600 });
    const { platform } = await openTestPlatform({
      dir,
      // Started long before the dead one, as far as the order of runs goes.
      clock: { now: () => Date.UTC(2001, 0, 1) },
      heartbeatTimeoutMs: 60_000,
    });
    const start = () => platform.tracking.startRun({ experiment: 'e', environment: false });
    for (let i = 0; i < 11; i += 1) await Promise.all(Array.from({ length: 50 }, start));
    await child.kill();
    await until('it is dead', async () => (await statusOf(platform, id)) === 'FAILED');
    expect(await platform.tracking.reap({ limit: 1 })).toBe(1);
    expect(await endsOf(platform, id)).toEqual(['FAILED']);
  });
});

describe('a run that was taken for dead', () => {
  test('goes on when its process comes back: a laptop that slept', async () => {
    const dir = await temporaryDirectory();
    const { child, id } = await holdRun(dir, { timeoutMs: 900 });
    const { platform } = await openTestPlatform({ dir });
    await stop(child, platform);
    await until('it reads FAILED', async () => (await statusOf(platform, id)) === 'FAILED');
    expect((await platform.tracking.getRun(id)).statusReason).toMatch(/^no heartbeat since 20/);
    expect(await platform.tracking.reap()).toBe(1);
    expect(await endsOf(platform, id)).toEqual(['FAILED']);
    child.signal('SIGCONT');
    child.signal('SIGUSR2');
    await child.line(/^logged 1/);
    const back = await platform.tracking.getRun(id);
    expect(back).toMatchObject({ status: 'RUNNING', params: { param1: 1 } });
    expect(back.statusReason).toBeUndefined();
    child.signal('SIGTERM');
    expect(await child.end()).toMatchObject({ code: 0 });
    expect(await statusOf(platform, id)).toBe('COMPLETED');
    expect(await endsOf(platform, id)).toEqual(['FAILED', 'COMPLETED']);
  });

  test('ends as its process says, though it says nothing before', async () => {
    const dir = await temporaryDirectory();
    const { child, id } = await holdRun(dir, { timeoutMs: 900 });
    const { platform } = await openTestPlatform({ dir });
    await stop(child, platform);
    await until('it is marked', async () => (await platform.tracking.reap()) === 1);
    child.signal('SIGCONT');
    child.signal('SIGTERM');
    expect(await child.end()).toMatchObject({ code: 0 });
    const run = await platform.tracking.getRun(id);
    expect(run).toMatchObject({ status: 'COMPLETED' });
    expect(run.statusReason).toBeUndefined();
  });

  test('one that somebody ended on purpose stays ended', async () => {
    const dir = await temporaryDirectory();
    const { child, id } = await holdRun(dir, { timeoutMs: 60_000 });
    const { platform } = await openTestPlatform({ dir });
    await (await platform.tracking.resumeRun(id)).finish('FAILED', 'stopped by hand');
    child.signal('SIGUSR2');
    expect(await child.line(/^refused/)).toContain('is FAILED');
    expect(await platform.tracking.getRun(id)).toMatchObject({ statusReason: 'stopped by hand' });
  });
});

describe('clocks', () => {
  test.each([
    ['years behind', () => Date.UTC(2012, 0, 1)],
    ['days ahead', () => Date.now() + 3 * 86_400_000],
  ])('a caller whose clock is %s kills no run', async (_, now) => {
    const { platform } = await openTestPlatform({ clock: { now }, heartbeatTimeoutMs: 60_000 });
    const run = await platform.tracking.startRun({ experiment: 'e', environment: false });
    expect(await statusOf(platform, run.id)).toBe('RUNNING');
    expect(await platform.tracking.reap()).toBe(0);
    await run.finish();
    expect((await platform.tracking.getRun(run.id)).durationMs).toBeLessThan(60_000);
  });

  test('a reader who is less patient than the run kills none', async () => {
    const dir = await temporaryDirectory();
    const { child, id } = await holdRun(dir, { timeoutMs: 60_000 });
    const { platform } = await openTestPlatform({ dir, heartbeatTimeoutMs: 100 });
    const { startedAt } = await platform.tracking.getRun(id);
    await until('the reader would have lost patience', () => Date.now() - startedAt > 500);
    expect(await platform.tracking.reap()).toBe(0);
    expect(await statusOf(platform, id)).toBe('RUNNING');
    child.signal('SIGTERM');
    await child.end();
  });
});

describe('deathOf', () => {
  const record = (columns: object, updatedAt = 1000): StoredRecord => ({
    kind: 'run',
    id: 'r',
    workspace: 'w',
    revision: 1,
    createdAt: 1000,
    updatedAt,
    columns: { status: 'RUNNING', startedAt: 500, ...columns },
    body: {},
    facets: {},
  });
  const timeoutMs = 30_000;

  test.each<
    [string, object, number | undefined, 'alive' | 'dead' | 'unknown', number, number | undefined]
  >([
    ['young, no beat yet', {}, undefined, 'unknown', 1000 + 29_999, undefined],
    ['silent from the start', {}, undefined, 'unknown', 1000 + 30_000, 500],
    ['beating', {}, 60_000, 'unknown', 60_000 + 29_999, undefined],
    ['silent for the timeout', {}, 60_000, 'unknown', 60_000 + 30_000, 59_500],
    ['silent, though its process is there', {}, 60_000, 'alive', 60_000 + 30_000, 59_500],
    ['its process is dead, others may beat', {}, 60_000, 'dead', 60_000 + 9_999, undefined],
    ['its process is dead, nobody beats', {}, 60_000, 'dead', 60_000 + 10_000, 59_500],
    ['a beat before the last change', {}, 10, 'unknown', 1000 + 30_000, 500],
    ['a beat of the future', {}, 1e6, 'unknown', 5000, undefined],
    ['ended', { status: 'COMPLETED' }, undefined, 'dead', 1e9, undefined],
  ])('%s', (_, columns, heartbeatAt, owner, now, endedAt) => {
    const death = deathOf(record(columns), { heartbeatAt, owner, now, timeoutMs });
    expect(death?.endedAt).toBe(endedAt);
    if (endedAt !== undefined) expect(death?.reason).toMatch(/1970-01-01T00:0/);
  });

  test('a run that was reopened lives from then on', () => {
    const reopened = record({}, 100_000);
    const signs = { heartbeatAt: 2000, owner: 'unknown', timeoutMs } as const;
    expect(deathOf(reopened, { ...signs, now: 129_999 })).toBeUndefined();
    expect(deathOf(reopened, { ...signs, now: 130_000 })).toBeDefined();
  });
});
