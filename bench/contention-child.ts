import { once } from 'node:events';
import type { DatabaseSync } from 'node:sqlite';
import { setImmediate } from 'node:timers/promises';
import { trackingKinds } from '../packages/core/src/contracts/kinds/tracking-kinds.ts';
import { SqliteMetadataStore } from '../packages/core/src/embedded/sqlite-metadata-store.ts';
import { isKeelsonError } from '../packages/core/src/errors.ts';
import { seededRandom } from '../packages/core/src/statistics/random/seeded-random.ts';
import { openBareDatabase } from './bare-database.ts';

// One of the processes that commit to one file: it is told what to do, says when it is ready, begins when
// it is told to, answers, and ends. It loads the parts that it needs, not the platform.

/** What a process does. */
export interface ContentionTask {
  readonly mode: 'store' | 'bare';
  readonly path: string;
  /** How long; 0 makes the records alone. */
  readonly forMs: number;
  readonly seed: number;
}

/** What it saw. */
export interface ContentionResult {
  readonly commits: number;
  readonly longestBlockMs: number;
}

const records = 500;
const body = { note: 'x'.repeat(700) };

const [task] = (await once(process, 'message')) as [ContentionTask];
const random = seededRandom(`contention ${task.seed}`);
process.send?.(await (task.mode === 'store' ? throughStore() : throughBare()));
process.disconnect();

async function throughStore(): Promise<ContentionResult> {
  await using store = await SqliteMetadataStore.open({ path: task.path, kinds: trackingKinds });
  const at = { workspace: 'default', principal: 'bench' };
  if (task.forMs === 0) {
    const changes = Array.from({ length: records }, (_, i) => createDataset(idOf(i)));
    await store.commit({ ...at, changes });
    return { commits: 0, longestBlockMs: 0 };
  }
  return await commitsUntilTheEnd(async () => {
    const id = idOf(random.below(records));
    const record = await store.find('default', 'dataset', id);
    const expect = record?.revision ?? 0;
    try {
      await store.commit({
        ...at,
        changes: [{ op: 'replace', kind: 'dataset', id, expect, body }],
      });
      return true;
    } catch (error) {
      // Another process was faster with this record.
      if (isKeelsonError(error, 'STALE')) return false;
      throw error;
    }
  });
}

async function throughBare(): Promise<ContentionResult> {
  const database = openBareDatabase(task.path);
  database.exec('PRAGMA busy_timeout = 10000');
  if (task.forMs === 0) {
    createBareRecords(database);
    return { commits: 0, longestBlockMs: 0 };
  }
  const find = database.prepare('SELECT rev FROM record WHERE id = ?');
  const update = database.prepare('UPDATE record SET rev = ?, body = ? WHERE id = ?');
  const result = await commitsUntilTheEnd(async () => {
    const id = idOf(random.below(records));
    database.exec('BEGIN IMMEDIATE');
    update.run(Number(find.get(id)?.['rev']) + 1, JSON.stringify(body), id);
    database.exec('COMMIT');
    return true;
  });
  database.close();
  return result;
}

/** Once told to begin, commits in a loop that yields after each, and looks how late it is served. */
async function commitsUntilTheEnd(commit: () => Promise<boolean>): Promise<ContentionResult> {
  process.send?.('ready');
  await once(process, 'message');
  let commits = 0;
  let longestBlockMs = 0;
  let lastAt = performance.now();
  const pulse = setInterval(() => {
    const now = performance.now();
    longestBlockMs = Math.max(longestBlockMs, now - lastAt - 1);
    lastAt = now;
  }, 1);
  const endsAt = performance.now() + task.forMs;
  while (performance.now() < endsAt) {
    if (await commit()) commits += 1;
    await setImmediate();
  }
  clearInterval(pulse);
  return { commits, longestBlockMs };
}

function createDataset(id: string): {
  readonly op: 'create';
  readonly kind: string;
  readonly id: string;
  readonly columns: Readonly<Record<string, string>>;
} {
  return { op: 'create', kind: 'dataset', id, columns: { name: id, digest: id } };
}

function createBareRecords(database: DatabaseSync): void {
  database.exec(`
    CREATE TABLE record (id TEXT PRIMARY KEY, rev INTEGER NOT NULL, body TEXT NOT NULL) STRICT;
  `);
  const insert = database.prepare('INSERT INTO record VALUES (?, 1, ?)');
  database.exec('BEGIN');
  for (let i = 0; i < records; i += 1) insert.run(idOf(i), JSON.stringify(body));
  database.exec('COMMIT');
  database.close();
}

function idOf(i: number): string {
  return `record-${i}`;
}
