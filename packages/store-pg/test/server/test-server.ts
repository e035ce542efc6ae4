import { connect } from 'node:net';
import { text } from 'node:stream/consumers';
import { inject } from 'vitest';
import { findPgBin } from './cluster.ts';

/** The address of the server that tests use; undefined, said loudly, where there is none. */
export async function findTestServer(): Promise<string | undefined> {
  const given = process.env['KEELSON_TEST_PG_URL'] ?? process.env['DATABASE_URL'];
  if (given !== undefined && given !== '') return given;
  if (findPgBin() === undefined) return missing();
  const answer = JSON.parse(await text(connect(inject('keelsonPgSocket')))) as {
    readonly url?: string;
    readonly error?: string;
  };
  if (answer.url === undefined) throw new Error(`PostgreSQL did not start: ${answer.error}`);
  return answer.url;
}

function missing(): undefined {
  const message =
    'PostgreSQL is missing: install it (apt-get install postgresql), or set KEELSON_TEST_PG_URL to the address of a server where databases may be created.';
  if (process.env['CI']) throw new Error(message);
  console.error(`\n*** LEFT OUT: every test on PostgreSQL. ${message}\n`);
  return undefined;
}
