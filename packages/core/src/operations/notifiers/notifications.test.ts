import { join } from 'node:path';
import { describe, expect, onTestFinished, test } from 'vitest';
import { ChildProgram, childFile } from '../../../test/child-program.ts';
import { realOwners } from '../../../test/open-test-events.ts';
import { openTestPlatform, temporaryDirectory, until } from '../../../test/open-test-platform.ts';
import { openTestScope, type TestScope } from '../../../test/open-test-scope.ts';
import {
  type Answer,
  type HttpReceiver,
  openHttpReceiver,
} from '../../../test/receivers/http-receiver.ts';
import { openPagerDuty } from '../../../test/receivers/pagerduty-receiver.ts';
import { eventKinds } from '../../contracts/kinds/event-kinds.ts';
import { notificationKinds } from '../../contracts/kinds/notification-kinds.ts';
import type { Notification, Notifier } from '../../contracts/ports.ts';
import { KeelsonError } from '../../errors.ts';
import { draftEvent } from '../../events/draft-event.ts';
import { createEvents } from '../../events/events.ts';
import type { PayloadOf } from '../../events/typed-event.ts';
import { createNotifications, type Notifications, type NotifierRoute } from './notifications.ts';
import { pagerDutyNotifier } from './pagerduty-notifier.ts';
import { webhookNotifier } from './webhook-notifier.ts';

interface Notifying {
  readonly test: TestScope;
  readonly notifications: Notifications;
  readonly time: { now: number };
  emit<T extends string>(type: T, subject: string, payload: PayloadOf<T>): Promise<string>;
  /** Hands over what is due; virtual time stands still. */
  deliver(): Promise<void>;
}

const never = new AbortController().signal;

async function openNotifying(routes: readonly (Notifier | NotifierRoute)[]): Promise<Notifying> {
  const time = { now: Date.now() };
  const scoped = await openTestScope({
    kinds: [...eventKinds, ...notificationKinds],
    clock: { now: () => time.now },
  });
  onTestFinished(async () => scoped[Symbol.asyncDispose]());
  const { scope } = scoped;
  const events = createEvents(scope, realOwners);
  const { notifications, loops, subscribe } = createNotifications(scope, routes, {
    owners: realOwners,
  });
  await subscribe(events);
  return {
    test: scoped,
    notifications,
    time,
    async emit(type, subject, payload) {
      const event = draftEvent(scope, { type, subject, source: 'test', payload });
      const { workspace } = scope;
      await scope.metadata.commit({ workspace, principal: 'x', changes: [{ op: 'emit', event }] });
      return event.id;
    },
    async deliver() {
      for (let busy = true; busy; ) {
        busy = await events.deliver();
        for (const loop of loops) busy = (await loop.runOnce(never)) || busy;
      }
    },
  };
}

const alertId = (n: number): string => `0198c0de-0000-7000-8000-${String(n).padStart(12, '0')}`;
const alert = (n: number, severity: 'WARNING' | 'CRITICAL' = 'CRITICAL') => ({
  alertId: alertId(n),
  deployment: `d${n}`,
  deploymentId: `id${n}`,
  rule: 'accuracy',
  severity,
  summary: `number ${n}`,
  at: 1,
});
const resolution = (n: number) => ({ alertId: alertId(n), rule: 'accuracy', resolution: 'mended' });

/** Keeps what it is told; fails as it is told to. */
function recorder(name: string, fault: (n: Notification) => Error | undefined = () => undefined) {
  const told: Notification[] = [];
  const attempts: Notification[] = [];
  const notifier: Notifier = {
    name,
    async notify(notification) {
      attempts.push(notification);
      const error = fault(notification);
      if (error !== undefined) throw error;
      told.push(notification);
      return undefined;
    },
  };
  return { notifier, told, attempts };
}

describe('what is told', () => {
  test('an event of trouble is delivered once, with what the log says of it', async () => {
    const receiver = await openHttpReceiver(() => ({ status: 201, body: 'got it' }));
    const { emit, deliver, notifications } = await openNotifying([
      webhookNotifier({ url: receiver.url, secret: 's' }),
    ]);
    await emit('run.started', 'run:1', { runId: '1', experimentId: 'e', name: 'n' });
    const id = await emit('alert.triggered', 'deployment:d1', alert(1));
    await deliver();
    await deliver();
    expect(receiver.received.length).toBe(1);
    expect(JSON.parse(receiver.received[0]?.body ?? '')).toMatchObject({
      type: 'alert.triggered',
      data: {
        id,
        severity: 'CRITICAL',
        state: 'OPEN',
        text: 'number 1',
        key: `alert:${alertId(1)}`,
      },
    });
    expect(await notifications.deliveries()).toMatchObject([
      { state: 'DELIVERED', attempts: 1, code: 201, said: 'got it', eventId: id },
    ]);
  });

  test('by severity; the end of a trouble is told to those who were told of it', async () => {
    const all = recorder('all');
    const pager = recorder('pager');
    const { emit, deliver } = await openNotifying([
      all.notifier,
      { to: pager.notifier, from: 'CRITICAL', types: ['alert.triggered', 'alert.resolved'] },
    ]);
    await emit('alert.triggered', 'deployment:d1', alert(1, 'WARNING'));
    await emit('alert.triggered', 'deployment:d2', alert(2, 'CRITICAL'));
    await emit('alert.resolved', 'deployment:d1', resolution(1));
    await emit('alert.resolved', 'deployment:d2', resolution(2));
    await deliver();
    expect(all.told.length).toBe(4);
    expect(pager.told.map(({ key, state }) => [key, state])).toEqual([
      [`alert:${alertId(2)}`, 'OPEN'],
      [`alert:${alertId(2)}`, 'RESOLVED'],
    ]);
  });

  test('an incident of PagerDuty opens once and ends, though every answer is lost once', async () => {
    const key = 'k'.repeat(32);
    const pagerDuty = await openPagerDuty(key);
    const lost = new Set<string>();
    const real = pagerDutyNotifier({ routingKey: key, url: pagerDuty.url });
    const lossy: Notifier = {
      name: 'pagerduty',
      async notify(notification, signal) {
        const receipt = await real.notify(notification, signal);
        if (lost.has(notification.id)) return receipt;
        lost.add(notification.id);
        throw new KeelsonError('UNAVAILABLE', 'The answer was lost.');
      },
    };
    const { emit, deliver, time } = await openNotifying([lossy]);
    await emit('alert.triggered', 'deployment:d1', alert(1));
    await emit('alert.resolved', 'deployment:d1', resolution(1));
    for (let i = 0; i < 6; i += 1) {
      await deliver();
      time.now += 10_000;
    }
    expect([...pagerDuty.incidents]).toEqual([[`alert:${alertId(1)}`, 'resolved']]);
    expect(pagerDuty.received.length).toBe(4);
  });
});

describe('a receiver that is away', () => {
  test('is tried ever more seldom, and gets all of it once, in order, when it is back', async () => {
    const first = await openHttpReceiver(() => ({ status: 200 }));
    const { url, port } = first;
    await first.close();
    const {
      emit,
      deliver,
      time,
      notifications,
      test: scoped,
    } = await openNotifying([webhookNotifier({ url, secret: 's' })]);
    const ids: string[] = [];
    for (let n = 0; n < 40; n += 1) {
      ids.push(await emit('alert.triggered', `deployment:d${n % 8}`, alert(n % 8)));
    }
    for (let minute = 0; minute < 60; minute += 1) {
      await deliver();
      time.now += 60_000;
    }
    const waiting = await notifications.deliveries({ state: 'PENDING' });
    expect(waiting.length).toBe(40);
    const attempts = waiting.reduce((sum, each) => sum + each.attempts, 0);
    // Two at each end of a rest; rests of at least 150 s after the first few.
    expect(attempts).toBeGreaterThan(10);
    expect(attempts).toBeLessThan(70);
    expect(scoped.logs.filter(({ level }) => level === 'warn').length).toBe(attempts);
    const back = await openHttpReceiver(() => ({ status: 200 }), port);
    time.now += 300_000;
    await deliver();
    await deliver();
    const got = back.received.map((each) => String(each.headers['webhook-id']));
    expect([...got].sort()).toEqual([...ids].sort());
    for (let subject = 0; subject < 8; subject += 1) {
      const own = new Set(ids.filter((_, n) => n % 8 === subject));
      expect(got.filter((id) => own.has(id))).toEqual([...own]);
    }
    expect((await notifications.deliveries({ state: 'DELIVERED' })).length).toBe(40);
  });

  test('Retry-After is kept to', async () => {
    let answer: Answer = { status: 429, headers: { 'retry-after': '1800' } };
    const receiver = await openHttpReceiver(() => answer);
    const { emit, deliver, time } = await openNotifying([
      webhookNotifier({ url: receiver.url, secret: 's' }),
    ]);
    await emit('alert.triggered', 'deployment:d1', alert(1));
    await emit('alert.triggered', 'deployment:d2', alert(2));
    await deliver();
    answer = { status: 200 };
    time.now += 1_799_000;
    await deliver();
    expect(receiver.received.length).toBe(1);
    time.now += 1_001;
    await deliver();
    expect(receiver.received.length).toBe(3);
  });

  test('after a day it is given up, which others are told and its own queue is not', async () => {
    const dead = recorder('dead', () => new KeelsonError('UNAVAILABLE', 'nobody is there'));
    const alive = recorder('alive');
    const { emit, deliver, time, notifications } = await openNotifying([
      dead.notifier,
      alive.notifier,
    ]);
    await emit('alert.triggered', 'deployment:d1', alert(1));
    for (let hour = 0; hour < 26; hour += 1) {
      await deliver();
      time.now += 3_600_000;
    }
    expect(await notifications.deliveries({ notifier: 'dead' })).toMatchObject([
      { state: 'FAILED', said: 'nobody is there', notification: { type: 'alert.triggered' } },
    ]);
    expect(alive.told.map(({ type, text }) => [type, text])).toEqual([
      ['alert.triggered', 'number 1'],
      ['notification.failed', 'nobody is there'],
    ]);
    const tried = dead.attempts.length;
    time.now += 86_400_000;
    await deliver();
    expect(dead.attempts.length).toBe(tried);
  });
});

describe('one message that a receiver dislikes', () => {
  test('holds back only its own trouble', async () => {
    const picky = recorder('picky', ({ key }) =>
      key.endsWith('1') ? new KeelsonError('UNAVAILABLE', 'not that one') : undefined,
    );
    const { emit, deliver } = await openNotifying([picky.notifier]);
    for (const n of [1, 2, 3]) await emit('alert.triggered', `deployment:d${n}`, alert(n));
    for (const n of [1, 2]) await emit('alert.resolved', `deployment:d${n}`, resolution(n));
    await deliver();
    // Each trouble in its order; different ones are handed over side by side.
    const told = picky.told.map(({ key, state }) => `${key.slice(-1)} ${state}`);
    expect(told.toSorted()).toEqual(['2 OPEN', '2 RESOLVED', '3 OPEN']);
    expect(told.indexOf('2 OPEN')).toBeLessThan(told.indexOf('2 RESOLVED'));
    expect(picky.attempts.filter(({ key }) => key.endsWith('1')).length).toBe(1);
  });

  test('that hangs in a notifier of one’s own is aborted, and made again later', async () => {
    const signals: (AbortSignal | undefined)[] = [];
    const to: Notifier = {
      name: 'mine',
      async notify(_notification, signal) {
        signals.push(signal);
        if (signals.length === 1) await new Promise(() => undefined);
        return undefined;
      },
    };
    const n = await openNotifying([{ to, timeoutMs: 20 }]);
    await n.emit('alert.triggered', 'deployment:d1', alert(1));
    await n.deliver();
    expect(signals.map((signal) => signal?.aborted)).toEqual([true]);
    const [waiting] = await n.notifications.deliveries();
    expect(waiting).toMatchObject({ state: 'PENDING', attempts: 1 });
    n.time.now += 3_600_000;
    await n.deliver();
    expect((await n.notifications.deliveries())[0]).toMatchObject({ state: 'DELIVERED' });
  });

  test('that it will never take fails at once, and can be delivered again', async () => {
    let refuses = true;
    const receiver = await openHttpReceiver(() => ({ status: refuses ? 422 : 200, body: 'no' }));
    const {
      emit,
      deliver,
      notifications,
      test: scoped,
    } = await openNotifying([webhookNotifier({ url: receiver.url, secret: 's' })]);
    await emit('alert.triggered', 'deployment:d1', alert(1));
    await deliver();
    const [failed] = await notifications.deliveries({ state: 'FAILED' });
    expect(failed).toMatchObject({ attempts: 1, code: 422 });
    expect(scoped.logs).toContainEqual({
      level: 'error',
      message: 'A notification could not be delivered.',
    });
    refuses = false;
    await notifications.redeliver([failed?.id ?? '']);
    await notifications.redeliver([failed?.id ?? '']);
    await deliver();
    expect(await notifications.deliveries()).toMatchObject([{ state: 'DELIVERED', code: 200 }]);
    expect(receiver.received.length).toBe(2);
    await expect(notifications.redeliver(['none'])).rejects.toMatchObject({ code: 'NOT_FOUND' });
  });
});

describe('openPlatform', () => {
  test('killed in the middle of deliveries: all arrive, those in flight with the same id', async () => {
    const dir = join(await temporaryDirectory(), '.keelson');
    let killAt = 3;
    let child: ChildProgram | undefined;
    const receiver: HttpReceiver = await openHttpReceiver(() => {
      killAt -= 1;
      // Between the request and its answer: the sender cannot know that it arrived.
      if (killAt === 0) child?.signal('SIGKILL');
      return killAt === 0 ? undefined : { status: 200 };
    });
    const made = 12;
    child = new ChildProgram(childFile('notify-runs'), [dir, receiver.url, String(made)]);
    await child.end();
    const acknowledged = child.lines.filter((line) => line.startsWith('made')).length;
    killAt = 4;
    child = new ChildProgram(childFile('notify-runs'), [dir, receiver.url, String(made)]);
    await child.end();
    killAt = 0;
    const after = child.lines.filter((line) => line.startsWith('made')).length;
    const { platform } = await openTestPlatform({
      dir,
      notifiers: [
        {
          to: webhookNotifier({ url: receiver.url, secret: 'a secret' }),
          types: ['run.completed'],
        },
      ],
    });
    platform.start();
    const { events } = platform;
    const ended = (await Array.fromAsync(events.each({ types: ['run.completed'] }))).map(
      (e) => e.id,
    );
    expect(ended.length).toBeGreaterThanOrEqual(acknowledged + after);
    const ids = (): string[] => receiver.received.map((each) => String(each.headers['webhook-id']));
    await until('all runs are told of', async () => {
      const { length } = await platform.operations.notifications.deliveries({ state: 'DELIVERED' });
      return length === ended.length;
    });
    expect(new Set(ids())).toEqual(new Set(ended));
    expect(ids().length).toBeLessThanOrEqual(ended.length + 2);
  }, 60_000);

  test('refuses two notifiers of one name, and things that are none', async () => {
    const one = recorder('same').notifier;
    for (const notifiers of [
      [one, one],
      [{}],
      [{ to: one, from: 'HIGH' }],
      [recorder('a b').notifier],
    ]) {
      await expect(openTestPlatform({ notifiers: notifiers as never })).rejects.toMatchObject({
        code: 'INVALID',
      });
    }
    const { platform } = await openTestPlatform({ notifiers: [one] });
    expect(await platform.operations.notifications.test('same')).toEqual({});
    await expect(platform.operations.notifications.test('other')).rejects.toMatchObject({
      code: 'NOT_FOUND',
      message: 'There is no notifier other here; there are: same.',
    });
  });
});

describe('groups of alerts', () => {
  const group = (n: number, state: 'OPEN' | 'RESOLVED', more: object = {}) => ({
    ...{ groupId: 'group:1', route: 'r', deployment: 'd', deploymentId: 'id', sequence: n, state },
    ...{
      reason: state === 'OPEN' ? ('FIRING' as const) : ('RESOLVED' as const),
      alertIds: [alertId(1)],
    },
    ...{ severity: 'CRITICAL' as const, title: `number ${n}`, text: '', message: {} },
    ...more,
  });

  test('a receiver that is away for an hour gets the last that is so, and its end, once each', async () => {
    let isAway = true;
    const chat = recorder('chat', () =>
      isAway ? new KeelsonError('UNAVAILABLE', 'away') : undefined,
    );
    const { emit, deliver, time, notifications } = await openNotifying([chat.notifier]);
    for (let n = 1; n <= 12; n += 1) {
      await emit('alert.notified', 'deployment:d', group(n, 'OPEN'));
      await deliver();
      time.now += 300_000;
    }
    await emit('alert.notified', 'deployment:d', group(13, 'RESOLVED'));
    isAway = false;
    time.now += 300_000;
    await deliver();
    expect(chat.told.map(({ title, key, state }) => [title, key, state])).toEqual([
      ['number 12', 'group:1', 'OPEN'],
      ['number 13', 'group:1', 'RESOLVED'],
    ]);
    expect(await notifications.deliveries({ state: 'PENDING' })).toEqual([]);
    expect(await notifications.deliveries({ state: 'CANCELLED' })).toHaveLength(11);
  });

  test('are told to whom they name; what is told in groups is not told besides', async () => {
    const [chat, pager, raw] = [recorder('chat'), recorder('pager'), recorder('raw')];
    const types = ['alert.triggered', 'alert.resolved'];
    const { emit, deliver } = await openNotifying([
      ...[chat.notifier, { to: pager.notifier, types, from: 'CRITICAL' as const }],
      { to: raw.notifier, types: [...types, 'alert.notified'] },
    ]);
    await emit('alert.triggered', 'deployment:d', { ...alert(1), grouped: true });
    await emit('alert.notified', 'deployment:d', group(1, 'OPEN', { receivers: ['pager', 'raw'] }));
    await emit('alert.notified', 'deployment:d', group(1, 'OPEN', { groupId: 'group:2' }));
    await deliver();
    expect(chat.told.map(({ key }) => key)).toEqual(['group:2']);
    expect(pager.told.map(({ key }) => key)).toEqual(['group:1', 'group:2']);
    expect(raw.told.map(({ type }) => type)).toEqual([
      'alert.triggered',
      'alert.notified',
      'alert.notified',
    ]);
  });
});
