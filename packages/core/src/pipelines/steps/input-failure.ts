import { isKeelsonError } from '../../errors.ts';
import { StepError } from '../step-policy.ts';

/**
 * What a step fails with when one of its inputs cannot be had: a `data` failure that names the input for one that
 * is gone or damaged; everything else as it is.
 */
export function inputFailure(step: string, input: string, cause: unknown): unknown {
  if (!isKeelsonError(cause, 'CORRUPT', 'NOT_FOUND')) return cause;
  const failure = new StepError(
    'data',
    `Input "${input}" of step ${step} cannot be used: ${cause.message} Start a new execution to have it made again.`,
    { cause },
  );
  return Object.assign(failure, { code: cause.code });
}
