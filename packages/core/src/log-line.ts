import { redact, redactText } from './redaction.ts';

/** What was given to a logger, as fields and a message. */
export interface LogGiven {
  readonly fields: object;
  readonly message: string;
}

/**
 * The arguments of a logger that anybody's code calls, whose types nobody has checked: a text alone or before its
 * fields is taken for the message. What a step logs must never be what it fails of.
 */
export function logGiven(fields: unknown, message: unknown): LogGiven {
  if (isObject(fields)) return { fields, message: message === undefined ? '' : String(message) };
  return { fields: isObject(message) ? message : {}, message: String(fields ?? message ?? '') };
}

/** One line of JSON, without secrets; the message alone where the fields cannot be written. */
export function logLine(level: string, { fields, message }: LogGiven): string {
  try {
    return JSON.stringify({ level, ...redact(fields), message: redactText(message) }, plain);
  } catch {
    // Circles and the like: the message is what matters.
    return JSON.stringify({ level, message: redactText(message) });
  }
}

function isObject(value: unknown): value is object {
  return typeof value === 'object' && value !== null;
}

function plain(_: string, value: unknown): unknown {
  if (value instanceof Error)
    return { name: value.name, message: value.message, stack: value.stack };
  return typeof value === 'bigint' ? String(value) : value;
}
