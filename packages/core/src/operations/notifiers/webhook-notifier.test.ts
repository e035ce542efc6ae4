import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { openHttpReceiver } from '../../../test/receivers/http-receiver.ts';
import { notification, unhurried } from '../../../test/receivers/notification.ts';
import { isKeelsonError } from '../../errors.ts';
import { isRefused } from './addresses.ts';
import { webhookNotifier } from './webhook-notifier.ts';
import { signWebhook, verifyWebhook } from './webhook-signature.ts';

const secret = 'whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw';

describe('the signature', () => {
  test('is that of Standard Webhooks', () => {
    // The vector of their reference libraries.
    expect(
      signWebhook(secret, 'msg_p5jXN8AQM9LWM0D4loKWxJek', 1614265330, '{"test": 2432232314}'),
    ).toBe('v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=');
  });

  test('whatever is changed on the way is refused, as is what comes too late or from the future', () => {
    const now = 1_700_000_000_000;
    const body = '{"a":1}';
    const signed = (): Parameters<typeof verifyWebhook>[0] => ({
      headers: {
        'webhook-id': 'id-1',
        'webhook-timestamp': '1700000000',
        'webhook-signature': `v1,AAAA ${signWebhook(secret, 'id-1', 1_700_000_000, body)}`,
      },
      body,
      secrets: ['other', secret],
      now,
    });
    expect(verifyWebhook(signed())).toEqual({ id: 'id-1', at: now, payload: { a: 1 } });
    const headers = signed().headers;
    for (const wrong of [
      { body: '{"a":2}' },
      { secrets: 'other' },
      { now: now + 300_001 },
      { now: now - 300_001 },
      { headers: { ...headers, 'webhook-id': 'id-2' } },
      { headers: { ...headers, 'webhook-timestamp': '1700000001' } },
      { headers: { ...headers, 'webhook-timestamp': '1e9' } },
      { headers: { ...headers, 'webhook-signature': undefined } },
      { headers: { ...headers, 'webhook-signature': ['v1,x'] } },
    ]) {
      expect(() => verifyWebhook({ ...signed(), ...wrong })).toThrow(/not to be believed/);
    }
    expect(verifyWebhook({ ...signed(), now: now + 300_000 }).id).toBe('id-1');
  });

  test('no byte of a body can be changed', () => {
    fc.assert(
      fc.property(fc.jsonValue(), fc.nat(), fc.integer({ min: 1, max: 127 }), (json, at, flip) => {
        const bytes = Buffer.from(JSON.stringify(json));
        const headers = {
          'webhook-id': 'x',
          'webhook-timestamp': '1',
          'webhook-signature': signWebhook(secret, 'x', 1, bytes.toString()),
        };
        const options = { headers, secrets: secret, now: 1000 };
        expect(verifyWebhook({ ...options, body: bytes }).payload).toEqual(
          JSON.parse(bytes.toString()),
        );
        const place = at % bytes.length;
        bytes[place] = (bytes[place] as number) ^ flip;
        expect(() => verifyWebhook({ ...options, body: bytes })).toThrow(/not to be believed/);
      }),
    );
  });
});

describe('webhookNotifier', () => {
  test('sends what verifyWebhook takes, with the same id at each attempt', async () => {
    const receiver = await openHttpReceiver(() => ({ status: 204 }));
    const notifier = webhookNotifier({ url: `${receiver.url}/hook`, secret });
    const one = notification();
    expect(await notifier.notify(one, unhurried())).toEqual({ code: 204, said: '' });
    await notifier.notify(one, unhurried());
    const verified = receiver.received.map(({ headers, body }) =>
      verifyWebhook({ headers, body, secrets: secret }),
    );
    expect(verified.map(({ id }) => id)).toEqual([one.id, one.id]);
    expect(verified[0]?.payload).toMatchObject({
      type: 'alert.triggered',
      timestamp: '2026-01-01T00:00:00.000Z',
      data: { severity: 'CRITICAL', key: one.key, details: one.details },
    });
  });

  test('signs with two secrets while they rotate, and asks for a new one when it is refused', async () => {
    let accepted = 'old';
    const receiver = await openHttpReceiver(({ headers, body }) => {
      try {
        verifyWebhook({ headers, body, secrets: accepted });
        return { status: 200, body: 'thanks' };
      } catch {
        return { status: 401 };
      }
    });
    const asked: boolean[] = [];
    let cached = 'old';
    const notifier = webhookNotifier({
      url: receiver.url,
      secret: ({ fresh }) => {
        asked.push(fresh);
        if (fresh) cached = accepted;
        return cached;
      },
    });
    await notifier.notify(notification(), unhurried());
    accepted = 'new';
    expect(await notifier.notify(notification(), unhurried())).toMatchObject({ code: 200 });
    expect(asked).toEqual([false, false, true]);
    const both = webhookNotifier({ url: receiver.url, secret: 'newer', previousSecret: 'new' });
    expect(await both.notify(notification(), unhurried())).toMatchObject({ said: 'thanks' });
  });

  test.each([
    [200, undefined],
    [302, 'UNAVAILABLE'],
    [400, 'FAILED'],
    [401, 'FORBIDDEN'],
    [404, 'UNAVAILABLE'],
    [410, 'FAILED'],
    [429, 'UNAVAILABLE'],
    [503, 'UNAVAILABLE'],
  ])('%i is %s', async (status, code) => {
    const elsewhere = await openHttpReceiver(() => ({ status: 200 }));
    const receiver = await openHttpReceiver(() => ({
      status,
      headers: { location: elsewhere.url, 'retry-after': '7' },
      body: `why\n\n${'y'.repeat(500)}`,
    }));
    const sent = webhookNotifier({ url: `${receiver.url}/secret-path`, secret }).notify(
      notification(),
      unhurried(),
    );
    if (code === undefined) return void (await sent);
    const error = await sent.catch((reason: unknown) => reason);
    expect(isKeelsonError(error, code as 'FAILED')).toBe(true);
    expect(error).toMatchObject({ details: { status, retryAfterMs: 7000 } });
    expect((error as Error).message).not.toMatch(/secret-path|\n/);
    expect(elsewhere.received).toEqual([]);
  });

  test('an endless answer, one that never comes, and nobody there end in time', async () => {
    const endless = await openHttpReceiver(() => ({ status: 200, body: 'z'.repeat(5_000_000) }));
    const notifier = webhookNotifier({ url: endless.url, secret });
    const receipt = await notifier.notify(notification(), unhurried());
    expect(receipt?.said?.length).toBe(200);
    const silent = await openHttpReceiver(() => undefined);
    const late = webhookNotifier({ url: silent.url, secret, timeoutMs: 50 });
    await expect(late.notify(notification(), unhurried())).rejects.toMatchObject({
      code: 'TIMEOUT',
    });
    const stopped = webhookNotifier({ url: silent.url, secret });
    const controller = new AbortController();
    const stopping = stopped.notify(notification(), controller.signal);
    controller.abort();
    await expect(stopping).rejects.toMatchObject({ code: 'ABORTED' });
    await silent.close();
    await expect(stopped.notify(notification(), unhurried())).rejects.toMatchObject({
      code: 'UNAVAILABLE',
      message: expect.stringContaining('ECONNREFUSED') as string,
    });
  });

  test('addresses: link-local never, inner ones not with `public`, whatever they are written as', async () => {
    const receiver = await openHttpReceiver(() => ({ status: 200 }));
    const { port } = receiver;
    for (const [host, addresses] of [
      ['127.0.0.1', 'public'],
      ['localhost', 'public'],
      ['2130706433', 'public'],
      ['0x7f.1', 'public'],
      ['[::1]', 'public'],
      ['[::ffff:127.0.0.1]', 'public'],
      ['169.254.169.254', 'private'],
      ['[::ffff:169.254.169.254]', 'private'],
      ['0.0.0.0', 'private'],
      ['[fe80::1]', 'private'],
    ] as const) {
      const notifier = webhookNotifier({ url: `http://${host}:${port}/`, secret, addresses });
      await expect(notifier.notify(notification(), unhurried())).rejects.toMatchObject({
        code: 'INVALID',
        message: expect.stringContaining('may not be called') as string,
      });
    }
    expect(receiver.received).toEqual([]);
    const local = webhookNotifier({ url: `http://localhost:${port}/`, secret });
    expect(await local.notify(notification(), unhurried())).toMatchObject({ code: 200 });
    expect(isRefused('8.8.8.8', 'public')).toBe(false);
    expect(isRefused('2606:4700::1111', 'public')).toBe(false);
    for (const inner of ['10.1.2.3', '172.31.0.1', '192.168.0.9', '100.64.0.1', 'fd00::1', 'x']) {
      expect(isRefused(inner, 'public')).toBe(true);
    }
  });

  test('nothing of a secret is in errors or in what inspect shows', async () => {
    const { inspect } = await import('node:util');
    const notifier = webhookNotifier({ url: 'ftp://u:hidden-1@h/hidden-2', secret: 'hidden-3' });
    const error = await notifier.notify(notification(), unhurried()).catch((e: unknown) => e);
    expect(error).toMatchObject({ code: 'INVALID' });
    expect(inspect([notifier, error], { depth: 9, showHidden: true })).not.toContain('hidden');
  });
});
