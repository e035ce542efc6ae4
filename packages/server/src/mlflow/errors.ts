import { type ErrorCode, isKeelsonError, KeelsonError } from '@keelson/core';
import { jsonAnswer, type ServerAnswer } from '../http/exchange.ts';
import { ownStatusOf } from '../http/request-body.ts';

/** The error codes of MLflow that are answered here, with their status. */
const statuses = {
  BAD_REQUEST: 400,
  INVALID_PARAMETER_VALUE: 400,
  RESOURCE_ALREADY_EXISTS: 400,
  RESOURCE_LIMIT_EXCEEDED: 400,
  CANCELLED: 400,
  UNAUTHENTICATED: 401,
  PERMISSION_DENIED: 403,
  RESOURCE_DOES_NOT_EXIST: 404,
  ENDPOINT_NOT_FOUND: 404,
  RESOURCE_CONFLICT: 409,
  REQUEST_LIMIT_EXCEEDED: 429,
  INTERNAL_ERROR: 500,
  NOT_IMPLEMENTED: 501,
  TEMPORARILY_UNAVAILABLE: 503,
} as const;

/** An error code of MLflow. */
export type MlflowCode = keyof typeof statuses;

/**
 * What Keelson's codes are to MLflow's clients. They try again, for minutes, what is answered with 408, 429 and 5xx
 * except 501: so only what waiting mends is answered like that.
 */
const codes: Readonly<Record<ErrorCode, MlflowCode>> = {
  INVALID: 'INVALID_PARAMETER_VALUE',
  SYNTAX: 'INVALID_PARAMETER_VALUE',
  NOT_FOUND: 'RESOURCE_DOES_NOT_EXIST',
  CONFLICT: 'INVALID_PARAMETER_VALUE',
  STALE: 'RESOURCE_CONFLICT',
  LOST: 'RESOURCE_CONFLICT',
  IMMUTABLE: 'INVALID_PARAMETER_VALUE',
  FORBIDDEN: 'PERMISSION_DENIED',
  CORRUPT: 'RESOURCE_CONFLICT',
  CLOSED: 'TEMPORARILY_UNAVAILABLE',
  ABORTED: 'CANCELLED',
  TIMEOUT: 'TEMPORARILY_UNAVAILABLE',
  UNAVAILABLE: 'TEMPORARILY_UNAVAILABLE',
  EXHAUSTED: 'RESOURCE_LIMIT_EXCEEDED',
  UNSUPPORTED: 'NOT_IMPLEMENTED',
  INCOMPATIBLE: 'BAD_REQUEST',
  FAILED: 'BAD_REQUEST',
  INTERNAL: 'INTERNAL_ERROR',
};

/** An error that MLflow's clients know by its code. */
export function refusal(code: MlflowCode, message: string, cause?: unknown): KeelsonError {
  const details = { mlflow: code };
  return new KeelsonError('INVALID', message, {
    details,
    ...(cause === undefined ? {} : { cause }),
  });
}

/** INVALID_PARAMETER_VALUE. */
export function invalid(message: string): KeelsonError {
  return refusal('INVALID_PARAMETER_VALUE', message);
}

/** RESOURCE_DOES_NOT_EXIST. */
export function missing(message: string): KeelsonError {
  return refusal('RESOURCE_DOES_NOT_EXIST', message);
}

/** The answer that tells an error as MLflow's servers do. */
export function errorAnswer(error: unknown): ServerAnswer {
  if (!isKeelsonError(error)) {
    // Nothing of it is for the caller: it may quote what only this process knows.
    return coded('INTERNAL_ERROR', 'The server failed at this request; its logger was told more.');
  }
  const status = ownStatusOf(error);
  if (status === 401) {
    const challenge = { 'www-authenticate': 'Basic realm="mlflow"' };
    return coded('UNAUTHENTICATED', error.message, { headers: challenge });
  }
  const own = error.details['mlflow'] as MlflowCode | undefined;
  if (status === 429) return coded('REQUEST_LIMIT_EXCEEDED', error.message);
  if (status === 413) return coded('BAD_REQUEST', error.message, { status });
  return coded(own ?? codes[error.code], error.message);
}

function coded(
  code: MlflowCode,
  message: string,
  { status = statuses[code], headers = {} }: Pick<Partial<ServerAnswer>, 'status' | 'headers'> = {},
): ServerAnswer {
  return jsonAnswer(status, { error_code: code, message }, headers);
}
