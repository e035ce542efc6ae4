import type { EventFilter, StoredEvent } from '../contracts/event.ts';
import type { Loop } from '../contracts/loop.ts';
import type { Scope } from '../contracts/scope.ts';
import { isKeelsonError, KeelsonError } from '../errors.ts';
import { assertText } from '../json.ts';
import {
  createSubscriptionLoop,
  type EventHandler,
  type Owners,
  type Subscription,
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

/** What happened, and who wants to know. */
export interface Events {
  /**
   * A durable subscription: every event of the types from now on (from the first, with `from: 'start'`)
   * is handed to `handler` at least once, in order, by one process at a time. It goes on where it was
   * when a process subscribes under the name again. Delivered by `platform.start()`, or `deliver()`.
   */
  subscribe(
    name: string,
    options: {
      readonly types: readonly string[];
      readonly from?: 'now' | 'start';
      readonly maxAttempts?: number;
    },
    handler: EventHandler,
  ): Promise<{ unsubscribe(): void }>;
  /** Hands over what is due until nothing is; answers whether there was anything. */
  deliver(signal?: AbortSignal): Promise<boolean>;
  /** Resolves when the subscriptions of this process (or those named) have handled the event. */
  settled(
    eventId: string,
    options?: { readonly subscriptions?: readonly string[]; readonly timeoutMs?: number },
  ): Promise<void>;
  /** Events that match, oldest first. */
  each(filter?: EventFilter): AsyncIterable<StoredEvent>;
  /** Events from now on, in this process's lifetime only, until the signal is aborted. */
  follow(filter: EventFilter, options: { readonly signal: AbortSignal }): AsyncIterable<StoredEvent>;
  deadLetters(subscription?: string): Promise<readonly DeadLetter[]>;
  readonly loops: readonly Loop[];
}

/** Events, bound to a scope. */
export function createEvents(scope: Scope, owners: Owners): Events {
  const subscriptions = new Map<string, { readonly types: readonly string[]; readonly loop: Loop }>();
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

  async function deliver(signal: AbortSignal = new AbortController().signal): Promise<boolean> {
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

  async function* each(filter: EventFilter = {}): AsyncIterable<StoredEvent> {
    let after: string | undefined;
    for (;;) {
      const batch = await metadata.readEvents({
        workspace,
        filter,
        limit: 500,
        ...(after === undefined ? {} : { after }),
      });
      yield* batch.events;
      if (batch.cursor === after || batch.events.length === 0) return;
      after = batch.cursor;
    }
  }

  async function* follow(
    filter: EventFilter,
    { signal }: { readonly signal: AbortSignal },
  ): AsyncIterable<StoredEvent> {
    let after = await metadata.latestEventCursor();
    while (!signal.aborted) {
      try {
        await metadata.waitForEvents(after, { timeoutMs: 5_000, signal });
        const batch = await metadata.readEvents({ workspace, after, filter, limit: 500 });
        yield* batch.events;
        after = batch.cursor;
      } catch (error) {
        if (signal.aborted || isKeelsonError(error, 'CLOSED', 'ABORTED')) return;
        scope.logger.warn({ component: 'events', error }, 'Events could not be read; trying again.');
        await new Promise((resolve) => setTimeout(resolve, 1_000).unref());
      }
    }
  }

  async function hasHandled(name: string, event: StoredEvent): Promise<boolean> {
    const record = await metadata.find(workspace, 'subscription', subscriptionId(name));
    if (record === undefined) {
      throw new KeelsonError('NOT_FOUND', `There is no subscription ${name}.`);
    }
    const after = record.columns['cursor'] as string | undefined;
    // Handled when nothing of its subject and type up to it is left behind the cursor.
    const left = await metadata.readEvents({
      workspace,
      filter: { types: [event.type], subjects: [event.subject] },
      limit: 1,
      ...(after === undefined ? {} : { after }),
    });
    const next = left.events[0];
    return next === undefined || next.subjectSequence > event.subjectSequence;
  }

  return {
    each,
    follow,
    deliver,

    get loops() {
      return [...subscriptions.values()].map(({ loop }) => loop);
    },

    async subscribe(name, options, handler) {
      assertText(name, 'A subscription name', 200);
      if (subscriptions.has(name)) {
        throw new KeelsonError('CONFLICT', `This process already has a subscription ${name}.`);
      }
      await ensureRecord(name, options.from ?? 'now');
      const { types, maxAttempts = 5 } = options;
      const subscription: Subscription = { name, types, handler, maxAttempts };
      subscriptions.set(name, { types, loop: createSubscriptionLoop(scope, subscription, owners) });
      return { unsubscribe: () => void subscriptions.delete(name) };
    },

    async settled(eventId, options = {}) {
      const deadline = Date.now() + (options.timeoutMs ?? 30_000);
      const event = await findEvent(each(), eventId);
      const names =
        options.subscriptions ??
        [...subscriptions].filter(([, s]) => s.types.includes(event.type)).map(([name]) => name);
      for (const name of names) {
        while (!(await hasHandled(name, event))) {
          const loop = subscriptions.get(name)?.loop;
          const ran = (await loop?.runOnce(new AbortController().signal)) ?? false;
          if (Date.now() > deadline) {
            throw new KeelsonError('TIMEOUT', `Subscription ${name} has not handled event ${eventId} in time.`);
          }
          if (!ran) await new Promise((resolve) => setTimeout(resolve, 20));
        }
      }
    },

    async deadLetters(subscription) {
      const { records } = await metadata.query(workspace, 'dead_letter', {
        limit: 1000,
        ...(subscription === undefined
          ? {}
          : {
              where: {
                op: 'compare',
                left: { from: 'column', name: 'subscription' },
                cmp: '=',
                value: subscription,
              },
            }),
      });
      return records.map((record) => ({
        id: record.id,
        subscription: record.columns['subscription'] as string,
        eventId: record.columns['eventId'] as string,
        type: record.columns['type'] as string,
        subject: record.columns['subject'] as string,
        attempts: record.columns['attempts'] as number,
        error: record.body['error'] as string,
      }));
    },
  };
}

async function findEvent(events: AsyncIterable<StoredEvent>, id: string): Promise<StoredEvent> {
  for await (const event of events) {
    if (event.id === id) return event;
  }
  throw new KeelsonError('NOT_FOUND', `There is no event ${id}.`);
}
