import { randomBytes } from 'node:crypto';
import { join } from 'node:path';
import { describe, expect, onTestFinished, test } from 'vitest';
import { ChildProgram, childFile } from '../../test/child-program.ts';
import { retentionTestKinds } from '../../test/children/event-test-kinds.ts';
import { openTestPlatform, temporaryDirectory } from '../../test/open-test-platform.ts';
import { openTestScope, type TestScope } from '../../test/open-test-scope.ts';
import type { EventDraft, StoredEvent } from '../contracts/event.ts';
import type { Change } from '../contracts/metadata-store.ts';
import { uuidV7 } from '../uuid.ts';
import { archivedEvents, everyEvent } from './archived-events.ts';
import { declareEvents } from './declared-events.ts';
import { archiveFromRecord, archiveRecords } from './event-archives.ts';
import { createEvents } from './events.ts';
import { createPlatformEvents, type PlatformEvents } from './platform-events.ts';
import { eachEvent } from './read-events.ts';
import { type EventRetention, retentionTimes } from './retention.ts';
import { createRetentionLoop, type RetentionPoint } from './retention-loop.ts';

const dayMs = 86_400_000;
const now = Date.now();
const never = new AbortController().signal;
const short = { 'thing.*': 1000 } as const;

interface Bed {
  readonly test: TestScope;
  readonly events: PlatformEvents;
  /** Emits events of the type, `agoMs` ago; their ids. */
  emit(count: number, agoMs: number, type?: string, subjects?: number): Promise<string[]>;
  /** Rounds of retention until nothing is due. */
  retain(retention?: EventRetention, reached?: (point: RetentionPoint) => void): Promise<void>;
  log(): Promise<string[]>;
  archived(): Promise<string[]>;
  every(): Promise<string[]>;
}

async function open(dir?: string): Promise<Bed> {
  const opened = await openTestScope({
    kinds: retentionTestKinds,
    ...(dir === undefined ? {} : { dir }),
  });
  onTestFinished(() => opened[Symbol.asyncDispose]());
  const { scope } = opened;
  const times = retentionTimes(short);
  const owners = { self: uuidV7(), dead: () => [] };
  const events = createPlatformEvents(scope, createEvents(scope, owners), {
    declared: declareEvents(),
    times,
  });
  return {
    test: opened,
    events,
    async emit(count, agoMs, type = 'thing.done', subjects = 3) {
      const drafts = Array.from({ length: count }, (_, n): EventDraft => {
        const id = uuidV7();
        const subject = `thing:${n % subjects}`;
        const facts = { id, type, subject, source: 'test', correlationId: id, principal: 'p' };
        return { ...facts, at: now - agoMs, payload: { n }, schemaVersion: 1 };
      });
      for (let i = 0; i < count; i += 500) {
        const changes = drafts.slice(i, i + 500).map((event): Change => ({ op: 'emit', event }));
        await scope.metadata.commit({ workspace: scope.workspace, principal: 'p', changes });
      }
      return drafts.map(({ id }) => id);
    },
    async retain(retention = short, reached = () => undefined) {
      const own = { self: uuidV7(), dead: () => [] };
      const loop = createRetentionLoop(scope, retentionTimes(retention), own, reached);
      while (await loop.runOnce(never));
    },
    log: () => idsOf(eachEvent(scope, {})),
    archived: () => idsOf(archivedEvents(scope, {})),
    every: () => idsOf(everyEvent(scope, {}, times)),
  };
}

async function idsOf(events: AsyncIterable<StoredEvent>): Promise<string[]> {
  const ids: string[] = [];
  for await (const { id } of events) ids.push(id);
  return ids;
}

describe('retention', () => {
  test('moves what is older than its type’s time, and reads it back as it was', async () => {
    const bed = await open();
    const old = await bed.emit(1200, 3 * dayMs);
    const before = await Array.fromAsync(eachEvent(bed.test.scope, {}));
    const other = await bed.emit(2, 3 * dayMs, 'other.done');
    const young = await bed.emit(3, -dayMs);
    await bed.retain();
    expect(await bed.log()).toEqual([...other, ...young]);
    expect(await bed.archived()).toEqual(old);
    expect(await bed.every()).toEqual([...old, ...other, ...young]);
    expect(await Array.fromAsync(archivedEvents(bed.test.scope, {}))).toEqual(before);
    const archives = await Array.fromAsync(bed.events.archives());
    expect(archives).toMatchObject([
      { number: 1, events: 1000, types: { 'thing.done': 1000 }, isRemoving: false },
      { number: 2, events: 200, firstAt: now - 3 * dayMs, lastAt: now - 3 * dayMs },
    ]);
  });

  test('numbers of subjects go on; payloads of any kind survive', async () => {
    const bed = await open();
    const { scope } = bed.test;
    const payload = { nan: Number.NaN, zero: -0, text: '\n"{}\u2028', deep: [[{}]] };
    await bed.emit(2, 3 * dayMs, 'thing.done', 1);
    const event = { ...(await Array.fromAsync(eachEvent(scope, {})))[0], id: uuidV7(), payload };
    const { workspace: _, cursor: __, subjectSequence: ___, ...draft } = event as StoredEvent;
    const changes = [{ op: 'emit', event: draft as EventDraft }] as const;
    await scope.metadata.commit({ workspace: scope.workspace, principal: 'p', changes });
    await bed.retain();
    expect(await bed.log()).toEqual([]);
    const archived = await Array.fromAsync(archivedEvents(scope, { ids: [event.id] }));
    expect(archived).toMatchObject([{ payload, subjectSequence: 3 }]);
    await bed.emit(1, -dayMs, 'thing.done', 1);
    expect(await Array.fromAsync(eachEvent(scope, {}))).toMatchObject([{ subjectSequence: 4 }]);
  });

  test('filters reach archives; what cannot be asked of them is refused', async () => {
    const bed = await open();
    const [a, b, c] = await bed.emit(3, 3 * dayMs);
    const [d] = await bed.emit(1, 2 * dayMs);
    await bed.retain();
    const found = async (filter: object) => idsOf(bed.events.archived(filter) as never);
    expect(await found({})).toEqual([a, b, c, d]);
    expect(await found({ subjects: ['thing:1'] })).toEqual([b]);
    expect(await found({ since: now - 2.5 * dayMs })).toEqual([d]);
    expect(await found({ until: now - 2.5 * dayMs })).toEqual([a, b, c]);
    expect(await found({ types: ['other.done'] })).toEqual([]);
    expect(await found({ correlationId: c })).toEqual([c]);
    await expect(found({ partition: { of: 2, index: 0 } })).rejects.toThrow(/partition/);
    for (const filter of [null, 7, { types: 7 }, { archived: 7 }]) {
      expect(() => bed.events.each(filter as never)).toThrow();
      expect(() => bed.events.archived(filter as never)).toThrow();
    }
    const tree = await bed.events.historyTree(a as string, { archived: true });
    expect(tree.roots).toMatchObject([{ event: { id: a } }]);
    expect((await bed.events.historyTree(a as string)).events).toBe(0);
  });

  test('a few wait for more, a day at most', async () => {
    const bed = await open();
    const fresh = await bed.emit(5, 5000);
    await bed.retain();
    expect(await bed.log()).toEqual(fresh);
    await bed.emit(1000, 4000);
    await bed.retain();
    expect((await bed.archived()).slice(0, 5)).toEqual(fresh);
    expect(await bed.log()).toHaveLength(5);
  });

  test('under another retention everything is looked through again', async () => {
    const bed = await open();
    const ids = await bed.emit(4, 3 * dayMs);
    await bed.retain({ 'thing.*': 'forever' });
    expect(await bed.log()).toEqual(ids);
    await bed.retain({ 'thing.*': 10 * dayMs });
    expect(await bed.log()).toEqual(ids);
    await bed.retain({ 'thing.done': 1000, 'thing.*': 'forever' });
    expect(await bed.log()).toEqual([]);
  });

  test('the defaults: 7 years for what tells who changed what, 90 days for steps, a year else', () => {
    const times = retentionTimes({ 'run.completed': 'forever' });
    const years = (type: string) => Math.floor(times.keepMs(type) / dayMs / 365);
    expect(['model.promoted', 'deployment.failed', 'incident.opened'].map(years)).toEqual([
      7, 7, 7,
    ]);
    expect(times.keepMs('step.failed')).toBe(90 * dayMs);
    expect(['run.started', 'invoice.sent'].map(years)).toEqual([1, 1]);
    expect(times.keepMs('run.completed')).toBe(Number.POSITIVE_INFINITY);
    for (const pattern of ['', 'run', 'run*', '*.done', 'Run.*', 'run.*.x']) {
      expect(() => retentionTimes({ [pattern]: 1 })).toThrow(/retention of events names/);
    }
  });
});

describe('what stays in the log', () => {
  test('an event that a subscription has not passed, until it has; other types go', async () => {
    const bed = await open();
    const { events } = bed;
    const seen: string[] = [];
    const [first] = await bed.emit(1, 3 * dayMs);
    const options = { types: ['thing.done'], from: 'start' } as const;
    await events.subscribe('slow', options, ({ id }) => void seen.push(id));
    const later = await bed.emit(2, 3 * dayMs);
    await bed.emit(2, 3 * dayMs, 'thing.seen');
    await bed.retain();
    expect(await bed.log()).toEqual([first, ...later]);
    expect(bed.test.logs.filter(({ message }) => message.includes('slow'))).toHaveLength(1);
    while (await events.deliver());
    expect(seen.toSorted()).toEqual([first, ...later]);
    await bed.retain();
    expect(await bed.log()).toEqual([]);
    expect(await bed.every()).toHaveLength(5);
  });

  test('an event that a dead letter names', async () => {
    const bed = await open();
    const [bad, good] = await bed.emit(2, 3 * dayMs, 'thing.done', 2);
    const options = { types: ['thing.done'], from: 'start', maxAttempts: 1 } as const;
    await bed.events.subscribe('s', options, ({ id }) => {
      if (id === bad) throw new Error('no');
    });
    while (await bed.events.deliver());
    await bed.retain();
    expect(await bed.log()).toContain(bad);
    expect(await bed.archived()).toContain(good);
  });

  test('a subscription of two versions of a program keeps the types of both', async () => {
    const bed = await open();
    const [a] = await bed.emit(1, 3 * dayMs, 'thing.done');
    const [b] = await bed.emit(1, 3 * dayMs, 'thing.seen');
    const subscribe = async (types: readonly string[]) => {
      const options = { types, from: 'start' } as const;
      await (await bed.events.subscribe('s', options, () => undefined)).unsubscribe();
    };
    await subscribe(['thing.done']);
    await subscribe(['thing.seen']);
    await bed.retain();
    expect(await bed.log()).toEqual([a, b]);
  });
});

describe('read while it is moved', () => {
  test('each event comes once, whenever retention runs', async () => {
    for (const stop of [0, 1, 499, 500, 501, 1500]) {
      const bed = await open();
      const ids = await bed.emit(1500, 3 * dayMs);
      ids.push(...(await bed.emit(2, -dayMs)));
      const seen: string[] = [];
      for await (const { id } of bed.events.each({ archived: true })) {
        if (seen.length === stop) await bed.retain();
        seen.push(id);
      }
      expect([stop, seen.length, new Set(seen).size]).toEqual([stop, ids.length, ids.length]);
    }
  });

  test('and in the middle of a removal', async () => {
    const bed = await open();
    const ids = await bed.emit(50, 3 * dayMs);
    await expect(bed.retain(short, fail('archive committed'))).rejects.toThrow('killed');
    expect(await bed.log()).toEqual(ids);
    expect(await bed.every()).toEqual(ids);
    await expect(bed.retain(short, fail('events removed'))).rejects.toThrow('killed');
    expect(await bed.log()).toEqual([]);
    expect(await bed.every()).toEqual(ids);
    expect(await Array.fromAsync(bed.events.archives())).toMatchObject([{ isRemoving: true }]);
    await bed.retain();
    expect(await Array.fromAsync(bed.events.archives())).toMatchObject([{ isRemoving: false }]);
  });
});

function fail(at: RetentionPoint): (point: RetentionPoint) => void {
  return (point) => {
    if (point === at) throw new Error('killed');
  };
}

describe('processes', () => {
  test.each(['content stored', 'archive committed', 'events removed'] as const)(
    'SIGKILL at "%s": another goes on; each event is in the log or in an archive, once',
    async (point) => {
      const dir = join(await temporaryDirectory(), '.keelson');
      const bed = await open(dir);
      const ids = await bed.emit(40, 3 * dayMs);
      const child = new ChildProgram(childFile('archive-events'), [dir, point]);
      await child.line(new RegExp(`^at ${point}$`));
      await child.kill();
      expect(await bed.every()).toEqual(ids);
      const next = new ChildProgram(childFile('archive-events'), [dir, 'never']);
      await next.line(/^round$/);
      await next.kill();
      expect(await bed.log()).toEqual([]);
      expect(await bed.archived()).toEqual(ids);
      expect(await Array.fromAsync(bed.events.archives())).toHaveLength(1);
    },
  );

  test('two at once, killed at random while events come: none is lost, none is there twice', async () => {
    const dir = join(await temporaryDirectory(), '.keelson');
    const bed = await open(dir);
    const ids: string[] = [];
    const waits = [...randomBytes(3)].map((byte) => 100 + byte * 2);
    console.log(`waits of the kills: ${waits.join(', ')}`);
    for (const wait of waits) {
      const two = [1, 2].map(() => new ChildProgram(childFile('archive-events'), [dir, 'never']));
      await Promise.all(two.map((child) => child.line(/^ready$/)));
      const kill = new Promise((resolve) => setTimeout(resolve, wait));
      ids.push(...(await bed.emit(700, 3 * dayMs)));
      await kill;
      await Promise.all(two.map((child) => child.kill()));
      expect((await bed.every()).sort()).toEqual(ids.toSorted());
    }
    const last = new ChildProgram(childFile('archive-events'), [dir, 'never']);
    for (let left = ids.length; left > 0; left = (await bed.log()).length) {
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
    await last.kill();
    expect((await bed.archived()).sort()).toEqual(ids.toSorted());
    const numbers = (await Array.fromAsync(bed.events.archives())).map(({ number }) => number);
    expect(numbers).toEqual(numbers.map((_, i) => i + 1));
  }, 60_000);
});

describe('archives are contents like others', () => {
  test('collection of garbage and verification know them; a damaged one is named', async () => {
    const { platform, dir } = await openTestPlatform();
    await platform.events.publish({ type: 'thing.done', subject: 'thing:1' });
    await platform.close();
    const later = { now: () => Date.now() + 400 * dayMs };
    const { platform: next, logs } = await openTestPlatform({ dir, clock: later });
    next.start();
    const states = async () =>
      (await Array.fromAsync(next.events.archives())).map(({ isRemoving }) => isRemoving);
    await expect.poll(states, { timeout: 20_000 }).toEqual([false]);
    expect(logs.map(({ message }) => message)).toContain('Events were archived.');
    expect(await Array.fromAsync(next.events.each({ types: ['thing.done'] }))).toEqual([]);
    expect(await next.operations.gc()).toMatchObject({ contents: 0 });
    expect((await next.operations.verify({ contents: 'read' })).findings).toEqual([]);
    const read = next.events.each({ types: ['thing.done'], archived: true });
    expect(await Array.fromAsync(read)).toHaveLength(1);
  });

  test('a content that is gone, or none of ours, is CORRUPT or NOT_FOUND by name', async () => {
    const bed = await open();
    const { scope } = bed.test;
    await bed.emit(2, 3 * dayMs);
    await bed.retain();
    const [record] = await Array.fromAsync(archiveRecords(scope));
    if (record === undefined) throw new Error('There is no archive.');
    const archive = archiveFromRecord(record);
    await scope.artifacts.remove(archive.sha256);
    await expect(bed.archived()).rejects.toMatchObject({ code: 'NOT_FOUND' });
  });
});
