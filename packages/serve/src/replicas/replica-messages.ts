import type { JsonObject } from '@keelson/core';
import type { ModelFaultCode } from '../runtimes/model-fault.ts';

/**
 * What a replica's thread or process says, beside frames of answers. `native` comes before an add-on is loaded: from
 * then on a thread must never be terminated while it runs.
 */
export type ReplicaMessage =
  | { readonly type: 'native'; readonly file: string }
  | { readonly type: 'ready'; readonly facts: JsonObject }
  | { readonly type: 'failed'; readonly code: ModelFaultCode; readonly message: string };

/**
 * What it is told, beside frames of requests: to finish what it has, unload and end, or, when it has `hung` and
 * comes back after all, to end at once.
 */
export interface StopMessage {
  readonly type: 'stop';
  readonly hung: boolean;
}

/** In a frame of answers, what follows a request's number. */
export const answerKinds = { answered: 0, failed: 1, refused: 2, skipped: 3 } as const;

/** Whether request number `a` comes after `b`; numbers are 32 bits and wrap. */
export function isAfter(a: number, b: number): boolean {
  return ((a - b) | 0) > 0;
}
