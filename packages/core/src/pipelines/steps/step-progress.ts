import type { StepProgress } from '../step-execution.ts';

/** What a step says of how far it has come, within bounds; what is no number counts as nothing yet. */
export function progressOf(share: number, message?: unknown): StepProgress {
  return {
    share: Math.min(1, Math.max(0, Number(share) || 0)),
    ...(typeof message === 'string' ? { message: message.slice(0, 500) } : {}),
    at: Date.now(),
  };
}
