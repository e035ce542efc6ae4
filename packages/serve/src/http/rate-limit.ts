import { refusal } from '../protocol/refusal.ts';

/** How much one client may ask. */
export interface RateLimitOptions {
  readonly requestsPerSecond: number;
  /** Requests that may come at once after a pause; `requestsPerSecond` when left out. */
  readonly burst?: number;
  /** The header that names the client, such as `authorization`; the remote address when left out. */
  readonly header?: string;
}

interface Bucket {
  tokens: number;
  at: number;
}

const maxClients = 10_000;

/** A token bucket for each client, for at most 10,000 clients: the one that was away longest is forgotten first. */
export class RateLimit {
  readonly #buckets = new Map<string, Bucket>();
  readonly #perMs: number;
  readonly #burst: number;

  constructor(options: RateLimitOptions) {
    this.#perMs = options.requestsPerSecond / 1000;
    this.#burst = Math.max(1, options.burst ?? options.requestsPerSecond);
  }

  /** Takes one request at `now` (ms). EXHAUSTED (429), with the time to wait, when the client is over its limit. */
  take(client: string, now: number): void {
    const bucket = this.#buckets.get(client) ?? { tokens: this.#burst, at: now };
    bucket.tokens = Math.min(this.#burst, bucket.tokens + (now - bucket.at) * this.#perMs);
    bucket.at = now;
    // Put last: Map keeps the order of insertion, so the first one is the longest away.
    this.#buckets.delete(client);
    this.#buckets.set(client, bucket);
    if (this.#buckets.size > maxClients)
      this.#buckets.delete(this.#buckets.keys().next().value as string);
    if (bucket.tokens < 1) {
      const retryAfterMs = Math.ceil((1 - bucket.tokens) / this.#perMs);
      throw refusal(
        429,
        'EXHAUSTED',
        `You are over your limit of ${this.#perMs * 1000} requests a second.`,
        {
          retryAfterMs,
        },
      );
    }
    bucket.tokens -= 1;
  }
}
