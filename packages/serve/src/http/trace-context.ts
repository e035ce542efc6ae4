import { randomFillSync } from 'node:crypto';
import { correlationFromHeaders, headersOfCorrelation } from '@keelson/core';
import { headerOf, type RequestHeaders } from './exchange.ts';

/** Where a request belongs: its correlation, and its place in a trace of W3C Trace Context. */
export interface TraceContext {
  /** For the answer: the caller's trace, or one that belongs to its correlation, with this server's own span. */
  readonly traceparent: string;
  /** What the request and all that it causes are found by: the caller's, or a new one. */
  readonly correlationId: string;
  /** Whether the caller has said it. */
  readonly isGiven: boolean;
}

const pattern =
  /^(?!ff)[0-9a-f]{2}-((?!0{32})[0-9a-f]{32})-(?!0{16})[0-9a-f]{16}-([0-9a-f]{2})(?:-.*)?$/;

/** The context of a request; malformed headers count as none, as the recommendation asks. */
export function traceContext(headers: RequestHeaders): TraceContext {
  const header = headerOf(headers, 'traceparent');
  const match = header === undefined ? null : pattern.exec(header);
  const given = correlationFromHeaders(headers);
  const traceId =
    match?.[1] ??
    (given === undefined ? randomHex(16) : headersOfCorrelation(given).traceparent.slice(3, 35));
  const correlationId = given?.correlationId ?? dashed(traceId);
  const flags = match?.[2] ?? '00';
  const traceparent = `00-${traceId}-${randomHex(8)}-${flags}`;
  return { traceparent, correlationId, isGiven: given !== undefined };
}

function dashed(hex: string): string {
  const cut = [hex.slice(0, 8), hex.slice(8, 12), hex.slice(12, 16), hex.slice(16, 20)];
  return `${cut.join('-')}-${hex.slice(20)}`;
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
