import { KeelsonError } from '@keelson/core';
import type { Job } from './job.ts';

/** TIMEOUT for a job whose deadline has passed, saying where it was then. */
export function timeoutError(job: Job, where: 'queue' | 'model'): KeelsonError {
  const limitMs = Math.round(job.deadlineAt - job.enqueuedAt);
  const message =
    where === 'model'
      ? `The model did not answer within ${limitMs} ms.`
      : `No replica came free within ${limitMs} ms: add replicas, or send fewer requests at once.`;
  return new KeelsonError('TIMEOUT', message, { details: { limitMs, where } });
}
