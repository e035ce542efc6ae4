import { createHmac, timingSafeEqual } from 'node:crypto';
import { z } from 'zod';
import { checkOptions } from '../../check-options.ts';
import { KeelsonError } from '../../errors.ts';

/** How far the time of a signed request may be from the receiver's, in ms. */
const toleranceMs = 300_000;

/**
 * The signature of Standard Webhooks: `v1,` and HMAC-SHA-256 of `id.timestamp.body`, in base64. Secrets
 * are base64 behind `whsec_`; any other text counts as its UTF-8 bytes.
 */
export function signWebhook(secret: string, id: string, timestamp: number, body: string): string {
  const mac = createHmac('sha256', keyOf(secret)).update(`${id}.${timestamp}.${body}`);
  return `v1,${mac.digest('base64')}`;
}

function keyOf(secret: string): Buffer {
  return secret.startsWith('whsec_')
    ? Buffer.from(secret.slice('whsec_'.length), 'base64')
    : Buffer.from(secret, 'utf8');
}

/** What a receiver knows of a request. */
export interface VerifyWebhookOptions {
  /** Names in lower case, as Node gives them; several values of one are no signature. */
  readonly headers: Readonly<Record<string, string | readonly string[] | undefined>>;
  /** As it came, before any parsing. */
  readonly body: string | Uint8Array;
  /** One, or several while they rotate. */
  readonly secrets: string | readonly string[];
  /** Epoch ms; now when left out. */
  readonly now?: number;
  /** How far the signature's time may be from `now`, in ms; 5 minutes when left out. */
  readonly toleranceMs?: number;
}

/** A request whose signature fits. */
export interface VerifiedWebhook {
  /** The same at each attempt: leave out what was handled within the tolerance. */
  readonly id: string;
  /** When it was signed, in epoch ms. */
  readonly at: number;
  /** The parsed body. */
  readonly payload: unknown;
}

const shape = z.strictObject({
  headers: z.record(z.string(), z.unknown()),
  body: z.union([z.string(), z.instanceof(Uint8Array)]),
  secrets: z.union([z.string().min(1), z.array(z.string().min(1)).min(1)]),
  now: z.number().optional(),
  toleranceMs: z.number().min(0).max(86_400_000).optional(),
} satisfies Record<keyof VerifyWebhookOptions, z.ZodType>);

/**
 * For receivers: the request that a webhook notifier sent, if it is one. FORBIDDEN where headers are
 * missing, no signature fits, or its time is too far away; INVALID for a body that is no JSON.
 */
export function verifyWebhook(options: VerifyWebhookOptions): VerifiedWebhook {
  checkOptions(shape, options, 'verifyWebhook');
  const { headers, secrets, now = Date.now() } = options;
  const id = textOf(headers, 'webhook-id');
  const stamp = textOf(headers, 'webhook-timestamp');
  const signatures = textOf(headers, 'webhook-signature').split(' ').slice(0, 20);
  if (!/^\d{1,12}$/.test(stamp)) throw refused('its timestamp is no number of seconds');
  const at = Number(stamp) * 1000;
  if (Math.abs(now - at) > (options.toleranceMs ?? toleranceMs)) {
    throw refused('it was signed too long ago, or in the future; look at both clocks');
  }
  const body =
    typeof options.body === 'string' ? options.body : Buffer.from(options.body).toString('utf8');
  const wanted = (typeof secrets === 'string' ? [secrets] : secrets).map((secret) =>
    Buffer.from(signWebhook(secret, id, Number(stamp), body)),
  );
  const fits = signatures.some((given) => wanted.some((each) => same(each, Buffer.from(given))));
  if (!fits) throw refused('no signature fits; look at the secret');
  try {
    return { id, at, payload: JSON.parse(body) as unknown };
  } catch (cause) {
    throw new KeelsonError('INVALID', 'The body of this webhook is no JSON.', { cause });
  }
}

function same(a: Buffer, b: Buffer): boolean {
  return a.length === b.length && timingSafeEqual(a, b);
}

function textOf(headers: VerifyWebhookOptions['headers'], name: string): string {
  const value = headers[name];
  if (typeof value === 'string' && value !== '') return value;
  throw refused(`it has no header ${name}`);
}

function refused(why: string): KeelsonError {
  return new KeelsonError('FORBIDDEN', `This webhook is not to be believed: ${why}.`);
}
