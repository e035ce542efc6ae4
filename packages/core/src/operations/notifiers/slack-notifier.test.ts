import fc from 'fast-check';
import { expect, test } from 'vitest';
import { notification, unhurried } from '../../../test/receivers/notification.ts';
import { openSlack } from '../../../test/receivers/slack-receiver.ts';
import type { Json } from '../../json.ts';
import { slackNotifier } from './slack-notifier.ts';

test('whatever a notification has in it fits into Slack, and mentions nobody', async () => {
  const slack = await openSlack();
  const notifier = slackNotifier({ url: `${slack.url}/services/T/B/x` });
  const text = fc.oneof(
    fc.string({ unit: 'grapheme', maxLength: 50 }),
    fc.constantFrom(
      '<!channel>',
      '<@U1> & <#C1>',
      '',
      '😀'.repeat(2000),
      '&'.repeat(5000),
      '\ud800',
    ),
  );
  await fc.assert(
    fc.asyncProperty(
      text,
      text,
      fc.dictionary(text, fc.oneof(text, fc.jsonValue()), { maxKeys: 20 }),
      fc.constantFrom('OPEN', 'RESOLVED', 'ACKNOWLEDGED'),
      async (title, body, details, state) => {
        const one = notification({
          title,
          text: body,
          details: details as Record<string, Json>,
          state,
        });
        expect(await notifier.notify(one, unhurried())).toEqual({ code: 200, said: 'ok' });
      },
    ),
    { numRuns: 60 },
  );
});

test('429 tells when to come again; a revoked hook has its URL read anew', async () => {
  let busy = true;
  const slack = await openSlack(() =>
    busy ? { status: 429, headers: { 'retry-after': '30' }, body: 'rate_limited' } : undefined,
  );
  let path = '/services/T/B/revoked';
  const notifier = slackNotifier({
    url: ({ fresh }) => {
      if (fresh) path = '/services/T/B/x';
      return `${slack.url}${path}`;
    },
  });
  await expect(notifier.notify(notification(), unhurried())).rejects.toMatchObject({
    code: 'UNAVAILABLE',
    details: { retryAfterMs: 30_000 },
  });
  busy = false;
  expect(await notifier.notify(notification(), unhurried())).toMatchObject({ said: 'ok' });
  expect(slack.received.map((each) => each.path)).toEqual([
    '/services/T/B/revoked',
    '/services/T/B/revoked',
    '/services/T/B/x',
  ]);
});
