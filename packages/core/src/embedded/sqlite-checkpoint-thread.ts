// Copies the write-ahead log of the database in `workerData.path` into it, beside readers and writers.
import { workerData } from 'node:worker_threads';
import { isBusy } from './sqlite-error.ts';
import { loadSqlite } from './sqlite-module.ts';

const { path } = workerData as { readonly path: string };
const { DatabaseSync } = loadSqlite();
const connection = new DatabaseSync(path, { timeout: 0 });
try {
  // Twice: what was written during the long first pass is little.
  for (let pass = 0; pass < 2; pass += 1) {
    connection.prepare('PRAGMA wal_checkpoint(PASSIVE)').get();
  }
} catch (error) {
  // Somebody else is at it.
  if (!isBusy(error)) throw error;
} finally {
  connection.close();
}
