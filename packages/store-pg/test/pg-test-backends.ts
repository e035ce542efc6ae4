import { createHash } from 'node:crypto';
import type { MetadataBackend } from '@keelson/core';
import { pgBackend } from '../src/index.ts';

/**
 * For tests of core's services (see `test-backends.ts` there): metadata in the database that
 * KEELSON_TEST_PG_URL names, in a schema of its own for each directory.
 */
export function testBackends(dir: string): { readonly metadata: MetadataBackend } {
  const url = process.env['KEELSON_TEST_PG_URL'] ?? '';
  const schema = `d${createHash('sha256').update(dir).digest('hex').slice(0, 16)}`;
  return { metadata: pgBackend({ url, schema, maxConnections: 4 }) };
}
