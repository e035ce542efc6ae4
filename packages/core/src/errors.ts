import { redact, redactText } from './redaction.ts';

/**
 * The closed set of reasons for which Keelson refuses or fails. `docs/errors.md` explains each one
 * with its remedy; a test holds that page and this list together.
 */
export const errorCodes = [
  'INVALID',
  'SYNTAX',
  'NOT_FOUND',
  'CONFLICT',
  'STALE',
  'LOST',
  'IMMUTABLE',
  'FORBIDDEN',
  'CORRUPT',
  'CLOSED',
  'ABORTED',
  'TIMEOUT',
  'UNAVAILABLE',
  'EXHAUSTED',
  'UNSUPPORTED',
  'INCOMPATIBLE',
  'FAILED',
  'INTERNAL',
] as const;

/** One of the reasons in {@link errorCodes}. */
export type ErrorCode = (typeof errorCodes)[number];

/** What a caller may do about an error: wait and retry, mend the call, or give up. */
export type ErrorClass =
  | 'transient'
  | 'invalid'
  | 'conflict'
  | 'not_found'
  | 'permission'
  | 'exhausted'
  | 'internal';

const classes: Record<ErrorCode, ErrorClass> = {
  INVALID: 'invalid',
  SYNTAX: 'invalid',
  NOT_FOUND: 'not_found',
  CONFLICT: 'conflict',
  STALE: 'conflict',
  LOST: 'conflict',
  IMMUTABLE: 'conflict',
  FORBIDDEN: 'permission',
  CORRUPT: 'internal',
  CLOSED: 'invalid',
  ABORTED: 'invalid',
  TIMEOUT: 'transient',
  UNAVAILABLE: 'transient',
  EXHAUSTED: 'exhausted',
  UNSUPPORTED: 'invalid',
  INCOMPATIBLE: 'invalid',
  FAILED: 'internal',
  INTERNAL: 'internal',
};

/** Facts about an error that a program may read; the message says the same to a person. */
export type ErrorDetails = Readonly<Record<string, unknown>>;

const brand: symbol = Symbol.for('keelson.error');

/** The one error type of Keelson: a stable `code`, a message with the remedy, the `cause` kept. */
export class KeelsonError extends Error {
  override readonly name = 'KeelsonError';
  readonly code: ErrorCode;
  readonly details: ErrorDetails;

  constructor(
    code: ErrorCode,
    message: string,
    options: { readonly cause?: unknown; readonly details?: ErrorDetails } = {},
  ) {
    super(redactText(readable(message)), 'cause' in options ? { cause: options.cause } : undefined);
    this.code = code;
    this.details = redact(options.details ?? {});
    Object.defineProperty(this, brand, { value: true });
  }

  /** What a caller may do about it. */
  get class(): ErrorClass {
    return classes[this.code];
  }

  /** A form for logs and wires: code, message and details, without stack and cause. */
  toJSON(): { code: ErrorCode; message: string; details: ErrorDetails } {
    return { code: this.code, message: this.message, details: this.details };
  }
}

/**
 * Whether `value` is a Keelson error, and, when codes are named, one of those. Works across duplicate
 * installs of the package.
 */
export function isKeelsonError(
  value: unknown,
  ...codes: readonly ErrorCode[]
): value is KeelsonError {
  if (typeof value !== 'object' || value === null || !(brand in value)) return false;
  return codes.length === 0 || codes.includes((value as KeelsonError).code);
}

const maxMessage = 4_000;

/** What was given stands in messages, and may be a megabyte: its middle is nothing that people read. */
function readable(message: string): string {
  if (message.length <= maxMessage) return message;
  const end = 1_000;
  const head = message.slice(0, maxMessage - end - 50).toWellFormed();
  return `${head} … (${message.length - maxMessage} characters) … ${message.slice(-end).toWellFormed()}`;
}
