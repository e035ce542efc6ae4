import type { Heartbeats } from '@keelson/core';
import type { PgDatabase } from '../connection/pg-database.ts';

/** A run, as heartbeats address it. */
interface RunAddress {
  readonly workspace: string;
  readonly runId: string;
}

/** Keeps that the runs were alive at `at`; an older beat does not undo a newer one. */
export async function beatRuns(
  database: PgDatabase,
  runs: readonly RunAddress[],
  at: number,
): Promise<void> {
  // Sorted, so that two callers do not wait for each other.
  await database.write(
    `INSERT INTO ${database.name('heartbeat')} AS h (ws, run, at)
     SELECT DISTINCT r.ws COLLATE "C", r.run COLLATE "C", $3::float8
     FROM unnest($1::text[], $2::text[]) AS r (ws, run) ORDER BY 1, 2
     ON CONFLICT (ws, run) DO UPDATE SET at = greatest(h.at, excluded.at)`,
    [...columns(runs), at],
  );
}

/** Forgets the heartbeats of runs that are over. */
export async function endRuns(database: PgDatabase, runs: readonly RunAddress[]): Promise<void> {
  await database.write(
    `DELETE FROM ${database.name('heartbeat')} h
     USING unnest($1::text[], $2::text[]) AS r (ws, run) WHERE h.ws = r.ws AND h.run = r.run`,
    columns(runs),
  );
}

/** {@link Heartbeats} out of the database that writer threads keep them in. */
export class PgHeartbeats implements Heartbeats {
  readonly #database: PgDatabase;

  constructor(database: PgDatabase) {
    this.#database = database;
  }

  async read(workspace: string, runIds: readonly string[]): Promise<ReadonlyMap<string, number>> {
    const rows = await this.#database.read(
      `SELECT run, at FROM ${this.#database.name('heartbeat')}
       WHERE ws = $1 AND run = ANY ($2::text[])`,
      [workspace, runIds],
    );
    return new Map(rows.map((row) => [String(row['run']), Number(row['at'])]));
  }

  beat(workspace: string, runIds: readonly string[], at: number): Promise<void> {
    return beatRuns(this.#database, addresses(workspace, runIds), at);
  }

  end(workspace: string, runIds: readonly string[]): Promise<void> {
    return endRuns(this.#database, addresses(workspace, runIds));
  }
}

function addresses(workspace: string, runIds: readonly string[]): RunAddress[] {
  return runIds.map((runId) => ({ workspace, runId }));
}

function columns(runs: readonly RunAddress[]): string[][] {
  return [runs.map(({ workspace }) => workspace), runs.map(({ runId }) => runId)];
}
