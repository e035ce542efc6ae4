import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { until } from '../../../test/open-test-platform.ts';
import { testBackends } from '../../../test/test-backends.ts';
import type { NotificationContent } from '../../contracts/notification-content.ts';
import type { Notification, Notifier } from '../../contracts/ports.ts';
import type { Deployment } from '../../deployments/deployment.ts';
import { KeelsonError } from '../../errors.ts';
import type { PayloadOf } from '../../events/typed-event.ts';
import { openPlatform, type Platform } from '../../open-platform.ts';
import type { PlatformOptions } from '../../platform-options.ts';
import type { AlertRule } from './alert-rule.ts';
import { isWithin, nextWithin } from './alert-schedule.ts';
import { presetRules } from './rule-presets.ts';

const [second, minute] = [1000, 60_000];
const begin = Date.parse('2026-03-02T10:00:00Z');
const signature = {
  inputs: [{ name: 'x', datatype: 'FP64', shape: [-1, 1], columns: ['x'] }],
  outputs: [{ name: 'label', datatype: 'BYTES', shape: [-1] }],
} as const;
const errors: AlertRule = {
  name: 'errors',
  figure: 'error_rate',
  above: { WARNING: 0.01, CRITICAL: 0.05 },
  clear: { WARNING: 0.005, CRITICAL: 0.03 },
  kind: 'ERRORS',
  labels: { team: 'payments' },
};

let dir: string;
let now: number;
let platform: Platform;
let deployment: Deployment;
let sent: number;
let versionId: string;

beforeEach(async () => {
  dir = mkdtempSync(join(tmpdir(), 'keelson-alerting-'));
  now = begin;
  sent = 0;
  platform = await open();
  const version = await platform.registry.register({
    ...{ model: 'm', format: 'JS', signature },
    from: { files: { 'model.mjs': Buffer.from('one') } },
  });
  versionId = version.id;
  const at = { versionId, environment: 'PRODUCTION' } as const;
  deployment = await platform.deployments.create({ name: 'd', ...at });
});

afterEach(async () => {
  await platform.close();
  rmSync(dir, { recursive: true, force: true });
});

async function open(more: PlatformOptions = {}): Promise<Platform> {
  return openPlatform({ ...(await testBackends(dir)), dir, clock: { now: () => now }, ...more });
}

/** Requests of the last `ms`, of which some failed. */
function predict(count: number, failed: number, ms = 14 * second): void {
  for (let i = 0; i < count; i += 1) {
    sent += 1;
    platform.monitoring.predictions.record({
      ...{
        deploymentId: deployment.id,
        versionId,
        role: 'primary',
      },
      ...{ requestId: `r${sent}`, at: now - ms + (ms * i) / count, features: { x: 1 } },
      ...{ prediction: 'a', latencyMs: 5 },
      ...(i < failed ? { error: 'refused' } : {}),
    });
  }
}

/** Time passes, and whoever has the turn takes it. */
async function turn(ms = 15 * second, by = platform): Promise<boolean> {
  now += ms;
  await by.monitoring.predictions.flush();
  const [loop] = by.monitoring.alertingLoops;
  return loop?.runOnce(new AbortController().signal) ?? false;
}

async function told(): Promise<readonly string[]> {
  const types = [
    'alert.triggered',
    'alert.resolved',
    'alert.severity_changed',
    'alert.suspended',
    'alert.resumed',
  ];
  const found: string[] = [];
  for await (const event of platform.events.each({ types })) found.push(event.type);
  return found;
}

describe('alert rules', () => {
  test('are kept with who, when and why; those of a deployment take the place of general ones', async () => {
    const { alertRules } = platform.monitoring;
    await alertRules.put(errors);
    await alertRules.put(errors);
    await alertRules.put({ ...errors, above: 0.1, clear: 0.05 }, { reason: 'too many' });
    await alertRules.put({ ...errors, deployment: 'd', above: 0.2, clear: 0.1 });
    expect(
      (await alertRules.history('errors')).map(({ revision, reason }) => [revision, reason]),
    ).toEqual([
      [1, undefined],
      [2, 'too many'],
    ]);
    expect((await alertRules.list({ deployment: 'd' })).map(({ above }) => above)).toEqual([0.2]);
    expect((await alertRules.list({ deployment: 'other' })).map(({ above }) => above)).toEqual([
      0.1,
    ]);
    await alertRules.remove('errors', { deployment: 'd' });
    expect((await alertRules.list()).map(({ above }) => above)).toEqual([0.1]);
  });

  test.each<[string, Partial<AlertRule>, string]>([
    [
      'no condition',
      { figure: undefined, above: undefined, clear: undefined } as never,
      'give it one of figure',
    ],
    ['two conditions', { absentMs: minute }, 'has 2 conditions'],
    ['no bound', { above: undefined, clear: undefined } as never, 'needs one of above and below'],
    ['an unknown figure', { figure: 'eror_rate' }, 'there are accuracy'],
    [
      'levels the wrong way round',
      { above: { WARNING: 0.1, CRITICAL: 0.01 } },
      'is reached before the lesser one',
    ],
    [
      'an end before its beginning',
      { above: 0.01, clear: 0.02 },
      'would be over for WARNING before it begins',
    ],
    ['a label of ours', { labels: { severity: 'x' } }, 'which alerts have by themselves'],
    ['a zone that is none', { schedule: { timeZone: 'Berlin' } }, "timeZone: 'Europe/Berlin'"],
  ])('with %s are refused with what to do', async (_, change, said) => {
    const { alertRules } = platform.monitoring;
    await expect(alertRules.put({ ...errors, ...change })).rejects.toThrow(said);
  });

  test('the presets can be kept, and each number set', async () => {
    const rules = presetRules({
      deployment: 'd',
      rules: { 'error-rate': { CRITICAL: 0.2 }, 'latency-p50': false },
      labels: { team: 'payments' },
    });
    expect(rules.map(({ name }) => name)).toEqual(
      [
        ...['latency-p95', 'latency-p99', 'inference-time', 'queue-time', 'invalid-requests'],
        ...['feature-drift', 'prediction-drift', 'concept-drift', 'accuracy'],
        ...['error-rate', 'no-data'],
      ].sort((a, b) => rules.findIndex((r) => r.name === a) - rules.findIndex((r) => r.name === b)),
    );
    const errorRate = rules.find(({ name }) => name === 'error-rate');
    expect(errorRate).toMatchObject({ above: { WARNING: 0.01, CRITICAL: 0.2 }, everyMs: 15_000 });
    expect(rules.find(({ name }) => name === 'no-data')).toMatchObject({ absentMs: 15 * minute });
    await platform.monitoring.alertRules.put(errorRate as AlertRule);
  });
});

describe('evaluating', () => {
  test('an error rate beyond its bound is told within a minute, grows in place, and ends below its clear bound', async () => {
    await platform.monitoring.alertRules.put({ ...errors, forMs: 15 * second });
    const brokenAt = now;
    predict(100, 3, 0);
    await turn(23 * second);
    predict(100, 3);
    await turn();
    expect(await told()).toEqual(['alert.triggered']);
    expect(now - brokenAt).toBeLessThan(minute);
    const [alert] = await platform.monitoring.listAlerts(deployment.id);
    expect(alert).toMatchObject({
      severity: 'WARNING',
      state: 'FIRING',
      kind: 'ERRORS',
      labels: { team: 'payments' },
    });
    for (let i = 0; i < 6; i += 1) {
      predict(200, 100);
      await turn();
    }
    expect(await told()).toEqual(['alert.triggered', 'alert.severity_changed']);
    for (let i = 0; i < 6; i += 1) {
      predict(1000, 10);
      await turn();
    }
    expect((await platform.monitoring.listAlerts(deployment.id))[0]?.severity).toBe('WARNING');
    for (let i = 0; i < 6; i += 1) {
      predict(1000, 0);
      await turn();
    }
    expect((await told()).at(-1)).toBe('alert.resolved');
    expect((await platform.monitoring.listAlerts(deployment.id))[0]).toMatchObject({
      ...{
        id: alert?.id,
        state: 'RESOLVED',
        resolution: expect.stringContaining('not above 1 %'),
      },
    });
  });

  test('no data is no end; silence has a rule of its own, and a rule that is removed resolves', async () => {
    const { alertRules } = platform.monitoring;
    await alertRules.put(errors);
    await alertRules.put({ name: 'silence', absentMs: 15 * minute, severity: 'CRITICAL' });
    predict(100, 50);
    await turn(23 * second);
    expect(await told()).toEqual(['alert.triggered']);
    await turn(10 * minute);
    expect(await told()).toEqual(['alert.triggered', 'alert.suspended']);
    expect(await alertRules.status(deployment.id)).toMatchObject([
      { rule: 'errors', sight: 'NO_DATA' },
    ]);
    await turn(10 * minute);
    expect((await told()).at(-1)).toBe('alert.triggered');
    await alertRules.remove('errors');
    await turn();
    const all = await platform.monitoring.listAlerts(deployment.id);
    expect(all.map(({ rule, state }) => [rule, state]).sort()).toEqual([
      ['errors', 'RESOLVED'],
      ['silence', 'FIRING'],
    ]);
    expect(all.find(({ rule }) => rule === 'errors')?.resolution).toContain('no longer in force');
  });

  test('conditions over several figures, and rates of change', async () => {
    const { alertRules } = platform.monitoring;
    await alertRules.put({
      name: 'both',
      when: 'error_rate > 0.05 && requests > 50.0',
      severity: 'EMERGENCY',
    });
    await alertRules.put({
      ...{
        name: 'rise',
        figure: 'error_rate',
        changeOverMs: minute,
        change: 'absolute',
        above: 0.2,
      },
    });
    predict(30, 30, 0);
    await turn(23 * second);
    expect(await told()).toEqual([]);
    predict(100, 2);
    for (let i = 0; i < 3; i += 1) await turn();
    predict(100, 60);
    await turn();
    const all = await platform.monitoring.listAlerts(deployment.id);
    expect(all.find(({ rule }) => rule === 'both')).toMatchObject({ severity: 'EMERGENCY' });
    expect(all.find(({ rule }) => rule === 'both')?.summary).toContain(
      'error_rate > 0.05 && requests > 50.0 is so',
    );
    expect(await alertRules.status(deployment.id)).toMatchObject([{ rule: 'rise', sight: 'OK' }]);
  });

  test('one evaluates among several, who makes up for what nobody did, and tells nothing twice', async () => {
    await platform.monitoring.alertRules.put({ ...errors, windows: { atLeast: 2, of: 3 } });
    predict(100, 50);
    await turn(23 * second);
    predict(100, 50);
    // Nobody evaluated for a minute: the intervals in between are looked at one after another.
    now += minute;
    const other = await open();
    try {
      await platform.monitoring.predictions.flush();
      const signal = new AbortController().signal;
      const loops = [platform, other].map(({ monitoring }) => monitoring.alertingLoops[0]);
      const done = await Promise.all(loops.map((loop) => loop?.runOnce(signal)));
      expect(done.filter((each) => each)).toHaveLength(1);
      expect(await told()).toEqual(['alert.triggered']);
      const again = await Promise.all(loops.map((loop) => loop?.runOnce(signal)));
      expect(again).toEqual([false, false]);
    } finally {
      await other.close();
    }
  });
});

test('preset rules are kept in line with what is set up; those of somebody else stay', async () => {
  const { alertRules } = platform.monitoring;
  await alertRules.put({ ...errors, name: 'latency-p99', deployment: 'd' });
  await platform.deployments.reportHealth('d', { status: 'HEALTHY' });
  const rules = { 'error-rate': { CRITICAL: 0.2 }, accuracy: false };
  await platform.monitoring.setUp('d', { rules, team: 'payments' });
  const inForce = async () => (await alertRules.list({ deployment: 'd' })).map(({ name }) => name);
  expect(await inForce()).toHaveLength(11);
  expect(await alertRules.get('error-rate', { deployment: 'd' })).toMatchObject({
    ...{ above: { WARNING: 0.01, CRITICAL: 0.2 }, labels: { team: 'payments' }, preset: true },
  });
  await expect(platform.monitoring.setUp('d', { rules: { 'eror-rate': false } })).rejects.toThrow(
    'eror-rate',
  );
  await platform.monitoring.setUp('d', false);
  expect(await inForce()).toEqual(['latency-p99']);
});

test('rules hold for watched functions too, those of one alone and those of all', async () => {
  const { alertRules } = platform.monitoring;
  const fails = platform.monitoring.watch(
    (of: { x: number }) => {
      if (of.x > 0.5) throw new Error('no');
      return of.x;
    },
    { name: 'scoring' },
  );
  const own: AlertRule = { ...errors, name: 'own', deployment: 'watch:scoring' };
  await alertRules.put(own);
  await alertRules.put(errors);
  for (let i = 0; i < 100; i += 1) {
    try {
      fails({ x: i / 100 });
    } catch (error) {
      expect(error).toMatchObject({ message: 'no' });
    }
  }
  await turn(23 * second);
  const alerts = await platform.monitoring.listAlerts('watch:scoring');
  expect(alerts.map(({ rule, severity, deployment: of }) => [rule, severity, of]).sort()).toEqual([
    ['errors', 'CRITICAL', 'watch:scoring'],
    ['own', 'CRITICAL', 'watch:scoring'],
  ]);
  expect(await platform.monitoring.listAlerts(deployment.id)).toEqual([]);
  const { verdicts } = await alertRules.test(own, { deployment: 'watch:scoring' });
  expect(verdicts).toHaveLength(1);
  // They end with their rule.
  await alertRules.remove('own', { deployment: 'watch:scoring' });
  await turn();
  const open = (await platform.monitoring.listAlerts('watch:scoring')).filter(
    ({ state }) => state === 'FIRING',
  );
  expect(open.map(({ rule }) => rule)).toEqual(['errors']);
});

describe('schedules', () => {
  const office = {
    days: ['MON', 'TUE', 'WED', 'THU', 'FRI'],
    from: '09:00',
    to: '18:00',
    timeZone: 'Europe/Berlin',
  } as const;

  test('know days, hours and zones, also where the clocks change', () => {
    expect(isWithin(office, Date.parse('2026-03-27T16:59:00Z'))).toBe(true);
    expect(isWithin(office, Date.parse('2026-03-27T17:00:00Z'))).toBe(false);
    // Summer time begins on the 29th.
    expect(isWithin(office, Date.parse('2026-03-30T07:00:00Z'))).toBe(true);
    expect(nextWithin(office, Date.parse('2026-03-27T17:00:00Z'))).toBe(
      Date.parse('2026-03-30T07:00:00Z'),
    );
    const night = { days: ['SAT'], from: '22:00', to: '02:00' } as const;
    expect(isWithin(night, Date.parse('2026-03-29T01:59:00Z'))).toBe(true);
    expect(isWithin(night, Date.parse('2026-03-28T01:59:00Z'))).toBe(false);
  });
});

describe('telling people', () => {
  async function notified(): Promise<readonly PayloadOf<'alert.notified'>[]> {
    const found: PayloadOf<'alert.notified'>[] = [];
    for await (const event of platform.events.each({ types: ['alert.notified'] })) {
      found.push(event.payload as PayloadOf<'alert.notified'>);
    }
    return found;
  }
  const said = async () => (await notified()).map(({ reason, route }) => `${route} ${reason}`);

  /** So many times fifteen seconds in which all, or no, requests fail. */
  async function quarters(count: number, failed: boolean): Promise<void> {
    for (let i = 0; i < count; i += 1) {
      predict(50, failed ? 50 : 0);
      await turn();
    }
  }

  test('several alerts of a deployment are one message with what, since when, what changed before and what to do', async () => {
    const { alertRules, alertRoutes } = platform.monitoring;
    await alertRoutes.put({ name: 'payments', match: { team: 'payments' }, receivers: ['chat'] });
    await alertRules.put({
      ...errors,
      actions: [{ title: 'Read the log', url: 'https://logs.example.com/d' }],
    });
    now += minute;
    await alertRules.put({
      ...errors,
      name: 'more-errors',
      figure: 'errors',
      above: 20,
      clear: 10,
    });
    await quarters(6, true);
    const [message, ...others] = await notified();
    expect(others).toEqual([]);
    expect(message).toMatchObject({
      route: 'payments',
      receivers: ['chat'],
      state: 'OPEN',
      severity: 'CRITICAL',
    });
    expect(message?.title).toBe('d: service (2 alerts)');
    expect(message?.alertIds).toHaveLength(2);
    const content = message?.message as unknown as NotificationContent;
    const fact = (wanted: string) => content.facts.find(({ name }) => name === wanted)?.value;
    expect(fact('Since')).toMatch(/UTC \(\d+ s ago\)$/);
    expect(fact('Last change before it')).toMatch(/^deployment started.* before$/);
    expect(content.items[0]).toMatchObject({ title: 'errors CRITICAL' });
    expect(content.actions.map(({ title }) => title)).toContain('Read the log');
    const [alert] = await platform.monitoring.listAlerts(deployment.id);
    expect(await platform.monitoring.explainAlert(alert?.id as string)).toMatchObject([
      { route: 'payments', next: 'REMINDER', because: ['people know of it'] },
    ]);
    await quarters(10, false);
    expect(await said()).toEqual(['payments FIRING', 'payments RESOLVED']);
  });

  test('silences keep people from being told until they end; the end of what was told is told', async () => {
    const { monitoring } = platform;
    await monitoring.alertRules.put(errors);
    await expect(monitoring.silence({ match: {}, reason: 'x', forMs: minute })).rejects.toThrow(
      'at least one label',
    );
    const silence = await monitoring.silence({
      match: { team: 'payments' },
      reason: 'upgrade',
      forMs: 10 * minute,
    });
    await quarters(6, true);
    expect(await monitoring.silences.preview({ team: 'payments' })).toHaveLength(1);
    const [alert] = await monitoring.listAlerts(deployment.id);
    const [outlook] = await monitoring.explainAlert(alert?.id as string);
    expect(outlook?.because).toEqual([`silence ${silence.id}: upgrade`]);
    expect(await said()).toEqual([]);
    await monitoring.silences.end(silence.id);
    await quarters(4, true);
    expect(await said()).toEqual(['default FIRING']);
    await monitoring.silence({
      match: { deployment: 'd' },
      reason: 'again',
      untilAt: now + 2 * minute,
    });
    await quarters(8, false);
    expect(await said()).toEqual(['default FIRING', 'default RESOLVED']);
    await quarters(2, false);
    expect(await monitoring.silences.list()).toEqual([]);
    expect(
      (await monitoring.silences.list({ ended: true })).map(({ ended }) => ended?.reason),
    ).toEqual(['WITHDRAWN', 'EXPIRED']);
  });

  test('while what caused it fires, what follows is not told; when only that is left it is', async () => {
    const { alertRules, inhibitions } = platform.monitoring;
    await inhibitions.put({ name: 'cause', source: { rule: 'cause' }, target: { rule: 'errors' } });
    await alertRules.put({ ...errors, forMs: minute });
    await alertRules.put({ name: 'cause', figure: 'requests', above: 100 });
    await quarters(8, true);
    expect((await notified()).map(({ title }) => title)).toEqual(['d: cause']);
    for (let i = 0; i < 24; i += 1) {
      predict(20, 20);
      await turn();
    }
    const titles = (await notified()).map(({ title, reason }) => `${title} ${reason}`);
    expect(titles.toSorted()).toEqual([
      ...['d: cause FIRING', 'd: cause RESOLVED', 'd: service (errors) FIRING'],
    ]);
  });

  test('nobody answers: others are told, also after a restart; somebody answers: it rests', async () => {
    const { alertRules, alertRoutes } = platform.monitoring;
    await alertRoutes.put({
      ...{ name: 'default', receivers: ['chat'], remindEveryMs: 3_600_000 },
      escalation: [
        { afterMs: 5 * minute, receivers: ['pager'] },
        { afterMs: 5 * minute, receivers: ['boss'] },
      ],
    });
    await alertRules.put({ ...errors, keepFiringForMs: minute });
    await quarters(10, true);
    await platform.close();
    platform = await open();
    await quarters(16, true);
    expect((await notified()).map(({ reason, receivers }) => [reason, receivers])).toEqual([
      ['FIRING', ['chat']],
      ['ESCALATION', ['pager']],
    ]);
    const [alert] = await platform.monitoring.listAlerts(deployment.id);
    const id = alert?.id as string;
    expect(
      await platform.monitoring.acknowledge(id, { comment: 'on it', forMs: 20 * minute }),
    ).toMatchObject({
      acknowledged: { comment: 'on it' },
    });
    await quarters(60, true);
    expect((await notified()).slice(2).map(({ reason, receivers }) => [reason, receivers])).toEqual(
      [['ACKNOWLEDGED', ['chat', 'pager']]],
    );
    await quarters(44, true);
    expect((await said()).slice(3)).toEqual(['default ESCALATION']);
    await quarters(12, false);
    await expect(platform.monitoring.acknowledge(id)).rejects.toThrow('is over since');
    expect((await notified()).at(-1)).toMatchObject({
      reason: 'RESOLVED',
      receivers: ['chat', 'pager', 'boss'],
    });
  });

  test('warnings wait for the hours in which they are told', async () => {
    const hours = { from: '11:00', to: '18:00' } as const;
    await platform.monitoring.alertRules.put({
      ...errors,
      above: 0.5,
      clear: 0.4,
      schedule: { WARNING: hours },
    });
    await quarters(8, true);
    expect(await said()).toEqual([]);
    now = Date.parse('2026-03-02T10:59:30Z');
    await quarters(6, true);
    expect(await said()).toEqual(['default FIRING']);
  });

  test('a rule is tried without raising anything, and its message sent as a test', async () => {
    const { alertRules, alertRoutes } = platform.monitoring;
    await alertRoutes.put({ name: 'payments', match: { team: 'payments' }, receivers: ['chat'] });
    predict(100, 50);
    now += 6 * second;
    const tried = await alertRules.test(errors, { deployment: 'd', fire: true });
    expect(tried.verdicts).toMatchObject([{ reached: 'CRITICAL', value: 0.5 }]);
    expect(tried.routes).toEqual([{ name: 'payments', receivers: ['chat'] }]);
    expect(await platform.monitoring.listAlerts(deployment.id)).toEqual([]);
    expect((await notified()).map(({ title, state }) => [title, state])).toEqual([
      ['Test of errors: d: service (errors)', 'OPEN'],
      ['Test of errors: d: service (errors)', 'RESOLVED'],
    ]);
  });

  test('with platform.start() a message reaches the notifiers, and one that was answered meanwhile does not', async () => {
    await platform.close();
    const heard: Notification[] = [];
    let isAway = true;
    const chat: Notifier = {
      name: 'chat',
      async notify(notification) {
        if (isAway)
          throw new KeelsonError('UNAVAILABLE', 'nobody is there', {
            details: { retryAfterMs: 1 },
          });
        if (notification.type === 'alert.notified') heard.push(notification);
        return undefined;
      },
    };
    platform = await open({ notifiers: [chat] });
    await platform.monitoring.alertRules.put(errors);
    await quarters(6, true);
    platform.start();
    const deliveries = () => platform.operations.notifications.deliveries();
    await until('an attempt', async () =>
      (await deliveries()).some(({ attempts }) => attempts > 0),
    );
    const [alert] = await platform.monitoring.listAlerts(deployment.id);
    await platform.monitoring.acknowledge(alert?.id as string);
    now += minute;
    await until('cancelled', async () =>
      (await deliveries()).some(({ state }) => state === 'CANCELLED'),
    );
    isAway = false;
    now += minute;
    await until('heard', () => heard.length > 0);
    expect(heard.map(({ state }) => state)).toEqual(['ACKNOWLEDGED']);
  });
});

describe('watching the watcher', () => {
  test('a rule that cannot be evaluated for long is told as a stall, once, and its recovery', async () => {
    const { alertRules } = platform.monitoring;
    await alertRules.put({ name: 'odd', when: 'error_rate > "much"' });
    const types = ['monitoring.stalled', 'monitoring.recovered'];
    const stalls = async () => {
      const found: string[] = [];
      for await (const event of platform.events.each({ types })) {
        found.push(
          `${event.type} ${event.subject} ${String((event.payload as { message?: string }).message ?? '')}`,
        );
      }
      return found;
    };
    for (let i = 0; i < 48; i += 1) {
      predict(50, 1);
      await turn();
    }
    expect(await stalls()).toEqual([
      expect.stringMatching(
        /^monitoring.stalled monitoring:alert-rules 1 alert rules cannot be evaluated, odd/,
      ),
    ]);
    await alertRules.put({ name: 'odd', when: 'error_rate > 0.9' });
    for (let i = 0; i < 6; i += 1) {
      predict(50, 1);
      await turn();
    }
    expect((await stalls()).slice(1)).toEqual([
      expect.stringContaining('monitoring.recovered monitoring:alert-rules'),
    ]);
  });

  test('a sign of life goes out while rules are evaluated', async () => {
    await platform.close();
    const beats: number[] = [];
    const to: Notifier = {
      name: 'switch',
      async notify({ type, at }) {
        expect(type).toBe('monitoring.heartbeat');
        beats.push(at);
        return undefined;
      },
    };
    platform = await open({ monitoring: { alerts: { heartbeat: { to, everyMs: minute } } } });
    const first = now + 15 * second;
    for (let i = 0; i < 9; i += 1) await turn();
    expect(beats).toEqual([first, first + minute, first + 2 * minute]);
    await platform.monitoring.alertRules.put(errors);
    await turn();
    expect(beats).toHaveLength(3);
  });
});
