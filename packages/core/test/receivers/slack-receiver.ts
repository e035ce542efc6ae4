import { z } from 'zod';
import { type Answer, type HttpReceiver, openHttpReceiver } from './http-receiver.ts';

const plain = (max: number) =>
  z.strictObject({
    type: z.literal('plain_text'),
    text: z.string().min(1).max(max),
    emoji: z.boolean().optional(),
  });
const markup = (max: number) =>
  z.strictObject({ type: z.literal('mrkdwn'), text: z.string().min(1).max(max) });

/** Blocks as https://docs.slack.dev/reference/block-kit has them; unknown fields are refused. */
const message = z.strictObject({
  text: z.string().min(1).max(40_000),
  blocks: z
    .array(
      z.discriminatedUnion('type', [
        z.strictObject({ type: z.literal('header'), text: plain(150) }),
        z
          .strictObject({
            type: z.literal('section'),
            text: markup(3000).optional(),
            fields: z.array(markup(2000)).min(1).max(10).optional(),
          })
          .refine((section) => section.text !== undefined || section.fields !== undefined),
        z.strictObject({
          type: z.literal('context'),
          elements: z.array(markup(3000)).min(1).max(10),
        }),
        z.strictObject({ type: z.literal('divider') }),
      ]),
    )
    .max(50)
    .optional(),
});

/** An incoming webhook of Slack: `ok`, `invalid_blocks`, `no_service` for another path than `/services/T/B/x`. */
export function openSlack(
  before: () => Answer | undefined = () => undefined,
): Promise<HttpReceiver> {
  return openHttpReceiver(({ method, path, headers, body }) => {
    const first = before();
    if (first !== undefined) return first;
    if (method !== 'POST' || path !== '/services/T/B/x') return { status: 404, body: 'no_service' };
    if (!String(headers['content-type']).startsWith('application/json')) {
      return { status: 400, body: 'invalid_payload' };
    }
    let parsed: unknown;
    try {
      parsed = JSON.parse(body);
    } catch {
      return { status: 400, body: 'invalid_payload' };
    }
    const checked = message.safeParse(parsed);
    if (!checked.success) return { status: 400, body: `invalid_blocks ${checked.error.message}` };
    const { text, blocks = [] } = checked.data;
    const marked = JSON.stringify([text, ...blocks.filter(({ type }) => type !== 'header')]);
    if (/[<>]/.test(marked)) return { status: 400, body: 'markup came through' };
    return { status: 200, body: 'ok' };
  });
}
