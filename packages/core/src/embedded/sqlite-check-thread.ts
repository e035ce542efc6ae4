// Reads all of the database in `workerData.path` and tells what is wrong with it.
import { parentPort, workerData } from 'node:worker_threads';
import { sqliteResultCode } from './sqlite-error.ts';
import { loadSqlite } from './sqlite-module.ts';
import { type DatabaseCheck, immutableUrl } from './sqlite-snapshot.ts';

const { path, immutable } = workerData as { readonly path: string; readonly immutable: boolean };
parentPort?.postMessage(check());

function check(): DatabaseCheck {
  const { DatabaseSync } = loadSqlite();
  try {
    const name = immutable ? immutableUrl(path) : path;
    const connection = new DatabaseSync(name, { readOnly: true, timeout: 5_000 });
    try {
      const rows = connection.prepare('PRAGMA integrity_check(100)').all();
      const problems = rows.map((row) => String(row['integrity_check']));
      return { ok: true, problems: problems.filter((problem) => problem !== 'ok') };
    } finally {
      connection.close();
    }
  } catch (error) {
    const { message } = error as Error;
    return { ok: false, message, errcode: sqliteResultCode(error) };
  }
}
