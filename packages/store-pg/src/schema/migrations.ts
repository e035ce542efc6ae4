import { KeelsonError } from '@keelson/core';
import type { PgDatabase } from '../connection/pg-database.ts';
import type { PgTransaction } from '../connection/pg-server.ts';

/**
 * One step of a part's schema. Steps are applied in order, once, and never changed after a release: what
 * must change gets a step of its own. Names without a schema are those of the platform's schema.
 */
export interface Migration {
  /** 1, 2, 3 … within its part. */
  readonly version: number;
  readonly statements: readonly string[];
}

/** The schema of one part of this package. */
export interface SchemaPart {
  readonly part: 'shared' | 'metadata' | 'series';
  readonly migrations: readonly Migration[];
}

/** How long a server that cannot be reached is tried when a store opens. */
const firstRetryMs = 2_000;

/** How long a starter waits for the one that migrates, and what a statement of it may take. */
const migrationTimeoutMs = 600_000;

/**
 * Brings the parts to their newest version, each in the order given, then does `then` (whatever else must
 * be done by one process only). Any number of processes may do this at once: one migrates, the others
 * wait for it and find everything done. All of it happens in one transaction. INCOMPATIBLE when the
 * database has been migrated by a newer version of this package.
 *
 * `isDone` tells, without a lock, whether there is anything to do for `then`.
 */
export async function migrate(
  database: PgDatabase,
  parts: readonly SchemaPart[],
  then?: {
    readonly isDone: () => Promise<boolean>;
    readonly run: (transaction: PgTransaction) => Promise<void>;
  },
): Promise<void> {
  if ((await isCurrent(database, parts)) && (then === undefined || (await then.isDone()))) return;
  const limits = { statementTimeoutMs: migrationTimeoutMs, lockTimeoutMs: migrationTimeoutMs };
  await database.transaction(async (transaction) => {
    await assertServer(transaction, database);
    await lockSchema(transaction, database.schema);
    await createSchema(transaction, database.schema);
    await transaction.query(migrationTable);
    for (const part of parts) await migratePart(transaction, database, part);
    await then?.run(transaction);
  }, limits);
}

// IF NOT EXISTS would ask for the privilege to create one also where there is one.
async function createSchema(transaction: PgTransaction, schema: string): Promise<void> {
  const [row] = await transaction.query('SELECT to_regnamespace($1) IS NULL AS missing', [schema]);
  if (row?.['missing'] === true) await transaction.query(`CREATE SCHEMA "${schema}"`);
}

/** One holder at a time, until its transaction ends; also before the schema exists. */
async function lockSchema(transaction: PgTransaction, schema: string): Promise<void> {
  await transaction.query(
    `SELECT pg_advisory_xact_lock(hashtextextended('keelson schema ' || $1, 0))`,
    [schema],
  );
}

const oldestServer = 140_000;

async function assertServer(transaction: PgTransaction, database: PgDatabase): Promise<void> {
  const [server] = await transaction.query(
    `SELECT current_setting('server_version_num')::integer AS version,
      current_setting('server_version') AS named, current_setting('server_encoding') AS encoding`,
  );
  if (Number(server?.['version']) < oldestServer) {
    throw new KeelsonError(
      'UNSUPPORTED',
      `${database.place} is version ${String(server?.['named'])}; @keelson/store-pg needs PostgreSQL 14 or newer.`,
    );
  }
  if (server?.['encoding'] !== 'UTF8') {
    throw new KeelsonError(
      'UNSUPPORTED',
      `${database.place} has the encoding ${String(server?.['encoding'])}; create the database with ENCODING 'UTF8'.`,
    );
  }
}

const migrationTable = `CREATE TABLE IF NOT EXISTS migration (
  part text COLLATE "C" NOT NULL,
  version integer NOT NULL,
  at timestamptz NOT NULL DEFAULT clock_timestamp(),
  PRIMARY KEY (part, version)
)`;

async function isCurrent(database: PgDatabase, parts: readonly SchemaPart[]): Promise<boolean> {
  // The first thing that is asked of a server: a wrong address shall be told soon.
  const [made] = await database.read(
    'SELECT to_regclass($1) IS NOT NULL AS made',
    [database.name('migration')],
    { retryMs: Math.min(database.retryMs, firstRetryMs) },
  );
  if (made?.['made'] !== true) return false;
  const rows = await database.read(
    `SELECT part, max(version) AS version FROM ${database.name('migration')} GROUP BY part`,
  );
  const versions = new Map(rows.map((row) => [String(row['part']), Number(row['version'])]));
  return parts.every((part) => {
    const stored = versions.get(part.part) ?? 0;
    assertKnown(database, part, stored);
    return stored === newest(part);
  });
}

async function migratePart(
  transaction: PgTransaction,
  database: PgDatabase,
  part: SchemaPart,
): Promise<void> {
  const [row] = await transaction.query(
    'SELECT coalesce(max(version), 0) AS version FROM migration WHERE part = $1',
    [part.part],
  );
  const stored = Number(row?.['version']);
  assertKnown(database, part, stored);
  for (const migration of part.migrations) {
    if (migration.version <= stored) continue;
    await transaction.query(migration.statements.join(';\n'));
    await transaction.query('INSERT INTO migration (part, version) VALUES ($1, $2)', [
      part.part,
      migration.version,
    ]);
  }
}

function newest({ migrations }: SchemaPart): number {
  return migrations.at(-1)?.version ?? 0;
}

function assertKnown(database: PgDatabase, part: SchemaPart, stored: number): void {
  if (stored <= newest(part)) return;
  throw new KeelsonError(
    'INCOMPATIBLE',
    `The schema ${database.schema} in ${database.place} has version ${stored} of its ${part.part} tables; this version of @keelson/store-pg knows ${newest(part)}. Install a newer one.`,
    { details: { schema: database.schema, part: part.part, stored, known: newest(part) } },
  );
}
