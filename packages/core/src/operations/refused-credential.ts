import { KeelsonError } from '../errors.ts';

/** Of a credential, which itself is never in an error. */
export function refused(what: string, reason: string, cause?: unknown): KeelsonError {
  return new KeelsonError(
    'FORBIDDEN',
    `The ${what} is not accepted: ${reason}.`,
    cause === undefined ? {} : { cause },
  );
}
