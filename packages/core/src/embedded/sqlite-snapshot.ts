import { Worker } from 'node:worker_threads';
import type { NamedContents } from '../contracts/caretaker.ts';
import type { Columns } from '../contracts/record.ts';
import { KeelsonError } from '../errors.ts';
import { decodeJson, type JsonObject } from '../json.ts';
import { recordColumn, recordTable } from '../sql/index.ts';
import { syncPath } from './durable-file.ts';
import { fromSqliteError } from './sqlite-error.ts';
import { loadSqlite } from './sqlite-module.ts';

/**
 * Writes what the database holds at one moment into a new file, beside readers and writers of any
 * process; durable when it resolves. The copying is off this thread.
 */
export async function snapshotDatabase(path: string, target: string): Promise<void> {
  const { DatabaseSync, backup } = loadSqlite();
  try {
    const source = new DatabaseSync(path, { readOnly: true, timeout: 5_000 });
    try {
      // All pages in one step: a copy in steps begins anew whenever another process writes.
      await backup(source, target, { rate: 2 ** 31 - 1 });
    } finally {
      source.close();
    }
  } catch (error) {
    throw fromSqliteError(error, path);
  }
  await syncPath(target);
}

/** What a thread found in a database file. */
export type DatabaseCheck =
  | { readonly ok: true; readonly problems: readonly string[] }
  | { readonly ok: false; readonly message: string; readonly errcode: number | undefined };

/**
 * Everything that SQLite finds wrong with a database file, at most 100 problems; empty when it is whole.
 * It reads all of it, in a thread. `immutable`: nobody uses the file, and nothing is written beside it.
 */
export async function checkDatabase(
  path: string,
  options: { readonly immutable: boolean; readonly signal?: AbortSignal },
): Promise<readonly string[]> {
  const file = import.meta.url.endsWith('.ts')
    ? './sqlite-check-thread.ts'
    : './sqlite-check-thread.js';
  const { immutable, signal } = options;
  return runThread(new URL(file, import.meta.url), { path, immutable }, signal);
}

/**
 * Writes the database anew, in a thread, so that no byte of what was deleted is left in its files; answers
 * what kept it from that. UNAVAILABLE where others write without end.
 */
export async function compactDatabase(
  path: string,
  signal?: AbortSignal,
): Promise<readonly string[]> {
  const file = import.meta.url.endsWith('.ts')
    ? './sqlite-compact-thread.ts'
    : './sqlite-compact-thread.js';
  return runThread(new URL(file, import.meta.url), { path }, signal);
}

async function runThread(
  file: URL,
  workerData: { readonly path: string; readonly immutable?: boolean },
  signal: AbortSignal | undefined,
): Promise<readonly string[]> {
  const worker = new Worker(file, { workerData });
  const stop = (): void => void worker.terminate();
  signal?.addEventListener('abort', stop, { once: true });
  try {
    const check = await new Promise<DatabaseCheck>((resolve, reject) => {
      worker.once('message', resolve);
      worker.once('error', reject);
      worker.once('exit', () => reject(signal?.reason ?? new Error('The thread ended early.')));
    });
    if (check.ok) return check.problems;
    const { message, errcode } = check;
    throw fromSqliteError(Object.assign(new Error(message), { errcode }), workerData.path);
  } finally {
    signal?.removeEventListener('abort', stop);
  }
}

/** A file that nobody uses, opened so that nothing is written beside it. */
export function immutableUrl(path: string): string {
  return `file:${encodeURI(path).replaceAll('?', '%3f').replaceAll('#', '%23')}?immutable=1`;
}

/** A content that a record names. */
export interface NamedContent {
  readonly workspace: string;
  readonly sha256: string;
  /** Such as `artifact 0198…`. */
  readonly by: string;
}

/** Every content that the records of a snapshot name; more than once where several do. */
export function* contentsNamedIn(
  path: string,
  named: readonly NamedContents[],
): Generator<NamedContent, void, undefined> {
  const { DatabaseSync } = loadSqlite();
  const database = new DatabaseSync(immutableUrl(path), { readOnly: true });
  try {
    for (const { kind, digests } of named) {
      const table = recordTable(kind);
      const columns = new Set(
        database
          .prepare('SELECT name FROM pragma_table_info(?)')
          .all(table)
          .map((row) => `"${String(row['name'])}"`),
      );
      // A database from before there was such a kind.
      if (columns.size === 0) continue;
      const column = recordColumn('sha256');
      const wanted = columns.has(column) ? `${column} AS sha256,` : '';
      const rows = database.prepare(`SELECT ws, id, ${wanted} body FROM ${table}`).iterate();
      for (const row of rows) {
        const read = { columns: columnsOf(row['sha256']), body: bodyOf(row['body']) };
        for (const sha256 of digests(read)) {
          yield { workspace: String(row['ws']), sha256, by: `${kind} ${String(row['id'])}` };
        }
      }
    }
  } catch (error) {
    throw error instanceof KeelsonError ? error : fromSqliteError(error, path);
  } finally {
    database.close();
  }
}

function columnsOf(sha256: unknown): Columns {
  return typeof sha256 === 'string' ? { sha256 } : {};
}

function bodyOf(text: unknown): JsonObject {
  return decodeJson(String(text)) as JsonObject;
}
