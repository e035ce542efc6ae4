import type { PgRow } from '../connection/pg-session.ts';

/**
 * How bytes are asked for: `pg` reads answers as text, and base64 is a third shorter than PostgreSQL's hex
 * digits and several times faster to read.
 */
export const blob = "encode(data, 'base64') AS data";

/** The bytes of a row that was asked for {@link blob}. */
export function blobOf(row: PgRow): Uint8Array {
  return Buffer.from(String(row['data']), 'base64');
}
