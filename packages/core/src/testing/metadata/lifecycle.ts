import type { MetadataStore } from '../../contracts/metadata-store.ts';
import { equal, ok, rejects } from '../assertions.ts';
import type { Case } from '../suite.ts';
import { home, item, type MetadataStoreHarness, promised, write } from './scene.ts';

/** Every method, called as one may call it. */
function everyMethod(store: MetadataStore): Record<string, () => Promise<unknown>> {
  const key = { workspace: home, kind: 'job', id: 'j', owner: 'one', fence: 1 };
  return {
    now: () => store.now(),
    find: () => store.find(home, 'item', 'a'),
    findMany: () => store.findMany(home, 'item', ['a']),
    query: () => store.query(home, 'item', {}),
    count: () => store.count(home, 'item', undefined),
    history: () => store.history(home, 'item', 'a'),
    reach: () => store.reach(home, ['a'], { direction: 'forward', depth: 1, limit: 1 }),
    commit: () => write(store, item('b')),
    readEvents: () => store.readEvents({ limit: 1 }),
    latestEventCursor: () => store.latestEventCursor(),
    claim: () => store.claim('job', { limit: 1, owner: 'one', leaseMs: 1_000 }),
    claimOwners: () => store.claimOwners('job'),
    renew: () => store.renew([key], 1_000),
    release: () => store.release([key]),
    ping: () => store.ping(),
  };
}

/** Clock, ping, and what is left after close. */
export const lifecycleCases: readonly Case<MetadataStoreHarness>[] = [
  promised(
    'lifecycle: after close every method is CLOSED',
    'After close every method rejects with CLOSED.',
    async ({ store }) => {
      await write(store, item('a'));
      const cursor = await store.latestEventCursor();
      for (const act of Object.values(everyMethod(store))) await act();
      await store.close();
      const waiting = { waitForEvents: () => store.waitForEvents(cursor, { timeoutMs: 1 }) };
      for (const [method, act] of Object.entries({ ...everyMethod(store), ...waiting })) {
        await rejects('CLOSED', act, method);
      }
    },
  ),
  promised(
    'lifecycle: close may be called again',
    'A second close, and disposing, do nothing.',
    async ({ store }) => {
      await Promise.all([store.close(), store.close()]);
      await store.close();
      await store[Symbol.asyncDispose]();
    },
  ),
  promised(
    'lifecycle: disposing closes',
    'A store closes at the end of its `await using`.',
    async ({ store }) => {
      await store[Symbol.asyncDispose]();
      await rejects('CLOSED', () => store.latestEventCursor(), 'It was disposed');
    },
  ),
  promised(
    'lifecycle: close ends the waiting for events',
    'A waitForEvents that is under way when the store closes ends then: with false, or CLOSED.',
    async ({ store }) => {
      const latest = await store.latestEventCursor();
      const startedAt = performance.now();
      const waiting = store
        .waitForEvents(latest, { timeoutMs: 1_500 })
        .catch((error) => error.code);
      await store.close();
      ok([false, 'CLOSED'].includes(await waiting), 'It should end with false or CLOSED');
      ok(performance.now() - startedAt < 1_000, 'It should end when the store closes');
    },
  ),
  promised(
    'lifecycle: closing one handle leaves the other open',
    'Handles on one store are closed one by one.',
    async ({ store, openSecond }) => {
      const second = await openSecond();
      await write(store, item('a'));
      await store.close();
      equal((await second.find(home, 'item', 'a'))?.id, 'a', 'The other handle works');
    },
  ),
  promised(
    'lifecycle: the clock is in epoch milliseconds and goes forward',
    'now() gives whole epoch milliseconds that do not go back.',
    async ({ store, elapse }) => {
      const before = await store.now();
      ok(Number.isSafeInteger(before) && before > 1_500_000_000_000, `${before} is a time of ours`);
      await elapse(10);
      const after = await store.now();
      ok(after >= before + 10, `${after} is 10 ms after ${before}`);
    },
  ),
  promised(
    'lifecycle: ping answers',
    'ping resolves while the store answers.',
    async ({ store }) => {
      equal(await store.ping(), undefined, 'It should resolve');
    },
  ),
];
