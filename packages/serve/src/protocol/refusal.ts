import { type ErrorCode, isKeelsonError, KeelsonError } from '@keelson/core';

/**
 * An error that HTTP answers with `status`. The message names the place in the request and what was
 * expected there.
 */
export function refusal(
  status: number,
  code: ErrorCode,
  message: string,
  details: Readonly<Record<string, unknown>> = {},
): KeelsonError {
  return new KeelsonError(code, message, { details: { ...details, status } });
}

/** What is malformed as a request of the protocol: 400. */
export function malformed(path: string, expectation: string, found?: string): KeelsonError {
  const seen = found === undefined ? '' : `, not ${found}`;
  return refusal(400, 'INVALID', `${path}: expected ${expectation}${seen}.`, { path });
}

const statusOfCode: Readonly<Partial<Record<ErrorCode, number>>> = {
  INVALID: 400,
  SYNTAX: 400,
  NOT_FOUND: 404,
  FORBIDDEN: 403,
  CONFLICT: 409,
  STALE: 409,
  ABORTED: 499,
  CLOSED: 503,
  UNAVAILABLE: 503,
  EXHAUSTED: 503,
  TIMEOUT: 504,
  UNSUPPORTED: 501,
};

/** The HTTP status of an error: what {@link refusal} gave it, else the one of its code, else 500. */
export function statusOf(error: unknown): number {
  if (!isKeelsonError(error)) return 500;
  const { status } = error.details;
  return typeof status === 'number' ? status : (statusOfCode[error.code] ?? 500);
}
