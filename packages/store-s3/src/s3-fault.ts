import { type ErrorCode, isKeelsonError, KeelsonError } from '@keelson/core';

/** What an error of the SDK, the service or the socket says, as far as it can be read. */
interface Said {
  readonly name: string;
  readonly message: string;
  readonly status: number | undefined;
  readonly system: string | undefined;
}

const denied = new Set([
  'AccessDenied',
  'AccountProblem',
  'AllAccessDisabled',
  'ExpiredToken',
  'InvalidAccessKeyId',
  'InvalidToken',
  'SignatureDoesNotMatch',
  'CredentialsProviderError',
  'RequestTimeTooSkewed',
]);
const full = new Set([
  'QuotaExceeded',
  'EntityTooLarge',
  'InsufficientStorage',
  'StorageFull',
  'XMinioStorageFull',
  'NotEnoughSpace',
]);
const damagedOnTheWay = new Set([
  'BadDigest',
  'InvalidDigest',
  'XAmzContentChecksumMismatch',
  'XAmzContentSHA256Mismatch',
  'IncompleteBody',
]);
const unknownToService = new Set([
  'InvalidArgument',
  'InvalidRequest',
  'MalformedXML',
  'NotImplemented',
  'UnsupportedArgument',
  'UnsupportedHeader',
]);
const passing = new Set([
  'InternalError',
  'OperationAborted',
  'RequestTimeout',
  'ServiceUnavailable',
  'SlowDown',
  'Throttling',
  'ThrottlingException',
  'TimeoutError',
  'TooManyRequests',
]);
const passingSystem = new Set([
  'ECONNABORTED',
  'ECONNREFUSED',
  'ECONNRESET',
  'EAI_AGAIN',
  'EHOSTUNREACH',
  'ENETUNREACH',
  'ENOTFOUND',
  'EPIPE',
  'ERR_STREAM_PREMATURE_CLOSE',
  'ETIMEDOUT',
  'UND_ERR_SOCKET',
]);

/** Whether the service said that what was named is not there. */
export function isMissing(error: unknown): boolean {
  const { name, status } = said(error);
  return (
    ['NoSuchKey', 'NotFound', 'NoSuchUpload'].includes(name) ||
    (status === 404 && !isNoBucket(error))
  );
}

/** Whether a multipart upload is over: completed or aborted by somebody. */
export function isNoUpload(error: unknown): boolean {
  return said(error).name === 'NoSuchUpload';
}

/** Whether the service refused a range behind the end of an object. */
export function isOutOfRange(error: unknown): boolean {
  const { name, status } = said(error);
  return name === 'InvalidRange' || status === 416;
}

/** Whether the service knows nothing of what a request asks for, as it says in one way or another. */
export function isNotUnderstood(error: unknown): boolean {
  if (isKeelsonError(error)) return false;
  const { name, status } = said(error);
  return status === 501 || (status === 400 && unknownToService.has(name));
}

/** Whether the same request may succeed a moment later. */
export function isPassing(error: unknown): boolean {
  if (isKeelsonError(error)) return error.code === 'UNAVAILABLE';
  const { name, status, system } = said(error);
  if (passing.has(name) || damagedOnTheWay.has(name)) return true;
  if (system !== undefined && passingSystem.has(system)) return true;
  if (status === 501 || status === 507 || full.has(name)) return false;
  return status === 408 || status === 429 || (status !== undefined && status >= 500);
}

/** Whether a request was given up because the service said nothing: it may be at work on it. */
export function isSilence(error: unknown): boolean {
  return isKeelsonError(error, 'UNAVAILABLE') && error.details['service'] === 'TimeoutError';
}

/**
 * `error` as a KeelsonError that names what was being done, where, and the remedy. Its cause holds name,
 * message and status only: what the SDK hangs on its errors (requests, headers) may hold secrets.
 */
export function fromS3Error(error: unknown, doing: string, place: string): KeelsonError {
  if (isKeelsonError(error)) return error;
  const { name, message, status, system } = said(error);
  const [code, text] = explain(error, doing, place);
  const cause = Object.assign(new Error(message), { name });
  const details = { place, service: name, ...(status === undefined ? {} : { status }) };
  return new KeelsonError(code, text, {
    cause,
    details: system === undefined ? details : { ...details, system },
  });
}

function explain(error: unknown, doing: string, place: string): [ErrorCode, string] {
  const { name, message, status } = said(error);
  if (isNoBucket(error)) {
    return [
      'UNAVAILABLE',
      `There is no bucket for ${place}, found while ${doing}. Create it, or name another one.`,
    ];
  }
  if (denied.has(name) || status === 401 || status === 403) {
    return [
      'FORBIDDEN',
      `The storage refused (${name}) while ${doing} (${place}). Check the credentials, their expiry and what they may do with the bucket.`,
    ];
  }
  if (full.has(name) || status === 507) {
    return [
      'EXHAUSTED',
      `The storage has no room (${name}) while ${doing} (${place}); nothing of it was kept. Free some space or raise the quota, and try again.`,
    ];
  }
  if (damagedOnTheWay.has(name)) {
    return [
      'CORRUPT',
      `Bytes were changed on their way (${name}) while ${doing} (${place}), every time. Something between this process and the storage damages data; look at proxies and network cards.`,
    ];
  }
  if (isPassing(error)) {
    return [
      'UNAVAILABLE',
      `The storage did not answer as it should while ${doing} (${place}): ${name}: ${message}. It was tried several times; try again when it is back.`,
    ];
  }
  if (isMissing(error)) {
    return ['NOT_FOUND', `The storage has nothing at ${place} (while ${doing}).`];
  }
  return ['FAILED', `The storage refused with ${name} while ${doing} (${place}): ${message}.`];
}

function isNoBucket(error: unknown): boolean {
  return said(error).name === 'NoSuchBucket';
}

function said(error: unknown): Said {
  if (typeof error !== 'object' || error === null) {
    return { name: 'Error', message: String(error), status: undefined, system: undefined };
  }
  const { name, message, code, Code, $metadata } = error as {
    readonly name?: unknown;
    readonly message?: unknown;
    readonly code?: unknown;
    readonly Code?: unknown;
    readonly $metadata?: { readonly httpStatusCode?: number };
  };
  const system = typeof code === 'string' ? code : undefined;
  const called = [Code, name].find((each) => typeof each === 'string' && each !== 'Error');
  return {
    name: typeof called === 'string' ? called : (system ?? 'Error'),
    message: typeof message === 'string' ? message : '',
    status: $metadata?.httpStatusCode,
    system,
  };
}
