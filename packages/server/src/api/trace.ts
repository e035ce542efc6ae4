import { randomBytes } from 'node:crypto';
import { correlationFromHeaders, headersOfCorrelation } from '@keelson/core';
import { headerOf, type RequestHeaders } from '../http/exchange.ts';

/** Where a request belongs: what it and all that it causes are found by, and its place in a trace. */
export interface Trace {
  readonly correlationId: string;
  /** For the answer: the caller's trace, with a span of this server. */
  readonly traceparent: string;
}

const form =
  /^(?!ff)[0-9a-f]{2}-((?!0{32})[0-9a-f]{32})-(?!0{16})[0-9a-f]{16}-([0-9a-f]{2})(?:-.*)?$/;

/** Of a request; malformed headers count as none. */
export function traceOf(headers: RequestHeaders): Trace {
  const [, givenId, flags = '00'] = form.exec(headerOf(headers, 'traceparent') ?? '') ?? [];
  const given = correlationFromHeaders(headers);
  const traceId =
    givenId ??
    (given === undefined
      ? randomBytes(16).toString('hex')
      : headersOfCorrelation(given).traceparent.slice(3, 35));
  const correlationId = given?.correlationId ?? dashed(traceId);
  return { correlationId, traceparent: `00-${traceId}-${randomBytes(8).toString('hex')}-${flags}` };
}

function dashed(hex: string): string {
  return [
    hex.slice(0, 8),
    hex.slice(8, 12),
    hex.slice(12, 16),
    hex.slice(16, 20),
    hex.slice(20),
  ].join('-');
}
