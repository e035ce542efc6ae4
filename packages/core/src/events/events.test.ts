import { setTimeout as sleep } from 'node:timers/promises';
import { describe, expect, test } from 'vitest';
import { openTestEvents } from '../../test/open-test-events.ts';
import { temporaryDirectory, until } from '../../test/open-test-platform.ts';
import type { StoredEvent } from '../contracts/event.ts';
import { currentCorrelation, withCorrelation } from './correlation.ts';
import { draftEvent } from './draft-event.ts';
import type { SubscribeOptions } from './events.ts';

const things: SubscribeOptions = { types: ['thing.done'] };
const place = (event: StoredEvent): string => `${event.subject} ${event.subjectSequence}`;

describe('each', () => {
  test('gives every event that matches once, in order, over many pages', async () => {
    const { events, emit } = await openTestEvents();
    const subjects = Array.from({ length: 1201 }, (_, i) => `s:${i % 7}`);
    const ids = await emit(...subjects, 'other other.done');
    const all = await Array.fromAsync(events.each({ types: ['thing.done'] }));
    expect(all.map((event) => event.id)).toEqual(ids.slice(0, -1));
    const one = await Array.fromAsync(events.each({ subjects: ['s:3'] }));
    expect(one.map((event) => event.subjectSequence)).toEqual(
      [...Array(172).keys()].map((i) => i + 1),
    );
    expect(await Array.fromAsync(events.each({ ids: ids.slice(5, 7) }))).toHaveLength(2);
    expect(await Array.fromAsync(events.each({ types: ['nothing'] }))).toEqual([]);
    expect(() => events.each({ type: 'thing.done' } as object)).toThrow('"type"');
  });
});

describe('follow', () => {
  test('gives what comes after the call, also before it is asked for, until it is aborted', async () => {
    const { events, emit } = await openTestEvents();
    await emit('before');
    const controller = new AbortController();
    const following = events.follow(things, { signal: controller.signal });
    // The place is taken by the call itself.
    await events.each({ ids: [] })[Symbol.asyncIterator]().next();
    await emit('one', 'two other.done', 'three');
    const seen: string[] = [];
    for await (const event of following) {
      seen.push(event.subject);
      if (seen.length === 2) await emit('four');
      if (seen.length === 3) controller.abort();
    }
    expect(seen).toEqual(['one', 'three', 'four']);
    expect(() => events.follow({}, {} as never)).toThrow('AbortSignal');
  });

  test('an event is seen within a second; closing the stores ends it', async () => {
    const { events, emit, test: opened } = await openTestEvents();
    const following = events.follow(things, { signal: new AbortController().signal });
    const iterator = following[Symbol.asyncIterator]();
    const first = iterator.next();
    await sleep(50);
    const emittedAt = performance.now();
    await emit('one');
    expect((await first).value).toMatchObject({ subject: 'one' });
    expect(performance.now() - emittedAt).toBeLessThan(1000);
    const end = iterator.next();
    await opened.stores.close({ timeoutMs: 1000 });
    expect(await end).toMatchObject({ done: true });
  });
});

describe('subscribe', () => {
  test('hands over each event once and in order, from now on or from the start', async () => {
    const { events, emit } = await openTestEvents();
    await emit('a', 'b');
    const fromNow: string[] = [];
    const fromStart: string[] = [];
    await events.subscribe('now', things, (event) => void fromNow.push(place(event)));
    await events.subscribe('start', { ...things, from: 'start' }, (event) => {
      fromStart.push(place(event));
    });
    await emit('a', 'b other.done', 'a');
    expect(await events.deliver()).toBe(true);
    expect(fromNow).toEqual(['a 2', 'a 3']);
    expect(fromStart.filter((text) => text.startsWith('a'))).toEqual(['a 1', 'a 2', 'a 3']);
    expect(fromStart.filter((text) => text.startsWith('b'))).toEqual(['b 1']);
    expect(await events.deliver()).toBe(false);
    expect(fromNow).toHaveLength(2);
  });

  test('more than a batch, events of events included', async () => {
    const { events, emit } = await openTestEvents();
    const seen: number[] = [];
    await events.subscribe('many', { types: ['thing.done', 'more.done'] }, async (event) => {
      seen.push(event.payload['n'] as number);
      if (seen.length === 250) await emit('x more.done');
    });
    await emit(...Array.from({ length: 350 }, () => 'a'));
    await events.deliver();
    expect(seen).toEqual([...Array(350).keys(), 0]);
  });

  test('goes on where it was, in another process of the same name', async () => {
    const dir = await temporaryDirectory();
    const one = await openTestEvents({ dir });
    const seen: string[] = [];
    await one.events.subscribe('s', things, (event) => void seen.push(`one ${place(event)}`));
    await one.emit('a');
    await one.events.deliver();
    await one.test.stores.close({ timeoutMs: 1000 });
    const two = await openTestEvents({ dir });
    await two.emit('a');
    await two.events.subscribe('s', things, (event) => void seen.push(`two ${place(event)}`));
    await two.events.deliver();
    expect(seen).toEqual(['one a 1', 'two a 2']);
  });

  test.each<[string, unknown, unknown, unknown, string, string]>([
    ['no name', '', things, () => {}, 'INVALID', 'a name'],
    ['a long name', 'n'.repeat(201), things, () => {}, 'INVALID', 'at most 200'],
    ['no types', 's', { types: [] }, () => {}, 'INVALID', 'types'],
    ['an unknown option', 's', { ...things, since: 0 }, () => {}, 'INVALID', '"since"'],
    ['an unknown start', 's', { ...things, from: 'end' }, () => {}, 'INVALID', 'from'],
    ['no attempts', 's', { ...things, maxAttempts: 0 }, () => {}, 'INVALID', 'maxAttempts'],
    ['no handler', 's', things, undefined, 'INVALID', 'handler'],
  ])('%s is refused by name', async (_, name, options, handler, code, message) => {
    const { events } = await openTestEvents();
    await expect(
      events.subscribe(name as string, options as SubscribeOptions, handler as () => void),
    ).rejects.toMatchObject({ code, message: expect.stringContaining(message) });
    expect(events.loops).toEqual([]);
  });

  test('a name may be taken once in a process, and again after it was given up', async () => {
    const { events, emit } = await openTestEvents();
    const seen: string[] = [];
    const attempts = await Promise.allSettled(
      ['one', 'two'].map((who) => events.subscribe('s', things, () => void seen.push(who))),
    );
    expect(attempts.map((each) => each.status).sort()).toEqual(['fulfilled', 'rejected']);
    expect(attempts.find((each) => each.status === 'rejected')?.reason).toMatchObject({
      code: 'CONFLICT',
    });
    const first = attempts.find((each) => each.status === 'fulfilled')?.value;
    await first?.unsubscribe();
    await emit('a');
    expect(await events.deliver()).toBe(false);
    await events.subscribe('s', things, () => void seen.push('three'));
    await events.deliver();
    expect(seen).toEqual(['three']);
  });

  test('while nothing is due it only reads', async () => {
    const { events, emit, test: opened } = await openTestEvents();
    await events.subscribe('s', things, () => undefined);
    await emit('a', 'b other.done');
    await events.deliver();
    const revision = async (): Promise<unknown> =>
      (await opened.scope.metadata.find('default', 'subscription_partition', 'subscription:s/0'))
        ?.revision;
    const before = await revision();
    const { scope } = opened;
    const calls: string[] = [];
    for (const name of ['commit', 'claim', 'renew', 'release'] as const) {
      const original = scope.metadata[name].bind(scope.metadata) as (...a: unknown[]) => unknown;
      Object.defineProperty(scope.metadata, name, {
        value: (...args: unknown[]) => {
          calls.push(name);
          return original(...args);
        },
      });
    }
    for (let i = 0; i < 20; i += 1) expect(await events.deliver()).toBe(false);
    // Neither what the filter leaves out makes it write.
    await emit('b other.done');
    calls.length = 0;
    for (let i = 0; i < 20; i += 1) expect(await events.deliver()).toBe(false);
    expect(calls).toEqual([]);
    expect(await revision()).toBe(before);
    await emit('a');
    expect(await events.deliver()).toBe(true);
    expect(calls).not.toEqual([]);
  });
});

describe('correlation', () => {
  test('is carried from a caller over events and handlers to what they emit', async () => {
    const { events, emit, test: opened } = await openTestEvents();
    const { scope } = opened;
    await events.subscribe('s', things, async (event) => {
      await sleep(1);
      expect(currentCorrelation()).toEqual({
        correlationId: event.correlationId,
        causationId: event.id,
      });
      await emit('b followed.by');
    });
    await withCorrelation({ correlationId: 'the request' }, async () => {
      await sleep(1);
      await emit('a');
    });
    await events.deliver();
    const [first, second] = await Array.fromAsync(events.each());
    expect(first).toMatchObject({ correlationId: 'the request' });
    expect(first?.causationId).toBeUndefined();
    expect(second).toMatchObject({ correlationId: 'the request', causationId: first?.id });
    // Without a beginning, an event is its own.
    const alone = draftEvent(scope, { type: 't', subject: 's', source: 'x', payload: {} });
    expect(alone.correlationId).toBe(alone.id);
    expect(currentCorrelation()).toBeUndefined();
  });
});

describe('a handler that fails', () => {
  test('is tried again with growing rests; later events wait', async () => {
    const { events, emit, test: opened } = await openTestEvents();
    const seen: string[] = [];
    let failures = 2;
    await events.subscribe('s', things, (event) => {
      seen.push(place(event));
      failures -= 1;
      if (failures >= 0) throw new Error('not yet');
    });
    await emit('a', 'a');
    const startedAt = performance.now();
    await events.deliver();
    expect(performance.now() - startedAt).toBeGreaterThan(100 + 200 - 20);
    expect(seen).toEqual(['a 1', 'a 1', 'a 1', 'a 2']);
    expect(opened.logs.map((line) => line.level)).toEqual(['warn', 'warn']);
    expect(await events.deadLetters()).toEqual([]);
  });

  test('for ever: the event becomes a dead letter, an event tells so, the others go on', async () => {
    const { events, emit } = await openTestEvents();
    const seen: string[] = [];
    const handler = (event: StoredEvent): void => {
      seen.push(place(event));
      if (place(event) === 'a 2') throw new Error(`bad \u0000 thing${'!'.repeat(3000)}\ud800`);
    };
    await events.subscribe('s', { ...things, maxAttempts: 2 }, handler);
    const ids = await withCorrelation({ correlationId: 'c' }, () => emit('a', 'a', 'a'));
    await events.deliver();
    expect(seen).toEqual(['a 1', 'a 2', 'a 2', 'a 3']);
    const [letter, ...more] = await events.deadLetters('s');
    expect(more).toEqual([]);
    expect(letter).toMatchObject({
      subscription: 's',
      eventId: ids[1],
      type: 'thing.done',
      subject: 'a',
      attempts: 2,
      error: expect.stringMatching(/^bad \ufffd thing!+…$/),
    });
    expect(await events.deadLetters('other')).toEqual([]);
    const [told] = await Array.fromAsync(events.each({ types: ['event.dead-lettered'] }));
    expect(told).toMatchObject({
      correlationId: 'c',
      causationId: ids[1],
      payload: { subscription: 's' },
    });
    await expect(events.settled(ids[1] ?? '')).rejects.toMatchObject({
      code: 'FAILED',
      message: expect.stringMatching(/Subscription s gave up event .*: bad/),
    });
    await events.settled(ids[2] ?? '');
  });

  test('a subscription to dead letters that fails does not feed itself', async () => {
    const { events, emit } = await openTestEvents();
    const fail = (): never => {
      throw new Error('always');
    };
    await events.subscribe('s', { ...things, maxAttempts: 1 }, fail);
    await events.subscribe('letters', { types: ['event.dead-lettered'], maxAttempts: 1 }, fail);
    await emit('a');
    await events.deliver();
    expect((await events.deadLetters()).map((letter) => letter.subscription)).toEqual([
      's',
      'letters',
    ]);
  });

  test('an event that was buried before a kill does not stop the subscription', async () => {
    const { events, emit, test: opened } = await openTestEvents();
    const seen: string[] = [];
    await events.subscribe('s', { ...things, maxAttempts: 1 }, (event) => {
      seen.push(place(event));
      if (seen.length === 1) throw new Error('again');
    });
    const [id = ''] = await emit('a', 'a');
    const columns = {
      subscription: 's',
      eventId: id,
      type: 'thing.done',
      subject: 'a',
      attempts: 1,
      state: 'GIVEN_UP',
      held: false,
    };
    await opened.scope.metadata.commit({
      workspace: 'default',
      principal: 'test',
      changes: [
        {
          op: 'create',
          kind: 'dead_letter',
          id: `dead-letter:s:${id}`,
          columns,
          body: { error: 'x' },
        },
      ],
    });
    await events.deliver();
    expect(seen).toEqual(['a 1', 'a 2']);
    expect(await events.deadLetters()).toHaveLength(1);
  });

  test('when it is told to stop, the event is kept for the next time', async () => {
    const { events, emit } = await openTestEvents();
    const controller = new AbortController();
    let calls = 0;
    await events.subscribe('s', { ...things, maxAttempts: 1 }, (_, { signal }) => {
      calls += 1;
      if (calls > 1) return;
      controller.abort();
      expect(signal.aborted).toBe(true);
      throw new Error('stopped in the middle');
    });
    await emit('a');
    const startedAt = performance.now();
    await events.deliver(controller.signal);
    expect(calls).toBe(1);
    expect(performance.now() - startedAt).toBeLessThan(5000);
    expect(await events.deadLetters()).toEqual([]);
    await events.deliver();
    expect(calls).toBe(2);
  });
});

describe('receipt', () => {
  test('delivered twice, the effects come once, and the event counts as handled', async () => {
    const { events, emit, test: opened } = await openTestEvents();
    const { metadata } = opened.scope;
    const commit = { workspace: 'default', principal: 'test' };
    await metadata.commit({
      ...commit,
      changes: [{ op: 'create', kind: 'tally', id: 't', columns: { count: 0 } }],
    });
    let deliveries = 0;
    const adjust = { op: 'adjust', kind: 'tally', id: 't', column: 'count', by: 1 } as const;
    await events.subscribe('s', things, async (_, { receipt }) => {
      deliveries += 1;
      await metadata.commit({ ...commit, changes: [receipt(), adjust] });
      // The commit is there, and then something else fails: the event is delivered again.
      if (deliveries === 1) throw new Error('after the commit');
    });
    await emit('a');
    await events.deliver();
    expect(deliveries).toBe(2);
    expect((await metadata.find('default', 'tally', 't'))?.columns['count']).toBe(1);
    expect(await events.deadLetters()).toEqual([]);
  });

  test('another CONFLICT is a failure like any', async () => {
    const { events, emit, test: opened } = await openTestEvents();
    const { metadata } = opened.scope;
    const create = { op: 'create', kind: 'tally', id: 't', columns: { count: 0 } } as const;
    await metadata.commit({ workspace: 'default', principal: 'test', changes: [create] });
    await events.subscribe('s', { ...things, maxAttempts: 1 }, async (_, { receipt }) => {
      const changes = [receipt(), create];
      await metadata.commit({ workspace: 'default', principal: 'test', changes });
    });
    await emit('a');
    await events.deliver();
    expect(await events.deadLetters()).toHaveLength(1);
  });
});

describe('settled', () => {
  test('delivers here, waits for others, and says which subscription is late', async () => {
    const dir = await temporaryDirectory();
    const here = await openTestEvents({ dir });
    const there = await openTestEvents({ dir });
    const seen: string[] = [];
    await here.events.subscribe('here', things, () => void seen.push('here'));
    await there.events.subscribe('there', things, () => void seen.push('there'));
    const [id = ''] = await here.emit('a', 'b');
    await here.events.settled(id);
    expect(seen).toEqual(['here', 'here']);
    await expect(
      here.events.settled(id, { subscriptions: ['here', 'there'], timeoutMs: 100 }),
    ).rejects.toMatchObject({
      code: 'TIMEOUT',
      message: expect.stringContaining('Subscription there'),
    });
    const waiting = here.events.settled(id, { subscriptions: ['there'] });
    await there.events.deliver();
    await waiting;
    expect(seen).toEqual(['here', 'here', 'there', 'there']);
  });

  test('a handler that hangs makes it late, not hang', async () => {
    const { events, emit } = await openTestEvents();
    let release = (): void => undefined;
    await events.subscribe(
      's',
      things,
      () =>
        new Promise((resolve) => {
          release = resolve;
        }),
    );
    const [id = ''] = await emit('a');
    const startedAt = performance.now();
    await expect(events.settled(id, { timeoutMs: 200 })).rejects.toMatchObject({ code: 'TIMEOUT' });
    expect(performance.now() - startedAt).toBeLessThan(5000);
    release();
    await events.settled(id);
  });

  test('finds the event among thousands without reading them', async () => {
    const { events, emit, test: opened } = await openTestEvents();
    await emit(...Array.from({ length: 2000 }, (_, i) => `s:${i}`));
    const seen: string[] = [];
    await events.subscribe('s', things, (event) => void seen.push(event.subject));
    const [id = ''] = await emit('last');
    const { metadata } = opened.scope;
    const original = metadata.readEvents.bind(metadata);
    let read = 0;
    Object.defineProperty(metadata, 'readEvents', {
      value: async (request: Parameters<typeof original>[0]) => {
        const page = await original(request);
        read += page.events.length;
        return page;
      },
    });
    await events.settled(id);
    expect(seen).toEqual(['last']);
    expect(read).toBeLessThan(10);
  });

  test('an event or subscription that is none is NOT_FOUND', async () => {
    const { events, emit } = await openTestEvents();
    await expect(events.settled('none')).rejects.toMatchObject({ code: 'NOT_FOUND' });
    const [id = ''] = await emit('a');
    await expect(events.settled(id, { subscriptions: ['none'] })).rejects.toMatchObject({
      code: 'NOT_FOUND',
      message: expect.stringContaining('no subscription none'),
    });
    // Nobody wants it: settled.
    await events.settled(id);
    await expect(events.settled(id, { timeout: 5 } as object)).rejects.toMatchObject({
      code: 'INVALID',
    });
  });
});

describe('a claim that is lost', () => {
  test('the other process handles the event; the first one is told, and moves nothing', async () => {
    const dir = await temporaryDirectory();
    const one = await openTestEvents({ dir, owners: { self: 'one', dead: () => [] } });
    // Believes, wrongly, that the first is dead.
    const two = await openTestEvents({ dir, owners: { self: 'two', dead: () => ['one'] } });
    const seen: string[] = [];
    let begun = (): void => undefined;
    const started = new Promise<void>((resolve) => {
      begun = resolve;
    });
    await one.events.subscribe('s', things, async (event, { signal }) => {
      seen.push(`one begins ${place(event)}`);
      begun();
      await new Promise<void>((resolve) => signal.addEventListener('abort', () => resolve()));
      seen.push('one is told');
    });
    await two.events.subscribe('s', things, (event) => void seen.push(`two ${place(event)}`));
    await one.emit('a', 'a');
    const first = one.events.deliver();
    await started;
    await two.events.deliver();
    await first;
    expect(seen).toEqual(['one begins a 1', 'two a 1', 'two a 2', 'one is told']);
    expect(one.test.logs.at(-1)?.message).toBe('The claim on a subscription was not kept.');
    expect(await one.events.deliver()).toBe(false);
  });
});

describe('subscriptions that are driven', () => {
  test('a handler starts within a second of the commit; unsubscribe waits for one that runs', async () => {
    const { events, emit } = await openTestEvents({ driven: true });
    let startedAt = 0;
    let done = false;
    const { unsubscribe } = await events.subscribe('s', things, async () => {
      startedAt = performance.now();
      await sleep(50);
      done = true;
    });
    await sleep(20);
    const emittedAt = performance.now();
    await emit('a');
    await until('the handler runs', () => startedAt > 0);
    expect(startedAt - emittedAt).toBeLessThan(1000);
    expect(done).toBe(false);
    await unsubscribe();
    expect(done).toBe(true);
    expect(events.loops).toEqual([]);
    startedAt = 0;
    await emit('b');
    expect(await events.deliver()).toBe(false);
    await sleep(250);
    expect(startedAt).toBe(0);
  });
});
