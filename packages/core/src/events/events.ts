import { z } from 'zod';
import { checkOptions, signalOption } from '../check-options.ts';
import type { EventFilter, StoredEvent } from '../contracts/event.ts';
import type { Loop } from '../contracts/loop.ts';
import type { StoredRecord } from '../contracts/record.ts';
import type { Scope } from '../contracts/scope.ts';
import { isKeelsonError, KeelsonError } from '../errors.ts';
import { assertText } from '../json.ts';
import { eachEvent, followEvents, getEvent } from './read-events.ts';
import { settle } from './settling.ts';
import {
  createSubscriptionLoop,
  type EventHandler,
  type Owners,
  subscriptionId,
} from './subscription-loop.ts';

/** An event that a subscription could not handle. */
export interface DeadLetter {
  readonly id: string;
  readonly subscription: string;
  readonly eventId: string;
  readonly type: string;
  readonly subject: string;
  readonly attempts: number;
  readonly error: string;
}

/** What a subscription wants to see. */
export interface SubscribeOptions {
  readonly types: readonly string[];
  /** Where a new subscription begins: at what comes next (the default), or at the first event. */
  readonly from?: 'now' | 'start';
  /** How often a failing event is tried before it becomes a dead letter; 5 when left out. */
  readonly maxAttempts?: number;
}

/** What happened, and who wants to know. */
export interface Events {
  /**
   * A durable subscription: every event of the types from now on (from the first, with `from: 'start'`)
   * is handed to `handler` at least once, in order, by one process at a time. It goes on where it was
   * when a process subscribes under the name again. Delivered once `platform.start()` was called, or by
   * `deliver()`. `unsubscribe` ends the delivery to this process and resolves when a handler that is
   * running is through.
   */
  subscribe(
    name: string,
    options: SubscribeOptions,
    handler: EventHandler,
  ): Promise<{ unsubscribe(): Promise<void> }>;
  /** Hands over what is due until nothing is; answers whether there was anything. */
  deliver(signal?: AbortSignal): Promise<boolean>;
  /**
   * Resolves when the subscriptions of this process (or those named) have handled the event, delivering
   * it where this process subscribes. FAILED with what a handler said when the event was given up,
   * TIMEOUT after `timeoutMs` (30,000 when left out), NOT_FOUND for an event or subscription that is none.
   */
  settled(
    eventId: string,
    options?: { readonly subscriptions?: readonly string[]; readonly timeoutMs?: number },
  ): Promise<void>;
  /** Events that match, oldest first. */
  each(filter?: EventFilter): AsyncIterable<StoredEvent>;
  /** Events from now on, in this process's lifetime only, until the signal is aborted. */
  follow(
    filter: EventFilter,
    options: { readonly signal: AbortSignal },
  ): AsyncIterable<StoredEvent>;
  /** What subscriptions gave up, oldest first. */
  deadLetters(subscription?: string): Promise<readonly DeadLetter[]>;
  /** One for each subscription of this process. */
  readonly loops: readonly Loop[];
}

const deliverShape = z.strictObject({ signal: signalOption });
const subscribeShape = z.strictObject({
  types: z.array(z.string().min(1)).min(1),
  from: z.enum(['now', 'start']).optional(),
  maxAttempts: z.number().int().min(1).max(100).optional(),
} satisfies Record<keyof SubscribeOptions, z.ZodType>);
const settledShape = z.strictObject({
  subscriptions: z.array(z.string()).optional(),
  timeoutMs: z.number().min(0).optional(),
});
const followShape = z.strictObject({ signal: signalOption });
const filterShape = z.strictObject({
  ids: z.array(z.string()).optional(),
  types: z.array(z.string()).optional(),
  subjects: z.array(z.string()).optional(),
  correlationId: z.string().optional(),
  since: z.number().optional(),
  until: z.number().optional(),
  partition: z.strictObject({ of: z.number(), index: z.number() }).optional(),
} satisfies Record<keyof EventFilter, z.ZodType>);

/** What is subscribed to in this process. */
interface Subscribed {
  readonly types: readonly string[];
  readonly loop: Loop;
  readonly stop: () => Promise<void>;
}

/** Events, bound to a scope. `drive` starts a subscription's loop, if loops run; it answers what stops it. */
export function createEvents(
  scope: Scope,
  owners: Owners,
  drive: (loop: Loop) => () => Promise<void> = () => async () => undefined,
): Events {
  const subscriptions = new Map<string, Subscribed>();
  const { metadata, workspace } = scope;

  async function ensureRecord(name: string, from: 'now' | 'start'): Promise<void> {
    const id = subscriptionId(name);
    if ((await metadata.find(workspace, 'subscription', id)) !== undefined) return;
    const cursor = from === 'now' ? await metadata.latestEventCursor() : undefined;
    try {
      await metadata.commit({
        workspace,
        principal: scope.principal.id,
        changes: [{ op: 'create', kind: 'subscription', id, columns: { name, cursor } }],
      });
    } catch (error) {
      // Another process made it in between, and its cursor is as good.
      if (!isKeelsonError(error, 'CONFLICT')) throw error;
    }
  }

  async function subscribe(
    name: string,
    options: SubscribeOptions,
    handler: EventHandler,
  ): Promise<{ unsubscribe(): Promise<void> }> {
    assertText(name, 'A subscription name', 200);
    checkOptions(subscribeShape, options, 'A subscription');
    if (name === '' || typeof handler !== 'function') {
      throw new KeelsonError(
        'INVALID',
        'A subscription needs a name, types, and a handler function.',
      );
    }
    await ensureRecord(name, options.from ?? 'now');
    if (subscriptions.has(name)) {
      throw new KeelsonError('CONFLICT', `This process already has a subscription ${name}.`);
    }
    const { types, maxAttempts = 5 } = options;
    const loop = createSubscriptionLoop(scope, { name, types, handler, maxAttempts }, owners);
    const subscribed: Subscribed = { types, loop, stop: drive(loop) };
    subscriptions.set(name, subscribed);
    return {
      async unsubscribe() {
        if (subscriptions.get(name) === subscribed) subscriptions.delete(name);
        await subscribed.stop();
      },
    };
  }

  async function deliver(signal: AbortSignal = new AbortController().signal): Promise<boolean> {
    checkOptions(deliverShape, { signal }, 'deliver');
    await metadata.ping();
    let any = false;
    for (let more = true; more && !signal.aborted; ) {
      more = false;
      for (const { loop } of [...subscriptions.values()]) {
        if (await loop.runOnce(signal)) more = true;
      }
      any ||= more;
    }
    return any;
  }

  return {
    subscribe,
    deliver,

    each(filter = {}) {
      checkOptions(filterShape, filter, 'A filter of events');
      return eachEvent(scope, filter);
    },

    follow(filter, options) {
      checkOptions(filterShape, filter, 'A filter of events');
      checkOptions(followShape, options, 'Following events');
      return followEvents(scope, filter, options.signal);
    },

    get loops() {
      return [...subscriptions.values()].map(({ loop }) => loop);
    },

    async settled(eventId, options = {}) {
      checkOptions(settledShape, options, 'settled');
      const deadline = performance.now() + (options.timeoutMs ?? 30_000);
      const event = await getEvent(scope, eventId);
      const names =
        options.subscriptions ??
        [...subscriptions].filter(([, s]) => s.types.includes(event.type)).map(([name]) => name);
      for (const name of names) {
        const loop = subscriptions.get(name)?.loop;
        await settle(scope, name, event, { loop, deadline });
      }
    },

    async deadLetters(subscription) {
      const of = {
        op: 'compare',
        left: { from: 'column', name: 'subscription' },
        cmp: '=',
      } as const;
      const letters: StoredRecord[] = [];
      let cursor: string | undefined;
      do {
        const page = await metadata.query(workspace, 'dead_letter', {
          limit: 1000,
          orderBy: [{ by: { from: 'column', name: 'createdAt' }, direction: 'asc' }],
          ...(subscription === undefined ? {} : { where: { ...of, value: subscription } }),
          ...(cursor === undefined ? {} : { cursor }),
        });
        letters.push(...page.records);
        cursor = page.cursor;
      } while (cursor !== undefined);
      return letters.map(deadLetterFromRecord);
    },
  };
}

function deadLetterFromRecord(record: StoredRecord): DeadLetter {
  return {
    id: record.id,
    subscription: record.columns['subscription'] as string,
    eventId: record.columns['eventId'] as string,
    type: record.columns['type'] as string,
    subject: record.columns['subject'] as string,
    attempts: record.columns['attempts'] as number,
    error: record.body['error'] as string,
  };
}
