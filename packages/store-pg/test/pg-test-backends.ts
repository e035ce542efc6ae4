import { createHash } from 'node:crypto';
import { type PgBackend, pgBackend } from '../src/index.ts';

/**
 * For tests of core's services (see `test-backends.ts` there): records and series in the database that
 * KEELSON_TEST_PG_URL names, in a schema of its own for each directory.
 */
export function testBackends(dir: string): {
  readonly metadata: PgBackend;
  readonly series: PgBackend;
} {
  const url = process.env['KEELSON_TEST_PG_URL'] ?? '';
  const schema = `d${createHash('sha256').update(dir).digest('hex').slice(0, 16)}`;
  const backend = pgBackend({ url, schema, maxConnections: 4 });
  return { metadata: backend, series: backend };
}
