import { describe, expect, expectTypeOf, test } from 'vitest';
import { z } from 'zod';
import { openTestPlatform, sharePlatform } from '../../test/open-test-platform.ts';
import { openTestScope } from '../../test/open-test-scope.ts';
import { eventArchiveKinds } from '../contracts/kinds/event-archive-kinds.ts';
import { eventKinds } from '../contracts/kinds/event-kinds.ts';
import type { Scope } from '../contracts/scope.ts';
import type { JsonObject } from '../json.ts';
import { uuidV7 } from '../uuid.ts';
import { declareEvents, type EventTypeDeclaration } from './declared-events.ts';
import { createEvents } from './events.ts';
import { createPlatformEvents, type PlatformEvents } from './platform-events.ts';
import { retentionTimes } from './retention.ts';

const { fresh } = sharePlatform();
const quick = { experiment: 'weather', environment: false } as const;

/** Events over a store into which anything may be written, as a former or later version would. */
async function open(types: readonly EventTypeDeclaration[] = []): Promise<{
  readonly events: PlatformEvents;
  readonly scope: Scope;
  write(type: string, schemaVersion: number, payload: JsonObject): Promise<string>;
}> {
  const { scope, ...stores } = await openTestScope({
    kinds: [...eventKinds, ...eventArchiveKinds],
  });
  const owners = { self: 'me', dead: () => [] };
  const events = createPlatformEvents(scope, createEvents(scope, owners), {
    declared: declareEvents(types),
    times: retentionTimes(),
  });
  return {
    events,
    scope,
    async write(type, schemaVersion, payload) {
      const id = uuidV7();
      const event = {
        ...{ id, type, schemaVersion, payload, subject: 's', source: 'test', at: 1 },
        ...{ correlationId: id, principal: 'user:test' },
      };
      await scope.metadata.commit({
        workspace: scope.workspace,
        principal: 'test',
        changes: [{ op: 'emit', event }],
      });
      return id;
    },
    ...stores,
  };
}

async function all<T>(events: AsyncIterable<T>): Promise<T[]> {
  const found: T[] = [];
  for await (const event of events) found.push(event);
  return found;
}

describe('events by their types', () => {
  test('an alias finds what it stands for; payloads are typed', async () => {
    const { platform } = fresh();
    const seen: number[] = [];
    await platform.events.subscribe('s', { types: ['experiment.completed'] }, (event) => {
      expectTypeOf(event.type).toEqualTypeOf<'run.completed'>();
      expectTypeOf(event.payload.finalMetrics).toEqualTypeOf<Readonly<Record<string, number>>>();
      seen.push(event.payload.finalMetrics['loss'] ?? 0);
    });
    await platform.tracking.withRun(quick, (run) => run.logMetric('loss', 0.5));
    await platform.events.deliver();
    expect(seen).toEqual([0.5]);
    const [found] = await all(platform.events.each({ types: ['experiment.completed'] }));
    expect(found?.payload.status).toBe('COMPLETED');
  });

  test('a name under one of our nouns that is no type is refused, with those that are', async () => {
    const { events } = fresh().platform;
    const wrong = { types: ['run.finished'] } as const;
    const refusal = /no event type "run.finished".*run.completed/;
    expect(() => events.each(wrong)).toThrow(refusal);
    await expect((async () => events.subscribe('s', wrong, () => undefined))()).rejects.toThrow(
      refusal,
    );
    const { signal } = new AbortController();
    expect(() => events.follow(wrong, { signal })).toThrow(refusal);
    expect(await all(events.each({ types: ['invoice.sent'] }))).toEqual([]);
  });

  test('an older payload is brought up to today’s, also for handlers', async () => {
    const { events, write } = await open();
    const old = { executionId: 'e', pipeline: 'p', status: 'COMPLETED', durationMs: 5 };
    await events.subscribe('s', { types: ['pipeline.completed'], from: 'start' }, (event) => {
      seen.push(event.payload.artifacts.length);
    });
    const seen: number[] = [];
    await write('pipeline.completed', 1, old);
    const [event] = await all(events.each({ types: ['pipeline.completed'] }));
    expect(event).toMatchObject({
      schemaVersion: 2,
      payload: { ...old, artifacts: [], metrics: {} },
    });
    await events.deliver();
    expect(seen).toEqual([0]);
  });

  test('a payload of a later version is handed through and marked', async () => {
    const { events, write } = await open();
    await write('run.deleted', 9, { run: { id: 'r' } });
    const [event] = await all(events.each());
    expect(event).toMatchObject({
      schemaVersion: 9,
      newerSchema: true,
      payload: { run: { id: 'r' } },
    });
  });

  test('fields that a later process has added are left alone; unknown types too', async () => {
    const { events, write } = await open();
    await write('run.deleted', 1, { runId: 'r', why: 'room' });
    await write('later.invented', 1, { x: 1 });
    const payloads = (await all(events.each())).map(({ payload }) => payload);
    expect(payloads).toEqual([{ runId: 'r', why: 'room' }, { x: 1 }]);
  });

  test('a payload that does not fit its type is CORRUPT by name; a subscription buries it and goes on', async () => {
    const { events, write } = await open();
    const seen: string[] = [];
    const options = { types: ['run.deleted'], from: 'start', maxAttempts: 1 } as const;
    await events.subscribe('s', options, (event) => void seen.push(event.payload.runId));
    const broken = await write('run.deleted', 1, { runId: 7 });
    await write('run.deleted', 1, { runId: 'r' });
    await expect(all(events.each())).rejects.toMatchObject({
      code: 'CORRUPT',
      details: { event: broken },
      message: expect.stringContaining('payload.runId'),
    });
    while (await events.deliver());
    expect(await events.deadLetters('s')).toMatchObject([{ eventId: broken }]);
    await events.settled(broken, { subscriptions: [] });
  });
});

describe('events of one’s own', () => {
  const invoice = {
    type: 'invoice.sent',
    payload: z.strictObject({ number: z.string(), cents: z.int() }),
    upcasts: [(payload: JsonObject) => ({ number: payload['number'] ?? '', cents: 0 })],
  };

  test('are published, handed over and read as they were declared', async () => {
    const { platform } = await openTestPlatform({ events: { types: [invoice] } });
    const payload = { number: '2026-1', cents: 500 };
    const id = await platform.events.publish({
      type: 'invoice.sent',
      subject: 'invoice:1',
      payload,
    });
    const [event] = await all(platform.events.each({ types: ['invoice.sent'] }));
    expect(event).toMatchObject({
      id,
      payload,
      schemaVersion: 2,
      source: 'user',
      subjectSequence: 1,
    });
    const wrong = {
      type: 'invoice.sent',
      subject: 'invoice:1',
      payload: { number: '1', cents: 0.5 },
    };
    await expect(platform.events.publish(wrong)).rejects.toMatchObject({
      code: 'INVALID',
      message: expect.stringContaining('payload.cents'),
    });
  });

  test('an older payload is brought up; an upcast that throws is CORRUPT', async () => {
    const broken = {
      ...invoice,
      type: 'letter.sent',
      upcasts: [
        () => {
          throw new Error('no way');
        },
      ],
    };
    const { events, write } = await open([invoice, broken]);
    await write('invoice.sent', 1, { number: '7' });
    expect((await all(events.each()))[0]?.payload).toEqual({ number: '7', cents: 0 });
    await write('letter.sent', 1, {});
    await expect(all(events.each())).rejects.toThrow(/brought up from version 1: no way/);
  });

  test('undeclared ones carry any JSON; with a receipt they are published once', async () => {
    const { platform } = fresh();
    await platform.events.subscribe(
      's',
      { types: ['thing.asked'], from: 'start' },
      async (_, { receipt }) => {
        const answer = { type: 'thing.answered', subject: 'thing:1', payload: { n: Number.NaN } };
        await platform.events.publish(answer, { receipt: receipt() });
        await platform.events.publish(answer, { receipt: receipt() });
      },
    );
    await platform.events.publish({ type: 'thing.asked', subject: 'thing:1' });
    while (await platform.events.deliver());
    const answers = await all(platform.events.each({ types: ['thing.answered'] }));
    expect(answers.map(({ payload }) => payload)).toEqual([{ n: Number.NaN }]);
    const [asked] = await all(platform.events.each({ types: ['thing.asked'] }));
    expect(answers[0]).toMatchObject({
      causationId: asked?.id,
      correlationId: asked?.correlationId,
    });
  });

  test.each([
    'run.completed',
    'run.invented',
    'experiment.completed',
    'audit.sealed',
    'Invoice.sent',
    'invoice',
    'invoice.',
    '',
    'in voice.sent',
    'x'.repeat(300),
  ])('%j cannot be published or declared', async (type) => {
    const { events } = fresh().platform;
    await expect(events.publish({ type, subject: 's' })).rejects.toMatchObject({ code: 'INVALID' });
    expect(() => declareEvents([{ type, payload: z.object({}) }])).toThrow();
  });

  test('a type that is declared twice is refused, and so is a payload over 1 MB', async () => {
    expect(() => declareEvents([invoice, invoice])).toThrow(/declared twice/);
    const { events } = fresh().platform;
    const payload = { text: 'x'.repeat(1_100_000) };
    const published = events.publish({ type: 'thing.done', subject: 's', payload });
    await expect(published).rejects.toMatchObject({ code: 'INVALID' });
    expect(await all(events.each())).toEqual([]);
  });

  test('an authorizer may refuse', async () => {
    const authorizer = {
      authorize: async ({ action }: { readonly action: string }) => ({
        allowed: action !== 'event.publish',
        reason: 'readers only read',
      }),
    };
    const { platform } = await openTestPlatform({ authorizer });
    await expect(
      platform.events.publish({ type: 'thing.done', subject: 's' }),
    ).rejects.toMatchObject({
      code: 'FORBIDDEN',
      message: expect.stringContaining('readers only read'),
    });
  });
});
