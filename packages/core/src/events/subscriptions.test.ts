import { describe, expect, test } from 'vitest';
import { openTestEvents, type TestEvents } from '../../test/open-test-events.ts';
import { temporaryDirectory, until } from '../../test/open-test-platform.ts';
import type { StoredEvent } from '../contracts/event.ts';
import { withCorrelation } from './correlation.ts';
import type { SubscribeOptions } from './events.ts';

const things: SubscribeOptions = { types: ['thing.done'] };
const place = (event: StoredEvent): string => `${event.subject} ${event.subjectSequence}`;

/** A promise that the test resolves. */
function gate(): { readonly open: () => void; readonly opened: Promise<void> } {
  let open = (): void => undefined;
  const opened = new Promise<void>((resolve) => {
    open = resolve;
  });
  return { open, opened };
}

async function viewOf({ events }: TestEvents, name = 's') {
  const view = (await events.subscriptions()).find((one) => one.name === name);
  if (view === undefined) throw new Error(`There is no ${name}.`);
  return view;
}

describe('subjects side by side', () => {
  test('as many at once as the concurrency says, each in its order', async () => {
    const { events, emit } = await openTestEvents();
    const running = new Set<string>();
    let most = 0;
    const seen = new Map<string, number[]>();
    await events.subscribe('s', { ...things, concurrency: 3 }, async (event) => {
      expect(running.has(event.subject)).toBe(false);
      running.add(event.subject);
      most = Math.max(most, running.size);
      await new Promise((resolve) => setTimeout(resolve, 1));
      seen.set(event.subject, [...(seen.get(event.subject) ?? []), event.subjectSequence]);
      running.delete(event.subject);
    });
    await emit(...Array.from({ length: 200 }, (_, n) => `s:${n % 20}`));
    await events.deliver();
    expect(most).toBe(3);
    expect(seen.size).toBe(20);
    for (const numbers of seen.values())
      expect(numbers).toEqual([...Array(10).keys()].map((n) => n + 1));
  });

  test('one part and one at a time: the order of the log', async () => {
    const { events, emit } = await openTestEvents();
    const seen: string[] = [];
    await events.subscribe('s', { ...things, partitions: 1, concurrency: 1 }, async (event) => {
      await new Promise((resolve) => setImmediate(resolve));
      seen.push(event.id);
    });
    const ids = await emit(...Array.from({ length: 700 }, (_, n) => `s:${(n * 7) % 13}`));
    await events.deliver();
    expect(seen).toEqual(ids);
  });

  test('a handler that hangs stalls its subject alone, far beyond a window of events', async () => {
    const bed = await openTestEvents();
    const { events, emit } = bed;
    const { open, opened } = gate();
    const seen: string[] = [];
    await events.subscribe('s', { ...things, partitions: 1 }, async (event) => {
      if (place(event) === 'stuck 1') await opened;
      seen.push(place(event));
    });
    await emit('stuck', 'stuck', ...Array.from({ length: 1500 }, (_, n) => `s:${n % 30}`));
    const delivered = events.deliver();
    await until('the others are through', () => seen.length === 1500, 10_000);
    expect(seen.filter((text) => text.startsWith('stuck'))).toEqual([]);
    await until('it is parked', async () => {
      const { parked } = await viewOf(bed);
      return parked.length === 1 && parked[0]?.waitsFor === 'HANDLER';
    });
    open();
    await delivered;
    expect(seen.slice(1500)).toEqual(['stuck 1', 'stuck 2']);
    expect((await viewOf(bed)).parked).toEqual([]);
  });

  test('the number of parts stays what it was made with', async () => {
    const dir = await temporaryDirectory();
    const one = await openTestEvents({ dir });
    const two = await openTestEvents({ dir });
    await one.events.subscribe('s', { ...things, partitions: 3 }, () => undefined);
    await expect(
      two.events.subscribe('s', { ...things, partitions: 4 }, () => undefined),
    ).rejects.toMatchObject({ code: 'CONFLICT', message: expect.stringContaining('3 partitions') });
    await two.events.subscribe('s', things, () => undefined);
    expect((await viewOf(two)).partitions).toBe(3);
  });
});

describe('a subject that fails', () => {
  test('waits with what comes after it; the others go on meanwhile; the view says why', async () => {
    const bed = await openTestEvents();
    const { events, emit } = bed;
    const seen: string[] = [];
    let isBroken = true;
    await events.subscribe('s', { ...things, partitions: 1, maxAttempts: 100 }, (event) => {
      if (event.subject === 'bad' && isBroken) throw new Error('not today');
      seen.push(place(event));
    });
    const ids = await emit('bad', 'good', 'bad', 'good');
    await events.settled(ids[3] ?? '');
    expect(seen).toEqual(['good 1', 'good 2']);
    const view = await viewOf(bed);
    expect(view.lagMs).toBe(0);
    expect(view.parked).toMatchObject([
      { subject: 'bad', eventId: ids[0], waitsFor: 'RETRY', error: 'not today' },
    ]);
    await emit('bad', 'good');
    isBroken = false;
    await events.deliver();
    expect(seen.filter((text) => text.startsWith('bad'))).toEqual(['bad 1', 'bad 2', 'bad 3']);
    expect((await viewOf(bed)).parked).toEqual([]);
  });

  test('is tried on by another process, with the attempts that are left', async () => {
    const dir = await temporaryDirectory();
    const one = await openTestEvents({ dir });
    const attempts: string[] = [];
    const failing =
      (who: string) =>
      (_: StoredEvent, context: { readonly attempt: number }): void => {
        attempts.push(`${who} ${context.attempt}`);
        throw new Error('always');
      };
    const options = { ...things, maxAttempts: 3 };
    const first = await one.events.subscribe('s', options, failing('one'));
    await one.emit('a', 'b other.done');
    for (const loop of one.events.loops) await loop.runOnce(new AbortController().signal);
    await first.unsubscribe();
    const two = await openTestEvents({ dir });
    await two.events.subscribe('s', options, failing('two'));
    await two.events.deliver();
    expect(attempts).toEqual(['one 1', 'two 2', 'two 3']);
    expect(await two.events.deadLetters()).toMatchObject([{ attempts: 3 }]);
  });

  test('for all: a thousand are parked at most, then the subscription waits, and says so', async () => {
    const bed = await openTestEvents();
    const { events, emit, test: opened } = bed;
    let isBroken = true;
    const seen = new Set<string>();
    await events.subscribe('s', { ...things, maxAttempts: 100, partitions: 8 }, (event) => {
      if (isBroken) throw new Error('the database is away');
      seen.add(event.subject);
    });
    await emit(...Array.from({ length: 1600 }, (_, n) => `s:${n}`));
    const [loop] = events.loops;
    const never = new AbortController().signal;
    for (let round = 0; round < 40; round += 1) {
      await loop?.runOnce(never);
      if (opened.logs.filter(({ level }) => level === 'error').length === 8) break;
    }
    const { parked } = await viewOf(bed);
    expect(parked.length).toBeLessThanOrEqual(1000);
    expect(parked.length).toBeGreaterThan(800);
    expect(opened.logs.find(({ level }) => level === 'error')?.message).toContain('parked');
    isBroken = false;
    await until('all are through', async () => {
      await events.deliver();
      return seen.size === 1600;
    });
  }, 60_000);
});

describe('dead letters', () => {
  async function broken(onDeadLetter: 'skip' | 'hold') {
    const bed = await openTestEvents();
    const seen: string[] = [];
    const state = { isBroken: true };
    await bed.events.subscribe('s', { ...things, maxAttempts: 2, onDeadLetter }, (event) => {
      if (event.subject === 'bad' && event.subjectSequence === 1 && state.isBroken) {
        throw new Error('broken');
      }
      seen.push(place(event));
    });
    const ids = await bed.emit('bad', 'bad', 'good');
    await bed.events.deliver();
    return { bed, seen, state, ids };
  }

  test('skip: the subject goes on; replayed, the letter is handled and gone', async () => {
    const { bed, seen, state, ids } = await broken('skip');
    expect(seen.toSorted()).toEqual(['bad 2', 'good 1']);
    const [letter] = await bed.events.deadLetters('s');
    expect(letter).toMatchObject({ eventId: ids[0], held: false, state: 'GIVEN_UP' });
    // Still broken: it is given up again, and told of again.
    expect(await bed.events.replayDeadLetters({ subscription: 's' })).toBe(1);
    await bed.events.deliver();
    expect(await bed.events.deadLetters('s')).toMatchObject([{ state: 'GIVEN_UP', attempts: 2 }]);
    state.isBroken = false;
    const ofEvent = { subscription: 's', ids: [ids[0] ?? ''] };
    expect(await bed.events.replayDeadLetters(ofEvent)).toBe(1);
    await bed.events.deliver();
    expect(seen.toSorted()).toEqual(['bad 1', 'bad 2', 'good 1']);
    expect(await bed.events.deadLetters('s')).toEqual([]);
    const told = await Array.fromAsync(bed.events.each({ types: ['event.dead-lettered'] }));
    expect(told).toHaveLength(2);
  });

  test('hold: later events of the subject wait; replayed, they come in order', async () => {
    const { bed, seen, state, ids } = await broken('hold');
    expect(seen).toEqual(['good 1']);
    expect((await viewOf(bed)).parked).toMatchObject([
      { subject: 'bad', waitsFor: 'PERSON', nextAttemptAt: undefined, eventId: ids[0] },
    ]);
    await expect(bed.events.settled(ids[0] ?? '')).rejects.toMatchObject({ code: 'FAILED' });
    await expect(bed.events.settled(ids[1] ?? '', { timeoutMs: 50 })).rejects.toMatchObject({
      code: 'TIMEOUT',
    });
    expect(await bed.events.deliver()).toBe(false);
    state.isBroken = false;
    const [letter] = await bed.events.deadLetters();
    await bed.events.replayDeadLetters({ subscription: 's', ids: [letter?.id ?? ''] });
    await bed.events.deliver();
    expect(seen).toEqual(['good 1', 'bad 1', 'bad 2']);
    expect(await bed.events.deadLetters()).toEqual([]);
    expect((await viewOf(bed)).parked).toEqual([]);
  });

  test('hold: dropped, the subject goes on behind it', async () => {
    const { bed, seen } = await broken('hold');
    expect(await bed.events.dropDeadLetters({ subscription: 's' })).toBe(1);
    await bed.events.deliver();
    expect(seen).toEqual(['good 1', 'bad 2']);
    expect((await viewOf(bed)).parked).toEqual([]);
  });

  test('of an id that is none: NOT_FOUND, and nothing is changed', async () => {
    const { bed } = await broken('skip');
    for (const call of ['replayDeadLetters', 'dropDeadLetters'] as const) {
      await expect(bed.events[call]({ subscription: 's', ids: ['none'] })).rejects.toMatchObject({
        code: 'NOT_FOUND',
        message: expect.stringContaining('none'),
      });
    }
    expect(await bed.events.deadLetters()).toMatchObject([{ state: 'GIVEN_UP' }]);
  });
});

describe('replay', () => {
  test('hands over what matches once more, in order; receipts keep effects from coming twice', async () => {
    const bed = await openTestEvents();
    const { events, emit, test: opened } = bed;
    const seen: string[] = [];
    const keys = new Set<string>();
    const { metadata } = opened.scope;
    await events.subscribe('s', things, async (event, { receipt, idempotencyKey }) => {
      seen.push(place(event));
      keys.add(idempotencyKey);
      await metadata.commit({
        workspace: 'default',
        principal: 'test',
        changes: [
          receipt(),
          { op: 'create', kind: 'tally', id: opened.scope.ids.next(), columns: { count: 1 } },
        ],
      });
    });
    await emit('a', 'b', 'a', 'c other.done');
    await events.deliver();
    seen.length = 0;
    await events.replay('s', { subjects: ['a'] });
    await events.deliver();
    expect(seen).toEqual(['a 1', 'a 2']);
    expect(await metadata.count('default', 'tally', undefined)).toMatchObject({ count: 3 });
    expect(keys.size).toBe(3);
    const id = await events.replay('s', {}, { again: true });
    await emit('a');
    await events.deliver();
    expect(seen.filter((text) => text.startsWith('a'))).toHaveLength(2 + 2 + 1);
    expect(await metadata.count('default', 'tally', undefined)).toMatchObject({ count: 3 + 3 + 1 });
    expect(keys.size).toBe(3 + 3 + 1);
    expect((await viewOf(bed)).replays.find((one) => one.id === id)).toMatchObject({
      state: 'DONE',
      handled: 3,
      failed: 0,
    });
  });

  test('by time and correlation; what fails becomes a dead letter', async () => {
    const bed = await openTestEvents();
    const { events, emit } = bed;
    let isBroken = false;
    const seen: string[] = [];
    await events.subscribe('s', { ...things, maxAttempts: 1 }, (event) => {
      if (isBroken) throw new Error('broken by now');
      seen.push(place(event));
    });
    await emit('a');
    await withCorrelation({ correlationId: 'c' }, () => emit('b', 'a'));
    await events.deliver();
    seen.length = 0;
    await events.replay('s', { correlationId: 'c' });
    await events.deliver();
    expect(seen.toSorted()).toEqual(['a 2', 'b 1']);
    await events.replay('s', { until: 5 });
    await events.deliver();
    expect(seen).toHaveLength(2);
    isBroken = true;
    await events.replay('s', { subjects: ['b'] });
    await events.deliver();
    expect(await events.deadLetters('s')).toMatchObject([{ subject: 'b' }]);
    await expect(events.replay('none')).rejects.toMatchObject({ code: 'NOT_FOUND' });
  });
});

describe('causes first', () => {
  const both = { types: ['plan.made', 'deployment.done'] };
  const promoted = (subject: string): string => `${subject} plan.made`;

  async function emitCaused(bed: TestEvents, cause: string, what: string): Promise<string> {
    const correlation = { correlationId: 'c', causationId: cause };
    const [id = ''] = await withCorrelation(correlation, () => bed.emit(what));
    return id;
  }

  test('an event waits for what caused it, over subjects, and over events that are not seen', async () => {
    const bed = await openTestEvents();
    const seen: string[] = [];
    let failures = 2;
    await bed.events.subscribe('s', { ...both, maxAttempts: 5 }, (event) => {
      if (event.type === 'plan.made' && failures > 0) {
        failures -= 1;
        throw new Error('not yet');
      }
      seen.push(event.type);
    });
    for (let n = 0; n < 5; n += 1) {
      failures = 2;
      const [cause = ''] = await bed.emit(promoted(`plan:${n}`));
      const between = await emitCaused(bed, cause, 'x:1 some.between');
      await emitCaused(bed, between, `deployment:${n} deployment.done`);
      await bed.events.deliver();
      expect(seen.splice(0)).toEqual(['plan.made', 'deployment.done']);
    }
  });

  test('a cause that was given up lets its effects go on; one that is held is named', async () => {
    for (const onDeadLetter of ['skip', 'hold'] as const) {
      const bed = await openTestEvents();
      const seen: string[] = [];
      let isBroken = true;
      const options = { ...both, maxAttempts: 1, onDeadLetter };
      await bed.events.subscribe('s', options, (event) => {
        if (event.type === 'plan.made' && isBroken) throw new Error('broken');
        seen.push(event.type);
      });
      const [cause = ''] = await bed.emit(promoted('plan:a'));
      await emitCaused(bed, cause, 'deployment:a deployment.done');
      await bed.events.deliver();
      if (onDeadLetter === 'skip') {
        expect(seen).toEqual(['deployment.done']);
        continue;
      }
      expect(seen).toEqual([]);
      expect((await viewOf(bed)).parked).toMatchObject([
        { subject: 'plan:a', waitsFor: 'PERSON' },
        { subject: 'deployment:a', waitsFor: 'HELD_CAUSE', blockedBy: cause },
      ]);
      isBroken = false;
      await bed.events.replayDeadLetters({ subscription: 's' });
      await until(
        'both are handled',
        async () => {
          await bed.events.deliver();
          return seen.length === 2;
        },
        10_000,
      );
      expect(seen).toEqual(['plan.made', 'deployment.done']);
    }
  });

  test('also where another process handles the cause, slowly', async () => {
    const dir = await temporaryDirectory();
    const one = await openTestEvents({ dir, driven: true });
    const seen: string[] = [];
    const { open, opened } = gate();
    const begun = gate();
    await one.events.subscribe('s', both, async (event) => {
      begun.open();
      if (event.type === 'plan.made') await opened;
      seen.push(`one ${event.type}`);
    });
    const [cause = ''] = await one.emit(promoted('plan:a'));
    await begun.opened;
    const two = await openTestEvents({ dir, driven: true });
    await two.events.subscribe('s', both, (event) => void seen.push(`two ${event.type}`));
    const ids: string[] = [];
    for (let n = 0; n < 16; n += 1) {
      ids.push(await emitCaused(one, cause, `deployment:${n} deployment.done`));
    }
    await until('effects are parked', async () => {
      const { parked } = await viewOf(two);
      return parked.some(({ blockedBy }) => blockedBy === cause);
    });
    expect(seen).toEqual([]);
    open();
    for (const id of ids) await two.events.settled(id);
    expect(seen[0]).toBe('one plan.made');
    expect(seen).toHaveLength(17);
  });
});

describe('odd moments', () => {
  test('a handler may end its own subscription', async () => {
    const { events, emit } = await openTestEvents({ driven: true });
    const seen: string[] = [];
    const { open, opened } = gate();
    const subscription = await events.subscribe('s', things, async (event) => {
      seen.push(place(event));
      await subscription.unsubscribe();
      open();
    });
    await emit('a');
    await opened;
    await emit('a');
    expect(events.loops).toEqual([]);
    expect(await events.deliver()).toBe(false);
    expect(seen).toEqual(['a 1']);
  });

  test('a clock that jumps back keeps nothing waiting', async () => {
    const dir = await temporaryDirectory();
    const bed = await openTestEvents({ dir });
    let now = Date.now() + 86_400_000;
    Object.defineProperty(bed.test.scope, 'clock', { value: { now: () => now } });
    const seen: string[] = [];
    let failures = 1;
    await bed.events.subscribe('s', things, (event) => {
      failures -= 1;
      if (failures >= 0) throw new Error('not yet');
      seen.push(place(event));
    });
    await bed.emit('a');
    const [loop] = bed.events.loops;
    const never = new AbortController().signal;
    await loop?.runOnce(never);
    expect((await viewOf(bed)).parked).toHaveLength(1);
    now -= 86_400_000;
    await until('it is tried again', async () => {
      await loop?.runOnce(never);
      return seen.length === 1;
    });
  });
});

describe('removal', () => {
  test('a subscription that is removed is gone with all it kept; subscribed anew it begins anew', async () => {
    const bed = await openTestEvents();
    const { events, emit, test: opened } = bed;
    await events.subscribe('s', { ...things, maxAttempts: 1 }, () => {
      throw new Error('always');
    });
    await emit('a', 'b');
    await events.deliver();
    await events.removeSubscription('s');
    expect(await events.subscriptions()).toEqual([]);
    expect(await events.deadLetters()).toEqual([]);
    const { metadata } = opened.scope;
    for (const kind of ['subscription_partition', 'parked_subject', 'event_replay']) {
      expect(await metadata.count('default', kind, undefined)).toMatchObject({ count: 0 });
    }
    await emit('a');
    await expect(events.deliver()).rejects.toMatchObject({ code: 'LOST' });
    await expect(events.removeSubscription('s')).rejects.toMatchObject({ code: 'NOT_FOUND' });
  });
});
