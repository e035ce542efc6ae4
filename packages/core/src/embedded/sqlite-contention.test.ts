import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import {
  contentionKinds,
  poolCount,
  type Said,
  startAmount,
  workspace,
} from '../../test/metadata/contention-kinds.ts';
import type { StoredEvent } from '../contracts/event.ts';
import { SqliteDatabase } from './sqlite-database.ts';
import { SqliteMetadataStore } from './sqlite-metadata-store.ts';

/** Long form: `COMMITS=2000 KILLS=300 vitest run sqlite-contention --testTimeout=3600000`. */
const commits = Number(process.env['COMMITS'] ?? 60);
const kills = Number(process.env['KILLS'] ?? 12);
const seed = Number(process.env['SEED'] ?? Date.now() % 2 ** 31);
const program = fileURLToPath(new URL('../../test/metadata/contention-child.ts', import.meta.url));

let directory: string;
let path: string;
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'keelson-contention-'));
  path = join(directory, 'keelson.db');
});
afterEach(() => rmSync(directory, { recursive: true, force: true }));

describe(`processes that write at once (SEED=${seed})`, () => {
  test(
    'eight of them, from the opening of a new file on, lose nothing and keep every bound',
    async () => {
      const children = Array.from({ length: 8 }, (_, i) => new Child(`p${i}`, seed + i, commits));
      await Promise.all(children.map((child) => child.ended));
      expect(children.map((child) => child.failure)).toEqual(Array(8).fill(undefined));
      const said = children.flatMap((child) => child.said);
      expect(said.length).toBeGreaterThan(commits);
      await checkWorld(said);
    },
    60_000 + commits * 500,
  );

  test(
    'killed at random, they leave all that was acknowledged, and nothing by halves',
    async () => {
      const random = generator(seed);
      const said: Said[] = [];
      let children = Array.from({ length: 3 }, (_, i) => new Child(`k${i}`, seed + i, 1e9));
      for (let kill = 0; kill < kills; kill += 1) {
        const victim = children[Math.floor(random() * children.length)];
        if (victim === undefined) break;
        // Mostly amid commits; now and then while the store is being opened.
        if (random() < 0.8) await victim.says(1 + Math.floor(random() * 20));
        expect(victim.failure).toBeUndefined();
        await victim.kill();
        said.push(...victim.said);
        const next = new Child(`k${3 + kill}`, seed + 100 + kill, 1e9);
        children = [...children.filter((child) => child !== victim), next];
      }
      for (const child of children) {
        await child.kill();
        expect(child.failure).toBeUndefined();
        said.push(...child.said);
      }
      expect(said.length).toBeGreaterThan(kills);
      await checkWorld(said);
    },
    60_000 + kills * 5_000,
  );
});

/** Everything that was acknowledged is there, and every record is what the events make of it. */
async function checkWorld(said: readonly Said[]): Promise<void> {
  await using database = await SqliteDatabase.open(path);
  expect(database.prepare('PRAGMA integrity_check').all()).toEqual([{ integrity_check: 'ok' }]);
  await using store = await SqliteMetadataStore.open({ database, kinds: contentionKinds });
  const events = await allEvents(store);
  checkEvents(events, said);
  await checkPools(store, events, said);
  await checkSeats(store, said);
  await checkJobs(store, events);
}

async function allEvents(store: SqliteMetadataStore): Promise<readonly StoredEvent[]> {
  const all: StoredEvent[] = [];
  let after = '0';
  for (;;) {
    const { events, cursor } = await store.readEvents({ after, limit: 1_000 });
    if (events.length === 0) return all;
    all.push(...events);
    after = cursor;
  }
}

function checkEvents(events: readonly StoredEvent[], said: readonly Said[]): void {
  const ids = new Set(events.map(({ id }) => id));
  const lost = said.filter((one) => one.did === 'event' && !ids.has(one.id));
  expect(lost).toEqual([]);
  const last = new Map<string, number>();
  for (const { subject, subjectSequence } of events) {
    expect(subjectSequence).toBe((last.get(subject) ?? 0) + 1);
    last.set(subject, subjectSequence);
  }
}

async function checkPools(
  store: SqliteMetadataStore,
  events: readonly StoredEvent[],
  said: readonly Said[],
): Promise<void> {
  const pools = await store.query(workspace, 'pool', { limit: 100, facets: ['tags'] });
  expect(pools.records.length).toBe(poolCount);
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

async function checkSeats(store: SqliteMetadataStore, said: readonly Said[]): Promise<void> {
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

async function checkJobs(
  store: SqliteMetadataStore,
  events: readonly StoredEvent[],
): Promise<void> {
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

/** A process that commits and says what was acknowledged. */
class Child {
  readonly said: Said[] = [];
  readonly ended: Promise<void>;
  /** What it died of, unless it was killed or came to its end. */
  failure: string | undefined;
  readonly #process: ChildProcess;
  #heard: (() => void)[] = [];
  #over = false;

  constructor(name: string, childSeed: number, count: number) {
    const args = [program, path, name, String(childSeed), String(count)];
    this.#process = spawn(process.execPath, args, {
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    let text = '';
    let errors = '';
    this.#process.stdout?.on('data', (data: Buffer) => {
      text += data.toString();
      const lines = text.split('\n');
      text = lines.pop() ?? '';
      this.said.push(...lines.map((line) => JSON.parse(line) as Said));
      this.#wake();
    });
    this.#process.stderr?.on('data', (data: Buffer) => {
      errors += data.toString();
    });
    this.ended = once(this.#process, 'close').then(([code, signal]) => {
      this.#over = true;
      if (code !== 0 && signal !== 'SIGKILL') this.failure = `code ${code}: ${errors}`;
      this.#wake();
    });
  }

  /** Resolves when it has said so much more, or is over. */
  async says(more: number): Promise<void> {
    const target = this.said.length + more;
    while (!this.#over && this.said.length < target) {
      await new Promise<void>((resolve) => this.#heard.push(resolve));
    }
  }

  async kill(): Promise<void> {
    this.#process.kill('SIGKILL');
    await this.ended;
  }

  #wake(): void {
    for (const heard of this.#heard.splice(0)) heard();
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
