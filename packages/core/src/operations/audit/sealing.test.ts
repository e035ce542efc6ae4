import { setTimeout as wait } from 'node:timers/promises';
import { expect, test } from 'vitest';
import { ChildProgram, childFile } from '../../../test/child-program.ts';
import { temporaryDirectory } from '../../../test/open-test-platform.ts';
import { openTestScope } from '../../../test/open-test-scope.ts';
import type { EventDraft } from '../../contracts/event.ts';
import type { Change } from '../../contracts/metadata-store.ts';
import { platformKinds } from '../../platform-kinds.ts';
import { uuidV7 } from '../../uuid.ts';
import { everyRecord } from '../every-record.ts';
import { entryFromRecord } from './audit-entry.ts';
import { verifyAudit } from './audit-verification.ts';
import { auditedStore } from './audited-store.ts';
import { sealWorkspace } from './sealing.ts';
import { createSealingLoop } from './sealing-loop.ts';

function noted(subject: string, n: number): Change {
  const id = uuidV7();
  const event: EventDraft = {
    ...{ id, type: 'model.noted', subject, source: 'test', at: Date.now(), payload: { n } },
    ...{ schemaVersion: 1, correlationId: id, principal: 'user:test' },
  };
  return { op: 'emit', event };
}

test('processes that append to the same chains and seal them, killed again and again, leave all of it whole', async () => {
  const dir = await temporaryDirectory();
  const seed = Date.now();
  console.log('seed of the kills:', seed);
  let random = seed % 997;
  const acknowledged = new Set<string>();
  const start = () => new ChildProgram(childFile('audit-and-seal'), [dir]);
  const children = [start(), start(), start()];
  await Promise.all(children.map((child) => child.line(/ready/)));
  for (let kill = 0; kill < 8; kill += 1) {
    random = (random * 31 + 7) % 997;
    await wait(random % 150);
    const victim = kill % children.length;
    const child = children[victim] as ChildProgram;
    await child.kill();
    for (const line of child.lines) if (line !== 'ready') acknowledged.add(line);
    children[victim] = start();
  }
  for (const child of children) {
    await child.line(/default/);
    await child.kill();
    for (const line of child.lines) if (line !== 'ready') acknowledged.add(line);
  }
  await using opened = await openTestScope({ kinds: platformKinds, dir });
  let sealed = 0;
  for (const workspace of ['default', 'other']) {
    const scope = {
      ...opened.scope,
      workspace,
      artifacts: opened.stores.artifacts.space(workspace),
    };
    const before = await verifyAudit(scope, {});
    expect(before.problems).toEqual([]);
    sealed += before.seals;
    await sealWorkspace(scope);
    const report = await verifyAudit(scope, {});
    expect(report).toMatchObject({ intact: true, unsealed: { entries: 0, events: 0 } });
    expect(report.events).toBe(report.entries);
    const attested = new Set<string>();
    for await (const record of everyRecord(scope, 'audit_entry')) {
      for (const one of entryFromRecord(record).attests)
        if ('event' in one) attested.add(one.event);
    }
    const mine = [...acknowledged].filter((line) => line.startsWith(`${workspace} `));
    expect(mine.length).toBeGreaterThan(0);
    expect(mine.filter((line) => !attested.has(line.split(' ')[1] as string))).toEqual([]);
  }
  // They sealed while they were killed.
  expect(sealed).toBeGreaterThan(1);
}, 120_000);

test('many who append to one chain at once, in two processes’ stores, make one chain', async () => {
  const dir = await temporaryDirectory();
  await using one = await openTestScope({ kinds: platformKinds, dir });
  await using two = await openTestScope({ kinds: platformKinds, dir });
  const stores = [one, two].map(({ scope }) => auditedStore(scope.metadata, scope));
  const { workspace } = one.scope;
  await Promise.all(
    Array.from({ length: 24 }, (_, n) =>
      (stores[n % 2] as (typeof stores)[0]).commit({
        ...{ workspace, principal: 'user:test', reason: `${n}` },
        changes: [noted('model:one', n), noted(`model:own-${n}`, n)],
      }),
    ),
  );
  const report = await verifyAudit(one.scope, {});
  expect(report).toMatchObject({ intact: true, entries: 48, subjects: 25 });
  const answer = await (stores[0] as (typeof stores)[0]).commit({
    ...{ workspace, principal: 'user:test' },
    changes: [noted('model:one', 0), noted('model:one', 1)],
  });
  // Nothing of the entries is in the answer.
  expect(answer.revisions).toEqual([0, 0]);
});

test('a change that is refused leaves no entry, and one whose outcome nobody knows no gap', async () => {
  await using opened = await openTestScope({ kinds: platformKinds });
  const { scope } = opened;
  const { workspace } = scope;
  let failing = false;
  const store = auditedStore(
    {
      ...boundTo(scope.metadata),
      commit: async (commit) => {
        const result = await scope.metadata.commit(commit);
        if (failing) throw new Error('the answer was lost');
        return result;
      },
    },
    scope,
  );
  const change = noted('model:m', 1);
  await store.commit({ workspace, principal: 'p', changes: [change] });
  await expect(
    store.commit({ workspace, principal: 'p', changes: [change] }),
  ).rejects.toMatchObject({
    code: 'CONFLICT',
  });
  failing = true;
  await expect(
    store.commit({ workspace, principal: 'p', changes: [noted('model:m', 2)] }),
  ).rejects.toThrow('the answer was lost');
  failing = false;
  await store.commit({ workspace, principal: 'p', changes: [noted('model:m', 3)] });
  const role = { op: 'replace', kind: 'access_role', id: 'none', expect: 1, body: {} } as const;
  await expect(store.commit({ workspace, principal: 'p', changes: [role] })).rejects.toMatchObject({
    code: 'NOT_FOUND',
  });
  expect(await verifyAudit(scope, {})).toMatchObject({ intact: true, entries: 3 });
});

test('sealing waits until it is worth it, or events have waited for a minute, and is one process’s at a time', async () => {
  await using opened = await openTestScope({ kinds: platformKinds });
  const { scope } = opened;
  const metadata = auditedStore(scope.metadata, scope);
  let ahead = 0;
  const clock = { now: () => Date.now() + ahead };
  const loopOf = (self: string) =>
    createSealingLoop({ ...scope, metadata, clock }, { self, dead: () => [] });
  const { signal } = new AbortController();
  const { workspace } = scope;
  await metadata.commit({ workspace, principal: 'p', changes: [noted('model:m', 1)] });
  expect(await loopOf('a').runOnce(signal)).toBe(false);
  expect(await verifyAudit(scope, {})).toMatchObject({ seals: 0, unsealed: { events: 1 } });
  ahead = 61_000;
  const rounds = await Promise.all(['a', 'b', 'c'].map((self) => loopOf(self).runOnce(signal)));
  expect(rounds.filter(Boolean)).toEqual([true]);
  const report = await verifyAudit(scope, {});
  expect(report).toMatchObject({ intact: true, seals: 1, unsealed: { entries: 0, events: 0 } });
  expect(await loopOf('a').runOnce(signal)).toBe(false);
});

test('verification tells how far it is, and ends with its signal', async () => {
  await using opened = await openTestScope({ kinds: platformKinds });
  const { scope } = opened;
  const metadata = auditedStore(scope.metadata, scope);
  const { workspace } = scope;
  for (let n = 0; n < 5; n += 1) {
    const changes = Array.from({ length: 100 }, (_, i) => noted(`model:${i}`, n));
    await metadata.commit({ workspace, principal: 'p', changes });
  }
  await sealWorkspace(scope);
  const told: number[] = [];
  const report = await verifyAudit(scope, { onProgress: ({ entries }) => told.push(entries) });
  expect(report).toMatchObject({ intact: true, entries: 500, subjects: 100, events: 500 });
  expect(told.at(-1)).toBe(500);
  expect(told.length).toBeGreaterThan(3);
  const abort = new AbortController();
  const aborted = verifyAudit(scope, {
    signal: abort.signal,
    onProgress: () => abort.abort(),
  });
  await expect(aborted).rejects.toMatchObject({ code: 'ABORTED' });
});

/** The methods of a store, each bound to it. */
function boundTo<T extends object>(store: T): T {
  return new Proxy(store, {
    get: (target, name) => {
      const member = Reflect.get(target, name) as unknown;
      return typeof member === 'function' ? member.bind(target) : member;
    },
    ownKeys: (target) => [
      ...Reflect.ownKeys(target),
      ...Reflect.ownKeys(Object.getPrototypeOf(target) as object),
    ],
    getOwnPropertyDescriptor: () => ({ enumerable: true, configurable: true }),
  });
}
