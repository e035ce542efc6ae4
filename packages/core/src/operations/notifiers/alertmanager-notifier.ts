import { z } from 'zod';
import { checkOptions } from '../../check-options.ts';
import type { Notification, Notifier } from '../../contracts/ports.ts';
import { KeelsonError } from '../../errors.ts';
import { canonicalJson, storableText } from '../../json.ts';
import {
  readSecret,
  type SecretSource,
  secretOption,
  withSecret,
} from '../secrets/secret-source.ts';
import { assertTaken, callHttp, type HttpReply } from './http-post.ts';
import { httpUrl, notifierName, notifierTimeout, timeoutMs } from './notifier-options.ts';

/** Which Alertmanager is told. */
export interface AlertmanagerOptions {
  /** `alertmanager` when left out. */
  readonly name?: string;
  /** Such as `http://alertmanager:9093`, with the prefix it is served under, if any. */
  readonly url: SecretSource;
  /** Sent as `Authorization: Bearer …`. */
  readonly token?: SecretSource;
  /** On every alert, besides ours; such as `{ cluster: 'a' }`. */
  readonly labels?: Readonly<Record<string, string>>;
  /** An alert that is not told of anew is over after so long, in ms; a day when left out. */
  readonly firingForMs?: number;
  /** Of one attempt; 10,000 when left out. */
  readonly timeoutMs?: number;
}

const labelName = z
  .string()
  .regex(/^[a-zA-Z_][a-zA-Z0-9_]*$/, 'must be a label name of Prometheus');

const shape = z.strictObject({
  name: notifierName.optional(),
  url: secretOption,
  token: secretOption.optional(),
  labels: z.record(labelName, z.string().min(1)).optional(),
  firingForMs: z.number().int().min(60_000).optional(),
  timeoutMs: notifierTimeout.optional(),
} satisfies Record<keyof AlertmanagerOptions, z.ZodType>);

/**
 * Sends notifications as alerts of Alertmanager's v2 API: what is OPEN fires, what is RESOLVED ends. An
 * alert that one of its silences covers is handed over all the same (Alertmanager mutes it), and the
 * delivery log names the silence.
 */
export function alertmanagerNotifier(options: AlertmanagerOptions): Notifier {
  checkOptions(shape, options, 'alertmanagerNotifier');
  const { name = 'alertmanager', token } = options;
  return {
    name,
    async notify(notification, signal) {
      const base = httpUrl(await readSecret(options.url), name);
      const call = (secret?: string) => tell(options, base, secret, notification, signal);
      return token === undefined ? call() : withSecret(token, call);
    },
  };
}

async function tell(
  options: AlertmanagerOptions,
  base: URL,
  token: string | undefined,
  notification: Notification,
  signal: AbortSignal,
): Promise<{ code: number; suppressed?: string }> {
  const labels = labelsOf(notification, options.labels);
  const ask = (method: 'GET' | 'POST', url: URL, body?: string): Promise<HttpReply> =>
    callHttp({
      method,
      url,
      headers: {
        'content-type': 'application/json',
        ...(token === undefined ? {} : { authorization: `Bearer ${token}` }),
      },
      ...(body === undefined ? {} : { body }),
      timeoutMs: options.timeoutMs ?? timeoutMs,
      signal,
      reach: 'private',
      maxAnswerBytes: 1_048_576,
    });
  const alert = alertOf(notification, labels, options.firingForMs ?? 86_400_000);
  const reply = await ask('POST', pathOf(base, 'api/v2/alerts'), JSON.stringify([alert]));
  assertTaken(base.host, reply);
  const silences = pathOf(base, 'api/v2/alerts');
  for (const [key, value] of Object.entries(labels)) {
    silences.searchParams.append('filter', `${key}=${JSON.stringify(value)}`);
  }
  const found = await ask('GET', silences);
  assertTaken(base.host, found);
  const by = silencedBy(base.host, found);
  return { code: reply.status, ...(by === undefined ? {} : { suppressed: `silence ${by}` }) };
}

function pathOf(base: URL, path: string): URL {
  return new URL(`${base.pathname.replace(/\/+$/, '')}/${path}`, base);
}

const answerShape = z.array(
  z.object({ status: z.object({ silencedBy: z.array(z.string()) }) }).loose(),
);

function silencedBy(where: string, reply: HttpReply): string | undefined {
  let answer: unknown;
  try {
    answer = JSON.parse(reply.text);
  } catch {
    answer = undefined;
  }
  const parsed = answerShape.safeParse(answer);
  if (!parsed.success) {
    throw new KeelsonError(
      'UNAVAILABLE',
      `${where} does not answer as Alertmanager's v2 API does.`,
    );
  }
  return parsed.data.flatMap((alert) => alert.status.silencedBy)[0];
}

/** What makes an alert the same alert: nothing that changes while it is open. */
function labelsOf(
  notification: Notification,
  own: Readonly<Record<string, string>> = {},
): Record<string, string> {
  const { key, type, details } = notification;
  const told = Object.entries({ deployment: details['deployment'], rule: details['rule'] });
  const known = told.filter((entry): entry is [string, string] => typeof entry[1] === 'string');
  return {
    ...own,
    alertname: alertName(type),
    source: 'keelson',
    key,
    ...Object.fromEntries(known),
  };
}

/** `alert.triggered` and `alert.resolved` are one alert. */
function alertName(type: string): string {
  return `Keelson${type
    .split('.')[0]
    ?.replace(/(^|[-_])([a-z])/g, (_, __, letter: string) => letter.toUpperCase())}`;
}

function alertOf(
  notification: Notification,
  labels: Record<string, string>,
  firingForMs: number,
): object {
  const { at, state, severity, title, text, details, correlationId } = notification;
  const endsAt = state === 'RESOLVED' ? at : at + firingForMs;
  return {
    labels,
    annotations: {
      summary: storableText(title, 1000),
      description: storableText(text, 10_000),
      details: storableText(canonicalJson(details), 10_000),
      severity,
      correlationId,
    },
    ...(state === 'RESOLVED' ? {} : { startsAt: new Date(at).toISOString() }),
    endsAt: new Date(endsAt).toISOString(),
  };
}
