import { randomBytes } from 'node:crypto';
import pg from 'pg';
import { afterAll, describe } from 'vitest';
import { findTestServer } from './test-server.ts';

/** A database of the test file's own. */
export interface TestDatabase {
  readonly url: string;
  /** A name for a schema that nothing else uses. */
  freshSchema(): string;
  /** Runs statements as the database's owner, past every store. */
  query(text: string, values?: unknown[]): Promise<readonly Record<string, unknown>[]>;
}

const template = 'keelson_template';

/**
 * `describe` with a database of its own, made from a template and dropped at the end. Its default
 * collation is not "C", so that a column which forgets to say so is found. Without PostgreSQL the tests
 * are left out, loudly; in continuous integration that fails the run.
 */
export async function describeOnPg(
  name: string,
  tests: (database: TestDatabase) => void,
): Promise<void> {
  const server = await findTestServer();
  if (server === undefined) {
    describe.skip(name, () => undefined);
    return;
  }
  const database = await createTestDatabase(server);
  describe(name, () => {
    afterAll(() => database.drop());
    tests(database);
  });
}

/** Makes a database on a server. */
export async function createTestDatabase(
  server: string,
): Promise<TestDatabase & { drop(): Promise<void> }> {
  const database = `keelson_${process.pid}_${randomBytes(4).toString('hex')}`;
  await onServer(server, async (client) => {
    await client.query('SELECT pg_advisory_lock(7265)');
    const made = await client.query('SELECT 1 FROM pg_database WHERE datname = $1', [template]);
    if (made.rowCount === 0) await client.query(createTemplate);
    await client.query(`CREATE DATABASE ${database} TEMPLATE ${template}`);
    await client.query('SELECT pg_advisory_unlock(7265)');
  });
  const url = withDatabase(server, database);
  const pool = new pg.Pool({ connectionString: url, max: 2 });
  pool.on('error', () => undefined);
  let schemas = 0;
  return {
    url,
    freshSchema: () => {
      schemas += 1;
      return `k${schemas}`;
    },
    query: async (text, values) => (await pool.query(text, values)).rows,
    drop: async () => {
      await pool.end();
      await onServer(server, (client) =>
        client.query(`DROP DATABASE IF EXISTS ${database} WITH (FORCE)`),
      );
    },
  };
}

const createTemplate = `CREATE DATABASE ${template} TEMPLATE template0 ENCODING 'UTF8'
  LOCALE_PROVIDER icu ICU_LOCALE 'en-US' LOCALE 'C.UTF-8'`;

function withDatabase(server: string, database: string): string {
  const url = new URL(server);
  url.pathname = `/${database}`;
  return url.href;
}

async function onServer<T>(server: string, work: (client: pg.Client) => Promise<T>): Promise<void> {
  const client = new pg.Client({ connectionString: server });
  await client.connect();
  try {
    await work(client);
  } finally {
    await client.end();
  }
}
