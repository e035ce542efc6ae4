import { z } from 'zod';
import { type HttpReceiver, openHttpReceiver } from './http-receiver.ts';

const key = z.string().regex(/^[A-Za-z0-9]{32}$/);
const dedup = z.string().min(1).max(255);

/** What https://developer.pagerduty.com says of POST /v2/enqueue; unknown fields are refused. */
const event = z.discriminatedUnion('event_action', [
  z.strictObject({
    routing_key: key,
    event_action: z.literal('trigger'),
    dedup_key: dedup.optional(),
    client: z.string().optional(),
    client_url: z.string().optional(),
    links: z.array(z.strictObject({ href: z.string(), text: z.string().optional() })).optional(),
    payload: z.strictObject({
      summary: z.string().min(1).max(1024),
      source: z.string().min(1),
      severity: z.enum(['critical', 'error', 'warning', 'info']),
      timestamp: z.iso.datetime({ offset: true }).optional(),
      component: z.string().optional(),
      group: z.string().optional(),
      class: z.string().optional(),
      custom_details: z.record(z.string(), z.unknown()).optional(),
    }),
  }),
  z.strictObject({ routing_key: key, event_action: z.literal('acknowledge'), dedup_key: dedup }),
  z.strictObject({ routing_key: key, event_action: z.literal('resolve'), dedup_key: dedup }),
]);

/** A PagerDuty that takes what the real one takes, and keeps incidents by their key. */
export interface PagerDutyReceiver extends HttpReceiver {
  readonly incidents: Map<string, 'triggered' | 'acknowledged' | 'resolved'>;
}

/** Speaks Events API v2: 202, 400 with the reasons, 413 beyond 512 KB. */
export async function openPagerDuty(routingKey: string): Promise<PagerDutyReceiver> {
  const incidents = new Map<string, 'triggered' | 'acknowledged' | 'resolved'>();
  const invalid = (...errors: string[]): string =>
    JSON.stringify({ status: 'invalid event', message: 'Event object is invalid', errors });
  const receiver = await openHttpReceiver(({ method, path, headers, body }) => {
    if (method !== 'POST' || path !== '/v2/enqueue') return { status: 404 };
    if (headers['content-type'] !== 'application/json') return { status: 415 };
    if (Buffer.byteLength(body) > 524_288) return { status: 413 };
    const parsed = event.safeParse(JSON.parse(body));
    if (!parsed.success) {
      const problems = parsed.error.issues.map(
        (each) => `'${each.path.join('.')}' ${each.message}`,
      );
      return { status: 400, body: invalid(...problems) };
    }
    const { data } = parsed;
    if (data.routing_key !== routingKey) {
      return { status: 400, body: invalid("'routing_key' is invalid") };
    }
    const id = data.dedup_key ?? String(incidents.size);
    const states = {
      trigger: 'triggered',
      acknowledge: 'acknowledged',
      resolve: 'resolved',
    } as const;
    // What is not open is neither acknowledged nor resolved.
    const isOpen = incidents.has(id) && incidents.get(id) !== 'resolved';
    if (data.event_action === 'trigger') {
      if (!isOpen) incidents.set(id, 'triggered');
    } else if (isOpen) incidents.set(id, states[data.event_action]);
    const answer = { status: 'success', message: 'Event processed', dedup_key: id };
    return { status: 202, body: JSON.stringify(answer) };
  });
  return Object.assign(receiver, { incidents });
}
