import { expect } from 'vitest';
import type { StoredEvent } from '../../src/contracts/event.ts';
import type { MetadataStore } from '../../src/contracts/metadata-store.ts';
import { type Said, startAmount, workspace } from './contention-kinds.ts';

/**
 * Everything that contenders had acknowledged is there, and every record is what the events make of it:
 * no update was lost, none done twice, none by halves.
 */
export async function checkWorld(
  store: MetadataStore,
  said: readonly Said[],
  pools: number,
): Promise<void> {
  const events = await allEvents(store);
  checkEvents(events, said);
  await checkPools(store, events, said, pools);
  await checkSeats(store, said);
  await checkJobs(store, events);
}

/** All events there are, in their order. */
export async function allEvents(store: MetadataStore): Promise<readonly StoredEvent[]> {
  const all: StoredEvent[] = [];
  let after: string | undefined;
  for (;;) {
    const { events, cursor } = await store.readEvents({
      limit: 1_000,
      ...(after === undefined ? {} : { after }),
    });
    if (events.length === 0) return all;
    all.push(...events);
    after = cursor;
  }
}

function checkEvents(events: readonly StoredEvent[], said: readonly Said[]): void {
  const ids = new Set(events.map(({ id }) => id));
  const lost = said.filter((one) => one.did === 'event' && !ids.has(one.id));
  expect(lost).toEqual([]);
  const undead = said.filter((one) => one.did === 'not' && ids.has(one.id));
  expect(undead).toEqual([]);
  expect(ids.size).toBe(events.length);
  const last = new Map<string, number>();
  for (const { subject, subjectSequence } of events) {
    expect(subjectSequence).toBe((last.get(subject) ?? 0) + 1);
    last.set(subject, subjectSequence);
  }
}

async function checkPools(
  store: MetadataStore,
  events: readonly StoredEvent[],
  said: readonly Said[],
  count: number,
): Promise<void> {
  const pools = await store.query(workspace, 'pool', { limit: 100, facets: ['tags'] });
  expect(pools.records.length).toBe(count);
  for (const pool of pools.records) {
    const { id, columns, revision, body } = pool;
    const moves = events.filter(({ payload }) => payload['from'] === id);
    const gains = events.filter(({ payload }) => payload['to'] === id);
    const sum = (some: readonly StoredEvent[]): number =>
      some.reduce((total, { payload }) => total + Number(payload['amount']), 0);
    expect(columns).toEqual({ amount: startAmount + sum(gains) - sum(moves), moves: moves.length });
    expect(columns['amount']).toBeGreaterThanOrEqual(0);
    // Each rewrite counted one more: none was lost, none counted twice.
    const rewrites = events.filter(({ subject }) => subject === `body:${id}`);
    expect(rewrites.map(({ payload }) => payload['n'])).toEqual(rewrites.map((_, i) => i + 1));
    expect([revision, body['n'] ?? 0]).toEqual([rewrites.length + 1, rewrites.length]);
    const history = await store.history(workspace, 'pool', id);
    expect(history.map((entry) => entry.revision)).toEqual(
      Array.from({ length: revision }, (_, i) => i + 1),
    );
    const tags = said.flatMap((one) => (one.did === 'tag' && one.pool === id ? [one.key] : []));
    expect(tags.filter((key) => pool.facets['tags']?.[key] === undefined)).toEqual([]);
  }
}

async function checkSeats(store: MetadataStore, said: readonly Said[]): Promise<void> {
  const codes: unknown[] = [];
  const ids = new Set<string>();
  let cursor: string | undefined;
  do {
    const page = await store.query(workspace, 'seat', {
      limit: 100,
      ...(cursor === undefined ? {} : { cursor }),
    });
    for (const { id, columns } of page.records) {
      ids.add(id);
      if (columns['code'] !== undefined) codes.push(columns['code']);
    }
    cursor = page.cursor;
  } while (cursor !== undefined);
  expect(codes.length).toBe(new Set(codes).size);
  expect(said.filter((one) => one.did === 'seat' && !ids.has(one.id))).toEqual([]);
}

async function checkJobs(store: MetadataStore, events: readonly StoredEvent[]): Promise<void> {
  const jobs = await store.query(workspace, 'job', { limit: 100 });
  expect(jobs.records.length).toBe(5);
  for (const { id, columns } of jobs.records) {
    const turns = events.filter(({ subject }) => subject === `job:${id}`);
    expect(columns['done']).toBe(turns.length);
    // One at a time: each saw what the one before it had done, under a later fence.
    expect(turns.map(({ payload }) => payload['done'])).toEqual(turns.map((_, i) => i + 1));
    const fences = turns.map(({ payload }) => Number(payload['fence']));
    expect(fences).toEqual(fences.toSorted((a, b) => a - b));
  }
}
