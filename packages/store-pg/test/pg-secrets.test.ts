import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { inspect } from 'node:util';
import { type Logger, openPlatform } from '@keelson/core';
import pg from 'pg';
import { afterEach, expect, test } from 'vitest';
import { PgDatabase } from '../src/connection/pg-database.ts';
import { checkTransport } from '../src/connection/transport.ts';
import { pgBackend } from '../src/index.ts';
import { describeOnPg } from './server/test-database.ts';

/** Long enough that nothing else looks like it, with what an address must escape. */
const secret = 'Xq7/secret-of-the+database@%é';

await describeOnPg('passwords of PostgreSQL', ({ url, freshSchema, query }) => {
  const role = `keeper_${process.pid}`;
  const opened: AsyncDisposable[] = [];
  const said: unknown[] = [];
  const note = (...all: unknown[]): void => void said.push(all);
  const logger: Logger = { debug: note, info: note, warn: note, error: note };
  afterEach(async () => {
    for (const one of opened.splice(0)) await one[Symbol.asyncDispose]();
    said.length = 0;
  });

  function addressOf(change: (address: URL) => void = () => undefined): string {
    const address = new URL(url);
    address.username = role;
    address.password = encodeURIComponent(secret);
    change(address);
    return address.href;
  }

  /** All that can be seen of a thing: as it is printed, also what is hidden and nested, and as JSON. */
  function visible(thing: unknown): string {
    const json = JSON.stringify(thing, (_, value: unknown) =>
      value instanceof Error
        ? { ...value, message: value.message, stack: value.stack, cause: value.cause }
        : value,
    );
    return `${String(thing)} ${json} ${inspect(thing, { depth: 30, showHidden: true })}`;
  }

  function assertNoSecret(thing: unknown): void {
    const seen = visible(thing);
    for (const form of [secret, encodeURIComponent(secret), encodeURI(secret), 'secret-of-the']) {
      expect(seen).not.toContain(form);
    }
  }

  async function faultOf(act: Promise<unknown>): Promise<Error> {
    const fault: unknown = await act.then(
      () => undefined,
      (error: unknown) => error,
    );
    expect(fault).toBeInstanceOf(Error);
    return fault as Error;
  }

  test('the user is there', async () => {
    await query(`CREATE ROLE ${role} LOGIN PASSWORD '${secret}'`);
    const [here] = await query('SELECT current_database() AS name');
    await query(`GRANT CREATE ON DATABASE ${String(here?.['name'])} TO ${role}`);
    const database = new PgDatabase({ url: addressOf(), listen: false });
    opened.push(database);
    expect(await database.read('SELECT 1 AS one')).toEqual([{ one: 1 }]);
    // What finds it, finds it: else nothing below says anything.
    expect(visible(addressOf())).toContain('secret-of-the');
    expect(visible(new Error('x', { cause: { secret } }))).toContain(secret);
  });

  const addresses: Readonly<Record<string, (address: URL) => void>> = {
    'a password that is wrong': (address) => {
      address.password = encodeURIComponent(`${secret}!`);
    },
    'a user that there is not': (address) => {
      address.username = 'nobody_at_all';
    },
    'a database that there is not': (address) => {
      address.pathname = '/nowhere';
    },
    'a port where nothing listens': (address) => {
      address.port = '1';
    },
    'a host that there is not': (address) => {
      address.hostname = 'nowhere.invalid';
      address.searchParams.set('sslmode', 'verify-full');
    },
    'TLS that the server has not': (address) => {
      address.searchParams.set('sslmode', 'require');
    },
    'a certificate that there is not': (address) => {
      address.searchParams.set('sslrootcert', '/nowhere/at.all');
    },
  };

  test.each(Object.keys(addresses))(
    '%s: in no error, and in nothing that is logged',
    async (name) => {
      const options = { url: addressOf(addresses[name]), schema: freshSchema(), retryMs: 50 };
      const backend = pgBackend(options);
      assertNoSecret(backend);
      assertNoSecret(await faultOf(backend.openMetadata({ kinds: [], logger })));
      assertNoSecret(await faultOf(backend.openSeries({ logger })));
      const dir = mkdtempSync(join(tmpdir(), 'keelson-pg-secrets-'));
      const stores = { metadata: backend, series: backend };
      assertNoSecret(await faultOf(openPlatform({ dir: join(dir, 'p'), ...stores, logger })));
      rmSync(dir, { recursive: true });
      const pool = new pg.Pool({ connectionString: options.url, max: 1 });
      opened.push({ [Symbol.asyncDispose]: () => pool.end() });
      const borrowed = pgBackend({ pool, schema: options.schema, retryMs: 50 });
      assertNoSecret(await faultOf(borrowed.openMetadata({ kinds: [], logger })));
      assertNoSecret(said);
    },
  );

  test.each([
    `postgres://u:${secret}@[/db`,
    `mysql://u:${secret}@host/db`,
    `host=localhost password=${secret}`,
    `//u:${secret}@host`,
  ])('an address that cannot be read (%#)', async (bad) => {
    for (const act of [
      async () => pgBackend({ url: bad }),
      async () => pgBackend({ url: addressOf(), replica: { url: bad } }),
      async () => pgBackend({ url: addressOf(), pool: {} } as never),
      async () => pgBackend({ url: addressOf(), maxConnections: addressOf() } as never),
      async () => pgBackend({ url: addressOf(), schema: addressOf() } as never),
    ]) {
      assertNoSecret(await faultOf(act()));
    }
  });

  test('statements that fail, connections that end, checks, and what the thread leaves on disk', async () => {
    const options = { url: addressOf(), schema: freshSchema(), retryMs: 200 };
    const replica = addressOf(addresses['a port where nothing listens']);
    const backend = pgBackend({ ...options, replica: { url: replica } });
    const dir = mkdtempSync(join(tmpdir(), 'keelson-pg-secrets-'));
    const stores = { metadata: backend, series: backend };
    const platform = await openPlatform({ dir: join(dir, 'p'), ...stores, logger });
    const run = await platform.tracking.startRun({ experiment: 'e', environment: false });
    run.logMetric('loss', 1);
    await run.flush();
    await platform.tracking.searchRuns({ filter: 'metrics.loss > 0' });
    // From now on the thread, and everything else, is turned away: what it has goes to the spool.
    await query(`ALTER ROLE ${role} NOLOGIN`);
    await query(`SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = '${role}'`);
    run.logMetric('loss', 2);
    await run.flush({ timeoutMs: 2_000 }).catch(assertNoSecret);
    assertNoSecret(await faultOf(platform.tracking.searchRuns({ filter: 'metrics.loss > 0' })));
    for (const check of backend.checks()) {
      const signal = AbortSignal.timeout(5_000);
      assertNoSecret(await check.run(signal).catch((error: unknown) => error));
    }
    assertNoSecret(platform);
    await platform.close().catch(assertNoSecret);
    assertNoSecret(said);
    expect(said.length).toBeGreaterThan(0);
    const files = readdirSync(dir, { recursive: true, withFileTypes: true }).filter((each) =>
      each.isFile(),
    );
    expect(files.length).toBeGreaterThan(0);
    for (const file of files) {
      expect(
        readFileSync(join(file.parentPath, file.name)).includes('secret-of-the'),
        file.name,
      ).toBe(false);
    }
    rmSync(dir, { recursive: true });
    await query(`ALTER ROLE ${role} LOGIN`);
  }, 60_000);

  test('a statement that the server refuses: by its error, not by the address', async () => {
    const database = new PgDatabase({ url: addressOf(), listen: false }, logger);
    opened.push(database);
    assertNoSecret(await faultOf(database.read('SELECT nothing')));
    assertNoSecret(await faultOf(database.write('INSERT INTO nowhere VALUES (1)')));
    assertNoSecret(database);
    assertNoSecret(said);
    await query(`SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = '${role}'`);
    assertNoSecret(await database.read('SELECT 1 AS one').catch((error: unknown) => error));
    assertNoSecret(said);
  });

  test('the user is gone', async () => {
    await query(`DROP OWNED BY ${role} CASCADE; DROP ROLE ${role}`);
  });
});

test('beyond this machine a connection is encrypted and its server verified, unless that was said twice', () => {
  const refused = expect.objectContaining({ code: 'INVALID' });
  const lax = ['sslmode=disable', 'sslmode=no-verify', 'uselibpqcompat=true&sslmode=require'];
  for (const [at, environment] of [
    ['postgres://u:p@db:5432/x?', {}],
    ['postgres:///x?', { PGHOST: 'db' }],
  ] as const) {
    const check = (query: string, insecure = false, more = {}) =>
      checkTransport(at + query, insecure, { ...environment, ...more });
    // Saying nothing is not saying it once.
    expect(() => check('', true)).toThrow(refused);
    for (const query of lax) {
      expect(() => check(query), query).toThrow(refused);
      expect(() => check(query, true), query).not.toThrow();
    }
    for (const query of ['sslmode=verify-full', 'sslmode=require', 'ssl=true', 'sslrootcert=/ca']) {
      expect(() => check(query), query).not.toThrow();
      const off = { NODE_TLS_REJECT_UNAUTHORIZED: '0' };
      expect(() => check(query, false, off), query).toThrow(/NODE_TLS_REJECT_UNAUTHORIZED/);
      expect(() => check(query, true, off), query).not.toThrow();
    }
    expect(() => check('', false, { PGSSLMODE: 'require' })).not.toThrow();
    expect(() => check('', false, { PGSSLMODE: 'disable' })).toThrow(refused);
  }
  for (const here of ['localhost', '127.0.0.1', '[::1]', '%2Frun%2Fpostgresql'])
    expect(() => checkTransport(`postgres://${here}/x`, false, {})).not.toThrow();
  expect(() => checkTransport('postgres:///x?host=/run/pg', false, {})).not.toThrow();
  expect(() => pgBackend({ url: 'postgres://db/x?sslmode=disable' })).toThrow(refused);
  const other = { url: 'postgres://db/x?sslmode=no-verify' };
  const url = 'postgres://localhost/x';
  expect(() => pgBackend({ url, replica: other })).toThrow(refused);
  expect(() => pgBackend({ url, replica: other, insecure: true })).not.toThrow();
});
