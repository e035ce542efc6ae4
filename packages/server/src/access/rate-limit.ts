import { KeelsonError, type Principal } from '@keelson/core';
import type { ServerRequest } from '../http/exchange.ts';

/** How much one caller may ask. */
export interface RateLimitOptions {
  readonly requestsPerSecond: number;
  /** Requests that may come at once after a pause; ten seconds' worth when left out. */
  readonly burst?: number;
  /** What holds for one principal in the place of these; null for no limit. */
  readonly of?: (principal: Principal) => Rate | null;
}

/** The limit of one principal. */
export type Rate = Pick<RateLimitOptions, 'requestsPerSecond' | 'burst'>;

/** Counts requests of principals, and of addresses where nobody is known. */
export interface RateLimits {
  /** Counts a request, once. EXHAUSTED (429), with `retryAfterMs`, when its caller is over the limit. */
  take(request: ServerRequest, principal: Principal | undefined): void;
  /** What an answer says of the limit; nothing for requests that were not counted. */
  headersOf(request: ServerRequest): Readonly<Record<string, string>> | undefined;
}

interface Bucket {
  tokens: number;
  at: number;
}

/** Callers that are remembered: the one that was away longest is forgotten first. */
const maxCallers = 10_000;
/** Watching must go on where work is refused. */
const isExempt: RegExp = /^(\/api\/v1)?\/(health(\/(live|ready))?|metrics)$/;

/** A token bucket for each caller, in this process. INVALID for rates that are none. */
export function createRateLimits(
  options: RateLimitOptions,
  now: () => number = () => performance.now(),
): RateLimits {
  const common = checked(options);
  const buckets = new Map<string, Bucket>();
  const told = new WeakMap<ServerRequest, Readonly<Record<string, string>>>();

  function rateOf(principal: Principal | undefined): Required<Rate> | undefined {
    if (principal === undefined || options.of === undefined) return common;
    const own = options.of(principal);
    return own === null ? undefined : checked(own);
  }

  return {
    take(request, principal) {
      if (told.has(request) || isExempt.test(request.url.split('?', 1)[0] ?? '')) return;
      const rate = rateOf(principal);
      if (rate === undefined) return;
      const caller =
        principal === undefined ? `address:${request.client ?? ''}` : `principal:${principal.id}`;
      const bucket = filled(buckets.get(caller), rate, now());
      // Put last: Map keeps the order of insertion, so the first one is the longest away.
      buckets.delete(caller);
      buckets.set(caller, bucket);
      if (buckets.size > maxCallers) buckets.delete(buckets.keys().next().value as string);
      const isOver = bucket.tokens < 1;
      if (!isOver) bucket.tokens -= 1;
      const retryAfterMs = Math.ceil(((1 - bucket.tokens) / rate.requestsPerSecond) * 1000);
      told.set(request, headers(rate, bucket.tokens, isOver ? retryAfterMs : undefined));
      if (!isOver) return;
      throw new KeelsonError(
        'EXHAUSTED',
        `This is more than ${rate.requestsPerSecond} requests a second; the next may come in ${retryAfterMs} ms.`,
        { details: { httpStatus: 429, retryAfterMs } },
      );
    },
    headersOf: (request) => told.get(request),
  };
}

function filled(known: Bucket | undefined, rate: Required<Rate>, at: number): Bucket {
  if (known === undefined) return { tokens: rate.burst, at };
  const gained = ((at - known.at) * rate.requestsPerSecond) / 1000;
  known.tokens = Math.min(rate.burst, known.tokens + gained);
  known.at = at;
  return known;
}

/** As draft-ietf-httpapi-ratelimit-headers-10 has them: the quota and its window, what remains and when there is more. */
function headers(
  { requestsPerSecond, burst }: Required<Rate>,
  tokens: number,
  retryAfterMs: number | undefined,
): Readonly<Record<string, string>> {
  const window = Math.max(1, Math.ceil(burst / requestsPerSecond));
  const full = Math.ceil((burst - tokens) / requestsPerSecond);
  return {
    'ratelimit-policy': `"default";q=${Math.floor(burst)};w=${window}`,
    ratelimit: `"default";r=${Math.floor(tokens)};t=${full}`,
    ...(retryAfterMs === undefined
      ? {}
      : { 'retry-after': String(Math.max(1, Math.ceil(retryAfterMs / 1000))) }),
  };
}

function checked({ requestsPerSecond, burst = 10 * requestsPerSecond }: Rate): Required<Rate> {
  if (!(requestsPerSecond > 0 && requestsPerSecond < 1e9 && burst >= 1 && burst < 1e9)) {
    throw new KeelsonError(
      'INVALID',
      `rateLimit needs requestsPerSecond above 0 and a burst of 1 at least, not ${requestsPerSecond} and ${burst}.`,
    );
  }
  return { requestsPerSecond, burst };
}
