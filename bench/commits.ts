import { join } from 'node:path';
import type { DatabaseSync } from 'node:sqlite';
import { type Change, uuidV7 } from '@keelson/core';
import { quantile, seededRandom, sorted } from '@keelson/core/statistics';
import { trackingKinds } from '../packages/core/src/contracts/kinds/tracking-kinds.ts';
import { SqliteMetadataStore } from '../packages/core/src/embedded/sqlite-metadata-store.ts';
import { openBareDatabase } from './bare-database.ts';
import type { BenchContext } from './benchmark.ts';
import { elapsedMs, inTurns } from './rounds.ts';
import { type Row, rowOf } from './row.ts';

const sizes = {
  smallest: { rounds: 1, records: 200, single: 20, batches: 2 },
  usual: { rounds: 7, records: 10_000, single: 500, batches: 20 },
  full: { rounds: 15, records: 10_000, single: 1_000, batches: 40 },
};
const changesPerBatch = 50;
const body = { note: 'x'.repeat(700) };

/** What is committed to: as many records in the store and in the bare database, with bodies of 700 bytes. */
interface Sides {
  readonly store: SqliteMetadataStore;
  readonly bare: DatabaseSync;
  readonly ids: readonly string[];
  /** A change of a record in the store, at the revision that it is at. */
  readonly replace: (id: string) => Change;
}

/** What a caller that waits for each commit sees in a round. */
interface Pace {
  readonly perSecond: number;
  readonly p50Ms: number;
  readonly p99Ms: number;
}

/**
 * Commits by one caller that waits for each: a record replaced at a known revision and its history kept,
 * alone, with its event, and 50 in a commit; beside the same statements in bare node:sqlite. FULL both.
 */
export async function benchCommits(context: BenchContext): Promise<Row[]> {
  const size = sizes[context.scale];
  context.tell(`commits: storing ${size.records} records`);
  const sides = await openSides(context.dir, size.records);
  const draw = drawsOf(sides.ids);
  const { store, bare } = sides;
  const singles = (work: (id: string) => unknown): Promise<Pace> => paceOf(draw(size.single), work);
  const batches = (work: (ids: readonly string[]) => unknown): Promise<Pace> => {
    const each = Array.from({ length: size.batches }, () => draw(changesPerBatch));
    return paceOf(each, work);
  };
  const commit = (changes: readonly Change[]): Promise<unknown> =>
    store.commit({ workspace: 'default', principal: 'bench', changes });
  const bareCommit = bareCommitsTo(bare);
  const paces = await inTurns(
    size.rounds,
    {
      one: () => singles((id) => commit([sides.replace(id)])),
      bareOne: () => singles((id) => bareCommit([id], false)),
      event: () => singles((id) => commit([sides.replace(id), emit(id)])),
      bareEvent: () => singles((id) => bareCommit([id], true)),
      batch: () => batches((ids) => commit(ids.map((id) => sides.replace(id)))),
      bareBatch: () => batches((ids) => bareCommit(ids, false)),
    },
    (round) => context.tell(`commits: round ${round} of ${size.rounds}`),
  );
  await store.close();
  bare.close();
  const row = (
    name: string,
    figure: keyof Pace,
    of: keyof typeof paces,
    beside: keyof typeof paces,
  ): Row =>
    rowOf(name, figure === 'perSecond' ? '1/s' : 'ms', values(paces[of], figure), {
      name: 'node:sqlite: read, update, insert',
      values: values(paces[beside], figure),
    });
  return [
    row('commits of one change', 'perSecond', 'one', 'bareOne'),
    row('commits of one change and its event', 'perSecond', 'event', 'bareEvent'),
    row(`commits of ${changesPerBatch} changes`, 'perSecond', 'batch', 'bareBatch'),
    row('commit of one change, p50', 'p50Ms', 'one', 'bareOne'),
    row('commit of one change, p99', 'p99Ms', 'one', 'bareOne'),
  ];
}

function values(paces: readonly Pace[], figure: keyof Pace): number[] {
  return paces.map((pace) => pace[figure]);
}

async function paceOf<T>(items: readonly T[], work: (item: T) => unknown): Promise<Pace> {
  const times: number[] = [];
  for (const item of items) times.push(await elapsedMs(() => work(item)));
  const ascending = sorted(times);
  return {
    perSecond: (items.length / times.reduce((sum, ms) => sum + ms, 0)) * 1_000,
    p50Ms: quantile(ascending, 0.5),
    p99Ms: quantile(ascending, 0.99),
  };
}

/** Draws different ids. */
function drawsOf(ids: readonly string[]): (count: number) => string[] {
  const random = seededRandom('commits');
  return (count) => {
    const drawn = new Set<string>();
    while (drawn.size < Math.min(count, ids.length)) {
      drawn.add(ids[random.below(ids.length)] as string);
    }
    return [...drawn];
  };
}

async function openSides(dir: string, records: number): Promise<Sides> {
  const store = await SqliteMetadataStore.open({
    path: join(dir, 'commits.db'),
    kinds: trackingKinds,
  });
  const bare = openBareDatabase(join(dir, 'commits-bare.db'));
  bare.exec(`
    CREATE TABLE record (id TEXT PRIMARY KEY, rev INTEGER NOT NULL, body TEXT NOT NULL) STRICT;
    CREATE TABLE history (seq INTEGER PRIMARY KEY, id TEXT, rev INTEGER, at INTEGER, body TEXT) STRICT;
    CREATE TABLE event (seq INTEGER PRIMARY KEY, subject TEXT, at INTEGER, payload TEXT) STRICT;
  `);
  const ids = Array.from({ length: records }, () => uuidV7());
  for (let from = 0; from < records; from += 100) {
    const changes = ids.slice(from, from + 100).map(createRun);
    await store.commit({ workspace: 'default', principal: 'bench', changes });
  }
  const insert = bare.prepare('INSERT INTO record VALUES (?, 1, ?)');
  bare.exec('BEGIN');
  for (const id of ids) insert.run(id, JSON.stringify(body));
  bare.exec('COMMIT');
  const revisions = new Map<string, number>();
  const replace = (id: string): Change => {
    const expect = revisions.get(id) ?? 1;
    revisions.set(id, expect + 1);
    return { op: 'replace', kind: 'run', id, expect, body };
  };
  return { store, bare, ids, replace };
}

/** The same in plain statements: the record's revision read and compared, its row and history written. */
function bareCommitsTo(bare: DatabaseSync): (ids: readonly string[], event: boolean) => void {
  const find = bare.prepare('SELECT rev FROM record WHERE id = ?');
  const update = bare.prepare('UPDATE record SET rev = ?, body = ? WHERE id = ?');
  const remember = bare.prepare('INSERT INTO history (id, rev, at, body) VALUES (?, ?, ?, ?)');
  const tell = bare.prepare('INSERT INTO event (subject, at, payload) VALUES (?, ?, ?)');
  return (ids, event) => {
    bare.exec('BEGIN IMMEDIATE');
    for (const id of ids) {
      const text = JSON.stringify(body);
      const revision = Number(find.get(id)?.['rev']) + 1;
      update.run(revision, text, id);
      remember.run(id, revision, Date.now(), text);
      if (event) tell.run(`run:${id}`, Date.now(), JSON.stringify({ id }));
    }
    bare.exec('COMMIT');
  };
}

function createRun(id: string): Change {
  return {
    op: 'create',
    kind: 'run',
    id,
    columns: {
      experimentId: 'bench',
      name: 'a run',
      status: 'COMPLETED',
      startedAt: Date.now(),
      sourceType: 'SCRIPT',
      userId: 'bench',
      lifecycle: 'active',
    },
    body,
  };
}

function emit(id: string): Change {
  return {
    op: 'emit',
    event: {
      id: uuidV7(),
      type: 'run.changed',
      subject: `run:${id}`,
      source: 'bench',
      at: Date.now(),
      payload: { id },
      schemaVersion: 1,
      correlationId: id,
      principal: 'bench',
    },
  };
}
