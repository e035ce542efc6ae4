// Commits at random until it has made so many commits or is killed, and says what was acknowledged, a
// line of JSON each. An error that the contract does not foresee ends it with code 1.
// node contention-child.ts <database> <name> <seed> <commits>
import { writeSync } from 'node:fs';
import type { Change, MetadataStore } from '../../src/contracts/metadata-store.ts';
import { SqliteMetadataStore } from '../../src/embedded/sqlite-metadata-store.ts';
import { isKeelsonError } from '../../src/errors.ts';
import { uuidV7 } from '../../src/uuid.ts';
import {
  contentionKinds,
  poolCount,
  type Said,
  startAmount,
  workspace,
} from './contention-kinds.ts';

const [path = '', name = '', seed = '1', commits = '1'] = process.argv.slice(2);
const random = generator(Number(seed));
const below = (n: number): number => Math.floor(random() * n);
const store: MetadataStore = await SqliteMetadataStore.open({ path, kinds: contentionKinds });
let count = 0;
await fillOnce();
while (count < Number(commits)) {
  const act = [move, move, rewrite, sit, stand, tag, work][below(7)];
  if (act !== undefined) await act();
}
await store.close();

async function commit(...changes: readonly Change[]): Promise<readonly number[]> {
  const { revisions } = await store.commit({ workspace, principal: name, changes });
  count += 1;
  return revisions;
}

function say(said: Said): void {
  writeSync(1, `${JSON.stringify(said)}\n`);
}

function event(
  subject: string,
  payload: { readonly [key: string]: string | number },
): Change & { op: 'emit' } {
  return {
    op: 'emit',
    event: {
      id: uuidV7(),
      type: 'pool.changed',
      subject,
      source: name,
      at: 1,
      payload,
      schemaVersion: 1,
      correlationId: name,
      principal: name,
    },
  };
}

/** The pools and jobs, made by whichever process comes first. */
async function fillOnce(): Promise<void> {
  const changes = Array.from({ length: poolCount }, (_, i): Change => {
    const columns = { amount: startAmount, moves: 0 };
    return { op: 'create', kind: 'pool', id: `pool-${i}`, columns };
  });
  const jobs = Array.from({ length: 5 }, (_, i): Change => {
    return { op: 'create', kind: 'job', id: `job-${i}`, columns: { done: 0, dueAt: i } };
  });
  await unless('CONFLICT', () => commit(...changes, ...jobs));
}

/** Moves an amount from one pool to another; neither may fall below 0. Its event says the same. */
async function move(): Promise<void> {
  const from = `pool-${below(poolCount)}`;
  const to = `pool-${below(poolCount)}`;
  if (from === to) return;
  const amount = 1 + below(60);
  const emit = event(`pool:${from}`, { from, to, amount });
  const adjust = (id: string, column: string, by: number): Change => {
    return { op: 'adjust', kind: 'pool', id, column, by, min: 0 };
  };
  await unless('CONFLICT', async () => {
    await commit(
      adjust(from, 'amount', -amount),
      adjust(to, 'amount', amount),
      adjust(from, 'moves', 1),
      emit,
    );
    say({ did: 'event', id: emit.event.id });
  });
}

/** Reads a pool, writes one more into its body, expecting what was read; another pool is asserted. */
async function rewrite(): Promise<void> {
  const id = `pool-${below(poolCount)}`;
  const other = `pool-${below(poolCount)}`;
  for (;;) {
    const [pool, second] = await store.findMany(workspace, 'pool', [id, other]);
    if (pool === undefined || second === undefined) throw new Error('A pool is missing.');
    const n = Number(pool.body['n'] ?? 0) + 1;
    const emit = event(`body:${id}`, { id, n });
    const changes: Change[] = [
      { op: 'assert', kind: 'pool', id: other, expect: second.revision },
      { op: 'replace', kind: 'pool', id, expect: pool.revision, body: { n } },
      emit,
    ];
    const passed = await unless('STALE', () => commit(...changes));
    if (!passed) continue;
    say({ did: 'event', id: emit.event.id });
    return;
  }
}

/** Takes a seat, if it is free. */
async function sit(): Promise<void> {
  const id = uuidV7();
  const code = `seat-${below(15)}`;
  await unless('CONFLICT', async () => {
    await commit({ op: 'create', kind: 'seat', id, columns: { code, holder: name } });
    say({ did: 'seat', code, id });
  });
}

/** Leaves a seat: its code is free again. */
async function stand(): Promise<void> {
  const { records } = await store.query(workspace, 'seat', { limit: 5 });
  const seat = records[below(records.length)];
  if (seat === undefined) return;
  const { id, revision } = seat;
  const columns = { code: undefined };
  await unless('STALE', () =>
    commit({ op: 'replace', kind: 'seat', id, expect: revision, columns }),
  );
}

async function tag(): Promise<void> {
  const pool = `pool-${below(poolCount)}`;
  const key = uuidV7();
  await commit({ op: 'merge', kind: 'pool', id: pool, set: { tags: { [key]: count } } });
  say({ did: 'tag', pool, key });
}

/** Takes the job that is due first, does it, and gives it back; the hold proves that nobody else had it. */
async function work(): Promise<void> {
  const [claimed] = await store.claim('job', {
    workspace,
    limit: 1,
    owner: name,
    leaseMs: 2_000,
    orderBy: [{ by: { from: 'column', name: 'dueAt' }, direction: 'asc' }],
  });
  if (claimed === undefined) return;
  const { record, fence } = claimed;
  const { id } = record;
  const emit = event(`job:${id}`, { fence, done: Number(record.columns['done']) + 1 });
  const changes: Change[] = [
    { op: 'hold', kind: 'job', id, owner: name, fence },
    { op: 'adjust', kind: 'job', id, column: 'done', by: 1 },
    { op: 'adjust', kind: 'job', id, column: 'dueAt', by: 5 },
    emit,
  ];
  await unless('LOST', async () => {
    await commit(...changes);
    say({ did: 'event', id: emit.event.id });
  });
  await store.release([{ workspace, kind: 'job', id, owner: name, fence }]);
}

async function unless(
  code: 'STALE' | 'CONFLICT' | 'LOST',
  act: () => Promise<unknown>,
): Promise<boolean> {
  try {
    await act();
    return true;
  } catch (error) {
    if (!isKeelsonError(error, code)) throw error;
    count += 1;
    return false;
  }
}

/** mulberry32. */
function generator(start: number): () => number {
  let state = start;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let t = Math.imul(state ^ (state >>> 15), 1 | state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
  };
}
