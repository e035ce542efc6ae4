import type {
  DeadLetter,
  EventOf,
  HistoryTree,
  JsonObject,
  PublishedEvent,
  ReplayFilter,
  SubscriptionView,
} from '@keelson/core';
import { z } from 'zod';
import { headerOf } from '../../http/exchange.ts';
import type { Call, MessageStream, Route, StreamMessage } from '../route.ts';
import { answered, anyJson, asked, looseObject, time, whole } from '../schemas.ts';
import { timeOf, timeText } from '../time-text.ts';

/** An event as it is answered. */
export interface WireEvent {
  readonly id: string;
  readonly type: string;
  readonly subject: string;
  readonly source: string;
  readonly at: number;
  readonly payload: JsonObject;
  readonly schemaVersion: number;
  /** A later version has written the payload, which may have another form than its type says. */
  readonly newerSchema?: true;
  readonly correlationId: string;
  readonly causationId?: string;
  readonly principal: string;
  readonly workspace: string;
  readonly subjectSequence: number;
  /** Where to go on after it. */
  readonly cursor: string;
}

/** Which events. */
export interface EventQuery {
  readonly type?: readonly string[];
  readonly subject?: readonly string[];
  readonly correlationId?: string;
  readonly since?: string;
  readonly until?: string;
}

interface Page {
  readonly limit?: number;
  readonly cursor?: string;
}

interface EventPage {
  readonly events: readonly WireEvent[];
  readonly cursor: string;
}

interface AskReplay extends ReplayFilter {
  readonly subscription: string;
  readonly again?: boolean;
}

interface ChooseLetters {
  readonly subscription: string;
  readonly ids?: readonly string[];
}

const event = answered<WireEvent>('Event', {
  id: z.string(),
  type: z.string(),
  subject: z.string(),
  source: z.string(),
  at: time,
  payload: looseObject,
  schemaVersion: whole,
  newerSchema: z.literal(true).optional(),
  correlationId: z.string(),
  causationId: z.string().optional(),
  principal: z.string(),
  workspace: z.string(),
  subjectSequence: whole,
  cursor: z.string(),
});

const query: { readonly [K in keyof EventQuery]-?: z.ZodType } = {
  type: z
    .array(z.string())
    .describe('Names of types, or their aliases, such as run.completed')
    .optional(),
  subject: z.array(z.string()).describe('Such as run:0198…').optional(),
  correlationId: z.string().optional(),
  since: z.string().describe(timeText).optional(),
  until: z.string().describe(timeText).optional(),
};
const objects = z.array(looseObject);

/** Events under `/api/v1/events`. */
export const eventRows: {
  readonly list: Route<EventQuery & Page, EventPage>;
  readonly stream: Route<EventQuery & Page, MessageStream<WireEvent>>;
  readonly publish: Route<{ readonly body: PublishedEvent }, { readonly id: string }>;
  readonly history: Route<{ readonly correlationId: string; readonly limit?: number }, HistoryTree>;
  readonly subscriptions: Route<object, { readonly subscriptions: readonly SubscriptionView[] }>;
  readonly replay: Route<{ readonly body: AskReplay }, { readonly id: string }>;
  readonly deadLetters: Route<
    { readonly subscription?: string },
    { readonly deadLetters: readonly DeadLetter[] }
  >;
  readonly replayDeadLetters: Route<{ readonly body: ChooseLetters }, { readonly count: number }>;
} = {
  list: {
    method: 'GET',
    path: '/events',
    summary: 'Events, oldest first; the cursor goes on, also after the last one that there is',
    permission: 'event.read',
    query: {
      ...query,
      limit: z.number().int().min(1).max(1000).describe('100 when left out').optional(),
      cursor: z.string().describe('Of a page, or of an event: those after it').optional(),
    },
    answers: {
      as: 'json',
      schema: answered<EventPage>('EventPage', { events: z.array(event), cursor: z.string() }),
    },
    example: { type: ['experiment.completed'], since: '2024-01-01', limit: 10 },
    run: async ({ services, input }) => {
      const { cursor: after, limit } = input;
      const options = {
        ...(after === undefined ? {} : { after }),
        ...(limit === undefined ? {} : { limit }),
      };
      const { events, cursor } = await services.events.page(filterOf(input), options);
      return { events: events.map(wireEvent), cursor };
    },
  },
  stream: {
    method: 'GET',
    path: '/events/stream',
    summary:
      'Events as they come, as server-sent events; goes on after `Last-Event-ID` or `cursor`',
    permission: 'event.read',
    query: { ...query, cursor: z.string().optional() },
    answers: { as: 'messages', schema: event },
    example: { type: ['run.completed'] },
    async run({ services, input, headers, signal }) {
      const after = headerOf(headers, 'last-event-id') ?? input.cursor;
      // What cannot be asked is refused before the stream begins.
      await services.events.page(filterOf(input), {
        limit: 1,
        ...(after === undefined ? {} : { after }),
      });
      return { messages: messages({ services, input, signal }, after) };
    },
  },
  publish: {
    method: 'POST',
    path: '/events',
    summary: 'Says that something of one’s own has happened',
    permission: 'event.publish',
    body: asked<PublishedEvent>({
      type: z.string().describe('noun.past-participle; the nouns of the platform are taken'),
      subject: z.string().min(1).max(1000),
      payload: looseObject.optional(),
      source: z.string().min(1).max(200).optional(),
    }),
    answers: {
      as: 'json',
      status: 201,
      schema: answered<{ readonly id: string }>('EventId', { id: z.string() }),
    },
    example: {
      body: { type: 'invoice.paid', subject: 'invoice:2026-114', payload: { amount: 12 } },
    },
    run: async ({ services, input }) => ({ id: await services.events.publish(input.body) }),
  },
  history: {
    method: 'GET',
    path: '/events/history/{correlationId}',
    summary: 'A whole workflow: causes above effects',
    permission: 'event.read',
    query: { limit: z.number().int().min(1).max(10_000).optional() },
    answers: {
      as: 'json',
      schema: answered<HistoryTree>('HistoryTree', {
        correlationId: z.string(),
        roots: z.array(anyJson),
        events: whole,
        truncated: z.boolean(),
      }),
    },
    example: { correlationId: 'order-1' },
    run: ({ services, input: { correlationId, ...options } }) =>
      services.events.historyTree(correlationId, options),
  },
  subscriptions: {
    method: 'GET',
    path: '/events/subscriptions',
    summary: 'How the subscriptions do: how far behind, what is parked and why, what was given up',
    permission: 'event.read',
    answers: {
      as: 'json',
      schema: answered<{ readonly subscriptions: readonly SubscriptionView[] }>('Subscriptions', {
        subscriptions: objects,
      }),
    },
    example: {},
    run: async ({ services }) => ({ subscriptions: await services.events.subscriptions() }),
  },
  replay: {
    method: 'POST',
    path: '/events/replay',
    summary: 'Has events up to now handed to a subscription again, in the background',
    permission: 'event.subscribe',
    body: asked<AskReplay>({
      subscription: z.string(),
      types: z.array(z.string()).optional(),
      subjects: z.array(z.string()).optional(),
      correlationId: z.string().optional(),
      since: time.optional(),
      until: time.optional(),
      again: z.boolean().describe('Effects count anew').optional(),
    }),
    answers: {
      as: 'json',
      status: 202,
      schema: answered<{ readonly id: string }>('ReplayId', { id: z.string() }),
    },
    example: { body: { subscription: 'mail', types: ['run.completed'], since: 0 } },
    async run({ services, input }) {
      const { subscription, again, ...filter } = input.body;
      const options = again === undefined ? {} : { again };
      return { id: await services.events.replay(subscription, filter, options) };
    },
  },
  deadLetters: {
    method: 'GET',
    path: '/events/dead-letters',
    summary: 'What subscriptions gave up, oldest first',
    permission: 'event.read',
    query: { subscription: z.string().optional() },
    answers: {
      as: 'json',
      schema: answered<{ readonly deadLetters: readonly DeadLetter[] }>('DeadLetters', {
        deadLetters: objects,
      }),
    },
    example: { subscription: 'mail' },
    run: async ({ services, input }) => ({
      deadLetters: await services.events.deadLetters(input.subscription),
    }),
  },
  replayDeadLetters: {
    method: 'POST',
    path: '/events/dead-letters/replay',
    summary: 'Has dead letters handed over again',
    permission: 'event.subscribe',
    body: asked<ChooseLetters>({
      subscription: z.string(),
      ids: z.array(z.string()).describe('All of the subscription when left out').optional(),
    }),
    answers: {
      as: 'json',
      status: 202,
      schema: answered<{ readonly count: number }>('ReplayCount', { count: whole }),
    },
    example: { body: { subscription: 'mail' } },
    run: async ({ services, input }) => ({
      count: await services.events.replayDeadLetters(input.body),
    }),
  },
};

function filterOf({ type, subject, correlationId, since, until }: EventQuery): {
  readonly types?: readonly string[];
  readonly subjects?: readonly string[];
  readonly correlationId?: string;
  readonly since?: number;
  readonly until?: number;
} {
  return {
    ...(type === undefined ? {} : { types: type }),
    ...(subject === undefined ? {} : { subjects: subject }),
    ...(correlationId === undefined ? {} : { correlationId }),
    ...(since === undefined ? {} : { since: timeOf('since', since) }),
    ...(until === undefined ? {} : { until: timeOf('until', until) }),
  };
}

/** An event as it is answered. Payloads are JSON whatever their type has them as. */
function wireEvent(of: EventOf): WireEvent {
  const { id, type, subject, source, at, payload, schemaVersion } = of;
  const { correlationId, causationId, principal, workspace, subjectSequence, cursor } = of;
  return {
    ...{ id, type, subject, source, at, payload, schemaVersion },
    ...{ correlationId, ...(causationId === undefined ? {} : { causationId }) },
    ...{ principal, workspace, subjectSequence, cursor },
    ...(of.newerSchema === undefined ? {} : { newerSchema: of.newerSchema }),
  };
}

async function* messages(
  { services, input, signal }: Pick<Call<EventQuery>, 'services' | 'input' | 'signal'>,
  after: string | undefined,
): AsyncGenerator<StreamMessage<WireEvent>, void, undefined> {
  const options = { signal, ...(after === undefined ? {} : { after }) };
  for await (const each of services.events.follow(filterOf(input), options)) {
    yield { id: each.cursor, event: each.type, data: wireEvent(each) };
  }
}
