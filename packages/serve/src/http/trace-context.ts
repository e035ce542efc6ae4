import { randomFillSync } from 'node:crypto';
import { headerOf, type RequestHeaders } from './exchange.ts';

/** Where a request belongs, by W3C Trace Context. */
export interface TraceContext {
  /** For the answer: the caller's trace, or a new one, with this server's own span. */
  readonly traceparent: string;
  /** The caller's trace id, where it gave one. */
  readonly traceId: string | undefined;
}

const pattern =
  /^(?!ff)[0-9a-f]{2}-((?!0{32})[0-9a-f]{32})-(?!0{16})[0-9a-f]{16}-([0-9a-f]{2})(?:-.*)?$/;

/** The context of a request; a malformed `traceparent` counts as none, as the recommendation asks. */
export function traceContext(headers: RequestHeaders): TraceContext {
  const given = headerOf(headers, 'traceparent');
  const match = given === undefined ? null : pattern.exec(given);
  const traceId = match?.[1];
  const flags = match?.[2] ?? '00';
  return { traceparent: `00-${traceId ?? randomHex(16)}-${randomHex(8)}-${flags}`, traceId };
}

// Random bytes are drawn in blocks: one call for each would cost as much as the routing of a request.
const pool: Buffer = Buffer.alloc(4096);
let used = pool.length;

function randomHex(byteCount: number): string {
  if (used + byteCount > pool.length) {
    randomFillSync(pool);
    used = 0;
  }
  used += byteCount;
  return pool.toString('hex', used - byteCount, used);
}
