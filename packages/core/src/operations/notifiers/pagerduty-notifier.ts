import { z } from 'zod';
import { checkOptions } from '../../check-options.ts';
import type { NotificationContent } from '../../contracts/notification-content.ts';
import type { Notification, Notifier, Severity } from '../../contracts/ports.ts';
import { KeelsonError } from '../../errors.ts';
import { decodeJson, encodeJson, storableText } from '../../json.ts';
import { type SecretSource, secretOption, withSecret } from '../secrets/secret-source.ts';
import { assertTaken, callHttp, type HttpReply, said200 } from './http-post.ts';
import { httpUrl, notifierName, notifierTimeout, timeoutMs } from './notifier-options.ts';

/** Whom PagerDuty pages. */
export interface PagerDutyOptions {
  /** `pagerduty` when left out. */
  readonly name?: string;
  /** The integration key of a service, 32 characters. */
  readonly routingKey: SecretSource;
  /** Names the sender; `keelson` when left out. */
  readonly source?: string;
  /** PagerDuty's when left out: `https://events.pagerduty.com`. */
  readonly url?: string;
  /** Of one attempt; 10,000 when left out. */
  readonly timeoutMs?: number;
}

const shape = z.strictObject({
  name: notifierName.optional(),
  routingKey: secretOption,
  source: z.string().min(1).max(200).optional(),
  url: z.string().optional(),
  timeoutMs: notifierTimeout.optional(),
} satisfies Record<keyof PagerDutyOptions, z.ZodType>);

const severities: Record<Severity, 'info' | 'warning' | 'error' | 'critical'> = {
  INFO: 'info',
  WARNING: 'warning',
  CRITICAL: 'error',
  EMERGENCY: 'critical',
};

const actions = { OPEN: 'trigger', ACKNOWLEDGED: 'acknowledge', RESOLVED: 'resolve' } as const;
const maxDetailsBytes = 400_000;

/**
 * Events API v2: a notification triggers, acknowledges or resolves the incident of its `key`, so that
 * repeats make no second one.
 */
export function pagerDutyNotifier(options: PagerDutyOptions): Notifier {
  checkOptions(shape, options, 'pagerDutyNotifier');
  const { name = 'pagerduty', source = 'keelson' } = options;
  const url = new URL('/v2/enqueue', httpUrl(options.url ?? 'https://events.pagerduty.com', name));
  return {
    name,
    notify: (notification, signal) =>
      withSecret(options.routingKey, async (routingKey) => {
        const reply = await callHttp({
          method: 'POST',
          url,
          headers: { 'content-type': 'application/json', accept: 'application/json' },
          body: JSON.stringify(pagerDutyEvent(notification, routingKey, source)),
          timeoutMs: options.timeoutMs ?? timeoutMs,
          signal,
          reach: 'private',
          maxAnswerBytes: 65_536,
        });
        assertKeyKnown(url.host, reply);
        assertTaken(url.host, reply);
        return { code: reply.status, said: said200(reply.text) };
      }),
  };
}

/** An unknown key is a 400 like a malformed event, told by the words alone. */
function assertKeyKnown(where: string, reply: HttpReply): void {
  if (reply.status !== 400 || !/routing_key|routing key/i.test(reply.text)) return;
  throw new KeelsonError('FORBIDDEN', `${where} does not know the routing key of this notifier.`, {
    details: { status: reply.status },
  });
}

/** The event of a notification, within PagerDuty's limits. */
function pagerDutyEvent(notification: Notification, routingKey: string, source: string): object {
  const { id, key, state, severity, title, text, details, type, at, correlationId } = notification;
  const { content } = notification;
  const event = { routing_key: routingKey, event_action: actions[state], dedup_key: dedup(key) };
  if (state !== 'OPEN') return event;
  const facts = encodeJson(details);
  const fits = Buffer.byteLength(facts) <= maxDetailsBytes;
  return {
    ...event,
    client: 'Keelson',
    ...linksOf(content),
    payload: {
      summary: storableText(title === '' ? type : title, 1024),
      source,
      severity: severities[severity],
      timestamp: new Date(at).toISOString(),
      class: type,
      custom_details: {
        id,
        text: storableText(text, 20_000),
        correlationId,
        ...(content === undefined ? {} : partsOf(content)),
        ...(fits ? { details: decodeJson(facts) } : { detailsLeftOut: 'too large' }),
      },
    },
  };
}

/** What custom details hold of a message in parts. */
function partsOf({ facts, items, actions }: NotificationContent): object {
  const commands = actions.flatMap(({ title, command }) =>
    command === undefined ? [] : [[title, storableText(command, 2000)]],
  );
  return {
    facts: Object.fromEntries(facts.map(({ name, value }) => [name, storableText(value, 2000)])),
    alerts: items.map(({ title, text }) => storableText(`${title}: ${text}`, 2000)),
    ...(commands.length === 0 ? {} : { actions: Object.fromEntries(commands) }),
  };
}

function linksOf(content: NotificationContent | undefined): object {
  const links = (content?.actions ?? []).flatMap(({ title, url }) =>
    url === undefined ? [] : [{ href: url, text: storableText(title, 200) }],
  );
  return links.length === 0 ? {} : { links };
}

/** At most 255 characters: longer keys keep their ends, where ids are. */
function dedup(key: string): string {
  return key.length <= 255 ? key : storableText(key.slice(-255), 255);
}
