import { createHash, randomBytes } from 'node:crypto';
import { assertObject } from '../check-options.ts';
import { KeelsonError } from '../errors.ts';
import { activeSpan } from './active-trace.ts';
import type { Correlation } from './correlation.ts';

/** Headers by name in lower case, as Node and `Object.fromEntries(request.headers)` give them. */
export type CorrelationHeaders = Readonly<Record<string, string | readonly string[] | undefined>>;

const idForm = /^[\x21-\x7e]{1,128}$/;
const uuidForm = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/;
/** Version 00 ends after the flags; later ones may go on behind a dash. */
const traceForm =
  /^(?:00-([0-9a-f]{32})-([0-9a-f]{16})-[0-9a-f]{2}|(?!00|ff)[0-9a-f]{2}-([0-9a-f]{32})-([0-9a-f]{16})-[0-9a-f]{2}(?:-[\x21-\x7e]{0,400})?)$/;

/**
 * The correlation that a request came with: its `x-correlation-id` (1 to 128 printable characters without
 * spaces), else the trace id of its W3C `traceparent` in the form of a UUID. Undefined when it has neither:
 * what is malformed or there twice counts as not there, since headers are anybody's.
 */
export function correlationFromHeaders(headers: CorrelationHeaders): Correlation | undefined {
  assertObject(headers, 'correlationFromHeaders');
  const id = single(headers['x-correlation-id']);
  if (id !== undefined && idForm.test(id)) return { correlationId: id };
  const traceId = traceIdOf(single(headers['traceparent']));
  return traceId === undefined ? undefined : { correlationId: uuidOf(traceId) };
}

/**
 * The headers that carry a correlation on: `x-correlation-id`, and a `traceparent` (with the span in force, or a
 * new one, not sampled) whose trace id is the correlation's UUID, or made of its SHA-256 where it is none. INVALID for a
 * correlation that is no header's value.
 */
export function headersOfCorrelation(correlation: Correlation): {
  readonly 'x-correlation-id': string;
  readonly traceparent: string;
} {
  const { correlationId } = assertObject(correlation, 'headersOfCorrelation');
  if (typeof correlationId !== 'string' || !idForm.test(correlationId)) {
    throw new KeelsonError(
      'INVALID',
      'A correlation id in a header has 1 to 128 printable characters and no spaces.',
    );
  }
  const traceId = traceIdFor(correlationId);
  const active = activeSpan();
  const flags = active?.traceFlags.toString(16).padStart(2, '0');
  const traceparent =
    active?.traceId === traceId
      ? `00-${traceId}-${active.spanId}-${flags}`
      : `00-${traceId}-${spanId()}-00`;
  return { 'x-correlation-id': correlationId, traceparent };
}

function single(value: string | readonly string[] | undefined): string | undefined {
  if (typeof value === 'string') return value;
  return Array.isArray(value) && value.length === 1 && typeof value[0] === 'string'
    ? value[0]
    : undefined;
}

function traceIdOf(traceparent: string | undefined): string | undefined {
  // Bounded before it is matched: a header may be as long as a server lets it.
  const match = traceparent && traceparent.length <= 512 ? traceForm.exec(traceparent) : null;
  const traceId = match?.[1] ?? match?.[3];
  const parentId = match?.[2] ?? match?.[4];
  if (traceId === undefined || parentId === undefined) return undefined;
  return isZero(traceId) || isZero(parentId) ? undefined : traceId;
}

/** The trace of a correlation: a UUID's digits, or half of its SHA-256. */
export function traceIdFor(correlationId: string): string {
  const hex = uuidForm.test(correlationId) ? correlationId.replaceAll('-', '') : undefined;
  if (hex !== undefined && !isZero(hex)) return hex;
  return createHash('sha256').update(correlationId).digest('hex').slice(0, 32);
}

function spanId(): string {
  const id = randomBytes(8).toString('hex');
  return isZero(id) ? spanId() : id;
}

/** A trace id in the form of a UUID. */
export function uuidOf(hex: string): string {
  const cut = [hex.slice(0, 8), hex.slice(8, 12), hex.slice(12, 16), hex.slice(16, 20)];
  return `${cut.join('-')}-${hex.slice(20)}`;
}

function isZero(hex: string): boolean {
  return /^0+$/.test(hex);
}
