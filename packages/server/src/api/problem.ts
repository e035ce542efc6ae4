import { type ErrorCode, isKeelsonError, KeelsonError } from '@keelson/core';
import type { ServerAnswer } from '../http/exchange.ts';
import { ownStatusOf } from '../http/request-body.ts';

/** One field that a request has wrong. */
export interface FieldProblem {
  /** Such as `body.tags.team` or `query.limit`. */
  readonly path: string;
  readonly message: string;
}

const statuses: Readonly<Record<ErrorCode, number>> = {
  INVALID: 400,
  SYNTAX: 400,
  FORBIDDEN: 403,
  NOT_FOUND: 404,
  CONFLICT: 409,
  STALE: 409,
  LOST: 409,
  IMMUTABLE: 409,
  UNSUPPORTED: 422,
  INCOMPATIBLE: 422,
  EXHAUSTED: 429,
  ABORTED: 499,
  CORRUPT: 500,
  FAILED: 500,
  INTERNAL: 500,
  CLOSED: 503,
  UNAVAILABLE: 503,
  TIMEOUT: 504,
};

const titles: Readonly<Record<number, string>> = {
  400: 'The request is not what this route takes',
  401: 'It is not known who asks',
  403: 'The caller may not do this',
  404: 'There is no such thing',
  405: 'This method is not for this path',
  409: 'This contradicts what is there',
  412: 'It was changed in the meantime',
  413: 'The body is too long',
  415: 'The body is of a type that cannot be read',
  416: 'There are no such bytes',
  422: 'This cannot be done here',
  429: 'A limit is reached',
  499: 'The caller has gone',
  500: 'Something failed',
  503: 'Not available now',
  504: 'It took too long',
};

/** What is answered with a status of its own: `details.httpStatus` goes before the code's. */
export function refusal(
  httpStatus: number,
  code: ErrorCode,
  message: string,
  details: Readonly<Record<string, unknown>> = {},
): KeelsonError {
  return new KeelsonError(code, message, { details: { ...details, httpStatus } });
}

/** The status that an error is answered with. */
export function statusOf(error: unknown): number {
  return isKeelsonError(error) ? (ownStatusOf(error) ?? statuses[error.code]) : 500;
}

/** The statuses that any route may answer beside its own, and what they mean. */
export const commonFailures: readonly number[] = [
  400, 401, 403, 404, 409, 413, 415, 422, 429, 500, 503, 504,
];

/** What a status means, in a sentence's half. */
export function titleOf(status: number): string {
  return titles[status] ?? 'The request failed';
}

/**
 * An error as a problem of RFC 9457. `code` is one of docs/errors.md, `class` says what a program may do about it,
 * `errors` names the fields. What is no error of ours may say more than a caller should read, and says nothing.
 */
export function problemAnswer(error: unknown, correlationId: string): ServerAnswer {
  const status = statusOf(error);
  const known = isKeelsonError(error) ? error : undefined;
  const { httpStatus: _, problems, ...details } = known?.details ?? {};
  const code = known?.code ?? 'INTERNAL';
  const body = {
    type: `urn:keelson:error:${code}`,
    title: titleOf(status),
    status,
    code,
    class: known?.class ?? 'internal',
    detail: known?.message ?? 'Something failed that should not; the server has logged it.',
    correlationId,
    ...(Array.isArray(problems) && problems.every(isFieldProblem) ? { errors: problems } : {}),
    ...(Object.keys(details).length === 0 ? {} : { details }),
  };
  const headers: Record<string, string> = { 'content-type': 'application/problem+json' };
  if (status === 401) headers['www-authenticate'] = 'Bearer realm="keelson", Basic realm="keelson"';
  if (status === 405) headers['allow'] = String(details['allow']);
  if (status === 429 || status === 503)
    headers['retry-after'] = retryAfter(details['retryAfterMs']);
  return { status, headers, body: JSON.stringify(body) };
}

function retryAfter(ms: unknown): string {
  return String(Math.max(1, Math.ceil((typeof ms === 'number' ? ms : 1000) / 1000)));
}

function isFieldProblem(value: unknown): value is FieldProblem {
  return typeof value === 'object' && value !== null && 'path' in value;
}
