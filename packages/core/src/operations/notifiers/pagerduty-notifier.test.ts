import fc from 'fast-check';
import { expect, test } from 'vitest';
import { notification, unhurried } from '../../../test/receivers/notification.ts';
import { openPagerDuty } from '../../../test/receivers/pagerduty-receiver.ts';
import type { Json } from '../../json.ts';
import { pagerDutyNotifier } from './pagerduty-notifier.ts';

const routingKey = 'a1B2'.repeat(8);

test('triggers, acknowledges and resolves one incident, however often it is sent', async () => {
  const pagerDuty = await openPagerDuty(routingKey);
  const notifier = pagerDutyNotifier({ routingKey, url: pagerDuty.url });
  const { key } = notification();
  for (const [state, expected] of [
    ['OPEN', 'triggered'],
    ['OPEN', 'triggered'],
    ['ACKNOWLEDGED', 'acknowledged'],
    ['RESOLVED', 'resolved'],
    ['RESOLVED', 'resolved'],
  ] as const) {
    expect(await notifier.notify(notification({ state }), unhurried())).toMatchObject({
      code: 202,
    });
    expect([...pagerDuty.incidents]).toEqual([[key, expected]]);
  }
});

test('whatever a notification has in it is a valid event', async () => {
  const pagerDuty = await openPagerDuty(routingKey);
  const notifier = pagerDutyNotifier({ routingKey, url: pagerDuty.url });
  const text = fc.oneof(
    fc.string({ unit: 'grapheme', maxLength: 40 }),
    fc.constantFrom('', 'x'.repeat(3000), '😀'.repeat(1500), '\ud800'),
  );
  await fc.assert(
    fc.asyncProperty(
      text,
      text,
      text.filter((key) => key !== ''),
      fc.dictionary(fc.string(), fc.jsonValue(), { maxKeys: 5 }),
      async (title, body, key, details) => {
        const facts = details as Record<string, Json>;
        const one = notification({ title, text: body, key, details: facts });
        expect(await notifier.notify(one, unhurried())).toMatchObject({ code: 202 });
      },
    ),
    { numRuns: 50 },
  );
  const huge = notification({ details: { a: 'x'.repeat(900_000) } });
  expect(await notifier.notify(huge, unhurried())).toMatchObject({ code: 202 });
});

test('an unknown key is refused by name of the host alone, and asked for anew', async () => {
  const pagerDuty = await openPagerDuty(routingKey);
  const wrong = '0'.repeat(32);
  const refused = pagerDutyNotifier({ routingKey: wrong, url: pagerDuty.url });
  await expect(refused.notify(notification(), unhurried())).rejects.toMatchObject({
    code: 'FORBIDDEN',
    message: expect.not.stringContaining(wrong) as string,
  });
  const notifier = pagerDutyNotifier({
    routingKey: ({ fresh }) => (fresh ? routingKey : wrong),
    url: pagerDuty.url,
  });
  expect(await notifier.notify(notification(), unhurried())).toMatchObject({ code: 202 });
});
