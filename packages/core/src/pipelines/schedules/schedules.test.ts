import { join } from 'node:path';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { childFile } from '../../../test/child-program.ts';
import type { ScheduleArgument } from '../../../test/children/fire-schedules.ts';
import { openTestPlatform, temporaryDirectory } from '../../../test/open-test-platform.ts';
import { testBackends } from '../../../test/test-backends.ts';
import type { JsonObject } from '../../json.ts';
import { openPlatform, type Platform } from '../../open-platform.ts';
import { killLoop } from '../../testing/faults/kill-loop.ts';
import { seedOf } from '../../testing/faults/seed.ts';
import { VirtualClock } from '../../testing/faults/virtual-clock.ts';
import { definePipeline } from '../define-pipeline.ts';
import type { ScheduleDefinition } from '../definition.ts';
import { CronTimes } from './cron.ts';
import { dueTimes } from './schedule.ts';

const seed = seedOf();
const minute = 60_000;
const hour = 60 * minute;
const at = (text: string): number => Date.parse(text);
const iso = (times: readonly number[]): readonly string[] =>
  times.map((time) => new Date(time).toISOString());

describe('CronTimes', () => {
  test('the hour that does not come, and the hour that comes twice', () => {
    const berlin = new CronTimes('30 2 * * *', 'Europe/Berlin');
    // 29 March 2026: 2:00 is 3:00, and what belongs between is fired then.
    expect(iso(berlin.next(3, at('2026-03-28T00:00:00Z')))).toEqual([
      '2026-03-28T01:30:00.000Z',
      '2026-03-29T01:00:00.000Z',
      '2026-03-30T00:30:00.000Z',
    ]);
    // 25 October 2026: 2:30 comes twice, and fires once.
    const autumn = berlin.next(3, at('2026-10-24T12:00:00Z'));
    expect(new Set(autumn.map((time) => new Date(time).toISOString().slice(0, 10))).size).toBe(3);
    expect(
      iso(new CronTimes('0 12 * * *', 'America/New_York').next(2, at('2026-03-07T12:00:00Z'))),
    ).toEqual(['2026-03-07T17:00:00.000Z', '2026-03-08T16:00:00.000Z']);
    expect(iso(new CronTimes('0 0 29 2 *').next(2, at('2026-01-01')))).toEqual([
      '2028-02-29T00:00:00.000Z',
      '2032-02-29T00:00:00.000Z',
    ]);
  });

  test('what is none, or never comes, is refused by name', () => {
    for (const [cron, zone] of [
      ['* * *', 'UTC'],
      ['61 * * * *', 'UTC'],
      ['0 0 30 2 *', 'UTC'],
      ['', 'UTC'],
      ['* * * * * * 2020', 'UTC'],
    ] as const) {
      expect(() => new CronTimes(cron, zone), cron).toThrow(/cannot be used: (?!Cron)[^.]*\. Five/);
    }
    expect(() => new CronTimes('0 0 * * *', 'Mars/Olympus')).toThrow(
      /^There is no time zone "Mars\/Olympus"; use a name of the IANA database/,
    );
  });

  test('between two times, walked from either end, lie the same ones', () => {
    const crons = fc.constantFrom(
      '*/7 * * * *',
      '30 2 * * *',
      '0 0 1 * *',
      '15 */5 * * 1-5',
      '*/20 * * * * *',
    );
    const zones = fc.constantFrom(
      'UTC',
      'Europe/Berlin',
      'America/New_York',
      'Asia/Kolkata',
      'Australia/Lord_Howe',
    );
    fc.assert(
      fc.property(
        crons,
        zones,
        fc.integer({ min: at('2026-03-01'), max: at('2026-11-30') }),
        fc.integer({ min: 1, max: 40 }),
        (cron, zone, from, count) => {
          const times = new CronTimes(cron, zone);
          const forward = times.next(count, from);
          const last = forward.at(-1) as number;
          expect(times.lastBetween(from + 1, last, count)).toEqual(forward);
        },
      ),
      { numRuns: 60 },
    );
  });
});

describe('dueTimes', () => {
  const schedule = { cron: '0 * * * *' };
  const now = at('2026-05-01T12:00:30Z');
  const nextAt = at('2026-05-01T08:00:00Z');

  test('none, the latest or all that passed', () => {
    const fire = (more: Partial<ScheduleDefinition>, when = now) =>
      iso(dueTimes({ ...schedule, ...more }, nextAt, when).fire).map((text) => text.slice(11, 16));
    expect(fire({})).toEqual(['12:00']);
    expect(fire({ catchUp: 'none' })).toEqual(['12:00']);
    expect(fire({ catchUp: 'none' }, now + 10 * minute)).toEqual([]);
    expect(fire({ catchUp: 'all' })).toEqual(['08:00', '09:00', '10:00', '11:00', '12:00']);
    expect(fire({ catchUp: 'all', maxCatchUp: 2 })).toEqual(['11:00', '12:00']);
    expect(dueTimes(schedule, nextAt, now).next).toBe(at('2026-05-01T13:00:00Z'));
  });
});

async function clocked(start = '2026-05-01T07:30:00Z') {
  const clock = new VirtualClock(at(start));
  const { platform } = await openTestPlatform({ clock });
  const pipeline = definePipeline(
    'report',
    {
      version: '1.0.0',
      parameters: {
        type: 'object',
        properties: { scheduledAt: { type: 'number' }, who: { type: 'string' } },
      } as const,
    },
    (p) => p.step('x', {}, ({ parameters }) => [parameters.scheduledAt ?? 0, parameters.who ?? '']),
  );
  await platform.pipelines.putDefinition(pipeline);
  platform.pipelines.add(pipeline);
  const loop = platform.pipelines.loops.find(({ name }) => name === 'schedules');
  const fire = async (): Promise<void> => {
    while (await loop?.runOnce(new AbortController().signal));
  };
  return { clock, platform, fire };
}

async function started(platform: Platform): Promise<readonly string[]> {
  const { executions } = await platform.pipelines.list({ pipeline: 'report' });
  return executions.map(({ tags }) => (tags['keelson.scheduledAt'] ?? '').slice(11, 16)).toSorted();
}

describe('schedules', () => {
  test('fire when they are due, once, with the time as a parameter', async () => {
    const { clock, platform, fire } = await clocked();
    const schedule = await platform.pipelines.schedules.put({
      name: 'hourly',
      pipeline: 'report',
      cron: '0 * * * *',
      parameters: { who: 'me' },
    });
    expect(schedule).toMatchObject({ active: true, nextAt: at('2026-05-01T08:00:00Z') });
    await fire();
    expect(await started(platform)).toEqual([]);
    clock.advance(31 * minute);
    await fire();
    await fire();
    expect(await started(platform)).toEqual(['08:00']);
    const { executions } = await platform.pipelines.list({ pipeline: 'report' });
    expect(executions[0]).toMatchObject({
      trigger: 'SCHEDULED',
      parameters: { scheduledAt: at('2026-05-01T08:00:00Z'), who: 'me' },
    });
    expect(await platform.pipelines.schedules.get('hourly')).toMatchObject({
      lastAt: at('2026-05-01T08:00:00Z'),
      nextAt: at('2026-05-01T09:00:00Z'),
    });
    expect(iso(await platform.pipelines.schedules.next('hourly', 2))).toEqual([
      '2026-05-01T09:00:00.000Z',
      '2026-05-01T10:00:00.000Z',
    ]);
  });

  test('a close in the middle of what there is to catch up on leaves the rest due, each once', async () => {
    const { clock, platform, fire } = await clocked();
    await platform.pipelines.schedules.put({
      name: 'all',
      pipeline: 'report',
      cron: '0 * * * *',
      catchUp: 'all',
    });
    clock.advance(9 * hour);
    const loop = platform.pipelines.loops.find(({ name }) => name === 'schedules');
    const closing = new AbortController();
    const { signal } = closing;
    // Told to stop at the fourth time that it looks.
    let looks = 0;
    Object.defineProperty(signal, 'aborted', {
      get() {
        looks += 1;
        return looks > 3;
      },
    });
    await loop?.runOnce(signal);
    expect(await started(platform)).toEqual(['08:00', '09:00', '10:00']);
    expect(await platform.pipelines.schedules.get('all')).toMatchObject({
      lastAt: at('2026-05-01T10:00:00Z'),
      nextAt: at('2026-05-01T11:00:00Z'),
    });
    await fire();
    expect(await started(platform)).toEqual(
      Array.from({ length: 9 }, (_, i) => `${String(8 + i).padStart(2, '0')}:00`),
    );
  });

  test('what passed while nobody ran is made up for as the policy says; what passed in a pause is not', async () => {
    const { clock, platform, fire } = await clocked();
    const { schedules } = platform.pipelines;
    await schedules.put({
      name: 'all',
      pipeline: 'report',
      cron: '0 * * * *',
      catchUp: 'all',
      maxCatchUp: 3,
    });
    clock.advance(5 * hour);
    await fire();
    expect(await started(platform)).toEqual(['10:00', '11:00', '12:00']);
    await schedules.pause('all');
    clock.advance(5 * hour);
    await fire();
    await schedules.resume('all');
    await fire();
    expect(await started(platform)).toHaveLength(3);
    expect((await schedules.get('all')).nextAt).toBe(at('2026-05-01T18:00:00Z'));
    // Changed times begin anew: nothing of before is fired.
    await schedules.put({ name: 'all', pipeline: 'report', cron: '30 * * * *', catchUp: 'all' });
    await fire();
    expect(await started(platform)).toHaveLength(3);
  });

  test('a clock that is set back fires nothing twice', async () => {
    const { clock, platform, fire } = await clocked();
    await platform.pipelines.schedules.put({
      name: 'hourly',
      pipeline: 'report',
      cron: '0 * * * *',
      catchUp: 'all',
    });
    clock.advance(hour);
    await fire();
    clock.advance(-2 * hour);
    await fire();
    clock.advance(2 * hour + minute);
    await fire();
    expect(await started(platform)).toEqual(['08:00']);
  });

  test('a start that fails is noted, and the next time comes', async () => {
    const { clock, platform, fire } = await clocked();
    await platform.pipelines.schedules.put({
      name: 'bad',
      pipeline: 'report',
      cron: '0 * * * *',
      parameters: { who: 7 },
    });
    clock.advance(hour);
    await fire();
    const { lastFailure, nextAt } = await platform.pipelines.schedules.get('bad');
    expect(lastFailure?.message).toMatch(
      /Parameters do not fit pipeline report@1.0.0: parameters.who must be string/,
    );
    expect(nextAt).toBe(at('2026-05-01T09:00:00Z'));
  });

  test('parameters that the pipeline does not declare are refused when it is put, and of a backfill', async () => {
    const { platform } = await clocked();
    const { schedules, triggers } = platform.pipelines;
    const put = (parameters: JsonObject) =>
      schedules.put({ name: 's', pipeline: 'report', cron: '0 * * * *', parameters });
    const fault =
      /parameters: there is no parameter whom \(did you mean who\?\); there are scheduledAt, who\./;
    await expect(put({ whom: 'me' })).rejects.toMatchObject({
      ...{ code: 'INVALID', message: expect.stringMatching(fault) },
    });
    await put({ who: 'me' });
    const day = { from: new Date('2026-04-01'), to: new Date('2026-04-02') };
    await expect(
      schedules.backfill('s', { ...day, parameters: () => ({ whom: 'x' }) }),
    ).rejects.toThrow(/there is no parameter whom \(did you mean who\?\)/);
    await expect(
      triggers.put({ name: 't', pipeline: 'report', parameters: { whom: 'event.type' } }),
    ).rejects.toThrow(fault);
    expect((await platform.pipelines.list({ pipeline: 'report' })).executions).toEqual([]);
  });

  test('overlap skip passes a time over while the last one runs', async () => {
    const { clock, platform, fire } = await clocked();
    await platform.pipelines.schedules.put({
      name: 'slow',
      pipeline: 'report',
      cron: '0 * * * *',
      overlap: 'skip',
    });
    clock.advance(hour);
    await fire();
    clock.advance(hour);
    await fire();
    expect(await started(platform)).toEqual(['08:00']);
    const { executions } = await platform.pipelines.list({ pipeline: 'report' });
    await platform.pipelines.wait(executions[0]?.id ?? '');
    clock.advance(hour);
    await fire();
    expect(await started(platform)).toEqual(['08:00', '10:00']);
  });

  test("a definition's own is put with it, replaced by the next version, and ended by one without", async () => {
    const { platform } = await clocked();
    const version = (text: string, cron?: string) =>
      definePipeline(
        'own',
        {
          version: text,
          ...(cron === undefined ? {} : { schedule: { cron, timeZone: 'Europe/Berlin' } }),
        },
        (p) => {
          p.step('x', {}, () => 1);
        },
      );
    await platform.pipelines.putDefinition(version('1.0.0', '0 6 * * *'));
    expect(await platform.pipelines.schedules.get('own')).toMatchObject({
      cron: '0 6 * * *',
      timeZone: 'Europe/Berlin',
      ofDefinition: true,
    });
    await platform.pipelines.putDefinition(version('2.0.0', '0 7 * * *'));
    await platform.pipelines.putDefinition(version('1.5.0', '0 1 * * *'));
    expect((await platform.pipelines.schedules.get('own')).cron).toBe('0 7 * * *');
    await platform.pipelines.putDefinition(version('3.0.0'));
    await expect(platform.pipelines.schedules.get('own')).rejects.toMatchObject({
      code: 'NOT_FOUND',
    });
  });

  test('a backfill starts each time once, whatever ran before, and tells how far it is', async () => {
    const { platform } = await clocked();
    const { schedules } = platform.pipelines;
    await schedules.put({ name: 'hourly', pipeline: 'report', cron: '0 * * * *' });
    const range = {
      from: new Date('2026-04-01T00:00:00Z'),
      to: new Date('2026-04-01T05:00:00Z'),
      maxParallel: 2,
    };
    const seen: number[] = [];
    const first = await schedules.backfill('hourly', {
      ...range,
      onProgress: ({ done }) => seen.push(done),
      parameters: (time) => ({ who: `at ${time}` }),
    });
    expect(first).toMatchObject({ times: 5, failed: 0 });
    expect(seen).toEqual([1, 2, 3, 4, 5]);
    expect(first.executions.map(({ parameters }) => parameters['scheduledAt'])).toEqual(
      [0, 1, 2, 3, 4].map((n) => at('2026-04-01T00:00:00Z') + n * hour),
    );
    const again = await schedules.backfill('hourly', range);
    expect(again.executions.map(({ id }) => id)).toEqual(first.executions.map(({ id }) => id));
    const once = await schedules.backfill('hourly', { ...range, again: 'new data' });
    expect(new Set([...once.executions, ...first.executions].map(({ id }) => id)).size).toBe(10);
  });

  test(`killed at random, several processes start each time exactly once (KEELSON_SEED=${seed})`, async () => {
    const dir = join(await temporaryDirectory(), '.keelson');
    const kills = Number(process.env['KEELSON_KILLS'] ?? 8);
    const argument = { dir } satisfies ScheduleArgument;
    await using platform = await openPlatform({ dir, ...(await testBackends(dir)) });
    const pipeline = definePipeline('ticks', { version: '1.0.0' }, (p) => {
      p.step('x', {}, () => 1);
    });
    await platform.pipelines.putDefinition(pipeline);
    const begun = Date.now();
    await platform.pipelines.schedules.put({
      name: 'each second',
      pipeline: 'ticks',
      cron: '* * * * * *',
      catchUp: 'all',
      maxCatchUp: 1000,
    });
    const report = await killLoop({
      ...{
        program: childFile('fire-schedules'),
        argument,
        seed,
        processes: 3,
        kills,
        everyMs: [100, 600],
      },
      done: async ({ kills: hit }) => {
        const { executions } = await platform.pipelines.list({ pipeline: 'ticks', limit: 1000 });
        return hit === kills && executions.length >= 6;
      },
      timeoutMs: 60_000 + kills * 2000,
      // A platform that closes gives its loops ten seconds.
      stopMs: 30_000,
    });
    expect(report.kills).toBe(kills);
    const { lastAt = 0 } = await platform.pipelines.schedules.get('each second');
    const { executions } = await platform.pipelines.list({ pipeline: 'ticks', limit: 1000 });
    const times = executions
      .map(({ tags }) => Date.parse(tags['keelson.scheduledAt'] ?? ''))
      .toSorted((a, b) => a - b);
    const first = times[0] as number;
    expect(first - begun).toBeLessThan(2000);
    const fired = times.filter((time) => time <= lastAt);
    expect(fired).toEqual(
      Array.from({ length: (lastAt - first) / 1000 + 1 }, (_, i) => first + i * 1000),
    );
  }, 120_000);
});

describe('triggers', () => {
  test('an event starts a pipeline once, with parameters from it and under its correlation id', async () => {
    const { platform } = await openTestPlatform({ events: { types: [] } });
    const retrain = definePipeline(
      'retrain',
      {
        version: '1.0.0',
        parameters: {
          type: 'object',
          properties: { pipeline: { type: 'string' }, limit: { type: 'number' } },
        } as const,
      },
      (p) => p.step('x', {}, ({ parameters }) => parameters.pipeline ?? ''),
    );
    const source = (name: string) =>
      definePipeline(name, { version: '1.0.0' }, (p) => {
        p.step('y', {}, () => 1);
      });
    platform.pipelines.add(retrain);
    await platform.pipelines.putDefinition(retrain);
    const trigger = await platform.pipelines.triggers.put({
      name: 'after-load',
      pipeline: 'retrain',
      on: 'pipeline.completed',
      when: 'event.payload.pipeline.startsWith("load")',
      parameters: { pipeline: 'event.payload.pipeline', limit: '1 + 1' },
    });
    expect(trigger).toMatchObject({ active: true, on: 'pipeline.completed' });
    platform.start();
    const loaded = await platform.pipelines.wait(
      await platform.pipelines.start(source('load-rows')),
    );
    await platform.pipelines.wait(await platform.pipelines.start(source('other')));
    await expect
      .poll(
        async () => (await platform.pipelines.list({ pipeline: 'retrain' })).executions.length,
        { timeout: 10_000 },
      )
      .toBe(1);
    const { executions } = await platform.pipelines.list({ pipeline: 'retrain' });
    const done = await platform.pipelines.wait(executions[0]?.id ?? '');
    expect(done).toMatchObject({
      status: 'COMPLETED',
      trigger: 'EVENT',
      output: 'load-rows',
      parameters: { pipeline: 'load-rows', limit: 2 },
      correlationId: loaded.correlationId,
    });
  });

  test('one that starts itself comes to an end, and says so', async () => {
    const { platform } = await openTestPlatform();
    const circle = definePipeline(
      'circle',
      { version: '1.0.0', triggers: [{ name: 'self', on: 'pipeline.completed' }] },
      (p) => {
        p.step('x', {}, () => 1);
      },
    );
    platform.start();
    await platform.pipelines.wait(await platform.pipelines.start(circle));
    await expect
      .poll(
        async () => (await platform.pipelines.triggers.get('circle/self')).lastFailure?.message,
        { timeout: 20_000 },
      )
      .toMatch(
        /25 executions were started by triggers .*: circle\/self seems to start itself in a circle/,
      );
    expect((await platform.pipelines.list({ pipeline: 'circle' })).executions).toHaveLength(26);
  }, 30_000);

  test('a webhook starts with what it was called with; the same call once; false conditions nothing', async () => {
    const { platform } = await openTestPlatform();
    const pipeline = definePipeline('hook', { version: '1.0.0' }, (p) => {
      p.step('x', {}, () => 1);
    });
    await platform.pipelines.putDefinition(pipeline);
    const { triggers } = platform.pipelines;
    await triggers.put({
      name: 'push',
      pipeline: 'hook',
      when: 'event.payload.branch == "main"',
      parameters: { commit: 'event.payload.commit' },
    });
    const call = (branch: string, id: string) =>
      triggers.fire('push', { branch, commit: 'abc' }, { id });
    const [a, b] = await Promise.all([call('main', '1'), call('main', '1')]);
    expect(a).toMatchObject({ trigger: 'WEBHOOK', parameters: { commit: 'abc' } });
    expect(b?.id).toBe(a?.id);
    expect(await call('other', '2')).toBeUndefined();
    await expect(triggers.fire('push', {})).rejects.toThrow(/No such key: branch/);
    await triggers.pause('push');
    await expect(call('main', '3')).rejects.toMatchObject({ code: 'CONFLICT' });
    await expect(
      triggers.put({ name: 'bad', pipeline: 'hook', when: 'event.payload ==' }),
    ).rejects.toMatchObject({ code: 'SYNTAX' });
    await expect(triggers.put({ name: 'bad', pipeline: 'none' })).rejects.toMatchObject({
      code: 'NOT_FOUND',
    });
  });
});
