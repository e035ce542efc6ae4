import type { ModelSignature } from '@keelson/core';

/** What a replica thread is started with. */
export interface ReplicaStart {
  readonly directory: string;
  readonly signature: ModelSignature;
  /** Two 32-bit words, see {@link startedWord} and {@link cancelledWord}. */
  readonly shared: SharedArrayBuffer;
}

/** Word in which the thread puts the number of the request it runs now, or ran last. */
export const startedWord = 0;

/** Word up to which requests that have not started must be skipped; written by the pool. */
export const cancelledWord = 1;

/**
 * What a replica thread says, beside frames of answers. `native` comes before an add-on is loaded: from then
 * on the thread must never be terminated while it runs.
 */
export type ReplicaMessage =
  | { readonly type: 'native'; readonly file: string }
  | { readonly type: 'ready' }
  | { readonly type: 'failed'; readonly code: 'FAILED' | 'INVALID'; readonly message: string }
  | { readonly type: 'stopped' };

/** In a frame of answers, what follows a request's number. */
export const answerKinds = { answered: 0, failed: 1, refused: 2, skipped: 3 } as const;

/** Whether request number `a` comes after `b`; numbers are 32 bits and wrap. */
export function isAfter(a: number, b: number): boolean {
  return ((a - b) | 0) > 0;
}
