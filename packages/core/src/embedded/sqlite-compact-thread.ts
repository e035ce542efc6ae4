// Writes the database in `workerData.path` anew, without what was deleted, and empties its log.
import { parentPort, workerData } from 'node:worker_threads';
import { sqliteResultCode } from './sqlite-error.ts';
import { loadSqlite } from './sqlite-module.ts';
import type { DatabaseCheck } from './sqlite-snapshot.ts';

const { path } = workerData as { readonly path: string };
parentPort?.postMessage(compact());

function compact(): DatabaseCheck {
  const { DatabaseSync } = loadSqlite();
  try {
    const connection = new DatabaseSync(path, { timeout: 30_000 });
    try {
      connection.exec('VACUUM');
      const log = connection.prepare('PRAGMA wal_checkpoint(TRUNCATE)').get();
      return { ok: true, problems: log?.['busy'] === 0 ? [] : ['its log is being read'] };
    } finally {
      connection.close();
    }
  } catch (error) {
    const { message } = error as Error;
    return { ok: false, message, errcode: sqliteResultCode(error) };
  }
}
