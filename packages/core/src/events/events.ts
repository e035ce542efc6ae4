import { z } from 'zod';
import { checkOptions, signalOption } from '../check-options.ts';
import type { EventFilter, StoredEvent } from '../contracts/event.ts';
import type { Loop } from '../contracts/loop.ts';
import type { Scope } from '../contracts/scope.ts';
import { KeelsonError } from '../errors.ts';
import { assertText } from '../json.ts';
import { rest } from '../rest.ts';
import {
  type DeadLetter,
  type DeadLetterChoice,
  dropLetters,
  listDeadLetters,
  replayLetters,
} from './dead-letters.ts';
import { isHandling } from './hand-over.ts';
import { eachEvent, followEvents, getEvent, readPage } from './read-events.ts';
import { type ReplayFilter, type ReplayOptions, requestReplay } from './replays.ts';
import { settle } from './settling.ts';
import {
  type EventHandler,
  type OnDeadLetter,
  type Owners,
  type SubscriptionTiming,
  usualTiming,
} from './subscription.ts';
import { createSubscriptionLoop, type SubscriptionLoop } from './subscription-loop.ts';
import {
  ensureSubscription,
  findSubscription,
  removeSubscription,
  type SubscriptionView,
  viewSubscriptions,
} from './subscription-records.ts';

/** What a subscription wants to see, and how. */
export interface SubscribeOptions {
  readonly types: readonly string[];
  /** Where a new subscription begins: at what comes next (the default), or at the first event. */
  readonly from?: 'now' | 'start';
  /** How often a failing event is tried before it becomes a dead letter; 5 when left out. */
  readonly maxAttempts?: number;
  /** How many subjects are handled at once in this process; 8 when left out. */
  readonly concurrency?: number;
  /**
   * Into how many parts its subjects fall, each worked on by one process at a time; 8 when left out, 64 at
   * most. Fixed when the subscription is made. With one part and a concurrency of 1, events are handed
   * over in the order of the log.
   */
  readonly partitions?: number;
  /**
   * What becomes of the later events of a subject when one of them was given up: `skip` (the default) goes
   * on with them, `hold` has them wait until somebody replays or drops the dead letter.
   */
  readonly onDeadLetter?: OnDeadLetter;
}

/** What happened, and who wants to know. */
export interface Events {
  /**
   * A durable subscription: every event of the types from now on (from the first, with `from: 'start'`)
   * is handed to `handler` at least once, by one of the processes that subscribe under the name: events of
   * a subject one after another in their order, different subjects side by side, and no event before those
   * that caused it, as far as the subscription sees them. An event that fails is tried again, while its
   * subject waits and others go on; after `maxAttempts`, or when its process has ended five times while it
   * was handled, it becomes a dead letter. Goes on where it was when a process subscribes under the name
   * again. Delivered once `platform.start()` was called, or by `deliver()`. `unsubscribe` ends the delivery
   * to this process and resolves when handlers that are running are through (within a handler, at once).
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
  /** One page of those that match, 1,000 at most (100 when left out), after the cursor of an event or a page. */
  page(
    filter?: EventFilter,
    options?: { readonly after?: string; readonly limit?: number },
  ): Promise<{ readonly events: readonly StoredEvent[]; readonly cursor: string }>;
  /**
   * Events from now on, or from the cursor of one that was seen, in this process's lifetime only, until the signal is
   * aborted.
   */
  follow(
    filter: EventFilter,
    options: { readonly signal: AbortSignal; readonly after?: string },
  ): AsyncIterable<StoredEvent>;
  /** What subscriptions gave up, oldest first. */
  deadLetters(subscription?: string): Promise<readonly DeadLetter[]>;
  /**
   * Has dead letters handed over again, in the background; answers how many. A held subject goes on with
   * its own; the others come beside what is delivered live. NOT_FOUND for an id that is none.
   */
  replayDeadLetters(choice: DeadLetterChoice): Promise<number>;
  /** Forgets dead letters; a held subject goes on behind its own. Answers how many. */
  dropDeadLetters(choice: DeadLetterChoice): Promise<number>;
  /**
   * Has events up to now handed to a subscription again, in the background, beside what is delivered live;
   * each subject's in order. Answers an id under which {@link subscriptions} tells how far it is.
   */
  replay(subscription: string, filter?: ReplayFilter, options?: ReplayOptions): Promise<string>;
  /** How the subscriptions of the workspace do: how far behind, what is parked and why, what was given up. */
  subscriptions(): Promise<readonly SubscriptionView[]>;
  /** Removes a subscription with its place, its dead letters and what it has parked. */
  removeSubscription(name: string): Promise<void>;
  /** One for each subscription of this process. */
  readonly loops: readonly Loop[];
}

const deliverShape = z.strictObject({ signal: signalOption });
const subscribeShape = z.strictObject({
  types: z.array(z.string().min(1)).min(1),
  from: z.enum(['now', 'start']).optional(),
  maxAttempts: z.number().int().min(1).max(100).optional(),
  concurrency: z.number().int().min(1).max(1000).optional(),
  partitions: z.number().int().min(1).max(64).optional(),
  onDeadLetter: z.enum(['skip', 'hold']).optional(),
} satisfies Record<keyof SubscribeOptions, z.ZodType>);
const settledShape = z.strictObject({
  subscriptions: z.array(z.string()).optional(),
  timeoutMs: z.number().min(0).optional(),
});
const choiceShape = z.strictObject({
  subscription: z.string().min(1),
  ids: z.array(z.string()).optional(),
} satisfies Record<keyof DeadLetterChoice, z.ZodType>);
const replayFilterShape = z.strictObject({
  types: z.array(z.string()).optional(),
  subjects: z.array(z.string()).max(1000).optional(),
  correlationId: z.string().optional(),
  since: z.number().optional(),
  until: z.number().optional(),
} satisfies Record<keyof ReplayFilter, z.ZodType>);
const replayOptionsShape = z.strictObject({
  again: z.boolean().optional(),
} satisfies Record<keyof ReplayOptions, z.ZodType>);
const followShape = z.strictObject({ signal: signalOption, after: z.string().optional() });
const pageShape = z.strictObject({
  after: z.string().optional(),
  limit: z.number().int().min(1).max(1000).optional(),
});
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
  readonly loop: SubscriptionLoop;
  readonly stop: () => Promise<void>;
}

/**
 * Events, bound to a scope. `drive` starts a subscription's loop, if loops run, and answers what stops it.
 */
export function createEvents(
  scope: Scope,
  owners: Owners,
  drive: (loop: Loop) => () => Promise<void> = () => async () => undefined,
  timing: SubscriptionTiming = usualTiming,
): Events {
  const subscriptions = new Map<string, Subscribed>();
  const { metadata } = scope;

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
    const partitions = await ensureSubscription(scope, name, options);
    if (subscriptions.has(name)) {
      throw new KeelsonError('CONFLICT', `This process already has a subscription ${name}.`);
    }
    const { types, maxAttempts = 5, concurrency = 8, onDeadLetter = 'skip' } = options;
    const settings = { name, types, handler, maxAttempts, concurrency, onDeadLetter, timing };
    const loop = createSubscriptionLoop(scope, settings, owners, partitions);
    const subscribed: Subscribed = { types, loop, stop: drive(loop) };
    subscriptions.set(name, subscribed);
    return {
      async unsubscribe() {
        if (subscriptions.get(name) === subscribed) subscriptions.delete(name);
        const ended = subscribed.stop().then(() => loop.drain?.());
        // Within a handler it cannot wait for that handler.
        if (!isHandling(name)) await ended;
        else ended.catch(() => undefined);
      },
    };
  }

  async function deliver(signal: AbortSignal = new AbortController().signal): Promise<boolean> {
    checkOptions(deliverShape, { signal }, 'deliver');
    await metadata.ping();
    let any = false;
    while (!signal.aborted) {
      const loops = [...subscriptions.values()].map(({ loop }) => loop);
      let more = false;
      for (const loop of loops) if (await loop.runOnce(signal)) more = true;
      any ||= more;
      if (more) continue;
      const waits = await Promise.all(loops.map((loop) => loop.nextAttemptAt()));
      const next = waits.filter((at) => at !== undefined);
      if (next.length === 0) return any;
      // At least a moment: what is due and was not handled is in somebody else's hands.
      const waitMs = Math.min(...next) - scope.clock.now();
      await rest(Math.min(5_000, Math.max(20, waitMs)), signal);
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
      return followEvents(scope, filter, options.signal, options.after);
    },

    async page(filter = {}, options = {}) {
      checkOptions(filterShape, filter, 'A filter of events');
      checkOptions(pageShape, options, 'A page of events');
      return readPage(scope, filter, { limit: 100, ...options });
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

    deadLetters: (subscription) => listDeadLetters(scope, subscription),

    async replayDeadLetters(choice) {
      checkOptions(choiceShape, choice, 'replayDeadLetters');
      return replayLetters(scope, choice);
    },

    async dropDeadLetters(choice) {
      checkOptions(choiceShape, choice, 'dropDeadLetters');
      return dropLetters(scope, choice);
    },

    async replay(subscription, filter = {}, options = {}) {
      assertText(subscription, 'A subscription name', 200);
      checkOptions(replayFilterShape, filter, 'A replay');
      checkOptions(replayOptionsShape, options, 'A replay');
      const record = await findSubscription(scope, subscription);
      const types = record.body['types'] as readonly string[];
      return requestReplay(scope, { name: subscription, types }, filter, options);
    },

    subscriptions: () => viewSubscriptions(scope),

    async removeSubscription(name) {
      assertText(name, 'A subscription name', 200);
      await removeSubscription(scope, name);
    },
  };
}
