import type { FailureClass, RetryPolicy } from './definition.ts';
import { defaultRetry } from './step-policy.ts';

/** How often and when a step is tried again, as users write it. */
export interface RetryOptions {
  /** Further attempts after the first. */
  readonly limit: number;
  /** Before the second attempt; 1,000 when left out. */
  readonly delayMs?: number;
  /** What the delay grows by with each failure; 2 when left out. */
  readonly factor?: number;
  /** 60,000 when left out. */
  readonly maxDelayMs?: number;
  /** Which failures are worth another attempt; `transient` and `resource` when left out. */
  readonly on?: readonly FailureClass[];
}

/** The policy in full. */
export function retryPolicy(options: number | RetryOptions | undefined): RetryPolicy {
  if (options === undefined) return defaultRetry;
  return { ...defaultRetry, ...(typeof options === 'number' ? { limit: options } : options) };
}
