import { createHash } from 'node:crypto';
import {
  type Attributes,
  type Context,
  context,
  type Span,
  type SpanContext,
  SpanKind,
  SpanStatusCode,
  TraceFlags,
  trace,
} from '@opentelemetry/api';
import { isKeelsonError, KeelsonError } from '../errors.ts';
import { activeSpan, isTracing, rememberedSpan, rememberSpan } from './active-trace.ts';
import { currentCorrelation } from './correlation.ts';
import { traceIdFor } from './correlation-headers.ts';

/** What a span is told when it begins. */
export interface SpanOptions {
  /** `internal` when left out. */
  readonly kind?: 'internal' | 'server' | 'client' | 'producer' | 'consumer';
  readonly attributes?: Readonly<Record<string, string | number | boolean>>;
  /** A W3C `traceparent` that a request came with. */
  readonly traceparent?: string | undefined;
}

const kinds = {
  internal: SpanKind.INTERNAL,
  server: SpanKind.SERVER,
  client: SpanKind.CLIENT,
  producer: SpanKind.PRODUCER,
  consumer: SpanKind.CONSUMER,
};

/**
 * Does `work` in a span of OpenTelemetry, which ends when what it answers has settled; without an SDK it
 * just does `work`. Under no other span it belongs to the trace of the correlation in force.
 */
export function inSpan<T>(name: string, options: SpanOptions, work: () => T): T {
  if (typeof work !== 'function' || typeof name !== 'string') {
    throw new KeelsonError('INVALID', 'inSpan takes a name, options and a function.');
  }
  if (!isTracing()) return work();
  const { kind = 'internal', attributes = {}, traceparent } = options ?? {};
  const parent = parentOf(traceparent);
  const correlation = currentCorrelation();
  const known: Attributes =
    correlation === undefined ? {} : { 'keelson.correlation_id': correlation.correlationId };
  const settings = { kind: kinds[kind], attributes: { ...known, ...attributes } };
  return trace.getTracer('keelson').startActiveSpan(name, settings, parent, (span) => {
    if (correlation !== undefined) rememberSpan(correlation.correlationId, span.spanContext());
    return watched(span, work);
  });
}

/** Says more of the span that this runs in; nothing without an SDK. */
export function describeSpan(attributes: NonNullable<SpanOptions['attributes']>): void {
  if (isTracing()) trace.getActiveSpan()?.setAttributes(attributes);
}

/** A span of work that is over, within the one that this runs in; times in epoch ms. Nothing without an SDK. */
export function addSpan(
  name: string,
  times: { readonly from: number; readonly to: number },
  attributes: NonNullable<SpanOptions['attributes']> = {},
): void {
  if (!isTracing()) return;
  trace.getTracer('keelson').startSpan(name, { startTime: times.from, attributes }).end(times.to);
}

/** Ends the span with its work, and marks it as failed with what was thrown. */
function watched<T>(span: Span, work: () => T): T {
  let answer: T;
  try {
    answer = work();
  } catch (error) {
    fail(span, error);
    throw error;
  }
  if (!(answer instanceof Promise)) {
    span.end();
    return answer;
  }
  return answer.then(
    (value: unknown) => {
      span.end();
      return value;
    },
    (error: unknown) => {
      fail(span, error);
      throw error;
    },
  ) as T;
}

function fail(span: Span, error: unknown): void {
  const message = error instanceof Error ? error.message : String(error);
  span.setStatus({ code: SpanStatusCode.ERROR, message });
  if (isKeelsonError(error)) span.setAttribute('error.type', error.code);
  span.end();
}

/** The caller's span, the one this runs in, the one that caused it, or the correlation's trace. */
function parentOf(traceparent: string | undefined): Context {
  const active = context.active();
  if (activeSpan() !== undefined) return active;
  const given = traceparent === undefined ? undefined : spanOf(traceparent);
  if (given !== undefined) return trace.setSpanContext(active, given);
  const correlation = currentCorrelation();
  if (correlation === undefined) return active;
  const { correlationId, causationId } = correlation;
  const known = rememberedSpan(causationId, correlationId);
  return trace.setSpanContext(active, known ?? derived(correlationId, causationId));
}

const form = /^[0-9a-f]{2}-(?!0{32})([0-9a-f]{32})-(?!0{16})([0-9a-f]{16})-([0-9a-f]{2})(?:-|$)/;

function spanOf(traceparent: string): SpanContext | undefined {
  const [, traceId, spanId, flags] = form.exec(traceparent) ?? [];
  if (traceId === undefined || spanId === undefined || flags === undefined) return undefined;
  return { traceId, spanId, traceFlags: Number.parseInt(flags, 16), isRemote: true };
}

/** A span of another process that is known by its correlation alone: the same in every process. */
function derived(correlationId: string, causationId: string | undefined): SpanContext {
  const digest = createHash('sha256')
    .update(causationId ?? correlationId)
    .digest('hex');
  return {
    traceId: traceIdFor(correlationId),
    spanId: digest.slice(0, 16),
    traceFlags: TraceFlags.SAMPLED,
    isRemote: true,
  };
}
