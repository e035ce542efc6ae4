import type { Json } from '@keelson/core';
import { describeValue } from '../protocol/elements.ts';
import { malformed } from '../protocol/refusal.ts';
import { headerOf, type RequestHeaders } from './exchange.ts';

/** What Envoy tells those behind it: how long it will wait for this answer, in ms. */
const header = 'x-envoy-expected-rq-timeout-ms';

/**
 * How long the caller waits, in ms, and the server at the most `mostMs`: by Envoy's header, and by the parameter
 * `timeout` (microseconds) of Triton's schedule policy; the shortest counts, 0 is no limit. INVALID (400) for other values.
 */
export function callerDeadline(
  headers: RequestHeaders,
  parameters: Readonly<Record<string, Json>>,
  mostMs: number,
): number {
  let shortest = mostMs;
  const text = headerOf(headers, header);
  if (text !== undefined) {
    if (!/^\d{1,10}$/.test(text))
      throw malformed(
        `header ${header}`,
        'a number of milliseconds',
        JSON.stringify(text.slice(0, 60)),
      );
    shortest = shorter(shortest, Number(text));
  }
  const { timeout } = Object.hasOwn(parameters, 'timeout') ? parameters : { timeout: undefined };
  if (timeout !== undefined) {
    if (typeof timeout !== 'number' || !Number.isSafeInteger(timeout) || timeout < 0)
      throw malformed('parameters.timeout', 'a number of microseconds', describeValue(timeout));
    shortest = shorter(shortest, timeout / 1000);
  }
  return shortest;
}

function shorter(limitMs: number, givenMs: number): number {
  return givenMs === 0 ? limitMs : Math.min(limitMs, givenMs);
}
