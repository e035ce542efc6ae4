import type { Heartbeats } from '../contracts/metric-writer.ts';
import type { SqliteDatabase } from './sqlite-database.ts';

/** A loss of power ends the runs, whatever is kept of their heartbeats. */
const unsynced = { synced: false } as const;

/** Keeps that the runs were alive at `at`; an older beat does not undo a newer one. */
export async function beatRuns(
  database: SqliteDatabase,
  runs: readonly { readonly workspace: string; readonly runId: string }[],
  at: number,
): Promise<void> {
  await database.write(() => {
    const beat = database.prepare(
      `INSERT INTO heartbeat(ws, run, at) VALUES (?, ?, ?)
       ON CONFLICT(ws, run) DO UPDATE SET at = max(at, excluded.at)`,
    );
    for (const { workspace, runId } of runs) beat.run(workspace, runId, at);
  }, unsynced);
}

/** Forgets the heartbeats of runs that are over. */
export async function endRuns(
  database: SqliteDatabase,
  runs: readonly { readonly workspace: string; readonly runId: string }[],
): Promise<void> {
  await database.write(() => {
    const end = database.prepare('DELETE FROM heartbeat WHERE ws = ? AND run = ?');
    for (const { workspace, runId } of runs) end.run(workspace, runId);
  }, unsynced);
}

/** When each of the runs was last known to be alive (epoch ms); runs without a heartbeat are left out. */
export function readHeartbeats(
  database: SqliteDatabase,
  workspace: string,
  runIds: readonly string[],
): ReadonlyMap<string, number> {
  return database.read(() => {
    const find = database.prepare('SELECT at FROM heartbeat WHERE ws = ? AND run = ?');
    const found = new Map<string, number>();
    for (const runId of runIds) {
      const row = find.get(workspace, runId);
      if (row !== undefined) found.set(runId, Number(row['at']));
    }
    return found;
  });
}

/** {@link Heartbeats} out of the file that writer threads keep them in. */
export class SqliteHeartbeats implements Heartbeats {
  readonly #database: SqliteDatabase;

  /** `database` stays the caller's; a SqliteSeriesStore must have been opened on it. */
  constructor(database: SqliteDatabase) {
    this.#database = database;
  }

  async read(workspace: string, runIds: readonly string[]): Promise<ReadonlyMap<string, number>> {
    return readHeartbeats(this.#database, workspace, runIds);
  }

  beat(workspace: string, runIds: readonly string[], at: number): Promise<void> {
    return beatRuns(this.#database, addresses(workspace, runIds), at);
  }

  end(workspace: string, runIds: readonly string[]): Promise<void> {
    return endRuns(this.#database, addresses(workspace, runIds));
  }
}

function addresses(
  workspace: string,
  runIds: readonly string[],
): { readonly workspace: string; readonly runId: string }[] {
  return runIds.map((runId) => ({ workspace, runId }));
}
