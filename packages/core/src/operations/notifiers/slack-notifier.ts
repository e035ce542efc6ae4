import { z } from 'zod';
import { checkOptions } from '../../check-options.ts';
import type {
  NotificationAction,
  NotificationFact,
  NotificationItem,
} from '../../contracts/notification-content.ts';
import type { Notification, Notifier, Severity } from '../../contracts/ports.ts';
import { canonicalJson, type JsonObject, storableText } from '../../json.ts';
import { type SecretSource, secretOption, withSecret } from '../secrets/secret-source.ts';
import { assertTaken, callHttp, said200 } from './http-post.ts';
import { httpUrl, notifierName, notifierTimeout, timeoutMs } from './notifier-options.ts';

/** Where Slack messages go. */
export interface SlackOptions {
  /** `slack` when left out. */
  readonly name?: string;
  /** The incoming webhook's URL, which is a secret. */
  readonly url: SecretSource;
  /** Of one attempt; 10,000 when left out. */
  readonly timeoutMs?: number;
}

const shape = z.strictObject({
  name: notifierName.optional(),
  url: secretOption,
  timeoutMs: notifierTimeout.optional(),
} satisfies Record<keyof SlackOptions, z.ZodType>);

/** Slack's own limits, in characters and pieces. */
const limits = {
  ...{ header: 150, section: 3000, field: 2000, fields: 10, text: 4000 },
  ...{ items: 10, links: 5, button: 75, url: 3000 },
};

const marks: Record<Severity, string> = {
  INFO: ':information_source:',
  WARNING: ':warning:',
  CRITICAL: ':rotating_light:',
  EMERGENCY: ':sos:',
};

/**
 * Posts each notification to an incoming webhook, as blocks. Slack has no field against repeats: a process
 * that is killed between Slack's answer and the note of it posts again.
 */
export function slackNotifier(options: SlackOptions): Notifier {
  checkOptions(shape, options, 'slackNotifier');
  const { name = 'slack' } = options;
  return {
    name,
    notify: (notification, signal) =>
      withSecret(options.url, async (secret) => {
        const url = httpUrl(secret, name);
        const reply = await callHttp({
          method: 'POST',
          url,
          headers: { 'content-type': 'application/json; charset=utf-8' },
          body: JSON.stringify(slackMessage(notification)),
          timeoutMs: options.timeoutMs ?? timeoutMs,
          signal,
          reach: 'private',
          maxAnswerBytes: 65_536,
        });
        assertTaken(url.host, gone(reply));
        return { code: reply.status, said: said200(reply.text) };
      }),
  };
}

/** A revoked hook is answered with 404 or 410: the URL, which is the secret, is to be read again. */
function gone<T extends { readonly status: number; readonly text: string }>(reply: T): T {
  const revoked = reply.status === 404 || reply.status === 410;
  return revoked && /no_service|no_team|invalid_token|channel_not_found/.test(reply.text)
    ? { ...reply, status: 403 }
    : reply;
}

/** The message of a notification, within Slack's limits whatever the notification has in it. */
function slackMessage(notification: Notification): object {
  const { severity, title, text, details, state, correlationId, at, content } = notification;
  const mark = state === 'RESOLVED' ? ':white_check_mark:' : marks[severity];
  const head = storableText(`${state === 'RESOLVED' ? 'Resolved: ' : ''}${title}`, limits.header);
  const facts = content?.facts ?? factsOf(details);
  const fields = facts.slice(0, limits.fields).map(({ name, value }) => ({
    ...{ type: 'mrkdwn', text: escaped(`*${name}*\n${value}`, limits.field) },
  }));
  return {
    text: escaped(`${mark} ${head}`, limits.text),
    blocks: [
      { type: 'header', text: { type: 'plain_text', text: head === '' ? '—' : head } },
      ...(content === undefined
        ? section(text)
        : content.items.slice(0, limits.items).flatMap(itemSection)),
      ...(fields.length === 0 ? [] : [{ type: 'section', fields }]),
      ...actionBlocks(content?.actions ?? []),
      {
        type: 'context',
        elements: [
          {
            type: 'mrkdwn',
            text: escaped(
              `${severity} · ${new Date(at).toISOString()} · correlation ${correlationId}`,
              limits.field,
            ),
          },
        ],
      },
    ],
  };
}

function section(text: string): readonly object[] {
  if (text === '') return [];
  return [{ type: 'section', text: { type: 'mrkdwn', text: escaped(text, limits.section) } }];
}

function itemSection({ title, text }: NotificationItem): readonly object[] {
  return section(`*${title}*\n${text}`);
}

/** Links as buttons, commands as text that can be copied. */
function actionBlocks(actions: readonly NotificationAction[]): readonly object[] {
  const links = actions.flatMap(({ title, url }) => (url === undefined ? [] : [{ title, url }]));
  const typed = actions.filter(({ command }) => command !== undefined);
  return [
    ...section(typed.map(({ title, command }) => `${title}: \`${command}\``).join('\n')),
    ...(links.length === 0
      ? []
      : [
          {
            type: 'actions',
            elements: links.slice(0, limits.links).map(({ title, url }) => ({
              type: 'button',
              text: { type: 'plain_text', text: storableText(title, limits.button) },
              url: url.slice(0, limits.url),
            })),
          },
        ]),
  ];
}

function factsOf(details: JsonObject): readonly NotificationFact[] {
  return Object.entries(details).map(([name, value]) => ({
    ...{ name, value: typeof value === 'string' ? value : canonicalJson(value) },
  }));
}

/** As Slack's markup has it: nobody's text becomes a link, a mention or `<!channel>`. */
function escaped(text: string, max: number): string {
  const forms: Record<string, string> = { '&': '&amp;', '<': '&lt;', '>': '&gt;' };
  let out = '';
  for (const character of text.toWellFormed()) {
    const next = forms[character] ?? character;
    if (out.length + next.length > max - 1) return `${out}…`;
    out += next;
  }
  return out;
}
