import { expect, test } from 'vitest';
import { openHttpReceiver } from '../../../test/receivers/http-receiver.ts';
import type { StoredEvent } from '../../contracts/event.ts';
import type { Notification } from '../../contracts/ports.ts';
import { mailHtml, mailLines } from '../../operations/notifiers/mail-content.ts';
import { notificationOf } from '../../operations/notifiers/notification-of-event.ts';
import { pagerDutyNotifier } from '../../operations/notifiers/pagerduty-notifier.ts';
import { slackNotifier } from '../../operations/notifiers/slack-notifier.ts';
import { webhookNotifier } from '../../operations/notifiers/webhook-notifier.ts';
import type { Alert } from './alert.ts';
import { alertMessage } from './alert-message.ts';

const at = Date.parse('2026-03-02T10:00:00Z');

function drifted(feature: string, value: number, more: Partial<Alert> = {}): Alert {
  return {
    ...{ id: `alert-${feature}`, deploymentId: 'd1', deployment: 'fraud', rule: 'feature-drift' },
    ...{ fingerprint: feature, severity: 'CRITICAL', state: 'FIRING', firstAt: at, lastAt: at },
    summary: `feature_psi of ${feature} ${value}, above 0.4`,
    evidence: { value, threshold: 0.4, chance: 0.05 },
    ...{ eventId: 'e', correlationId: 'c-1', kind: 'FEATURE_DRIFT', versionId: 'v7', revision: 1 },
    ...{ features: [feature], labels: { feature, team: 'payments', segment: 'de' } },
    ...more,
  };
}

function event(type: string, ago: number, payload: object): StoredEvent {
  return { type, at: at - ago, payload } as unknown as StoredEvent;
}

function notificationFor(state: 'OPEN' | 'RESOLVED'): Notification {
  const isOver = state === 'RESOLVED';
  const over = { state: 'RESOLVED', resolution: 'feature_psi 0.08, not above 0.4' } as const;
  const alerts = [
    drifted('age', 0.9, isOver ? over : {}),
    drifted('<b>income</b>', 0.5, isOver ? over : {}),
  ];
  const message = alertMessage({
    send: {
      ...{ reason: isOver ? 'RESOLVED' : 'FIRING', state, severity: 'CRITICAL' },
      members: alerts.map((alert) => ({ alert, muted: [] })),
    },
    now: at + 300_000,
    advice: new Map([
      ['alert-age', [{ title: 'Ask the owner', url: 'https://wiki.example.com/age' }]],
    ]),
    lastChange: event('rollout.advanced', 7_200_000, { reason: 'weight 50' }),
    done: [event('response.acted', 0, { reason: 'retraining begun' })],
    url: 'https://ops.example.com/alerts/{alertId}',
  });
  const payload = {
    ...{
      groupId: 'group:1',
      route: 'payments',
      deployment: 'fraud',
      deploymentId: 'd1',
      sequence: 1,
    },
    ...{ reason: isOver ? 'RESOLVED' : 'FIRING', state, severity: 'CRITICAL', receivers: ['x'] },
    ...{ alertIds: alerts.map(({ id }) => id), title: message.title, text: message.text },
    message: message.content,
  };
  const told = { type: 'alert.notified', subject: 'deployment:fraud', at: at + 300_000, payload };
  return notificationOf({ ...told, correlationId: 'c-1' } as unknown as StoredEvent, 'n-1');
}

/** What a receiver of the channel gets. */
async function received(
  notifierOf: (url: string) => { notify(n: Notification, signal: AbortSignal): Promise<unknown> },
  notification: Notification,
): Promise<unknown> {
  const receiver = await openHttpReceiver(() => ({ status: 202, body: '{}' }));
  await notifierOf(receiver.url).notify(notification, new AbortController().signal);
  return JSON.parse(receiver.received[0]?.body ?? '');
}

test.each(['OPEN', 'RESOLVED'] as const)(
  'a message that is %s, as each channel shows it',
  async (state) => {
    const notification = notificationFor(state);
    expect(await received((url) => slackNotifier({ url }), notification)).toMatchSnapshot('slack');
    const pager = (url: string) => pagerDutyNotifier({ url, routingKey: 'k'.repeat(32) });
    expect(await received(pager, notification)).toMatchSnapshot('pagerduty');
    const webhook = (url: string) => webhookNotifier({ url, secret: 'secret' });
    expect(await received(webhook, notification)).toMatchSnapshot('json');
    const content = notification.content ?? { facts: [], items: [], actions: [] };
    expect(
      [notification.title, notification.text, ...mailLines(content)].join('\n'),
    ).toMatchSnapshot('mail');
    const html = mailHtml(notification, content);
    expect(html).toMatchSnapshot('mail as HTML');
    expect(html).not.toContain('<b>income</b>');
  },
);
