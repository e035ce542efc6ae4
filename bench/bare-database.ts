import { DatabaseSync } from 'node:sqlite';

/**
 * The baseline of what is stored: `node:sqlite` with nothing around it, and the settings that the embedded
 * store has (a write-ahead log, commits durable, rare checkpoints).
 */
export function openBareDatabase(path: string): DatabaseSync {
  const database = new DatabaseSync(path);
  database.exec(`
    PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA wal_autocheckpoint = 16000;
    PRAGMA temp_store = MEMORY; PRAGMA cache_size = -16000;
  `);
  return database;
}
