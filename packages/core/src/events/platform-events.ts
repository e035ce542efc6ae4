import { z } from 'zod';
import { assertObject, checkOptions } from '../check-options.ts';
import type { EventFilter, StoredEvent } from '../contracts/event.ts';
import type { Change } from '../contracts/metadata-store.ts';
import type { Scope } from '../contracts/scope.ts';
import { KeelsonError } from '../errors.ts';
import { assertText, type JsonObject } from '../json.ts';
import { archivedEvents, everyEvent } from './archived-events.ts';
import { currentCorrelation } from './correlation.ts';
import { assertOwnType, type DeclaredEvents, resolveTypes } from './declared-events.ts';
import { draftEvent } from './draft-event.ts';
import { archiveFromRecord, archiveRecords, type EventArchive } from './event-archives.ts';
import type { Events, SubscribeOptions } from './events.ts';
import { type HistoryOptions, type HistoryTree, readHistory } from './history-tree.ts';
import type { ReplayFilter } from './replays.ts';
import type { RetentionTimes } from './retention.ts';
import type { EventHandler } from './subscription.ts';
import { type EventOf, reviveEvent } from './typed-event.ts';

/** Handles one event of the types subscribed to; what it throws is retried. */
export type TypedHandler<T extends string> = (
  event: EventOf<T>,
  context: Parameters<EventHandler>[1],
) => Promise<void> | void;

/** Which events; types are names of the catalogue, their aliases, or those of one's own. */
export interface TypedFilter<T extends string> extends Omit<EventFilter, 'types'> {
  readonly types?: readonly T[];
  /** Those that retention has moved into archives too: they come first, in the order of their moving. */
  readonly archived?: boolean;
}

/** An event of one's own. */
export interface PublishedEvent {
  /** `noun.past-participle`; the nouns of the platform's own types are taken. */
  readonly type: string;
  /** The entity, such as `invoice:2026-114`: events of one subject are handed over in order. */
  readonly subject: string;
  /** As its type was declared (`openPlatform({ events: { types } })`); any JSON where it was not. */
  readonly payload?: JsonObject;
  /** The component that says it; `user` when left out. */
  readonly source?: string;
}

/** What happened, who wants to know, and what one has to say oneself. */
export interface PlatformEvents extends Omit<Events, 'subscribe' | 'each' | 'page' | 'follow'> {
  /** {@link Events.subscribe}, with events checked and typed by their types. */
  subscribe<const T extends string>(
    name: string,
    options: Omit<SubscribeOptions, 'types'> & { readonly types: readonly T[] },
    handler: TypedHandler<T>,
  ): ReturnType<Events['subscribe']>;
  /** Events that match, oldest first. CORRUPT, naming it, at one that is not what its type says. */
  each<const T extends string = string>(filter?: TypedFilter<T>): AsyncIterable<EventOf<T>>;
  /** Those that retention has moved out of the log and that match, in the order of their moving. */
  archived<const T extends string = string>(
    filter?: Omit<TypedFilter<T>, 'archived'>,
  ): AsyncIterable<EventOf<T>>;
  /** The archives that retention has made, oldest first. */
  archives(): AsyncIterable<EventArchive>;
  /** {@link Events.page}, with events checked and typed by their types. */
  page<const T extends string = string>(
    filter?: Omit<TypedFilter<T>, 'archived'>,
    options?: Parameters<Events['page']>[1],
  ): Promise<{ readonly events: readonly EventOf<T>[]; readonly cursor: string }>;
  /** {@link Events.follow}, with events checked and typed by their types. */
  follow<const T extends string = string>(
    filter: Omit<TypedFilter<T>, 'archived'>,
    options: Parameters<Events['follow']>[1],
  ): AsyncIterable<EventOf<T>>;
  /**
   * Says that something of one's own has happened; answers the event's id once it is durable. With the
   * `receipt` of a handler's context, once however often the handler runs. INVALID for types of the
   * platform, and naming the field for a payload that its declaration refuses.
   */
  publish(event: PublishedEvent, options?: { readonly receipt?: Change }): Promise<string>;
  /** The whole workflow of a correlation, causes above effects; `historyText` prints it. */
  historyTree(correlationId: string, options?: HistoryOptions): Promise<HistoryTree>;
}

const publishShape = z.strictObject({
  type: z.string(),
  subject: z.string().min(1).max(1000),
  payload: z
    .custom((value) => typeof value === 'object' && value !== null, 'must be an object')
    .optional(),
  source: z.string().min(1).max(200).optional(),
} satisfies Record<keyof PublishedEvent, z.ZodType>);
const receiptShape = z.strictObject({
  receipt: z.looseObject({ op: z.literal('create'), kind: z.literal('receipt') }).optional(),
});

/** What users see of events: {@link Events} under the catalogue. */
export function createPlatformEvents(
  scope: Scope,
  events: Events,
  parts: { readonly declared: DeclaredEvents; readonly times: RetentionTimes },
): PlatformEvents {
  const { declared, times } = parts;

  async function* revived<T extends string>(
    stored: AsyncIterable<StoredEvent>,
  ): AsyncIterable<EventOf<T>> {
    for await (const event of stored) yield reviveEvent<T>(event, declared);
  }

  function stored(filter: TypedFilter<string> = {}): AsyncIterable<StoredEvent> {
    const { archived, ...rest } = withTypes(assertObject(filter, 'A filter of events'));
    if (archived !== undefined && typeof archived !== 'boolean') {
      throw new KeelsonError('INVALID', 'A filter of events takes `archived` as true or false.');
    }
    // Made, and with it checked, before anything is read.
    const log = events.each(rest);
    return archived === true ? everyEvent(scope, rest, times) : log;
  }

  async function publish(
    event: PublishedEvent,
    options: { readonly receipt?: Change } = {},
  ): Promise<string> {
    checkOptions(publishShape, event, 'events.publish');
    const { receipt } = checkOptions(receiptShape, options, 'events.publish');
    const type = assertOwnType(event.type);
    assertText(event.subject, 'The subject of an event');
    await assertMayPublish(scope, type);
    const { payload = {}, subject, source = 'user' } = event;
    const rules = declared.rules(type);
    const problem = rules?.problem(payload);
    if (problem !== undefined) {
      throw new KeelsonError('INVALID', `An event ${type} cannot be published so: ${problem}.`, {
        details: { type, problem },
      });
    }
    const schemaVersion = rules?.schemaVersion ?? 1;
    const draft = draftEvent(scope, { type, subject, source, payload, schemaVersion });
    const correlationId = currentCorrelation()?.correlationId;
    await scope.metadata.commit({
      workspace: scope.workspace,
      principal: scope.principal.id,
      changes: [...(receipt === undefined ? [] : [receipt]), { op: 'emit', event: draft }],
      ...(correlationId === undefined ? {} : { correlationId }),
    });
    return draft.id;
  }

  return {
    ...events,
    get loops() {
      return events.loops;
    },
    publish,

    async subscribe(name, options, handler) {
      const typed: EventHandler = (event, context) =>
        handler(reviveEvent(event, declared), context);
      // What is no function is refused where the rest is.
      const checked = typeof handler === 'function' ? typed : handler;
      return events.subscribe(name, withTypes(options), checked as EventHandler);
    },

    replay: (subscription, filter, options) =>
      events.replay(subscription, withTypes<ReplayFilter>(filter ?? {}), options),

    each: (filter) => revived(stored(filter)),

    archived: (filter = {}) => {
      const rest = withTypes(assertObject(filter, 'A filter of events'));
      // The log is not read: only its check is wanted.
      events.each(rest);
      return revived(archivedEvents(scope, rest));
    },

    async *archives() {
      for await (const record of archiveRecords(scope)) yield archiveFromRecord(record);
    },

    async page<T extends string>(
      filter: Omit<TypedFilter<T>, 'archived'> = {},
      options: Parameters<Events['page']>[1] = {},
    ) {
      const page = await events.page(withTypes<typeof filter>(filter), options);
      const revive = (event: StoredEvent): EventOf<T> => reviveEvent<T>(event, declared);
      return { events: page.events.map(revive), cursor: page.cursor };
    },

    follow: (filter, options) => revived(events.follow(withTypes(filter), options)),

    historyTree: (correlationId, options) =>
      readHistory(
        (filter) => stored(options?.archived === true ? { ...filter, archived: true } : filter),
        correlationId,
        options,
      ),
  };
}

/** Aliases resolved; whatever is no list of names is left to the check behind. */
function withTypes<T extends { readonly types?: readonly string[] }>(options: T): T {
  const types: unknown = options?.types;
  const named = Array.isArray(types) && types.every((type) => typeof type === 'string');
  return named ? { ...options, types: resolveTypes(types) } : options;
}

async function assertMayPublish(scope: Scope, type: string): Promise<void> {
  const { principal, workspace } = scope;
  const asked = { principal, workspace, action: 'event.publish', resource: `event:${type}` };
  const { allowed, reason } = await scope.authorizer.authorize(asked);
  if (allowed) return;
  throw new KeelsonError('FORBIDDEN', `${principal.id} may not publish ${type}: ${reason}.`, {
    details: asked,
  });
}
