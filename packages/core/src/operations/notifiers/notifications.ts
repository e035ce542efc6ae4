import { z } from 'zod';
import { checkOptions, having } from '../../check-options.ts';
import type { StoredEvent } from '../../contracts/event.ts';
import type { Loop } from '../../contracts/loop.ts';
import type { Change } from '../../contracts/metadata-store.ts';
import type { Notification, Notifier, NotifierReceipt, Severity } from '../../contracts/ports.ts';
import type { Predicate } from '../../contracts/query.ts';
import type { Scope } from '../../contracts/scope.ts';
import { isKeelsonError, KeelsonError } from '../../errors.ts';
import type { Events } from '../../events/events.ts';
import type { EventHandler } from '../../events/subscription.ts';
import { assertText } from '../../json.ts';
import { commitChanges, decideAndCommit } from '../decide-and-commit.ts';
import { columnIs } from '../every-record.ts';
import { type Delivery, deliveryFromRecord, deliveryRecord } from './delivery.ts';
import { createDeliveryLoop, notifierId, type QueueOwners } from './delivery-loop.ts';
import { isAtLeast, notificationOf, toldTypes } from './notification-of-event.ts';
import { notifierName } from './notifier-options.ts';

/** What a notifier is told of. */
export interface NotifierRoute {
  readonly to: Notifier;
  /** Types of event; those that tell of trouble and its end when left out. */
  readonly types?: readonly string[];
  /** The least severity; any when left out. The end of a trouble that was told of is always told. */
  readonly from?: Severity;
  /** What cannot be delivered for so long is given up, in ms; a day when left out. */
  readonly giveUpMs?: number;
  /** One attempt, in ms; 60,000 when left out. One that hangs has failed, and is made again later. */
  readonly timeoutMs?: number;
}

/** Notifiers, and what became of what they were to deliver. */
export interface Notifications {
  /**
   * Sends a notification of severity INFO at once, past the queue; rejects with what went wrong, and with
   * NOT_FOUND for a notifier that this process does not have.
   */
  test(notifier: string): Promise<NotifierReceipt>;
  /** The delivery log, newest first; at most `limit` (100 when left out, 1,000 at most). */
  deliveries(filter?: {
    readonly notifier?: string;
    readonly state?: Delivery['state'];
    readonly limit?: number;
  }): Promise<readonly Delivery[]>;
  /** Puts deliveries that were given up into the queue again. NOT_FOUND for one that is none. */
  redeliver(ids: readonly string[]): Promise<void>;
}

const day = 86_400_000;

const routeShape = z.strictObject({
  to: having<Notifier>('a Notifier', 'notify'),
  types: z.array(z.string().min(1)).min(1).optional(),
  from: z.enum(['INFO', 'WARNING', 'CRITICAL', 'EMERGENCY']).optional(),
  giveUpMs: z
    .number()
    .int()
    .min(1)
    .max(30 * day)
    .optional(),
  timeoutMs: z.number().int().min(1).max(600_000).optional(),
} satisfies Record<keyof NotifierRoute, z.ZodType>);

const routes = z.array(
  z.union([
    having<Notifier>('a Notifier', 'notify'),
    routeShape as unknown as z.ZodType<NotifierRoute>,
  ]),
);

/** How `openPlatform` checks its notifiers. */
export const notifiersOption: z.ZodType<readonly (Notifier | NotifierRoute)[]> = routes
  .refine((all) => all.every((each) => notifierName.safeParse(routeOf(each).to.name).success), {
    message: 'need names of 1 to 100 letters, digits, dots, dashes or underscores',
  })
  .refine((all) => new Set(all.map((each) => routeOf(each).to.name)).size === all.length, {
    message: 'have the same name; give each its own with `name`',
  });

function routeOf(given: Notifier | NotifierRoute): NotifierRoute {
  return 'to' in given ? given : { to: given };
}

const deliveriesShape = z.strictObject({
  notifier: z.string().optional(),
  state: z.enum(['PENDING', 'DELIVERED', 'FAILED', 'CANCELLED']).optional(),
  limit: z.number().int().min(1).max(1000).optional(),
});
const idsShape = z.strictObject({ ids: z.array(z.string()).max(500) });

/** Notifications of a scope; `subscribe` has to be called once before the loops run. */
export function createNotifications(
  scope: Scope,
  given: readonly (Notifier | NotifierRoute)[],
  parts: {
    readonly owners: QueueOwners;
    /** Asked before each attempt at what has waited; true when left out. */
    isStillWanted?(notification: Notification): Promise<boolean>;
  },
): {
  readonly notifications: Notifications;
  readonly loops: readonly Loop[];
  readonly names: readonly string[];
  subscribe(events: Pick<Events, 'subscribe'>): Promise<void>;
} {
  const { metadata, workspace, clock } = scope;
  const routes = new Map(given.map(routeOf).map((route) => [route.to.name, route]));
  const loops = [...routes.values()].map(({ to, giveUpMs = day, timeoutMs = 60_000 }) =>
    createDeliveryLoop(scope, to, { ...parts, giveUpMs, timeoutMs }),
  );

  async function ensureQueue(name: string): Promise<void> {
    const id = notifierId(name);
    if ((await metadata.find(workspace, 'notifier', id)) !== undefined) return;
    const columns = { name, dueAt: 0, failures: 0 };
    try {
      await commitChanges(scope, [{ op: 'create', kind: 'notifier', id, columns }]);
    } catch (error) {
      // Another process made it in between.
      if (!isKeelsonError(error, 'CONFLICT')) throw error;
    }
  }

  /** One delivery for an event, however often it is handed over. */
  function handlerOf(route: NotifierRoute): EventHandler {
    return async (event, { receipt }) => {
      const delivery = deliveryOf(event, route.to.name);
      if (!(await isWanted(route, event, delivery.notification))) return;
      const { id, ...rest } = delivery;
      const create: Change = { op: 'create', kind: 'delivery', id, ...deliveryRecord(rest) };
      await commitChanges(scope, [receipt(), create]);
    };
  }

  function deliveryOf(event: StoredEvent, notifier: string): Omit<Delivery, 'createdAt'> {
    const id = `delivery:${notifier}:${event.id}`;
    const notification = notificationOf(event, event.id);
    const dueAt = clock.now();
    return { id, notifier, eventId: event.id, notification, state: 'PENDING', attempts: 0, dueAt };
  }

  async function isWanted(
    { from, to, types }: NotifierRoute,
    event: StoredEvent,
    { severity, state, key }: Notification,
  ): Promise<boolean> {
    // Nobody is told by the dead that they are dead.
    if (event.type === 'notification.failed' && event.payload['notifier'] === to.name) return false;
    // Of what is told in groups the group tells, and to whom it says.
    if (event.payload['grouped'] === true && types?.includes('alert.notified') !== true) {
      if (event.type === 'alert.triggered' || event.type === 'alert.resolved') return false;
    }
    if (!isReceiver(event, to.name)) return false;
    if (from === undefined || isAtLeast(severity, from)) return true;
    if (state !== 'RESOLVED') return false;
    const of = [columnIs('notifier', to.name), columnIs('key', key)];
    return (
      (await metadata.count(workspace, 'delivery', { op: 'and', of }, { exact: true })).count > 0
    );
  }

  function getRoute(name: string): NotifierRoute {
    assertText(name, 'The name of a notifier', 100);
    const route = routes.get(name);
    if (route !== undefined) return route;
    const known = [...routes.keys()].join(', ') || 'none';
    throw new KeelsonError('NOT_FOUND', `There is no notifier ${name} here; there are: ${known}.`);
  }

  const notifications: Notifications = {
    async test(name) {
      const { to } = getRoute(name);
      const id = scope.ids.next();
      const notification: Notification = {
        id,
        type: 'notification.test',
        key: `test:${id}`,
        state: 'OPEN',
        severity: 'INFO',
        at: clock.now(),
        title: `A test of the notifier ${name}`,
        text: `${scope.principal.id} wants to know whether this arrives.`,
        details: { workspace },
        correlationId: id,
      };
      return (await to.notify(notification, AbortSignal.timeout(60_000))) ?? {};
    },

    async deliveries(filter = {}) {
      const { notifier, state, limit = 100 } = checkOptions(deliveriesShape, filter, 'deliveries');
      const of: Predicate[] = [];
      if (notifier !== undefined) of.push(columnIs('notifier', notifier));
      if (state !== undefined) of.push(columnIs('state', state));
      const { records } = await metadata.query(workspace, 'delivery', {
        where: { op: 'and', of },
        orderBy: [{ by: { from: 'column', name: 'createdAt' }, direction: 'desc' }],
        limit,
      });
      return records.map(deliveryFromRecord);
    },

    async redeliver(ids) {
      checkOptions(idsShape, { ids }, 'redeliver');
      await decideAndCommit(scope, async () => {
        const found = await metadata.findMany(workspace, 'delivery', ids);
        const missing = ids.find((id) => !found.some((record) => record.id === id));
        if (missing !== undefined) {
          throw new KeelsonError('NOT_FOUND', `There is no delivery ${JSON.stringify(missing)}.`);
        }
        const changes = found
          .map((record) => ({ record, delivery: deliveryFromRecord(record) }))
          .filter(({ delivery }) => delivery.state === 'FAILED')
          .map(({ record, delivery: { endedAt: _, ...delivery } }): Change => {
            const again = {
              ...delivery,
              state: 'PENDING',
              attempts: 0,
              dueAt: clock.now(),
            } as const;
            const { id, revision: expect } = record;
            return { op: 'replace', kind: 'delivery', id, expect, ...deliveryRecord(again) };
          });
        return { changes, result: undefined };
      });
    },
  };

  return {
    notifications,
    loops,
    names: [...routes.keys()],
    async subscribe(events) {
      for (const route of routes.values()) {
        const { name } = route.to;
        await ensureQueue(name);
        await events.subscribe(`notify:${name}`, { types: typesOf(route) }, handlerOf(route));
      }
    },
  };
}

/** Whoever wants alerts wants what is told of them in groups. */
function typesOf({ types = toldTypes }: NotifierRoute): readonly string[] {
  return types.includes('alert.triggered') ? [...new Set([...types, 'alert.notified'])] : types;
}

/** Whether an event that names its receivers names this one. */
function isReceiver({ type, payload }: StoredEvent, name: string): boolean {
  const { receivers } = payload;
  return type !== 'alert.notified' || !Array.isArray(receivers) || receivers.includes(name);
}
