import { z } from 'zod';
import { checkOptions } from '../../check-options.ts';
import type { Notification, Notifier } from '../../contracts/ports.ts';
import {
  readSecret,
  type SecretSource,
  secretOption,
  withSecret,
} from '../secrets/secret-source.ts';
import type { AddressRange } from './addresses.ts';
import { assertTaken, callHttp, said200 } from './http-post.ts';
import { httpUrl, notifierName, notifierTimeout, timeoutMs } from './notifier-options.ts';
import { signWebhook } from './webhook-signature.ts';

/** Where a webhook goes. */
export interface WebhookOptions {
  /** `webhook` when left out. */
  readonly name?: string;
  readonly url: SecretSource;
  /** Signs; `whsec_` and base64 as Standard Webhooks has it, or any text. */
  readonly secret: SecretSource;
  /** Signs too, while receivers learn the new one. */
  readonly previousSecret?: SecretSource;
  /** Of one attempt; 10,000 when left out. */
  readonly timeoutMs?: number;
  /**
   * Which addresses may be called: `private` ones too, when left out; `public` alone is for URLs that
   * users hand in. Link-local addresses never.
   */
  readonly addresses?: AddressRange;
}

const shape = z.strictObject({
  name: notifierName.optional(),
  url: secretOption,
  secret: secretOption,
  previousSecret: secretOption.optional(),
  timeoutMs: notifierTimeout.optional(),
  addresses: z.enum(['private', 'public']).optional(),
} satisfies Record<keyof WebhookOptions, z.ZodType>);

/**
 * POSTs each notification as JSON, signed as Standard Webhooks has it (headers `webhook-id`,
 * `webhook-timestamp`, `webhook-signature`); any 2xx confirms. `verifyWebhook` is for the receiver.
 */
export function webhookNotifier(options: WebhookOptions): Notifier {
  checkOptions(shape, options, 'webhookNotifier');
  const { name = 'webhook', previousSecret, addresses: reach = 'private' } = options;
  return {
    name,
    async notify(notification, signal) {
      const url = httpUrl(await readSecret(options.url), name);
      const previous = previousSecret === undefined ? [] : [await readSecret(previousSecret)];
      return withSecret(options.secret, async (secret) => {
        const body = JSON.stringify(payloadOf(notification));
        const reply = await callHttp({
          method: 'POST',
          url,
          headers: signedHeaders(notification.id, body, [secret, ...previous]),
          body,
          timeoutMs: options.timeoutMs ?? timeoutMs,
          signal,
          reach,
          maxAnswerBytes: 65_536,
        });
        assertTaken(url.host, reply);
        return { code: reply.status, said: said200(reply.text) };
      });
    },
  };
}

function signedHeaders(
  id: string,
  body: string,
  secrets: readonly string[],
): Record<string, string> {
  const timestamp = Math.floor(Date.now() / 1000);
  return {
    'content-type': 'application/json',
    'webhook-id': id,
    'webhook-timestamp': String(timestamp),
    'webhook-signature': secrets.map((each) => signWebhook(each, id, timestamp, body)).join(' '),
  };
}

/** As Standard Webhooks advises: type, timestamp, data. */
function payloadOf(notification: Notification): object {
  const { type, at, ...data } = notification;
  return { type, timestamp: new Date(at).toISOString(), data };
}
