import { setTimeout as wait } from 'node:timers/promises';
import { KeelsonError } from '@keelson/core';

/** How long transient faults are borne, and who may end it. */
export interface RetryOptions {
  readonly retryMs: number;
  readonly signal?: AbortSignal | undefined;
  /** Whether a fault may be gone a moment later, and trying again does no harm. */
  readonly isTransient: (error: unknown) => boolean;
  /** Hears of each fault that is borne. */
  readonly onRetry?: ((error: unknown, attempt: number) => void) | undefined;
}

const firstPauseMs = 10;
const longestPauseMs = 1_000;
const maxAttempts = 50;

/**
 * Tries until it succeeds, the fault is not transient, or the time is up; then throws what the last
 * attempt threw. Pauses are random, up to twice as long each time: those who lost a race together shall
 * not meet again.
 */
export async function withRetry<T>(attempt: () => Promise<T>, options: RetryOptions): Promise<T> {
  const startedAt = performance.now();
  for (let tries = 1; ; tries += 1) {
    throwIfAborted(options.signal);
    try {
      return await attempt();
    } catch (error) {
      if (!options.isTransient(error)) throw error;
      const pauseMs = Math.random() * Math.min(longestPauseMs, firstPauseMs * 2 ** tries);
      const over = performance.now() - startedAt + pauseMs >= options.retryMs;
      if (over || tries >= maxAttempts) throw error;
      options.onRetry?.(error, tries);
      await pause(pauseMs, options.signal);
    }
  }
}

/** ABORTED when the signal has been aborted. */
export function throwIfAborted(signal: AbortSignal | undefined): void {
  if (signal?.aborted) throw aborted(signal);
}

/** The error of an operation that its caller has aborted. */
export function aborted(signal: AbortSignal | undefined): KeelsonError {
  return new KeelsonError('ABORTED', 'The operation was aborted by its caller.', {
    cause: signal?.reason,
  });
}

async function pause(ms: number, signal: AbortSignal | undefined): Promise<void> {
  try {
    await wait(ms, undefined, signal === undefined ? {} : { signal });
  } catch (error) {
    if (signal?.aborted) throw aborted(signal);
    throw error;
  }
}
